"""The ground that every method stands on: what it is given, what it answers, and the sum of views.

Before a method runs, the engine has loaded a strip's input, border and all, into planes of the sums' type:
``planes[depth tap, channel, phase, row, column × lanes]``. A phase holds every stride-th column, so that
a tap is always a plain slice with contiguous columns, whatever the stride, the dilation and the lanes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from convcli.dtypes import Array, DType
from convcli.filter import Filter
from convcli.plan import Arithmetic, Problem

Runner = Callable[[Array, Array], None]
"""``runner(planes, sums)`` writes (maps, rows, columns × lanes); it keeps scratch, so one thread owns it."""


@dataclass(frozen=True, eq=False)
class Work:
    """One method's share of a problem: the same for every strip."""

    problem: Problem
    arithmetic: Arithmetic

    @property
    def filter(self) -> Filter:
        return self.arithmetic.filter

    @property
    def dtype(self) -> DType:
        return self.arithmetic.dtype

    @cached_property
    def phases(self) -> tuple[int, ...]:
        """The column phases that some tap reads."""
        columns = self.problem.columns
        return tuple(sorted({k * columns.dilation % columns.stride for k in range(columns.kernel)}))

    def plane_shape(self, rows: int, columns: int) -> tuple[int, ...]:
        """Shape of the planes for ``rows`` × ``columns`` outputs, lanes apart."""
        axis = self.problem.rows
        height = (rows - 1) * axis.stride + axis.extent
        width = columns + (self.problem.columns.extent - 1) // self.problem.columns.stride
        depth = self.filter.kernel[0]
        return depth, self.problem.channels, len(self.phases), height, width, self.problem.lanes

    def channel(self, index: int, channel: int) -> int:
        """The input channel that map ``index`` reads as its ``channel``-th."""
        group = index // (self.filter.maps // self.problem.groups)
        return group * self.filter.inputs + channel

    def row_window(self, row: int, count: int) -> slice:
        """The plane rows that tap row ``row`` reads for ``count`` outputs."""
        axis = self.problem.rows
        first = row * axis.dilation
        return slice(first, first + (count - 1) * axis.stride + 1, axis.stride)

    def column_window(self, column: int, width: int) -> tuple[int, slice]:
        """(phase, plane columns) that tap column ``column`` reads; ``width`` counts columns × lanes."""
        axis = self.problem.columns
        shift, phase = divmod(column * axis.dilation, axis.stride)
        first = shift * self.problem.lanes
        return self.phases.index(phase), slice(first, first + width)


class Method(Protocol):
    """One way of computing; a file of this folder each, registered in `convcli.planner`."""

    name: str

    def refusal(self, work: Work) -> str:
        """Why it cannot do this work; empty where it can."""

    def cost(self, work: Work) -> float:
        """Nanoseconds a value of one map, on one thread, once the planes are loaded."""

    def runner(self, work: Work, height: int, width: int) -> Runner:
        """A function for strips of up to ``height`` rows × ``width`` (columns × lanes)."""


@dataclass(frozen=True)
class Group:
    """Terms that share a weight up to its sign."""

    factors: tuple[Any, Any] | None  # the magnitude and its negative, or None for 1
    members: tuple[tuple[int, bool], ...]  # (term, whether it is subtracted)


class WeightedSum:
    """``out = Σ weight · view``: terms of equal weight are added first and multiplied once.

    Groups with a weight other than 1 come first, so that the first of them needs no scratch; within a group
    the terms keep their order. The order depends on the weights alone, so every strip rounds alike.
    """

    def __init__(self, weights: Iterable[Any], dtype: DType) -> None:
        groups: dict[Any, list[tuple[int, bool]]] = {}
        for term, weight in enumerate(weights):
            if weight:
                groups.setdefault(abs(weight), []).append((term, bool(weight < 0)))
        ordered = sorted(groups.items(), key=lambda item: item[0] == 1)
        self.groups = [
            Group(_factors(magnitude, dtype), tuple(sorted(members, key=lambda member: member[1])))
            for magnitude, members in ordered
        ]
        self.terms = [term for group in self.groups for term, _ in group.members]

    @property
    def additions(self) -> int:
        return max(len(self.terms) - 1, 0)

    @property
    def multiplications(self) -> int:
        return sum(group.factors is not None for group in self.groups)

    @property
    def needs_scratch(self) -> bool:
        return sum(group.factors is not None for group in self.groups) > 1

    def __call__(self, views: Sequence[Array], out: Array, scratch: Array | None) -> None:
        """Write the sum to ``out``; ``scratch`` has its shape."""
        if not self.groups:
            out[...] = 0
            return
        started = False
        for group in self.groups:
            if group.factors is None:
                _add_up(views, group.members, out, started)
            elif not started:
                _add_up(views, group.members, out, False, group.factors)
            else:
                assert scratch is not None
                subtract = group.members[0][1]
                members = tuple((term, minus != subtract) for term, minus in group.members)
                _add_up(views, members, scratch, False, group.factors)
                (np.subtract if subtract else np.add)(out, scratch, out=out)
            started = True


def _factors(magnitude: Any, dtype: DType) -> tuple[Any, Any] | None:
    """A weight and its negative as scalars of ``dtype`` (unsigned types wrap); None for 1."""
    if magnitude == 1:
        return None
    both = np.asarray([magnitude, -magnitude]).astype(dtype)
    return both[0], both[1]


def _add_up(
    views: Sequence[Array],
    members: tuple[tuple[int, bool], ...],
    out: Array,
    started: bool,
    factors: tuple[Any, Any] | None = None,
) -> None:
    """Add the members to ``out``, or write them there and multiply by the first of ``factors``."""
    rest = list(members)
    if not started:
        term, minus = rest.pop(0)
        if not rest and factors is not None:
            np.multiply(views[term], factors[minus], out=out)
            return
        if minus:
            np.negative(views[term], out=out)
        elif rest:
            other, subtract = rest.pop(0)
            (np.subtract if subtract else np.add)(views[term], views[other], out=out)
        else:
            np.copyto(out, views[term])
    for term, minus in rest:
        (np.subtract if minus else np.add)(out, views[term], out=out)
    if factors is not None:
        np.multiply(out, factors[0], out=out)
