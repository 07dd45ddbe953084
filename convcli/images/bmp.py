"""BMP: 8-bit gray and RGB, and RGBA on the way in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from convcli.dtypes import Array, DType
from convcli.images.base import Header, Metadata
from convcli.images.decoding import CHANNELS, MODES, from_pillow, pillow, saved, to_pillow
from convcli.images.metadata import described, from_inches, inches

_MODES: Final = {"1": "L", "P": "RGB"}


class Bmp:
    """Windows bitmap."""

    name = "bmp"
    suffixes: tuple[str, ...] = (".bmp", ".dib")
    largest_side = 2**31 - 1
    largest_pixels = (2**32 - 2**12) // 4  # of three bytes and the ends of rows, in a file of 4 GiB
    decoding = 5
    encoding = 7

    def sniff(self, head: bytes) -> bool:
        return head.startswith(b"BM")

    def header(self, data: bytes) -> Header:
        with pillow(data) as image:
            mode = _MODES.get(image.mode, image.mode)
            facts = Header(self.name, image.height, image.width, CHANNELS[mode], np.dtype(np.uint8))
            return described(facts, Metadata(resolution=from_inches(image.info.get("dpi"))))

    def decode(self, data: bytes, header: Header) -> Array:
        with pillow(data) as image:
            return from_pillow(image, MODES[header.channels])

    def holds(self, dtype: DType, channels: int, frames: int = 1) -> bool:
        return frames == 1 and dtype == np.uint8 and channels in (1, 3)

    def carries(self, channels: int) -> Mapping[str, int]:
        return {"resolution": 0}

    def encode(self, pixels: Array, metadata: Metadata) -> bytes:
        resolution = metadata.resolution
        return saved(to_pillow(pixels), "BMP", dpi=inches(resolution) if resolution else (0, 0))
