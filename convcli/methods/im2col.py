"""im2col: every tap of a strip gathered as a row of a matrix, then one product with the weights of all maps.

What a layer of many channels does: (maps × taps) @ (taps × values).
"""

from __future__ import annotations

from functools import partial

import numpy as np

from convcli.dtypes import Array
from convcli.methods import rates
from convcli.methods.base import Arena, Binder, Method, Step, Work
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

    def scratch(self, work: Work) -> float:
        return int(work.filter.weights[..., 0].size) + work.filter.maps / work.problem.groups

    def binder(self, work: Work) -> Binder:
        weights = work.filter.weights.astype(work.dtype)
        matrices = [
            np.ascontiguousarray(group.reshape(-1, group.shape[-1]).T)
            for group in np.split(weights, work.problem.groups, axis=-1)
        ]
        return partial(_steps, work, matrices)


def _steps(work: Work, matrices: list[Array], planes: Array, sums: Array, arena: Arena) -> list[Step]:
    rows, columns = sums.shape[1:]
    each, taps = matrices[0].shape
    gathered = arena.empty((taps, rows, columns), work.dtype)
    product = arena.empty((each, rows * columns), work.dtype) if not sums.flags.c_contiguous else None
    steps: list[Step] = []
    for first, matrix in zip(range(0, len(sums), each), matrices, strict=True):
        for place, (depth, row, column, channel) in enumerate(np.ndindex(*work.filter.weights.shape[:4])):
            phase, across = work.column_window(column, columns)
            plane = planes[depth, work.channel(first, channel), phase]
            steps.append((np.copyto, (gathered[place], plane[work.row_window(row, rows), across])))
        out = sums[first : first + each]
        flat = out.reshape(each, -1) if product is None else product
        steps.append((np.matmul, (matrix, gathered.reshape(taps, -1), flat)))
        if product is not None:
            steps.append((np.copyto, (out, product.reshape(out.shape))))
    return steps
