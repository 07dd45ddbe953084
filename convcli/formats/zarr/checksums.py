"""CRC-32C, the checksum of the index of a shard."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

_POLYNOMIAL: Final = 0x82F63B78  # Castagnoli's, reflected (RFC 3720, appendix B.4)
_ONES: Final = 0xFFFFFFFF


def crc32c(data: Any) -> int:
    """The CRC-32C of bytes; google-crc32c computes it where it is installed, as it is with zarr."""
    try:
        from google_crc32c import value
    except ImportError:
        return plain_crc32c(data)
    return int(value(bytes(data)))


def plain_crc32c(data: Any) -> int:
    """The same byte by byte: an index has some kilobytes at most."""
    table, check = _table(), _ONES
    for byte in bytes(data):
        check = table[(check ^ byte) & 255] ^ check >> 8
    return check ^ _ONES


@cache
def _table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)  # noqa: PLW2901 - shifted out bit by bit
        table.append(value)
    return table
