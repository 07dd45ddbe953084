"""Obeys a Plan: strip by strip, load with the border, run the method, hand the sums on.

A strip is loaded, computed and consumed by one worker while it is in its cache; workers share nothing but
the list of strips. Where the source has the sums' type and a strip's windows lie inside it, the source itself
serves as the planes; where the results are the sums, they are written to their place at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from threading import Event, Lock
from typing import Final, Protocol

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.frozen import frozen
from convcli.core.threads import Threads
from convcli.engine.blas import ONE_THREAD, callers
from convcli.engine.combine import combine
from convcli.engine.methods.base import Arena, Step, Work
from convcli.engine.plan import Plan, Problem
from convcli.engine.planner import PLAIN, laid_out, method_named
from convcli.engine.source import Source
from convcli.geometry.axes import Axis, Strip
from convcli.geometry.border import OUTSIDE, Indices, sources, sources_at
from convcli.geometry.padding import Pair

BUFFER: Final = 1024
"""NumPy's buffer, in values. It copies rows shorter than about a quarter of it, which for its own 8192 made
additions of rows of 500 to 2500 values twice as slow."""


@frozen
class StripTask:
    """One strip of one depth position of one batch entry."""

    batch: int
    depth: int
    strip: Strip


Run = tuple[int, int, int]
"""A run of rows: (first target, first source, count); the source may be `OUTSIDE`."""


@frozen
class Columns:
    """The target columns that lie inside the picture, the source's window for them, and the others.

    ``border`` holds (target columns, the source's indices); None stands for a constant.
    """

    first: int
    count: int
    window: slice
    border: tuple[tuple[slice, Indices | None], ...]


class Consumer(Protocol):
    """Takes the sums of tasks."""

    def room(self, task: StripTask) -> Array | None:
        """Where the sums of a task may be written at once, (maps, rows, columns, lanes), or None."""

    def take(self, task: StripTask, sums: Array) -> None:
        """Take sums that had no room; they are scratch and may be changed."""


class Holder(Protocol):
    """Keeps what tasks read for as long as they are at work."""

    def hold(self, batch: int) -> None:
        """Keep a batch entry until it is released."""

    def release(self, batch: int) -> None:
        """Give up one hold on a batch entry."""


class _Tasks:
    """The tasks of a plan in order, for several workers.

    A task is taken and its batch entry held in one step. So an entry before the last one taken is either held
    or finished, and a worker that lags behind never asks for one that is gone.
    """

    def __init__(self, plan: Plan, holder: Holder | None) -> None:
        self.lock, self.holder = Lock(), holder
        self.left = deque(
            StripTask(batch, depth, strip)
            for batch in range(plan.problem.batch)
            for depth in range(plan.problem.depth.output)
            for strip in plan.strips()
        )

    def each(self) -> Iterator[StripTask]:
        """Tasks until none are left; one is finished when the next is asked for."""
        while (task := self._next()) is not None:
            try:
                yield task
            finally:
                if self.holder is not None:
                    self.holder.release(task.batch)

    def _next(self) -> StripTask | None:
        with self.lock:
            task = self.left.popleft() if self.left else None
            if task is not None and self.holder is not None:
                self.holder.hold(task.batch)
            return task


def run(plan: Plan, source: Source, consumer: Callable[[], Consumer], holder: Holder | None = None) -> None:
    """Compute every strip of ``source`` and hand it to a consumer.

    Args:
        source: values of the problem's type.
        consumer: makes one consumer for each worker. Tasks are begun in the order of the plan's strips.
        holder: keeps the batch entries of ``source`` that are being read, where it does not keep all.
    """
    tasks = _Tasks(plan, holder)
    halt = Event()
    with ExitStack() as stack:
        count = plan.threads
        if method_named(plan.method).products:
            stack.enter_context(ONE_THREAD)
            count = callers(count)
        threads = stack.enter_context(Threads())
        try:  # a signal may come while the workers begin
            wanted = count if count > 1 else 0
            while len(threads) < wanted and threads.begin(
                partial(_work, plan, source, tasks, consumer(), halt)
            ):
                pass
            if not threads:
                _work(plan, source, tasks, consumer(), halt)
            threads.join()
        finally:
            halt.set()


def _work(plan: Plan, source: Source, tasks: _Tasks, consumer: Consumer, halt: Event) -> None:
    """One worker: tasks until there are none; a failure, or an interrupt, ends the others' too."""
    try:
        # IEEE's answers to overflow and NaN are the answers.
        with np.errstate(all="ignore"), Arena() as arena:
            np.setbufsize(BUFFER)  # which errstate restores
            bench = _Bench(plan, arena, halt)
            for task in tasks.each():
                if halt.is_set():
                    return
                room = bench.room(consumer.room(task))
                if bench.compute(source, task, room) and room is None:
                    consumer.take(task, bench.sums())
    except BaseException:
        halt.set()
        raise


@frozen
class _Bound:
    """Buffers for one shape of strip, and the calls that turn the planes into the sums."""

    planes: Array
    sums: Array  # (maps, rows, columns × lanes)
    steps: list[Step]


class _Bench:
    """What one worker keeps: scratch, bound once for each shape of strip, and where columns are read."""

    def __init__(self, plan: Plan, arena: Arena, halt: Event) -> None:
        self.plan, self.arena, self.halt = plan, arena, halt
        method = method_named(plan.method)
        self.laid = laid_out(plan.problem, plan.arithmetic, method, plan.height, plan.width)
        self.work = Work(self.laid, plan.arithmetic)
        self.mends = method.mixes and plan.problem.dtype.kind == "f"
        self.bind = method.binder(self.work)
        self.bound: dict[Pair, _Bound] = {}
        self.columns: dict[tuple[int, int, int], Columns] = {}
        self.constant = _constant(plan.problem.outside or plan.problem.fill.value, self.work.loaded)

    def room(self, offered: Array | None) -> Array | None:
        """The room for a task's sums, lanes joined, where a method can write to it."""
        if offered is None or offered.dtype != self.work.dtype or self.plan.problem.filter.combine:
            return None
        return _lanes_joined(offered)

    def compute(self, source: Source, task: StripTask, room: Array | None) -> bool:
        """Compute one task, into ``room`` if given; False where it was halted."""
        planes = self._inside(source, task)
        bound = self._bound(task.strip.shape, planes, room)
        if planes is None:
            self._load(source, task, bound.planes)
        if self.mends and not np.isfinite(bound.planes).all():
            self._compute_apart(bound)
            return True
        for call, arguments in bound.steps:
            if self.halt.is_set():
                return False
            call(*arguments)
        return True

    def _compute_apart(self, bound: _Bound) -> None:
        """Keep NaN and infinity inside the windows that hold them.

        The method runs with zeros in their place; plain sums, which read a window's own taps alone, say
        where they belong.
        """
        finite = np.where(np.isfinite(bound.planes), bound.planes, 0)
        plain = np.empty_like(bound.sums)
        steps = self.bind(_joined(finite), bound.sums, Arena())
        steps += PLAIN.binder(self.work)(_joined(bound.planes), plain, Arena())
        for call, arguments in steps:
            call(*arguments)
        np.copyto(bound.sums, plain, where=~np.isfinite(plain))

    def sums(self) -> Array:
        """The sums of the latest task, (maps, rows, columns, lanes), combined if the filter says so."""
        flat, how = self.latest.sums, self.plan.problem.filter.combine
        sums = flat.reshape(*flat.shape[:2], -1, self.plan.problem.lanes)
        return combine(sums, how, self.plan.outcome.dtype) if how else sums

    def _bound(self, shape: Pair, planes: Array | None, sums: Array | None) -> _Bound:
        """The buffers and steps for a strip; those that lie in scratch are kept for the next of its shape."""
        kept = planes is None and sums is None
        if kept and shape in self.bound:
            self.latest = self.bound[shape]
            return self.latest
        rows, columns = shape
        work = self.work
        self.arena.restart()
        if planes is None:
            planes = self.arena.empty(work.plane_shape(rows, columns), work.loaded)
        if sums is None:
            size = work.filter.maps, rows, columns * self.plan.problem.lanes
            sums = self.arena.empty(size, work.dtype)
        self.latest = _Bound(planes, sums, self.bind(_joined(planes), sums, self.arena))
        if kept:
            self.bound[shape] = self.latest
        return self.latest

    def _inside(self, source: Source, task: StripTask) -> Array | None:
        """The source's own values as planes, where they have the sums' type and the strip needs no others."""
        problem = self.plan.problem
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
        return planes if _lanes_joined(planes) is not None else None

    def _load(self, source: Source, task: StripTask, planes: Array) -> None:
        """Fill the planes with what the strip's windows read, border and all."""
        problem = self.plan.problem
        left = problem.columns.window(task.strip.columns[0])[0]
        columns = [self._columns(left, phase, planes.shape[4]) for phase in self.work.phases]
        depths = _tap_sources(problem, task.depth)
        for first, origin, count in self._rows(task.strip.rows, planes.shape[3]):
            into = planes[:, :, :, first : first + count]
            if origin == OUTSIDE:
                into[...] = self.constant
                continue
            block = source.rows(task.batch, origin, origin + count)
            for tap, channel, phase in np.ndindex(into.shape[:3]):
                if depths[tap] == OUTSIDE:
                    into[tap, channel, phase] = self.constant
                else:
                    part = block[depths[tap], :, :, channel]
                    _load_rows(part, columns[phase], into[tap, channel, phase], self.constant)

    def _rows(self, outputs: Pair, height: int) -> list[Run]:
        problem, laid = self.plan.problem, self.laid.rows
        if laid is problem.rows:
            return _row_sources(problem, outputs)
        start = problem.rows.window(outputs[0])[0]
        positions = start + _unfolded(problem.rows, laid, np.arange(height))
        return _run_lengths(sources_at(problem.fill, problem.rows.size, positions))

    def _columns(self, left: int, phase: int, width: int) -> Columns:
        place = left, phase, width
        if place not in self.columns:
            problem, laid = self.plan.problem, self.laid.columns
            if laid is problem.columns:
                self.columns[place] = _column_sources(problem, left + phase, width)
            else:
                folded = phase + np.arange(width) * laid.stride
                self.columns[place] = _apart(problem, left + _unfolded(problem.columns, laid, folded))
        return self.columns[place]


def _unfolded(axis: Axis, laid: Axis, positions: Indices) -> Indices:
    """Where positions of a folded axis lie on the axis itself, both from the first tap on."""
    found: Indices = positions // laid.dilation * axis.dilation + positions % laid.dilation
    return found


def _apart(problem: Problem, positions: Indices) -> Columns:
    """Columns that are read at positions which do not follow each other."""
    indices = sources_at(problem.fill, problem.columns.size, positions)
    outside = indices == OUTSIDE
    ends = [0, *(np.flatnonzero(outside[1:] != outside[:-1]) + 1).tolist(), len(indices)]
    border = [(slice(first, last), indices[first:last]) for first, last in pairwise(ends)]
    return Columns(0, 0, slice(0), tuple((part, None if at[0] == OUTSIDE else at) for part, at in border))


def _constant(value: float | tuple[float, ...], dtype: DType) -> Array:
    """A fill in the type of the planes; a negative one wraps around in an unsigned type, as the sums do.

    One that no integer holds meets no weight, or else the planes were floats.
    """
    found = np.asarray(value)
    return (
        np.zeros(found.shape, dtype) if found.dtype == object and dtype.kind in "iu" else found.astype(dtype)
    )


def _joined(planes: Array) -> Array:
    """Planes, (depth, channels, phases, rows, columns, lanes), with columns and lanes as one axis."""
    return planes.reshape(*planes.shape[:4], -1)


def _lanes_joined(array: Array) -> Array | None:
    """(…, rows, columns, lanes) with the last two as one contiguous axis, where that needs no copy.

    A product of matrices wants rows that follow each other in memory.
    """
    size, lanes = array.itemsize, array.shape[-1]
    joined = array.strides[-2] == size * lanes and (lanes == 1 or array.strides[-1] == size)
    wide = array.shape[-2] * lanes * size
    if not joined or array.strides[-3] < wide or array.strides[-3] % size or not array.flags.aligned:
        return None
    return array.reshape(*array.shape[:-2], -1)


def _tap_sources(problem: Problem, output: int) -> list[int]:
    axis = problem.depth
    start, stop = axis.window(output)
    if start >= 0 and stop <= axis.size:
        return list(range(start, stop, axis.dilation))
    return [int(i) for i in sources(problem.fill, axis.size, start, stop, axis.dilation)]


def _row_sources(problem: Problem, outputs: Pair) -> list[Run]:
    axis = problem.rows
    start, stop = axis.reach(outputs)
    if start >= 0 and stop <= axis.size:
        return [(0, start, stop - start)]
    return _run_lengths(sources(problem.fill, axis.size, start, stop))


def _run_lengths(indices: Indices) -> list[Run]:
    """The runs in which the index grows by one, or stays `OUTSIDE`."""
    steps = np.diff(indices)
    outside = indices == OUTSIDE
    follows = np.where(outside[1:], outside[:-1], (steps == 1) & ~outside[:-1])
    starts = np.concatenate(([0], np.flatnonzero(~follows) + 1))
    counts = np.diff(np.concatenate((starts, [len(indices)])))
    return [(int(s), int(indices[s]), int(n)) for s, n in zip(starts, counts, strict=True)]


def _load_rows(block: Array, columns: Columns, into: Array, constant: Array) -> None:
    """Load (rows, columns, lanes): the inner columns, then the border columns."""
    if columns.count:
        inner = into[:, columns.first : columns.first + columns.count]
        np.copyto(inner, block[:, columns.window], casting="unsafe")
    for positions, indices in columns.border:
        into[:, positions] = constant if indices is None else block.take(indices, axis=1)


def _column_sources(problem: Problem, left: int, width: int) -> Columns:
    """Where ``width`` columns are read, from position ``left`` on, a stride apart."""
    axis = problem.columns
    positions = left + np.arange(width) * axis.stride
    inside = np.flatnonzero((positions >= 0) & (positions < axis.size))
    first, count = (int(inside[0]), len(inside)) if len(inside) else (0, 0)
    start = left + first * axis.stride
    window = slice(start, start + (count - 1) * axis.stride + 1, axis.stride)
    found = sources(problem.fill, axis.size, left, left + width * axis.stride, axis.stride)
    ends = slice(0, first), slice(first + count, width)
    border = [(end, found[end]) for end in ends if end.start < end.stop]
    constant = problem.fill.mode == "constant"
    return Columns(first, count, window, tuple((end, None if constant else at) for end, at in border))
