"""Blocked Toeplitz: a few output rows at once as a product of a banded matrix with the rows they read.

For each column tap j, ``out += T_j @ plane[:, j:]`` with ``T_j[b, b·stride + i·dilation] = w[i, j]``.
Blocks of four rows keep the band dense, and tiles of columns keep each product below the size at which a
BLAS would start threads of its own.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.lib.stride_tricks import as_strided

from convcli.dtypes import Array
from convcli.methods import rates
from convcli.methods.base import Arena, Method, Step, Work
from convcli.methods.floats import in_floats
from convcli.plan import Arithmetic, Problem

BLOCK: Final = 4
"""Output rows of a block."""

TILE: Final = 640
"""Columns × lanes of a product."""

MOST_PLANES: Final = 64
"""Planes (depth × in × out) above which im2col does the same with fewer passes."""


class Toeplitz(Method):
    """Dense kernels of one or a few planes, through BLAS."""

    name = "toeplitz"
    mixes = True

    def consider(self, problem: Problem, narrow: Arithmetic) -> Work | str:
        weights = narrow.filter.weights
        planes = weights.shape[0] * weights.shape[3] * weights.shape[4]
        if planes > MOST_PLANES:
            return f"{planes} planes of weights; allowed: up to {MOST_PLANES}"
        floats = in_floats(problem, narrow)
        return floats if isinstance(floats, str) else Work(problem, floats)

    def cost(self, work: Work) -> float:
        depth, _, columns = work.filter.kernel
        products = depth * work.filter.inputs * columns
        rows = (BLOCK - 1) * work.problem.rows.stride + work.problem.rows.extent
        adding = rates.IN_PLACE * rates.add(work.dtype)
        return products * (2 * rows / rates.flops(work.dtype) + adding)

    def grain(self, work: Work) -> tuple[int, int]:
        return BLOCK, TILE

    def steps(self, work: Work, planes: Array, sums: Array, arena: Arena) -> list[Step]:
        scratch = arena.empty(sums.shape[1:], work.dtype)
        steps: list[Step] = []
        for index in range(work.filter.maps):
            out, started = sums[index], False
            for depth, column, channel in np.ndindex(*work.filter.kernel[::2], work.filter.inputs):
                weights = work.filter.weights[depth, :, column, channel, index]
                if not weights.any():
                    continue
                phase, across = work.column_window(column, out.shape[1])
                plane = planes[depth, work.channel(index, channel), phase][:, across]
                target = scratch if started else out
                steps += _products(work, weights, plane, target)
                if started:
                    steps.append((np.add, (out, scratch, out)))
                started = True
            if not started:
                steps.append((np.copyto, (out, work.dtype.type(0))))
        return steps


def _products(work: Work, weights: Array, plane: Array, out: Array) -> list[Step]:
    """The products of one column tap: whole blocks and tiles, then what is left at the ends."""
    rows, columns = out.shape
    stride = work.problem.rows.stride
    steps: list[Step] = []
    for top, block, count in _parts(rows, BLOCK):
        band = _band(work, weights, block)
        for left, tile, tiles in _parts(columns, TILE):
            source = plane[top * stride :, left:]
            target = out[top:, left:]
            steps.append(
                (
                    np.matmul,
                    (
                        band,
                        _tiled(source, count, block * stride, band.shape[1], tiles, tile),
                        _tiled(target, count, block, block, tiles, tile),
                    ),
                )
            )
    return steps


def _parts(size: int, part: int) -> list[tuple[int, int, int]]:
    """(start, part, count): the whole parts, and the rest as one of its own."""
    whole = size // part
    found = [(0, part, whole)] if whole else []
    return found + ([(whole * part, size % part, 1)] if size % part else [])


def _band(work: Work, weights: Array, block: int) -> Array:
    """T_j: (block, rows that the block reads)."""
    axis = work.problem.rows
    band = np.zeros((block, (block - 1) * axis.stride + axis.extent), work.dtype)
    for row in range(block):
        start = row * axis.stride
        band[row, start : start + axis.extent : axis.dilation] = weights
    return band


def _tiled(array: Array, blocks: int, step: int, rows: int, tiles: int, tile: int) -> Array:
    """(blocks, tiles, rows, tile) views: blocks start ``step`` rows apart and may overlap."""
    down, across = array.strides
    shape = blocks, tiles, rows, tile
    return as_strided(array, shape, (step * down, tile * across, down, across))
