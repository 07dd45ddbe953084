"""A batch from its first picture to its last: work given out, what comes back put in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final

from convcli.batch import Batch
from convcli.drafts import sync
from convcli.errors import one_line
from convcli.foreman import Foreman, Order, Outcome
from convcli.manifest import Kept, Manifest, Row
from convcli.sources import Source
from convcli.values import frozen, replace
from convcli.workers import Answer, Crew, Death

_TICK: Final = 0.2  # seconds between looks at what goes on


@frozen
class Done:
    """One picture is done with: skipped, because an earlier run did it, made, or failed with an error."""

    source: Source
    error: str = ""
    skipped: bool = False


def run(
    batch: Batch, manifest: Manifest | None, kept: dict[str, Kept], stop: bool = False
) -> Generator[Done, None, None]:
    """Do it, and say of each picture when it is done with.

    Args:
        manifest: where the rows go.
        kept: what is `skipped`.
        stop: begin nothing new after a failure.

    Raises:
        ConvcliError: the manifest cannot be written.
    """
    made = [source for source in batch.sources if source.path in kept]
    if manifest is not None:
        manifest.begin([line for source in made for line in kept[source.path].lines])
    for source in made:
        yield Done(source, skipped=True)
    todo = deque(number for number, source in enumerate(batch.sources) if source.path not in kept)
    rows = _Ordered(manifest, list(todo))
    numbers = {source.path: number for number, source in enumerate(batch.sources)}
    try:
        foreman, size = Foreman(batch, manifest is not None), min(batch.limits.jobs, len(todo))
        with Crew(size, foreman, _repeated, batch.limits.kept) as crew:
            for number, outcome in _worked(batch, crew, todo):
                rows.add(number, outcome.rows)
                yield Done(batch.sources[number], outcome.error)
                if outcome.error and stop:
                    todo.clear()
    finally:
        _sync(batch)
        rows.flush()
        if manifest is not None:
            manifest.close((lambda name: numbers.get(name, len(numbers))) if made else None)


def skipped(batch: Batch, manifest: Manifest | None) -> dict[str, Kept]:
    """What an earlier run has done and nobody has changed, by the inputs' names.

    Raises:
        ConvcliError: the manifest is none that can be gone on with.
    """
    kept = manifest.earlier(batch.fingerprint) if manifest is not None and batch.again else {}
    return {name: found for name, found in kept.items() if found.done}


def _worked(batch: Batch, crew: Crew, todo: deque[int]) -> Iterator[tuple[int, Outcome]]:
    """Give out the work, and take what comes back; a picture that is large waits until it is alone."""
    large: deque[int] = deque()
    while todo or large or not crew.idle:
        if large and crew.idle:
            number = large.popleft()
            crew.shrink()
            crew.begin(
                number, Order(batch.sources[number], batch.limits.cores, alone=True, again=batch.again)
            )
        while todo and not large and crew.ready():
            number = todo.popleft()
            busy = min(len(crew.tasks) + 1 + len(todo), batch.limits.jobs)
            crew.begin(
                number, Order(batch.sources[number], max(batch.limits.cores // busy, 1), False, batch.again)
            )
        for event in crew.events(_TICK):
            match event:
                case Answer(number, value) if value.large:
                    large.append(number)
                case Answer(number, value):
                    yield number, value
                case Death(number, reason):
                    source = batch.sources[number]
                    words = f"{one_line(source.path)}: {reason}"
                    yield number, Outcome([Row.failed(source.path, words, batch.fingerprint)], words)


def _repeated(order: Order) -> Order:
    return replace(order, again=True)


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
