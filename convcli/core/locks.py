"""Locks of open files, which the system releases when a process ends, however it ends.

POSIX systems have ``flock``. Windows locks a byte behind the end of the file instead, since it refuses to
read locked bytes. Where there is neither, and on file systems without locks, nothing is locked.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

_PLACE: Final = 2**31 - 2
"""The byte that Windows locks: the last one whose number every version takes."""


def lock(handle: int) -> bool:
    """Lock an open file for this process.

    Returns:
        Whether it is locked now; not so where files cannot be locked.

    Raises:
        BlockingIOError: another process, or another handle of this one, holds the lock.
    """
    if _lock is None:
        return False
    try:
        _lock(handle)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True


def _of_posix() -> Callable[[int], None]:
    import fcntl

    return lambda handle: fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _of_windows() -> Callable[[int], None]:
    import msvcrt

    windows: Any = msvcrt

    def lock_byte(handle: int) -> None:
        place = os.lseek(handle, 0, os.SEEK_CUR)
        os.lseek(handle, _PLACE, os.SEEK_SET)
        try:
            windows.locking(handle, windows.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError(error.errno, "locked by another process") from error
        finally:
            os.lseek(handle, place, os.SEEK_SET)

    return lock_byte


def _of_system() -> Callable[[int], None] | None:
    for found in (_of_posix, _of_windows):
        try:
            return found()
        except ImportError:
            continue
    return None


_lock: Final = _of_system()
