"""The feature maps of a decoded picture: computed, seen and mapped to pixels, strip by strip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan

import numpy as np

from convcli import engine
from convcli.border import OUTSIDE, sources
from convcli.dtypes import Array, DType, Finish, span
from convcli.errors import ImageError
from convcli.geometry import Axis
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
    """One map as a picture.

    Attributes:
        pixels: (rows, columns, channels) of the type that was asked for.
        low, high: the range of its values before the mapping.
        below, above: values that the mapping cut off.
        mapping: with the range that it used.
    """

    pixels: Array
    low: Number
    high: Number
    below: int
    above: int
    mapping: Mapping


def feature_maps(plan: Plan, pixels: Array, mapping: Mapping, target: DType, alpha: bool) -> list[FeatureMap]:
    """Convolve ``pixels``, (rows, columns, channels), and map every map to ``target``.

    ``alpha`` says that the last channel is one: it is not filtered but sampled at the windows' centres. A
    mapping that needs the feature map's own range makes a first pass to find it, because computing twice is
    quicker than keeping a map of full size.
    """
    colours = pixels[..., : pixels.shape[2] - alpha]
    summed = plan.problem.channels > 1
    source = colours[None, None, :, :, :, None] if summed else colours[None, None, :, :, None, :]
    seen = [Seen() for _ in range(plan.outcome.maps)]
    if mapping.needs_range:
        _look(plan, source, seen)
    mappings = [_ranged(plan, index, mapping, map_) for index, map_ in enumerate(seen)]
    pictures = _draw(plan, source, seen, mappings, target, alpha)
    if alpha:
        sampled = _centres(plan, pixels[..., -1])
        for picture in pictures:
            picture[..., -1] = sampled
    return [
        FeatureMap(picture, *_range(plan, index, map_), map_.below, map_.above, used)
        for index, (picture, map_, used) in enumerate(zip(pictures, seen, mappings, strict=True))
    ]


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


def _look(plan: Plan, source: Array, seen: list[Seen]) -> None:
    """A pass that only notes the range."""
    _run(plan, source, seen, _Looker)


def _draw(
    plan: Plan,
    source: Array,
    seen: list[Seen],
    mappings: Sequence[Mapping],
    target: DType,
    alpha: bool,
) -> list[Array]:
    """A pass that maps the sums to pixels, and notes the range if none did before."""
    outcome, lanes = plan.outcome, plan.problem.lanes
    shape = plan.problem.rows.output, plan.problem.columns.output, lanes + alpha
    pictures = [np.empty(shape, target) for _ in mappings]
    finishes = [
        Finish(outcome.dtype, *bounds, mapping.affine(value, target), target, outcome.exact)
        for bounds, value, mapping in zip(outcome.bounds, outcome.affines, mappings, strict=True)
    ]
    unseen = seen[0].low > seen[0].high

    coloured = [picture[..., :lanes] for picture in pictures]
    _run(plan, source, seen, lambda own: _Painter(own, unseen, finishes, coloured))
    return pictures


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
    """Maps sums to pixels, (rows, columns, lanes) for each map, and notes what it sees of them."""

    seen: list[Seen]
    ranged: bool
    finishes: list[Finish]
    pictures: list[Array]

    def room(self, task: engine.Task) -> None:
        return None

    def take(self, task: engine.Task, sums: Array) -> None:
        (top, bottom), (left, right) = task.strip.rows, task.strip.columns
        for map_, values, finish, picture in zip(self.seen, sums, self.finishes, self.pictures, strict=True):
            if self.ranged:
                map_.note(values)
            below, above = finish(values, picture[top:bottom, left:right], count=True)
            map_.below += below
            map_.above += above


def _run(
    plan: Plan, source: Array, seen: list[Seen], consumer: Callable[[list[Seen]], engine.Consumer]
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


def _centres(plan: Plan, alpha: Array) -> Array:
    """Alpha as it is at the centre of each window."""
    constant = _saturated(plan.problem.fill.value, alpha.dtype)
    rows, columns = (_centre_sources(plan, axis) for axis in (plan.problem.rows, plan.problem.columns))
    picked: Array = alpha[np.ix_(rows, columns)]
    picked[rows == OUTSIDE] = constant
    picked[:, columns == OUTSIDE] = constant
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
