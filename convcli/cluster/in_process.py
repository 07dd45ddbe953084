"""The engine without a cluster: tasks run in this process, one after the other."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable

from convcli.cluster.base import Engine, Outcome, Task, Work
from convcli.core.errors import failure_message


class InProcessEngine(Engine):
    """Runs each task in the thread that asks for its outcome; a task may use several threads itself."""

    name = "in process"
    shares_process = True

    @property
    def workers(self) -> int:
        return 1

    def outcomes(self, work: Work, tasks: Iterable[Task]) -> Generator[Outcome]:
        for task in tasks:
            start = time.perf_counter()
            try:
                facts, failure = work(task.payload), ""
            except Exception as error:
                facts, failure = "", failure_message(task.name, error)
            yield Outcome(task.number, facts, failure, time.perf_counter() - start)
