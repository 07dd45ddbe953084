"""im2col: every tap of a strip gathered as a row of a matrix, then one product with the weights of all maps.

What a layer of many channels does: (maps × taps) @ (taps × values).
"""

from __future__ import annotations

import numpy as np

from convcli.dtypes import Array
from convcli.methods import rates
from convcli.methods.base import Arena, Method, Step, Work
from convcli.methods.floats import in_floats
from convcli.plan import Arithmetic, Problem


class Im2col(Method):
    """Many channels or many maps, through BLAS."""

    name = "im2col"
    mixes = True

    def consider(self, problem: Problem, narrow: Arithmetic) -> Work | str:
        if narrow.filter.inputs * narrow.filter.maps == 1:
            return "one channel and one map: gathering costs as much as adding"
        floats = in_floats(problem, narrow)
        return floats if isinstance(floats, str) else Work(problem, floats)

    def cost(self, work: Work) -> float:
        taps = work.filter.weights[..., 0].size
        groups = work.problem.groups
        gather = taps * groups * rates.add(work.dtype) / work.filter.maps
        return gather + 2 * taps / rates.flops(work.dtype)

    def buffers(self, work: Work) -> int:
        return int(work.filter.weights[..., 0].size) * 2

    def steps(self, work: Work, planes: Array, sums: Array, arena: Arena) -> list[Step]:
        maps, rows, columns = sums.shape
        weights = work.filter.weights.astype(work.dtype)
        taps = weights[..., 0].size
        gathered = arena.empty((taps, rows, columns), work.dtype)
        each = maps // work.problem.groups
        steps: list[Step] = []
        for group in range(work.problem.groups):
            first = group * each
            for place, (depth, row, column, channel) in enumerate(np.ndindex(*weights.shape[:4])):
                phase, across = work.column_window(column, columns)
                plane = planes[depth, work.channel(first, channel), phase]
                steps.append((np.copyto, (gathered[place], plane[work.row_window(row, rows), across])))
            matrix = np.ascontiguousarray(weights[..., first : first + each].reshape(taps, each).T)
            flat = sums[first : first + each].reshape(each, rows * columns)
            steps.append((np.matmul, (matrix, gathered.reshape(taps, -1), flat)))
        return steps
