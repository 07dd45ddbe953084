"""Direct sums in the extension: every tap of every window, for many maps and positions at a time.

The sum of a window adds its products channel after channel, each row by row, and rounds every product and
every addition by itself. So floats have the same bytes with any number of threads, any cut and any
instruction set.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import replace
from convcli.engine import native
from convcli.engine.methods import rates
from convcli.engine.methods.base import Binder, Method, Workload
from convcli.engine.plan import Arithmetic, Problem
from convcli.engine.program import DIRECT, ROWS, Block, Program, program_of

MAPS: Final = (8, 4)
"""Maps whose sums are computed together; unused ones have weight 0."""

COUNTED: Final = 2**16
"""Weights up to which those that are not 0 are counted."""


class Direct(Method):
    """Every kernel and every layer, where the extension is installed."""

    name = "direct"

    def consider(self, problem: Problem, narrow: Arithmetic) -> Workload | str:
        if not native.is_available(narrow.dtype):
            return "the compiled extension is not in use"
        return Workload(problem, replace(narrow, dtype=native.SUMS[narrow.dtype], loaded=None))

    def compiled(self, work: Workload) -> bool:
        return True

    def cost(self, work: Workload) -> float:
        weights = work.filter.weights
        taps = weights.size if weights.size > COUNTED else np.count_nonzero(weights)
        return float(taps / work.filter.maps * rates.tap(work.dtype))

    def binder(self, work: Workload) -> Binder:
        return native.binder(self.program(work), work)

    def program(self, work: Workload) -> Program:
        groups, maps = work.problem.groups, work.filter.maps // work.problem.groups
        flat = np.moveaxis(work.filter.weights, (4, 3), (0, 1)).reshape(work.filter.maps, -1)
        flat = flat.astype(work.dtype, copy=False)
        if maps == 1 or not _shares(work, flat):
            return _apart(work, flat)
        blocks: list[tuple[int, int, int, int, int]] = []
        taps, weights = [], []
        used = 0
        for group in range(groups):
            first = group * maps
            for start, count, together in _cut(maps):
                part = flat[first + start : first + start + count]
                packed = native.packed(part, together)
                blocks += [
                    (
                        first + start + at,
                        together,
                        group * flat.shape[1],
                        flat.shape[1],
                        used + at * flat.shape[1],
                    )
                    for at in range(0, count, together)
                ]
                weights.append(packed)
                used += packed.size
            taps.append(_taps(work, group))
        return Program(DIRECT, np.concatenate(taps), np.array(blocks, np.int64), np.concatenate(weights))


def _shares(work: Workload, flat: Array) -> bool:
    """Whether maps may read each other's taps: floats only if none has weight 0, since 0·∞ is not 0."""
    if work.problem.dtype.kind == "f":
        return bool(flat.all())
    return bool(2 * np.count_nonzero(flat) >= flat.size)


def _apart(work: Workload, flat: Array) -> Program:
    """The program of maps that are computed one by one, without taps of weight 0."""
    problem = work.problem
    maps = work.filter.maps // problem.groups
    every = [_taps(work, group) for group in range(problem.groups)]
    rows, columns = work.filter.kernel[1:]
    plain = problem.rows.stride == problem.rows.dilation == problem.columns.stride == 1
    if plain and flat.shape[1] == rows * columns and flat.all():
        blocks = [Block(index, 1, every[index // maps], weights) for index, weights in enumerate(flat)]
        return program_of(ROWS, blocks, work.dtype, (rows, columns, 1))
    blocks = [
        Block(index, 1, every[index // maps][weights != 0], weights[weights != 0])
        for index, weights in enumerate(flat)
    ]
    return program_of(DIRECT, blocks, work.dtype)


def _cut(maps: int) -> list[tuple[int, int, int]]:
    """(first, count, maps together) of the parts of a group."""
    most, half = MAPS
    rest = maps % most
    parts = [(0, maps - rest, most)] if maps >= most else []
    return [*parts, (maps - rest, rest, half if rest <= half else most)] if rest else parts


def _taps(work: Workload, group: int) -> Array:
    """(channels × depth × rows × columns, 3) of what a group reads: plane, row and value."""
    problem = work.problem
    depth, rows, columns = work.filter.kernel
    inputs, phases = work.filter.inputs, len(work.phases)
    down, row_phase = np.divmod(np.arange(rows) * problem.rows.dilation, problem.rows.stride)
    across, column_phase = np.divmod(np.arange(columns) * problem.columns.dilation, problem.columns.stride)
    channels = np.arange(group * inputs, (group + 1) * inputs)[:, None, None, None]
    plane = np.arange(depth)[:, None, None] * problem.channels + channels
    plane = plane * phases + np.searchsorted(work.phases, column_phase)
    plane = plane * problem.rows.stride + row_phase[:, None]
    taps = np.empty((inputs, depth, rows, columns, 3), np.int64)
    taps[..., 0], taps[..., 1], taps[..., 2] = plane, down[:, None], across * problem.lanes
    return taps.reshape(-1, 3)


METHOD: Final = Direct()
