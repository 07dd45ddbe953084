"""JPEG: 8-bit gray and RGB; decoded by imagecodecs (libjpeg-turbo), encoded by Pillow."""

from __future__ import annotations

from typing import Final

import numpy as np

from convcli.dtypes import Array, DType
from convcli.errors import ImageError
from convcli.images.base import Header, Metadata, pillow, saved, to_pillow

QUALITY: Final = 95


class Jpeg:
    """JPEG (ISO/IEC 10918-1), written at quality 95 without chroma subsampling."""

    name = "jpeg"
    suffixes: tuple[str, ...] = (".jpg", ".jpeg", ".jpe", ".jfif")

    def sniff(self, head: bytes) -> bool:
        return head.startswith(b"\xff\xd8\xff")

    def header(self, data: bytes) -> Header:
        with pillow(data) as image:
            if image.mode not in ("L", "RGB"):
                raise ImageError(f"jpeg of mode {image.mode}; allowed: gray and RGB")
            channels = 1 if image.mode == "L" else 3
            return Header(self.name, image.height, image.width, channels, np.dtype(np.uint8))

    def decode(self, data: bytes, header: Header) -> Array:
        import imagecodecs

        if b"\xff\xd9" not in data[data.rfind(b"\xff\xda") :]:
            raise ImageError("damaged jpeg: it ends before its end-of-image marker")
        colour = "GRAYSCALE" if header.channels == 1 else "RGB"
        pixels: Array = imagecodecs.jpeg8_decode(data, outcolorspace=colour)
        return pixels.reshape(header.rows, header.columns, header.channels)

    def holds(self, dtype: DType, channels: int) -> bool:
        return dtype == np.uint8 and channels in (1, 3)

    def encode(self, pixels: Array, metadata: Metadata) -> bytes:
        return saved(to_pillow(pixels), "JPEG", quality=QUALITY, subsampling=0)
