"""What computes the strips of a convolution: a `StripComputer`, or several where its plan has phases."""

from __future__ import annotations

from contextlib import ExitStack
from threading import Event
from typing import Protocol, Self

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.frozen import frozen
from convcli.engine.consumer import Consumer, Destination, Finishes, StripTask
from convcli.engine.methods.base import Arena
from convcli.engine.plan import Phase, Plan
from convcli.engine.source import Source
from convcli.engine.strips import SharedProgram, StripComputer
from convcli.geometry.axes import Strip


class Computer(Protocol):
    """Computes strips of a plan for one worker, as a context manager in the thread that computes."""

    def __enter__(self) -> Self: ...

    def __exit__(self, error: object = None, *_: object) -> None: ...

    def process(self, source: Source, task: StripTask, consumer: Consumer) -> None:
        """Compute one strip and hand it over."""

    def compute(self, source: Source, task: StripTask) -> Array:
        """The sums of one strip, (maps, rows, columns, lanes), in scratch memory."""


def plan_computer(plan: Plan, halt: Event, shared: SharedProgram) -> Computer:
    """The computer of the strips of one convolution, for one worker.

    Args:
        halt: set by another thread when results are no longer wanted.
        shared: the programs that all workers of the plan use.
    """
    return PhasedComputer(plan, halt, shared) if plan.phases else StripComputer.of(plan, halt, shared)


class PhasedComputer:
    """Computes each phase of a strip by itself, and puts them together."""

    def __init__(self, plan: Plan, halt: Event, shared: SharedProgram) -> None:
        self.plan, self.halt = plan, halt
        self.arena = Arena()
        self.parts = [
            (phase, StripComputer(part, halt, shared.part(index), self.arena))
            for index, (phase, part) in enumerate(plan.phases)
        ]
        handed = plan.outcome.dtype
        combined = plan.problem.filter.combine is not None
        self.is_uniform = combined or all(part.work.dtype == handed for _, part in self.parts)
        self.sums: Array = np.empty(0, handed)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.arena)
            for _, part in self.parts:
                stack.enter_context(part)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, error: object = None, *_: object) -> None:
        self.stack.close()

    def process(self, source: Source, task: StripTask, consumer: Consumer) -> None:
        """Compute one strip and hand it over; nothing is handed over once `halt` is set."""
        destination = consumer.destination(task) if self.is_uniform else None
        if destination is not None:
            self._write(source, task, destination)
            return
        sums = self.compute(source, task)
        if not self.halt.is_set():
            consumer.take(task, sums)

    def _write(self, source: Source, task: StripTask, destination: Destination) -> None:
        """Have each phase write its results to its places."""
        results, source = destination.results, self._held(source, task)
        if self.plan.gaps:
            zeros = np.zeros(results.shape, self.plan.outcome.dtype)
            _written(destination.finishes, zeros, results)
        for phase, part in self.parts:
            own = _own_task(phase, task)
            if own is not None and not self.halt.is_set():
                place = Destination(_own(phase, task, results), destination.finishes, destination.takes_sums)
                part.process(source, own, _PhaseConsumer(place))

    def _held(self, source: Source, task: StripTask) -> Source:
        """The rows that all phases read, asked for once: a stage of a chain computes them."""
        problem = self.plan.problem
        first, last = (
            min(max(-(-place // problem.rows.spread), 0), problem.rows.size)
            for place in problem.rows.reach(task.strip.rows)
        )
        if first >= last:
            return source
        return _HeldRows(source, task.batch, first, source.rows(task.batch, first, last))

    def compute(self, source: Source, task: StripTask) -> Array:
        """The sums of one strip, (maps, rows, columns, lanes), in scratch memory."""
        size = self.plan.outcome.maps, *task.strip.shape, self.plan.problem.lanes
        if self.sums.shape != size:
            self.sums = np.empty(size, self.plan.outcome.dtype)
        source = self._held(source, task)
        if self.plan.gaps:
            self.sums[...] = 0
        for phase, part in self.parts:
            own = _own_task(phase, task)
            if own is not None and not self.halt.is_set():
                _own(phase, task, self.sums)[...] = part.compute(source, own)
        return self.sums


@frozen(eq=False)
class _HeldRows:
    """A source of which some rows of a batch entry are at hand.

    Attributes:
        first: of these rows.
        block: the rows, as `Source.rows` gives them.
    """

    source: Source
    batch: int
    first: int
    block: Array

    @property
    def dtype(self) -> DType:
        return self.source.dtype

    def rows(self, batch: int, first: int, last: int) -> Array:
        if batch != self.batch or first < self.first or last > self.first + self.block.shape[1]:
            return self.source.rows(batch, first, last)
        part: Array = self.block[:, first - self.first : last - self.first]
        return part


@frozen(eq=False)
class _PhaseConsumer:
    """Offers the places of a phase's results, and writes those that a method cannot write itself."""

    place: Destination

    def destination(self, task: StripTask) -> Destination:
        return self.place

    def take(self, task: StripTask, sums: Array) -> None:
        _written(self.place.finishes, sums, self.place.results)


def _written(finishes: Finishes, sums: Array, results: Array) -> None:
    for part in finishes:
        part.write(sums, results)


def _own_task(phase: Phase, task: StripTask) -> StripTask | None:
    """The strip of a phase's outputs that is part of a task's; None if there is none."""
    depth, rows, columns = phase
    position, end = depth.own((task.depth, task.depth + 1))
    strip = Strip(rows.own(task.strip.rows), columns.own(task.strip.columns))
    return StripTask(task.batch, position, strip) if position < end and min(strip.shape) > 0 else None


def _own(phase: Phase, task: StripTask, values: Array) -> Array:
    """A phase's part of a task's values, (maps, rows, columns, lanes), as a view."""
    _, rows, columns = phase
    return values[:, rows.within(task.strip.rows), columns.within(task.strip.columns)]
