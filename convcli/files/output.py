"""The one way out: files that appear whole or not at all, over nothing that was there unasked."""

from __future__ import annotations

import fcntl
import io
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property, lru_cache
from pathlib import Path
from typing import BinaryIO, Final, Self

from convcli.core.errors import OutputError, cut, one_line
from convcli.files.input import PIECE, STREAM, checksum

_TEMPORARY: Final = re.compile(r"\.convcli-([0-9a-f]+)-[0-9a-f]{12}\.tmp")
"""Name of a file in the making, with the number of its own inode: no file of somebody else's has that."""


class Placed:
    """Whether this process has put a result in its place, or written one to standard output."""

    any = False


OPEN_FILES = "/proc/self/fd"
"""Where Linux shows the files of this process, unless /proc is not mounted."""


class OutputLedger:
    """The files of a run: no output replaces a file that the run reads, nor another output.

    Args:
        inputs: the names of all inputs, those that come later too.
        reads: other files that the run reads: kernels and lists of names.
    """

    def __init__(self, inputs: Iterable[str] = (), reads: Iterable[str] = ()) -> None:
        self.inputs = [name for name in inputs if name != STREAM]
        self.reads = [name for name in reads if name != STREAM]
        self.outputs: set[str] = set()
        self.swept: set[Path] = set()

    @cached_property
    def _of_inputs(self) -> Kept:
        return Kept(self.inputs)

    @cached_property
    def _of_reads(self) -> Kept:
        return Kept(self.reads)

    def _check_kept(self, target: Path, shown: str, force: bool, own: str | None) -> None:
        """Refuse a target that the run reads, unless it is the one input that the result is to replace."""
        if self._of_reads.holds(target):
            raise OutputError(f"{shown}: is read by this run (a kernel or a list), and is not overwritten")
        if not self._of_inputs.holds(target):
            return
        if own is None or _entry(target) != _entry(own):
            raise OutputError(f"{shown}: is an input of this run; only its own single result may replace it")
        if target.is_symlink():
            leads = one_line(str(target.resolve()))
            raise OutputError(f"{shown}: is a symbolic link; to replace the image, name {leads}")
        if not force:
            raise OutputError(f"{shown}: is the input itself (--force replaces it with the result)")

    def claim(self, target: Path, force: bool, make_folder: bool = False, own: str | None = None) -> None:
        """Refuse, before any work, a target that is read, was claimed, exists, or cannot be written.

        What a killed program left in its folder is removed.

        Args:
            force: allow a target that exists.
            make_folder: allow a folder that does not exist yet; `write` creates it.
            own: an input that this is the only result of, which it may replace if forced.

        Raises:
            OutputError: with what to do instead.
        """
        shown = one_line(str(target))
        try:
            _check_folder(target, shown, make_folder)
            if target.is_dir():
                raise OutputError(f"{shown}: is a folder")
            if _is_device(target):
                return
            place = _entry(target)
            if place in self.outputs:
                raise OutputError(f"{shown}: is another output of this run; use {{stem}} or a folder")
            if os.path.lexists(target):
                self._check_kept(target, shown, force, own)
            if os.path.lexists(target) and not force:
                raise OutputError(f"{shown}: exists already (--force replaces it)")
        except (OSError, ValueError) as error:  # a name too long, or with a NUL
            reason = getattr(error, "strerror", None) or error
            raise OutputError(f"{cut(shown)}: {reason}") from error
        self.outputs.add(place)
        if target.parent not in self.swept:
            self.swept.add(target.parent)
            sweep(target.parent)


class Kept:
    """Files that are not to be replaced, told by what they are and by their names."""

    def __init__(self, names: Iterable[str]) -> None:
        names = list(names)
        self.identities = {_identity(name) for name in names} - {None}
        real = lru_cache(1024)(os.path.realpath)
        self.entries = {_entry(name, real) for name in names}

    def holds(self, target: Path) -> bool:
        return _identity(target) in self.identities or _entry(target) in self.entries


def _entry(name: str | Path, real: Callable[[str], str] = os.path.realpath) -> str:
    """A name with its folder as it really is."""
    folder, last = os.path.split(name)
    return os.path.join(real(folder), last)  # noqa: PTH118


def _identity(name: str | Path) -> tuple[int, int] | None:
    """What tells one file from another, whatever its names are."""
    with suppress(OSError, ValueError):
        facts = Path(name).stat()
        return facts.st_dev, facts.st_ino
    return None


def _check_folder(target: Path, shown: str, make_folder: bool) -> None:
    folder = target.parent
    while make_folder and not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise OutputError(f"{shown}: the folder {one_line(str(folder))} {what}")
    if not os.access(folder, os.W_OK | os.X_OK) and not _is_device(target):
        raise OutputError(f"{shown}: no permission to write in {one_line(str(folder))}")


def _is_device(target: Path) -> bool:
    """Whether a target is a pipe or a device, such as /dev/null: written to, never replaced."""
    try:
        mode = target.stat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)


class AtomicFile:
    """A file in the making, which has no name until it is whole.

    Where the system cannot make files without a name, it has a hidden one beside its target, locked for as
    long as somebody writes it. A symlink or hard link as target is replaced, never written through. The
    permissions of a replaced file are kept, those of a new one are what the umask leaves. What goes to a
    pipe, a device or standard output (None) is kept in memory until it is whole. Leaving the context
    without `commit` leaves nothing behind.

    Args:
        force: replace a file that is there.
        resume: take a file that is there for this one's, where it has the same bytes.
        stale: SHA-256 of a file that may be replaced, because an earlier run is known to have written it.
    """

    def __init__(self, target: Path | None, force: bool, resume: bool = False, stale: str = "") -> None:
        self.target, self.force, self.resume, self.stale = target, force, resume, stale
        self.shown = one_line(str(target)) if target else "standard output"
        self.temporary: Path | None = None

    def __enter__(self) -> Self:
        if self.target is None or _is_device(self.target):
            self.file: BinaryIO = io.BytesIO()
            return self
        _OPEN.add(self)
        with self.refusals():
            mode = _mode(self.target)
            self.target.parent.mkdir(parents=True, exist_ok=True)
            self._open(self.target.parent)
            os.fchmod(self.file.fileno(), mode)
        return self

    def _open(self, folder: Path) -> None:
        """Open a file to write and to read again, as TIFF wants it where more pages follow."""
        handle = _nameless(folder)
        if handle is not None:
            self.file = open(self.shown, "w+b", opener=lambda *_: handle)  # noqa: SIM115 - by handle
            return
        self.temporary = folder / f".convcli-{os.urandom(6).hex()}.tmp"
        self.file = self.temporary.open("x+b")
        _lock(self.file.fileno())
        self.temporary = self.temporary.rename(_hidden(folder, self.file.fileno()))

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # what is in its buffer has nowhere to go
            self.file.close()
        self.remove()
        _OPEN.discard(self)

    def remove(self) -> None:
        """Remove the hidden name, if there is one."""
        if self.temporary is not None:
            self.temporary.unlink(missing_ok=True)

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Turn the system's refusals into an `OutputError` that names the target."""
        try:
            yield
        except FileExistsError as error:
            raise OutputError(f"{self.shown}: exists already (--force replaces it)") from error
        except OSError as error:
            raise OutputError(f"{self.shown}: {error.strerror or error}") from error

    def commit(self, sync_folder: bool = True) -> int:
        """Put the finished file in its place; its size in bytes.

        Args:
            sync_folder: make its name durable at once too.

        Raises:
            OutputError: the target exists and ``force`` is off, or the system refuses.
        """
        if isinstance(self.file, io.BytesIO):
            data = self.file.getvalue()
            self._send(data)
            Placed.any = True
            return len(data)
        assert self.target
        with self.refusals():
            size = self.file.seek(0, os.SEEK_END)
            self.file.flush()
            os.fsync(self.file.fileno())
            self._place(self.target)
        Placed.any = True
        if sync_folder:
            sync(self.target.parent)
        return size

    def _place(self, target: Path) -> None:
        if self.force:
            self._replace(target)
            return
        try:
            self._link(target)  # unlike a renaming, it fails where the target appeared meanwhile
        except FileExistsError:
            if self.resume and self._is_same(target):
                return
            if not self.stale or checksum(str(target))[0] != self.stale:
                raise
            self._replace(target)

    def _replace(self, target: Path) -> None:
        if self.temporary is None:
            self.temporary = _hidden(target.parent, self.file.fileno())
            _lock(self.file.fileno())
            self._link(self.temporary)
        os.replace(self.temporary, target)
        self.temporary = None

    def _link(self, name: Path) -> None:
        """Give the file a name that nobody has."""
        if self.temporary is not None and name != self.temporary:
            try:
                os.link(self.temporary, name)
            except FileExistsError:
                raise
            except OSError:  # a file system without hard links
                if os.path.lexists(name):
                    raise FileExistsError from None
                self.temporary.rename(name)
            return
        handle = os.open(name.parent, os.O_RDONLY)  # with one, the link is followed
        try:
            os.link(_open_file(self.file.fileno()), name, src_dir_fd=handle, follow_symlinks=True)
        finally:
            os.close(handle)

    def _is_same(self, target: Path) -> bool:
        """Whether a file has the bytes of this one."""
        self.file.seek(0)
        with target.open("rb") as other:
            while (piece := self.file.read(PIECE)) == other.read(PIECE):
                if not piece:
                    return True
        return False

    def _send(self, data: bytes) -> None:
        if self.target is None:
            write_stream(data)
            return
        with self.refusals(), suppress(BrokenPipeError), self.target.open("wb") as device:
            device.write(data)


_OPEN: set[AtomicFile] = set()
"""Files in the making."""


def abandon() -> None:
    """Leave nothing of any file in the making, in a process that ends at once."""
    for draft in list(_OPEN):
        with suppress(OSError):
            draft.remove()


def _open_file(handle: int) -> str:
    """The name by which a file without a name is linked."""
    return f"{OPEN_FILES}/{handle}"


def _nameless(folder: Path) -> int | None:
    """A new file without a name, which can be given one; None where a system or file system has no such."""
    try:
        handle = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600)
    except (OSError, AttributeError):
        return None
    if os.path.lexists(_open_file(handle)):
        return handle
    os.close(handle)
    return None


def _mode(target: Path) -> int:
    return stat.S_IMODE(target.stat().st_mode) if target.is_file() else 0o666 & ~_umask()


def _hidden(folder: Path, handle: int) -> Path:
    """The name of an open file in the making, as `_TEMPORARY` has it."""
    return folder / f".convcli-{os.fstat(handle).st_ino:x}-{os.urandom(6).hex()}.tmp"


def _lock(handle: int) -> None:
    """Lock a file that is being written, so that `sweep` leaves it; not every file system can."""
    with suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def sweep(folder: Path) -> None:
    """Remove what a killed run left: files of `AtomicFile`, known by their inode, that nobody writes now."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if found := _TEMPORARY.fullmatch(entry.name):
                _remove_abandoned(entry.path, int(found[1], 16))


def _remove_abandoned(name: str, inode: int) -> None:
    with suppress(OSError):
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            facts = os.fstat(handle)
            if stat.S_ISREG(facts.st_mode) and facts.st_ino == inode:
                os.unlink(name)
        finally:
            os.close(handle)


def write(target: Path, data: bytes, force: bool) -> None:
    """Write a file whole, as `AtomicFile` does.

    Raises:
        OutputError: ``target`` exists and ``force`` is off, or the system refuses; nothing is left behind.
    """
    with AtomicFile(target, force) as draft:
        with draft.refusals():
            draft.file.write(data)
        draft.commit()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sync(folder: Path) -> None:
    """Make the names in a folder durable, where the system lets a folder be synced."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def check_stream() -> None:
    """Refuse, before any work, a standard output that is closed or a terminal."""
    if sys.stdout is None:
        raise OutputError("standard output is closed")
    if sys.stdout.isatty():
        raise OutputError("standard output is a terminal, which shows no picture; use -o FILE")


def write_stream(data: bytes) -> None:
    """Write ``data`` to standard output; a reader that went away is no error.

    Raises:
        OutputError: standard output is closed or full.
    """
    check_stream()
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        Placed.any = True
    except BrokenPipeError:
        silence_stdout()
    except OSError as error:
        silence_stdout()
        raise OutputError(f"standard output: {error.strerror}") from error


def silence_stdout() -> None:
    """Point standard output at nothing, so that the exit does not complain of a closed pipe."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
