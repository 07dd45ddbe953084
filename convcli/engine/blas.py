"""Limits BLAS to one thread while our own threads call it.

With threads of its own, BLAS would use more threads than there are processors, and add in an order that
depends on their number. The setting applies to the whole process; it is restored after the last of our calls.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable
from functools import lru_cache
from itertools import product
from typing import Final

import numpy as np

from convcli.core.processes import in_children
from convcli.core.threads import WhileInside

_OPENBLAS: Final = [
    tuple(f"{prefix}openblas_{word}_num_threads{suffix}" for word in ("get", "set"))
    for prefix, suffix in product(("scipy_", ""), ("64_", "", "_64"))
]
_NAMES: Final = [
    *_OPENBLAS,
    ("MKL_Get_Max_Threads", "MKL_Set_Num_Threads"),
    ("bli_thread_get_num_threads", "bli_thread_set_num_threads"),
]
"""The functions by which libraries get and set their number of threads."""

_FIRST: Final = 2**26
"""Bytes that must be free for the first call: OpenBLAS takes 32 MB on most processors."""

_EACH: Final = 2**28
"""Bytes that must be free for each of several threads: a buffer, a stack, malloc's arena and arrays."""

Control = tuple[Callable[[], int], Callable[[int], object]]
"""Gets and sets the number of threads."""


@lru_cache(1)
def control() -> Control | None:
    """The control of the BLAS that NumPy is linked to; None if it is not a known one."""
    try:
        # A symbol is also searched for in the libraries that the extension is linked to, and only there.
        library = ctypes.CDLL(np._core._multiarray_umath.__file__)  # type: ignore[attr-defined]
    except (AttributeError, OSError):
        return None
    for get, set_ in _NAMES:
        if hasattr(library, get) and hasattr(library, set_):
            return getattr(library, get), getattr(library, set_)
    return None


def callers(wanted: int) -> int:
    """How many of ``wanted`` threads may call BLAS at once, given the free memory.

    OpenBLAS takes a buffer for each thread that calls it, and ends the whole process, or hangs, if it gets
    none. It keeps its buffers, so the first is taken here, before anything else can use the memory.

    Raises:
        MemoryError: there is not enough for one.
    """
    count = next((count for count in range(wanted, 1, -1) if _is_free(count * _EACH)), 1)
    _warm()
    return count


@lru_cache(1)
def _warm() -> None:
    """Make BLAS allocate its first buffer."""
    if not _is_free(_FIRST):
        raise MemoryError("not enough memory for matrix products")
    matrix = np.ones((128, 128), np.float32)
    with ONE_THREAD:
        np.matmul(matrix, matrix)


def _is_free(size: int) -> bool:
    """Whether the system would allocate so many bytes; they are not touched."""
    try:
        mmap.mmap(-1, size).close()
    except (OSError, ValueError, MemoryError):
        return False
    return True


class _OneThread(WhileInside):
    """BLAS limited to one thread."""

    before = 1

    def begin(self) -> None:
        threads = control()
        self.before = threads[0]() if threads else 1
        if threads and self.before != 1:
            threads[1](1)

    def end(self) -> None:
        threads = control()
        if threads and self.before != 1:
            threads[1](self.before)


ONE_THREAD: Final = _OneThread()
"""Limits BLAS to one thread while any thread is inside."""

in_children(ONE_THREAD.leave)
