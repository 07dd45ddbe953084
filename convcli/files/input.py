"""Input files, objects at URLs and standard input, read whole or in parts, up to a limit."""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol, Self

from convcli.core.errors import ImageError, StorageError
from convcli.core.handles import READ, PartReader
from convcli.core.system import default_memory_limit
from convcli.files.stores import is_store
from convcli.storage.urls import is_remote, local

if TYPE_CHECKING:
    from convcli.files.pixels import Pixels

LARGEST_INPUT: Final = 8 * 2**30  # bytes
PIECE: Final = 2**24  # bytes read in one call
STREAM: Final = "-"
_SMALL: Final = 2**20  # size up to which a file is read whole rather than through a window
_READ_AHEAD: Final = 2**18  # smallest number of bytes that a window reads
_SMALL_REMOTE: Final = 2**23  # the same of an object at a URL, where every read waits for an answer
_READ_AHEAD_REMOTE: Final = 2**22


class Contents(Protocol):
    """The bytes of something that was opened, which any thread may read at any offset."""

    @property
    def size(self) -> int:
        """Their number."""

    @property
    def is_unchanged(self) -> bool:
        """Whether they are still those that were opened, and the name still leads to them."""

    @property
    def identity(self) -> str:
        """A text that is the same wherever they are opened, and changes with them."""

    def part(self, offset: int, count: int) -> bytes:
        """``count`` bytes from ``offset`` on, fewer at the end."""

    def parts(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """What `part` returns for each offset and count."""

    def read(self) -> bytes:
        """All of them."""

    def handle(self) -> BinaryIO:
        """A file object at the first of them."""

    def forget(self) -> None:
        """Drop what is kept of them."""

    def close(self) -> None:
        """Close the file."""


class _File:
    """An open regular file."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.file, self.name, self.stamp = file, name, _stamp(file.fileno())
        self.parts_of = PartReader(file.fileno(), name)

    @property
    def size(self) -> int:
        return os.fstat(self.file.fileno()).st_size

    @property
    def is_unchanged(self) -> bool:
        handle = self.file.fileno()
        try:
            return self._matches(handle) and self._matches(self.name)
        except OSError:
            return False

    @property
    def identity(self) -> str:
        _, _, size, modified, *_ = self.stamp
        return f"{size}-{modified}"

    def _matches(self, file: int | str) -> bool:
        """Whether this is the same file, unchanged. A hard link made or removed sets the ctime too."""
        (*facts, ctime, links), (*facts_now, ctime_now, links_now) = self.stamp, _stamp(file)
        return facts == facts_now and (ctime == ctime_now or links != links_now)

    def part(self, offset: int, count: int) -> bytes:
        parts = []
        while count and (part := self.parts_of.read(count, offset)):  # up to 2 GB per call
            parts.append(part)
            offset, count = offset + len(part), count - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def parts(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        return [self.part(*each) for each in ranges]

    def read(self) -> bytes:
        return _bounded(self.handle(), min(self.size + 1, PIECE))

    def handle(self) -> BinaryIO:
        self.file.seek(0)
        return self.file

    def forget(self) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        self.parts_of.close()
        self.file.close()


class Input:
    """A file or object to read; close it, or use it as a context.

    Attributes:
        contents: what was opened, which can be read at any offset; None for a stream.
        data: all bytes: those of a stream, or those that `read` has cached.
        is_remote: whether each read is a request.
        store: the place of an array in many objects, which has no bytes of its own; None for a file.
        axes, level, hdu: which part of a store or file is read, as ``--axes``, ``--level`` and ``--hdu`` say.
        pixels: decoded ones in memory, which have no bytes either; None for a file.
        name: what it is called in reports and errors, if it was not opened by a name.
    """

    def __init__(
        self,
        contents: Contents | None = None,
        data: bytes | None = None,
        is_remote: bool = False,
        store: str | None = None,
        pixels: Pixels | None = None,
        name: str = "",
    ) -> None:
        self.contents, self.data, self.is_remote, self.store = contents, data, is_remote, store
        self.axes, self.level, self.hdu = "", 0, ""
        self.pixels, self.name = pixels, name

    @classmethod
    def open(cls, name: str, pipes: bool = True, largest: int | None = None) -> Self:
        """A file, an object at a URL, or standard input for ``-``.

        Args:
            pipes: read a named pipe to its end; otherwise it is refused, as devices are.
            largest: bytes that may be kept of an object that is read whole; None for half of the memory.

        Raises:
            ImageError: it cannot be read, is a folder or device, is a stream above `LARGEST_INPUT`, or a
                URL of a protocol that is not supported.
        """
        with _refusals():
            if name == STREAM:
                if sys.stdin is None:
                    raise ImageError("standard input is closed")
                return cls(data=_bounded(sys.stdin.buffer))
            if is_store(name):
                return cls(data=b"", is_remote=is_remote(name), store=local(name))
            if is_remote(name):
                return cls(_remote(name, largest), is_remote=True)
            name = local(name)
            kind = Path(name).stat().st_mode
            if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind) or (pipes and stat.S_ISFIFO(kind))):
                raise ImageError("not a regular file")  # opening a pipe would wait for its writer
            file = Path(name).open("rb")  # noqa: SIM115 - stays open as long as this object
            try:
                mode = os.fstat(file.fileno()).st_mode
                if stat.S_ISREG(mode):
                    return cls(_File(file, name))
                if not stat.S_ISFIFO(mode):
                    raise ImageError("not a regular file")
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
        """Close the file."""
        if self.contents is not None:
            self.contents.close()

    def check_unchanged(self) -> None:
        """Refuse a file that has been written to since it was opened, or whose name leads to another file.

        Raises:
            ImageError: its size, times or inode differ, or the stamps of an object.
        """
        with _refusals():
            if self.contents is not None and not self.contents.is_unchanged:
                raise ImageError("changed while it was being read")

    @property
    def size(self) -> int:
        """Size in bytes."""
        if self.pixels is not None:
            return self.pixels.values.nbytes
        return self.contents.size if self.contents else len(self.data or b"")

    def part(self, offset: int, count: int) -> bytes | memoryview:
        """``count`` bytes from ``offset`` on, fewer where the file ends; any thread may call it."""
        if self.contents is None:
            return memoryview(self.data or b"")[offset : offset + count]
        with _refusals():
            return self.contents.part(offset, count)

    def parts(self, ranges: Sequence[tuple[int, int]]) -> Sequence[bytes | memoryview]:
        """What `part` returns for each offset and count; of an object, all are requested at once."""
        if self.contents is None:
            return [self.part(*each) for each in ranges]
        with _refusals():
            return self.contents.parts(ranges)

    def head(self, count: int) -> bytes:
        """The first ``count`` bytes, fewer if the file is shorter."""
        return bytes(self.part(0, count))

    def window(self) -> bytes | Window:
        """All bytes, for a parser that slices a few of them at a time; a large file is not read whole."""
        small, ahead = (_SMALL_REMOTE, _READ_AHEAD_REMOTE) if self.is_remote else (_SMALL, _READ_AHEAD)
        return Window(self, ahead) if self.data is None and self.size > small else self.read()

    def handle(self) -> BinaryIO:
        """A file object at its beginning, for libraries that need one."""
        if self.contents is None:
            return io.BytesIO(self.data or b"")
        with _refusals():
            return self.contents.handle()

    def forget(self) -> None:
        """Drop the cached bytes of a file, which can be read again."""
        if self.contents is not None:
            self.data = None
            self.contents.forget()

    def read(self) -> bytes:
        """All bytes; they are cached.

        Raises:
            ImageError: the file cannot be read, or is larger than `LARGEST_INPUT`.
        """
        if self.data is None:
            assert self.contents
            with _refusals():
                self.data = self.contents.read()
        return self.data


Source = str | Input
"""An image: the name of a file, ``-`` for standard input, a URL, or an input that is open already."""


def open_source(source: Source, largest: int | None = None) -> Input:
    """The input of a source, as `Input.open` opens it; an open one is taken as it is."""
    return source if isinstance(source, Input) else Input.open(source, largest=largest)


def source_name(source: Source) -> str:
    """What a source is called."""
    return source.name if isinstance(source, Input) else source


def _remote(url: str, largest: int | None) -> Contents:
    from convcli.storage.remote import RemoteFile  # only for URLs

    return RemoteFile(url, min(LARGEST_INPUT, largest or default_memory_limit()))


class Window:
    """The bytes of a file as slices, of which only the latest piece is cached; for one thread."""

    def __init__(self, source: Input, ahead: int) -> None:
        self.source, self.size, self.ahead = source, source.size, ahead
        self.offset, self.piece = 0, b""

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, key: slice) -> bytes:
        start, stop, _ = key.indices(self.size)
        if start < self.offset or stop > self.offset + len(self.piece):
            self.offset, self.piece = start, bytes(self.source.part(start, max(stop - start, self.ahead)))
        return self.piece[start - self.offset : stop - self.offset]


def object_state(url: str) -> tuple[int, int, str]:
    """The size of an object, the time of its last change in nanoseconds, and what tells it from others.

    Raises:
        StorageError: there is none, or it cannot be read.
    """
    from convcli.storage.remote import state_of  # only for URLs

    return state_of(url)


def checksum(path: str) -> tuple[str, os.stat_result]:
    """The SHA-256 of a regular file in hexadecimal, and its status. A pipe or device is refused at once.

    Raises:
        OSError: it cannot be read, or is not a regular file.
    """
    import hashlib  # which loads OpenSSL

    digest = hashlib.sha256()
    with open(os.open(path, READ), "rb", buffering=0) as file:  # noqa: PTH123
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest(), status


def _stamp(file: int | str) -> tuple[int, ...]:
    """Device, inode, size, mtime, ctime and number of links of a file; times in nanoseconds.

    Programs can set the mtime back, but not the ctime.
    """
    status = os.stat(file)  # noqa: PTH116 - also takes a descriptor
    times = status.st_mtime_ns, status.st_ctime_ns
    return status.st_dev, status.st_ino, status.st_size, *times, status.st_nlink


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn an OSError, and an error of a store, into an `ImageError`."""
    try:
        yield
    except IsADirectoryError as error:
        raise ImageError("is a folder; choose an image in it, or use convcli batch") from error
    except StorageError as error:
        raise ImageError(error.reason) from error
    except OSError as error:
        raise ImageError(error.strerror or str(error)) from error
    except ValueError as error:  # a NUL in the name
        raise ImageError(f"invalid file name: {error}") from error


def _bounded(file: BinaryIO, size: int = PIECE) -> bytes:
    """All of a file, read in pieces of ``size``, so that memory use depends on what there is."""
    pieces, total = [], 0
    while piece := file.read(size):
        pieces.append(piece)
        total += len(piece)
        if total > LARGEST_INPUT:
            raise ImageError(f"larger than {LARGEST_INPUT // 2**30} GiB")
    return b"".join(pieces)
