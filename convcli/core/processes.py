"""Processes that end together with their parent, and the memory that they keep."""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import suppress
from typing import Final

_DEATH_OF_PARENT: Final = 1  # prctl's number for the signal that it sends (PR_SET_PDEATHSIG)
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""glibc's M_TRIM_THRESHOLD, how much freed memory is kept, and M_MMAP_THRESHOLD, from which size on memory is
returned at once."""

_LARGEST_MMAP_THRESHOLD: Final = 2**25  # that glibc allows


def end_with(parent: int, number: int = signal.SIGKILL) -> None:
    """Have the system send this process a signal when its parent dies, or now if it is already dead.

    Only Linux does so; elsewhere, a process that must not outlive its parent also needs `end_after`.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_DEATH_OF_PARENT, number)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def end_after(seconds: float) -> None:
    """End this process after some seconds, even in the middle of a call into a library."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def keep_memory(most: int) -> None:
    """Keep up to so many bytes of freed memory for the next task: fetching fresh pages takes time."""
    with suppress(OSError, AttributeError):  # only glibc has it
        library = ctypes.CDLL(None)
        library.mallopt(_TRIM_THRESHOLD, most)
        library.mallopt(_MMAP_THRESHOLD, min(most // 2, _LARGEST_MMAP_THRESHOLD))
