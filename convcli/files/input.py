"""The one way in: files and streams, read whole or in parts, up to a limit."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, Self

from convcli.core.errors import ImageError

LARGEST_INPUT: Final = 8 * 2**30  # bytes
PIECE: Final = 2**24  # bytes read at once
STREAM: Final = "-"
_SMALL: Final = 2**20  # bytes of a file that is better read at once
_AHEAD: Final = 2**18  # bytes that a window reads at once


class Input:
    """A file to be read; close it, or use it as a context.

    Attributes:
        file: an open regular file, which can be read at any place, or None for a stream.
    """

    def __init__(
        self, file: BinaryIO | None = None, data: bytes | None = None, name: str | None = None
    ) -> None:
        self.file, self.data, self.name = file, data, name
        self.stamp = _stamp(file.fileno()) if file else None

    @classmethod
    def open(cls, name: str, pipes: bool = True) -> Self:
        """A file, or standard input for ``-``.

        Args:
            pipes: whether to wait for what a named pipe brings; else it is refused, as devices are.

        Raises:
            ImageError: it cannot be read, is a folder, or is a stream larger than `LARGEST_INPUT`.
        """
        with _refusals():
            if name == STREAM:
                if sys.stdin is None:
                    raise ImageError("standard input is closed")
                return cls(data=_bounded(sys.stdin.buffer))
            kind = Path(name).stat().st_mode
            if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind) or (pipes and stat.S_ISFIFO(kind))):
                raise ImageError("not a file")  # said before a pipe is waited for
            file = Path(name).open("rb")  # noqa: SIM115 - it stays open for as long as this object
            try:
                mode = os.fstat(file.fileno()).st_mode
                if stat.S_ISREG(mode):
                    return cls(file, name=name)
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

    def check_unchanged(self) -> None:
        """Refuse a file that was written to since it was opened, or whose name is another one's by now.

        Raises:
            ImageError: its time or size, or what its name leads to, is another one.
        """
        if self.file is None:
            return
        try:
            here = self.file.fileno()
            same = self._is_as_it_was(here) and self._is_as_it_was(self.name or here)
        except OSError:
            same = False
        if not same:
            raise ImageError("it changed while it was read")

    def _is_as_it_was(self, file: int | str) -> bool:
        """Whether a file is this one and unchanged; a link that came or went sets a time too."""
        assert self.stamp
        (*facts, changed, links), (*now, changed_now, links_now) = self.stamp, _stamp(file)
        return facts == now and (changed == changed_now or links != links_now)

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

    def window(self) -> bytes | Window:
        """The bytes for who looks at some of them at a time."""
        return Window(self) if self.data is None and self.size > _SMALL else self.read()

    def handle(self) -> BinaryIO:
        """A file object for a library that wants one, at its beginning."""
        if self.file is not None:
            self.file.seek(0)
        return self.file or io.BytesIO(self.data or b"")

    def forget(self) -> None:
        """Drop the bytes of a file, which can be read again."""
        if self.file is not None:
            self.data = None

    def read(self) -> bytes:
        """All bytes, kept for the next time."""
        if self.data is None:
            assert self.file
            with _refusals():
                self.file.seek(0)
                self.data = _bounded(self.file, min(self.size + 1, PIECE))
        return self.data


class Window:
    """The bytes of a file as slices, read a piece at a time and not kept; for one thread."""

    def __init__(self, source: Input) -> None:
        self.source, self.size = source, source.size
        self.begin, self.kept = 0, b""

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, wanted: slice) -> bytes:
        start, stop, _ = wanted.indices(self.size)
        if start < self.begin or stop > self.begin + len(self.kept):
            self.begin, self.kept = start, bytes(self.source.part(start, max(stop - start, _AHEAD)))
        return self.kept[start - self.begin : stop - self.begin]


def checksum(path: str) -> tuple[str, os.stat_result]:
    """The SHA-256 of a regular file, and its facts; a pipe or a device is not waited for.

    Raises:
        OSError: it cannot be read, or is not a regular file.
    """
    digest = hashlib.sha256()
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as file:  # noqa: PTH123
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest(), facts


def _stamp(file: int | str) -> tuple[int, ...]:
    """Which file it is, its size, when it was changed, in nanoseconds, and how many names it has.

    The time of the last change of any kind is one of them: who writes a file can put its other times back.
    """
    facts = os.stat(file)  # noqa: PTH116 - of an open file too
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_nlink


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn the system's refusals into an `ImageError`."""
    try:
        yield
    except IsADirectoryError as error:
        raise ImageError("is a folder; name an image in it, or use convcli batch for all of them") from error
    except OSError as error:
        raise ImageError(error.strerror or str(error)) from error
    except ValueError as error:  # a NUL in the name
        raise ImageError(f"not a file name: {error}") from error


def _bounded(file: BinaryIO, size: int = PIECE) -> bytes:
    """All of a file, in pieces of a size, so that memory follows what there is."""
    pieces, total = [], 0
    while piece := file.read(size):
        pieces.append(piece)
        total += len(piece)
        if total > LARGEST_INPUT:
            raise ImageError(f"larger than {LARGEST_INPUT // 2**30} GiB")
    return b"".join(pieces)
