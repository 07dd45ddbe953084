"""The contract of a pool of workers, and what is particular to processes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from convcli.batch import processes
from convcli.batch.pool import TaskFailure, TaskResult, WorkerPool
from convcli.batch.processes import ProcessPool

POOLS = [ProcessPool]
"""Every implementation of `WorkerPool`."""


def outcomes(pool: WorkerPool, tasks: list[Any]) -> list[TaskResult | TaskFailure]:
    """The events of some tasks, all of them."""
    events: list[TaskResult | TaskFailure] = []
    for number, task in enumerate(tasks):
        while not pool.ready():
            events += pool.events(0.1)
        pool.submit(number, task)
    while pool.running:
        events += pool.events(0.1)
    return events


def doubled(task: int) -> Callable[[], int]:
    """Work that does what a task says: give its double, run out of memory, or kill its worker."""

    def finish() -> int:
        if task == -1:
            raise MemoryError
        return task * 2

    if task == -2:
        os.kill(os.getpid(), signal.SIGKILL)
    return finish


@pytest.fixture(params=POOLS)
def start(request) -> Callable[..., Any]:
    return request.param


@pytest.mark.parametrize("size", [1, 3])
def test_each_task_has_one_event(start, size):
    """Whatever the number of workers; then nothing is running, and a new task can begin."""
    with start(size, doubled, lambda task: task, 0) as pool:
        events = outcomes(pool, list(range(20)))
        assert not pool.running and pool.ready()
    assert sorted((event.number, event.value) for event in events) == [(n, 2 * n) for n in range(20)]


@pytest.mark.parametrize(("bad", "reason"), [(-1, "not enough memory"), (-2, "was killed by SIGKILL")])
def test_a_task_that_cannot_be_done_is_lost_alone(start, bad, reason):
    """For want of memory, or with its worker; a task that was finishing beside it is repeated."""
    with start(1, doubled, lambda task: task, 0) as pool:
        events = outcomes(pool, [0, bad, 2, 3])
    failures = [event for event in events if isinstance(event, TaskFailure)]
    assert [(event.number, reason in event.reason) for event in failures] == [(1, True)]
    results = sorted((event.number, event.value) for event in events if isinstance(event, TaskResult))
    assert results == [(0, 0), (2, 4), (3, 6)]


def test_a_repetition_is_another_task(start):
    """What a dead worker was finishing may be done already, so it is not done as if nothing were."""

    def work(task: int) -> Callable[[], int]:
        def finish() -> int:
            if task == 0:
                time.sleep(10)  # until its worker dies
            return task

        if task == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return finish

    with start(1, work, lambda task: task + 100, 0) as pool:
        events = outcomes(pool, [0, 1])
    assert sorted((event.number, getattr(event, "value", None)) for event in events) == [(0, 100), (1, None)]


def test_idle_workers_end_for_a_large_task(start):
    """Before an image that has to be alone, idle workers free their memory, and no task is lost."""
    with start(3, doubled, lambda task: task, 0) as pool:
        assert len(outcomes(pool, [1, 2, 3, 4])) == 4
        pool.shrink()
        assert pool.ready()
        assert len(outcomes(pool, [5])) == 1


def test_a_pool_that_is_left_by_an_error_waits_for_nobody(start):
    """Running tasks are abandoned within a second or two."""

    def work(task: int) -> Callable[[], int]:
        time.sleep(60)
        return lambda: task

    begun = time.monotonic()
    with pytest.raises(ZeroDivisionError), start(1, work, lambda task: task, 0) as pool:
        assert pool.ready()
        pool.submit(0, 0)
        raise ZeroDivisionError
    assert time.monotonic() - begun < 30


def test_processes_are_replaced_after_many_tasks(monkeypatch):
    """What a library leaks ends with its worker, and no task is lost when one retires."""
    monkeypatch.setattr(processes, "MOST_TASKS", 3)
    with ProcessPool(2, lambda task: os.getpid, lambda task: task, 0) as pool:
        pids = [event.value for event in outcomes(pool, list(range(20)))]
    assert len(pids) == 20 and max(map(pids.count, pids)) == 3


def test_processes_that_shrink_are_one():
    """All idle ones but one end at once."""
    with ProcessPool(3, lambda task: lambda: time.sleep(0.05), lambda task: task, 0) as pool:
        outcomes(pool, list(range(6)))
        assert len(pool.workers) == 3
        pool.shrink()
        assert len(pool.workers) == 1
