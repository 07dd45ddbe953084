"""The one way in and the one way out: bounded reading, and files that appear whole or not at all."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final, Self

from convcli.errors import ImageError, OutputError, cut, one_line

LARGEST_INPUT: Final = 8 * 2**30  # bytes
PIECE: Final = 2**24  # bytes read at once
STREAM: Final = "-"
_PREFIX: Final = ".convcli-"


class Input:
    """A file to be read; close it, or use it as a context.

    Attributes:
        file: an open regular file, which can be read at any place, or None for a stream.
    """

    def __init__(self, file: BinaryIO | None = None, data: bytes | None = None) -> None:
        self.file, self.data = file, data

    @classmethod
    def open(cls, name: str) -> Self:
        """A file, or standard input for ``-``.

        Raises:
            ImageError: it cannot be read, is a folder, or is a stream larger than `LARGEST_INPUT`.
        """
        with _refusals():
            if name == STREAM:
                if sys.stdin is None:
                    raise ImageError("standard input is closed")
                return cls(data=_bounded(sys.stdin.buffer))
            file = Path(name).open("rb")  # noqa: SIM115 - it stays open for as long as this object
            try:
                mode = os.fstat(file.fileno()).st_mode
                if stat.S_ISREG(mode):
                    return cls(file)
                if not stat.S_ISFIFO(mode):
                    raise ImageError("not a file")
                data = _bounded(file)
            except BaseException:
                file.close()
                raise
            file.close()
            return cls(data=data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self.file is not None:
            self.file.close()

    @property
    def size(self) -> int:
        """Bytes."""
        return os.fstat(self.file.fileno()).st_size if self.file else len(self.data or b"")

    def part(self, place: int, count: int) -> bytes | memoryview:
        """Up to ``count`` bytes from ``place`` on, fewer where the file ends."""
        if self.file is None:
            return memoryview(self.data or b"")[place : place + count]
        parts = []
        with _refusals():
            while count and (part := os.pread(self.file.fileno(), count, place)):  # 2 GB at once at most
                parts.append(part)
                place, count = place + len(part), count - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def head(self, count: int) -> bytes:
        """The first bytes."""
        return bytes(self.part(0, count))

    def handle(self) -> BinaryIO:
        """A file object for a library that wants one."""
        return self.file or io.BytesIO(self.data or b"")

    def read(self) -> bytes:
        """All bytes, kept for the next time."""
        if self.data is None:
            assert self.file
            with _refusals():
                self.file.seek(0)
                self.data = _bounded(self.file)
        return self.data


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn the system's refusals into an `ImageError`."""
    try:
        yield
    except IsADirectoryError as error:
        raise ImageError("is a folder; name the pictures in it") from error
    except OSError as error:
        raise ImageError(error.strerror or str(error)) from error
    except ValueError as error:  # a NUL in the name
        raise ImageError(f"not a file name: {error}") from error


def _bounded(file: BinaryIO) -> bytes:
    """All of a file, piece by piece, so that memory follows what there is."""
    pieces, total = [], 0
    while piece := file.read(PIECE):
        pieces.append(piece)
        total += len(piece)
        if total > LARGEST_INPUT:
            raise ImageError(f"larger than {LARGEST_INPUT // 2**30} GiB")
    return b"".join(pieces)


class Ledger:
    """The files of a run: no input is ever written, and no output twice.

    Args:
        inputs: the names of all inputs, those that come later too.
    """

    def __init__(self, inputs: Iterable[str] = ()) -> None:
        self.inputs = [name for name in inputs if name != STREAM]
        self.outputs: set[str] = set()

    def claim(self, target: Path, force: bool, make_folder: bool = False) -> None:
        """Refuse, before any work, a target that is an input, was claimed, exists, or cannot be written.

        ``make_folder`` allows a folder that does not exist yet; `write` makes it.

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
            place = str(target.parent.resolve() / target.name)
            if place in self.outputs:
                raise OutputError(f"{shown}: is another output of this run; use {{stem}} or a folder")
            if target.exists() and any(_same(target, name) for name in self.inputs):
                raise OutputError(f"{shown}: is an input of this run, which is never overwritten")
            if os.path.lexists(target) and not force:
                raise OutputError(f"{shown}: exists already (--force replaces it)")
        except (OSError, ValueError) as error:  # a name too long, or with a NUL
            reason = getattr(error, "strerror", None) or error
            raise OutputError(f"{cut(shown)}: {reason}") from error
        self.outputs.add(place)


def _same(target: Path, name: str) -> bool:
    try:
        return target.samefile(name)
    except (OSError, ValueError):
        return False


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


class Draft:
    """A file in the making, under a temporary name beside its target: there whole, or not at all.

    A symlink or hard link as target is replaced, never written through. A replaced file's permissions are
    kept, a new one's are what the umask leaves. What goes to a pipe, a device or standard output (None) is
    kept in memory until it is whole. Leaving the context without `commit` leaves nothing behind.
    """

    def __init__(self, target: Path | None, force: bool) -> None:
        self.target, self.force = target, force
        self.shown = one_line(str(target)) if target else "standard output"
        self.temporary: Path | None = None

    def __enter__(self) -> Self:
        if self.target is None or _is_device(self.target):
            self.file: BinaryIO = io.BytesIO()
            return self
        folder = self.target.parent
        with self.refusals():
            mode = _mode(self.target)
            folder.mkdir(parents=True, exist_ok=True)
            self.temporary = folder / f"{_PREFIX}{os.urandom(6).hex()}.tmp"
            self.file = self.temporary.open("x+b")  # TIFF pages are read again where more follow
            os.fchmod(self.file.fileno(), mode)
        return self

    def __exit__(self, *_: object) -> None:
        if self.temporary is not None:
            with suppress(OSError):  # what is in its buffer has nowhere to go
                self.file.close()
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

    def commit(self) -> int:
        """Put the finished file in its place; its size in bytes.

        Raises:
            OutputError: the target exists and ``force`` is off, or the system refuses.
        """
        if isinstance(self.file, io.BytesIO):
            data = self.file.getvalue()
            self._send(data)
            return len(data)
        assert self.target and self.temporary
        with self.refusals():
            size = self.file.seek(0, os.SEEK_END)
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()
            _rename(self.temporary, self.target, self.force)
        _sync_folder(self.target.parent)
        return size

    def _send(self, data: bytes) -> None:
        if self.target is None:
            write_stream(data)
            return
        with self.refusals(), suppress(BrokenPipeError), self.target.open("wb") as device:
            device.write(data)


def _mode(target: Path) -> int:
    return stat.S_IMODE(target.stat().st_mode) if target.is_file() else 0o666 & ~_umask()


def write(target: Path, data: bytes, force: bool) -> None:
    """Write a file whole, as `Draft` does.

    Raises:
        OutputError: ``target`` exists and ``force`` is off, or the system refuses; nothing is left behind.
    """
    with Draft(target, force) as draft:
        with draft.refusals():
            draft.file.write(data)
        draft.commit()


def _rename(name: Path, target: Path, force: bool) -> None:
    if force:
        os.replace(name, target)
        return
    try:
        os.link(name, target)  # unlike rename, it fails where the target appeared meanwhile
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            raise FileExistsError from None
        name.rename(target)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    """Make the new name itself durable, where the system lets a folder be synced."""
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
