"""JPEG: 8-bit gray and RGB; decoded by imagecodecs (libjpeg-turbo), encoded by Pillow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from convcli.dtypes import Array, DType
from convcli.errors import ImageError
from convcli.images.base import Header, Metadata, pillow, saved, to_pillow
from convcli.images.metadata import COMMENT, LARGEST, UNITS, blocks_for, blocks_of, comment, described, inches

if TYPE_CHECKING:
    from PIL.Image import Image

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
            facts = Header(self.name, image.height, image.width, channels, np.dtype(np.uint8))
            return described(facts, _metadata(image))

    def decode(self, data: bytes, header: Header) -> Array:
        import imagecodecs

        if b"\xff\xd9" not in data[data.rfind(b"\xff\xda") :]:
            raise ImageError("damaged jpeg: it ends before its end-of-image marker")
        colour = "GRAYSCALE" if header.channels == 1 else "RGB"
        pixels: Array = imagecodecs.jpeg8_decode(data, outcolorspace=colour)
        return pixels.reshape(header.rows, header.columns, header.channels)

    def holds(self, dtype: DType, channels: int) -> bool:
        return dtype == np.uint8 and channels in (1, 3)

    def carries(self, channels: int) -> Mapping[str, int]:
        return {"icc": LARGEST, "exif": 65_527, "xmp": 65_504, "resolution": 0, COMMENT: 65_533}

    def encode(self, pixels: Array, metadata: Metadata) -> bytes:
        options = {"quality": QUALITY, "subsampling": 0, **blocks_for(metadata)}
        if metadata.resolution:
            options["dpi"] = inches(metadata.resolution)
        text = dict(metadata.texts).get(COMMENT, "")
        return saved(to_pillow(pixels), "JPEG", comment=text.encode(), **options)


def _metadata(image: Image) -> Metadata:
    """What the segments say; Pillow joins those of a profile and of an Exif block."""
    info = image.info
    metres = UNITS.get(info.get("jfif_unit", 0) + 1)  # JFIF counts 1 for an inch, Exif and TIFF 2
    across, down = info.get("jfif_density", (0, 0))
    resolution = (across / metres, down / metres) if metres and across and down else None
    return replace(blocks_of(image), resolution=resolution, texts=comment(info.get("comment")))
