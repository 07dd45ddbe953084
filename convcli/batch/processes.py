"""A pool of worker processes that compute one task at a time and are replaced when they die.

Workers are forked, so that they start with everything imported, unless URLs are in play or the system cannot
fork. They finish a
computed task in a thread beside the next computation, because finishing waits for the disk. A worker ends
when its parent does.
"""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from threading import Lock
from types import FrameType
from typing import Any, Final, cast

from convcli.batch.pool import TaskFailure, TaskResult, Work
from convcli.core.errors import ConvcliError
from convcli.core.native_stderr import fatal_line
from convcli.core.processes import can_fork, end_with, keep_memory, memory_file
from convcli.core.signals import ENDING, blocked, ignore, unblock
from convcli.core.threads import Threads
from convcli.storage.options import set_options, text_for_workers

MOST_TASKS: Final = 2000
"""Tasks of one worker before it is replaced, which ends what libraries leak, such as a reference for each
damaged image."""

MOST_FINISHING: Final = 2
"""Tasks of one worker that may be waiting for the disk before it gets no more to compute."""

_PATIENCE: Final = 0.7  # seconds that workers have to end after SIGTERM
_ERROR: Final = 2  # the descriptor of standard error
_LOG_TAIL: Final = 2**13  # bytes read from the output of a worker's libraries


@dataclass(slots=True, eq=False)
class _Worker:
    process: Any
    pipe: Connection
    log: int | None  # an open file with the output of its libraries
    computing: int | None = None
    retired: bool = False
    finishing: list[int] = field(default_factory=list)


class ProcessPool:
    """Up to ``size`` worker processes: a `WorkerPool`.

    Args:
        work: what a worker does with a task.
        repetition: turns a task that a worker which died may have done into one that can be done again.
        cache: bytes of freed memory that a worker keeps for its next task.
    """

    def __init__(self, size: int, work: Work, repetition: Callable[[Any], Any], cache: int) -> None:
        self.size, self.work, self.repetition, self.cache = size, work, repetition, cache
        self.workers: list[_Worker] = []
        self.tasks: dict[int, Any] = {}
        self.lost: list[int] = []

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
            _read_log(worker.log)

    @property
    def running(self) -> int:
        return len(self.tasks)

    def ready(self) -> bool:
        return not self.lost and self._free() is not None

    def submit(self, number: int, task: Any) -> None:
        worker = self._free()
        assert worker is not None
        self.tasks[number] = task
        worker.computing = number
        with suppress(OSError):  # it died, as `events` will find
            worker.pipe.send((number, task))

    def shrink(self) -> None:
        idle = [worker for worker in self.workers if worker.computing is None and not worker.finishing]
        for worker in idle[1:]:
            worker.pipe.close()
        for worker in idle[1:]:
            worker.process.join()
            self.workers.remove(worker)
            _read_log(worker.log)

    def _free(self) -> _Worker | None:
        """A worker that can begin a task, started if need be; None where there is none."""
        for worker in self.workers:
            free = worker.computing is None and not worker.retired
            if free and len(worker.finishing) < MOST_FINISHING:
                return worker
        if len(self.workers) >= self.size:
            return None
        try:
            return self._start()
        except OSError as error:  # too many processes or files, too little memory
            self.size = len(self.workers)
            if not self.workers:
                raise ConvcliError(f"cannot start a worker process: {error.strerror}") from error
            return None

    def _start(self) -> _Worker:
        log = memory_file()
        ours, theirs, process = self._process(log)
        with blocked():  # until the worker can handle signals
            process.start()
        theirs.close()
        worker = _Worker(process, ours, log)
        self.workers.append(worker)
        return worker

    def _process(self, log: int | None) -> tuple[Connection, Connection, BaseProcess]:
        """Both ends of a worker's pipe, and the process, not yet started."""
        gc.freeze()  # otherwise garbage collection in either process would copy the pages that they share
        context = get_context("fork")
        ours, theirs = context.Pipe()
        others = [ours, *(worker.pipe for worker in self.workers)]
        arguments = theirs, others, self.work, os.getpid(), self.cache, log
        return ours, theirs, context.Process(target=_serve, args=arguments)

    def events(self, seconds: float) -> Iterator[TaskResult | TaskFailure]:
        pipes = {worker.pipe: worker for worker in self.workers}
        for pipe in wait(list(pipes), seconds):
            worker = pipes[cast(Connection, pipe)]  # Windows has another class for it
            try:
                event, number, value = worker.pipe.recv()
            except (EOFError, OSError):
                yield from self._bury(worker)
                continue
            if event == "computed":
                worker.computing, worker.retired = None, value
                worker.finishing.append(number)
            else:
                worker.finishing.remove(number)
                del self.tasks[number]
                yield TaskResult(number, value) if event == "done" else TaskFailure(number, value)
        while self.lost and self._free() is not None:
            number = self.lost.pop()
            self.submit(number, self.repetition(self.tasks[number]))

    def _bury(self, worker: _Worker) -> Iterator[TaskFailure]:
        """Remove a dead worker: the task that it computed failed, or else the one it was finishing first."""
        worker.pipe.close()
        worker.process.join()
        self.workers.remove(worker)
        last_line = _read_log(worker.log)
        tasks = [worker.computing] if worker.computing is not None else []
        tasks += worker.finishing
        self.lost += tasks[1:]
        for failed in tasks[:1]:
            del self.tasks[failed]
            reason = _reason(worker.process.exitcode)
            yield TaskFailure(failed, f"{reason}: {last_line}" if last_line else reason)


class NewProcessPool(ProcessPool):
    """A pool whose workers begin as new processes: none inherits connections to stores, or locks of their
    libraries, from a process that has used URLs. The work is pickled for them.
    """

    def _process(self, log: int | None) -> tuple[Connection, Connection, BaseProcess]:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        copy = None if log is None else _for_child(log)
        arguments = theirs, self.work, os.getpid(), self.cache, copy, text_for_workers()
        return ours, theirs, context.Process(target=_serve_anew, args=arguments)


def process_pool(shares: bool = True) -> type[ProcessPool]:
    """The class of a pool for this system.

    Args:
        shares: whether workers may share what their parent has opened, as forked ones do.
    """
    return ProcessPool if shares and can_fork() else NewProcessPool


def _for_child(handle: int) -> Any:
    """An open file for a process that is going to be started."""
    from multiprocessing.reduction import DupFd  # which Windows does not have, nor files in memory

    return DupFd(handle)


def _read_log(log: int | None) -> str:
    """The line by which a worker's libraries explained its end; closes the log."""
    if log is None:
        return ""
    with os.fdopen(log, "rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - _LOG_TAIL, 0))
        return fatal_line(file.read())


def _reason(code: int) -> str:
    if code >= 0:
        return f"its worker process exited with code {code}"
    with suppress(ValueError):
        return f"its worker process was killed by {signal.Signals(-code).name}"
    return f"its worker process was killed by signal {-code}"


class _Ended(BaseException):
    """The worker was asked to end."""


def _serve(
    pipe: Connection, others: list[Connection], work: Work, parent: int, cache: int, log: int | None
) -> None:
    """Work until the pipe is closed, then exit without the parent's cleanup, which this copy must not do."""
    try:
        if log is not None:
            os.dup2(log, _ERROR)
        _handle_signals(parent)
        keep_memory(cache)
        for other in others:  # while a copy is open, no worker sees that the parent is gone
            other.close()
        _Loop(pipe, work).run()
    except (_Ended, KeyboardInterrupt):
        os._exit(0)
    except BaseException:
        os._exit(1)
    os._exit(0)


def _serve_anew(
    pipe: Connection, work: Work, parent: int, cache: int, log: Any, storage_options: str
) -> None:
    """`_serve` in a process that shares nothing with its parent."""
    set_options(storage_options)
    _serve(pipe, [], work, parent, cache, None if log is None else log.detach())


def _handle_signals(parent: int) -> None:
    """End on SIGTERM, which the parent's death sends too, and leave the keyboard's signals to the parent."""
    ignore([number for number in ENDING if number != signal.SIGTERM])
    signal.signal(signal.SIGTERM, _end)
    unblock()
    end_with(parent, signal.SIGTERM)


def _end(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, lambda *_: None)
    raise _Ended


_Computed = tuple[int, Callable[[], Any]]
"""The number of a task, and what finishes it."""


class _Loop:
    """Computes tasks from a pipe one after the other, and finishes them in a thread."""

    def __init__(self, pipe: Connection, work: Work) -> None:
        self.pipe, self.work, self.lock = pipe, work, Lock()
        self.waiting = SimpleQueue[_Computed | None]()

    def run(self) -> None:
        """Work until the pipe is closed, or for `MOST_TASKS` tasks."""
        with Threads() as threads:
            try:
                finish_later = self.waiting.put if threads.begin(self._finish_all) else self._finish
                for left in reversed(range(MOST_TASKS)):
                    try:
                        number, task = self.pipe.recv()
                    except (EOFError, OSError):
                        break
                    finish = self.work(task)
                    self._send("computed", number, not left)
                    finish_later((number, finish))
            finally:
                self.waiting.put(None)

    def _finish_all(self) -> None:
        try:
            for computed in iter(self.waiting.get, None):
                self._finish(computed)
        except BaseException:  # perhaps out of memory; whoever waits would wait forever
            os._exit(1)

    def _finish(self, computed: _Computed) -> None:
        number, finish = computed
        try:
            event = "done", number, finish()
        except MemoryError:
            event = "lost", number, "not enough memory"
        self._send(*event)

    def _send(self, *event: Any) -> None:
        with self.lock, suppress(OSError):  # the parent is gone
            self.pipe.send(event)
