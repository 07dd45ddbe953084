"""What a worker of a cluster does with a list of images: with each, what a worker of this machine does.

Everything that it needs travels with the task, and the rows travel back, so that only the driver needs the
manifest. A list can be done again, even while it is being done: an output that exists with the same bytes
counts as made. Settings are pickled, as all tasks of Dask are; so a scheduler must only be reachable for
those who may run code on its workers.
"""

from __future__ import annotations

import io
import json
import pickle
import zlib
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any

from convcli.batch.batch import Batch, Limits
from convcli.batch.inputs import InputFile
from convcli.batch.records import EarlierRuns, RecordedRow, encode, line_converter, read_rows
from convcli.batch.resume import RemainingWork, compared, everything
from convcli.batch.rows import ManifestRow, absolute
from convcli.batch.run import row_order, sync_folders
from convcli.batch.shards import earlier_runs
from convcli.batch.worker import ImageOutcome, ImageTask, ImageWorker
from convcli.core.errors import failure_message
from convcli.core.frozen import frozen, replace
from convcli.pipeline.settings import Settings


@frozen(eq=False)
class ListJob:
    """What all lists of a batch have in common.

    Attributes:
        variants: the settings to apply to each image, one for each kernel.
        limits: of one list; several images are filtered at once where they are read over a network.
        form: of the rows, ``jsonl`` or ``csv``; empty where there is no manifest.
        resume: whether earlier runs are continued.
        stop: whether an image that fails is the last one of its list.
        reads: other files that the run reads.
    """

    variants: tuple[Settings, ...]
    limits: Limits
    form: str = ""
    resume: bool = False
    stop: bool = False
    reads: tuple[str, ...] = ()

    def packed(self) -> str:
        """The job as text."""
        return packed(pickle.dumps(self))


@frozen
class ListOutcome:
    """What became of a list.

    Attributes:
        rows: of all its images that are done, earlier ones included, for its shard.
        made, skipped: numbers of images.
        errors: a line for each image that failed.
        reasons: how many earlier results were made again, by reason.
        left: number of images that were not started.
    """

    rows: bytes = b""
    made: int = 0
    skipped: int = 0
    errors: tuple[str, ...] = ()
    reasons: Mapping[str, int] = MappingProxyType({})
    left: int = 0

    def to_text(self) -> str:
        """The outcome as the facts of a task."""
        values = {name: getattr(self, name) for name in ("made", "skipped", "errors", "left")}
        return json.dumps({**values, "reasons": dict(self.reasons), "rows": packed(self.rows)})

    @classmethod
    def of_text(cls, text: str) -> ListOutcome:
        """The outcome of `to_text`."""
        values = json.loads(text)
        return cls(
            unpacked(values["rows"]),
            values["made"],
            values["skipped"],
            tuple(values["errors"]),
            values["reasons"],
            values["left"],
        )


def payload(job: str, images: Sequence[InputFile], earlier: bytes) -> str:
    """The payload of a list for `run_list`.

    Args:
        job: of `ListJob.packed`.
        earlier: rows of earlier runs, as a manifest.
    """
    names = json.dumps([[image.path, image.folder] for image in images]).encode()
    return json.dumps({"job": job, "images": packed(names), "earlier": packed(earlier)})


def run_list(text: str) -> str:
    """Filter the images of a list.

    Args:
        text: of `payload`.

    Returns:
        A `ListOutcome` as text.
    """
    values = json.loads(text)
    images = [InputFile(*pair) for pair in json.loads(unpacked(values["images"]))]
    return outcome_of(_job(values["job"]), images, unpacked(values["earlier"])).to_text()


def outcome_of(job: ListJob, images: Sequence[InputFile], earlier: bytes) -> ListOutcome:
    """Filter some images.

    Args:
        earlier: rows of earlier runs, as a manifest.
    """
    batch = Batch(images, job.variants, job.limits, job.resume, job.reads)
    runs = earlier_runs(job.form, earlier)
    work = compared(batch, runs) if runs.is_known else everything(batch)
    rows, errors, done = list[ManifestRow](), list[str](), 0
    for outcome in _outcomes(batch, work, bool(job.form)):
        rows += outcome.rows
        errors += [outcome.error] if outcome.error else []
        done += 1
        if outcome.error and job.stop:
            break
    sync_folders(batch)
    text = encode("".join(row.line(job.form) for row in rows)) if job.form else b""
    if job.form and runs.is_known:
        text = _with_earlier(job.form, batch, work, earlier + text)
    skipped = len(batch.sources) - len(work.todo)
    return ListOutcome(text, done - len(errors), skipped, tuple(errors), work.reasons, len(work.todo) - done)


def _outcomes(batch: Batch, work: RemainingWork, recording: bool) -> Iterator[ImageOutcome]:
    """The outcomes of all images in order; those that need more than their share of memory run at the end."""
    worker, limits = ImageWorker(batch, recording, work.stale), batch.limits
    tasks = [
        ImageTask(batch.sources[number], variants, limits.cores, limits.jobs == 1, resume=True)
        for number, variants in work.todo.items()
    ]
    postponed = deque[ImageTask]()
    for task, outcome in _done(worker, tasks, limits.jobs):
        if outcome.postponed:
            postponed.append(task)
        else:
            yield outcome
    for task in postponed:
        yield _finished(task, worker(replace(task, alone=True)))


def _done(
    worker: ImageWorker, tasks: Sequence[ImageTask], jobs: int
) -> Iterator[tuple[ImageTask, ImageOutcome]]:
    """Compute ``jobs`` images at once; or one, while those before it are put in place."""
    waiting = deque[tuple[ImageTask, Future[ImageOutcome]]]()
    with ThreadPoolExecutor(jobs) as pool:
        try:
            for task in tasks:
                finish = worker(task) if jobs == 1 else partial(_computed, worker, task)
                waiting.append((task, pool.submit(_finished, task, finish)))
                if len(waiting) > 2 * jobs:
                    done, future = waiting.popleft()
                    yield done, future.result()
            for done, future in waiting:
                yield done, future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _computed(worker: ImageWorker, task: ImageTask) -> ImageOutcome:
    return worker(task)()


def _finished(task: ImageTask, finish: Callable[[], ImageOutcome]) -> ImageOutcome:
    try:
        return finish()
    except MemoryError as error:
        return ImageOutcome.failed(task.source, failure_message(task.source.path, error))


def _with_earlier(form: str, batch: Batch, work: RemainingWork, manifest: bytes) -> bytes:
    """The lines of the rows of these images that still count, in their order.

    Args:
        manifest: earlier rows, then new ones.
    """
    skipped = {
        absolute(source.path) for number, source in enumerate(batch.sources) if number not in work.todo
    }
    own = {absolute(source.path) for source in batch.sources}
    file = io.BytesIO(manifest)
    rows = EarlierRuns(read_rows(form, file)).rows
    kept = [row for row in rows if _counts(row, own, skipped)]
    file.seek(0)
    convert = line_converter(form, file)
    return b"".join(_lines(file, convert, sorted(kept, key=row_order(batch))))


def _counts(row: RecordedRow, own: set[str], skipped: set[str]) -> bool:
    name = absolute(row.input)
    return name in own and not (row.is_failure and name in skipped)


def _lines(
    file: io.BytesIO, convert: Callable[[bytes], bytes], rows: Sequence[RecordedRow]
) -> Iterator[bytes]:
    for row in rows:
        file.seek(row.offset)
        yield convert(file.readline())


@lru_cache(maxsize=4)
def _job(text: str) -> ListJob:
    job = pickle.loads(unpacked(text))  # from the driver, by the way of all tasks
    assert isinstance(job, ListJob)
    return job


def packed(data: bytes) -> str:
    """Bytes as short text."""
    return b64encode(zlib.compress(data, 1)).decode()


def unpacked(text: str) -> Any:
    """The bytes of `packed`."""
    return zlib.decompress(b64decode(text))
