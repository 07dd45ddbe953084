"""Direct sums in the extension: every tap of every window, for many maps and positions at a time.

The sum of a window adds its products channel after channel, each row by row, and rounds every product and
every addition by itself. So floats have the same bytes with any number of threads, any cut and any
instruction set.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import replace
from convcli.engine import native
from convcli.engine.methods import rates
from convcli.engine.methods.base import Binder, Method, Workload
from convcli.engine.plan import Arithmetic, Problem
from convcli.engine.program import DIRECT, ROWS, Block, Program, program_of

MAPS: Final = (8, 4, 1)
"""Maps whose sums are computed together; unused ones have weight 0."""


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
        return float(np.count_nonzero(work.filter.weights) / work.filter.maps * rates.tap(work.dtype))

    def binder(self, work: Workload) -> Binder:
        return native.binder(self.program(work), work)

    def program(self, work: Workload) -> Program:
        blocks = list(_blocks(work))
        rows, columns = work.filter.kernel[1:]
        if _is_dense(work, blocks[0]):
            return program_of(ROWS, blocks, work.dtype, (rows, columns, 1))
        return program_of(DIRECT, blocks, work.dtype)


def _is_dense(work: Workload, block: Block) -> bool:
    """Whether a single plane is read by all taps of a window whose rows follow each other."""
    problem = work.problem
    planes = work.filter.kernel[0] * problem.channels * work.filter.maps * len(work.phases)
    return planes == problem.rows.stride == problem.rows.dilation == 1 and len(block.taps) == prod(
        work.filter.kernel
    )


def _blocks(work: Workload) -> Iterator[Block]:
    """The maps of each group together where they read the same taps, or else one by one without zeros."""
    groups = work.problem.groups
    maps = work.filter.maps // groups
    for group in range(groups):
        taps = _taps(work, group)
        share = work.filter.weights[..., group * maps : (group + 1) * maps]
        flat = np.moveaxis(share, 3, 0).reshape(len(taps), maps)
        single = maps == 1 or (work.problem.dtype.kind == "f" and not flat.all())
        if single or 2 * np.count_nonzero(flat) < flat.size:
            for index in range(maps):
                used = flat[:, index] != 0
                yield Block(group * maps + index, 1, taps[used], flat[used, index])
        else:
            for first, count in _cut(maps):
                part = np.zeros((len(taps), count), work.dtype)
                used = min(count, maps - first)
                part[:, :used] = flat[:, first : first + used]
                yield Block(group * maps + first, count, taps, part)


def _cut(maps: int) -> list[tuple[int, int]]:
    """(first, maps) of the blocks of a group."""
    most, half, _ = MAPS
    blocks = [(first, most) for first in range(0, maps - maps % most, most)]
    rest = maps % most
    return [*blocks, (maps - rest, half if rest <= half else most)] if rest else blocks


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
