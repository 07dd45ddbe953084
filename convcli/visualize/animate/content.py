"""What every frame of an animation shows: which output is explained, and which outputs have appeared.

Every number is one of `explain`, from a single run of the engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod
from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import ArgumentError
from convcli.core.frozen import frozen, replace
from convcli.core.numerals import as_float
from convcli.files.input import Input
from convcli.geometry.padding import Pair
from convcli.pipeline.mapping import Mapping, black_and_white
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.planning.task import Task
from convcli.pipeline.settings import Settings
from convcli.visualize.explain.pixel import (
    Channel,
    Explanation,
    check_place,
    explain_places,
    frame_task,
    window_values,
)
from convcli.visualize.explain.window import MapRecorder, PixelRecorder, Window

MOST_FRAMES: Final = 100
MOST_CELLS: Final = 14  # rows or columns of a grid of numbers
PART: Final = 10  # approximate rows and columns of the input that a part of a larger image reads
MOST_MAPS: Final = 9  # combined
PLAIN: Final = 99

Block = tuple[Pair, Pair]
"""Part of the feature map: rows and columns, (first, past the last) each."""
Levels = tuple[float, float]
"""The values that are drawn as black and as white."""


@frozen
class Selection:
    """What of a feature map is shown.

    Attributes:
        every: (rows, columns) from one frame's output to the next; None for as few as ``most`` allows.
        most: maximum number of frames.
        at: first output of the part that is shown as numbers; None for the whole map.
        frame: index of the input's frame or page.
        plain: largest magnitude of numbers that are drawn on white; larger ones are drawn on their gray.
        white: the number that is drawn as white if the numbers are not pixels; 0 if they are.
    """

    every: Pair | None = None
    most: int = MOST_FRAMES
    at: Pair | None = None
    frame: int = 0
    plain: float = PLAIN
    white: int = 0


@frozen(eq=False)
class Frame:
    """One frame: the explained output, and the block of outputs that appear with it."""

    explanation: Explanation
    block: Block

    @property
    def channel(self) -> Channel:
        """The output's only channel."""
        return self.explanation.maps[0][0]

    @property
    def outputs(self) -> Iterator[Pair]:
        """(row, column) of every output of the block."""
        return product(range(*self.block[0]), range(*self.block[1]))


@frozen(eq=False)
class Animation:
    """Everything that the frames show.

    Attributes:
        source: title of the input.
        region: the outputs that are shown.
        spans: the positions of the padded input that are shown, (rows, columns).
        levels: black and white of the input, and of the feature map's pixels.
        frames: in the order of their outputs.
        cells: in a grid of numbers, those of the input; None where the image itself is shown.
        outputs: in a grid of numbers, place and channel of every output of the region.
        shaded: whether numbers are drawn on the gray that they stand for.
        image, feature_map: without a grid, input and result as (rows, columns, channels).
    """

    source: str
    task: Task
    settings: Settings
    region: Block
    spans: Block
    levels: tuple[Levels, Levels]
    frames: tuple[Frame, ...]
    cells: Array | None = None
    outputs: tuple[tuple[Pair, Channel], ...] = ()
    shaded: bool = True
    image: Array | None = None
    feature_map: Array | None = None


def build_animation(source: str, file: Input, settings: Settings, selection: Selection) -> Animation:
    """Compute everything that an animation shows; color images become brightness, without alpha.

    Args:
        source: title of the input.

    Raises:
        ArgumentError: too many frames, an output outside the map, or a kernel that cannot be shown.
        ConvcliError: the image cannot be read.
    """
    _check(settings)
    settings = replace(settings, channels="gray", alpha="drop", output=OutputSpec("./"))
    if selection.white and settings.mapping.kind == "auto":
        settings = replace(settings, mapping=Mapping("raw"))
    task, frame = frame_task(source, file, settings, selection.frame)
    region, as_numbers = _region(task, selection)
    blocks = _blocks(region, selection)
    white = (0, selection.white) if selection.white else None
    levels = white or black_and_white(task.opened.header.dtype), white or black_and_white(task.layout.dtype)
    empty = Animation(source, task, settings, region, _padded(task), levels, ())
    return _grid(empty, frame, blocks, selection) if as_numbers else _image(empty, frame, blocks)


def _image(animation: Animation, frame: int, blocks: Sequence[Block]) -> Animation:
    """The animation of the whole image and its feature map."""
    task = animation.task
    recorder = MapRecorder(task.layout, frame)
    places = [_middle(block) for block in blocks]
    explanations = explain_places(animation.source, task, animation.settings, frame, places, [recorder])
    pixels = task.opened.only(frame, frame + 1).reader().rows(0, 0, task.geometry.input[0])
    pixels = pixels[..., : pixels.shape[2] - task.opened.header.alpha]
    input_levels, output_levels = animation.levels
    return replace(
        animation,
        levels=(_widened(input_levels, pixels), _widened(output_levels, recorder.pixels)),
        frames=tuple(Frame(*pair) for pair in zip(explanations, blocks, strict=True)),
        image=pixels,
        feature_map=recorder.pixels,
    )


def _widened(levels: Levels, values: Array) -> Levels:
    """The levels, or the smallest and largest value if any lies beyond them."""
    floats = values.astype(np.float64)
    floats = floats[np.isfinite(floats)]
    if not floats.size or (levels[0] <= floats.min() and floats.max() <= levels[1]):
        return levels
    return float(floats.min()), float(floats.max())


def _grid(animation: Animation, frame: int, blocks: Sequence[Block], selection: Selection) -> Animation:
    """The animation of a feature map or a part of it as numbers; all of its outputs are explained."""
    task, region = animation.task, animation.region
    places = list(product(range(*region[0]), range(*region[1])))
    recorder = PixelRecorder(task.layout, frame, places)
    explanations = explain_places(animation.source, task, animation.settings, frame, places, [recorder])
    by_place = dict(zip(places, explanations, strict=True))
    rows, columns = animation.spans
    if selection.at:
        rows, columns = (axis.reach(span) for axis, span in zip(task.geometry.axes, region, strict=True))
    window = Window.over(task.geometry, task.plan.problem.fill, (0, 0), (rows, columns))
    cells = window_values(task, animation.settings, frame, window)
    values = np.array([as_float(value) for value in cells.ravel()])
    large = bool((np.abs(values) > selection.plain).any())
    shaded = bool(selection.at and not selection.white) or large
    input_levels = animation.levels[0] if shaded else (0, 0)
    pixels = np.array([as_float(explanation.maps[0][0].pixel) for explanation in explanations])
    return replace(
        animation,
        spans=(rows, columns),
        levels=(_widened(input_levels, values), _widened(animation.levels[1], pixels)),
        frames=tuple(Frame(by_place[_middle(block)], block) for block in blocks),
        cells=cells,
        outputs=tuple((place, explanation.maps[0][0]) for place, explanation in by_place.items()),
        shaded=shaded,
    )


def _padded(task: Task) -> Block:
    """All positions of the padded input."""
    rows, columns = ((-axis.before, axis.size + axis.after) for axis in task.geometry.axes)
    return rows, columns


def _check(settings: Settings) -> None:
    kernel = settings.kernel
    if kernel.spatial == 2 and kernel.tensor_shape[-2] != 1:
        inputs = kernel.tensor_shape[-2]
        raise ArgumentError(f"kernel {kernel.name} takes {inputs} input channels; allowed: 1")
    if kernel.maps > MOST_MAPS:
        verb = "combines" if kernel.combine else "produces"
        raise ArgumentError(
            f"kernel {kernel.name} {verb} {kernel.maps} feature maps; allowed: 1, or {MOST_MAPS} combined"
        )
    if kernel.maps > 1 and not kernel.combine:
        raise ArgumentError(
            f"kernel {kernel.name} produces {kernel.maps} feature maps, but an animation shows one; "
            "use --combine"
        )


def _region(task: Task, selection: Selection) -> tuple[Block, bool]:
    """The outputs that are shown, and whether they are shown as numbers."""
    axes = task.geometry.axes
    if selection.at is None:
        small = all(max(axis.padded, axis.output) <= MOST_CELLS for axis in axes)
        return ((0, axes[0].output), (0, axes[1].output)), small
    check_place(task, selection.at)
    rows, columns = (
        (first, min(first + max((PART - axis.extent) // axis.stride, 2) + 1, axis.output))
        for axis, first in zip(axes, selection.at, strict=True)
    )
    return (rows, columns), True


def _blocks(region: Block, selection: Selection) -> list[Block]:
    """The region cut into one block of outputs for each frame, in reading order."""
    sizes = [last - first for first, last in region]
    every = selection.every or _smallest_step(sizes, selection.most)
    count = prod(-(-size // step) for size, step in zip(sizes, every, strict=True))
    if count > selection.most:
        raise ArgumentError(
            f"the animation would have {count} frames; allowed: {selection.most} (--most). "
            "Use a larger --every, or show a part of the image with --at"
        )
    rows, columns = (list(_cut(span, step)) for span, step in zip(region, every, strict=True))
    return list(product(rows, columns))


def _smallest_step(sizes: Sequence[int], most: int) -> Pair:
    """The smallest step, the same down and across, that makes at most ``most`` blocks."""
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
