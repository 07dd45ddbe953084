"""The size that an image within a strip or tile states, before a decoder allocates memory for it."""

from __future__ import annotations

from typing import Final

from convcli.formats.tiff.color import JPEG

_JPEG_2000: Final = (33003, 33004, 33005, 34712)  # tag 259
_CODESTREAM: Final = b"\xff\x4f\xff\x51"  # how a JPEG 2000 codestream begins, before its size
_FRAMES: Final = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
_ALONE: Final = (0x01, *range(0xD0, 0xD9))  # markers of a JPEG without a length


def stated_pixels(compression: int, data: bytes) -> int:
    """Pixels of the JPEG or JPEG 2000 in a segment; 0 for others, whose decoders stop at its size."""
    if compression == JPEG:
        return _of_jpeg(data)
    if compression in _JPEG_2000:
        start = data.find(_CODESTREAM) + len(_CODESTREAM) + 4
        columns, rows = (_number(data, start + place, 4) for place in (0, 4))
        return rows * columns if start >= 8 else 0
    return 0


def _of_jpeg(data: bytes) -> int:
    """Pixels of the frame of a JPEG; 0 if none is found."""
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
