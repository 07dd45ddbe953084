"""WebP: 8-bit RGB and RGBA; written lossless, colours under transparency kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from convcli.dtypes import Array, DType
from convcli.images.base import CHANNELS, MODES, Header, Metadata, from_pillow, pillow, saved, to_pillow
from convcli.images.metadata import LARGEST, blocks_for, blocks_of, described

LARGEST_SIDE: Final = 16_383


class WebP:
    """WebP (RFC 9649)."""

    name = "webp"
    suffixes: tuple[str, ...] = (".webp",)

    def sniff(self, head: bytes) -> bool:
        return head[:4] == b"RIFF" and head[8:12] == b"WEBP"

    def header(self, data: bytes) -> Header:
        with pillow(data) as image:
            channels, frames = CHANNELS[image.mode], int(getattr(image, "n_frames", 1))
            facts = Header(self.name, image.height, image.width, channels, np.dtype(np.uint8), frames)
            return described(facts, blocks_of(image))

    def decode(self, data: bytes, header: Header) -> Array:
        with pillow(data) as image:
            return from_pillow(image, MODES[header.channels])

    def holds(self, dtype: DType, channels: int) -> bool:
        return dtype == np.uint8

    def carries(self, channels: int) -> Mapping[str, int]:
        blocks = ("exif", "xmp") if channels < 3 else ("icc", "exif", "xmp")  # gray is written as RGB
        return dict.fromkeys(blocks, LARGEST)

    def encode(self, pixels: Array, metadata: Metadata) -> bytes:
        image = to_pillow(pixels)
        if pixels.shape[2] < 3:
            image = image.convert("RGB" if pixels.shape[2] == 1 else "RGBA")
        return saved(image, "WEBP", lossless=True, exact=True, **blocks_for(metadata))
