"""JPEG band by band: each encoded on its own, joined by restart markers.

A restart marker resets the coder (ISO/IEC 10918-1, B.2.4.4), so that bands of whole rows of blocks
can be encoded separately; the decoded image is that of a single encoder, to the bit.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import BinaryIO, Final

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen
from convcli.formats.encoders import Encoder
from convcli.formats.header import Layout

MAX_SIDE: Final = 65_500
_SCAN: Final = b"\xff\xda"
_END: Final = b"\xff\xd9"
_STEPS: Final = {"444": (8, 8), "422": (8, 16), "420": (16, 16)}
"""Rows and columns of the blocks that are coded together."""


def _blocks(layout: Layout, subsampling: str, height: int) -> int:
    """Groups of blocks of a band."""
    down, across = _STEPS[subsampling] if layout.channels == 3 else (8, 8)
    return -(-layout.columns // across) * (height // down)


@frozen
class JpegEncoder(Encoder):
    """Writes 8-bit gray and RGB; ``sample`` is a small file with the same tables and metadata."""

    layout: Layout
    height: int
    quality: int | None
    subsampling: str
    sample: bytes

    def strip(self, first: int, pixels: Array) -> bytes:
        """The coded blocks of (rows, columns, channels) pixels."""
        import imagecodecs

        gray = pixels.shape[2] == 1
        chroma = None if gray else self.subsampling
        squeezed = pixels[..., 0] if gray else pixels
        data = bytes(imagecodecs.jpeg8_encode(squeezed, level=self.quality, subsampling=chroma))
        start = data.rindex(_SCAN)
        return data[start + 2 + int.from_bytes(data[start + 2 : start + 4], "big") : -len(_END)]

    def write(self, file: BinaryIO, pieces: Iterable[bytes]) -> None:
        """Write the sample's headers with this image's size, then the blocks."""
        scan = self.sample.rindex(_SCAN)
        length = int.from_bytes(self.sample[scan + 2 : scan + 4], "big")
        head = bytearray(self.sample[:scan])
        frame = head.rindex(b"\xff\xc0\x00")  # baseline; its length is below 256
        struct.pack_into(">HH", head, frame + 5, self.layout.rows, self.layout.columns)
        file.write(head)
        if self.height < self.layout.rows:
            interval = _blocks(self.layout, self.subsampling, self.height)
            file.write(struct.pack(">HHH", 0xFFDD, 4, interval))
        file.write(self.sample[scan : scan + 2 + length])
        for number, piece in enumerate(pieces):
            if number:
                file.write(bytes((0xFF, 0xD0 + (number - 1) % 8)))
            file.write(piece)
        file.write(_END)
