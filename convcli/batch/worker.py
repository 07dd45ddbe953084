"""What a worker does with one picture of a batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import Final

from convcli.batch.batch import Batch
from convcli.batch.claims import Claims
from convcli.batch.inputs import InputFile
from convcli.batch.manifest import Row, State, absolute
from convcli.core.errors import ArgumentError, OutputError, failure_message, one_line
from convcli.core.frozen import frozen
from convcli.files.input import Input
from convcli.files.ledger import OutputLedger
from convcli.pipeline import job
from convcli.pipeline.memory import over_limit
from convcli.pipeline.report import Report
from convcli.pipeline.settings import Settings

_MOST_OPEN: Final = 4  # results of one input that are open at once


@frozen
class Order:
    """What a worker is asked to do with an image.

    Attributes:
        due: numbers of the settings by which results are made.
        alone: whether no other worker has anything to do meanwhile.
        resume: whether outputs may be there already, with the same bytes.
    """

    source: InputFile
    due: Sequence[int]
    threads: int
    alone: bool
    resume: bool


@frozen
class ImageOutcome:
    """What became of a picture.

    Attributes:
        rows: for the manifest.
        error: why nothing, or not everything, was made of it.
        large: bytes that it needs, where it has to be alone.
    """

    rows: list[Row]
    error: str = ""
    large: int = 0


class ImageWorker:
    """What a worker does with an order; it lives in the worker, and so do the outputs that it has claimed.

    Args:
        recording: whether there is a manifest.
        stale: sums of the files that may be replaced, because earlier runs wrote them, by absolute names.
    """

    def __init__(self, batch: Batch, recording: bool, stale: Mapping[str, str]) -> None:
        self.batch, self.recording, self.stale = batch, recording, stale
        self.ledger = OutputLedger([source.path for source in batch.sources], batch.reads)
        self.claims = Claims(batch)

    def __call__(self, order: Order) -> Callable[[], ImageOutcome]:
        """Compute the maps of a picture; what is returned puts them in their places."""
        stack = ExitStack()
        try:
            return self._computed(order, stack)
        except Exception as error:
            stack.close()
            outcome = self._failed(order.source, failure_message(order.source.path, error))
            return lambda: outcome

    def _computed(self, order: Order, stack: ExitStack) -> Callable[[], ImageOutcome]:
        batch, source = self.batch, order.source
        settings = batch.settings(source, order.threads)
        each = [settings[number] for number in order.due]
        opened = stack.enter_context(Input.open(source.path, pipes=False))
        todo = job.planned_results(source.path, opened, each)
        places = [target.path for _, tasks in todo for target in tasks[0].targets if target.path]
        self.claims.check(source, places)
        _check_regular(places)
        large = max(task.memory for _, tasks in todo for task in tasks)
        if not order.alone and large > batch.limits.memory // batch.limits.jobs:
            stack.close()
            return lambda: ImageOutcome([], large=large)
        if large > batch.limits.memory:
            raise ArgumentError(over_limit(large, batch.limits.memory))
        done: list[tuple[Settings, list[Report]]] = []
        waiting: deque[job.Result] = deque()
        for result in job.compute_results(opened, todo, self.ledger, order.resume, self._stale):
            waiting.append(result)
            stack.push(result)
            if len(waiting) > _MOST_OPEN:
                done.append(self._committed(waiting.popleft()))

        def finish() -> ImageOutcome:
            try:
                # Before the results are in their places, which refuses an input that changed until then.
                read = State.of(source.path) if self.recording else None
                with stack:
                    for result in waiting:
                        done.append(self._committed(result))
                rows = _rows(source, read, done, dict(zip(map(id, settings), batch.sums, strict=True)))
                return ImageOutcome(rows)
            except Exception as error:
                return self._failed(source, failure_message(source.path, error))

        return finish

    def _stale(self, target: Path) -> str:
        return self.stale.get(absolute(str(target)), "")

    def _committed(self, result: job.Result) -> tuple[Settings, list[Report]]:
        """Put a result in its places; their names are made durable once a folder, at the end.

        The reports are for the manifest, if there is one.
        """
        sizes = result.commit(sync_folder=False)
        return result.settings, result.reports(sizes) if self.recording else []

    def _failed(self, source: InputFile, words: str) -> ImageOutcome:
        return ImageOutcome([Row.failed(source.path, words)], error=words)


def _check_regular(places: Sequence[Path]) -> None:
    """Refuse pipes and devices, which nobody may ever read.

    Raises:
        OutputError: with the first of them.
    """
    for place in places:
        if place.exists() and not (place.is_file() or place.is_dir()):
            raise OutputError(f"{one_line(str(place))}: is not a regular file")


def _rows(
    source: InputFile, read: State | None, done: list[tuple[Settings, list[Report]]], sums: Mapping[int, str]
) -> list[Row]:
    """The rows of an input that was ``read``; ``sums`` are those of settings, by their identity."""
    if read is None:
        return []
    found, written = [], lru_cache(State.of)
    for each in {id(settings): settings for settings, _ in done}:
        reports = [report for settings, some in done for report in some if id(settings) == each]
        for part, report in enumerate(reports):
            state = written(report.target.name)
            found.append(Row.made(source.path, (read, state), report, part, len(reports), sums[each]))
    return found
