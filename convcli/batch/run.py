"""A batch from its first image to its last: hands out the work, and puts the results in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from convcli.batch.batch import Batch
from convcli.batch.inputs import InputFile
from convcli.batch.manifest import Manifest
from convcli.batch.pool import StartPool, TaskFailure, TaskResult, WorkerPool
from convcli.batch.processes import process_pool
from convcli.batch.records import RecordedRow
from convcli.batch.resume import RemainingWork
from convcli.batch.rows import ManifestRow, absolute
from convcli.batch.worker import ImageOutcome, ImageTask, ImageWorker
from convcli.core.errors import shown
from convcli.core.frozen import frozen, replace
from convcli.core.handles import sync
from convcli.storage.urls import is_remote

_TICK: Final = 0.2  # seconds between polls of the workers


@frozen
class ImageDone:
    """An image that the run is done with: filtered, skipped as up to date, or failed with an error."""

    source: InputFile
    error: str = ""
    skipped: bool = False


def run(
    batch: Batch,
    manifest: Manifest | None,
    work: RemainingWork,
    stop: bool = False,
    start_pool: StartPool | None = None,
) -> Generator[ImageDone, None, None]:
    """Filter the images of a batch, and yield each when it is done.

    Args:
        manifest: where rows go.
        work: what is left to do.
        stop: start no further images after a failure.
        start_pool: makes the workers; by default processes.

    Raises:
        ConvcliError: the manifest cannot be written, or no worker can be started.
    """
    if manifest is not None:
        manifest.begin(batch.recipes, work.earlier)
    skipped = [source for number, source in enumerate(batch.sources) if number not in work.todo]
    for source in skipped:
        yield ImageDone(source, skipped=True)
    rows = _OrderedRows(manifest, list(work.todo))
    queue = deque(work.todo)
    try:
        worker = ImageWorker(batch, manifest is not None, work.stale)
        jobs = min(batch.limits.jobs, len(queue))
        start = start_pool or process_pool(shares=not batch.has_urls)
        with start(jobs, worker, _repetition, batch.limits.cache) as pool:
            for number, outcome in _outcomes(batch, pool, queue, work.todo):
                rows.add(number, outcome.rows)
                yield ImageDone(batch.sources[number], outcome.error)
                if outcome.error and stop:
                    queue.clear()
    finally:
        sync_folders(batch)
        rows.flush()
        if manifest is not None:
            order = row_order(batch) if work.earlier.is_known else None
            manifest.close(order, {absolute(source.path) for source in skipped})


def row_order(batch: Batch) -> Callable[[RecordedRow], tuple[int, int, int]]:
    """The sort key of a row: those of other images first, then by image, settings and map."""
    images = {absolute(source.path): number for number, source in enumerate(batch.sources)}
    variants = {name: number for number, name in enumerate(batch.fingerprints)}

    def key(row: RecordedRow) -> tuple[int, int, int]:
        variant = len(variants) if row.is_failure else variants.get(row.fingerprint, -1)
        return images.get(absolute(row.input), -1), variant, row.part

    return key


def _outcomes(
    batch: Batch, pool: WorkerPool, queue: deque[int], variants: Mapping[int, Sequence[int]]
) -> Iterator[tuple[int, ImageOutcome]]:
    """Submit the images of a queue, and yield their outcomes; those that need much memory run last, alone."""
    postponed: deque[int] = deque()
    while queue or postponed or pool.running:
        if postponed and not pool.running:
            number = postponed.popleft()
            pool.shrink()
            task = ImageTask(batch.sources[number], variants[number], batch.limits.cores, True, batch.resume)
            pool.submit(number, task)
        while queue and not postponed and pool.ready():
            number = queue.popleft()
            busy = min(pool.running + 1 + len(queue), batch.limits.jobs)
            threads = max(batch.limits.cores // busy, 1)
            pool.submit(
                number, ImageTask(batch.sources[number], variants[number], threads, False, batch.resume)
            )
        for event in pool.events(_TICK):
            match event:
                case TaskResult(number, outcome) if outcome.postponed:
                    postponed.append(number)
                case TaskResult(number, outcome):
                    yield number, outcome
                case TaskFailure(number, reason):
                    source = batch.sources[number]
                    yield number, ImageOutcome.failed(source, f"{shown(source.path)}: {reason}")


def _repetition(task: ImageTask) -> ImageTask:
    """The task of an image whose outputs may be in place already."""
    return replace(task, resume=True)


class _OrderedRows:
    """Writes rows to the manifest in the order of the inputs, whatever order they come in.

    Args:
        numbers: of the inputs whose rows will come.
    """

    def __init__(self, manifest: Manifest | None, numbers: list[int]) -> None:
        self.manifest, self.numbers = manifest, deque(numbers)
        self.waiting: dict[int, list[ManifestRow]] = {}

    def add(self, number: int, rows: list[ManifestRow]) -> None:
        """Take an input's rows, and write all whose turn it is."""
        if self.manifest is None:
            return
        self.waiting[number] = rows
        while self.numbers and self.numbers[0] in self.waiting:
            self.manifest.add(self.waiting.pop(self.numbers.popleft()))

    def flush(self) -> None:
        """Write the rows that wait for inputs which will not be done any more."""
        for number in sorted(self.waiting):
            assert self.manifest is not None
            self.manifest.add(self.waiting[number])


def sync_folders(batch: Batch) -> None:
    """Make the names of all results durable."""
    paths = (path for paths in batch.expected_outputs for path in paths if not is_remote(path))
    for folder in {os.path.dirname(path) for path in paths}:  # noqa: PTH120
        sync(Path(folder))
