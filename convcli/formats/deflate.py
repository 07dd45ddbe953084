"""Deflate in independent blocks, which threads compress in parallel and a writer concatenates.

A block ends with a full flush, at a whole byte, and refers to nothing before it. ISA-L is several times
faster than zlib; without it, zlib's Huffman coding alone comes closest.
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
"""Header of a zlib stream (RFC 1950): deflate, a window of 32 kB, fastest level."""

END: Final = b"\x03\x00"
"""An empty last block (RFC 1951)."""

_FIRST: Final = 4
"""Bytes that ISA-L gets in a call of their own. If it starts with more, level 1 stores the third position
under an uninitialized hash that differs from process to process, and about one block in ten thousand has one
match more or less."""

_BASE: Final = 65521
_LARGEST_STORED: Final = 65535


class Block(NamedTuple):
    """Compressed bytes in parts, with the Adler-32 checksum and the length of the data."""

    parts: tuple[bytes, ...]
    check: int
    length: int

    @property
    def size(self) -> int:
        """Compressed bytes."""
        return sum(map(len, self.parts))


def block(data: Any, small: bool = False) -> Block:
    """Compress contiguous data, quickly or (``small``) to few bytes."""
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
    """A zlib stream (RFC 1950) of contiguous data, compressed quickly."""
    view = memoryview(data).cast("B")
    if isal_zlib is None:
        return zlib.compress(view, 1)
    return b"".join(_quickly(view, 15, isal_zlib.Z_FINISH))


def _quickly(view: memoryview, window: int, flush: int) -> tuple[bytes, ...]:
    """Compress with ISA-L, the same data to the same bytes: `_FIRST` bytes go first."""
    maker = isal_zlib.compressobj(1, isal_zlib.DEFLATED, window)
    first = maker.compress(view[:_FIRST]), maker.flush(isal_zlib.Z_SYNC_FLUSH)
    return *first, maker.compress(view[_FIRST:]), maker.flush(flush)


def stored(data: bytes) -> Iterator[bytes | memoryview]:
    """A zlib stream of uncompressed blocks (RFC 1951, 3.2.4), in parts."""
    view = memoryview(data)
    yield HEADER
    for place in range(0, max(len(view), 1), _LARGEST_STORED):
        part = view[place : place + _LARGEST_STORED]
        yield struct.pack("<BHH", place + len(part) == len(view), len(part), len(part) ^ 0xFFFF)
        yield part
    yield struct.pack(">I", (isal_zlib or zlib).adler32(view))


def inflater() -> Any:
    """A decompressor of zlib streams, like that of `zlib.decompressobj`."""
    return isal_zlib.decompressobj() if isal_zlib is not None else zlib.decompressobj()


def crc32(data: bytes | memoryview, value: int = 0) -> int:
    """The CRC-32 of PNG and gzip, continued from ``value``."""
    return int((isal_zlib or zlib).crc32(data, value))


def joined(blocks: list[Block]) -> int:
    """The Adler-32 checksum of the data of all blocks, concatenated."""
    return reduce(_joined, ((entry.check, entry.length) for entry in blocks), (1, 0))[0]


def _joined(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    """(checksum, length) of two concatenated parts: Adler-32 is a sum and a sum of sums (RFC 1950)."""
    (first, length), (second, more) = one, other
    total = (first & 0xFFFF) - 1
    low = (total + (second & 0xFFFF)) % _BASE
    high = ((first >> 16) + (second >> 16) + more * total) % _BASE
    return high << 16 | low, length + more
