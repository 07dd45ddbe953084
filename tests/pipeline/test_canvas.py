"""A file in the making: its bytes do not depend on the order in which strips arrive, nor on their cut."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest

from convcli.core.errors import Halted
from convcli.formats import registry
from convcli.formats.header import Layout, Metadata
from convcli.geometry.axes import Strip
from convcli.pipeline.maps.canvas import Canvas
from convcli.pipeline.maps.sinks import MemorySink

FRAMES, ROWS, COLUMNS, HEIGHT = 2, 37, 20, 8
PIXELS = np.random.default_rng(1).integers(0, 256, (FRAMES, ROWS, COLUMNS, 3), np.uint8)

Place = tuple[int, Strip]
"""A frame and a strip of it."""


def places(*columns: int) -> list[Place]:
    """The strips of all frames in the order of the file, cut at some columns too."""
    tops = [*range(0, ROWS, HEIGHT), ROWS]
    cuts = [0, *columns, COLUMNS]
    return [
        (frame, Strip(rows, cut))
        for frame in range(FRAMES)
        for rows in pairwise(tops)
        for cut in pairwise(cuts)
    ]


ORDERS = {
    "in order": lambda strips: strips,
    "reversed": lambda strips: strips[::-1],
    "shuffled": lambda strips: [strips[index] for index in np.random.default_rng(2).permutation(len(strips))],
    "frames alternating": lambda strips: sorted(strips, key=lambda place: (place[1].rows, -place[0])),
}


def paint(sink, strips: list[Place]) -> None:
    for frame, strip in strips:
        pixels = PIXELS[frame, slice(*strip.rows), slice(*strip.columns)]
        sink.place(frame, strip)[...] = pixels
        sink.done(frame, strip)


def canvas(format_name: str, max_waiting: float) -> Canvas:
    layout = Layout(ROWS, COLUMNS, 3, np.dtype(np.uint8), FRAMES)
    encoder = registry.format_named(format_name).encoder(layout, Metadata())
    return Canvas(layout, encoder, HEIGHT, max_waiting)


@pytest.mark.parametrize("format_name", ["png", "tiff", "npy", "webp", "gif"])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("columns", [(), (7, 13)], ids=["whole rows", "cut across"])
def test_strips_in_any_order_give_the_same_file(format_name, order, columns):
    """Whole bands in order are the reference; whatever arrives first, the file is the same."""
    expected = io.BytesIO()
    reference = canvas(format_name, np.inf)
    paint(reference, places())
    reference.write(expected)
    written = io.BytesIO()
    sink = canvas(format_name, np.inf)
    paint(sink, ORDERS[order](places(*columns)))
    sink.write(written)
    assert written.getvalue() == expected.getvalue()


@pytest.mark.parametrize("max_waiting", [1, 2, np.inf])
def test_a_writer_takes_pieces_while_workers_make_them(max_waiting):
    """Several workers, few places to wait: the file is that of one worker, and memory is used again."""
    expected, written = io.BytesIO(), io.BytesIO()
    reference, sink = canvas("tiff", np.inf), canvas("tiff", max_waiting)
    paint(reference, places())
    reference.write(expected)
    strips = places()
    with ThreadPoolExecutor(4) as pool:
        writing = pool.submit(sink.write, written)
        workers = [pool.submit(paint, sink, strips[index::3]) for index in range(3)]
        for work in (*workers, writing):
            work.result(30)
    assert written.getvalue() == expected.getvalue()
    assert sink.pieces == {} and sink.bands == {}


@pytest.mark.parametrize("side", ["writer", "worker"])
def test_halting_ends_the_waiting_of_both_sides(side):
    """A writer that waits for a piece, and a worker that waits for the writer, raise Halted."""
    sink = canvas("tiff", 1)
    strips = places()

    def wait() -> None:
        if side == "writer":
            sink.write(io.BytesIO())
        else:
            paint(sink, strips[1:])  # the first one never comes

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait)
        sink.halt()
        with pytest.raises(Halted):
            waiting.result(30)


@pytest.mark.parametrize("order", ORDERS)
def test_a_memory_sink_keeps_all_pixels(order):
    """Whatever the order, and cut across or not."""
    sink = MemorySink(Layout(ROWS, COLUMNS, 3, np.dtype(np.uint8), FRAMES))
    paint(sink, ORDERS[order](places(5)))
    assert np.array_equal(sink.images, PIXELS)
