"""What a worker does with one image of a batch."""

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
from convcli.batch.rows import FileState, ManifestRow, absolute
from convcli.core.errors import ArgumentError, OutputError, failure_message, shown
from convcli.core.frozen import frozen
from convcli.files.input import Input
from convcli.files.ledger import OutputLedger
from convcli.pipeline import job
from convcli.pipeline.planning.memory import over_limit
from convcli.pipeline.reports.report import Report
from convcli.pipeline.settings import Settings
from convcli.storage.urls import Place

_MOST_OPEN: Final = 4  # results of one image that are open at once


@frozen
class ImageTask:
    """An image for a worker to filter.

    Attributes:
        variants: numbers of the batch's variants to make.
        threads: number of threads.
        alone: whether no other worker computes at the same time.
        resume: whether to accept existing outputs that have the same bytes.
    """

    source: InputFile
    variants: Sequence[int]
    threads: int
    alone: bool
    resume: bool


@frozen
class ImageOutcome:
    """The outcome of one image.

    Attributes:
        rows: for the manifest.
        error: why some or all results were not made; empty on success.
        postponed: whether nothing was done because the image needs more than a worker's share of memory.
    """

    rows: list[ManifestRow]
    error: str = ""
    postponed: bool = False

    @classmethod
    def failed(cls, source: InputFile, error: str) -> ImageOutcome:
        """The outcome of an image that failed with this message."""
        return cls([ManifestRow.for_failure(source.path, error)], error)


class ImageWorker:
    """A worker's `Work`: computes an image, then puts its results in place. It records its outputs.

    Args:
        recording: whether there is a manifest.
        stale: SHA-256 of the files that earlier runs wrote and this one may replace, by absolute name.
    """

    def __init__(self, batch: Batch, recording: bool, stale: Mapping[str, str]) -> None:
        self.batch, self.recording, self.stale = batch, recording, stale
        inputs = [source.path for source in batch.sources]
        self.ledger = OutputLedger(inputs, batch.reads, looks=False)  # for objects that `check_outputs` saw
        self.claims = Claims(batch)

    def __reduce__(self) -> tuple[type, tuple[Batch, bool, Mapping[str, str]]]:
        return type(self), (self.batch, self.recording, self.stale)

    def __call__(self, task: ImageTask) -> Callable[[], ImageOutcome]:
        """Compute the feature maps of an image; what is returned puts them in place."""
        stack = ExitStack()
        try:
            return self._compute(task, stack)
        except Exception as error:
            stack.close()
            outcome = ImageOutcome.failed(task.source, failure_message(task.source.path, error))
            return lambda: outcome

    def _compute(self, task: ImageTask, stack: ExitStack) -> Callable[[], ImageOutcome]:
        source = task.source
        settings = self.batch.settings_for(source, task.threads)
        opened = stack.enter_context(Input.open(source.path, pipes=False, largest=settings[0].max_memory))
        todo = job.planned_results(source.path, opened, [settings[number] for number in task.variants])
        self._check_outputs(source, todo)
        if self._is_postponed(todo, task.alone):
            stack.close()
            return lambda: ImageOutcome([], postponed=True)
        done: list[tuple[Settings, list[Report]]] = []
        waiting: deque[job.Result] = deque()
        for result in job.compute_results(opened, todo, self.ledger, task.resume, self._stale_sha256):
            waiting.append(result)
            stack.push(result)
            if len(waiting) > _MOST_OPEN:
                done.append(self._commit(waiting.popleft()))
        return lambda: self._finish(source, settings, done, waiting, stack)

    def _finish(
        self,
        source: InputFile,
        settings: Sequence[Settings],
        done: list[tuple[Settings, list[Report]]],
        waiting: Sequence[job.Result],
        stack: ExitStack,
    ) -> ImageOutcome:
        """Commit what is ``waiting``, and describe all results of an image."""
        try:
            # Before the results are in place, which fails if the input has changed by then.
            state = FileState.read(source.path) if self.recording else None
            with stack:
                done += [self._commit(result) for result in waiting]
            fingerprints = dict(zip(map(id, settings), self.batch.fingerprints, strict=True))
            return ImageOutcome(_rows(source, state, done, fingerprints) if state else [])
        except Exception as error:
            return ImageOutcome.failed(source, failure_message(source.path, error))

    def _check_outputs(self, source: InputFile, todo: Sequence[job.PlannedResult]) -> None:
        """Refuse outputs that belong to an earlier image, or that are pipes or devices.

        Raises:
            OutputError: for the first of them.
        """
        targets = [target for _, tasks in todo for target in tasks[0].targets]
        if any(target.format.is_store for target in targets):
            raise OutputError(
                f"{shown(source.path)}: its result would be Zarr, too; convcli batch writes files: choose "
                "--format, as in --format tiff, or use convcli apply"
            )
        paths = [target.path for target in targets if target.path is not None]
        self.claims.check(source, paths)
        for path in paths:
            if isinstance(path, Path) and path.exists() and not (path.is_file() or path.is_dir()):
                raise OutputError(f"{shown(str(path))}: is not a regular file")

    def _is_postponed(self, todo: Sequence[job.PlannedResult], alone: bool) -> bool:
        """Whether an image has to wait until no other is computed.

        Raises:
            ArgumentError: it needs more memory than all workers together may.
        """
        limits = self.batch.limits
        memory = max(task.memory for _, tasks in todo for task in tasks)
        if not alone and memory > limits.memory // limits.jobs:
            return True
        if memory > limits.memory:
            raise ArgumentError(over_limit(memory, limits.memory))
        return False

    def _stale_sha256(self, target: Place) -> str:
        return self.stale.get(absolute(str(target)), "")

    def _commit(self, result: job.Result) -> tuple[Settings, list[Report]]:
        """Put a result in place, and return its settings and, for a manifest, its reports.

        The names are made durable at the end, once per folder.
        """
        sizes = result.commit(sync_folder=False)
        return result.settings, result.reports(sizes) if self.recording else []


def _rows(
    source: InputFile,
    state: FileState,
    done: Sequence[tuple[Settings, list[Report]]],
    fingerprints: Mapping[int, str],
) -> list[ManifestRow]:
    """The manifest rows of an image.

    Args:
        state: the image as it was read.
        done: settings, with the reports of one frame or of all.
        fingerprints: of each settings, by their ``id``.
    """
    rows: list[ManifestRow] = []
    output_state = lru_cache(FileState.read)
    for settings in {id(settings): settings for settings, _ in done}.values():
        reports = [report for made_by, some in done for report in some if made_by is settings]
        for part, report in enumerate(reports):
            states = state, output_state(report.target.name)
            rows.append(
                ManifestRow.for_result(
                    source.path, states, report, part, len(reports), fingerprints[id(settings)]
                )
            )
    return rows
