"""Threads that the system may refuse, in which case the caller does the work.

`threading.Thread.start` waits for the thread's first steps, forever if memory runs out in them; so threads
are started without it, and one that does not start in time counts as refused.
"""

from __future__ import annotations

import _thread
from abc import ABC, abstractmethod
from collections.abc import Callable
from threading import Lock
from typing import Final, Self

_PATIENCE: Final = 1.0  # seconds within which a thread starts


class _Thread:
    """A call in a thread of its own, once `began` returned True."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call
        self.error: BaseException | None = None
        self.taken, self.begun, self.ended = Lock(), Lock(), Lock()
        self.begun.acquire()
        self.ended.acquire()

    def began(self) -> bool:
        """Start the thread; False if there is none for it, and nothing was done."""
        try:
            _thread.start_new_thread(self._run, ())
        except (RuntimeError, MemoryError):
            return False
        return self.begun.acquire(timeout=_PATIENCE) or not self.taken.acquire(blocking=False)

    def _run(self) -> None:
        if not self.taken.acquire(blocking=False):
            return
        self.begun.release()
        try:
            self.call()
        except BaseException as error:
            self.error = error
        finally:
            self.ended.release()  # a lock, because it needs no memory

    def wait(self) -> None:
        with self.ended:
            pass


class Threads:
    """Calls in threads of their own; leaving the context waits for all that were started."""

    def __init__(self) -> None:
        self.begun: list[_Thread] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()

    def __len__(self) -> int:
        return len(self.begun)

    def begin(self, call: Callable[[], None]) -> bool:
        """Start a call in a thread; False if the system gives none."""
        thread = _Thread(call)
        started = thread.began()
        if started:
            self.begun.append(thread)
        return started

    def wait(self) -> list[BaseException]:
        """Wait until all have ended, and return what they raised, in the order in which they were started."""
        for thread in self.begun:
            thread.wait()
        errors = [thread.error for thread in self.begun if thread.error is not None]
        self.begun.clear()  # an error holds all that its thread had
        return errors

    def join(self) -> None:
        """Wait until all have ended, and raise the error of the first that failed."""
        for error in self.wait():
            raise error


class WhileInside(ABC):
    """A state of the whole process that lasts while any thread is inside the context."""

    def __init__(self) -> None:
        self.lock, self.inside = Lock(), 0

    def __enter__(self) -> None:
        with self.lock:
            self.inside += 1
            if self.inside == 1:
                self.begin()

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.inside -= 1
            if not self.inside:
                self.end()

    def leave(self) -> None:
        """End the state in a forked process, where no thread is inside any more."""
        inside, self.lock, self.inside = self.inside, Lock(), 0
        if inside:
            self.end()

    @abstractmethod
    def begin(self) -> None:
        """Called when the first thread enters."""

    @abstractmethod
    def end(self) -> None:
        """Called when the last thread leaves."""
