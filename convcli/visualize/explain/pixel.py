"""How one pixel of a feature map is computed: the window's patch, the weights, every product and every step.

The steps are exact arithmetic with fractions, independent of the engine. The pixel is the engine's, computed
as ``apply`` computes it, with the mapping's range over the whole feature map. If sums are exact, both agree;
if the engine sums in floating point, its sum is a step of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import isnan, nan
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import ArgumentError
from convcli.core.frozen import frozen, replace
from convcli.core.numerals import as_float, formula_text
from convcli.core.rational import Number
from convcli.core.rounding import Affine
from convcli.engine.combine import UNSCALED
from convcli.engine.consumer import StripTask
from convcli.engine.filter import Filter
from convcli.engine.plan import Plan
from convcli.files import input as files
from convcli.formats import opening
from convcli.formats.readers import Reader
from convcli.geometry.axes import Strip
from convcli.geometry.padding import Pair
from convcli.pipeline.color import light_to_srgb, white
from convcli.pipeline.mapping import Mapping, black_and_white
from convcli.pipeline.maps.centers import CenterGaps
from convcli.pipeline.maps.feature_map import feature_maps
from convcli.pipeline.maps.holes import HoleFinder
from convcli.pipeline.maps.painting import undefined_pixel
from convcli.pipeline.nodata import OWN
from convcli.pipeline.planning.channels import LUMA, color_count, weighted
from convcli.pipeline.planning.task import Task, prepare
from convcli.pipeline.settings import Settings
from convcli.visualize.explain.arithmetic import (
    Step,
    cell_products,
    equal,
    exact_number,
    exact_numbers,
    mapping_step,
    mapping_text,
    pixel_steps,
    total,
)
from convcli.visualize.explain.sums import Channel, Plane, ShownWeights
from convcli.visualize.explain.window import PixelRecorder, Window, engine_sums

_RGB: Final = ("red", "green", "blue")
MOST_WEIGHTS: Final = 2**15  # of a kernel whose maps are all explained
NAMES: Final = {1: ("gray",), 2: ("gray", "alpha"), 3: _RGB, 4: (*_RGB, "alpha")}
"""Names of the channels of an image, by their number."""


@frozen(eq=False)
class Explanation:
    """One pixel of the feature maps that are explained.

    Attributes:
        maps: its channels in each map.
        mappings: of each map, with the range that it used.
        indices: of these maps.
        others: index and channels of maps of which only value and pixel are known.
    """

    source: str
    task: Task
    settings: Settings
    window: Window
    maps: tuple[tuple[Channel, ...], ...]
    mappings: tuple[Mapping, ...]
    indices: tuple[int, ...]
    others: tuple[tuple[int, tuple[Channel, ...]], ...] = ()

    @property
    def exact(self) -> bool:
        """Whether nothing but the pixel itself is rounded."""
        return self.task.plan.outcome.exact and not self.task.color_handling.linear

    @property
    def combines(self) -> bool:
        """Whether the kernel's maps are combined to one."""
        return self.settings.kernel.combine is not None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the image's channels."""
        return channel_names(self.task)


def explain(
    source: files.Source,
    settings: Settings,
    at: Pair,
    frame: int = 0,
    maps: Sequence[int] | None = None,
    *,
    briefly: bool = False,
) -> Explanation:
    """Explain the pixel at (row, column) of the feature map that `job.apply` would write.

    Args:
        source: a file, ``-`` for standard input, or an open input.
        settings: as `job.apply` takes them.
        frame: index of the frame or page.
        maps: indices of the feature maps to explain; None for all.
        briefly: whether only the first map of a large bank is explained, with the values of the others.

    Raises:
        ArgumentError: the place is outside the feature map, the frame does not exist, or the kernel has three
            axes.
        ConvcliError: whatever `job.apply` raises before it writes.
    """
    name = files.source_name(source)
    with files.open_source(source) as file:
        task, own = frame_task(name, file, settings, frame)
        check_place(task, at)
        recorders = [PixelRecorder(task.layout, own, [at]) for _ in range(task.plan.outcome.maps)]
        is_large = briefly and settings.kernel.weights.size > MOST_WEIGHTS and len(recorders) > 1
        if not is_large or task.color_handling.extra_lanes:
            return explain_places(name, task, settings, own, [at], recorders, maps)[0]
        found = explain_places(name, task, settings, own, [at], recorders, [0])[0]
        return replace(found, others=tuple(_values(found, own, recorders)))


def _values(
    explanation: Explanation, frame: int, recorders: Sequence[PixelRecorder]
) -> Iterator[tuple[int, tuple[Channel, ...]]]:
    """Value and pixel of every map but the first, as the engine computes them."""
    task, at = explanation.task, explanation.window.at
    reader = task.color_handling.reader(task.opened.reader())
    sums = engine_sums(task.plan, reader, frame, [at])[at].tolist()
    names = [channel.name for channel in explanation.maps[0]]
    for index, affine in list(enumerate(task.plan.outcome.affines))[1:]:
        values = [Step("value", "", exact_number(affine.value(sum_))) for sum_ in sums[index]]
        pixels = recorders[index].pixel(at)
        channels = zip(names, values, pixels, strict=False)  # alpha that is kept has no sum
        yield index, tuple(Channel(name, (), (value,), 1, pixel, pixel) for name, value, pixel in channels)


def frame_task(source: str, file: files.Input, settings: Settings, frame: int) -> tuple[Task, int]:
    """The task that a frame of an opened file belongs to, and the frame's index in it.

    Raises:
        ArgumentError: the frame does not exist, or the kernel has three axes.
        ConvcliError: whatever `job.apply` raises before it writes.
    """
    if settings.kernel.spatial != 2:
        raise ArgumentError(f"kernel {settings.kernel.name} has three axes; only two can be explained")
    runs = opening.open_input(file, settings.max_pixels)
    return _frame([task for tasks in prepare(source, runs, settings) for task in tasks], frame)


def check_place(task: Task, at: Pair) -> None:
    """Refuse a place outside the feature map.

    Raises:
        ArgumentError: with the allowed range.
    """
    rows, columns = task.geometry.output
    if not (0 <= at[0] < rows and 0 <= at[1] < columns):
        raise ArgumentError(
            f"{at[0]},{at[1]} is outside the {rows} × {columns} feature map; "
            f"allowed: 0,0 to {rows - 1},{columns - 1}"
        )


def _check_data(task: Task, frame: int, places: Sequence[Pair]) -> None:
    """Refuse windows with pixels without data, whose steps are not shown.

    Raises:
        ArgumentError: with the first such place.
    """
    missing, plan = task.color_handling.missing, task.plan
    if missing is None:
        return
    assert isinstance(plan, Plan)
    finder = HoleFinder(plan, task.opened.reader(), task.color_handling)
    for row, column in places:
        strip = Strip((row, row + 1), (column, column + 1))
        if finder.found(StripTask(frame, 0, strip), 1 if missing.channels != OWN else task.plan.lanes):
            raise ArgumentError(
                f"the window of {row},{column} reads pixels without data (nodata {missing}); choose a place "
                "without them, or filter them like others with --nodata none"
            )


def explain_places(
    source: str,
    task: Task,
    settings: Settings,
    frame: int,
    places: Sequence[Pair],
    sinks: Sequence[Any],
    maps: Sequence[int] | None = None,
) -> list[Explanation]:
    """Explain several pixels of one frame with a single run of the engine.

    Args:
        sinks: a `PixelRecorder` or `MapRecorder` for each map.
        maps: indices of the feature maps to explain; None for all.
    """
    _check_data(task, frame, places)
    made = feature_maps(task.plan, task.opened.reader(), task.color_handling, task.mapping, sinks)
    mappings = tuple(map_.mapping for map_ in made)
    shown = tuple(range(len(sinks)) if maps is None else maps)
    sums: dict[Pair, Array] = {}
    if not task.plan.outcome.exact:
        reader = task.color_handling.reader(task.opened.reader())
        sums = engine_sums(task.plan, reader, frame, places)
    explanations = []
    for at in places:
        window = Window.of(task.geometry, task.plan.problem.fill, at)
        pixel = PixelSteps.of(task, settings, frame, window, mappings, sums.get(at))
        channels = tuple(tuple(pixel.channels(i, sinks[i].pixel(at))) for i in shown)
        own = tuple(mappings[i] for i in shown)
        explanations.append(Explanation(source, task, settings, window, channels, own, shown))
    return explanations


def channel_names(task: Task) -> tuple[str, ...]:
    """The names of the image's channels."""
    header = task.opened.header
    if header.channels not in NAMES:
        return tuple(f"channel {number}" for number in range(header.channels))
    names = NAMES[header.channels]
    return (*names[:-1], f"band {len(names)}") if header.bands else names


def window_values(task: Task, settings: Settings, frame: int, window: Window, channel: int = 0) -> Array:
    """The values that a channel's weights are multiplied by, (rows, columns) of exact numbers."""
    return PixelSteps.of(task, settings, frame, window, (), None).parts(channel)[-1][1]


def _frame(tasks: list[Task], frame: int) -> tuple[Task, int]:
    """The task that a frame belongs to, and the frame's index in it."""
    count = sum(task.layout.frames for task in tasks)
    if not 0 <= frame < count:
        raise ArgumentError(f"there is no frame {frame}; allowed: 0 to {count - 1}")
    for task in tasks:
        if frame < task.layout.frames:
            break
        frame -= task.layout.frames
    return task, frame


@frozen(eq=False)
class PixelSteps:
    """Computes the channels of one pixel.

    Attributes:
        stored: reader of the pixel's frame.
        filter: the weights as they are shown: brightness is one input, made of three colors.
        sums: the engine's, (maps, lanes), if it sums in floating point.
    """

    task: Task
    settings: Settings
    window: Window
    stored: Reader
    filter: Filter
    mappings: tuple[Mapping, ...]
    sums: Array | None

    @classmethod
    def of(
        cls,
        task: Task,
        settings: Settings,
        frame: int,
        window: Window,
        mappings: tuple[Mapping, ...],
        sums: Array | None,
    ) -> PixelSteps:
        filter_ = task.plan.problem.filter
        if is_luma(task) or task.color_handling.normalized is not None:
            filter_ = Filter.of(settings.kernel, flip=settings.rotates)
        if task.color_handling.normalized is not None and not is_luma(task):
            colors = color_count(task.opened.header)
            filter_ = weighted(filter_, task.channels, colors, settings.groups)
        stored = task.opened.only(frame, frame + 1).reader()
        return cls(task, settings, window, stored, filter_, mappings, sums)

    @property
    def names(self) -> tuple[str, ...]:
        return channel_names(self.task)

    @property
    def shown(self) -> ShownWeights:
        """The weights as they are shown."""
        return ShownWeights(self.filter)

    def channels(self, index: int, pixel: list[Number]) -> Iterator[Channel]:
        """The channels of one map's pixel."""
        treatment, lanes = self.task.color_handling, self.task.plan.problem.lanes
        colors = lanes - treatment.extra_lanes
        for lane in range(colors):
            yield self._color(self._named(index, lane, colors), index, lane, pixel[lane])
        if treatment.alpha == "filter":
            yield self._alpha(index, colors, pixel[-1])
        elif treatment.alpha == "keep":
            copied = Step("copied", "alpha of the input at the center of the window", pixel[-1])
            yield Channel("alpha", (), (copied,), 1, pixel[-1], pixel[-1])

    def _named(self, index: int, lane: int, colors: int) -> str:
        """The name of a lane's color, or of the only channel of a group; a sum is gray."""
        problem = self.task.plan.problem
        if problem.groups > 1 and self.filter.inputs == 1:
            return self.names[problem.channel(index, 0)]
        return self.names[lane] if colors > 1 or len(self.names) < len(_RGB) else "gray"

    def _color(self, name: str, index: int, lane: int, pixel: Number) -> Channel:
        planes, steps = self.value_steps(index, lane)
        return pixel_channel(self.task, self.mappings[index], name, planes, steps, pixel)

    def value_steps(self, index: int, lane: int) -> tuple[list[Plane], list[Step]]:
        """The planes of a map and lane, and the steps to its value before the mapping."""
        planes, steps = self._summed(index, lane)
        return planes, steps + self._valued(index, steps[-1].value)

    def _alpha(self, index: int, lane: int, pixel: Number) -> Channel:
        planes, steps = self._summed(index, lane)
        if self.task.color_handling.weighted:
            steps += self._renormalized(index, steps[-1].value)
        else:
            steps += self.shown.scaled(steps[-1].value)
        valued = len(steps)
        own, target = white(self.task.color_handling.values), self.task.layout.dtype
        top = own if self.mappings[index].kind == "raw" else black_and_white(target)[1]
        if top != own:
            gain = Fraction(top, own)
            steps.append(Step("mapping", f"× {formula_text(gain)}", steps[-1].value * gain))
        return _ended(self.task, self.mappings[index], "alpha", planes, steps, valued, pixel)

    def _summed(self, index: int, lane: int) -> tuple[list[Plane], list[Step]]:
        """The planes of a lane, and the steps to its sum or to the combination of several."""
        maps = range(self.filter.maps) if self.filter.combine else [index]
        planes = [self._plane(map_, channel, lane) for map_ in maps for channel in range(self.filter.inputs)]
        steps = self.shown.summed(planes)
        if self.sums is not None:
            plan = self.task.plan
            engine = self._engine(index, lane)
            if engine != steps[-1].value:
                steps.append(Step(str(plan.outcome.dtype), "rounded while summing, as in apply", engine))
        return planes, steps

    def _engine(self, index: int, lane: int) -> Number:
        """The engine's sum, over the denominator of the weights that are shown."""
        assert self.sums is not None
        total = exact_number(self.sums[index, lane])
        if self.filter.combine in UNSCALED:
            return total
        return total * Fraction(self.shown.divisor, self.task.plan.problem.filter.denominator)

    def _valued(self, index: int, sum_: Number) -> list[Step]:
        """The steps from a sum to the value before the mapping."""
        if self.task.color_handling.alpha == "filter":
            alpha = self._alpha_sum(index)
            steps = [Step("color", "0, because every alpha is 0", Fraction(0))]
            if alpha > 0:
                steps = [Step("color", f"÷ {formula_text(alpha)} (sum of alpha · kernel)", sum_ / alpha)]
        elif self.task.color_handling.weighted:
            steps = self._renormalized(index, sum_)
        else:
            steps = self.shown.scaled(sum_)
        bias = self.task.plan.problem.filter.bias[index]
        return steps + self.shown.biased(bias, steps[-1].value if steps else sum_)

    def _renormalized(self, index: int, sum_: Number) -> list[Step]:
        """The steps that divide a sum by that of the weights, and give it the size of the kernel's sum."""
        if self._is_gap:
            return [Step("kept", "the pixel at the center is left out, so the value is undefined", nan)]
        divisor = self._weight_sum(index)
        if divisor == 0:
            return [Step("valid", "no pixel of the window counts, so the value is undefined", nan)]
        quotient = sum_ / divisor
        steps = [Step("valid", f"÷ {formula_text(divisor)} (sum of weight · kernel)", quotient)]
        kernel = self.filter.weights[..., index]
        whole = total(exact_numbers(kernel).ravel().tolist()) / self.filter.denominator
        if whole != 1:
            steps.append(Step("kernel", f"× {formula_text(whole)} (sum of the kernel)", quotient * whole))
        return steps

    @property
    def _is_gap(self) -> bool:
        """Whether the pixel stays undefined because that at the center of the window is left out."""
        ignore, (row, column) = self.task.color_handling.ignore, self.window.at
        if ignore is None or not ignore.keep:
            return False
        strip = Strip((row, row + 1), (column, column + 1))
        gaps = CenterGaps(self.task.plan, self.stored, self.task.color_handling)
        return bool(gaps.found(0, strip)[0, 0])

    def _weight_sum(self, index: int) -> Number:
        """The sum of weight times kernel, over the denominator of the weights that are shown."""
        if self.sums is not None:
            return self._engine(index, self.task.plan.problem.lanes - 1)
        weights = exact_numbers(self.filter.weights[0, ..., index]).sum(axis=2)
        products = cell_products(weights, self._weights())
        return total(products.ravel().tolist()) * Fraction(self.shown.divisor, self.filter.denominator)

    def _weights(self) -> Array:
        """The weight of each pixel of the window."""
        handling = self.task.color_handling
        return self._patch(handling.reader(self.stored), handling.colors + handling.extra_lanes - 1)

    def _alpha_sum(self, index: int) -> Number:
        lane = self.task.color_handling.colors
        return self._plane(index, 0, lane).sum if self.sums is None else self._engine(index, lane)

    def _plane(self, map_: int, channel: int, lane: int) -> Plane:
        """One channel and its weights for one map."""
        problem = self.task.plan.problem
        index = lane if problem.channels == 1 else problem.channel(map_, channel)
        handling = self.task.color_handling
        if lane and lane == handling.colors and handling.alpha == "filter":
            index = -1
        name = "brightness" if is_luma(self.task) else self.names[index]
        return self.shown.plane(map_, channel, name, tuple(self.parts(index)))

    def parts(self, index: int) -> list[tuple[str, Array]]:
        """The patch that is multiplied by the weights, after the patches it is computed from."""
        treatment = self.task.color_handling
        stored = self.stored
        if is_luma(self.task):
            return [*self._brightness(), *self._weighted(index)]
        fill = self.settings.padding.fill.value
        if index == -1 and fill and treatment.alpha == "filter":
            fill = white(treatment.stored)
        if treatment.normalized is not None:
            return self._normalized(index)
        parts = [("patch", self.window.patch(stored, index, fill))]
        if treatment.linear and index != -1:
            plain = replace(treatment, alpha="none" if treatment.alpha == "none" else "keep", weighted=False)
            parts.append(("light", self._patch(plain.reader(stored), index, weighted=False)))
        if treatment.alpha == "filter" and (index != -1 or treatment.linear):
            parts += self._premultiplied(index)
        return [*parts, *self._weighted(index)]

    def _premultiplied(self, index: int) -> list[tuple[str, Array]]:
        handling = replace(self.task.color_handling, weighted=False)
        source = handling.reader(self.stored)
        alpha = "alpha", self._patch(source, handling.colors, weighted=False)
        if index == -1:
            return [alpha]
        return [alpha, ("times alpha", self._patch(source, index, weighted=False))]

    def _weighted(self, index: int) -> list[tuple[str, Array]]:
        """The weights and the patch times them; nothing if all pixels count in full."""
        handling = self.task.color_handling
        if not handling.weighted:
            return []
        source = handling.reader(self.stored)
        if is_luma(self.task):
            products: Any = sum(share * self._patch(source, i) for i, share in enumerate(LUMA))
        else:
            products = self._patch(source, handling.colors if index == -1 else index)
        return [("weight", self._weights()), ("times weight", products)]

    def _normalized(self, index: int) -> list[tuple[str, Array]]:
        """The pixels and what they are normalized to; padding has the pixels that would give its value."""
        handling = self.task.color_handling
        assert handling.normalized is not None
        outside = handling.normalized.stored(self.settings.padding.fill.value, index)
        patch = self.window.patch(self.stored, index, outside)
        values = self._patch(handling.reader(self.stored), index) / handling.normalized.denominator
        return [("patch", patch), ("normalized", values)]

    def _brightness(self) -> list[tuple[str, Array]]:
        """The three colors and their brightness."""
        stored, fill = self.stored, self.settings.padding.fill.value
        source = replace(self.task.color_handling, weighted=False).reader(stored)
        lights = [self._patch(source, i, weighted=False) for i in range(len(LUMA))]
        shares: Any = sum(share * light for share, light in zip(LUMA, lights, strict=True))
        if (normalized := self.task.color_handling.normalized) is not None:
            colors = [(name, self._normalized(i)[0][1]) for i, name in enumerate(_RGB)]
            return [*colors, ("brightness", shares / normalized.denominator)]
        colors = [(name, self.window.patch(stored, i, fill)) for i, name in enumerate(_RGB)]
        return [*colors, ("brightness", shares)]

    def _patch(self, source: Any, index: int, weighted: bool = True) -> Array:
        """The patch of one channel as the engine reads it, or before it is multiplied by weights."""
        problem, colors = self.task.plan.problem, self.task.color_handling.colors
        outside = problem.fill.value
        if problem.outside:
            lane = index if problem.channels == 1 else max(index - colors + 1, 0)
            outside = problem.outside[lane] / (1 if weighted else self.task.color_handling.full)
        return self.window.patch(source, index, outside)


def pixel_channel(
    task: Task, mapping: Mapping, name: str, planes: Sequence[Plane], steps: list[Step], pixel: Number
) -> Channel:
    """A channel with steps to its value, and from there to the pixel.

    Args:
        pixel: as the engine computed it.
    """
    target, valued = task.layout.dtype, len(steps)
    if task.color_handling.curved(mapping, task.plan):
        curve = light_to_srgb(np.asarray(as_float(steps[-1].value))).item()
        steps = [*steps, Step("sRGB", "encoded with the sRGB curve", exact_number(curve))]
    own = task.color_handling.white
    affine = mapping.affine(Affine(), target, own)
    if affine != Affine():
        steps = [*steps, mapping_step(steps[-1].value, affine, mapping_text(mapping, target, own))]
    return _ended(task, mapping, name, planes, steps, valued, pixel)


def _ended(
    task: Task,
    mapping: Mapping,
    name: str,
    planes: Sequence[Plane],
    steps: list[Step],
    valued: int,
    pixel: Number,
) -> Channel:
    computed, last = pixel_steps(steps[-1].value, task.layout.dtype)
    steps = steps + last
    value = undefined_pixel(task.color_handling, mapping, task.layout.dtype)
    if name != "alpha" and isnan(steps[valued - 1].value) and value:
        computed = Fraction(value)
        steps.append(Step("ignored", "undefined pixels get the value of --ignore", computed))
    if not equal(computed, pixel):
        steps.append(Step("as written", "apply rounds in floating point", pixel))
    return Channel(name, tuple(planes), tuple(steps), valued, computed, pixel)


def is_luma(task: Task) -> bool:
    """Whether the kernel filters the brightness of color images, not each color."""
    return task.channels == "gray" and task.plan.problem.channels == len(LUMA)
