"""One thread, and strips in an order as far from the plan's as the contract allows: backward, then random."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from random import Random

from convcli.engine.backends.base import Backend, tasks
from convcli.engine.computers import computer_of
from convcli.engine.consumer import HANDOVER_WINDOW, Consumer
from convcli.engine.plan import Plan, Problem
from convcli.engine.source import BatchHolder, Source


class Shuffled(Backend):
    name = "shuffled"

    def refuses(self, problem: Problem) -> str | None:
        return "more than 1000 batch entries" if problem.batch > 1000 else None

    def run(
        self,
        plan: Plan,
        source: Source,
        consumers: Callable[[], Consumer],
        holder: BatchHolder | None = None,
    ) -> None:
        chance, consumer = Random(11), consumers()
        coming, waiting, first, begun = tasks(plan), {}, 0, 0
        with computer_of(plan) as computer:
            while True:
                for task in islice(coming, first + HANDOVER_WINDOW + 1 - begun):
                    waiting[begun] = task
                    begun += 1
                    if holder is not None:
                        holder.hold(task.batch)
                if not waiting:
                    return
                task = waiting.pop(chance.choice(list(waiting)) if first else max(waiting))
                if chance.random() < 0.5:
                    computer.process(source, task, consumer)
                else:
                    consumer.take(task, computer.compute(source, task))
                if holder is not None:
                    holder.release(task.batch)
                first = min(waiting, default=begun)


BACKEND = Shuffled()
