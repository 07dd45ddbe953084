"""What this process may use: processors and memory.

Windows and macOS have neither control groups nor the processors of a single process, and Windows no limit of
the address space; there, the whole machine counts.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

_UNKNOWN: Final = 2**32  # bytes of memory where the system does not tell


def processors() -> int:
    """Number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_memory_limit() -> int:
    """Bytes that a run may take by default: half of what is available to this process.

    That is the least of the machine's memory, the limit of its control group and its address space limit.
    """
    limits = [_memory_of_machine()]
    with suppress(OSError, ValueError):
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    with suppress(ImportError):
        import resource

        address_space, _ = resource.getrlimit(resource.RLIMIT_AS)
        if address_space != resource.RLIM_INFINITY:
            limits.append(address_space)
    return min(limits) // 2


def _memory_of_machine() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return _memory_of_windows() or _UNKNOWN


class _MemoryStatus(ctypes.Structure):
    """What Windows calls MEMORYSTATUSEX."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        ("total", ctypes.c_uint64),
        ("others", ctypes.c_uint64 * 6),
    )


def _memory_of_windows() -> int:
    """Bytes of memory; 0 where they cannot be asked for."""
    windows: Any = ctypes
    status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
    try:
        windows.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
    except (AttributeError, OSError):
        return 0
    return int(status.total)
