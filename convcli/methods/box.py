"""Boxes of any size: sums of 2, 4, 8, … neighbours by doubling, put together by the size's binary digits.

A window of k costs about 2·log₂ k additions an axis instead of k − 1, and every sum is made of the same
terms in the same order wherever it lies, so that floats round alike for every cut.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from convcli.dtypes import Array
from convcli.methods import rates
from convcli.methods.base import Arena, Method, Step, Work, summing
from convcli.plan import Arithmetic, Problem

DOUBLING: Final = 1.3
"""A doubling beside a plain addition: it also covers the rows and columns of the halo."""


class Box(Method):
    """Kernels whose weights are all equal."""

    name = "box"

    def consider(self, problem: Problem, narrow: Arithmetic) -> Work | str:
        weights = narrow.filter.weights
        if weights.shape[0] * weights.shape[3] * weights.shape[4] != 1:
            return "more than one plane of weights"
        if not (weights == weights.flat[0]).all() or not weights.any():
            return "the weights are not all equal"
        if problem.columns.stride > 1:
            return "a stride across the columns skips most of what doubling shares"
        return Work(problem, narrow)

    def cost(self, work: Work) -> float:
        _, rows, columns = work.filter.kernel
        doublings = (rows.bit_length() - 1) * work.problem.rows.stride + columns.bit_length() - 1
        digits = sum(summing(size.bit_count(), 0, work.dtype) for size in (rows, columns))
        scale = summing(1, 0, work.dtype) * (work.filter.weights.flat[0] != 1)
        return DOUBLING * doublings * rates.add(work.dtype) + digits + float(scale)

    def steps(self, work: Work, planes: Array, sums: Array, arena: Arena) -> list[Step]:
        source, out = planes[0, 0, 0], sums[0]
        rows, columns, lanes = work.problem.rows, work.problem.columns, work.problem.lanes
        _, kernel_rows, kernel_columns = work.filter.kernel
        down = arena.empty((out.shape[0], source.shape[1]), work.dtype)

        def by_row(array: Array, first: int) -> Array:
            return array[first : first + (out.shape[0] - 1) * rows.stride + 1 : rows.stride]

        def by_column(array: Array, first: int) -> Array:
            return array[:, first : first + out.shape[1]]

        steps = _doubled(source, kernel_rows, rows.dilation, 0, by_row, down, arena)
        steps += _doubled(down, kernel_columns, columns.dilation * lanes, 1, by_column, out, arena)
        weight = work.filter.weights.flat[0]
        if weight != 1:
            steps.append((np.multiply, (out, np.asarray(weight).astype(work.dtype)[()], out)))
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
                    kept = arena.empty(out.shape, out.dtype)
                    steps.append((np.copyto, (kept, term)))
                    first = kept
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
