"""From a source to planes: what the windows of a strip read, including the border."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.frozen import frozen
from convcli.engine.consumer import StripTask
from convcli.engine.methods.base import Workload
from convcli.engine.plan import Problem
from convcli.engine.source import Source
from convcli.geometry.axes import Axis
from convcli.geometry.border import OUTSIDE, Indices, sources, sources_at
from convcli.geometry.padding import Pair

RowRun = tuple[int, int, int]
"""Consecutive rows: (first plane row, first source row, count); the source row may be `OUTSIDE`."""


@frozen
class ColumnSources:
    """Where the columns of a plane come from.

    Attributes:
        first, count: the plane columns that lie inside the image.
        window: the source columns that they read.
        border: the others, as (plane columns, source columns); None stands for the constant fill.
    """

    first: int
    count: int
    window: slice
    border: tuple[tuple[slice, Indices | None], ...]


class PlaneLoader:
    """Loads the planes of strips, one after another, for one worker.

    Args:
        problem: of the plan.
        work: the method's workload, whose problem may be laid out with folded axes.
    """

    def __init__(self, problem: Problem, work: Workload) -> None:
        self.problem, self.work, self.laid = problem, work, work.problem
        self.columns: dict[tuple[int, int, int], ColumnSources] = {}
        self.rows: dict[tuple[Pair, int], list[tuple[RowRun, int | None]]] = {}
        self.constant = constant_fill(problem, work.loaded)

    def in_place(self, source: Source, task: StripTask) -> Array | None:
        """Planes that are views of the source's own values, or None where a strip needs others.

        Possible where the source has the planes' type, and the windows lie inside it.
        """
        problem = self.problem
        if source.dtype != self.work.loaded or problem.columns.stride > 1 or self.laid is not problem:
            return None
        outputs = (task.depth, task.depth + 1), task.strip.rows, task.strip.columns
        reaches = [axis.reach(part) for axis, part in zip(problem.axes, outputs, strict=True)]
        sizes = [axis.size for axis in problem.axes]
        if any(first < 0 or last > size for (first, last), size in zip(reaches, sizes, strict=True)):
            return None
        depth, rows, columns = reaches
        block = source.rows(task.batch, *rows)
        part = block[slice(*depth), :, slice(*columns)][:: problem.depth.dilation]
        planes = part.transpose(0, 3, 1, 2, 4)[:, :, None]
        return planes if lanes_joined(planes) is not None else None

    def load(self, source: Source, task: StripTask, planes: Array) -> None:
        """Fill ``planes`` with what the strip's windows read."""
        problem = self.problem
        left = problem.columns.window(task.strip.columns[0])[0]
        columns = [self._columns(left, phase, planes.shape[4]) for phase in self.work.phases]
        depths = depth_sources(problem, task.depth)
        place = task.strip.rows, planes.shape[3]
        if place not in self.rows:
            self.rows[place] = _with_copies(self._rows(*place))
        for (first, origin, count), copied in self.rows[place]:
            into = planes[:, :, :, first : first + count]
            if copied is not None:
                np.copyto(into, planes[:, :, :, copied : copied + count])
                continue
            if origin == OUTSIDE:
                into[...] = self.constant
                continue
            block = source.rows(task.batch, origin, origin + count)
            for tap, phase in product(range(len(into)), range(into.shape[2])):
                if depths[tap] == OUTSIDE:
                    into[tap, :, phase] = self.constant
                else:
                    part = block[depths[tap]].transpose(2, 0, 1, 3)
                    _load_rows(part, columns[phase], into[tap, :, phase], self.constant)

    def _rows(self, outputs: Pair, height: int) -> list[RowRun]:
        problem, laid = self.problem, self.laid.rows
        if laid is problem.rows:
            return _row_sources(problem, outputs)
        start = problem.rows.window(outputs[0])[0]
        positions = start + _unfolded(problem.rows, laid, np.arange(height))
        return _row_runs(sources_at(problem.fill, problem.rows.size, positions))

    def _columns(self, left: int, phase: int, width: int) -> ColumnSources:
        place = left, phase, width
        if place not in self.columns:
            problem, laid = self.problem, self.laid.columns
            if laid is problem.columns:
                self.columns[place] = column_sources(problem, left + phase, width)
            else:
                folded = phase + np.arange(width) * laid.stride
                self.columns[place] = _scattered(problem, left + _unfolded(problem.columns, laid, folded))
        return self.columns[place]


def lanes_joined(array: Array) -> Array | None:
    """(…, rows, columns, lanes) with the last two as one contiguous axis, or None where that needs a copy.

    A matrix product wants rows that follow each other in memory.
    """
    size, lanes = array.itemsize, array.shape[-1]
    joined = array.strides[-2] == size * lanes and (lanes == 1 or array.strides[-1] == size)
    wide = array.shape[-2] * lanes * size
    if not joined or array.strides[-3] < wide or array.strides[-3] % size or not array.flags.aligned:
        return None
    return array.reshape(*array.shape[:-2], -1)


def _unfolded(axis: Axis, laid: Axis, positions: Indices) -> Indices:
    """Positions of a folded axis on the axis itself, both counted from the first tap."""
    unfolded: Indices = positions // laid.dilation * axis.dilation + positions % laid.dilation
    return unfolded


def constant_fill(problem: Problem, dtype: DType) -> Array:
    """The fill of each lane in the type of the planes; a negative one wraps around in an unsigned type.

    A fill too large for every integer type only occurs where nothing reads it; other planes are floats.
    """
    fill = np.asarray(problem.outside or (problem.fill.value,) * problem.lanes)
    return np.zeros(fill.shape, dtype) if fill.dtype == object and dtype.kind in "iu" else fill.astype(dtype)


def depth_sources(problem: Problem, output: int) -> list[int]:
    """The depths that the window of an output reads; some may be `OUTSIDE`."""
    axis = problem.depth
    start, stop = axis.window(output)
    if start >= 0 and stop <= axis.size:
        return list(range(start, stop, axis.dilation))
    return [int(i) for i in sources(problem.fill, axis.size, start, stop, axis.dilation)]


def _row_sources(problem: Problem, outputs: Pair) -> list[RowRun]:
    axis = problem.rows
    start, stop = axis.reach(outputs)
    if start >= 0 and stop <= axis.size:
        return [(0, start, stop - start)]
    return _row_runs(sources(problem.fill, axis.size, start, stop))


def _row_runs(indices: Indices) -> list[RowRun]:
    """The runs in which the index grows by one, or stays `OUTSIDE`."""
    steps = np.diff(indices)
    outside = indices == OUTSIDE
    follows = np.where(outside[1:], outside[:-1], (steps == 1) & ~outside[:-1])
    starts = np.concatenate(([0], np.flatnonzero(~follows) + 1))
    counts = np.diff(np.concatenate((starts, [len(indices)])))
    return [(int(s), int(indices[s]), int(n)) for s, n in zip(starts, counts, strict=True)]


def _with_copies(runs: list[RowRun]) -> list[tuple[RowRun, int | None]]:
    """The runs, the longest first; with those that it contains, the plane row that they are copied from."""
    longest = max(runs, key=lambda run: run[2])
    start, origin, length = longest
    order: list[tuple[RowRun, int | None]] = [(longest, None)]
    for run in runs:
        _, first, count = run
        is_inside = origin != OUTSIDE and origin <= first and first + count <= origin + length
        if run is not longest:
            order.append((run, start + first - origin if is_inside else None))
    return order


def column_sources(problem: Problem, left: int, width: int) -> ColumnSources:
    """Where ``width`` columns are read, from position ``left`` on, a stride apart."""
    axis = problem.columns
    positions = left + np.arange(width) * axis.stride
    inside = np.flatnonzero((positions >= 0) & (positions < axis.size))
    first, count = (int(inside[0]), len(inside)) if len(inside) else (0, 0)
    start = left + first * axis.stride
    window = slice(start, start + (count - 1) * axis.stride + 1, axis.stride)
    indices = sources(problem.fill, axis.size, left, left + width * axis.stride, axis.stride)
    ends = slice(0, first), slice(first + count, width)
    border = [(end, indices[end]) for end in ends if end.start < end.stop]
    constant = problem.fill.mode == "constant"
    return ColumnSources(first, count, window, tuple((end, None if constant else at) for end, at in border))


def _scattered(problem: Problem, positions: Indices) -> ColumnSources:
    """Columns that are read at positions which do not follow each other."""
    indices = sources_at(problem.fill, problem.columns.size, positions)
    outside = indices == OUTSIDE
    ends = [0, *(np.flatnonzero(outside[1:] != outside[:-1]) + 1).tolist(), len(indices)]
    border = [(slice(first, last), indices[first:last]) for first, last in pairwise(ends)]
    return ColumnSources(
        0, 0, slice(0), tuple((part, None if at[0] == OUTSIDE else at) for part, at in border)
    )


def _load_rows(block: Array, columns: ColumnSources, into: Array, constant: Array) -> None:
    """Load (channels, rows, columns, lanes): the inner columns, then the border columns."""
    if columns.count:
        inner = into[:, :, columns.first : columns.first + columns.count]
        np.copyto(inner, block[:, :, columns.window], casting="unsafe")
    for positions, indices in columns.border:
        into[:, :, positions] = constant if indices is None else block.take(indices, axis=2)
