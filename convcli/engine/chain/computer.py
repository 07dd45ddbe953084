"""Computes the strips of a chain, for one worker."""

from __future__ import annotations

from contextlib import ExitStack
from threading import Event
from typing import Self

import numpy as np

from convcli.core.dtypes import Array
from convcli.engine.chain.plan import ChainPlan
from convcli.engine.chain.stage import StageComputer, StageSource
from convcli.engine.consumer import Consumer, StripTask
from convcli.engine.source import Source
from convcli.engine.strips import SharedProgram


class ChainComputer:
    """A computer for each stage; the last one asks those before it for rows.

    Use it as a context manager, in the thread that computes.

    Args:
        shared: the programs of all stages, which all workers share.
    """

    def __init__(self, plan: ChainPlan, halt: Event, shared: SharedProgram) -> None:
        self.plan, self.halt = plan, halt
        self.heights = heights(plan)
        self.computers: list[StageComputer] = [
            stage.computer(height, halt, shared.part(index))
            for index, (stage, height) in enumerate(zip(plan.stages, self.heights, strict=True))
        ]

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(np.errstate(all="ignore"))
            for computer in self.computers:
                stack.enter_context(computer)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, error: object = None, *_: object) -> None:
        self.stack.close()

    def process(self, source: Source, task: StripTask, consumer: Consumer) -> None:
        """Compute one strip and hand it over; nothing is handed over once ``halt`` is set."""
        sums = self.compute(source, task)
        if not self.halt.is_set():
            consumer.take(task, sums)

    def compute(self, source: Source, task: StripTask) -> Array:
        """The values of one strip, (maps, rows, columns, lanes), in scratch memory."""
        for stage, computer, height in zip(self.plan.stages[:-1], self.computers, self.heights, strict=False):
            source = StageSource(stage, computer, source, height)
        return self.computers[-1].sums(source, task.batch, task.strip.rows)


def heights(plan: ChainPlan) -> list[int]:
    """The rows of each stage that a strip needs."""
    heights = [plan.height]
    for stage in reversed(plan.stages[1:]):
        heights.append(stage.axes[0].reading(heights[-1]))
    return heights[::-1]
