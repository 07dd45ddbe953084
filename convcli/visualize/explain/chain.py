"""How one pixel of a chain is computed: back from its last stage to the image, one window at a time.

Each stage is explained where the one after it reads it: at the center of the window, at the largest value of
a maximum, and in the map that contributes most. The values that a stage reads are the engine's, taken from
the chain that ends before it; the steps are exact arithmetic with these values.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property
from itertools import product
from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import ArgumentError
from convcli.core.frozen import frozen, replace
from convcli.core.numerals import formula_text
from convcli.core.rational import Number
from convcli.engine.filter import Filter
from convcli.files import input as files
from convcli.geometry.axes import Geometry, geometry
from convcli.geometry.border import OUTSIDE
from convcli.geometry.padding import Fill, Pair
from convcli.layers.stages import ConvolutionStage, PoolStage, Stage
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.maps.feature_map import feature_maps
from convcli.pipeline.planning.convolution import Convolution, convolution_of
from convcli.pipeline.planning.task import Task
from convcli.pipeline.settings import Settings
from convcli.visualize.explain.activations import activation_step
from convcli.visualize.explain.arithmetic import Step, equal, exact_number, magnitude, sum_text, total
from convcli.visualize.explain.pixel import (
    PixelSteps,
    channel_names,
    check_place,
    frame_task,
    pixel_channel,
)
from convcli.visualize.explain.sums import Channel, Plane, ShownWeights
from convcli.visualize.explain.view import Selection
from convcli.visualize.explain.window import PixelRecorder, Window, engine_sums

CENTER: Final = "the center of the window above"
NEAREST: Final = "the value nearest to the center of the window above"
LARGEST: Final = "the largest value above"
SAME: Final = "the value above"
_MOST_TERMS: Final = 9  # values that a maximum lists


@frozen(eq=False)
class StageTrace:
    """A stage at one place of one map.

    Attributes:
        number: of the stage, from 1.
        at: (row, column) of its output.
        map: index of its output map.
        sizes, maps: of its output.
        shape: its axes; None for an activation.
        window: what it reads; None for an activation.
        patch: what a pool reads.
        channel: its planes, if it is a convolution, and the steps to its value.
        reads: for each plane, the map and the color of the stage before that it reads.
        reason: why this place is explained; empty for the last stage.
    """

    number: int
    stage: Stage
    at: Pair
    map: int
    sizes: tuple[int, ...]
    maps: int
    shape: Geometry | None
    window: Window | None
    patch: Array | None
    channel: Channel
    reads: tuple[Pair, ...]
    reason: str


@frozen(eq=False)
class Trace:
    """One channel of the pixel in one map, traced back.

    Attributes:
        stages: from the last to the first.
        channel: the steps of the last stage, and from its value to the pixel.
    """

    map: int
    mapping: Mapping
    stages: tuple[StageTrace, ...]
    channel: Channel


@frozen(eq=False)
class ChainExplanation:
    """One pixel of a chain.

    Attributes:
        traces: of the chosen maps and channels.
        others: value and pixel of each map's other channels, by the index of the map.
    """

    source: str
    task: Task
    settings: Settings
    at: Pair
    traces: tuple[Trace, ...]
    others: tuple[tuple[int, tuple[Channel, ...]], ...]

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages, the kernel first."""
        return chain_stages(self.settings)

    @property
    def maps(self) -> int:
        """Number of feature maps."""
        return self.task.plan.outcome.maps


def chain_stages(settings: Settings) -> tuple[Stage, ...]:
    """The stages of a chain, the kernel first."""
    axes = [(sizes * 2)[:2] for sizes in (settings.stride, settings.dilation)]
    first = ConvolutionStage(
        settings.kernel,
        settings.padding,
        axes[0],
        axes[1],
        settings.groups,
        settings.flip,
        settings.transposed,
        settings.output_padding,
    )
    return first, *settings.then


def explain_chain(
    source: files.Source,
    settings: Settings,
    at: Pair,
    frame: int,
    selection: Selection,
    *,
    every: bool = False,
) -> ChainExplanation:
    """Explain the pixel at (row, column) of the feature maps that `job.apply` would write.

    Args:
        source: a file, ``-`` for standard input, or an open input.
        settings: as `job.apply` takes them, with stages after the kernel.
        frame: index of the frame or page.
        selection: the maps and channels that are traced back; the first one if it leaves them open.
        every: whether all are, instead of the first one.

    Raises:
        ArgumentError: the place is outside the feature map, the frame does not exist, or transparency is
            filtered.
        ConvcliError: whatever `job.apply` raises before it writes.
    """
    name = files.source_name(source)
    with files.open_source(source) as file:
        task, own = frame_task(name, file, settings, frame)
        check_place(task, at)
        if settings.linear:
            raise ArgumentError("stages (--then) cannot be explained in linear light; leave out --linear")
        if task.color_handling.alpha == "filter":
            raise ArgumentError(
                "stages (--then) cannot be explained where transparency is filtered; use --alpha keep or drop"
            )
        tracer = _Tracer(task, settings, own, at)
        chosen = tracer.chosen(selection, every)
        traces = tuple(tracer.trace(map_, lane) for map_, lane in chosen)
        left = [] if selection.maps or selection.channels else tracer.others(chosen)
        return ChainExplanation(name, task, settings, at, traces, tuple(left))


class _Tracer:
    """Traces the pixel back, with the values between stages that the engine computes."""

    def __init__(self, task: Task, settings: Settings, frame: int, at: Pair) -> None:
        self.task, self.settings, self.frame, self.at = task, settings, frame, at
        self.stages = chain_stages(settings)
        self.known: list[dict[Pair, Array]] = [{} for _ in self.stages]
        maps = range(task.plan.outcome.maps)
        recorders = [PixelRecorder(task.layout, frame, [at]) for _ in maps]
        made = feature_maps(task.plan, task.opened.reader(), task.color_handling, task.mapping, recorders)
        self.mappings = [map_.mapping for map_ in made]
        self.pixels = [recorder.pixel(at) for recorder in recorders]

    @cached_property
    def parts(self) -> list[Convolution]:
        """The chains that end with each stage."""
        header = self.task.opened.header
        then = self.settings.then
        return [
            convolution_of(header, replace(self.settings, then=then[:count]))
            for count in range(len(self.stages))
        ]

    def lanes(self, number: int) -> int:
        """Lanes of a stage's output: colors that are filtered one by one."""
        return self.parts[number - 1].plan.lanes

    def names(self, number: int) -> list[str]:
        """The names of the lanes of a stage's output."""
        lanes, names = self.lanes(number), channel_names(self.task)
        return list(names[:lanes]) if lanes > 1 else ["gray"]

    def chosen(self, selection: Selection, every: bool) -> list[tuple[int, int]]:
        """Map and lane of what is traced back."""
        names = self.names(len(self.stages))
        maps = selection.map_indices(len(self.mappings))
        lanes = [names.index(name) for name in selection.names_among(names, channel_names(self.task))]
        found = [(map_, lane) for map_ in maps for lane in lanes]
        return found if every or selection.maps or selection.channels else found[:1]

    def others(self, chosen: Sequence[tuple[int, int]]) -> list[tuple[int, tuple[Channel, ...]]]:
        """Value and pixel of everything else, by map."""
        names, number = self.names(len(self.stages)), len(self.stages)
        left = []
        for map_ in range(len(self.mappings)):
            channels = []
            for lane, name in enumerate(names):
                if (map_, lane) not in chosen:
                    value = Step("value", "", self.value(number, self.at, map_, lane))
                    pixel = self.pixels[map_][lane]
                    channels.append(Channel(name, (), (value,), 1, pixel, pixel))
            if channels:
                left.append((map_, tuple(channels)))
        return left

    def trace(self, map_: int, lane: int) -> Trace:
        """One channel of the pixel in one map."""
        last, place = map_, self.at
        found: list[StageTrace] = []
        reason, name = "", self.names(len(self.stages))[lane]
        for number in range(len(self.stages), 0, -1):
            stage = self._stage(number, place, map_, lane, reason)
            found.append(stage)
            if number > 1:
                place, map_, lane, reason = self._next(stage, lane)
        steps, planes = list(found[0].channel.steps), found[0].channel.planes
        pixel = self.pixels[last][self.names(len(self.stages)).index(name)]
        channel = pixel_channel(self.task, self.mappings[last], name, planes, steps, pixel)
        return Trace(last, self.mappings[last], tuple(found), channel)

    def values(self, number: int, places: Sequence[Pair]) -> dict[Pair, Array]:
        """The values of a stage's output at some places, (maps, lanes) each."""
        known = self.known[number - 1]
        if missing := [place for place in dict.fromkeys(places) if place not in known]:
            plan = self.parts[number - 1].plan
            reader = self.task.color_handling.reader(self.task.opened.reader())
            for place, sums in engine_sums(plan, reader, self.frame, missing).items():
                rows = [
                    [exact_number(affine.value(total)) for total in row]
                    for row, affine in zip(sums.tolist(), plan.outcome.affines, strict=True)
                ]
                known[place] = np.array(rows, object).reshape(sums.shape)
        return known

    def value(self, number: int, place: Pair, map_: int, lane: int) -> Number:
        """A value of a stage's output."""
        value: Number = self.values(number, [place])[place][map_, lane]
        return value

    def _stage(self, number: int, at: Pair, map_: int, lane: int, reason: str) -> StageTrace:
        """A stage at one place, with a step to the engine's value if that was rounded."""
        stage = self.stages[number - 1]
        planes: list[Plane] = []
        reads: list[Pair] = []
        shape, window, patch = self.shape(number), None, None
        if number == 1:
            window, planes, steps = self._first(at, map_, lane)
        elif isinstance(stage, ConvolutionStage):
            assert shape is not None
            window = Window.of(shape, stage.padding.fill, at)
            planes, reads, steps = self._convolution(stage, number, window, map_, lane)
        elif isinstance(stage, PoolStage):
            assert shape is not None
            window = _pool_window(stage, shape, at)
            patch = self._patch(number - 1, window, map_, lane, Fraction(0))
            steps = _pool_steps(stage, patch)
        else:
            steps = [activation_step(stage, self.value(number - 1, at, map_, lane))]
        engine, part = self.value(number, at, map_, lane), self.parts[number - 1]
        if not equal(steps[-1].value, engine):
            steps.append(Step(str(part.plan.outcome.dtype), "rounded in floating point, as in apply", engine))
        name = self.names(number)[lane]
        channel = Channel(name, tuple(planes), tuple(steps), len(steps), engine, engine)
        sizes, maps = part.geometry.output, part.plan.outcome.maps
        return StageTrace(
            number, stage, at, map_, sizes, maps, shape, window, patch, channel, tuple(reads), reason
        )

    def shape(self, number: int) -> Geometry | None:
        """The axes of a stage; None for an activation."""
        stage = self.stages[number - 1]
        if number == 1:
            return self.parts[0].geometry
        sizes = self.parts[number - 2].geometry.output
        if isinstance(stage, ConvolutionStage):
            return stage.geometry(sizes)
        if isinstance(stage, PoolStage):
            return geometry(sizes, stage.window, stage.stride, stage.padding, stage.dilation, stage.ceiling)
        return None

    def _first(self, at: Pair, map_: int, lane: int) -> tuple[Window, list[Plane], list[Step]]:
        """The stage that reads the image."""
        part = self.parts[0]
        task = replace(self.task, plan=part.plan, geometry=part.geometry)
        window = Window.of(part.geometry, part.plan.problem.fill, at)
        sums = None
        if not part.plan.outcome.exact:
            reader = self.task.color_handling.reader(self.task.opened.reader())
            sums = engine_sums(part.plan, reader, self.frame, [at])[at]
        steps = PixelSteps.of(task, self.settings, self.frame, window, (), sums)
        return window, *steps.value_steps(map_, lane)

    def _convolution(
        self, stage: ConvolutionStage, number: int, window: Window, map_: int, lane: int
    ) -> tuple[list[Plane], list[Pair], list[Step]]:
        """A convolution of maps, of each on its own or of several channels."""
        kernel = stage.kernel
        filter_ = Filter.of(kernel, spatial=2, flip=stage.rotates, bias=kernel.own_bias)
        own = 1 if kernel.combine else kernel.maps
        each = filter_.inputs * stage.groups == 1
        index = map_ % own if each else map_
        shown = ShownWeights(filter_)
        constant = exact_number(stage.padding.fill.value)
        planes, reads = [], []
        maps = range(filter_.maps) if kernel.combine else [index]
        for one, channel in product(maps, range(filter_.inputs)):
            place = one // (kernel.maps // stage.groups) * filter_.inputs + channel
            read = (map_ // own, lane) if each else self._channel(number - 1, place)
            patch = self._patch(number - 1, window, *read, constant)
            name = self._channel_name(number - 1, *read)
            planes.append(shown.plane(one, channel, name, (("patch", patch),)))
            reads.append(read)
        steps = shown.summed(planes)
        steps += shown.scaled(steps[-1].value)
        bias = filter_.bias[0 if kernel.combine else index]
        return planes, reads, steps + shown.biased(bias, steps[-1].value)

    def _channel(self, number: int, channel: int) -> Pair:
        """Map and lane of a channel that is summed: maps, or the colors of a single one."""
        return (0, channel) if self.lanes(number) > 1 else (channel, 0)

    def _channel_name(self, number: int, map_: int, lane: int) -> str:
        """The name of a map and lane of a stage's output."""
        maps, names = self.parts[number - 1].plan.outcome.maps, self.names(number)
        if maps == 1:
            return names[lane]
        return f"map {map_}" if len(names) == 1 else f"map {map_} {names[lane]}"

    def _patch(self, number: int, window: Window, map_: int, lane: int, constant: Number) -> Array:
        """What a window reads of the output of a stage, (rows, columns) of exact numbers."""
        rows, columns = (indices.tolist() for indices in window.sources)
        places = [(row, column) for row in rows for column in columns if OUTSIDE not in (row, column)]
        values = self.values(number, places)
        cells = [
            [constant if OUTSIDE in (row, column) else values[row, column][map_, lane] for column in columns]
            for row in rows
        ]
        patch = np.empty((len(rows), len(columns)), object)
        patch[...] = cells
        return patch

    def _next(self, trace: StageTrace, lane: int) -> tuple[Pair, int, int, str]:
        """Place, map and lane of the stage before, and why it is explained there."""
        window, shape = trace.window, trace.shape
        if window is None or shape is None:
            return trace.at, trace.map, lane, SAME
        if isinstance(trace.stage, PoolStage) and trace.stage.function == "maxpool":
            return _largest(window, trace.patch), trace.map, lane, LARGEST
        place, reason = _center(window, shape.input)
        if trace.patch is not None:
            return place, trace.map, lane, reason
        planes = trace.channel.planes
        most = max(range(len(planes)), key=lambda index: magnitude(planes[index].sum))
        if len(set(trace.reads)) > 1:
            reason += ", in the channel that contributes most"
        return place, *trace.reads[most], reason


def _pool_window(stage: PoolStage, shape: Geometry, at: Pair) -> Window:
    """What a pool reads: a maximum and an average with padding ``same`` see no padding."""
    padded = stage.function == "avgpool" and stage.padding.amount != "same"
    spans = []
    for axis, index in zip(shape.axes, at, strict=True):
        low, high = (-axis.before, axis.size + axis.after) if padded else (0, axis.size)
        places = [place for place in range(*axis.window(index), axis.dilation) if low <= place < high]
        spans.append((places[0], places[-1] + 1))
    return Window.over(shape, Fill("constant", 0), at, spans, [axis.dilation for axis in shape.axes])


def _pool_steps(stage: PoolStage, patch: Array) -> list[Step]:
    """The steps from the values of a window to their largest or their average."""
    values = patch.ravel().tolist()
    if stage.function == "maxpool":
        few = ", ".join(map(formula_text, values))
        words = f"of {few}" if len(values) <= _MOST_TERMS else f"of {len(values)} values"
        return [Step("largest", words, max(values))]
    summed = Step("sum", sum_text(values), total(values))
    return [summed, Step("average", f"÷ {len(values)}", summed.value / len(values))]


def _largest(window: Window, patch: Array | None) -> Pair:
    """The place of the largest value that a window reads."""
    assert patch is not None
    row, column = divmod(patch.ravel().tolist().index(max(patch.ravel().tolist())), patch.shape[1])
    rows, columns = window.sources
    return int(rows[row]), int(columns[column])


def _center(window: Window, size: Sequence[int]) -> tuple[Pair, str]:
    """The place that the middle of a window reads, or the one nearest to it if that is constant padding."""
    middle = [(len(indices) - 1) // 2 for indices in window.sources]
    read = [int(indices[index]) for indices, index in zip(window.sources, middle, strict=True)]
    if OUTSIDE not in read:
        return (read[0], read[1]), CENTER
    places = [int(places[index]) for places, index in zip((window.rows, window.columns), middle, strict=True)]
    row, column = (
        min(max((place + axis.spread // 2) // axis.spread, 0), count - 1)
        for place, axis, count in zip(places, window.axes, size, strict=True)
    )
    return (row, column), NEAREST
