"""A kernel on its way over a picture, moment by moment: what its window reads, and what comes out.

Every number is one of `explain`, from one run of the engine for all of them.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from itertools import product
from math import prod
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import ArgumentError, quoted
from convcli.core.frozen import frozen, replace
from convcli.files.input import Input
from convcli.geometry.axes import parse_sizes
from convcli.geometry.padding import Pair
from convcli.pipeline.mapping import Mapping, ends
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.settings import Settings
from convcli.pipeline.task import Task
from convcli.visualize.explain.arithmetic import as_float
from convcli.visualize.explain.pixel import (
    Channel,
    Explanation,
    check_place,
    decided,
    explained,
    multiplicands,
)
from convcli.visualize.explain.window import Kept, PixelProbe, Spot

MOST: Final = 100  # frames
MOST_CELLS: Final = 14  # a side of a grid of numbers
AROUND: Final = 10  # positions a side of a part of a larger picture
MOST_MAPS: Final = 9  # combined
LARGEST_SHAPE: Final = 256
DIGITS: Final = 10  # numbers of a drawn shape are below
PLAIN: Final = 99

Block = tuple[Pair, Pair]
"""Some of the feature map: rows and columns, (first, past the last) each."""
Ends = tuple[float, float]
"""The numbers that are shown as black and as white."""


@frozen
class View:
    """What of a feature map is shown.

    Attributes:
        every: (rows, columns) from one shown output to the next, or None for as few as ``most`` allows.
        most: frames.
        at: where the part begins that is shown as numbers, or None for the whole map.
        frame: which of several frames or pages.
        plain: numbers of a small picture up to it stand on white, larger ones on their gray.
        white: the number that is shown as white where numbers are no pixels; 0 where they are.
    """

    every: Pair | None = None
    most: int = MOST
    at: Pair | None = None
    frame: int = 0
    plain: float = PLAIN
    white: int = 0


@frozen(eq=False)
class Moment:
    """One frame: the explained output, and the outputs that appear with it."""

    found: Explanation
    block: Block

    @property
    def channel(self) -> Channel:
        return self.found.maps[0][0]


@frozen(eq=False)
class Slide:
    """Everything that is drawn.

    Attributes:
        region: the outputs that are shown.
        spans: the positions of the padded picture that are shown, (rows, columns).
        shades: black and white of the input, and of the feature map's pixels.
        moments: in the order of their outputs.
        cells: as a grid of numbers, those at the positions; None where the picture itself is shown.
        outputs: as a grid of numbers, every output of the region.
        shaded: whether numbers stand on the gray that they are.
        picture, pixels: without a grid, input and feature map, (rows, columns, channels).
    """

    source: str
    task: Task
    settings: Settings
    region: Block
    spans: Block
    shades: tuple[Ends, Ends]
    moments: tuple[Moment, ...]
    cells: Array | None = None
    outputs: tuple[tuple[Pair, Channel], ...] = ()
    shaded: bool = True
    picture: Array | None = None
    pixels: Array | None = None


def slide(source: str, file: Input, settings: Settings, view: View) -> Slide:
    """Everything that an animation of one picture shows; of colors, their brightness without transparency.

    Args:
        source: what the picture is called.

    Raises:
        ArgumentError: more frames than allowed, a place outside, or a kernel that cannot be shown.
        ConvcliError: the picture cannot be read.
    """
    _check(settings)
    settings = replace(settings, channels="gray", alpha="drop", output=OutputSpec("./"))
    if view.white and settings.mapping.kind == "auto":
        settings = replace(settings, mapping=Mapping("raw"))
    task, frame = decided(source, file, settings, view.frame)
    region, as_numbers = _region(task, view)
    blocks = _blocks(region, view)
    white = (0, view.white) if view.white else None
    whole = white or ends(task.opened.header.dtype), white or ends(task.layout.dtype)
    empty = Slide(source, task, settings, region, _padded(task), whole, ())
    return _grid(empty, frame, blocks, view) if as_numbers else _picture(empty, frame, blocks)


def _picture(slide: Slide, frame: int, blocks: Sequence[Block]) -> Slide:
    """The whole picture and its feature map."""
    task = slide.task
    kept = Kept(task.layout, frame)
    places = [_middle(block) for block in blocks]
    found = explained(slide.source, task, slide.settings, frame, places, [kept])
    stored = task.opened.only(frame, frame + 1).reader().rows(0, 0, task.geometry.input[0])
    stored = stored[..., : stored.shape[2] - task.opened.header.alpha]
    read, made = _shades(stored, slide.shades[0]), _shades(kept.pixels, slide.shades[1])
    return replace(
        slide,
        shades=(read, made),
        moments=tuple(Moment(*each) for each in zip(found, blocks, strict=True)),
        picture=stored,
        pixels=kept.pixels,
    )


def _shades(values: Array, whole: Ends) -> Ends:
    """Black and white: those of the type, or where values lie beyond them, the least and the largest."""
    floats = values.astype(np.float64)
    floats = floats[np.isfinite(floats)]
    if not floats.size or (whole[0] <= floats.min() and floats.max() <= whole[1]):
        return whole
    return float(floats.min()), float(floats.max())


def _grid(slide: Slide, frame: int, blocks: Sequence[Block], view: View) -> Slide:
    """A feature map, or a part of it, as numbers: all of its outputs are explained."""
    task, region = slide.task, slide.region
    places = list(product(range(*region[0]), range(*region[1])))
    found = explained(
        slide.source, task, slide.settings, frame, places, [PixelProbe(task.layout, frame, places)]
    )
    by_place = dict(zip(places, found, strict=True))
    rows, columns = slide.spans
    if view.at:
        rows, columns = (axis.reach(span) for axis, span in zip(task.geometry.axes, region, strict=True))
    spot = Spot.over(task.geometry, task.plan.problem.fill, (0, 0), (rows, columns))
    cells = multiplicands(task, slide.settings, frame, spot)
    values = np.array([as_float(value) for value in cells.ravel()])
    shaded = bool(view.at and not view.white) or bool((np.abs(values) > view.plain).any())
    whole = slide.shades[0] if shaded else (0, 0)
    pixels = np.array([as_float(each.maps[0][0].pixel) for each in found])
    return replace(
        slide,
        spans=(rows, columns),
        shades=(_shades(values, whole), _shades(pixels, slide.shades[1])),
        moments=tuple(Moment(by_place[_middle(block)], block) for block in blocks),
        cells=cells,
        outputs=tuple((at, each.maps[0][0]) for at, each in by_place.items()),
        shaded=shaded,
    )


def _padded(task: Task) -> Block:
    """All positions of the padded picture."""
    rows, columns = ((-axis.before, axis.size + axis.after) for axis in task.geometry.axes)
    return rows, columns


def _check(settings: Settings) -> None:
    kernel = settings.kernel
    if kernel.spatial == 2 and kernel.tensor_shape[-2] != 1:
        inputs = kernel.tensor_shape[-2]
        raise ArgumentError(f"kernel {kernel.name} takes {inputs} input channels; allowed: 1")
    if kernel.maps > MOST_MAPS:
        verb = "combines" if kernel.combine else "gives"
        raise ArgumentError(
            f"kernel {kernel.name} {verb} {kernel.maps} feature maps; allowed: 1, or {MOST_MAPS} combined"
        )
    if kernel.maps > 1 and not kernel.combine:
        raise ArgumentError(
            f"kernel {kernel.name} gives {kernel.maps} feature maps, the animation shows one; use --combine"
        )


def _region(task: Task, view: View) -> tuple[Block, bool]:
    """The outputs that are shown, and whether as numbers."""
    axes = task.geometry.axes
    if view.at is None:
        small = all(max(axis.padded, axis.output) <= MOST_CELLS for axis in axes)
        return ((0, axes[0].output), (0, axes[1].output)), small
    check_place(task, view.at)
    rows, columns = (
        (first, min(first + max((AROUND - axis.extent) // axis.stride, 2) + 1, axis.output))
        for axis, first in zip(axes, view.at, strict=True)
    )
    return (rows, columns), True


def _blocks(region: Block, view: View) -> list[Block]:
    """The region cut into the blocks of outputs that appear frame by frame, in reading order."""
    sizes = [last - first for first, last in region]
    every = view.every or _coarse(sizes, view.most)
    count = prod(-(-size // step) for size, step in zip(sizes, every, strict=True))
    if count > view.most:
        raise ArgumentError(
            f"it would have {count} frames; allowed: {view.most} (--most), "
            "so choose a larger --every, or a part of the picture by --at"
        )
    rows, columns = (list(_cut(span, step)) for span, step in zip(region, every, strict=True))
    return list(product(rows, columns))


def _coarse(sizes: Sequence[int], most: int) -> Pair:
    """The smallest step, the same down and across, that makes at most so many blocks."""
    step = 1
    while prod(-(-size // step) for size in sizes) > most:
        step += 1
    return step, step


def _cut(span: Pair, step: int) -> Iterator[Pair]:
    for first in range(*span, step):
        yield first, min(first + step, span[1])


def _middle(block: Block) -> Pair:
    """The output of a block that is explained."""
    row, column = ((first + last - 1) // 2 for first, last in block)
    return row, column


def shape_of(text: str) -> Pair | None:
    """The rows and columns of ``4x4``; None for other texts.

    Raises:
        ArgumentError: a side of 0, or above `LARGEST_SHAPE`.
    """
    if not re.fullmatch(r"\d{1,9}[x×]\d{1,9}", text.strip().casefold()):
        return None
    rows, columns = parse_sizes("shape", text.strip(), (2,), "x")
    if max(rows, columns) > LARGEST_SHAPE:
        raise ArgumentError(f"shape {quoted(text)} is larger than {LARGEST_SHAPE}x{LARGEST_SHAPE}")
    return rows, columns


def drawn_numbers(shape: Pair, seed: int | None) -> Input:
    """A picture of integers: 0 to 9 drawn with a seed, or without one 0, 1, 2, … in reading order.

    Drawn are the 64-bit words of PCG64, modulo 10.
    """
    count = prod(shape)
    values: Any = np.arange(count, dtype=np.uint16)
    if seed is not None:
        values = (np.random.PCG64(seed).random_raw(count) % DIGITS).astype(np.uint8)
    buffer = io.BytesIO()
    np.save(buffer, values.reshape(shape))
    return Input(data=buffer.getvalue())
