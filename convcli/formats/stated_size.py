"""The size that a JPEG or JPEG 2000 within a file states, before a decoder allocates memory for it."""

from __future__ import annotations

from typing import Final

_CODESTREAM: Final = b"\xff\x4f\xff\x51"  # how a JPEG 2000 codestream begins, before its size
_FRAMES: Final = (
    *range(0xC0, 0xC4),
    *range(0xC5, 0xC8),
    *range(0xC9, 0xCC),
    *range(0xCD, 0xD0),
    0xF7,
)
"""Markers of the frame of a JPEG, that of JPEG-LS last."""
_ALONE: Final = (0x01, *range(0xD0, 0xD9))  # markers of a JPEG without a length


def jpeg_2000_pixels(data: bytes) -> int:
    """Pixels of a JPEG 2000; 0 if no codestream is found."""
    start = data.find(_CODESTREAM) + len(_CODESTREAM) + 4
    columns, rows = (_number(data, start + place, 4) for place in (0, 4))
    return rows * columns if start >= 8 else 0


def jpeg_pixels(data: bytes) -> int:
    """Pixels of the frame of a JPEG or JPEG-LS; 0 if none is found."""
    place = 2
    while place + 9 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker in _FRAMES:
            return _number(data, place + 5, 2) * _number(data, place + 7, 2)
        if marker == 0xFF:
            place += 1
        else:
            place += 2 if marker in _ALONE else 2 + max(_number(data, place + 2, 2), 2)
    return 0


def _number(data: bytes, place: int, size: int) -> int:
    return int.from_bytes(data[place : place + size], "big")
