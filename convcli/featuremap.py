"""The feature maps of a decoded picture: computed, seen and mapped to pixels, strip by strip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from convcli import engine
from convcli.border import OUTSIDE, sources
from convcli.dtypes import Affine, Array, DType, Finish
from convcli.geometry import Axis
from convcli.picture import Mapping
from convcli.plan import Plan
from convcli.rational import Number


@dataclass(slots=True)
class Seen:
    """What was seen of one map's sums: their range, and how many values were cut off below and above."""

    low: float = field(default=float("inf"))
    high: float = field(default=float("-inf"))
    below: int = 0
    above: int = 0

    def note(self, sums: Array) -> None:
        """Widen the range by these sums."""
        self.low = min(self.low, sums.min().item())
        self.high = max(self.high, sums.max().item())

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
    ranges = [_range(affine, map_) for affine, map_ in zip(plan.outcome.affines, seen, strict=True)]
    mappings = [mapping.over(*ends) if mapping.needs_range else mapping for ends in ranges]
    pictures = _draw(plan, source, seen, mappings, target, alpha)
    if alpha:
        sampled = _centres(plan, pixels[..., -1])
        for picture in pictures:
            picture[..., -1] = sampled
    return [
        FeatureMap(picture, *_range(affine, map_), map_.below, map_.above, used)
        for picture, affine, map_, used in zip(pictures, plan.outcome.affines, seen, mappings, strict=True)
    ]


def _range(affine: Affine, seen: Seen) -> tuple[Number, Number]:
    return affine.value(seen.low), affine.value(seen.high)


def _look(plan: Plan, source: Array, seen: list[Seen]) -> None:
    """A pass that only notes the range."""

    def consumer(own: list[Seen]) -> engine.Consume:
        def consume(task: engine.Task, sums: Array) -> None:
            for map_, values in zip(own, sums, strict=True):
                map_.note(values)

        return consume

    _run(plan, source, seen, consumer)


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
        Finish(outcome.dtype, *bounds, mapping.affine(value, target), target)
        for bounds, value, mapping in zip(outcome.bounds, outcome.affines, mappings, strict=True)
    ]
    unseen = seen[0].low > seen[0].high

    def consumer(own: list[Seen]) -> engine.Consume:
        def consume(task: engine.Task, sums: Array) -> None:
            (top, bottom), (left, right) = task.strip.rows, task.strip.columns
            for map_, values, finish, picture in zip(own, sums, finishes, pictures, strict=True):
                if unseen:
                    map_.note(values)
                below, above = finish(values, picture[top:bottom, left:right, :lanes], count=True)
                map_.below += below
                map_.above += above

        return consume

    _run(plan, source, seen, consumer)
    return pictures


def _run(
    plan: Plan, source: Array, seen: list[Seen], consumer: Callable[[list[Seen]], engine.Consume]
) -> None:
    """One pass of the engine, in which every worker has notes of its own."""
    workers: list[list[Seen]] = []

    def make() -> engine.Consume:
        workers.append([Seen() for _ in seen])
        return consumer(workers[-1])

    engine.run(plan, source, make)
    for own in workers:
        for map_, more in zip(seen, own, strict=True):
            map_.merge(more)


def _centres(plan: Plan, alpha: Array) -> Array:
    """Alpha as it is at the centre of each window."""
    constant = np.asarray(plan.problem.fill.value).astype(alpha.dtype)
    rows, columns = (_centre_sources(plan, axis) for axis in (plan.problem.rows, plan.problem.columns))
    picked: Array = alpha[np.ix_(rows, columns)]
    picked[rows == OUTSIDE] = constant
    picked[:, columns == OUTSIDE] = constant
    return picked


def _centre_sources(plan: Plan, axis: Axis) -> Array:
    middle = (axis.extent - 1) // 2 - axis.before
    return sources(plan.problem.fill, axis.size, middle, middle + axis.output * axis.stride, axis.stride)
