"""A batch from its first picture to its last: work given out, what comes back put in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from convcli.batch.batch import Batch
from convcli.batch.inputs import InputFile
from convcli.batch.manifest import Manifest, Row, Said, absolute
from convcli.batch.processes import Answer, Death, ProcessPool
from convcli.batch.resume import RemainingWork
from convcli.batch.worker import ImageOutcome, ImageWorker, Order
from convcli.core.errors import one_line
from convcli.core.frozen import frozen, replace
from convcli.files.atomic import sync

_TICK: Final = 0.2  # seconds between looks at what goes on


@frozen
class Done:
    """One picture is done with: skipped, because an earlier run did it, made, or failed with an error."""

    source: InputFile
    error: str = ""
    skipped: bool = False


def run(
    batch: Batch, manifest: Manifest | None, work: RemainingWork, stop: bool = False
) -> Generator[Done, None, None]:
    """Do it, and say of each picture when it is done with.

    Args:
        manifest: where the rows go.
        work: what is to be done.
        stop: begin nothing new after a failure.

    Raises:
        ConvcliError: the manifest cannot be written.
    """
    if manifest is not None:
        manifest.begin(batch.recipes, work.earlier)
    done = [source for number, source in enumerate(batch.sources) if number not in work.due]
    for source in done:
        yield Done(source, skipped=True)
    rows = _Ordered(manifest, list(work.due))
    todo = deque(work.due)
    try:
        foreman = ImageWorker(batch, manifest is not None, work.stale)
        with ProcessPool(min(batch.limits.jobs, len(todo)), foreman, _repeated, batch.limits.kept) as crew:
            for number, outcome in _worked(batch, crew, todo, work.due):
                rows.add(number, outcome.rows)
                yield Done(batch.sources[number], outcome.error)
                if outcome.error and stop:
                    todo.clear()
    finally:
        _sync(batch)
        rows.flush()
        if manifest is not None:
            manifest.close(
                _order(batch) if work.earlier.known else None, {absolute(source.path) for source in done}
            )


def _order(batch: Batch) -> Callable[[Said], tuple[int, int, int]]:
    """The place of a row: those of other inputs first, then by input, settings and map."""
    numbers = {absolute(source.path): number for number, source in enumerate(batch.sources)}
    sums = {total: number for number, total in enumerate(batch.sums)}
    last = len(sums)
    return lambda row: (
        numbers.get(absolute(row.input), -1),
        last if row.states is None else sums.get(row.settings, -1),
        row.part,
    )


def _worked(
    batch: Batch, crew: ProcessPool, todo: deque[int], due: Mapping[int, Sequence[int]]
) -> Iterator[tuple[int, ImageOutcome]]:
    """Give out the work, and take what comes back; a picture that is large waits until it is alone."""
    large: deque[int] = deque()
    while todo or large or not crew.idle:
        if large and crew.idle:
            number = large.popleft()
            crew.shrink()
            cores = batch.limits.cores
            crew.begin(number, Order(batch.sources[number], due[number], cores, True, batch.resume))
        while todo and not large and crew.ready():
            number = todo.popleft()
            busy = min(len(crew.tasks) + 1 + len(todo), batch.limits.jobs)
            cores = max(batch.limits.cores // busy, 1)
            crew.begin(number, Order(batch.sources[number], due[number], cores, False, batch.resume))
        for event in crew.events(_TICK):
            match event:
                case Answer(number, value) if value.large:
                    large.append(number)
                case Answer(number, value):
                    yield number, value
                case Death(number, reason):
                    source = batch.sources[number]
                    words = f"{one_line(source.path)}: {reason}"
                    yield number, ImageOutcome([Row.failed(source.path, words)], words)


def _repeated(order: Order) -> Order:
    return replace(order, resume=True)


class _Ordered:
    """Rows on their way to the manifest, those of later inputs behind those of earlier ones."""

    def __init__(self, manifest: Manifest | None, numbers: list[int]) -> None:
        self.manifest, self.numbers = manifest, deque(numbers)
        self.waiting: dict[int, list[Row]] = {}

    def add(self, number: int, rows: list[Row]) -> None:
        if self.manifest is None:
            return
        self.waiting[number] = rows
        while self.numbers and self.numbers[0] in self.waiting:
            self.manifest.add(self.waiting.pop(self.numbers.popleft()))

    def flush(self) -> None:
        """Write what waits for inputs that nobody will do any more."""
        for number in sorted(self.waiting):
            assert self.manifest is not None
            self.manifest.add(self.waiting[number])


def _sync(batch: Batch) -> None:
    """Make the names of all results durable."""
    for folder in {os.path.dirname(place) for places in batch.places for place in places}:  # noqa: PTH120
        sync(Path(folder))
