"""Boxes of any size: sums along the rows by doubling, then running sums down the columns.

Sums of 2, 4, 8, … neighbors are combined by the binary digits of the size: 2·log₂ k additions, not k − 1.
Integer sums along rows have the narrowest type that holds them. Down the columns, each row of sums is the one
above it plus the row that enters the window minus the row that leaves it: two passes for any size. Floats
double along both axes instead, so that every sum has the same terms in the same order.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np

from convcli.core.dtypes import Array, accumulator
from convcli.core.frozen import replace
from convcli.engine import native
from convcli.engine.methods import rates
from convcli.engine.methods.base import Arena, Binder, Method, Step, Workload, summing
from convcli.engine.plan import Arithmetic, Problem
from convcli.engine.program import BOX, Program, program_of

DOUBLING: Final = 1.3
"""A doubling beside a plain addition: it also covers the rows and columns of the halo."""

RUNNING: Final = 6
"""Rows of the window from which on running sums take fewer passes than doubling."""


FEW: Final = 8
"""Columns up to which the extension adds them one by one."""


class Box(Method):
    """Kernels whose weights are all equal."""

    name = "box"
    steady = True

    def consider(self, problem: Problem, narrow: Arithmetic) -> Workload | str:
        weights = narrow.filter.weights
        if weights.shape[0] * weights.shape[3] * weights.shape[4] != 1:
            return "more than one 2-D slice of weights"
        if not (weights == weights.flat[0]).all() or not weights.any():
            return "the weights are not all equal"
        if problem.columns.stride > 1:
            return "a column stride would discard most of the shared partial sums"
        if not narrow.exact:
            return Workload(problem, narrow)
        if native.is_available(narrow.dtype):
            work = Workload(problem, native.widened(narrow))
            if self.compiled(work):
                return work
        low, high = (end * problem.columns.kernel for end in problem.span)
        loaded = accumulator(low, high)
        narrower = loaded is not None and loaded.itemsize < narrow.dtype.itemsize
        return Workload(problem, replace(narrow, loaded=loaded) if narrower else narrow)

    def compiled(self, work: Workload) -> bool:
        is_running = work.dtype.kind in "iu" and work.problem.rows.stride == work.problem.rows.dilation == 1
        return is_running and native.is_available(work.dtype)

    def program(self, work: Workload) -> Program:
        weight = np.array(work.filter.weights.flat[:1]).astype(work.dtype)
        window = (*work.filter.kernel[1:], work.problem.columns.dilation)
        return replace(program_of(BOX, (), work.dtype, window), weights=weight)

    def cost(self, work: Workload) -> float:
        if self.compiled(work):
            columns = work.filter.kernel[2]
            additions = 2 + (columns if columns <= FEW else columns.bit_length() + columns.bit_count())
            return rates.FINISH + additions * rates.RUNNING[work.dtype.itemsize]
        _, rows, columns = work.filter.kernel
        across = _doubling(columns, 1) * rates.add(work.loaded) + summing(columns.bit_count(), 0, work.loaded)
        if _runs(work):
            down = (1 + rates.IN_PLACE) * rates.add(work.dtype)
        else:
            down = _doubling(rows, work.problem.rows.stride) * rates.add(work.dtype)
            down += summing(rows.bit_count(), 0, work.dtype)
        widening = rates.LOAD[work.dtype.itemsize] * (work.loaded != work.dtype)
        scale = summing(1, 0, work.dtype) * (work.filter.weights.flat[0] != 1)
        calls = 2 * (rows.bit_length() + columns.bit_length()) * work.call
        return float(across + widening + down + scale + calls)

    def scratch(self, work: Workload) -> float:
        share = work.loaded.itemsize / work.dtype.itemsize
        return 4 * share + 2

    def binder(self, work: Workload) -> Binder:
        if self.compiled(work):
            return native.binder(self.program(work), work)
        return partial(_steps, work)


def _doubling(size: int, each: int) -> float:
    """The cost of the doublings for ``size`` neighbors, in additions."""
    return DOUBLING * each * (size.bit_length() - 1)


def _runs(work: Workload) -> bool:
    """Whether sums run down the columns, which is exact for integers only."""
    rows = work.problem.rows
    return work.dtype.kind in "iu" and rows.stride == 1 and rows.kernel >= RUNNING


def _steps(work: Workload, planes: Array, sums: Array, arena: Arena) -> list[Step]:
    source, out = planes[0, 0, 0], sums[0]
    rows, columns, lanes = work.problem.rows, work.problem.columns, work.problem.lanes
    count, width = out.shape
    across = arena.empty((len(source), width), work.loaded)

    def by_column(array: Array, first: int) -> Array:
        return array[:, first : first + width]

    def by_row(array: Array, first: int) -> Array:
        return array[first : first + (count - 1) * rows.stride + 1 : rows.stride]

    steps = _doubled(source, columns.kernel, columns.dilation * lanes, 1, by_column, across, arena)
    if work.loaded != work.dtype:
        wide = arena.empty(across.shape, work.dtype)
        steps.append((np.copyto, (wide, across)))
        across = wide
    if _runs(work):
        steps += _running(across, rows.kernel, rows.dilation, out, arena)
    else:
        steps += _doubled(across, rows.kernel, rows.dilation, 0, by_row, out, arena)
    weight = work.filter.weights.flat[0]
    if weight != 1:
        steps.append((np.multiply, (out, np.asarray(weight).astype(work.dtype)[()], out)))
    return steps


def _running(source: Array, size: int, apart: int, out: Array, arena: Arena) -> list[Step]:
    """The sums of ``size`` rows, ``apart``: the first in full, the others from the one ``apart`` above."""
    count = len(out)
    steps: list[Step] = [
        (np.add.reduce, (source[row : row + (size - 1) * apart + 1 : apart], 0, out.dtype, out[row]))
        for row in range(min(apart, count))
    ]
    if count > apart:
        change = arena.empty((count - apart, out.shape[1]), out.dtype)
        entering = source[size * apart : size * apart + len(change)]
        steps.append((np.subtract, (entering, source[: len(change)], change)))
        steps += [(np.add, (out[row], change[row], out[row + apart])) for row in range(len(change))]
    return steps


def _doubled(
    source: Array,
    size: int,
    apart: int,
    axis: int,
    window: Callable[[Array, int], Array],
    out: Array,
    arena: Arena,
) -> list[Step]:
    """The sums of ``size`` values, ``apart`` along ``axis``; ``window`` cuts what starts at an offset.

    ``level`` holds the sums of 2ᵇ values; each digit b of ``size`` adds one of them, behind what is covered.
    """
    steps: list[Step] = []
    level, spare = source, [arena.empty(source.shape, source.dtype) for _ in range(2)]
    covered, terms = 0, 0
    first: Array | None = None
    for bit in range(size.bit_length()):
        if size >> bit & 1:
            term = window(level, covered * apart)
            if first is None:
                first = term if size.bit_count() > 1 else None
                if first is None:
                    steps.append((np.copyto, (out, term)))
                elif bit:
                    copy = arena.empty(out.shape, out.dtype)
                    steps.append((np.copyto, (copy, term)))
                    first = copy
            else:
                steps.append((np.add, (first if terms == 1 else out, term, out)))
            terms += 1
            covered += 1 << bit
        if size >> (bit + 1):
            step = apart << bit
            head = [slice(None)] * 2
            tail = [slice(None)] * 2
            head[axis], tail[axis] = slice(None, -step), slice(step, None)
            target = spare[bit % 2]
            steps.append((np.add, (level[tuple(head)], level[tuple(tail)], target[tuple(head)])))
            level = target
    return steps


METHOD: Final = Box()
