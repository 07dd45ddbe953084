"""Pixels that stand in a file as they are, row by row: read and written in parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import BinaryIO, Final

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.errors import ImageError
from convcli.core.frozen import frozen
from convcli.files.input import Input
from convcli.formats.encoders import Encoder
from convcli.formats.header import Header, Layout
from convcli.formats.readers import Reader

HEAD: Final = 2**20
"""Bytes in which the header of such a file is looked for."""


@frozen(eq=False)
class RawRows(Reader):
    """Rows of values of type ``stored`` from byte ``begin`` on; ``finish`` turns them into the header's.

    Frames follow each other, with ``gap`` bytes between them.

    ``upwards`` says that the last row stands first.
    """

    source: Input
    begin: int
    header: Header
    stored: DType
    finish: Callable[[Array], Array]
    upwards: bool = False
    gap: int = 0

    def rows(self, frame: int, first: int, last: int) -> Array:
        """Rows ``first`` to ``last`` of a frame, (rows, columns, channels).

        Raises:
            ImageError: the file became shorter.
        """
        header = self.header
        each = header.columns * header.channels * self.stored.itemsize
        start = header.rows - last if self.upwards else first
        due = (last - first) * each
        place = self.begin + frame * (header.rows * each + self.gap) + start * each
        data = self.source.part(place, due)
        if len(data) < due:
            raise ImageError("it became shorter while it was read")
        values = np.frombuffer(data, self.stored).reshape(last - first, header.columns, header.channels)
        return self.finish(values[::-1] if self.upwards else values)


@frozen
class RawEncoder(Encoder):
    """Writes ``head`` and then values of type ``stored``, every frame behind ``each``.

    ``upwards`` puts the last row of a single picture first.
    """

    layout: Layout
    head: bytes
    stored: DType
    upwards: bool = False
    each: bytes = b""

    def strip(self, first: int, pixels: Array) -> bytes:
        """The bytes of (rows, columns, channels) pixels."""
        values = (pixels[::-1] if self.upwards else pixels).astype(self.stored, copy=False).tobytes()
        return values if first else self.each + values

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
