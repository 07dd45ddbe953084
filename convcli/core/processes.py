"""Processes: how they start and end, and the memory that they may take and keep.

=====================  ==================  ==================================================
what                   where               elsewhere
=====================  ==================  ==================================================
workers are forked     Linux               new processes, which import everything once more
end with the parent    Linux               macOS: if it is gone at the start; workers of a
                                           pool also end when their pipe is closed
end after some time    POSIX, by a timer   a thread, which waits for a library that holds
                                           Python's lock
limit of memory        POSIX               none
freed memory is kept   glibc               as the system's allocator does
file in memory         Linux               none: what libraries of workers print is shown
=====================  ==================  ==================================================
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from convcli.core.handles import IS_POSIX

_DEATH_OF_PARENT: Final = 1  # prctl's number for the signal that it sends (PR_SET_PDEATHSIG)
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""glibc's M_TRIM_THRESHOLD, how much freed memory is kept, and M_MMAP_THRESHOLD, from which size on memory is
returned at once."""

_LARGEST_MMAP_THRESHOLD: Final = 2**25  # that glibc allows
_KILL: Final = getattr(signal, "SIGKILL", signal.SIGTERM)
_TOO_LATE: Final = 124  # the exit code of a process that has run out of time, as of timeout(1)
_QUERY: Final = 0x1000  # Windows: PROCESS_QUERY_LIMITED_INFORMATION
_STILL_ACTIVE: Final = 259  # Windows: the exit code of a process that has not ended
_NO_SUCH_PROCESS: Final = 87  # Windows: ERROR_INVALID_PARAMETER


def can_fork() -> bool:
    """Whether a copy of this process could go on: frameworks of macOS do not survive a fork."""
    return hasattr(os, "fork") and sys.platform != "darwin"


def in_children(call: Callable[[], object]) -> None:
    """Call a function in every process that is forked from this one."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=call)


def end_with(parent: int, number: int = _KILL) -> None:
    """Have the system send this process a signal when its parent dies, or now if it is already dead.

    Only Linux does so; elsewhere, a process that must not outlive its parent also needs `end_after`. On
    Windows, where a launcher of Python may stand between two processes, nothing is done.
    """
    if not IS_POSIX:
        return
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).prctl(_DEATH_OF_PARENT, number)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def end_after(seconds: float) -> None:
    """End this process after some seconds, even in the middle of a call into a library."""
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        return
    from threading import Timer

    timer = Timer(seconds, os._exit, (_TOO_LATE,))
    timer.daemon = True
    timer.start()


def limit_memory(most: int) -> None:
    """Limit the address space of this process, where the system can; a lower limit is kept."""
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY or soft > most:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def keep_memory(most: int) -> None:
    """Keep up to so many bytes of freed memory for the next task: fetching fresh pages takes time."""
    with suppress(OSError, AttributeError, TypeError):  # only glibc has it
        library = ctypes.CDLL(None)
        library.mallopt(_TRIM_THRESHOLD, most)
        library.mallopt(_MMAP_THRESHOLD, min(most // 2, _LARGEST_MMAP_THRESHOLD))


def memory_file() -> int | None:
    """A new file in memory; None where the system has none, or none left."""
    try:
        return os.memfd_create("convcli")
    except (OSError, AttributeError):
        return None


def is_running(process: int) -> bool:
    """Whether a process of this machine runs, or may run."""
    if not IS_POSIX:
        return _runs_on_windows(process)
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _runs_on_windows(process: int) -> bool:
    """The same without `os.kill`, which would end the process there."""
    try:
        windows: Any = ctypes
        kernel = windows.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = ctypes.c_void_p
        handle = kernel.OpenProcess(_QUERY, False, process)
        if not handle:
            return bool(windows.get_last_error() != _NO_SUCH_PROCESS)
        code = ctypes.c_ulong(_STILL_ACTIVE)
        kernel.GetExitCodeProcess(ctypes.c_void_p(handle), ctypes.byref(code))
        kernel.CloseHandle(ctypes.c_void_p(handle))
    except (OSError, AttributeError, ctypes.ArgumentError):
        return True
    return code.value == _STILL_ACTIVE
