"""PNG strip by strip: filtered and deflated by workers, written in order.

Libraries filter and deflate a whole image in one thread. The filter is "up", which NumPy computes in one
pass; the first row of a strip, whose upper neighbor is another worker's, takes "sub" (ISO/IEC 15948, 9.2).
For small files each row takes the filter whose outcomes, as signed bytes, have the smallest sum (12.7),
unless a strip is smaller with the quick filters, or without any, as drawings are.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from functools import reduce
from typing import BinaryIO, Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen
from convcli.formats import deflate
from convcli.formats.encoders import Encoder
from convcli.formats.header import Layout, Timing
from convcli.formats.png.apng import Sequence

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_COLORS: Final = {1: 0, 2: 4, 3: 2, 4: 6}  # color types by channels
_SUB, _UP = 1, 2
_FILTERED: Final = 2**17  # bytes whose filters are chosen at a time, at least one row


@frozen
class PngEncoder(Encoder):
    """Writes 8-bit and 16-bit images; ``ancillary`` are the chunks before the pixels.

    Several frames become an animation, each a whole image.
    """

    layout: Layout
    ancillary: bytes = b""
    timing: Timing | None = None
    small: bool = False

    def strip(self, first: int, pixels: Array) -> deflate.Block:
        """The deflated rows of (rows, columns, channels) pixels."""
        raw, each = _raw(pixels), pixels.shape[2] * pixels.dtype.itemsize
        filtered = _filtered(raw, each)
        if self.small:
            filtered = min(
                (_chosen(raw, each), filtered, _bare(raw)), key=lambda rows: deflate.block(rows).size
            )
        return deflate.block(filtered, self.small)

    def write(self, file: BinaryIO, pieces: Iterable[deflate.Block]) -> None:
        layout = self.layout
        depth, color = layout.dtype.itemsize * 8, _COLORS[layout.channels]
        file.write(SIGNATURE)
        file.write(
            chunk(b"IHDR", struct.pack(">IIBBBBB", layout.columns, layout.rows, depth, color, 0, 0, 0))
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


def _raw(pixels: Array) -> Array:
    """(rows, bytes a row), the most significant byte first."""
    raw = pixels if pixels.dtype == np.uint8 else pixels.astype(">u2")
    return np.ascontiguousarray(raw).view(np.uint8).reshape(len(pixels), -1)


def _filtered(raw: Array, each: int) -> Array:
    """(rows, 1 + bytes a row): the filter's number, then the filtered bytes; ``each`` is those of a pixel."""
    out = np.empty((len(raw), raw.shape[1] + 1), np.uint8)
    out[0, 0], out[1:, 0] = _SUB, _UP
    out[0, 1 : each + 1] = raw[0, :each]
    np.subtract(raw[0, each:], raw[0, :-each], out[0, each + 1 :])
    np.subtract(raw[1:], raw[:-1], out[1:, 1:])
    return out


def _bare(raw: Array) -> Array:
    """As `_filtered`, without filters."""
    return np.pad(raw, ((0, 0), (1, 0)))


def _chosen(raw: Array, each: int) -> Array:
    """As `_filtered`, with the filter for each row that promises the fewest bytes."""
    out = np.empty((len(raw), raw.shape[1] + 1), np.uint8)
    padded = np.pad(raw, ((1, 0), (each, 0)))  # what lies outside is 0
    step = max(_FILTERED // raw.shape[1], 1)
    for top in range(0, len(raw), step):
        rows = padded[top : top + step + 1]
        candidates = _candidates(rows[1:, each:], rows[1:, :-each], rows[:-1, each:], rows[:-1, :-each])
        candidates[2:, : top == 0] = candidates[
            _SUB, : top == 0
        ]  # another worker has the row above the first
        best = np.abs(candidates.view(np.int8).astype(np.int16)).sum(axis=-1, dtype=np.int64).argmin(axis=0)
        out[top : top + step, 0] = best
        out[top : top + step, 1:] = candidates[best, np.arange(len(best))]
    return out


def _candidates(row: Array, left: Array, above: Array, corner: Array) -> Array:
    """(5, rows, bytes): rows by each filter, from those and their neighbors."""
    a, b, c = (part.astype(np.int16) for part in (left, above, corner))
    estimate = a + b - c
    far_left, far_above, far_corner = (np.abs(estimate - part) for part in (a, b, c))
    nearest = np.where(far_above <= far_corner, above, corner)
    paeth = np.where((far_left <= far_above) & (far_left <= far_corner), left, nearest)
    mean = ((a + b) >> 1).astype(np.uint8)
    return np.stack([row, row - left, row - above, row - mean, row - paeth])
