"""Files that appear under their name complete or not at all, and replace nothing without permission."""

from __future__ import annotations

import io
import os
import re
import stat
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import BinaryIO, Final, Self

from convcli.core.errors import one_line
from convcli.core.handles import (
    READ_ITSELF,
    can_rename_open,
    link_unnamed,
    open_unnamed,
    rename_new,
    set_mode,
    sync,
)
from convcli.core.locks import lock
from convcli.files import pending
from convcli.files.draft import Draft
from convcli.files.input import PIECE, checksum
from convcli.files.stdout import write_stream

_TEMPORARY: Final = re.compile(r"\.convcli-([0-9a-f]+)-[0-9a-f]{12}\.tmp")
"""Name of an unfinished file. It contains the file's own inode, which nobody else's file does."""


class AtomicFile(Draft):
    """A file that has no name until it is complete.

    Where the system cannot create unnamed files (`open_unnamed`), it has a hidden name beside its target and
    is locked while it is being written. A symlink or hard link at the target is replaced, never written
    through. A replaced file's permissions are kept; a new file's follow the umask. Data for a pipe, a device
    or standard output (None) is buffered until complete. Leaving the context without `commit` discards
    everything.

    Args:
        target: where the file goes, or None for standard output.
        force: replace an existing file.
        resume: accept an existing file that has the same bytes.
        stale: SHA-256 of an existing file that may be replaced because an earlier run wrote it.
    """

    def __init__(self, target: Path | None, force: bool, resume: bool = False, stale: str = "") -> None:
        self.target, self.force, self.resume, self.stale = target, force, resume, stale
        self.shown = one_line(str(target)) if target else "standard output"
        self.temporary: Path | None = None

    def __enter__(self) -> Self:
        if self.target is None or is_device(self.target):
            self.file = io.BytesIO()
            return self
        pending.add(self)
        with self.refusals():
            mode = _mode(self.target)
            self.target.parent.mkdir(parents=True, exist_ok=True)
            self._open(self.target.parent)
            set_mode(self.file.fileno(), mode)
        return self

    def _open(self, folder: Path) -> None:
        """Open the file for writing and reading."""
        handle = open_unnamed(folder)
        if handle is not None:
            self.file = open(self.shown, "w+b", opener=lambda *_: handle)  # noqa: SIM115 - by handle
            return
        self.temporary = folder / f".convcli-{os.urandom(6).hex()}.tmp"
        self.file = self.temporary.open("x+b")
        name = _temporary_name(folder, self.file.fileno())
        if not can_rename_open():
            self.file.close()
            self.temporary = self.temporary.rename(name)
            self.file = self.temporary.open("r+b")
        lock(self.file.fileno())
        if self.temporary != name:
            self.temporary = self.temporary.rename(name)

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # buffered data cannot be written
            self.file.close()
        self.remove()
        pending.discard(self)

    def remove(self) -> None:
        """Remove the hidden name, if the file has one."""
        if self.temporary is not None:
            self.temporary.unlink(missing_ok=True)

    def commit(self, sync_folder: bool = True) -> int:
        if isinstance(self.file, io.BytesIO):
            data = self.file.getvalue()
            self._send(data)
            pending.record_result()
            return len(data)
        assert self.target
        with self.refusals():
            size = self.file.seek(0, os.SEEK_END)
            self.file.flush()
            os.fsync(self.file.fileno())
            if not can_rename_open():
                self.file.close()
            self._place(self.target)
        pending.record_result()
        if sync_folder:
            sync(self.target.parent)
        return size

    def _place(self, target: Path) -> None:
        if self.force:
            self._replace(target)
            return
        try:
            self._give_name(target)  # unlike a rename, it fails if the target has appeared in the meantime
        except FileExistsError:
            if self.resume and self._has_same_bytes(target):
                return
            if not self.stale or checksum(str(target))[0] != self.stale:
                raise
            self._replace(target)

    def _replace(self, target: Path) -> None:
        if self.temporary is None:
            name = _temporary_name(target.parent, self.file.fileno())
            lock(self.file.fileno())
            link_unnamed(self.file.fileno(), name)
            self.temporary = name
        os.replace(self.temporary, target)
        self.temporary = None

    def _give_name(self, name: Path) -> None:
        """Give the file its name, which must not exist."""
        if self.temporary is None:
            link_unnamed(self.file.fileno(), name)
        else:
            rename_new(self.temporary, name)
            self.temporary = None

    def _has_same_bytes(self, target: Path) -> bool:
        with self._written() as written, target.open("rb") as existing:
            while (piece := written.read(PIECE)) == existing.read(PIECE):
                if not piece:
                    return True
        return False

    def _written(self) -> AbstractContextManager[BinaryIO]:
        """What was written, from its beginning."""
        if self.file.closed:
            assert self.temporary
            return self.temporary.open("rb")
        self.file.seek(0)
        return nullcontext(self.file)

    def _send(self, data: bytes) -> None:
        if self.target is None:
            write_stream(data)
            return
        with self.refusals(), suppress(BrokenPipeError), self.target.open("wb") as device:
            device.write(data)


def sweep(folder: Path) -> None:
    """Remove unfinished files of killed processes: those named by their inode that nobody has locked."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if name := _TEMPORARY.fullmatch(entry.name):
                _remove_abandoned(entry.path, int(name[1], 16))


def _remove_abandoned(path: str, inode: int) -> None:
    with suppress(OSError):
        handle = os.open(path, READ_ITSELF)
        try:
            status = os.fstat(handle)
            is_ours = stat.S_ISREG(status.st_mode) and status.st_ino == inode
            is_abandoned = is_ours and lock(handle)
            if is_abandoned and can_rename_open():
                os.unlink(path)
        finally:
            os.close(handle)
        if is_abandoned and not can_rename_open():
            os.unlink(path)  # which is refused while somebody has it open


def is_device(target: Path) -> bool:
    """Whether a target is a pipe, socket or device such as /dev/null, which is written to, not replaced."""
    try:
        mode = target.stat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)


def _temporary_name(folder: Path, handle: int) -> Path:
    """The hidden name of an open file; `_TEMPORARY` matches it."""
    return folder / f".convcli-{os.fstat(handle).st_ino:x}-{os.urandom(6).hex()}.tmp"


def _mode(target: Path) -> int:
    """Permissions for the new file: those of the file it replaces, or else the umask's."""
    return stat.S_IMODE(target.stat().st_mode) if target.is_file() else 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
