"""Worker processes that compute one thing at a time, and are replaced when they die.

They are forked, so that they begin with everything that is imported. What they have computed they finish
beside the next computation, because that waits for the disk. A worker whose parent is gone ends too.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from threading import Lock
from types import FrameType
from typing import Any, Final

from convcli.core.errors import ConvcliError
from convcli.core.frozen import frozen
from convcli.core.monitor import last_words
from convcli.core.processes import end_with
from convcli.core.threads import Threads

MOST_TASKS: Final = 2000
"""Tasks of one worker, before another takes its place: what libraries leak, such as a reference for each
damaged picture, ends with it."""

MOST_FINISHING: Final = 2
"""Results of a worker that wait for the disk, before it gets nothing more to compute."""

_ENDING: Final = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
_PATIENCE: Final = 0.7  # seconds that workers have to end when they are asked to
_ERROR: Final = 2  # the descriptor of standard error
_MOST_WORDS: Final = 2**13  # bytes that are read of what a worker's libraries printed
_TRIM, _MAPPED = -1, -3
"""glibc's numbers for what is freed and kept (M_TRIM_THRESHOLD), and for what is mapped apart, which is given
back at once (M_MMAP_THRESHOLD), in bytes: to take fresh pages for each picture costs a tenth of its time."""

_LARGEST_UNMAPPED: Final = 2**25  # that glibc allows

Work = Callable[[Any], Callable[[], Any]]
"""Computes a task; what it returns finishes it and gives the answer. Neither raises."""


@frozen
class Answer:
    """What became of a task."""

    number: int
    value: Any


@frozen
class Death:
    """A worker died of a task, or lost it."""

    number: int
    reason: str


@dataclass(slots=True, eq=False)
class _Worker:
    process: Any
    pipe: Connection
    words: int | None  # what its libraries print, as an open file
    computing: int | None = None
    retired: bool = False
    finishing: list[int] = field(default_factory=list)


class ProcessPool:
    """Up to ``size`` workers; use it as a context, which ends them all.

    Args:
        repeated: makes the task of another one that has perhaps been done, by a worker that died.
        kept: bytes that a worker keeps of what it has freed.
    """

    def __init__(self, size: int, work: Work, repeated: Callable[[Any], Any], kept: int) -> None:
        self.size, self.work, self.repeated, self.kept = size, work, repeated, kept
        self.workers: list[_Worker] = []
        self.tasks: dict[int, Any] = {}
        self.again: list[int] = []

    def __enter__(self) -> ProcessPool:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        for worker in self.workers:
            if kind is not None:
                worker.process.terminate()
            worker.pipe.close()
        end = time.monotonic() + _PATIENCE
        for worker in self.workers:
            worker.process.join(max(end - time.monotonic(), 0) if kind is not None else None)
            if worker.process.exitcode is None:
                worker.process.kill()
                worker.process.join()
            _said(worker.words)

    @property
    def idle(self) -> bool:
        """Whether nothing is to be waited for."""
        return not self.tasks

    def ready(self) -> bool:
        """Whether somebody could begin a task at once."""
        return not self.again and self._free() is not None

    def begin(self, number: int, task: Any) -> None:
        """Give a task to somebody who is `ready`."""
        worker = self._free()
        assert worker is not None
        self.tasks[number] = task
        if worker not in self.workers:
            self.workers.append(worker)
        worker.computing = number
        with suppress(OSError):  # it died; `events` finds that
            worker.pipe.send((number, task))

    def shrink(self) -> None:
        """End all idle workers but one, for the memory that they have."""
        others = [worker for worker in self.workers if worker.computing is None and not worker.finishing][1:]
        for worker in others:
            worker.pipe.close()
        for worker in others:
            worker.process.join()
            self.workers.remove(worker)
            _said(worker.words)

    def _free(self) -> _Worker | None:
        for worker in self.workers:
            free = worker.computing is None and not worker.retired
            if free and len(worker.finishing) < MOST_FINISHING:
                return worker
        if len(self.workers) >= self.size:
            return None
        try:
            return self._hired()
        except OSError as error:  # too many processes or files, too little memory
            self.size = len(self.workers)
            if not self.workers:
                raise ConvcliError(f"no worker process can be started: {error.strerror}") from error
            return None

    def _hired(self) -> _Worker:
        gc.freeze()  # so that the collector of neither process copies the pages that they share
        context = get_context("fork")
        ours, theirs = context.Pipe()
        others = [worker.pipe for worker in self.workers]
        words = _nameless_file()
        given = theirs, [ours, *others], self.work, os.getpid(), self.kept, words
        process = context.Process(target=_serve, args=given)
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)  # until the worker can answer them
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        theirs.close()
        worker = _Worker(process, ours, words)
        self.workers.append(worker)
        return worker

    def events(self, seconds: float) -> Iterator[Answer | Death]:
        """What happens next, within a time."""
        pipes = {worker.pipe: worker for worker in self.workers}
        for pipe in wait(list(pipes), seconds):
            assert isinstance(pipe, Connection)
            worker = pipes[pipe]
            try:
                word, number, value = pipe.recv()
            except (EOFError, OSError):
                yield from self._buried(worker)
                continue
            if word == "computed":
                worker.computing, worker.retired = None, value
                worker.finishing.append(number)
            else:
                worker.finishing.remove(number)
                del self.tasks[number]
                yield Answer(number, value) if word == "done" else Death(number, value)
        while self.again and self._free() is not None:
            number = self.again.pop()
            self.begin(number, self.repeated(self.tasks[number]))

    def _buried(self, worker: _Worker) -> Iterator[Death]:
        """Of all that a dead worker had, what it was computing is to blame, or finishing first."""
        worker.pipe.close()
        worker.process.join()
        self.workers.remove(worker)
        said = _said(worker.words)
        if worker.computing is not None:
            blamed, self.again = worker.computing, self.again + worker.finishing
        elif worker.finishing:
            blamed, *others = worker.finishing
            self.again += others
        else:
            return
        del self.tasks[blamed]
        yield Death(blamed, _reason(worker.process.exitcode) + (f": {said}" if said else ""))


def _nameless_file() -> int | None:
    """A file in memory; None where a system has none, or none to spare."""
    try:
        return os.memfd_create("convcli")
    except (OSError, AttributeError):
        return None


def _said(words: int | None) -> str:
    """The last words of a worker that ended, whose file is closed."""
    if words is None:
        return ""
    with os.fdopen(words, "rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - _MOST_WORDS, 0))
        return last_words(file.read())


def _reason(code: int) -> str:
    if code >= 0:
        return f"its worker ended with code {code}"
    with suppress(ValueError):
        return f"its worker was killed by {signal.Signals(-code).name}"
    return f"its worker was killed by signal {-code}"


class _Ended(BaseException):
    """Somebody asked the worker to end."""


def _serve(
    pipe: Connection, others: list[Connection], work: Work, parent: int, kept: int, words: int | None
) -> None:
    """Work until the pipe is closed, and leave without the clean-up of the process that this is a copy of."""
    try:
        if words is not None:
            os.dup2(words, _ERROR)
        _attend(parent)
        _keep_memory(kept)
        for other in others:  # as long as a copy is open, nobody sees that the parent is gone
            other.close()
        _loop(pipe, work)
    except (_Ended, KeyboardInterrupt):
        os._exit(0)
    except BaseException:
        os._exit(1)
    os._exit(0)


def _attend(parent: int) -> None:
    """End by SIGTERM, also that of the parent's death, and leave the keyboard to the parent."""
    for number in _ENDING - {signal.SIGTERM}:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    end_with(parent, signal.SIGTERM)


def _keep_memory(most: int) -> None:
    """Keep what a picture took for the next one."""
    with suppress(OSError, AttributeError):  # glibc alone has it
        library = ctypes.CDLL(None)
        library.mallopt(_TRIM, most)
        library.mallopt(_MAPPED, min(most // 2, _LARGEST_UNMAPPED))


def _end(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, lambda *_: None)
    raise _Ended


def _loop(pipe: Connection, work: Work) -> None:
    lock = Lock()

    def send(*words: Any) -> None:
        with lock, suppress(OSError):  # nobody listens any more
            pipe.send(words)

    def finish(number: int, finished: Callable[[], Any]) -> None:
        try:
            words = "done", number, finished()
        except MemoryError:
            words = "lost", number, "not enough memory"
        send(*words)

    def finish_all() -> None:
        try:
            for each in iter(waiting.get, None):
                finish(*each)
        except BaseException:  # no memory, perhaps; what waits would wait for ever
            os._exit(1)

    waiting = SimpleQueue[tuple[int, Callable[[], Any]] | None]()
    with Threads() as threads:
        try:
            beside = waiting.put if threads.begin(finish_all) else lambda each: finish(*each)
            for left in reversed(range(MOST_TASKS)):
                try:
                    number, task = pipe.recv()
                except (EOFError, OSError):
                    break
                finished = work(task)
                send("computed", number, not left)
                beside((number, finished))
        finally:
            waiting.put(None)
