"""im2col: every tap of a strip gathered as a row of a matrix, then one product with the weights of all maps.

What a layer of many channels does: (maps × taps) @ (taps × values).
"""

from __future__ import annotations

from functools import partial
from typing import Final

import numpy as np

from convcli.dtypes import Array
from convcli.methods import rates
from convcli.methods.base import Arena, Binder, Method, Step, Work
from convcli.methods.floats import in_floats
from convcli.plan import Arithmetic, Problem

_TILE: Final = 64
"""Values that a product is a multiple of where it rounds: BLAS adds those that fill no vector in another way,
and which these are would depend on how the picture is cut."""


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
        if not work.arithmetic.exact and len(matrices[0]) == 1:  # a product with a vector adds in another way
            matrices = [np.concatenate((matrix, np.zeros_like(matrix))) for matrix in matrices]
        return partial(_steps, work, matrices)


def _steps(work: Work, matrices: list[Array], planes: Array, sums: Array, arena: Arena) -> list[Step]:
    rows, columns = sums.shape[1:]
    each, taps = len(sums) // len(matrices), matrices[0].shape[1]
    values = rows * columns
    padded = values if work.arithmetic.exact else -(-values // _TILE) * _TILE
    flat = arena.empty((taps, padded), work.dtype)
    gathered = flat[:, :values].reshape(taps, rows, columns)
    direct = sums.flags.c_contiguous and padded == values and each == len(matrices[0])
    product = None if direct else arena.empty((len(matrices[0]), padded), work.dtype)
    steps: list[Step] = [] if padded == values else [(np.copyto, (flat[:, values:], work.dtype.type(0)))]
    for first, matrix in zip(range(0, len(sums), each), matrices, strict=True):
        for place, (depth, row, column, channel) in enumerate(np.ndindex(*work.filter.weights.shape[:4])):
            phase, across = work.column_window(column, columns)
            plane = planes[depth, work.problem.channel(first, channel), phase]
            steps.append((np.copyto, (gathered[place], plane[work.row_window(row, rows), across])))
        out = sums[first : first + each]
        steps.append((np.matmul, (matrix, flat, out.reshape(each, -1) if product is None else product)))
        if product is not None:
            steps.append((np.copyto, (out, product[:each, :values].reshape(out.shape))))
    return steps
