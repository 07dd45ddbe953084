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
from convcli.formats import opening
from convcli.geometry.padding import Pair
from convcli.kernels.kernel import Kernel
from convcli.pipeline.mapping import Mapping, black_and_white
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.planning.task import Task
from convcli.pipeline.settings import Settings
from convcli.visualize.explain.arithmetic import magnitude, total
from convcli.visualize.explain.pixel import (
    Explanation,
    channel_names,
    check_place,
    explain_places,
    frame_task,
    window_values,
)
from convcli.visualize.explain.sums import Channel
from convcli.visualize.explain.view import Selection as Chosen
from convcli.visualize.explain.window import MapRecorder, PixelRecorder, Window

MOST_FRAMES: Final = 100
MOST_CELLS: Final = 14  # rows or columns of a grid of numbers
PART: Final = 10  # approximate rows and columns of the input that a part of a larger image reads
MOST_MAPS: Final = 9  # combined
MOST_PLANES: Final = 4  # kernels, or input channels with their weights
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
        map: index of the feature map; None for the only one.
        channels: names or indices of input channels; empty for those that contribute most.
        plain: largest magnitude of numbers that are drawn on white; larger ones are drawn on their gray.
        white: the number that is drawn as white if the numbers are not pixels; 0 if they are.
    """

    every: Pair | None = None
    most: int = MOST_FRAMES
    at: Pair | None = None
    frame: int = 0
    map: int | None = None
    channels: tuple[str | slice, ...] = ()
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
class Panel:
    """One input that is shown: the brightness of an image, or one of its channels.

    Attributes:
        name: of the channel; ``input`` for the only one.
        values: numbers of the padded input as a grid, or the pixels as (rows, columns, channels).
    """

    name: str
    values: Array


@frozen(eq=False)
class Animation:
    """Everything that the frames show.

    Attributes:
        source: title of the input.
        region: the outputs that are shown.
        spans: the positions of the padded input that are shown, (rows, columns).
        levels: black and white of the input, and of the feature map's pixels.
        frames: in the order of their outputs.
        planes: index of each plane of a frame's channel that is shown.
        inputs: one, or those of the planes where they are input channels.
        outputs: in a grid of numbers, place and channel of every output of the region.
        shaded: whether numbers are drawn on the gray that they stand for.
        map: index of the feature map.
        feature_map: without a grid, the result as (rows, columns, channels).
        names: what the image's channels are called; empty for their own names.
    """

    source: str
    task: Task
    settings: Settings
    region: Block
    spans: Block
    levels: tuple[Levels, Levels]
    map: int = 0
    frames: tuple[Frame, ...] = ()
    planes: tuple[int, ...] = ()
    inputs: tuple[Panel, ...] = ()
    outputs: tuple[tuple[Pair, Channel], ...] = ()
    shaded: bool = True
    feature_map: Array | None = None
    names: tuple[str, ...] = ()

    def label(self, channel: str) -> str:
        """What a channel of the image is called."""
        own = channel_names(self.task)
        return self.names[own.index(channel)] if self.names and channel in own else channel

    @property
    def is_grid(self) -> bool:
        """Whether input and feature map are grids of numbers, not images."""
        return self.feature_map is None


def build_animation(
    source: str, file: Input, settings: Settings, selection: Selection, names: tuple[str, ...] = ()
) -> Animation:
    """Compute everything that an animation shows.

    Color images become brightness, without alpha, unless the kernel takes several channels.

    Args:
        source: title of the input.
        names: what the image's channels are called; empty for their own names.

    Raises:
        ArgumentError: too many frames, an output outside the map, or a kernel that cannot be shown.
        ConvcliError: the image cannot be read.
    """
    index = _map_index(settings.kernel, selection.map)
    settings = replace(reading(file, settings), output=OutputSpec("./"))
    if selection.white and settings.mapping.kind == "auto":
        settings = replace(settings, mapping=Mapping("raw"))
    task, frame = frame_task(source, file, settings, selection.frame)
    region, as_numbers = _region(task, selection)
    blocks = _blocks(region, selection)
    white = (0, selection.white) if selection.white else None
    levels = white or black_and_white(task.opened.header.dtype), white or black_and_white(task.layout.dtype)
    empty = Animation(source, task, settings, region, _padded(task), levels, index, names=names)
    return (_grid if as_numbers else _image)(empty, frame, blocks, selection)


def _image(animation: Animation, frame: int, blocks: Sequence[Block], selection: Selection) -> Animation:
    """The animation of the whole image and its feature map."""
    task = animation.task
    recorder = MapRecorder(task.layout, frame)
    explanations = _explained(animation, frame, [_middle(block) for block in blocks], recorder)
    planes = _shown_planes(explanations, selection)
    pixels = task.opened.only(frame, frame + 1).reader().rows(0, 0, task.geometry.input[0])
    if takes_channels(animation.settings):
        channels = _channels(explanations[0], planes)
        inputs = [Panel(animation.label(name), pixels[..., index : index + 1]) for name, index in channels]
    else:
        inputs = [Panel("input", pixels[..., : pixels.shape[2] - task.opened.header.alpha])]
    input_levels, output_levels = animation.levels
    seen = np.concatenate([panel.values for panel in inputs], axis=-1)
    return replace(
        animation,
        levels=(_widened(input_levels, seen), _widened(output_levels, recorder.pixels)),
        frames=tuple(Frame(*pair) for pair in zip(explanations, blocks, strict=True)),
        planes=planes,
        inputs=tuple(inputs),
        feature_map=recorder.pixels,
    )


def _explained(
    animation: Animation, frame: int, places: Sequence[Pair], recorder: MapRecorder | PixelRecorder
) -> list[Explanation]:
    """The explanations of some outputs of the feature map that is shown."""
    task = animation.task
    sinks: list[MapRecorder | PixelRecorder] = [
        PixelRecorder(task.layout, frame, ()) for _ in range(task.plan.outcome.maps)
    ]
    sinks[animation.map] = recorder
    return explain_places(animation.source, task, animation.settings, frame, places, sinks, [animation.map])


def _shown_planes(explanations: Sequence[Explanation], selection: Selection) -> tuple[int, ...]:
    """The planes that are shown: the chosen channels, those that contribute most, or the first kernels.

    Raises:
        ArgumentError: a channel that does not exist.
    """
    first = explanations[0]
    planes = first.maps[0][0].planes
    if selection.channels:
        chosen = Chosen(channels=selection.channels).channel_names(first)
        indices = [index for index, plane in enumerate(planes) if plane.channel in chosen]
        return tuple((indices or range(len(planes)))[:MOST_PLANES])
    if first.combines or len(planes) <= MOST_PLANES:
        return tuple(range(len(planes))[:MOST_PLANES])
    sums = [[magnitude(plane.sum) for plane in each.maps[0][0].planes] for each in explanations]
    weights = [total(column) for column in zip(*sums, strict=True)]
    return tuple(sorted(sorted(range(len(planes)), key=lambda index: -weights[index])[:MOST_PLANES]))


def _channels(explanation: Explanation, planes: Sequence[int]) -> list[tuple[str, int]]:
    """Name and index of the image's channel that each plane reads."""
    names = [explanation.maps[0][0].planes[index].channel for index in planes]
    return [(name, explanation.names.index(name)) for name in names]


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
    explanations = _explained(animation, frame, places, PixelRecorder(task.layout, frame, places))
    by_place = dict(zip(places, explanations, strict=True))
    planes = _shown_planes(explanations, selection)
    spans = animation.spans
    if selection.at:
        rows, columns = (axis.reach(span) for axis, span in zip(task.geometry.axes, region, strict=True))
        spans = rows, columns
    window = Window.over(task.geometry, task.plan.problem.fill, (0, 0), spans)
    several = takes_channels(animation.settings)
    channels = _channels(explanations[0], planes) if several else [("input", 0)]
    inputs = tuple(
        Panel(animation.label(name), window_values(task, animation.settings, frame, window, index))
        for name, index in channels
    )
    values = np.array([as_float(value) for panel in inputs for value in panel.values.ravel()])
    large = bool((np.abs(values) > selection.plain).any())
    shaded = bool(selection.at and not selection.white) or large
    input_levels = animation.levels[0] if shaded else (0, 0)
    pixels = np.array([as_float(explanation.maps[0][0].pixel) for explanation in explanations])
    return replace(
        animation,
        spans=spans,
        levels=(_widened(input_levels, values), _widened(animation.levels[1], pixels)),
        frames=tuple(Frame(by_place[_middle(block)], block) for block in blocks),
        planes=planes,
        inputs=inputs,
        outputs=tuple((place, explanation.maps[0][0]) for place, explanation in by_place.items()),
        shaded=shaded,
    )


def _padded(task: Task) -> Block:
    """All positions of the padded input."""
    rows, columns = ((min(-axis.before, 0), axis.span + max(axis.after, 0)) for axis in task.geometry.axes)
    return rows, columns


def takes_channels(settings: Settings) -> bool:
    """Whether the kernel reads channels of the image, not its brightness."""
    return settings.kernel.spatial == 2 and (settings.kernel.tensor_shape[-2] > 1 or settings.groups > 1)


def reading(file: Input, settings: Settings) -> Settings:
    """The settings of an animation, with what the kernel reads: channels of the image, or its brightness."""
    if not takes_channels(settings):
        return replace(settings, channels="gray", alpha="drop")
    header = opening.open_input(file, settings.max_pixels)[0].header
    is_data = settings.kernel.tensor_shape[-2] * settings.groups == header.channels
    return replace(settings, channels=None, alpha=None if is_data else "drop")


def _map_index(kernel: Kernel, index: int | None) -> int:
    """The feature map that is shown.

    Raises:
        ArgumentError: a map that does not exist, or a kernel that cannot be shown.
    """
    if kernel.combine:
        _check_combination(kernel, index)
        return 0
    if index is None and kernel.maps > 1:
        raise ArgumentError(
            f"kernel {kernel.name} produces {kernel.maps} feature maps, but an animation shows one; "
            "choose one with --show-map, or use --combine"
        )
    if index is not None and index >= kernel.maps:
        raise ArgumentError(f"there is no map {index}; allowed: 0 to {kernel.maps - 1}")
    return index or 0


def _check_combination(kernel: Kernel, index: int | None) -> None:
    inputs = kernel.tensor_shape[-2] if kernel.spatial == 2 else 1
    if index is not None:
        raise ArgumentError(f"kernel {kernel.name} combines its maps to one, so --show-map has no effect")
    if inputs > 1:
        raise ArgumentError(
            f"kernel {kernel.name} combines maps of {inputs} input channels, which an animation cannot show; "
            "leave out --combine and choose one with --show-map"
        )
    if kernel.maps > MOST_MAPS:
        raise ArgumentError(
            f"kernel {kernel.name} combines {kernel.maps} feature maps; allowed: up to {MOST_MAPS}"
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
