"""Direct sums in the extension: every tap of every window, for many maps and positions at a time.

The sum of a window adds its products channel after channel, each row by row, and rounds every product and
every addition by itself. So floats have the same bytes with any number of threads, any cut and any
instruction set.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.engine import native
from convcli.engine.methods import rates
from convcli.engine.methods.base import Binder, Method, Workload
from convcli.engine.plan import Arithmetic, Problem
from convcli.engine.program import DIRECT, ROWS, Program
from convcli.native.loader import description

MAPS: Final = (8, 4)
"""Numbers of maps whose sums are computed together; the last ones may be unused."""


class Direct(Method):
    """Every kernel and every layer, where the extension is installed."""

    name = "direct"
    steady = True

    def consider(self, problem: Problem, narrow: Arithmetic) -> Workload | str:
        if not native.is_available(narrow.dtype):
            return f"it needs the compiled extension, which is {description()}"
        work = Workload(problem, native.widened(narrow))
        return work if native.holds(work) else "the windows lie too far apart"

    def compiled(self, work: Workload) -> bool:
        return True

    def cost(self, work: Workload) -> float:
        shares = work.filter.maps >= MAPS[1] * work.problem.groups
        rate = rates.TAP[work.dtype.itemsize] * (rates.SHARED_TAP if shares else 1)
        return float(rates.FINISH + work.filter.taps * rate)

    def binder(self, work: Workload) -> Binder:
        return native.binder(self.program(work), work)

    def program(self, work: Workload) -> Program:
        flat = np.moveaxis(work.filter.weights, (4, 3), (0, 1)).reshape(work.filter.maps, -1)
        flat = flat.astype(work.dtype, copy=False)
        table = _Table(_taps(work), flat, work.filter.maps // work.problem.groups)
        for first, last, how in _runs(work, flat):
            if how == _MASKED:
                for index in range(first, last):
                    table.add_without_zeros(index)
            elif how == _SINGLE:
                table.add(first, last, 1)
            else:
                most, half = MAPS
                rest = (last - first) % most
                table.add(first, last - rest, most)
                table.add(last - rest, last, half if rest <= half else most)
        return table.program(*_kind(work, table))


_TOGETHER, _SINGLE, _MASKED = range(3)


def _runs(work: Workload, flat: Array) -> Iterator[tuple[int, int, int]]:
    """(first, last, how) of consecutive maps of a group that are computed alike.

    Maps share what they read, unless they would multiply it by 0: 0·∞ is not 0, and zeros take time.
    """
    maps = work.filter.maps // work.problem.groups
    if work.problem.dtype.kind == "f":
        full = np.asarray(flat.all(axis=1))
    else:
        full = np.full(len(flat), bool(2 * np.count_nonzero(flat) >= flat.size))
    if maps == 1 and full.all():
        yield 0, len(flat), _SINGLE
        return
    for group in range(0, len(flat), maps):
        ends = np.flatnonzero(np.diff(full[group : group + maps])) + 1
        for first, last in pairwise([0, *ends.tolist(), maps]):
            how = _TOGETHER if last - first > 1 else _SINGLE
            yield group + first, group + last, how if full[group + first] else _MASKED


class _Table:
    """Collects the blocks of a program.

    Args:
        taps: (groups, taps, 3), the taps that each group reads.
        flat: (maps, taps), the weights.
        maps: number of maps of a group.
    """

    def __init__(self, taps: Array, flat: Array, maps: int) -> None:
        self.group_taps, self.flat, self.maps = taps, flat, maps
        self.count = taps.shape[1]
        self.taps, self.weights = [taps.reshape(-1, 3)], [flat.reshape(-1)]
        self.blocks: list[Array] = []
        self.used_taps, self.used_weights = len(self.taps[0]), flat.size

    def add(self, first: int, last: int, together: int) -> None:
        """Add maps that read all taps of their group, in blocks of ``together``."""
        index = np.arange(first, last, together)
        blocks = np.empty((len(index), 7), np.int64)
        blocks[:, 0], blocks[:, 1], blocks[:, 2] = index, together, np.minimum(last - index, together)
        blocks[:, 3], blocks[:, 4] = index // self.maps * self.count, self.count
        blocks[:, 5], blocks[:, 6] = index * self.count, self.count
        self.blocks.append(blocks)

    def add_without_zeros(self, index: int) -> None:
        """Add a map that reads only the taps whose weights are not 0."""
        used = self.flat[index] != 0
        taps, weights = self.group_taps[index // self.maps][used], self.flat[index][used]
        self.blocks.append(
            np.array([[index, 1, 1, self.used_taps, len(taps), self.used_weights, 0]], np.int64)
        )
        self.taps.append(taps)
        self.weights.append(weights)
        self.used_taps, self.used_weights = self.used_taps + len(taps), self.used_weights + len(taps)

    def program(self, kind: int, window: tuple[int, int, int]) -> Program:
        """The program of all blocks."""
        taps, blocks, weights = map(_joined, (self.taps, self.blocks, self.weights))
        return Program(kind, taps, blocks, weights, window)


def _joined(parts: list[Array]) -> Array:
    """All parts in one array; a single one is not copied."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _kind(work: Workload, table: _Table) -> tuple[int, tuple[int, int, int]]:
    """The kind of program and its window: rows together where each map reads a whole window of one plane."""
    rows, columns = work.filter.kernel[1:]
    problem = work.problem
    plain = problem.rows.stride == problem.rows.dilation == problem.columns.stride == 1
    single = all(
        (blocks[:, 1] == 1).all() and (blocks[:, 4] == rows * columns).all() for blocks in table.blocks
    )
    if plain and single and table.count == rows * columns:
        return ROWS, (rows, columns, 1)
    return DIRECT, (1, 1, 1)


def _taps(work: Workload) -> Array:
    """The taps that each group reads, (groups, channels × depth × rows × columns, 3): plane, row, value."""
    problem = work.problem
    depth, inputs, phases = work.filter.kernel[0], work.filter.inputs, len(work.phases)
    row_phase, down = work.row_taps
    column_phase, across = work.column_taps
    channels = np.arange(problem.groups * inputs).reshape(problem.groups, inputs, 1, 1, 1)
    plane = np.arange(depth)[:, None, None] * problem.channels + channels
    plane = plane * phases + column_phase
    plane = plane * problem.rows.stride + row_phase[:, None]
    taps = np.empty((*plane.shape, 3), np.int64)
    taps[..., 0], taps[..., 1], taps[..., 2] = plane, down[:, None], across
    return taps.reshape(problem.groups, -1, 3)


METHOD: Final = Direct()
