"""The feature maps of a picture: computed, seen and mapped to pixels, strip by strip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from math import inf, isfinite, nan
from typing import Any, Protocol, TypeVar

import numpy as np

from convcli.core.dtypes import Affine, Array, DType, Finish, span
from convcli.core.errors import ImageError
from convcli.core.frozen import frozen, replace
from convcli.core.rational import Number
from convcli.engine import engine
from convcli.engine.plan import Outcome, Plan, Problem
from convcli.engine.source import Source, Whole
from convcli.formats.base import Decoded, Held, Reader
from convcli.geometry.axes import Axis, Strip
from convcli.geometry.border import OUTSIDE, sources
from convcli.pipeline.canvas import Surface
from convcli.pipeline.color import (
    Linear,
    Premultiplied,
    alpha_affine,
    encoded,
    outcome_of_seen,
    products,
    seen,
    visible,
    white,
)
from convcli.pipeline.mapping import WHOLE, Mapping, ends
from convcli.pipeline.percentiles import Counter, Search

View = Callable[[Array], Array]
"""From (rows, columns, lanes) sums to the colors that are seen in them."""


class Tally(Protocol):
    """What one worker counts of one map's values."""

    def note(self, values: Array, /) -> None: ...

    def merge(self, other: Any, /) -> None: ...


T = TypeVar("T", bound=Tally)


@dataclass(slots=True)
class RangeCounter:
    """What was seen of one map's sums: the range of the finite ones, and how many are not or were cut off."""

    low: float = inf
    high: float = -inf
    below: int = 0
    above: int = 0
    nan: int = 0
    infinite: int = 0

    def note(self, sums: Array) -> None:
        """Widen the range by the sums that are finite, and count the others."""
        if not sums.size:
            return
        low, high = sums.min().item(), sums.max().item()
        if not (isfinite(low) and isfinite(high)):
            finite, nan = sums[np.isfinite(sums)], int(np.count_nonzero(np.isnan(sums)))
            self.nan += nan
            self.infinite += sums.size - finite.size - nan
            low, high = (finite.min().item(), finite.max().item()) if finite.size else (inf, -inf)
        self.low, self.high = min(self.low, low), max(self.high, high)

    def merge(self, other: RangeCounter) -> None:
        """Add what another worker saw."""
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.below += other.below
        self.above += other.above
        self.nan += other.nan
        self.infinite += other.infinite


@frozen(eq=False)
class FeatureMap:
    """What became of one map.

    Attributes:
        low, high: the range of its finite values before the mapping.
        below, above: values that were cut off, by the mapping or because the result's type ends before them.
        mapping: with the range that it used.
        nan, infinite: values before the mapping that are not finite.
    """

    low: Number
    high: Number
    below: int
    above: int
    mapping: Mapping
    nan: int = 0
    infinite: int = 0


@frozen
class ColorHandling:
    """What is done to colors around the convolution.

    Attributes:
        alpha: ``filter`` (with the colors, premultiplied), ``keep`` (as sampled at the windows' centers),
            ``drop``, or ``none`` where the picture has none.
        linear: whether light is filtered, not the values of the sRGB curve.
        stored: type of the picture's values.
        fill: what lies outside, as it was asked for.
    """

    alpha: str
    linear: bool
    stored: DType
    fill: float = 0

    def curved(self, mapping: Mapping, plan: Plan) -> bool:
        """Whether the sRGB curve is put back: behind averages, and whatever else becomes plain pixels."""
        averages = mapping.kind == "raw" and plan.problem.filter.is_average
        return self.linear and (mapping.kind == "clip" or averages)

    @property
    def values(self) -> DType:
        """Type of the values that are filtered, before colors are multiplied by alpha."""
        return np.dtype(np.float32) if self.linear else self.stored

    @property
    def dtype(self) -> DType:
        """Type of the values that the engine reads."""
        return products(self.values) or self.values if self.alpha == "filter" else self.values

    def reader(self, reader: Reader) -> Reader:
        """What the engine reads of a picture."""
        if self.linear:
            reader = Linear(reader, self.alpha != "none")
        return Premultiplied(reader, self.dtype) if self.alpha == "filter" else reader


def feature_maps(
    plan: Plan,
    reader: Reader,
    treatment: ColorHandling,
    mapping: Mapping,
    canvases: Sequence[Surface],
    table: Array | None = None,
) -> list[FeatureMap]:
    """Convolve a picture and map every map to the pixels of a canvas; maps may share one, as its channels.

    A mapping that needs the feature map's own range makes a first pass to find it, because computing twice is
    quicker than keeping a map of full size. A ``table`` of (256, 3) colors colors maps of one channel.
    """
    source: Source = Colors(treatment.reader(reader), plan)
    holder = reader if isinstance(reader, Held) else None
    if plan.problem.depth.size > 1:
        source, reader = _volume(source, plan.problem, reader, treatment.alpha == "keep")
        holder = None
    outcome = outcome_of_seen(plan) if treatment.alpha == "filter" else plan.outcome

    def fresh_seen() -> list[RangeCounter]:
        return [RangeCounter() for _ in canvases]

    seen_sums = fresh_seen()
    view = seen if treatment.alpha == "filter" else None
    opaque = partial(visible, half=plan.problem.filter.denominator / 2 if treatment.values.kind != "f" else 0)

    def look(tallies: list[T], fresh: Callable[[], list[T]]) -> None:
        """One pass that only counts."""
        _run(plan, source, tallies, fresh, lambda own: RangeFinder(own, view, opaque), holder)

    searches = [Search(outcome.dtype, mapping.searched) for _ in canvases]
    if mapping.needs_range:
        look(seen_sums, fresh_seen)
        _search(searches, look)
    mappings = [
        _ranged(plan, outcome, index, mapping, map_, search, treatment)
        for index, (map_, search) in enumerate(zip(seen_sums, searches, strict=True))
    ]
    palettes = _palettes(plan, outcome, treatment, mappings, canvases, reader)
    palettes = [replace(palette, table=table) for palette in palettes]
    noting = not mapping.needs_range
    _run(
        plan, source, seen_sums, fresh_seen, lambda own: _Painter(own, view, opaque, noting, palettes), holder
    )
    return [
        FeatureMap(*_range(outcome, index, map_), map_.below, map_.above, used, map_.nan, map_.infinite)
        for index, (map_, used) in enumerate(zip(seen_sums, mappings, strict=True))
    ]


@frozen(eq=False)
class Colors:
    """The channels of pictures as the engine reads them, summed, or each a lane; each frame a batch entry."""

    reader: Reader
    plan: Plan

    @property
    def dtype(self) -> DType:
        return self.plan.problem.dtype

    def rows(self, batch: int, first: int, last: int) -> Array:
        problem = self.plan.problem
        colors = self.reader.rows(batch, first, last)[..., : problem.channels * problem.lanes]
        shaped: Array = colors.reshape(1, *colors.shape[:2], problem.channels, problem.lanes)
        return shaped


def _volume(source: Source, problem: Problem, reader: Reader, alpha: bool) -> tuple[Whole, Reader]:
    """All frames as one array, and their alpha where it is wanted, each frame read once.

    Every depth of a volume's result reads several of them.
    """
    frames, rows, columns = (axis.size for axis in problem.axes)
    shape = frames, rows, columns, problem.channels, problem.lanes
    values, planes = np.empty(shape, problem.dtype), []
    for frame in range(frames):
        values[frame] = source.rows(frame, 0, rows)[0]
        if alpha:
            planes.append(reader.rows(frame, 0, rows)[..., -1:].copy())
    return Whole(values[None]), Decoded(planes)


def _search(
    searches: list[Search], look: Callable[[list[Counter], Callable[[], list[Counter]]], None]
) -> None:
    """Find the percentiles of every map, in as many passes as their type takes."""
    while searches and not searches[0].is_done:
        counters = [search.counter() for search in searches]
        look(counters, lambda: [search.counter() for search in searches])
        for search, counter in zip(searches, counters, strict=True):
            search.advance(counter)


def _ranged(
    plan: Plan,
    outcome: Outcome,
    index: int,
    mapping: Mapping,
    seen: RangeCounter,
    search: Search,
    treatment: ColorHandling,
) -> Mapping:
    """The mapping with the range that it needs; a range of nothing but rounding is none.

    Percentiles that are equal, as where nearly all values are 0, give way to the whole range.
    """
    if not mapping.needs_range:
        return mapping
    if seen.low > seen.high:
        raise ImageError("no value of the feature map is finite, so there is no range to map; use --map raw")
    noise = _noise(plan, index, treatment)
    low, high = _percentiles(outcome, index, mapping, seen, search)
    if mapping.searched and _is_flat(mapping, low, high, noise):
        mapping = replace(mapping, percents=WHOLE)
        low, high = _range(outcome, index, seen)
    if _is_flat(mapping, low, high, noise):
        low, high = (Fraction(0),) * 2 if mapping.kind == "signed" else (low, low)
    return mapping.over(low, high)


def _is_flat(mapping: Mapping, low: Number, high: Number, noise: float) -> bool:
    """Whether a range is no more than rounding."""
    return -noise <= low and high <= noise if mapping.kind == "signed" else high - low <= noise


def _percentiles(
    outcome: Outcome, index: int, mapping: Mapping, seen: RangeCounter, search: Search
) -> tuple[Number, Number]:
    """The values at the mapping's percentiles; those of the whole range for ends that are given."""
    low, high = _range(outcome, index, seen)
    if not mapping.searched:
        return low, high
    meaning = outcome.affines[index]
    found = {
        percent: meaning.value(int(value) if outcome.exact else value)
        for percent, value in zip(mapping.searched, search.values(), strict=True)
    }
    first, last = mapping.percents
    return (found.get(first, low) if first else low), (found.get(last, high) if last else high)


def _noise(plan: Plan, index: int, treatment: ColorHandling) -> float:
    """How far float sums over a picture of known range may be from exact ones; 0 for exact sums."""
    if plan.outcome.exact or (treatment.values.kind == "f" and not treatment.linear):
        return 0.0
    filter_, dtype = plan.problem.filter, plan.arithmetic.dtype
    weights = np.abs(filter_.weights[..., min(index, filter_.maps - 1)].astype(np.float64))
    epsilon = float(np.finfo(dtype).eps) if dtype.kind == "f" else 0.0
    return weights.size * epsilon * float(weights.sum()) / filter_.denominator * white(treatment.values)


def _range(outcome: Outcome, index: int, seen: RangeCounter) -> tuple[Number, Number]:
    """The values of the lowest and highest sum, NaN where none is finite.

    Exact sums are integers, whatever type held them.
    """
    if seen.low > seen.high:
        return nan, nan
    affine, found = outcome.affines[index], (seen.low, seen.high)
    low, high = map(int, found) if outcome.exact else found
    return affine.value(low), affine.value(high)


@frozen(eq=False)
class _Palette:
    """How the sums of one map become pixels of its canvas.

    Attributes:
        light: from sums to light, where the sRGB curve is put back.
        alpha: for alpha that was filtered, the last lane of the sums, or sampled by ``centers``.
        first: the channel of the canvas where the map begins.
        last: whether no other map comes behind it on its canvas.
        table: colors for the pixels of a map of one channel.
    """

    canvas: Surface
    finish: Finish
    light: Affine | None
    alpha: Finish | None
    centers: _Centers | None
    first: int = 0
    last: bool = True
    table: Array | None = None

    def paint(self, frame: int, strip: Strip, sums: Array, colors: Array) -> tuple[int, int]:
        """Fill a strip; how many values lay below and above what a pixel holds."""
        pixels = self.canvas.place(frame, strip)
        if self.light is not None:
            colors = encoded(colors * self.light.gain + self.light.offset)
        cut = self._finished(colors, pixels)
        if self.alpha is not None:
            alpha = sums[..., -1] if self.centers is None else self.centers.alpha(frame, strip)
            self.alpha(np.ascontiguousarray(alpha), pixels[..., -1])
        if self.last:
            self.canvas.done(frame, strip)
        return cut

    def _finished(self, colors: Array, pixels: Array) -> tuple[int, int]:
        """Turn sums into pixels of the canvas, in its colors where there is a table."""
        if self.table is None:
            return self.finish(colors, pixels[..., self.first : self.first + colors.shape[2]], count=True)
        shades = np.empty(colors.shape, self.table.dtype)
        cut = self.finish(colors, shades, count=True)
        pixels[..., :3] = self.table[shades[..., 0]]
        return cut


def _palettes(
    plan: Plan,
    outcome: Outcome,
    treatment: ColorHandling,
    mappings: Sequence[Mapping],
    canvases: Sequence[Surface],
    reader: Reader,
) -> list[_Palette]:
    target, own = canvases[0].layout.dtype, white(treatment.values)
    centers = _Centers(plan, reader, treatment) if treatment.alpha == "keep" else None
    shared = len(canvases) > 1 and canvases[0] is canvases[-1]
    palettes = []
    for index, (mapping, canvas) in enumerate(zip(mappings, canvases, strict=True)):
        value, bounds = outcome.affines[index], outcome.bounds[index]
        curved = treatment.curved(mapping, plan)
        if curved:
            dtype, exact = np.dtype(np.float64), False
            finish = Finish(dtype, -inf, inf, mapping.affine(Affine(1.0, 0.0), target, own), target, exact)
        else:
            finish = Finish(outcome.dtype, *bounds, mapping.affine(value, target, own), target, outcome.exact)
        alpha = _alpha(plan, index, treatment, target, mapping.kind == "raw")
        light = value.as_floats() if curved else None
        first = index * plan.problem.lanes if shared else 0
        last = not shared or index == len(canvases) - 1
        palettes.append(_Palette(canvas, finish, light, alpha, centers, first, last))
    return palettes


def _alpha(plan: Plan, index: int, treatment: ColorHandling, target: DType, raw: bool) -> Finish | None:
    """From alpha, filtered or sampled, to alpha in the target's units; those of ``raw`` are its own."""
    if treatment.alpha not in ("filter", "keep"):
        return None
    filtered = treatment.alpha == "filter"
    dtype = treatment.values if filtered else treatment.stored
    top = white(treatment.values) if raw else ends(target)[1]
    gain = Fraction(top, white(dtype))
    if filtered:
        sums = plan.outcome
        return Finish(sums.dtype, *sums.bounds[index], alpha_affine(plan, gain), target, sums.exact)
    low, high = span(dtype) if dtype.kind in "iu" else (-inf, inf)
    return Finish(dtype, low, high, Affine.of(gain, Fraction(0)), target, dtype.kind in "iu")


@frozen(eq=False)
class RangeFinder:
    """Counts the sums, or the colors that are ``seen`` in them."""

    seen: Sequence[Tally]
    view: View | None
    opaque: View

    def room(self, task: engine.StripTask) -> None:
        return None

    def take(self, task: engine.StripTask, sums: Array) -> None:
        for map_, values in zip(self.seen, sums, strict=True):
            map_.note(values if self.view is None else self.view(values)[self.opaque(values)])


@frozen(eq=False)
class _Painter:
    """Maps sums to pixels, and notes what it sees of them."""

    seen: list[RangeCounter]
    view: View | None
    opaque: View
    noting: bool
    palettes: list[_Palette]

    def room(self, task: engine.StripTask) -> None:
        return None

    def take(self, task: engine.StripTask, sums: Array) -> None:
        for map_, values, palette in zip(self.seen, sums, self.palettes, strict=True):
            colors = values if self.view is None else self.view(values)
            if self.noting:
                map_.note(colors if self.view is None else colors[self.opaque(values)])
            below, above = palette.paint(task.batch + task.depth, task.strip, values, colors)
            map_.below += below
            map_.above += above


def _run(
    plan: Plan,
    source: Source,
    tallies: list[T],
    fresh: Callable[[], list[T]],
    consumer: Callable[[list[T]], engine.Consumer],
    holder: engine.Holder | None,
) -> None:
    """One pass of the engine, in which every worker counts for itself."""
    workers: list[list[T]] = []

    def make() -> engine.Consumer:
        workers.append(fresh())
        return consumer(workers[-1])

    engine.run(plan, source, make, holder)
    for own in workers:
        for tally, more in zip(tallies, own, strict=True):
            tally.merge(more)


class _Centers:
    """Alpha as it is at the center of each window."""

    def __init__(self, plan: Plan, reader: Reader, treatment: ColorHandling) -> None:
        self.reader = reader
        self.frames = _center_sources(plan, plan.problem.depth) if plan.problem.depth.size > 1 else None
        self.rows, self.columns = (
            _center_sources(plan, axis) for axis in (plan.problem.rows, plan.problem.columns)
        )
        self.stored = treatment.stored
        self.constant = _saturated(treatment.fill, treatment.stored)

    def alpha(self, frame: int, strip: Strip) -> Array:
        """(rows, columns) of a strip of one frame of the result."""
        if self.frames is not None:
            frame = int(self.frames[frame])
        if frame == OUTSIDE:
            return np.full(strip.shape, self.constant, self.stored)
        rows, columns = self.rows[slice(*strip.rows)], self.columns[slice(*strip.columns)]
        inside = rows[rows != OUTSIDE]
        first, last = (int(inside.min()), int(inside.max()) + 1) if inside.size else (0, 1)
        read = self.reader.rows(frame, first, last)[..., -1]
        picked: Array = read[np.ix_(np.clip(rows - first, 0, last - first - 1), columns)]
        picked[rows == OUTSIDE] = self.constant
        picked[:, columns == OUTSIDE] = self.constant
        return picked


def _saturated(value: float, dtype: DType) -> float:
    """A fill as a value of an integer type; as it is for floats."""
    if dtype.kind == "f":
        return value
    low, high = span(dtype)
    return min(max(round(value), low), high)


def _center_sources(plan: Plan, axis: Axis) -> Array:
    middle = (axis.extent - 1) // 2 - axis.before
    return sources(plan.problem.fill, axis.size, middle, middle + axis.output * axis.stride, axis.stride)
