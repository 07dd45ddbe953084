"""PNG strip by strip: filtered and deflated by workers, in order by a writer.

Libraries filter and deflate a whole picture in one thread. The filter is "up", which NumPy computes in one
pass; the first row of a strip, whose upper neighbour is another worker's, takes "sub" (ISO/IEC 15948, 9.2).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from functools import reduce
from typing import BinaryIO, Final

import numpy as np

from convcli.dtypes import Array
from convcli.images import deflate
from convcli.images.apng import Sequence
from convcli.images.base import Layout, Timing
from convcli.values import frozen

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_COLOURS: Final = {1: 0, 2: 4, 3: 2, 4: 6}  # colour types by channels
_SUB, _UP = 1, 2


@frozen
class PngEncoder:
    """Writes 8-bit and 16-bit pictures; ``ancillary`` are chunks that stand before the pixels.

    Several frames become an animation, each a picture of its own.
    """

    layout: Layout
    ancillary: bytes = b""
    timing: Timing | None = None

    def room(self, frame: int, first: int, last: int) -> None:
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
        if layout.frames > 1:
            self._animate(file, iter(pieces))
        else:
            for parts in self._stream(iter(pieces)):
                file.write(chunk(b"IDAT", *parts))
        file.write(chunk(b"IEND"))

    def _animate(self, file: BinaryIO, pieces: Iterator[deflate.Block]) -> None:
        layout = self.layout
        sequence = Sequence((layout.rows, layout.columns), self.timing or Timing.steady(layout.frames))
        file.write(chunk(b"acTL", sequence.head()))
        for frame in range(layout.frames):
            file.write(chunk(b"fcTL", sequence.control(frame)))
            body = [part for parts in self._stream(pieces) for part in parts]
            kind, number = (b"fdAT", [sequence.step()]) if frame else (b"IDAT", [])
            file.write(chunk(kind, *number, *body))  # in one, because not every reader takes several

    def _stream(self, pieces: Iterator[deflate.Block]) -> Iterator[tuple[bytes, ...]]:
        """The zlib stream of the next frame: the parts of each chunk."""
        layout, blocks = self.layout, list[deflate.Block]()
        missing = layout.rows * (layout.columns * layout.channels * layout.dtype.itemsize + 1)
        while missing:
            piece = next(pieces)
            yield piece.parts if blocks else (deflate.HEADER, *piece.parts)
            blocks.append(piece._replace(parts=()))
            missing -= piece.length
        yield deflate.END, struct.pack(">I", deflate.joined(blocks))


def chunk(kind: bytes, *body: bytes | memoryview) -> bytes:
    """Length, kind, body and CRC; the body may come in parts."""
    return b"".join(framed(kind, *body))


def framed(kind: bytes, *body: bytes | memoryview) -> Iterator[bytes | memoryview]:
    """The parts of a chunk, not joined yet."""
    yield struct.pack(">I", sum(map(len, body)))
    yield kind
    yield from body
    yield struct.pack(">I", reduce(lambda crc, part: deflate.crc32(part, crc), body, deflate.crc32(kind)))


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
