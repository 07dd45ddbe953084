"""Depthwise layers: shift and add for many channels at once, each with weights of its own.

Every tap is one multiplication, of the channels' shifted planes by a column of weights, and one addition.
Blocks of channels stay in the cache. Without strides, the rows of a plane are taken as one long row, whose
taps are plain offsets: NumPy takes as long to begin a row as to compute tens of values. What then lies
between the rows of the output is left behind in a copy.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen
from convcli.engine.methods import rates
from convcli.engine.methods.base import Arena, Binder, Method, Step, Workload, summing
from convcli.engine.plan import Arithmetic, Problem

_BLOCK: Final = 2**15
"""Sums of the channels that are computed together: with their scratch, they fit in the second-level cache."""


class Depthwise(Method):
    """Layers with a group for each channel."""

    name = "depthwise"
    mixes = True
    edges = False

    def consider(self, problem: Problem, narrow: Arithmetic) -> Workload | str:
        if problem.channels == 1 or problem.groups != problem.channels:
            return "it takes layers with a group for each channel"
        return Workload(problem, narrow)

    def cost(self, work: Workload) -> float:
        taps = len(_taps(work))
        return summing(taps, taps, work.dtype) + rates.IN_PLACE * rates.add(work.dtype)

    def scratch(self, work: Workload) -> float:
        return 0

    def block(self, work: Workload) -> int:
        return 4 * _BLOCK

    def binder(self, work: Workload) -> Binder:
        return partial(_steps, work, _taps(work))


@frozen(eq=False)
class _Tap:
    """A place (depth, row, column) and its weights, (channels, maps of each, 1)."""

    place: tuple[int, int, int]
    weights: Array


def _taps(work: Workload) -> list[_Tap]:
    """The taps that are not 0 for all channels."""
    weights = work.filter.weights[:, :, :, 0].astype(work.dtype)
    shape = work.problem.groups, -1, 1
    places = np.argwhere(weights.any(axis=-1)).tolist()
    return [_Tap((d, r, c), np.ascontiguousarray(weights[d, r, c]).reshape(shape)) for d, r, c in places]


def _steps(work: Workload, taps: list[_Tap], planes: Array, sums: Array, arena: Arena) -> list[Step]:
    if not taps:
        return [(np.copyto, (sums, work.dtype.type(0)))]
    size = sums.shape[1:]
    targets = sums.reshape(work.problem.channels, -1, *size)
    long = _rows_joined(work, planes)
    views = [_view(work, tap, planes, size) if long is None else _long(work, tap, long, size) for tap in taps]
    pitch = size[1] if long is None else planes.shape[-1]
    each = max(_BLOCK // (size[0] * pitch * targets.shape[1]), 1)
    scratch, total = (arena.empty((each, targets.shape[1], size[0] * pitch), work.dtype) for _ in range(2))
    steps: list[Step] = []
    for first in range(0, len(targets), each):
        block = slice(first, first + each)
        target = targets[block]
        if long is None:
            out = target
            product = scratch[: len(target)].reshape(target.shape)
        else:
            out, product = (array[: len(target), :, : views[0].shape[-1]] for array in (total, scratch))
        for tap, view in zip(taps, views, strict=True):
            into = out if tap is taps[0] else product
            weights = tap.weights[block].reshape(*target.shape[:2], *(1,) * (out.ndim - 2))
            steps.append((np.multiply, (view[block, None], weights, into)))
            if into is product:
                steps.append((np.add, (out, product, out)))
        if long is not None:
            apart = total[: len(target)].reshape(*target.shape[:3], pitch)
            steps.append((np.copyto, (target, apart[..., : size[1]])))
    return steps


def _view(work: Workload, tap: _Tap, planes: Array, size: tuple[int, ...]) -> Array:
    """What a tap reads, (channels, rows, columns × lanes)."""
    depth, row, column = tap.place
    phase, across = work.column_window(column, size[1])
    return planes[depth, :, phase, work.row_window(row, size[0]), across]


def _long(work: Workload, tap: _Tap, long: Array, size: tuple[int, ...]) -> Array:
    """What a tap reads of joined rows, (channels, values), from the first output to the last."""
    depth, row, column = tap.place
    rows, columns = work.problem.rows, work.problem.columns
    pitch = columns.dilation * (columns.kernel - 1) * work.problem.lanes + size[1]
    first = row * rows.dilation * pitch + column * columns.dilation * work.problem.lanes
    return long[depth, :, first : first + (size[0] - 1) * pitch + size[1]]


def _rows_joined(work: Workload, planes: Array) -> Array | None:
    """The planes as (depth, channels, values), if a tap of all outputs is an offset in them."""
    strides = work.problem.rows.stride, work.problem.columns.stride
    if strides != (1, 1) or planes.strides[3] != planes.shape[4] * planes.itemsize:
        return None
    return planes.reshape(*planes.shape[:2], -1)


METHOD: Final = Depthwise()
