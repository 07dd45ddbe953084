"""Data of a compressed tile, checked before astropy decodes them: its decoders trust the sizes in them."""

from __future__ import annotations

import struct
import zlib
from typing import Final

from convcli.core.errors import ImageError

_GZIP: Final = b"\x1f\x8b"
_HCOMPRESS: Final = b"\xdd\x99"
_HCOMPRESS_HEAD: Final = ">2s2i"  # signature, and the sides of the tile
_WORDS: Final = 7
"""Words of the head of a tile compressed as a list of pixels."""


ITEMS: Final = {"L": 1, "A": 1, "B": 1, "I": 2, "J": 4, "K": 8, "E": 4, "D": 8}
"""Bytes of an element of a column by its letter."""
_COLUMNS: Final = {"PLIO_1": "I", "HCOMPRESS_1": "B"}


def check_tile(method: str, column: str, data: bytes, pixels: int, itemsize: int) -> None:
    """Refuse a tile that decodes to more than its pixels, or whose sizes lead outside it.

    Args:
        method: of the compression, ``GZIP_1`` for what other methods leave to gzip.
        column: the letter of the column's type.
        data: of the tile, as stored; nothing if it is stored elsewhere.
        pixels: of the tile.
        itemsize: bytes of a pixel.

    Raises:
        ImageError: one of these.
    """
    if not data:
        return
    if column != _COLUMNS.get(method, column):
        raise ImageError(f"damaged fits: {method} in a column of type {column}")
    if method.startswith("GZIP"):
        _check_inflated(data, pixels * itemsize)
    elif method == "PLIO_1":
        _check_list(data)
    elif method == "HCOMPRESS_1":
        _check_sides(data, pixels)


def _check_inflated(data: bytes, most: int) -> None:
    """Refuse a tile that inflates to more than its pixels, whatever type they are kept in."""
    if not data.startswith(_GZIP):
        return
    stream, length = zlib.decompressobj(31), 0
    while data and not stream.eof:
        length += len(stream.decompress(data, 2**20))
        data = stream.unconsumed_tail
        if length > 2 * most + 64:  # lossy images keep a tile of integers as wide as it needs
            raise ImageError(f"damaged fits: a tile decompresses to more than {most} bytes")


def _check_list(data: bytes) -> None:
    """Refuse a list of pixels that states another length than it has."""
    count = len(data) // 2
    words = struct.unpack_from(f">{min(count, _WORDS)}h", data)
    if count > 4 and words[2] <= 0:  # the later form, of lists of more than 15 bits of length
        first, length = words[1], (words[4] << 15) + words[3]
    else:
        first, length = 3, words[2] if count > 2 else -1
    if not 0 <= first <= length <= count:
        raise ImageError(f"damaged fits: a tile of {count} words states a list of {length}")


def _check_sides(data: bytes, pixels: int) -> None:
    """Refuse a tile of other sides than its pixels have."""
    if len(data) < struct.calcsize(_HCOMPRESS_HEAD) or not data.startswith(_HCOMPRESS):
        raise ImageError("damaged fits: a tile that is no HCOMPRESS data")
    _, rows, columns = struct.unpack_from(_HCOMPRESS_HEAD, data)
    if rows < 1 or columns < 1 or rows * columns != pixels:
        raise ImageError(f"damaged fits: a tile states {columns}×{rows} pixels instead of {pixels}")
