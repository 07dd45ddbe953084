"""One output of a feature map: what its window reads, and the engine's sum and pixel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen
from convcli.core.rational import Number
from convcli.engine.computers import Computation
from convcli.engine.consumer import StripTask
from convcli.engine.run import run
from convcli.formats.header import Layout
from convcli.formats.readers import Reader
from convcli.geometry.axes import Axis, Geometry, Strip
from convcli.geometry.border import OUTSIDE, Indices, axis_sources
from convcli.geometry.padding import Fill, Pair
from convcli.pipeline.maps.image_source import ImageSource
from convcli.visualize.explain.arithmetic import exact_number


@frozen(eq=False)
class Window:
    """What the window of one output covers.

    Attributes:
        at: (row, column) of the output in the feature map.
        rows, columns: positions in the input; negative or too large in its padding.
        sources: the row and column indices that these positions are read from, `OUTSIDE` for a constant.
        axes: of the rows and the columns.
    """

    at: Pair
    rows: Indices
    columns: Indices
    sources: tuple[Indices, Indices]
    axes: tuple[Axis, ...]

    @classmethod
    def of(cls, shape: Geometry, fill: Fill, at: Pair) -> Window:
        """The window of the output ``at``."""
        windows = [axis.window(index) for axis, index in zip(shape.axes, at, strict=True)]
        return cls.over(shape, fill, at, windows, [axis.dilation for axis in shape.axes])

    @classmethod
    def over(
        cls, shape: Geometry, fill: Fill, at: Pair, spans: Sequence[Pair], steps: Sequence[int] = (1, 1)
    ) -> Window:
        """The window that reads the positions ``spans`` of the padded input, ``steps`` apart."""
        places, read = [], []
        for axis, span, step in zip(shape.axes, spans, steps, strict=True):
            places.append(np.arange(*span, step))
            read.append(axis_sources(fill, axis, places[-1]))
        return cls(at, places[0], places[1], (read[0], read[1]), shape.axes)

    @property
    def outside(self) -> Array:
        """Which cells of the window are padding, (rows, columns) of bool."""
        return self._where(lambda places, axis: (places < 0) | (places >= axis.span))

    @property
    def between(self) -> Array:
        """Which cells are zeros between pixels, (rows, columns) of bool."""
        return self._where(lambda places, axis: places % axis.spread != 0) & ~self.outside

    def _where(self, test: Callable[[Indices, Axis], Array]) -> Array:
        """Cells whose row or column passes a test."""
        rows, columns = map(test, (self.rows, self.columns), self.axes)
        marked: Array = rows[:, None] | columns[None]
        return marked

    def patch(self, reader: Reader, channel: int, constant: Number) -> Array:
        """One channel of what the window reads, (rows, columns) of exact numbers.

        Args:
            constant: the value outside the input where it is padded with a constant.
        """
        rows, columns = (indices.tolist() for indices in self.sources)
        lines = {row: reader.rows(0, row, row + 1)[0, :, channel] for row in set(rows) - {OUTSIDE}}
        outside = exact_number(constant)
        cells = [
            [outside if OUTSIDE in (row, column) else exact_number(lines[row][column]) for column in columns]
            for row in rows
        ]
        return np.array(cells, object)


class PixelRecorder:
    """A sink of feature maps that keeps the strips with certain pixels of one frame."""

    def __init__(self, layout: Layout, frame: int, places: Sequence[Pair]) -> None:
        self.layout, self.frame, self.places = layout, frame, places
        self.strips: list[tuple[Strip, Array]] = []

    def place(self, frame: int, strip: Strip) -> Array:
        """Memory for a strip, which is kept if it holds one of the pixels."""
        pixels = np.empty((*strip.shape, self.layout.channels), self.layout.dtype)
        if frame == self.frame and any(_holds(strip, at) for at in self.places):
            self.strips.append((strip, pixels))
        return pixels

    def done(self, frame: int, strip: Strip) -> None:
        """Strips are complete when they are written."""

    def pixel(self, at: Pair) -> list[Any]:
        """The channels of one of the pixels, as exact numbers."""
        strip, pixels = next(entry for entry in self.strips if _holds(entry[0], at))
        return [exact_number(value) for value in _at(strip, pixels, at)]


class MapRecorder:
    """A sink of feature maps that keeps one frame as ``pixels``, (rows, columns, channels)."""

    def __init__(self, layout: Layout, frame: int) -> None:
        self.layout, self.frame = layout, frame
        self.pixels: Array = np.empty(layout.shape, layout.dtype)

    def place(self, frame: int, strip: Strip) -> Array:
        """The strip's part of the map; scratch memory for other frames."""
        if frame != self.frame:
            return np.empty((*strip.shape, self.layout.channels), self.layout.dtype)
        part: Array = self.pixels[slice(*strip.rows), slice(*strip.columns)]
        return part

    def done(self, frame: int, strip: Strip) -> None:
        """Strips are complete when they are written."""

    def pixel(self, at: Pair) -> list[Any]:
        """The channels of a pixel, as exact numbers."""
        return [exact_number(value) for value in self.pixels[at]]


def engine_sums(plan: Computation, reader: Reader, frame: int, places: Sequence[Pair]) -> dict[Pair, Array]:
    """The engine's sums at some outputs of a frame, maps combined: an array (maps, lanes) for each."""
    sums: dict[Pair, Array] = {}
    run(plan, ImageSource(reader, plan), lambda: _SumRecorder(frame, places, sums), reader)
    return sums


class _SumRecorder:
    """A consumer that adds the sums of some outputs to ``sums``; each is in a single strip."""

    def __init__(self, frame: int, places: Sequence[Pair], sums: dict[Pair, Array]) -> None:
        self.frame, self.places, self.sums = frame, places, sums

    def destination(self, task: StripTask) -> None:
        return None

    def take(self, task: StripTask, sums: Array) -> None:
        if task.batch != self.frame:
            return
        for at in self.places:
            if _holds(task.strip, at):
                self.sums[at] = _at(task.strip, sums.transpose(1, 2, 0, 3), at).copy()


def _holds(strip: Strip, at: Pair) -> bool:
    spans = strip.rows, strip.columns
    return all(first <= place < last for (first, last), place in zip(spans, at, strict=True))


def _at(strip: Strip, values: Array, at: Pair) -> Array:
    pixel: Array = values[at[0] - strip.rows[0], at[1] - strip.columns[0]]
    return pixel
