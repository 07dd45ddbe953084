"""Shift and add: the sum over the non-zero taps of the shifted input times the tap's weight.

Taps of equal weight often lie in pairs that are each other's translation: the four arms of a cross are
(up, right) and (left, down). Such a pair's sum is computed once and read at each of its places, and the
sums of pairs may pair again, so that a disk of n equal taps costs little more than log₂ n additions.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache, partial
from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen
from convcli.engine.filter import Filter
from convcli.engine.methods import rates
from convcli.engine.methods.base import Arena, Binder, Method, Step, WeightedSum, Workload, summing
from convcli.engine.plan import Arithmetic, Problem

CANDIDATES: Final = {64: 12, 1024: 2}
"""Number of translations that are tried to find pairs, by the largest number of taps of a map: those from the
first tap to its nearest. More taps are not paired."""

MOST_PAIRED: Final = 2**13
"""Taps of all maps together, above which none are paired: finding pairs would take too long."""

Place = tuple[int, int]
"""Row and column of a tap."""


@frozen
class Term:
    """A tap of a plane (depth, channel), or of the shared sums of an index."""

    place: Place
    depth: int = 0
    channel: int = 0
    shared: int | None = None


@frozen
class Shared:
    """Sums of pairs: ``source[p] ± source[p + apart]``, for the places within ``box``."""

    source: int | None  # the shared sums that are paired, or None for the plane itself
    apart: Place
    minus: bool
    box: tuple[Place, Place]  # first and last place at which the pairs are read


class Sum:
    """The sum of one map: its shared sums of pairs, and its terms with their weights."""

    def __init__(self) -> None:
        self.shared: list[Shared] = []
        self.terms: list[Term] = []
        self.weights: list[float] = []


class Shift(Method):
    """Every kernel and every type."""

    name = "shift"
    steady = True

    def consider(self, problem: Problem, narrow: Arithmetic) -> Workload | str:
        return Workload(problem, narrow)

    def cost(self, work: Workload) -> float:
        sums = _pairs_of(work)
        if sums is None:
            return _counted(work)
        shared = sum(len(result.shared) for result in sums)
        weighted = [WeightedSum(result.weights, work.dtype) for result in sums]
        calls = shared + sum(len(result.terms) + len(result.groups) for result in weighted)
        adding = shared * rates.add(work.dtype) + sum(result.cost(work.dtype) for result in weighted)
        return (adding + calls * work.call) / len(sums)

    def scratch(self, work: Workload) -> float:
        return max(len(result.shared) for result in _pairs_of(work) or [Sum()]) + 1

    def binder(self, work: Workload) -> Binder:
        return partial(
            _steps, work, [(result, WeightedSum(result.weights, work.dtype)) for result in _sums(work)]
        )


def _steps(
    work: Workload, result: list[tuple[Sum, WeightedSum]], planes: Array, sums: Array, arena: Arena
) -> list[Step]:
    rows, columns = sums.shape[1:]
    scratch = arena.empty(sums.shape[1:], work.dtype)
    steps: list[Step] = []
    for index, (described, weighted) in enumerate(result):
        pairs: list[Array] = []
        for shared in described.shared:
            target, step = _share(work, shared, planes, pairs, (rows, columns), arena)
            pairs.append(target)
            steps.append(step)
        views = [_view(work, index, term, planes, pairs, (rows, columns)) for term in described.terms]
        steps += weighted.steps(views, sums[index], scratch)
    return steps


def _share(
    work: Workload, shared: Shared, planes: Array, pairs: list[Array], size: Place, arena: Arena
) -> tuple[Array, Step]:
    """An array for sums of pairs, laid out as the plane, and the call that computes what is read of it."""
    source = planes[0, 0, 0] if shared.source is None else pairs[shared.source]
    target = arena.empty(source.shape, work.dtype)
    first = _region(work, shared.box, size, (0, 0))
    second = _region(work, shared.box, size, shared.apart)
    return target, (np.subtract if shared.minus else np.add, (source[first], source[second], target[first]))


def _region(work: Workload, box: tuple[Place, Place], size: Place, apart: Place) -> tuple[slice, slice]:
    """The part of a plane that taps within ``box``, moved by ``apart``, read for ``size`` sums."""
    (top, left), (bottom, right) = box
    down, across = work.problem.rows.dilation, work.problem.columns.dilation * work.problem.lanes
    return (
        slice((top + apart[0]) * down, (bottom + apart[0]) * down + size[0]),
        slice((left + apart[1]) * across, (right + apart[1]) * across + size[1]),
    )


def _view(work: Workload, index: int, term: Term, planes: Array, pairs: list[Array], size: Place) -> Array:
    """What a term of map ``index`` reads for ``size`` sums, lanes included."""
    row, column = term.place
    if term.shared is not None:
        return pairs[term.shared][_region(work, (term.place, term.place), size, (0, 0))]
    phase, across = work.column_window(column, size[1])
    channel = work.problem.channel(index, term.channel)
    return planes[term.depth, channel, phase, work.row_window(row, size[0]), across]


def _sums(work: Workload) -> list[Sum]:
    """The terms of each map, paired if possible."""
    weights = work.filter.weights
    return _pairs_of(work) or [_plain(weights[..., index]) for index in range(work.filter.maps)]


def _pairs_of(work: Workload) -> list[Sum] | None:
    """The paired terms of each map; None if several planes or phases are read, or taps are too many."""
    depth, *_ = work.filter.kernel
    single = depth * work.filter.inputs == 1 and work.problem.channels == 1
    is_plain = single and work.problem.rows.stride == work.problem.columns.stride == 1
    return _paired(work.filter) if is_plain and work.filter.weights.size <= MOST_PAIRED else None


def _counted(work: Workload) -> float:
    """Estimated nanoseconds per value of a map, on average, if terms are not paired.

    Many taps are all taken to be different: sorting them would take longer than some layers.
    """
    weights, maps = work.filter.weights, work.filter.maps
    taps = factors = [weights.size // maps] * maps
    if weights.size <= MOST_PAIRED:
        magnitudes = np.sort(np.abs(weights.reshape(-1, maps)), axis=0)
        is_new = np.diff(magnitudes, axis=0, prepend=0) != 0
        taps = np.count_nonzero(magnitudes, axis=0).tolist()
        factors = np.count_nonzero(is_new & (magnitudes != 1), axis=0).tolist()
    counts = Counter(zip(taps, factors, strict=True))
    costs = {each: summing(*each, work.dtype) + sum(each) * work.call for each in counts}
    return sum(count * costs[each] for each, count in counts.items()) / maps


def _plain(weights: Array) -> Sum:
    """The non-zero taps of one map, row by row."""
    result = Sum()
    for depth, row, column, channel in np.argwhere(weights).tolist():
        result.terms.append(Term((row, column), depth, channel))
        result.weights.append(weights[depth, row, column, channel].item())
    return result


@lru_cache(maxsize=8)
def _paired(filter_: Filter) -> list[Sum] | None:
    """The terms of each map; those of equal magnitude are paired as far as that saves additions."""
    planes = [filter_.weights[0, :, :, 0, index] for index in range(filter_.maps)]
    if max(map(np.count_nonzero, planes)) > max(CANDIDATES):
        return None
    return [_paired_plane(plane) for plane in planes]


def _paired_plane(weights: Array) -> Sum:
    groups: dict[float, dict[Place, bool]] = {}
    for row, column in np.argwhere(weights).tolist():
        weight = weights[row, column].item()
        groups.setdefault(abs(weight), {})[row, column] = weight < 0
    result = Sum()
    for magnitude, signs in groups.items():
        _pair(result, magnitude, signs)
    return result


def _pair(result: Sum, magnitude: float, signs: dict[Place, bool]) -> None:
    """Add the terms of a group to ``result``; pairs may be paired again."""
    source: int | None = None
    while signs:
        apart, minus, firsts = _best(signs) if len(signs) > 3 else ((0, 0), False, [])
        if len(firsts) < 2:
            firsts = []
        taken = {*firsts, *(_moved(place, apart) for place in firsts)}
        for place, sign in signs.items():
            if place not in taken:
                result.terms.append(Term(place, shared=source))
                result.weights.append(-magnitude if sign else magnitude)
        if firsts:
            result.shared.append(Shared(source, apart, minus, _box(firsts)))
            source = len(result.shared) - 1
        signs = {place: signs[place] for place in firsts}


def _best(signs: dict[Place, bool]) -> tuple[Place, bool, list[Place]]:
    """The translation that pairs most taps, whether it pairs opposite signs, and the pairs' first taps."""
    first, *others = signs
    near = sorted(others, key=lambda place: place[0] - first[0] + abs(place[1] - first[1]))
    best: tuple[Place, bool, list[Place]] = (0, 0), False, []
    count = next(count for most, count in CANDIDATES.items() if len(signs) <= most)
    for partner in near[:count]:
        apart = partner[0] - first[0], partner[1] - first[1]
        for minus in range(len(set(signs.values()))):
            firsts = _pairs(signs, apart, bool(minus))
            if len(firsts) > len(best[2]):
                best = apart, bool(minus), firsts
    return best


def _pairs(signs: dict[Place, bool], apart: Place, minus: bool) -> list[Place]:
    """The first taps of disjoint pairs that lie ``apart``, of equal or opposite signs."""
    free = set(signs)
    firsts = []
    for place, sign in signs.items():
        partner = _moved(place, apart)
        if place in free and partner in free and partner != place and (signs[partner] != sign) == minus:
            free -= {place, partner}
            firsts.append(place)
    return firsts


def _moved(place: Place, apart: Place) -> Place:
    return place[0] + apart[0], place[1] + apart[1]


def _box(places: list[Place]) -> tuple[Place, Place]:
    rows, columns = zip(*places, strict=True)
    return (min(rows), min(columns)), (max(rows), max(columns))


METHOD: Final = Shift()
