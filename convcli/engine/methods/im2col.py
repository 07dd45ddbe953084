"""im2col: every tap is gathered as a row of a matrix, which the weights of all maps then multiply.

The product is (maps × taps) @ (taps × values). It covers a tile of rows and columns whose place follows from
the problem alone: the order in which BLAS adds depends on the size of a product and on a value's place in it,
so the bytes are the same however the image is cut. What a tile gathers stays in the cache, and kernels of one
tap gather nothing. Products are written to the sums directly where rows follow each other in memory.
"""

from __future__ import annotations

from functools import partial
from itertools import product
from math import lcm, prod
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import as_strided

from convcli.core.dtypes import Array
from convcli.engine.methods import rates
from convcli.engine.methods.base import Arena, Binder, Method, Step, Workload
from convcli.engine.methods.floats import in_floats
from convcli.engine.plan import Arithmetic, Problem

_GATHERED: Final = 2**18
"""Values that a tile gathers: they fit in the second-level cache."""

_VALUES: Final = (128, 4096)
"""Least and most sums of a tile per map, where the output has as many: below, BLAS is slow."""

_SHARED: Final = 192
"""Sums of a map from which on it has two tiles at least, for two threads."""


_GATHER: Final = 0.4
"""Cost of gathering a value, relative to adding one."""

_FEW: Final = 4
_ENOUGH: Final = 16
"""With M maps in a group, products reach the share (M + few) / enough of their largest rate."""


class Im2col(Method):
    """Many channels or many maps, through BLAS."""

    name = "im2col"
    mixes = True
    edges = False
    products = True
    long_calls = True

    def consider(self, problem: Problem, narrow: Arithmetic) -> Workload | str:
        if narrow.filter.inputs * narrow.filter.maps == 1:
            return "with one channel and one map, copying the windows costs as much as summing them"
        floats = in_floats(problem, narrow)
        return floats if isinstance(floats, str) else Workload(problem, floats)

    def cost(self, work: Workload) -> float:
        taps = work.filter.weights[..., 0].size
        maps = work.filter.maps / work.problem.groups
        gather = _GATHER * rates.add(work.dtype) * taps / maps
        share = min((maps + _FEW) / _ENOUGH, 1)
        return gather + 2 * taps / (rates.flops(work.dtype) * share)

    def scratch(self, work: Workload) -> float:
        return 0  # it is a block

    def block(self, work: Workload) -> int:
        down, across = self.grain(work)
        return (_layers(work) + work.filter.maps) * down * across * work.problem.lanes

    def grain(self, work: Workload) -> tuple[int, int]:
        rows, columns, lanes = work.problem.rows.output, work.problem.columns.output, work.problem.lanes
        least, most = _VALUES
        values = max(min(_GATHERED // _layers(work), most), least)
        across = _even(columns, max(values // lanes, 1))
        down = _even(rows, max(values // (columns * lanes), 1))
        if down == rows > 1 and rows * columns * lanes >= _SHARED:
            down = -(-rows // 2)
        return down, across

    def binder(self, work: Workload) -> Binder:
        weights = work.filter.weights.transpose(4, 3, 0, 1, 2).astype(work.dtype, order="C", copy=False)
        groups = work.problem.groups
        matrices = weights.reshape(groups, work.filter.maps // groups, -1)
        return partial(_steps, work, matrices, self.grain(work))


def _even(size: int, most: int) -> int:
    """The largest part if ``size`` is divided evenly into as few parts as possible, of up to ``most``."""
    return -(-size // -(-size // most))


def _layers(work: Workload) -> int:
    """Rows of the gathered matrices of all groups together."""
    return work.problem.channels * prod(work.filter.kernel)


def _steps(
    work: Workload, matrices: Array, grain: tuple[int, int], planes: Array, sums: Array, arena: Arena
) -> list[Step]:
    """The calls for every tile; ``matrices`` are (groups, maps / groups, taps of a group)."""
    down, across = _slices(sums.shape[1], grain[0]), _slices(sums.shape[2], grain[1] * work.problem.lanes)
    largest = sums[0, down[0], across[0]].size
    gathered, products = (
        arena.empty((layers * largest,), work.dtype) for layers in (_layers(work), len(sums))
    )
    windows = _windows(work, planes, sums.shape[1:])
    steps: list[Step] = []
    for rows, columns in product(down, across):
        target = sums[:, rows, columns]
        out = _joined(target)
        taps, copies = _gathered([window[..., rows, columns] for window in windows], gathered)
        result = products[: target.size].reshape(len(sums), -1) if out is None else out
        by_group = (part.reshape(len(matrices), -1, part.shape[-1]) for part in (taps, result))
        steps += [*copies, (np.matmul, (matrices, *by_group))]
        if out is None:
            steps.append((np.copyto, (target, result.reshape(target.shape))))
    return steps


def _slices(size: int, part: int) -> list[slice]:
    return [slice(start, min(start + part, size)) for start in range(0, size, part)]


def _windows(work: Workload, planes: Array, size: tuple[int, ...]) -> list[Array]:
    """What the taps read, as views (channels, depth, kernel rows, kernel columns, rows, columns × lanes).

    With a column stride, each phase of the planes has a view of its own, of some columns of the kernel.
    """
    _, kernel_rows, kernel_columns = work.filter.kernel
    rows, columns = work.problem.rows, work.problem.columns
    depth, channel, _, down, across = planes.strides
    apart = lcm(columns.dilation, columns.stride) // columns.dilation
    step = apart * columns.dilation // columns.stride * work.problem.lanes
    steps = channel, depth, down * rows.dilation, across * step, down * rows.stride, across
    windows = []
    for first in range(min(apart, kernel_columns)):
        phase, window = work.column_window(first, size[1])
        shape = planes.shape[1], planes.shape[0], kernel_rows, len(range(first, kernel_columns, apart)), *size
        windows.append(as_strided(planes[:, :, phase, :, window], shape, steps, writeable=False))
    return windows


def _gathered(windows: list[Array], scratch: Array) -> tuple[Array, list[Step]]:
    """The matrix (channels × taps, values) of a tile, and the copies that fill it."""
    channels, depth, kernel_rows, _, *size = windows[0].shape
    kernel_columns = sum(window.shape[3] for window in windows)
    if depth * kernel_rows * kernel_columns == 1:
        in_place = _joined(windows[0].reshape(channels, *size))
        if in_place is not None:
            return in_place, []
    shape = channels, depth, kernel_rows, kernel_columns, *size
    target = scratch[: prod(shape)].reshape(shape)
    copies: list[Step] = [
        (np.copyto, (target[:, :, :, first :: len(windows)], window)) for first, window in enumerate(windows)
    ]
    return target.reshape(-1, prod(size)), copies


def _joined(layers: Array) -> Array | None:
    """(layers, rows, columns) as a matrix (layers, values) for BLAS, or None where that needs a copy."""
    apart, down, across = layers.strides
    rows, columns = layers.shape[1:]
    joined = across == layers.itemsize and (rows == 1 or down == columns * across)
    is_matrix = joined and apart >= rows * columns * across and apart % across == 0
    return layers.reshape(len(layers), -1) if is_matrix else None


METHOD: Final = Im2col()
