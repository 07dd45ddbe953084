"""Separable passes: a rank-1 kernel as sums down the columns, then along the rows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.engine import native
from convcli.engine.methods import rates
from convcli.engine.methods.base import Arena, Binder, Method, Step, WeightedSum, Workload
from convcli.engine.plan import Arithmetic, Problem
from convcli.engine.program import SEPARABLE, Block, Program, program_of

MOST_PLANES: Final = 64
"""Largest number of planes (depth × in × out) whose factors are computed: layers are rarely separable."""

Pass = tuple[int, int, WeightedSum, WeightedSum]  # depth, channel, down, across


class Separable(Method):
    """Kernels whose planes all have rank 1, with exact factors if the weights are exact."""

    name = "separable"
    steady = True

    def consider(self, problem: Problem, narrow: Arithmetic) -> Workload | str:
        work = Workload(problem, native.widened(narrow) if native.is_available(narrow.dtype) else narrow)
        depth, rows, columns = work.filter.kernel
        if rows == 1 or columns == 1:
            return "the kernel has a single row or column"
        planes = depth * work.filter.inputs * work.filter.maps
        if planes > MOST_PLANES:
            return f"{planes} planes of weights; allowed: up to {MOST_PLANES}"
        missing = [place for place, factors in work.filter.factors.items() if factors is None]
        return f"the kernel has rank above 1 (map {missing[0][2]})" if missing else work

    def compiled(self, work: Workload) -> bool:
        single = work.filter.kernel[0] * work.filter.inputs == 1
        is_native = single and native.is_available(work.dtype) and native.holds(work)
        return is_native and bool(np.all(work.filter.weights.any((0, 1, 2, 3))))

    def program(self, work: Workload) -> Program:
        return program_of(SEPARABLE, _blocks(work), work.dtype)

    def cost(self, work: Workload) -> float:
        if self.compiled(work):
            factors = [vector for pair in work.filter.factors.values() for vector in pair or ()]
            taps = sum(map(np.count_nonzero, factors))
            rate = rates.TAP[work.dtype.itemsize] * rates.SEPARABLE_TAP
            return float(rates.FINISH + taps / work.filter.maps * rate)
        cost = 0.0
        for _, passes in _passes(work):
            calls = sum(
                len(one.terms) + len(one.groups) for *_, down, across in passes for one in (down, across)
            )
            cost += calls * work.call
            downs = sum(down.cost(work.dtype) for _, _, down, _ in passes)
            acrosses = sum(across.cost(work.dtype) for _, _, _, across in passes)
            cost += downs * len(work.phases) + acrosses + rates.add(work.dtype) * max(len(passes) - 1, 0)
        return cost / work.filter.maps

    def scratch(self, work: Workload) -> float:
        maps = list(_passes(work))
        pairs = [one for _, passes in maps for one in passes]
        spares = any(down.spare for *_, down, _ in pairs) * len(work.phases) + any(a.spare for *_, a in pairs)
        return len(work.phases) + spares + _adds(maps)

    def binder(self, work: Workload) -> Binder:
        if self.compiled(work):
            return native.binder(self.program(work), work)
        return partial(_steps, work, list(_passes(work)))


def _steps(
    work: Workload, maps: list[tuple[int, list[Pass]]], planes: Array, sums: Array, arena: Arena
) -> list[Step]:
    rows, columns = sums.shape[1:]
    kernel_rows, kernel_columns = work.filter.kernel[1:]
    full, part = (len(work.phases), rows, planes.shape[-1]), (rows, columns)
    pairs = [one for _, passes in maps for one in passes]
    down_sums = arena.empty(full, work.dtype)
    down_spare = arena.empty(full, work.dtype) if any(down.spare for *_, down, _ in pairs) else None
    across_spare = arena.empty(part, work.dtype) if any(across.spare for *_, across in pairs) else None
    partial_sums = arena.empty(part, work.dtype) if _adds(maps) else None
    down_windows = [work.row_window(row, rows) for row in range(kernel_rows)]
    across_windows = [work.column_window(column, columns) for column in range(kernel_columns)]
    across_views = [down_sums[phase, :, window] for phase, window in across_windows]
    steps: list[Step] = []
    for index, passes in maps:
        for number, (depth, channel, down, across) in enumerate(passes):
            source = planes[depth, work.problem.channel(index, channel)]
            target = sums[index] if partial_sums is None or not number else partial_sums
            steps += down.steps([source[:, window] for window in down_windows], down_sums, down_spare)
            steps += across.steps(across_views, target, across_spare)
            if number:
                steps.append((np.add, (sums[index], partial_sums, sums[index])))
        if not passes:
            steps.append((np.copyto, (sums[index], work.dtype.type(0))))
    return steps


def _adds(maps: list[tuple[int, list[Pass]]]) -> bool:
    """Whether the sums of several planes are added for some map."""
    return any(len(passes) > 1 for _, passes in maps)


def _passes(work: Workload) -> Iterator[tuple[int, list[Pass]]]:
    """For each map, the two weighted sums of every non-zero plane."""
    for index in range(work.filter.maps):
        passes = []
        for (depth, channel, owner), factors in work.filter.factors.items():
            if owner == index and factors is not None:
                down, across = (WeightedSum(vector.tolist(), work.dtype) for vector in factors)
                passes.append((depth, channel, down, across))
        yield index, passes


def _blocks(work: Workload) -> Iterator[Block]:
    """For each map, its sums down the columns and then along the rows, of taps that are not 0."""
    problem = work.problem
    row_phase, down = work.row_taps
    column_phase, across = work.column_taps
    for (_, channel, index), factors in sorted(work.filter.factors.items(), key=lambda item: item[0][2]):
        assert factors is not None
        plane = problem.channel(index, channel) * len(work.phases) * problem.rows.stride
        column = np.stack([plane + row_phase, down, np.zeros_like(down)], axis=1)
        row = np.stack([column_phase, np.zeros_like(across), across], axis=1)
        for taps, weights in zip((column, row), factors, strict=True):
            used = weights != 0
            yield Block(index, taps[used].astype(np.int64), weights[used])


METHOD: Final = Separable()
