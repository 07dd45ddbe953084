"""Obeys a Plan: strip by strip, load with the border, run the method, hand the sums on.

A strip is loaded, computed and consumed by one worker while it is in its cache; workers share nothing but
the list of strips.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np

from convcli.border import OUTSIDE, Indices, sources
from convcli.combine import combine
from convcli.dtypes import Array
from convcli.geometry import Axis, Fill, Pair, Strip
from convcli.methods.base import Work
from convcli.plan import Plan, Problem
from convcli.planner import method_named


@dataclass(frozen=True, slots=True)
class Task:
    """One strip of one depth position of one batch entry."""

    batch: int
    depth: int
    strip: Strip


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
    if plan.threads <= 1:
        _work(plan, source, tasks, consumer())
        return
    with ThreadPoolExecutor(plan.threads) as pool:
        workers = [pool.submit(_work, plan, source, tasks, consumer()) for _ in range(plan.threads)]
        try:
            for worker in workers:
                worker.result()
        finally:
            tasks.clear()


def _work(plan: Plan, source: Array, tasks: deque[Task], consume: Consume) -> None:
    """One worker: its own scratch, tasks until there are none; a failure ends the others' too."""
    work = Work(plan.problem, plan.arithmetic)
    lanes, maps = plan.problem.lanes, work.filter.maps
    runner = method_named(plan.method).runner(work, plan.height, plan.width * lanes)
    planes = np.empty(prod(work.plane_shape(plan.height, plan.width)), work.dtype)
    sums = np.empty(maps * plan.height * plan.width * lanes, work.dtype)
    try:
        while tasks:
            try:
                task = tasks.popleft()
            except IndexError:
                return
            rows, columns = task.strip.shape
            shape = work.plane_shape(rows, columns)
            loaded = planes[: prod(shape)].reshape(shape)
            _load(work, source[task.batch], task, loaded)
            result = sums[: maps * rows * columns * lanes].reshape(maps, rows, columns * lanes)
            runner(loaded.reshape(*shape[:4], -1), result)
            final = result.reshape(maps, rows, columns, lanes)
            how = plan.problem.filter.combine
            consume(task, combine(final, how, plan.outcome.dtype) if how else final)
    except BaseException:
        tasks.clear()
        raise


def _load(work: Work, source: Array, task: Task, planes: Array) -> None:
    """Fill ``planes`` with what the strip's windows read."""
    problem = work.problem
    depths = _tap_sources(problem, task.depth)
    rows = _row_sources(problem, task.strip.rows)
    left = problem.columns.window(task.strip.columns[0])[0]
    constant = np.asarray(problem.fill.value).astype(work.dtype)  # a negative one wraps, as the sums do
    for tap, depth in enumerate(depths):
        for channel in range(problem.channels):
            for index, phase in enumerate(work.phases):
                target = planes[tap, channel, index]
                if depth == OUTSIDE:
                    target[...] = constant
                else:
                    _load_plane(problem, source[depth, :, :, channel], rows, left + phase, target, constant)


def _tap_sources(problem: Problem, output: int) -> list[int]:
    axis = problem.depth
    start, stop = axis.window(output)
    if start >= 0 and stop <= axis.size:
        return list(range(start, stop, axis.dilation))
    return [int(i) for i in sources(problem.fill, axis.size, start, stop, axis.dilation)]


def _row_sources(problem: Problem, outputs: Pair) -> list[tuple[int, int, int]]:
    """Runs of rows, (first target, first source, count), with `OUTSIDE` sources for a constant."""
    axis = problem.rows
    start, stop = axis.reach(outputs)
    if start >= 0 and stop <= axis.size:
        return [(0, start, stop - start)]
    return _run_lengths(sources(problem.fill, axis.size, start, stop))


def _run_lengths(indices: Indices) -> list[tuple[int, int, int]]:
    """(position, index, count) of the runs in which the index grows by one, or stays `OUTSIDE`."""
    steps = np.diff(indices)
    outside = indices == OUTSIDE
    follows = np.where(outside[1:], outside[:-1], (steps == 1) & ~outside[:-1])
    starts = np.concatenate(([0], np.flatnonzero(~follows) + 1))
    counts = np.diff(np.concatenate((starts, [len(indices)])))
    return [(int(s), int(indices[s]), int(n)) for s, n in zip(starts, counts, strict=True)]


def _load_plane(
    problem: Problem,
    source: Array,
    rows: list[tuple[int, int, int]],
    left: int,
    target: Array,
    constant: Array,
) -> None:
    """Load one (rows, columns, lanes) plane: each run of rows, its inner columns, then its border columns."""
    axis = problem.columns
    inner, borders = _column_sources(problem.fill, axis, left, target.shape[1])
    start = left + inner[0] * axis.stride
    across = slice(start, start + (inner[1] - inner[0] - 1) * axis.stride + 1, axis.stride)
    for first, origin, count in rows:
        down = slice(first, first + count)
        if origin == OUTSIDE:
            target[down] = constant
            continue
        block = source[origin : origin + count]
        if inner[1] > inner[0]:
            np.copyto(target[down, inner[0] : inner[1]], block[:, across], casting="unsafe")
        for position, index in borders:
            target[down, position] = constant if index == OUTSIDE else block[:, index]


@lru_cache(maxsize=64)
def _column_sources(
    fill: Fill, axis: Axis, left: int, width: int
) -> tuple[Pair, tuple[tuple[int, int], ...]]:
    """The target columns that lie inside the picture, and (target, source) of those that do not."""
    positions = left + np.arange(width) * axis.stride
    inside = np.flatnonzero((positions >= 0) & (positions < axis.size))
    inner = (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0)
    found = sources(fill, axis.size, left, left + width * axis.stride, axis.stride)
    borders = [(i, int(found[i])) for i in range(width) if not inner[0] <= i < inner[1]]
    return inner, tuple(borders)
