"""The feature maps of a picture: computed, seen and mapped to pixels, strip by strip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan

import numpy as np

from convcli import engine
from convcli.border import OUTSIDE, sources
from convcli.canvas import Canvas
from convcli.dtypes import Array, DType, Finish, span
from convcli.errors import ImageError
from convcli.geometry import Axis, Strip
from convcli.images.base import Reader
from convcli.picture import Mapping
from convcli.plan import Plan
from convcli.rational import Number


@dataclass(slots=True)
class Seen:
    """What was seen of one map's sums: their range, and how many values were cut off below and above."""

    low: float = inf
    high: float = -inf
    below: int = 0
    above: int = 0

    def note(self, sums: Array) -> None:
        """Widen the range by these sums; what is not finite does not count."""
        low, high = sums.min().item(), sums.max().item()
        if not (isfinite(low) and isfinite(high)):
            finite = sums[np.isfinite(sums)]
            low, high = (finite.min().item(), finite.max().item()) if finite.size else (inf, -inf)
        self.low, self.high = min(self.low, low), max(self.high, high)

    def merge(self, other: Seen) -> None:
        """Add what another worker saw."""
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.below += other.below
        self.above += other.above


@dataclass(frozen=True, eq=False, slots=True)
class FeatureMap:
    """What became of one map.

    Attributes:
        low, high: the range of its values before the mapping.
        below, above: values that the mapping cut off.
        mapping: with the range that it used.
    """

    low: Number
    high: Number
    below: int
    above: int
    mapping: Mapping


def feature_maps(
    plan: Plan, reader: Reader, alpha: bool, mapping: Mapping, canvases: Sequence[Canvas]
) -> list[FeatureMap]:
    """Convolve a picture and map every map to the pixels of a canvas.

    ``alpha`` says that the last channel is one: it is not filtered but sampled at the windows' centres. A
    mapping that needs the feature map's own range makes a first pass to find it, because computing twice is
    quicker than keeping a map of full size.
    """
    source = _Colours(reader, plan)
    seen = [Seen() for _ in canvases]
    if mapping.needs_range:
        _run(plan, source, seen, _Looker)
    mappings = [_ranged(plan, index, mapping, map_) for index, map_ in enumerate(seen)]
    dtype, outcome = canvases[0].layout.dtype, plan.outcome
    finishes = [
        Finish(outcome.dtype, *bounds, used.affine(value, dtype), dtype, outcome.exact)
        for bounds, value, used in zip(outcome.bounds, outcome.affines, mappings, strict=True)
    ]
    centres = _Centres(plan, reader) if alpha else None
    unseen = not mapping.needs_range
    _run(plan, source, seen, lambda own: _Painter(own, unseen, finishes, canvases, centres))
    return [
        FeatureMap(*_range(plan, index, map_), map_.below, map_.above, used)
        for index, (map_, used) in enumerate(zip(seen, mappings, strict=True))
    ]


@dataclass(frozen=True, eq=False, slots=True)
class _Colours:
    """The colours of a picture as the engine reads them: summed, or each a lane."""

    reader: Reader
    plan: Plan

    @property
    def dtype(self) -> DType:
        return self.plan.problem.dtype

    def rows(self, batch: int, first: int, last: int) -> Array:
        problem = self.plan.problem
        colours = self.reader.rows(first, last)[..., : problem.channels * problem.lanes]
        shaped: Array = colours.reshape(1, *colours.shape[:2], problem.channels, problem.lanes)
        return shaped


def _ranged(plan: Plan, index: int, mapping: Mapping, seen: Seen) -> Mapping:
    """The mapping with the range that it needs."""
    if not mapping.needs_range:
        return mapping
    if seen.low > seen.high:
        raise ImageError("no value of the feature map is finite, so there is no range to map; use --map raw")
    return mapping.over(*_range(plan, index, seen))


def _range(plan: Plan, index: int, seen: Seen) -> tuple[Number, Number]:
    """The values of the lowest and highest sum, NaN where none is finite.

    Exact sums are integers, whatever type held them.
    """
    if seen.low > seen.high:
        return nan, nan
    affine, ends = plan.outcome.affines[index], (seen.low, seen.high)
    low, high = map(int, ends) if plan.outcome.exact else ends
    return affine.value(low), affine.value(high)


@dataclass(frozen=True, eq=False, slots=True)
class _Looker:
    """Notes the range of the sums."""

    seen: list[Seen]

    def room(self, task: engine.Task) -> None:
        return None

    def take(self, task: engine.Task, sums: Array) -> None:
        for map_, values in zip(self.seen, sums, strict=True):
            map_.note(values)


@dataclass(frozen=True, eq=False, slots=True)
class _Painter:
    """Maps sums to pixels, and notes what it sees of them."""

    seen: list[Seen]
    unseen: bool
    finishes: list[Finish]
    canvases: Sequence[Canvas]
    centres: _Centres | None

    def room(self, task: engine.Task) -> None:
        return None

    def take(self, task: engine.Task, sums: Array) -> None:
        for map_, values, finish, canvas in zip(self.seen, sums, self.finishes, self.canvases, strict=True):
            if self.unseen:
                map_.note(values)
            pixels = canvas.place(task.strip)
            below, above = finish(values, pixels[..., : values.shape[2]], count=True)
            map_.below += below
            map_.above += above
            if self.centres is not None:
                pixels[..., -1] = self.centres.alpha(task.strip)
            canvas.done(task.strip)


def _run(
    plan: Plan, source: _Colours, seen: list[Seen], consumer: Callable[[list[Seen]], engine.Consumer]
) -> None:
    """One pass of the engine, in which every worker has notes of its own."""
    workers: list[list[Seen]] = []

    def make() -> engine.Consumer:
        workers.append([Seen() for _ in seen])
        return consumer(workers[-1])

    engine.run(plan, source, make)
    for own in workers:
        for map_, more in zip(seen, own, strict=True):
            map_.merge(more)


class _Centres:
    """Alpha as it is at the centre of each window."""

    def __init__(self, plan: Plan, reader: Reader) -> None:
        self.reader = reader
        self.rows, self.columns = (
            _centre_sources(plan, axis) for axis in (plan.problem.rows, plan.problem.columns)
        )
        self.constant = _saturated(plan.problem.fill.value, plan.problem.dtype)

    def alpha(self, strip: Strip) -> Array:
        """(rows, columns) of a strip."""
        rows, columns = self.rows[slice(*strip.rows)], self.columns[slice(*strip.columns)]
        inside = rows[rows != OUTSIDE]
        first, last = (int(inside.min()), int(inside.max()) + 1) if inside.size else (0, 1)
        read = self.reader.rows(first, last)[..., -1]
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


def _centre_sources(plan: Plan, axis: Axis) -> Array:
    middle = (axis.extent - 1) // 2 - axis.before
    return sources(plan.problem.fill, axis.size, middle, middle + axis.output * axis.stride, axis.stride)
