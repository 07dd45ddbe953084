"""Forked processes that compute every n-th strip each; the caller's thread hands their sums over."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from contextlib import ExitStack
from itertools import islice
from multiprocessing.connection import Connection

from convcli.engine.backends.base import Backend, tasks
from convcli.engine.computers import computer_of
from convcli.engine.consumer import Consumer
from convcli.engine.plan import Plan
from convcli.engine.source import BatchHolder, Source

FORK = multiprocessing.get_context("fork")
COUNT = 2


class Processes(Backend):
    name = "processes"

    def run(
        self,
        plan: Plan,
        source: Source,
        consumers: Callable[[], Consumer],
        holder: BatchHolder | None = None,
    ) -> None:
        consumer, pipes = consumers(), []
        with ExitStack() as stack:
            for number in range(COUNT):
                ours, theirs = FORK.Pipe(duplex=False)
                worker = FORK.Process(target=_work, args=(plan, source, holder, number, theirs))
                worker.start()
                stack.callback(worker.join)
                stack.callback(worker.terminate)
                theirs.close()
                pipes.append(ours)
            with computer_of(plan):
                for place, task in enumerate(tasks(plan)):
                    answer = pipes[place % COUNT].recv()
                    if isinstance(answer, BaseException):
                        raise answer
                    consumer.take(task, answer)


def _work(plan: Plan, source: Source, holder: BatchHolder | None, number: int, pipe: Connection) -> None:
    try:
        with computer_of(plan) as computer:
            for task in islice(tasks(plan), number, None, COUNT):
                if holder is not None:
                    holder.hold(task.batch)
                pipe.send(computer.compute(source, task).copy())
                if holder is not None:
                    holder.release(task.batch)
    except Exception as error:
        pipe.send(error)


BACKEND = Processes()
