"""Signals that end a program, and how threads and new processes are kept from them.

POSIX systems can block signals while a process starts, until it can handle them. Windows has no SIGHUP and
blocks nothing: a process that is interrupted while it starts ends.
"""

from __future__ import annotations

import signal
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final

ENDING: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""The signals by which terminals, users and systems end a program."""

QUITTING: Final = (*ENDING, *([signal.SIGQUIT] if hasattr(signal, "SIGQUIT") else ()))
"""The same, and the one that also asks for a core dump."""


@contextmanager
def blocked(numbers: Collection[int] = ENDING) -> Iterator[None]:
    """Block signals in this thread, and in threads and processes that it starts meanwhile."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def unblock(numbers: Collection[int] = ENDING) -> None:
    """Receive signals that `blocked` has blocked in the parent of this process."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


def ignore(numbers: Collection[int]) -> None:
    """Leave signals to other processes."""
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)
