"""PNG strip by strip: filtered and deflated by workers, in order by a writer.

Libraries filter and deflate a whole picture in one thread. The filter is "up", which NumPy computes in one
pass; the first row of a strip, whose upper neighbour is another worker's, takes "sub" (ISO/IEC 15948, 9.2).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO, Final

import numpy as np

from convcli.dtypes import Array
from convcli.images import deflate
from convcli.images.base import Layout

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_COLOURS: Final = {1: 0, 2: 4, 3: 2, 4: 6}  # colour types by channels
_SUB, _UP = 1, 2


@dataclass(frozen=True, slots=True)
class PngEncoder:
    """Writes 8-bit and 16-bit pictures; ``ancillary`` are chunks that stand before the pixels."""

    layout: Layout
    ancillary: bytes = b""

    def room(self, first: int, last: int) -> None:
        return None

    def strip(self, first: int, pixels: Array) -> deflate.Block:
        """The deflated rows of (rows, columns, channels) pixels."""
        return deflate.block(_filtered(pixels))

    def write(self, file: BinaryIO, pieces: Iterable[deflate.Block]) -> None:
        """The whole file."""
        layout = self.layout
        depth, colour = layout.dtype.itemsize * 8, _COLOURS[layout.channels]
        file.write(SIGNATURE)
        file.write(
            chunk(b"IHDR", struct.pack(">IIBBBBB", layout.columns, layout.rows, depth, colour, 0, 0, 0))
        )
        file.write(self.ancillary)
        blocks: list[deflate.Block] = []
        for piece in pieces:
            file.write(chunk(b"IDAT", (b"" if blocks else deflate.HEADER) + piece.data))
            blocks.append(piece._replace(data=b""))
        file.write(chunk(b"IDAT", deflate.END + struct.pack(">I", deflate.joined(blocks))))
        file.write(chunk(b"IEND", b""))


def chunk(kind: bytes, body: bytes) -> bytes:
    """Length, kind, body and CRC."""
    return (
        struct.pack(">I", len(body))
        + kind
        + body
        + struct.pack(">I", deflate.crc32(body, deflate.crc32(kind)))
    )


def _filtered(pixels: Array) -> Array:
    """(rows, 1 + bytes a row): the filter's number, then the filtered bytes."""
    rows, _, channels = pixels.shape
    raw = pixels if pixels.dtype == np.uint8 else pixels.astype(">u2")
    raw = np.ascontiguousarray(raw).view(np.uint8).reshape(rows, -1)
    each = channels * pixels.dtype.itemsize
    out = np.empty((rows, raw.shape[1] + 1), np.uint8)
    out[0, 0], out[1:, 0] = _SUB, _UP
    out[0, 1 : each + 1] = raw[0, :each]
    np.subtract(raw[0, each:], raw[0, :-each], out[0, each + 1 :])
    np.subtract(raw[1:], raw[:-1], out[1:, 1:])
    return out
