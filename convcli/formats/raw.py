"""Uncompressed pixels, row by row: read and written in parts."""

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
"""Bytes in which the header of such a file must lie."""


@frozen(eq=False)
class RawRows(Reader):
    """Reads uncompressed rows.

    Attributes:
        begin: place of the first byte of the first frame.
        header: of the frames; ``columns`` counts stored values.
        stored: type of the stored values.
        finish: makes pixels of stored values, (rows, columns, channels).
        upwards: whether the last row comes first in the file.
        gap: bytes between frames.
    """

    source: Input
    begin: int
    header: Header
    stored: DType
    finish: Callable[[Array], Array]
    upwards: bool = False
    gap: int = 0

    def rows(self, frame: int, first: int, last: int) -> Array:
        header = self.header
        each = header.columns * header.channels * self.stored.itemsize
        start = header.rows - last if self.upwards else first
        due = (last - first) * each
        place = self.begin + frame * (header.rows * each + self.gap) + start * each
        data = self.source.part(place, due)
        if len(data) < due:
            raise ImageError("the file was truncated while it was being read")
        values = np.frombuffer(data, self.stored).reshape(last - first, header.columns, header.channels)
        return self.finish(values[::-1] if self.upwards else values)


@frozen
class RawEncoder(Encoder):
    """Writes uncompressed rows.

    Attributes:
        head: bytes before everything.
        stored: type of the stored values.
        upwards: whether the last row of a single image is written first.
        each: bytes before each frame.
    """

    layout: Layout
    head: bytes
    stored: DType
    upwards: bool = False
    each: bytes = b""

    def strip(self, first: int, pixels: Array) -> bytes:
        """The stored bytes of the rows."""
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
