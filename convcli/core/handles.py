"""Open files: what only some systems can do with them, and what is done elsewhere.

=====================  ===================================  ==================================================
what                   where                                elsewhere
=====================  ===================================  ==================================================
files without names    Linux, where /proc is mounted        a hidden name beside the target
hard links             file systems that have them          a rename, after a look whether the name is taken
rename of open files   POSIX                                the file is closed first
reads at an offset     POSIX                                a second handle and a lock
permissions            POSIX                                as the system sets them
sync of a folder       POSIX                                nothing: the system decides when
=====================  ===================================  ==================================================
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Final

IS_POSIX: Final = os.name == "posix"
"""Whether this is Linux, macOS or another POSIX system; otherwise, it is Windows."""

OPEN_FILES: Final = "/proc/self/fd"
"""Where Linux lists the open files of this process, if /proc is mounted."""

READ: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Flags to open a file for reading: its bytes as they are, and without waiting for the writer of a pipe."""

READ_ITSELF: Final = READ | getattr(os, "O_NOFOLLOW", 0)
"""The same, but not the target of a symbolic link."""

APPEND: Final = os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0)
"""Flags to append bytes to a file as they are."""


def can_rename_open() -> bool:
    """Whether a file can be renamed, replaced and removed while it is open."""
    return IS_POSIX


def set_mode(handle: int, permissions: int) -> None:
    """Set the permissions of an open file."""
    if hasattr(os, "fchmod"):
        os.fchmod(handle, permissions)


def open_unnamed(folder: Path) -> int | None:
    """A new unnamed file that `link_unnamed` can name later; None where the system cannot do that."""
    try:
        handle = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600)
    except (OSError, AttributeError):
        return None
    if os.path.lexists(f"{OPEN_FILES}/{handle}"):
        return handle
    os.close(handle)
    return None


def link_unnamed(handle: int, name: Path) -> None:
    """Give an unnamed file a name, which must not exist."""
    folder = os.open(name.parent, os.O_RDONLY)  # given a folder, link() follows the symlink in /proc
    try:
        os.link(f"{OPEN_FILES}/{handle}", name, src_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)


def rename_new(file: Path, name: Path) -> None:
    """Give a file another name, which must not exist.

    Raises:
        FileExistsError: it does. Without hard links, POSIX systems may miss one that appears at this moment.
    """
    if IS_POSIX:
        with suppress(AttributeError):
            try:
                os.link(file, name)
            except FileExistsError:
                raise
            except OSError:  # a file system without hard links
                pass
            else:
                file.unlink()
                return
    if os.path.lexists(name):
        raise FileExistsError
    file.rename(name)  # which Windows refuses if the name has appeared in the meantime


def sync(folder: Path) -> None:
    """Make the names in a folder durable, where the system can sync a folder."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


class PartReader:
    """Reads an open file at any offset, from any thread.

    Args:
        handle: of the file, whose position stays as it is.
        name: of the file, which is opened once more where the system cannot read at an offset.
    """

    def __init__(self, handle: int, name: str) -> None:
        self.handle, self.name = handle, name
        self.second, self.lock = -1, Lock()

    def read(self, count: int, offset: int) -> bytes:
        """Up to ``count`` bytes from ``offset`` on; none at the end."""
        if hasattr(os, "pread"):
            return os.pread(self.handle, count, offset)
        with self.lock:
            if self.second < 0:
                self.second = os.open(self.name, READ)
            os.lseek(self.second, offset, os.SEEK_SET)
            return os.read(self.second, count)

    def close(self) -> None:
        """Close what was opened here."""
        if self.second >= 0:
            os.close(self.second)
            self.second = -1
