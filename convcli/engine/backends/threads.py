"""Threads of this process, which share nothing but the list of strips."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Event
from typing import Final

from convcli.core.threads import Threads
from convcli.engine.backends.base import Backend, TaskQueue
from convcli.engine.blas import callers
from convcli.engine.consumer import Consumer
from convcli.engine.methods.registry import method_named
from convcli.engine.plan import Plan
from convcli.engine.source import BatchHolder, Source
from convcli.engine.strips import SharedProgram, StripComputer


class ThreadsBackend(Backend):
    """Each worker takes the next strip when it is done with one; the caller's thread works where it is the
    only one, or where the system gives no other.
    """

    name = "threads"

    def run(
        self,
        plan: Plan,
        source: Source,
        consumers: Callable[[], Consumer],
        holder: BatchHolder | None = None,
    ) -> None:
        queue = TaskQueue(plan, holder)
        halt, shared = Event(), SharedProgram()
        count = callers(plan.threads) if method_named(plan.method).products else plan.threads
        with Threads() as threads:
            try:  # a signal may come while the workers begin
                wanted = count if count > 1 else 0
                while len(threads) < wanted and threads.begin(
                    partial(_work, plan, source, queue, consumers(), halt, shared)
                ):
                    pass
                if not threads:
                    _work(plan, source, queue, consumers(), halt, shared)
                threads.join()
            finally:
                halt.set()


def _work(
    plan: Plan, source: Source, queue: TaskQueue, consumer: Consumer, halt: Event, shared: SharedProgram
) -> None:
    """One worker: runs tasks until there are none; a failure or an interrupt also ends the others."""
    try:
        with StripComputer.of(plan, halt, shared) as computer:
            for task in queue:
                if halt.is_set():
                    return
                computer.process(source, task, consumer)
    except BaseException:
        halt.set()
        raise


BACKEND: Final = ThreadsBackend()
