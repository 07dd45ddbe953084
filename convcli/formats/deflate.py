"""Deflate in independent blocks, which threads compress side by side and a writer puts in a row.

A block ends with a full flush: on a byte, without references to what stood before. ISA-L is several times
quicker than zlib; where it is missing, zlib's Huffman coding alone comes closest to it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from functools import reduce
from typing import Any, Final, NamedTuple

try:
    from isal import isal_zlib
except ImportError:
    isal_zlib = None  # type: ignore[assignment]

HEADER: Final = b"\x78\x01"
"""Of a zlib stream (RFC 1950): deflate, a window of 32 kB, made quickly."""

END: Final = b"\x03\x00"
"""An empty last block (RFC 1951)."""

_FIRST: Final = 4
"""Bytes that ISA-L gets by themselves. Where it begins with more, level 1 remembers the third position under
a number that nothing has set, which differs from process to process: about one block in ten thousand then
holds one match more or less."""

_BASE: Final = 65521
_LARGEST_STORED: Final = 65535


class Block(NamedTuple):
    """Compressed bytes, in parts, and the Adler-32 and the length of what they stand for."""

    parts: tuple[bytes, ...]
    check: int
    length: int

    @property
    def size(self) -> int:
        """Bytes when compressed."""
        return sum(map(len, self.parts))


def block(data: Any, small: bool = False) -> Block:
    """Compress contiguous data, quickly or to few bytes."""
    view = memoryview(data).cast("B")
    maker: Any
    if small:
        maker = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_FILTERED)
        check, flush = zlib.adler32(view), zlib.Z_FULL_FLUSH
    elif isal_zlib is not None:
        check = isal_zlib.adler32(view)
        return Block(_quickly(view, -15, isal_zlib.Z_FULL_FLUSH), check, len(view))
    else:
        maker = zlib.compressobj(1, zlib.DEFLATED, -15, 9, zlib.Z_HUFFMAN_ONLY)
        check, flush = zlib.adler32(view), zlib.Z_FULL_FLUSH
    return Block((maker.compress(view), maker.flush(flush)), check, len(view))


def stream(data: Any) -> bytes:
    """A zlib stream (RFC 1950) of contiguous data."""
    view = memoryview(data).cast("B")
    if isal_zlib is None:
        return zlib.compress(view, 1)
    return b"".join(_quickly(view, 15, isal_zlib.Z_FINISH))


def _quickly(view: memoryview, window: int, flush: int) -> tuple[bytes, ...]:
    """The same bytes for the same data, which takes a small block of `_FIRST` in front."""
    maker = isal_zlib.compressobj(1, isal_zlib.DEFLATED, window)
    first = maker.compress(view[:_FIRST]), maker.flush(isal_zlib.Z_SYNC_FLUSH)
    return *first, maker.compress(view[_FIRST:]), maker.flush(flush)


def stored(data: bytes) -> Iterator[bytes | memoryview]:
    """A zlib stream of data as they are (RFC 1951, 3.2.4), in parts."""
    view = memoryview(data)
    yield HEADER
    for place in range(0, max(len(view), 1), _LARGEST_STORED):
        part = view[place : place + _LARGEST_STORED]
        yield struct.pack("<BHH", place + len(part) == len(view), len(part), len(part) ^ 0xFFFF)
        yield part
    yield struct.pack(">I", (isal_zlib or zlib).adler32(view))


def inflater() -> Any:
    """A decompressor of zlib streams, as `zlib.decompressobj` makes them."""
    return isal_zlib.decompressobj() if isal_zlib is not None else zlib.decompressobj()


def crc32(data: bytes | memoryview, value: int = 0) -> int:
    """The CRC of PNG and gzip."""
    return int((isal_zlib or zlib).crc32(data, value))


def joined(blocks: list[Block]) -> int:
    """The Adler-32 of what the blocks stand for, one behind the other."""
    return reduce(_joined, ((entry.check, entry.length) for entry in blocks), (1, 0))[0]


def _joined(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    """Adler-32 is a sum of bytes, begun with 1, and a sum of those sums (RFC 1950)."""
    (first, length), (second, more) = one, other
    total = (first & 0xFFFF) - 1
    low = (total + (second & 0xFFFF)) % _BASE
    high = ((first >> 16) + (second >> 16) + more * total) % _BASE
    return high << 16 | low, length + more
