"""Blocked Toeplitz: several output rows at a time, as a banded matrix times the rows that they read.

For each column tap j, ``out += T_j @ plane[:, j:]`` with ``T_j[b, b·stride + i·dilation] = w[i, j]``. Blocks
of four rows keep the band dense, and tiles of columns keep each product in the cache. The order in which BLAS
adds depends on a value's place in a product, so the place of every block follows from the problem.
"""

from __future__ import annotations

from functools import cached_property, partial
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import as_strided

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen
from convcli.engine.methods import rates
from convcli.engine.methods.base import Arena, Binder, Method, Step, Workload, parts
from convcli.engine.methods.floats import in_floats
from convcli.engine.plan import Arithmetic, Problem

BLOCK: Final = 4
"""Output rows of a block."""

TILE: Final = 640
"""Columns × lanes of a product."""

CALLS: Final = 10
"""Overhead of a product with its views, in NumPy calls."""

MOST_PLANES: Final = 64
"""Largest number of planes (depth × in × out); above it, im2col needs fewer passes."""


class Toeplitz(Method):
    """Dense kernels of one or a few planes, through BLAS."""

    name = "toeplitz"
    mixes = True
    products = True

    def consider(self, problem: Problem, narrow: Arithmetic) -> Workload | str:
        weights = narrow.filter.weights
        planes = weights.shape[0] * weights.shape[3] * weights.shape[4]
        if planes > MOST_PLANES:
            return f"{planes} planes of weights; allowed: up to {MOST_PLANES}"
        floats = in_floats(problem, narrow)
        return floats if isinstance(floats, str) else Workload(problem, floats)

    def cost(self, work: Workload) -> float:
        depth, _, columns = work.filter.kernel
        products = depth * work.filter.inputs * columns
        rows = (BLOCK - 1) * work.problem.rows.stride + work.problem.rows.extent
        adding = rates.IN_PLACE * rates.add(work.dtype)
        calls = CALLS * work.call
        return products * (2 * rows / rates.flops(work.dtype) + adding + calls)

    def grain(self, work: Workload) -> tuple[int, int]:
        return BLOCK, TILE

    def binder(self, work: Workload) -> Binder:
        depth, _, columns = work.filter.kernel
        taps = [
            _Tap(work, *place) for place in np.ndindex(work.filter.maps, depth, columns, work.filter.inputs)
        ]
        return partial(_steps, work, [tap for tap in taps if tap.weights.any()])


@frozen(eq=False)
class _Tap:
    """One column of weights of a plane, and its bands."""

    work: Workload
    index: int
    depth: int
    column: int
    channel: int

    @property
    def weights(self) -> Array:
        weights: Array = self.work.filter.weights[self.depth, :, self.column, self.channel, self.index]
        return weights

    @cached_property
    def bands(self) -> dict[int, Array]:
        """T_j for blocks of 1 to `BLOCK` rows: (block, rows that the block reads)."""
        axis = self.work.problem.rows
        bands = {}
        for block in range(1, BLOCK + 1):
            bands[block] = np.zeros((block, (block - 1) * axis.stride + axis.extent), self.work.dtype)
            for row in range(block):
                start = row * axis.stride
                bands[block][row, start : start + axis.extent : axis.dilation] = self.weights
        return bands

    def start(self, planes: Array) -> Array:
        """The plane that the tap reads, from its column on."""
        phase, across = self.work.column_window(self.column, planes.shape[-1])
        plane: Array = planes[self.depth, self.work.problem.channel(self.index, self.channel), phase]
        return plane[:, across]


@frozen
class _Part:
    """Blocks of ``block`` rows from ``top`` on, tiles of ``tile`` columns from ``left`` on."""

    top: int
    block: int
    blocks: int
    left: int
    tile: int
    tiles: int

    def sources(self, array: Array, stride: int, rows: int) -> Array:
        """(blocks, tiles, rows, tile) views of what the blocks read; they may overlap."""
        down, across = array.strides
        shape = self.blocks, self.tiles, rows, self.tile
        strides = self.block * stride * down, self.tile * across, down, across
        return as_strided(array[self.top * stride :, self.left :], shape, strides)

    def targets(self, array: Array) -> Array:
        """(blocks, tiles, block, tile) views of the sums."""
        rows = slice(self.top, self.top + self.blocks * self.block)
        part = array[rows, self.left : self.left + self.tiles * self.tile]
        return part.reshape(self.blocks, self.block, self.tiles, self.tile).swapaxes(1, 2)


def _steps(work: Workload, taps: list[_Tap], planes: Array, sums: Array, arena: Arena) -> list[Step]:
    rows, columns = sums.shape[1:]
    tiles = [_Part(*down, *across) for down in parts(rows, BLOCK) for across in parts(columns, TILE)]
    scratch = arena.empty((rows, columns), work.dtype)
    between = [tile.targets(scratch) for tile in tiles]
    steps: list[Step] = []
    for index, out in enumerate(sums):
        targets, started = [tile.targets(out) for tile in tiles], False
        for tap in taps:
            if tap.index == index:
                steps += _products(tap, tiles, tap.start(planes), between if started else targets)
                if started:
                    steps.append((np.add, (out, scratch, out)))
                started = True
        if not started:
            steps.append((np.copyto, (out, work.dtype.type(0))))
    return steps


def _products(tap: _Tap, tiles: list[_Part], plane: Array, targets: list[Array]) -> list[Step]:
    """The products of one column tap."""
    stride = tap.work.problem.rows.stride
    return [
        (np.matmul, (band, part.sources(plane, stride, band.shape[1]), target))
        for part, target in zip(tiles, targets, strict=True)
        for band in [tap.bands[part.block]]
    ]


METHOD: Final = Toeplitz()
