"""The size that an image within a strip or tile states, before a decoder allocates memory for it."""

from __future__ import annotations

from typing import Final

from convcli.formats.stated_size import jpeg_2000_pixels, jpeg_pixels
from convcli.formats.tiff.color import JPEG

_JPEG_2000: Final = (33003, 33004, 33005, 34712)  # tag 259


def stated_pixels(compression: int, data: bytes) -> int:
    """Pixels of the JPEG or JPEG 2000 in a segment; 0 for others, whose decoders stop at its size."""
    if compression == JPEG:
        return jpeg_pixels(data)
    return jpeg_2000_pixels(data) if compression in _JPEG_2000 else 0
