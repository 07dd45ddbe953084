"""AVIF: 8, 10 and 12 bits in, 8 bits out; headers by Pillow, pixels by imagecodecs (libavif)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import Final

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.errors import ImageError
from convcli.core.frozen import replace
from convcli.formats.base import Format
from convcli.formats.decoding import (
    MODES,
    ftyp_brands,
    open_with_pillow,
    pillow_frames,
    range_notes,
    to_full_range,
)
from convcli.formats.header import Header, Metadata, Timing
from convcli.formats.metadata import pillow_metadata, with_metadata

SPEED: Final = 10  # of 0 to 10: 5% larger than 0, and more than a hundred times as quick
_TWELVE, _HIGH, _GRAY = 0x20, 0x40, 0x10  # flags in the third byte of an av1C box


class Avif(Format):
    """AV1 Image File Format; lossless, with the colors of transparent pixels, unless a quality is chosen."""

    max_side = 32_768
    max_pixels = 2**28  # both are what libavif reads by default
    has_quality = True
    decoder_overhead = 4
    encoder_overhead = 36
    animation_overhead = 24

    def sniff(self, head: bytes) -> bool:
        return not ftyp_brands(head).isdisjoint((b"avif", b"avis"))

    def header(self, data: bytes) -> Header:
        most, gray = _coding(data)
        kind = np.dtype(np.uint8 if most == 255 else np.uint16)
        with open_with_pillow(data) as image:
            frames, turned = int(getattr(image, "n_frames", 1)), int(image.getexif().get(274, 1))
            columns, rows = image.size
            channels = (1 if gray else 3) + image.has_transparency_data
            if frames > 1 and most > 255:
                raise ImageError(f"avif of {frames} frames with values up to {most}; allowed: up to 255")
            facts = Header(self.name, rows, columns, channels, kind, frames, notes=range_notes(most))
            timing = _timing(data, frames) if frames > 1 else None
            return with_metadata(facts, replace(pillow_metadata(image), timing=timing), turned)

    def decode(self, data: bytes, header: Header) -> Array:
        import imagecodecs

        if header.frames > 1:
            return next(self.frames(data, header))
        pixels = to_full_range(imagecodecs.avif_decode(data), _coding(data)[0])
        return pixels.reshape(header.rows, header.columns, header.channels)

    def frames(self, data: bytes, header: Header) -> Iterator[Array]:
        """Each frame, by Pillow: for one of several frames, imagecodecs 2026.3 writes past its array."""
        return pillow_frames(data, MODES[header.channels])

    def holds(self, dtype: DType, channels: int, frames: int = 1) -> bool:
        return frames == 1 and dtype == np.uint8

    def encode(self, pixels: Array, metadata: Metadata) -> bytes:
        import imagecodecs

        squeezed = pixels[..., 0] if pixels.shape[2] == 1 else pixels
        quality = metadata.coding.quality
        return bytes(imagecodecs.avif_encode(np.ascontiguousarray(squeezed), level=quality, speed=SPEED))


def _timing(data: bytes, frames: int) -> Timing | None:
    """The timing by the first track's mdhd and stts boxes (ISO/IEC 14496-12, 8.4.2 and 8.6.1.2), or None."""
    media, table = data.find(b"mdhd") + 4, data.find(b"stts") + 4
    if min(media, table) < 4 or len(data) < max(media + 24, table + 8):
        return None
    (rate,) = struct.unpack_from(">I", data, media + (20 if data[media] else 12))
    (count,) = struct.unpack_from(">I", data, table + 4)
    runs = struct.iter_unpack(">II", data[table + 8 : table + 8 + 8 * min(count, frames)])
    durations = [Fraction(ticks, rate or 1) for length, ticks in runs for _ in range(min(length, frames))]
    return Timing(tuple(durations)) if rate and len(durations) == frames else None


def _coding(data: bytes) -> tuple[int, bool]:
    """The largest value of the first coded image, and whether it is gray.

    Raises:
        ImageError: no image is described.
    """
    place = data.find(b"av1C")
    if place < 0 or len(data) < place + 7:
        raise ImageError("damaged avif: it ends before its first image is described")
    flags = data[place + 6]
    bits = (12 if flags & _TWELVE else 10) if flags & _HIGH else 8
    return 2**bits - 1, bool(flags & _GRAY)
