"""The contract of a method, and the weighted sum of views that several methods share.

Before a method runs, a strip's input, border included, has been loaded into planes of the sums' type:
``planes[depth tap, channel, phase, row, column × lanes]``. A phase holds every stride-th column, so that
a tap is always a plain slice with contiguous columns, whatever the stride, the dilation and the lanes.
Compiled methods describe their sums as a `Program` instead, with which the extension usually loads planes of
its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import cached_property
from math import prod
from typing import Any, ClassVar, Final, Self

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.frozen import frozen
from convcli.engine.filter import Filter
from convcli.engine.methods import rates
from convcli.engine.plan import Arithmetic, Problem
from convcli.engine.program import Program

Step = tuple[Callable[..., Any], tuple[Any, ...]]
"""A call, mostly of NumPy, with its arguments: views of the planes, of scratch and of the sums."""

Binder = Callable[[Array, Array, "Arena"], list[Step]]
"""From planes (read-only), sums (maps, rows, columns × lanes) and an arena for scratch to the calls that
compute the sums. The calls can be repeated after the planes are loaded again, and cost little more than their
arithmetic."""


@frozen(eq=False)
class Workload:
    """A problem in the number type that a method computes in; the same for every strip."""

    problem: Problem
    arithmetic: Arithmetic

    @property
    def filter(self) -> Filter:
        """The filter in the arithmetic's number type."""
        return self.arithmetic.filter

    @property
    def dtype(self) -> DType:
        """Type of the sums."""
        return self.arithmetic.dtype

    @property
    def loaded(self) -> DType:
        """Type of the planes."""
        return self.arithmetic.loaded or self.arithmetic.dtype

    @property
    def values(self) -> int:
        """Sums of a map, for one depth position of one batch entry."""
        return self.problem.rows.output * self.problem.columns.output * self.problem.lanes

    @cached_property
    def call(self) -> float:
        """Nanoseconds of a NumPy call per value of a map, besides those that grow with the values."""
        held = (self.problem.channels + self.filter.maps) * self.values * self.dtype.itemsize
        return rates.CALL[held <= rates.KEPT] / self.values

    @cached_property
    def phases(self) -> tuple[int, ...]:
        """The phases of the columns that some tap reads."""
        columns = self.problem.columns
        return tuple(sorted({k * columns.dilation % columns.stride for k in range(columns.kernel)}))

    def plane_shape(self, rows: int, columns: int) -> tuple[int, ...]:
        """Shape of the planes for ``rows`` × ``columns`` outputs, with lanes as an axis of their own."""
        axis = self.problem.rows
        height = (rows - 1) * axis.stride + axis.extent
        width = columns + (self.problem.columns.extent - 1) // self.problem.columns.stride
        depth = self.filter.kernel[0]
        return depth, self.problem.channels, len(self.phases), height, width, self.problem.lanes

    @property
    def row_taps(self) -> tuple[Array, Array]:
        """For each kernel row: the phase of the rows it reads, and how far down it reads in that phase."""
        axis = self.problem.rows
        down, phase = np.divmod(np.arange(axis.kernel) * axis.dilation, axis.stride)
        return phase, down

    @property
    def column_taps(self) -> tuple[Array, Array]:
        """For each kernel column: the index of its phase, and how many values to the right it reads there."""
        axis = self.problem.columns
        across, phase = np.divmod(np.arange(axis.kernel) * axis.dilation, axis.stride)
        return np.searchsorted(self.phases, phase), across * self.problem.lanes

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


class Arena:
    """The scratch memory of one worker, reused for every shape of strip.

    The first touch of a page costs about as much as twenty passes over it, so memory is kept and shared by
    all shapes, of which only one is in use at a time; blocks are large enough for the system's huge pages.
    The first block outlives its worker and serves the next one.
    """

    BLOCK: Final = 6 * 2**20
    MOST_IDLE: Final = 2
    idle: ClassVar[list[Array]] = []

    def __init__(self, block: int = BLOCK) -> None:
        self.size, self.blocks = block, list[Array]()
        self.restart()

    def __enter__(self) -> Self:
        with suppress(IndexError):
            self.blocks.append(Arena.idle.pop())
        return self

    def __exit__(self, *_: object) -> None:
        if self.blocks and self.blocks[0].size == Arena.BLOCK and len(Arena.idle) < Arena.MOST_IDLE:
            Arena.idle.append(self.blocks[0])
        self.blocks = []

    def restart(self) -> None:
        """Make all memory available again."""
        self.block, self.used = 0, 0

    def empty(self, shape: tuple[int, ...], dtype: DType) -> Array:
        """An uninitialized array, aligned to a cache line."""
        needed = -(-prod(shape) * dtype.itemsize // 64) * 64
        while self.block < len(self.blocks) and self.used + needed > self.blocks[self.block].size:
            self.block, self.used = self.block + 1, 0
        if self.block == len(self.blocks):
            self.blocks.append(np.empty(max(needed, self.size), np.uint8))
        part = self.blocks[self.block][self.used : self.used + prod(shape) * dtype.itemsize]
        self.used += needed
        return part.view(dtype).reshape(shape)


class Method(ABC):
    """One way of computing a convolution; a module of this package each, by its name in `registry.NAMES`."""

    name: str
    mixes: bool = False
    """Whether values outside a window enter its sum with weight 0, so that NaN and infinity would spread."""
    edges: bool = True
    """Whether narrow strips cost no more than their share, so that border columns may be separate strips."""

    folds: bool = True
    """Whether planes may leave out positions between taps that are far apart."""
    products: bool = False
    """Whether it calls BLAS, whose own threads must then be limited."""
    steady: bool = False
    """Whether a rounded sum depends on its own window only, so that an image and every part of it, however
    large and wherever it begins, give the same bytes. Exact sums always do."""
    long_calls: bool = False
    """Whether its calls take so long that threads hardly wait for the interpreter, even with small strips."""

    @abstractmethod
    def consider(self, problem: Problem, narrow: Arithmetic) -> Workload | str:
        """The workload in this method's number type, or why the method cannot be used.

        Args:
            narrow: the arithmetic of plain sums; a method may use another that is as exact.
        """

    @abstractmethod
    def cost(self, work: Workload) -> float:
        """Estimated nanoseconds per value of one map, on one thread, without loading the planes."""

    @abstractmethod
    def binder(self, work: Workload) -> Binder:
        """The method's binder; what all strips share is computed here, once per worker."""

    def error(self, work: Workload, most: float) -> float:
        """How far float sums over values up to ``most`` may be from exact ones.

        For n products this is 2·n·u·Σ|w|·most with the roundoff u of the type, whatever their order.
        """
        weights = np.abs(work.filter.weights.astype(np.float64)).reshape(-1, work.filter.maps)
        return len(weights) * float(np.finfo(work.dtype).eps) * float(weights.sum(axis=0).max()) * most

    def compiled(self, work: Workload) -> bool:
        """Whether the extension computes a workload, as this method's program says."""
        return False

    def program(self, work: Workload) -> Program:
        """What the extension computes; only where the workload is `compiled`."""
        raise NotImplementedError

    def grain(self, work: Workload) -> tuple[int, int]:
        """Rows and columns that strips must be multiples of, so that sums do not depend on the cut."""
        return 1, 1

    def buffers(self, work: Workload) -> float:
        """Values that a strip keeps per output, scratch included."""
        depth, channels, phases, *_ = work.plane_shape(1, 1)
        return depth * channels * phases + work.filter.maps + self.scratch(work)

    def scratch(self, work: Workload) -> float:
        """Values of scratch that a strip keeps per output, part of `buffers`."""
        return 1

    def block(self, work: Workload) -> int:
        """Values of scratch whose number does not depend on the strip."""
        return 0


def parts(size: int, part: int) -> list[tuple[int, int, int]]:
    """(start, size, count) of the parts of an axis: the full ones, then the rest."""
    count = size // part
    full = [(0, part, count)] if count else []
    return full + ([(count * part, size % part, 1)] if size % part else [])


Members = tuple[tuple[int, bool], ...]
"""(term, whether it is subtracted)."""


@frozen
class Group:
    """Terms whose weights are equal up to the sign."""

    factors: tuple[Any, Any] | None  # the magnitude and its negative, or None for 1
    members: Members


class WeightedSum:
    """``out = Σ weight · view``, where terms of equal weight are added first and multiplied once.

    Groups with a weight other than 1 come first, so that the first of them needs no scratch; within a group
    the terms keep their order. The order depends on the weights alone, and so does the rounding.
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
    def spare(self) -> bool:
        """Whether the steps need scratch: for groups after the first that are multiplied."""
        return any(group.factors is not None for group in self.groups[1:])

    def cost(self, dtype: DType) -> float:
        """Estimated nanoseconds per value."""
        return summing(len(self.terms), sum(group.factors is not None for group in self.groups), dtype)

    def steps(self, views: Sequence[Array], out: Array, scratch: Array | None) -> list[Step]:
        """The calls that write the sum to ``out``; ``scratch`` has its shape."""
        if not self.groups:
            return [(np.copyto, (out, out.dtype.type(0)))]
        steps: list[Step] = []
        for group in self.groups:
            if not steps:
                steps += _started(views, group.members, out, group.factors)
            elif group.factors is None:
                steps += _added(views, group.members, out)
            else:
                assert scratch is not None
                subtract = group.members[0][1]
                members = tuple((term, minus != subtract) for term, minus in group.members)
                steps += _started(views, members, scratch, group.factors)
                steps.append((np.subtract if subtract else np.add, (out, scratch, out)))
        return steps


def summing(terms: int, multiplications: int, dtype: DType) -> float:
    """Estimated nanoseconds per value of a weighted sum; all additions but the first are in place."""
    additions = min(max(terms - 1, 0), 1) + rates.IN_PLACE * max(terms - 2, 0)
    return (additions + rates.IN_PLACE * multiplications + rates.IN_PLACE * (terms == 1)) * rates.add(dtype)


def _factors(magnitude: Any, dtype: DType) -> tuple[Any, Any] | None:
    """A weight and its negative as scalars of ``dtype`` (unsigned types wrap); None for 1."""
    if magnitude == 1:
        return None
    both = np.asarray([magnitude, -magnitude]).astype(dtype)
    return both[0], both[1]


def _added(views: Sequence[Array], members: Members, out: Array) -> list[Step]:
    """Add the members to ``out``."""
    return [(np.subtract if minus else np.add, (out, views[term], out)) for term, minus in members]


def _started(
    views: Sequence[Array], members: Members, out: Array, factors: tuple[Any, Any] | None
) -> list[Step]:
    """Write the sum of the members to ``out``, times the first of ``factors``."""
    (term, minus), *rest = members
    first = views[term]
    if factors is not None and not rest:
        return [(np.multiply, (first, factors[minus], out))]
    if rest and not minus:
        (other, subtract), *rest = rest
        steps: list[Step] = [(np.subtract if subtract else np.add, (first, views[other], out))]
    else:
        steps = [(np.negative, (first, out))] if minus else [(np.copyto, (out, first))]
    steps += _added(views, tuple(rest), out)
    if factors is not None:
        steps.append((np.multiply, (out, factors[0], out)))
    return steps
