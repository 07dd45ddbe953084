"""GIF: the first frame, read by imageio as it is shown; written from 8-bit gray."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from convcli.dtypes import Array, DType
from convcli.images.base import MODES, Header, Metadata, pillow, saved, to_pillow
from convcli.images.metadata import COMMENT, LARGEST, comment, described

if TYPE_CHECKING:
    from PIL.Image import Image


def _is_gray(image: Image) -> bool:
    """Whether its first frame has grays only; asked of the palette, because pixels are not decoded yet."""
    palette = image.palette.getdata()[1] if image.palette else b""
    return image.mode == "L" or (bool(palette) and palette[::3] == palette[1::3] == palette[2::3])


class Gif:
    """Graphics Interchange Format (89a)."""

    name = "gif"
    suffixes: tuple[str, ...] = (".gif",)

    def sniff(self, head: bytes) -> bool:
        return head[:6] in (b"GIF87a", b"GIF89a")

    def header(self, data: bytes) -> Header:
        with pillow(data) as image:
            transparent = "transparency" in image.info
            channels = 1 if _is_gray(image) and not transparent else 3 + transparent
            found = Metadata(texts=comment(image.info.get("comment")))
            frames = int(getattr(image, "n_frames", 1))
            facts = Header(self.name, image.height, image.width, channels, np.dtype(np.uint8), frames)
            return described(facts, found)

    def decode(self, data: bytes, header: Header) -> Array:
        import imageio.v3 as iio

        mode = MODES[header.channels]
        pixels: Array = iio.imread(io.BytesIO(data), index=0, plugin="pillow", mode=mode)
        return pixels.reshape(header.rows, header.columns, header.channels)

    def holds(self, dtype: DType, channels: int) -> bool:
        return dtype == np.uint8 and channels == 1

    def carries(self, channels: int) -> Mapping[str, int]:
        return {COMMENT: LARGEST}

    def encode(self, pixels: Array, metadata: Metadata) -> bytes:
        return saved(to_pillow(pixels), "GIF", comment=dict(metadata.texts).get(COMMENT, "").encode())
