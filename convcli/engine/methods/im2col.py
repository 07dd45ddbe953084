"""im2col: every tap is gathered as a row of a matrix, which the weights of all maps then multiply.

The product is (maps × taps) @ (taps × values). It covers a tile of rows and columns whose place follows from
the problem alone: the order in which BLAS adds depends on the size of a product and on a value's place in it,
so the bytes are the same however the image is cut.
"""

from __future__ import annotations

from functools import partial
from itertools import product
from math import prod
from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen
from convcli.engine.methods import rates
from convcli.engine.methods.base import Arena, Binder, Method, Step, Workload, parts
from convcli.engine.methods.floats import in_floats
from convcli.engine.plan import Arithmetic, Problem

_WIDEST: Final = 256
"""Columns × lanes of a product."""

_VALUES: Final = 1024
"""Values of a product: enough for BLAS to be fast, few enough for a strip of many channels."""


class Im2col(Method):
    """Many channels or many maps, through BLAS."""

    name = "im2col"
    mixes = True
    edges = False
    products = True

    def consider(self, problem: Problem, narrow: Arithmetic) -> Workload | str:
        if narrow.filter.inputs * narrow.filter.maps == 1:
            return "with one channel and one map, copying the windows costs as much as summing them"
        floats = in_floats(problem, narrow)
        return floats if isinstance(floats, str) else Workload(problem, floats)

    def cost(self, work: Workload) -> float:
        taps = work.filter.weights[..., 0].size
        groups = work.problem.groups
        gather = taps * groups * rates.add(work.dtype) / work.filter.maps
        return gather + 2 * taps / rates.flops(work.dtype)

    def scratch(self, work: Workload) -> float:
        return int(work.filter.weights[..., 0].size) + work.filter.maps / work.problem.groups

    def grain(self, work: Workload) -> tuple[int, int]:
        width = min(work.problem.columns.output * work.problem.lanes, _WIDEST)
        return max(min(_VALUES // width, work.problem.rows.output), 1), _WIDEST

    def binder(self, work: Workload) -> Binder:
        weights = work.filter.weights.astype(work.dtype)
        matrices = [
            np.ascontiguousarray(group.reshape(-1, group.shape[-1]).T)
            for group in np.split(weights, work.problem.groups, axis=-1)
        ]
        return partial(_steps, work, matrices, self.grain(work))


@frozen(eq=False)
class _Tiles:
    """Tiles of one size, as (first, size, count) of their rows and columns."""

    down: tuple[int, int, int]
    across: tuple[int, int, int]

    def of(self, array: Array) -> Array:
        """A view (down, across, layers, rows, columns) of (layers, rows, columns)."""
        (top, rows, blocks), (left, columns, tiles) = self.down, self.across
        share = array[:, top : top + rows * blocks, left : left + columns * tiles]
        return share.reshape(len(array), blocks, rows, tiles, columns).transpose(1, 3, 0, 2, 4)

    def scratch(self, block: Array, layers: int) -> Array:
        """The beginning of ``block`` as (down, across, layers, rows, columns)."""
        shape = self.down[2], self.across[2], layers, self.down[1], self.across[1]
        return block[: prod(shape)].reshape(shape)


def _steps(
    work: Workload, matrices: list[Array], grain: tuple[int, int], planes: Array, sums: Array, arena: Arena
) -> list[Step]:
    maps, taps = matrices[0].shape
    blocks = [arena.empty((layers * sums[0].size,), work.dtype) for layers in (taps, maps)]
    steps: list[Step] = []
    for sizes in product(parts(sums.shape[1], grain[0]), parts(sums.shape[2], grain[1])):
        tiles = _Tiles(*sizes)
        gathered, products = tiles.scratch(blocks[0], taps), tiles.scratch(blocks[1], maps)
        for first, matrix in zip(range(0, len(sums), maps), matrices, strict=True):
            steps += _gathered(work, first, tiles, planes, gathered, sums.shape[1:])
            steps.append((np.matmul, (matrix, _flat(gathered), _flat(products))))
            steps.append((np.copyto, (tiles.of(sums[first : first + maps]), products)))
    return steps


def _flat(scratch: Array) -> Array:
    """(down, across, layers, rows × columns)."""
    return scratch.reshape(*scratch.shape[:3], -1)


def _gathered(
    work: Workload, first: int, tiles: _Tiles, planes: Array, gathered: Array, size: tuple[int, int]
) -> list[Step]:
    """The copies that gather what the group of map ``first`` reads, all channels of a place at once."""
    inputs, start = work.filter.inputs, work.problem.channel(first, 0)
    steps: list[Step] = []
    for place, (depth, row, column) in enumerate(np.ndindex(*work.filter.kernel)):
        phase, across = work.column_window(column, size[1])
        source = planes[depth, start : start + inputs, phase, work.row_window(row, size[0]), across]
        target = gathered[:, :, place * inputs : (place + 1) * inputs]
        steps.append((np.copyto, (target, tiles.of(source))))
    return steps


METHOD: Final = Im2col()
