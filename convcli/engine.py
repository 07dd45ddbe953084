"""Obeys a Plan: strip by strip, load with the border, run the method, hand the sums on.

A strip is loaded, computed and consumed by one worker while it is in its cache; workers share nothing but
the list of strips.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event

import numpy as np

from convcli.border import OUTSIDE, Indices, sources
from convcli.combine import combine
from convcli.dtypes import Array
from convcli.geometry import Strip
from convcli.methods.base import Arena, Step, Work
from convcli.padding import Pair
from convcli.plan import Plan, Problem
from convcli.planner import PLAIN, method_named


@dataclass(frozen=True, slots=True)
class Task:
    """One strip of one depth position of one batch entry."""

    batch: int
    depth: int
    strip: Strip


Run = tuple[int, int, int]
"""A run of rows: (first target, first source, count); the source may be `OUTSIDE`."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The target columns that lie inside the picture, the source's window for them, and the others.

    ``border`` holds (target columns, the source's indices); None stands for a constant.
    """

    first: int
    count: int
    window: slice
    border: tuple[tuple[slice, Indices | None], ...]


Consume = Callable[[Task, Array], None]
"""Takes the sums of a task, (maps, rows, columns, lanes); they are scratch and may be changed."""


def run(plan: Plan, source: Array, consumer: Callable[[], Consume]) -> None:
    """Compute every strip of ``source`` and hand it to a consumer.

    Args:
        source: (batch, depth, rows, columns, channels, lanes) of the problem's type, any strides.
        consumer: makes one consumer for each worker. Tasks come in no particular order.
    """
    problem = plan.problem
    tasks = deque(
        Task(batch, depth, strip)
        for batch in range(problem.batch)
        for depth in range(problem.depth.output)
        for strip in plan.strips()
    )
    halt = Event()
    if plan.threads <= 1:
        _work(plan, source, tasks, consumer(), halt)
        return
    with ThreadPoolExecutor(plan.threads) as pool:
        workers = [pool.submit(_work, plan, source, tasks, consumer(), halt) for _ in range(plan.threads)]
        try:
            for worker in workers:
                worker.result()
        finally:
            halt.set()


def _work(plan: Plan, source: Array, tasks: deque[Task], consume: Consume, halt: Event) -> None:
    """One worker: tasks until there are none; a failure, or an interrupt, ends the others' too."""
    bench = _Bench(plan, halt)
    try:
        with np.errstate(all="ignore"):  # IEEE's answers to overflow and NaN are the answers
            while not halt.is_set():
                try:
                    task = tasks.popleft()
                except IndexError:
                    return
                if bench.compute(source[task.batch], task):
                    consume(task, bench.sums(task))
    except BaseException:
        halt.set()
        raise


@dataclass(frozen=True, slots=True)
class _Bound:
    """Buffers for one shape of strip, and the calls that turn the planes into the sums."""

    planes: Array
    sums: Array
    steps: list[Step]


class _Bench:
    """What one worker keeps: scratch, bound once for each shape of strip, and where columns are read."""

    def __init__(self, plan: Plan, halt: Event) -> None:
        self.plan, self.halt = plan, halt
        self.work = Work(plan.problem, plan.arithmetic)
        self.mends = method_named(plan.method).mixes and plan.problem.dtype.kind == "f"
        self.arena = Arena()
        self.bound: dict[Pair, _Bound] = {}
        self.columns: dict[Pair, Columns] = {}
        # A negative constant wraps around in an unsigned type, as the sums do.
        self.constant = np.asarray(plan.problem.fill.value).astype(self.work.dtype)

    def compute(self, source: Array, task: Task) -> bool:
        """Load one task and run its steps; False where another worker, or an interrupt, halted it."""
        shape = task.strip.shape
        if shape not in self.bound:
            self.bound[shape] = self._bind(shape)
        bound = self.bound[shape]
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
        plain = bound.planes.copy()
        sums = bound.sums.reshape(*bound.sums.shape[:2], -1)
        other = np.empty_like(sums)
        bound.planes[~np.isfinite(plain)] = 0
        plainly = PLAIN.steps(self.work, plain.reshape(*plain.shape[:4], -1), other, Arena())
        for call, arguments in (*bound.steps, *plainly):
            call(*arguments)
        np.copyto(sums, other, where=~np.isfinite(other))

    def sums(self, task: Task) -> Array:
        """The sums of a computed task, (maps, rows, columns, lanes), combined if the filter says so."""
        bound = self.bound[task.strip.shape]
        how = self.plan.problem.filter.combine
        return combine(bound.sums, how, self.plan.outcome.dtype) if how else bound.sums

    def _bind(self, shape: Pair) -> _Bound:
        rows, columns = shape
        work, lanes = self.work, self.plan.problem.lanes
        self.arena.restart()
        planes = self.arena.empty(work.plane_shape(rows, columns), work.dtype)
        sums = self.arena.empty((work.filter.maps, rows, columns * lanes), work.dtype)
        method = method_named(self.plan.method)
        steps = method.steps(work, planes.reshape(*planes.shape[:4], -1), sums, self.arena)
        return _Bound(planes, sums.reshape(*sums.shape[:2], columns, lanes), steps)

    def _load(self, source: Array, task: Task, planes: Array) -> None:
        """Fill the planes with what the strip's windows read, border and all."""
        problem = self.plan.problem
        rows = _row_sources(problem, task.strip.rows)
        left = problem.columns.window(task.strip.columns[0])[0]
        for tap, depth in enumerate(_tap_sources(problem, task.depth)):
            for channel in range(problem.channels):
                for index, phase in enumerate(self.work.phases):
                    target = planes[tap, channel, index]
                    if depth == OUTSIDE:
                        target[...] = self.constant
                    else:
                        columns = self._columns(left + phase, target.shape[1])
                        _load_plane(source[depth, :, :, channel], rows, columns, target, self.constant)

    def _columns(self, left: int, width: int) -> Columns:
        if (left, width) not in self.columns:
            self.columns[left, width] = _column_sources(self.plan.problem, left, width)
        return self.columns[left, width]


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


def _load_plane(source: Array, rows: list[Run], columns: Columns, target: Array, constant: Array) -> None:
    """Load one (rows, columns, lanes) plane: each run of rows, its inner columns, then its border columns."""
    for first, origin, count in rows:
        into = target[first : first + count]
        if origin == OUTSIDE:
            into[...] = constant
            continue
        block = source[origin : origin + count]
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
