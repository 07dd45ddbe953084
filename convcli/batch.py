"""Many pictures: what goes where, then by workers, past every failure, in a known order."""

from __future__ import annotations

import hashlib
import os
import resource
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from convcli import __version__, job
from convcli.drafts import Ledger, sync
from convcli.errors import ArgumentError, ConvcliError, OutputError, one_line
from convcli.files import Input
from convcli.manifest import Manifest, Row
from convcli.report import Report
from convcli.sources import Source
from convcli.task import Settings
from convcli.values import contents, frozen, replace
from convcli.workers import Answer, Crew, Death

_TICK: Final = 0.2  # seconds between looks at what goes on
_SHARE: Final = 2  # of the machine's memory, one in so many may be taken
_MOST_OPEN: Final = 4  # results of one input that are open at once
_APART: Final = ("force", "threads", "max_pixels", "output", "notes")
"""Settings that do not change a byte of a result, or that its name tells."""


@frozen
class Limits:
    """How much of the machine a batch may take.

    Attributes:
        jobs: worker processes.
        cores: processors, all workers' threads together.
        memory: bytes that the workers may hold together, by estimates made before a pixel is decoded.
    """

    jobs: int
    cores: int
    memory: int

    @classmethod
    def of(cls, jobs: int | None = None, memory: int | None = None) -> Limits:
        """What was asked for, or all processors and half of the memory."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        jobs = jobs or cores
        return cls(jobs, max(cores, jobs), memory or _memory() // _SHARE)


def _memory() -> int:
    """Bytes that this process could have: of the machine, of its group, of its own limit."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    with suppress(OSError, ValueError):
        found.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return min(found if soft == resource.RLIM_INFINITY else [*found, soft])


@frozen(eq=False)
class Batch:
    """Pictures and what to do with each.

    Attributes:
        each: settings, of several kernels perhaps; their outputs are the destination.
        again: take outputs that are there, where they have the same bytes.
    """

    sources: Sequence[Source]
    each: Sequence[Settings]
    limits: Limits
    again: bool = False

    @cached_property
    def fingerprint(self) -> str:
        """What of the program and the settings decides over a result's bytes."""
        said = [
            {name: repr(said) for name, said in contents(settings).items() if name not in _APART}
            for settings in self.each
        ]
        text = repr((__version__, said, [settings.output.format for settings in self.each]))
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]

    def settings(self, source: Source, threads: int | None = None) -> list[Settings]:
        """The settings for one picture, with its place in the destination."""
        return [
            replace(
                settings,
                output=settings.output.inside(source.folder),
                threads=threads if settings.threads is None else settings.threads,
            )
            for settings in self.each
        ]

    def check(self) -> None:
        """Refuse, before anything is touched, outputs that are inputs, that two inputs share, or that exist.

        Names are foretold from names alone. A picture whose own format cannot hold its result has another
        suffix; what it may meet there is refused when it comes.

        Raises:
            ArgumentError: with the first of them.
        """
        inputs = {os.path.realpath(source.path) for source in self.sources}
        owners: dict[str, str] = {}
        there: list[str] = []
        for source in self.sources:
            for place in self.foretold(source):
                name = os.path.realpath(place)
                if name in inputs:
                    raise ArgumentError(
                        f"{one_line(source.path)}: its output {one_line(place)} is an input of this run"
                    )
                other = owners.setdefault(name, source.path)
                if other != source.path:
                    raise ArgumentError(
                        f"{one_line(other)} and {one_line(source.path)} would both be written to "
                        f"{one_line(place)}; nothing was done"
                    )
                if os.path.lexists(place):
                    there.append(place)
        if there and not (self.again or self.each[0].force):
            raise ArgumentError(
                f"{len(there)} of {len(owners)} outputs exist already, such as {one_line(there[0])}; "
                "--resume goes on by a manifest, --force replaces them"
            )

    def foretold(self, source: Source) -> list[str]:
        """Where the results of a picture go, where its own format holds them."""
        return [
            str(place)
            for settings in self.settings(source)
            for place in settings.output.foretold(source.path, settings.kernel)
        ]


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
        self.ledger = Ledger([source.path for source in batch.sources])
        self.begun = time.time_ns()
        stems = Counter((source.folder, Path(source.path).stem) for source in batch.sources)
        self.doubtful = {stem for stem, count in stems.items() if count > 1}

    def __call__(self, order: Order) -> Callable[[], Outcome]:
        """Compute the maps of a picture; what is returned puts them in their places."""
        stack = ExitStack()
        try:
            return self._computed(order, stack)
        except Exception as error:
            stack.close()
            outcome = self._failed(order.source, _words(order.source, error))
            return lambda: outcome

    def _computed(self, order: Order, stack: ExitStack) -> Callable[[], Outcome]:
        batch, source = self.batch, order.source
        each = batch.settings(source, order.threads)
        opened = stack.enter_context(Input.open(source.path))
        todo = job.decided(source.path, opened, each)
        large = max(task.memory for _, tasks in todo for task in tasks)
        if not order.alone and large > batch.limits.memory // batch.limits.jobs:
            stack.close()
            return lambda: Outcome([], large=large)
        if large > batch.limits.memory:
            raise ArgumentError(
                f"needs about {large >> 20} MB of memory; allowed: {batch.limits.memory >> 20} (--max-memory)"
            )
        done: list[Report] = []
        waiting: deque[job.Result] = deque()
        for result in job.results(opened, todo, self.ledger, order.again):
            waiting.append(result)
            stack.push(result)
            if len(waiting) > _MOST_OPEN:
                done += self._committed(source, waiting.popleft())

        def finish() -> Outcome:
            try:
                with stack:
                    for result in waiting:
                        done.extend(self._committed(source, result))
                return Outcome(self._rows(source, done))
            except Exception as error:
                return self._failed(source, _words(source, error))

        return finish

    def _committed(self, source: Source, result: job.Result) -> list[Report]:
        """Put a result in its places; their names are made durable once a folder, at the end."""
        if result.settings.force and (source.folder, Path(source.path).stem) in self.doubtful:
            for target in result.tasks[0].targets:
                self._check_older(target.path)
        return result.commit(sync_folder=False)

    def _check_older(self, path: Path | None) -> None:
        """Refuse to replace what this run made of another picture of the same name."""
        with suppress(FileNotFoundError):
            if path is not None and path.stat().st_ctime_ns >= self.begun:
                raise OutputError(f"{one_line(str(path))}: is another output of this run")

    def _rows(self, source: Source, reports: list[Report]) -> list[Row]:
        if not self.recording:
            return []
        settings = self.batch.fingerprint
        return [
            Row.made(source.path, report, part, len(reports), settings) for part, report in enumerate(reports)
        ]

    def _failed(self, source: Source, words: str) -> Outcome:
        return Outcome([Row.failed(source.path, words, self.batch.fingerprint)], error=words)


def _words(source: Source, error: Exception) -> str:
    """The message with the picture's name in front, unless it is about the output.

    A fault of the program's own is shown as it is; it is no reason to lose the other pictures.
    """
    match error:
        case OutputError():
            return str(error)
        case ConvcliError():
            said = str(error)
        case MemoryError():
            said = "not enough memory"
        case OSError():
            said = error.strerror or str(error)
        case _:
            said = one_line(repr(error))
    return f"{one_line(source.path)}: {said}"


@frozen
class Done:
    """One picture is done with: skipped, because an earlier run did it, made, or failed with an error."""

    source: Source
    error: str = ""
    skipped: bool = False


def run(batch: Batch, manifest: Manifest | None, stop: bool = False) -> Generator[Done, None, None]:
    """Do it, and say of each picture when it is done with.

    Args:
        manifest: where the rows go.
        stop: begin nothing new after a failure.

    Raises:
        ConvcliError: the manifest cannot be written.
    """
    kept = manifest.earlier(batch.fingerprint) if manifest is not None and batch.again else {}
    skipped = {number for number, source in enumerate(batch.sources) if _is_kept(kept, source)}
    if manifest is not None:
        manifest.begin(
            [line for number in sorted(skipped) for line in kept[batch.sources[number].path].lines]
        )
    for number in sorted(skipped):
        yield Done(batch.sources[number], skipped=True)
    todo = deque(number for number in range(len(batch.sources)) if number not in skipped)
    rows = _Ordered(manifest, list(todo))
    numbers = {source.path: number for number, source in enumerate(batch.sources)}
    try:
        with Crew(min(batch.limits.jobs, len(todo)), Foreman(batch, manifest is not None), _repeated) as crew:
            for number, outcome in _worked(batch, crew, todo):
                rows.add(number, outcome.rows)
                yield Done(batch.sources[number], outcome.error)
                if outcome.error and stop:
                    todo.clear()
    finally:
        _sync(batch)
        rows.flush()
        if manifest is not None:
            manifest.close((lambda name: numbers.get(name, len(numbers))) if skipped else None)


def _is_kept(kept: dict[str, Any], source: Source) -> bool:
    return source.path in kept and kept[source.path].done


def _worked(batch: Batch, crew: Crew, todo: deque[int]) -> Iterator[tuple[int, Outcome]]:
    """Give out the work, and take what comes back; a picture that is large waits until it is alone."""
    large: deque[int] = deque()
    while todo or large or not crew.idle:
        if large and crew.idle:
            number = large.popleft()
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
    for folder in {Path(place).parent for source in batch.sources for place in batch.foretold(source)}:
        sync(folder)
