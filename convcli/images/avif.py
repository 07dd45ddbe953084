"""AVIF: 8, 10 and 12 bits in, 8 bits out and lossless; headers by Pillow, pixels by imagecodecs (libavif)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from convcli.dtypes import Array, DType
from convcli.errors import ImageError
from convcli.images.base import MODES, Header, Metadata, brands, from_pillow, full_range, pillow, range_notes
from convcli.images.metadata import blocks_of, described

SPEED: Final = 10  # of 0 to 10: 5% larger than 0, and more than a hundred times as quick
_TWELVE, _HIGH, _GRAY = 0x20, 0x40, 0x10  # flags in the third byte of an av1C box


class Avif:
    """AV1 Image File Format; written without loss, colours under transparency kept."""

    name = "avif"
    suffixes: tuple[str, ...] = (".avif",)

    def sniff(self, head: bytes) -> bool:
        return not brands(head).isdisjoint((b"avif", b"avis"))

    def header(self, data: bytes) -> Header:
        most, gray = _coding(data)
        kind = np.dtype(np.uint8 if most == 255 else np.uint16)
        with pillow(data) as image:
            frames, turned = int(getattr(image, "n_frames", 1)), int(image.getexif().get(274, 1))
            columns, rows = image.size
            channels = (1 if gray else 3) + image.has_transparency_data
            if frames > 1 and most > 255:
                raise ImageError(f"avif of {frames} frames with values up to {most}; allowed: up to 255")
            facts = Header(self.name, rows, columns, channels, kind, frames, notes=range_notes(most))
            return described(facts, blocks_of(image), turned)

    def decode(self, data: bytes, header: Header) -> Array:
        import imagecodecs

        if header.frames > 1:  # imagecodecs 2026.3 writes behind its array where one of several is asked for
            with pillow(data) as image:
                return from_pillow(image, MODES[header.channels])
        pixels = full_range(imagecodecs.avif_decode(data), _coding(data)[0])
        return pixels.reshape(header.rows, header.columns, header.channels)

    def holds(self, dtype: DType, channels: int) -> bool:
        return dtype == np.uint8

    def carries(self, channels: int) -> Mapping[str, int]:
        return {}

    def encode(self, pixels: Array, metadata: Metadata) -> bytes:
        import imagecodecs

        squeezed = pixels[..., 0] if pixels.shape[2] == 1 else pixels
        return bytes(imagecodecs.avif_encode(np.ascontiguousarray(squeezed), speed=SPEED))


def _coding(data: bytes) -> tuple[int, bool]:
    """The largest value that the first coded picture can hold, and whether it is gray.

    Raises:
        ImageError: no picture is described.
    """
    place = data.find(b"av1C")
    if place < 0 or len(data) < place + 7:
        raise ImageError("damaged avif: it ends before its first picture is described")
    flags = data[place + 6]
    bits = (12 if flags & _TWELVE else 10) if flags & _HIGH else 8
    return 2**bits - 1, bool(flags & _GRAY)
