"""PNG rows on demand: inflated by ISA-L, unfiltered by the extension or libpng.

A library decodes a whole image in one thread while everything else waits. Here one thread unfilters rows
while another inflates or computes; and ISA-L inflates about twice as fast as zlib. libpng gets the next rows
as a small image of their own, whose first row, unfiltered, is the last one before them.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import ImageError
from convcli.formats import deflate
from convcli.formats.decoding import decoder_errors
from convcli.formats.header import Header
from convcli.formats.png.encoder import SIGNATURE, chunk, framed
from convcli.formats.readers import Reader
from convcli.native.loader import extension

PIECE: Final = 2**18
"""Bytes of unfiltered rows decoded at a time, at least one row."""

_MOST_AHEAD: Final = 2
"""Pieces that are inflated and wait for those before them."""

_UNFILTERED: Final = b"\0"


class PngRows(Reader):
    """Reads an image of 8 or 16 bits per channel, neither interlaced nor with a palette.

    Args:
        bodies: those of the IDAT chunks, in order, each checked when it is taken.
        front: body of the IHDR chunk after the sizes.
    """

    def __init__(self, bodies: Iterator[bytes], header: Header, front: bytes) -> None:
        self.header, self.front, self.native = header, front, extension()
        self.each = header.channels * header.dtype.itemsize
        self.width = header.columns * self.each + 1  # a row, its filter first
        self.height = max(PIECE // self.width, 1)
        self.pixels = np.empty((header.rows, header.columns, header.channels), header.dtype)
        self.done = 0
        self.inflated = unpacked(bodies, self.height * self.width)
        self.ahead = deque[bytes | Exception]()
        self.failure: Exception | None = None
        self.inflating, self.unfiltering = Lock(), Lock()

    def rows(self, frame: int, first: int, last: int) -> Array:
        """Rows ``first`` to ``last``, (rows, columns, channels); the first thread to need them decodes them.

        Raises:
            ImageError: the file is damaged.
        """
        while self.done < last:
            with decoder_errors("png"):
                if self.unfiltering.acquire(blocking=False):
                    try:
                        if self.done < last:
                            with self._remembered():
                                self._unfilter_next()
                    finally:
                        self.unfiltering.release()
                elif not self._inflate_ahead():
                    with self.unfiltering:  # wait for the thread that has it
                        pass
        return self.pixels[first:last]

    def _inflate_ahead(self) -> bool:
        """Inflate what is unfiltered next; whether there was room for it, and something left.

        A failure waits for its turn too, because one of the filters may come before it.
        """
        with self.inflating:
            if len(self.ahead) >= _MOST_AHEAD:
                return False
            try:
                piece: bytes | Exception = next(self.inflated, b"")
            except Exception as error:
                piece = error
            if piece:
                self.ahead.append(piece)
            return bool(piece)

    def _piece(self) -> bytes:
        """The next filtered rows, empty after the last."""
        with self.inflating:
            piece = self.ahead.popleft() if self.ahead else next(self.inflated, b"")
        if isinstance(piece, Exception):
            raise piece
        return piece

    @contextmanager
    def _remembered(self) -> Iterator[None]:
        """Raise a failure again for later callers."""
        if self.failure is not None:
            raise self.failure
        try:
            yield
        except Exception as error:
            self.failure = error
            raise

    def _unfilter_next(self) -> None:
        begin = self.done
        end = min(begin + self.height, self.header.rows)
        filtered = self._piece()
        if len(filtered) < (end - begin) * self.width:
            raise ImageError("damaged png: it is truncated")
        filtered = filtered[: (end - begin) * self.width]
        while end == self.header.rows and self._piece():  # the checksum covers excess bytes too
            pass
        above = self._stored(begin - 1) if begin else b""
        if not self._unfilter(filtered, above, self.pixels[begin:end]):
            self._unfilter_by_libpng(filtered, above, self.pixels[begin:end])
        self.done = end

    def _unfilter(self, filtered: bytes, above: bytes, rows: Array) -> bool:
        """Fill ``rows`` with the extension; False if there is none, or a filter that PNG does not have."""
        native, before = self.native, above or bytes(self.width - 1)
        if native is None or not native.unfilter(filtered, before, self.each, rows):
            return False
        if rows.dtype == np.uint16:
            rows[...] = rows.view(">u2")
        return True

    def _unfilter_by_libpng(self, filtered: bytes, above: bytes, rows: Array) -> None:
        """Fill ``rows`` with libpng, which decodes to memory of its own, as others read the row above.

        Raises:
            Exception: there is a filter that PNG does not have.
        """
        import imagecodecs

        size = struct.pack(">II", self.header.columns, len(rows) + bool(above))
        stored = deflate.stored(b"".join((_UNFILTERED, above, filtered)) if above else filtered)
        front = chunk(b"IHDR", size, self.front)
        image = b"".join((SIGNATURE, front, *framed(b"IDAT", *stored), chunk(b"IEND")))
        decoded = imagecodecs.png_decode(image)
        rows[...] = decoded.reshape(-1, *rows.shape[1:])[bool(above) :]

    def _stored(self, index: int) -> bytes:
        """A decoded row as PNG stores it, unfiltered."""
        row = self.pixels[index]
        stored: bytes = (row if row.dtype == np.uint8 else row.astype(">u2")).tobytes()
        return stored


def unpacked(bodies: Iterator[bytes], count: int) -> Iterator[bytes]:
    """The decompressed bodies, ``count`` bytes at a time.

    Raises:
        ImageError: the stream is truncated, or its checksum is wrong.
    """
    stream = deflate.inflater()
    parts: list[bytes] = []
    missing = count
    for body in bodies:
        rest, part = body, b"-"
        while (rest or part) and not stream.eof:
            part = stream.decompress(rest, missing)
            rest = stream.unconsumed_tail
            parts.append(part)
            missing -= len(part)
            if not missing:
                yield b"".join(parts)
                parts, missing = [], count
    if not stream.eof:
        raise ImageError("damaged png: it is truncated")
    if missing < count:
        yield b"".join(parts)
