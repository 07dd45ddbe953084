"""What a worker does with one picture of a batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

from convcli import job
from convcli.batch import Batch
from convcli.claims import Claims
from convcli.drafts import Ledger
from convcli.errors import ArgumentError, told
from convcli.files import Input
from convcli.manifest import Row, State
from convcli.report import Report
from convcli.sources import Source
from convcli.task import too_large
from convcli.values import frozen

_MOST_OPEN: Final = 4  # results of one input that are open at once


@frozen
class Order:
    """What a worker is asked: a picture, threads, and whether nobody else works meanwhile.

    ``again`` says that the outputs may be there already, with the same bytes.
    """

    source: Source
    threads: int
    alone: bool
    again: bool


@frozen
class Outcome:
    """What became of a picture.

    Attributes:
        rows: for the manifest.
        error: why nothing, or not everything, was made of it.
        large: bytes that it needs, where it has to be alone.
    """

    rows: list[Row]
    error: str = ""
    large: int = 0


class Foreman:
    """What a worker does with an order; it lives in the worker, and so do the outputs that it has claimed."""

    def __init__(self, batch: Batch, recording: bool) -> None:
        self.batch, self.recording = batch, recording
        self.ledger = Ledger([source.path for source in batch.sources], batch.reads)
        self.claims = Claims(batch)

    def __call__(self, order: Order) -> Callable[[], Outcome]:
        """Compute the maps of a picture; what is returned puts them in their places."""
        stack = ExitStack()
        try:
            return self._computed(order, stack)
        except Exception as error:
            stack.close()
            outcome = self._failed(order.source, told(order.source.path, error))
            return lambda: outcome

    def _computed(self, order: Order, stack: ExitStack) -> Callable[[], Outcome]:
        batch, source = self.batch, order.source
        each = batch.settings(source, order.threads)
        opened = stack.enter_context(Input.open(source.path, pipes=False))
        todo = job.decided(source.path, opened, each)
        self.claims.check(source, [target.path for _, tasks in todo for target in tasks[0].targets])
        large = max(task.memory for _, tasks in todo for task in tasks)
        if not order.alone and large > batch.limits.memory // batch.limits.jobs:
            stack.close()
            return lambda: Outcome([], large=large)
        if large > batch.limits.memory:
            raise ArgumentError(too_large(large, batch.limits.memory))
        done: list[Report] = []
        waiting: deque[job.Result] = deque()
        for result in job.results(opened, todo, self.ledger, order.again):
            waiting.append(result)
            stack.push(result)
            if len(waiting) > _MOST_OPEN:
                done += self._committed(source, waiting.popleft())

        def finish() -> Outcome:
            try:
                # Before the results are in their places, which refuses an input that changed until then.
                read = State.of(source.path) if self.recording else None
                with stack:
                    for result in waiting:
                        done.extend(self._committed(source, result))
                return Outcome(self._rows(source, read, done))
            except Exception as error:
                return self._failed(source, told(source.path, error))

        return finish

    def _committed(self, source: Source, result: job.Result) -> list[Report]:
        """Put a result in its places; their names are made durable once a folder, at the end.

        The reports are for the manifest, if there is one.
        """
        sizes = result.commit(sync_folder=False)
        return result.reports(sizes) if self.recording else []

    def _rows(self, source: Source, read: State | None, reports: list[Report]) -> list[Row]:
        if read is None:
            return []
        settings = self.batch.fingerprint
        return [
            Row.made(source.path, read, report, part, len(reports), settings)
            for part, report in enumerate(reports)
        ]

    def _failed(self, source: Source, words: str) -> Outcome:
        return Outcome([Row.failed(source.path, words, self.batch.fingerprint)], error=words)
