"""Threads of this process, which share only the list of strips and the method's program."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Event
from typing import Final

from convcli.core.errors import Halted
from convcli.core.threads import Threads
from convcli.engine.backends.base import Backend, TaskQueue
from convcli.engine.blas import callers
from convcli.engine.computers import Computation, computer_of
from convcli.engine.consumer import Consumer
from convcli.engine.methods.registry import method_named
from convcli.engine.source import BatchHolder, Source
from convcli.engine.strips import SharedProgram


class ThreadsBackend(Backend):
    """Each worker takes the next strip when it is done with one; the caller's thread is one of them."""

    name = "threads"

    def run(
        self,
        plan: Computation,
        source: Source,
        consumers: Callable[[], Consumer],
        holder: BatchHolder | None = None,
    ) -> None:
        team = _Team(plan, source, TaskQueue(plan, holder))
        count = (
            callers(plan.workers)
            if any(method_named(name).products for name in plan.methods)
            else plan.workers
        )
        with Threads() as threads:
            try:  # a signal may come while the workers begin
                while len(threads) < count - 1 and threads.begin(partial(team.work, consumers())):
                    pass
                team.work(consumers())
                threads.join()
            finally:
                team.halt.set()
        team.check()


class _Team:
    """What the workers of a run share."""

    def __init__(self, plan: Computation, source: Source, queue: TaskQueue) -> None:
        self.plan, self.source, self.queue = plan, source, queue
        self.halt, self.program = Event(), SharedProgram()
        self.failures: list[Exception] = []

    def work(self, consumer: Consumer) -> None:
        """One worker: runs tasks until there are none; a failure or an interrupt also ends the others."""
        try:
            with computer_of(self.plan, self.halt, self.program) as computer:
                for task in self.queue:
                    if self.halt.is_set():
                        return
                    computer.process(self.source, task, consumer)
        except Exception as error:
            self.failures.append(error)
            self.halt.set()
        except BaseException:
            self.halt.set()
            raise

    def check(self) -> None:
        """Raise the first failure, but for those of workers that another's failure has stopped."""
        if self.failures:
            raise next((error for error in self.failures if not isinstance(error, Halted)), self.failures[0])


BACKEND: Final = ThreadsBackend()
