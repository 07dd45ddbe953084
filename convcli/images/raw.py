"""Pixels that stand in a file as they are, row by row: read and written in parts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import BinaryIO, Final

import numpy as np

from convcli.dtypes import Array, DType
from convcli.errors import ImageError
from convcli.images.base import Header, Layout

HEAD: Final = 2**20
"""Bytes in which the header of such a file is looked for."""


def head_of(file: BinaryIO) -> bytes:
    """The first bytes of a regular file."""
    return os.pread(file.fileno(), HEAD, 0)


def length_of(file: BinaryIO) -> int:
    """Bytes of a regular file."""
    return os.fstat(file.fileno()).st_size


@dataclass(frozen=True, eq=False, slots=True)
class RawRows:
    """Rows of values of type ``stored`` from byte ``begin`` on; ``finish`` turns them into the header's.

    ``upwards`` says that the last row stands first.
    """

    file: BinaryIO
    begin: int
    header: Header
    stored: DType
    finish: Callable[[Array], Array]
    upwards: bool = False

    def rows(self, first: int, last: int) -> Array:
        """Rows ``first`` to ``last``, (rows, columns, channels).

        Raises:
            ImageError: the file became shorter.
        """
        header = self.header
        each = header.columns * header.channels * self.stored.itemsize
        start = header.rows - last if self.upwards else first
        data = _read(self.file, self.begin + start * each, (last - first) * each)
        values = np.frombuffer(data, self.stored).reshape(last - first, header.columns, header.channels)
        return self.finish(values[::-1] if self.upwards else values)


def _read(file: BinaryIO, place: int, count: int) -> bytes:
    """``count`` bytes from ``place`` on; a system reads 2 GB at once at most."""
    parts = []
    while count and (part := os.pread(file.fileno(), count, place)):
        parts.append(part)
        place, count = place + len(part), count - len(part)
    if count:
        raise ImageError("it became shorter while it was read")
    return parts[0] if len(parts) == 1 else b"".join(parts)


@dataclass(frozen=True, slots=True)
class RawEncoder:
    """Writes ``head`` and then values of type ``stored``; ``upwards`` puts the last row first."""

    layout: Layout
    head: bytes
    stored: DType
    upwards: bool = False

    def room(self, first: int, last: int) -> None:
        return None

    def strip(self, first: int, pixels: Array) -> bytes:
        """The bytes of (rows, columns, channels) pixels."""
        return (pixels[::-1] if self.upwards else pixels).astype(self.stored, copy=False).tobytes()

    def write(self, file: BinaryIO, pieces: Iterable[bytes]) -> None:
        """The whole file."""
        file.write(self.head)
        layout = self.layout
        end = len(self.head) + layout.rows * layout.columns * layout.channels * self.stored.itemsize
        for piece in pieces:
            if self.upwards:
                end -= len(piece)
                file.seek(end)
            file.write(piece)
