"""JPEG XL: 8 and 16 bits, half and single floats; pixels by imagecodecs (libjxl)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.errors import ImageError
from convcli.formats.base import Format
from convcli.formats.decoding import range_notes, to_full_range
from convcli.formats.header import Header, Metadata
from convcli.formats.jxl.boxes import SIGNATURE, beginning, contained, opened, stated_metadata
from convcli.formats.jxl.codestream import MARK, Facts, as_srgb, facts
from convcli.formats.metadata import MAX_BLOCK_BYTES, with_metadata

_EFFORT: Final = 1  # of 1 to 9: 15 times as quick as 2 for 8 bits, and files are 30% larger
_MOST_BITS: Final = 16


class Jxl(Format):
    """JPEG XL (ISO/IEC 18181); lossless, with the colors of transparent pixels, without a quality."""

    max_side = 2**18
    max_pixels = 2**28  # both are those of level 5, which every decoder must read
    has_quality = True
    decoder_overhead = 8
    encoder_overhead = 48

    def sniff(self, head: bytes) -> bool:
        return head[:2] == MARK or head[:12] == SIGNATURE

    def header(self, data: bytes) -> Header:
        found = facts(beginning(data))
        if not found.floats and found.bits > _MOST_BITS:
            raise ImageError(f"jxl with {found.bits} bits; allowed: integers of up to 16 bits, and floats")
        notes = () if found.floats else range_notes(2**found.bits - 1)
        if found.icc:
            notes += ("its color profile is not read",)
        if found.premultiplied:
            notes += ("its colors are multiplied by alpha and are used as stored",)
        header = Header(
            self.name,
            found.rows,
            found.columns,
            found.colors + found.alpha,
            _dtype(found),
            notes=notes,
            linear=found.linear,
        )
        return with_metadata(header, stated_metadata(data), found.orientation)

    def decode(self, data: bytes, header: Header) -> Array:
        import imagecodecs

        found = facts(beginning(data))
        pixels: Array = imagecodecs.jpegxl_decode(data, index=0, keeporientation=True)
        if not found.floats:
            pixels = to_full_range(pixels, 2**found.bits - 1)
        return pixels.reshape(header.rows, header.columns, header.channels)

    def holds(self, dtype: DType, channels: int, frames: int = 1) -> bool:
        return frames == 1 and dtype in (np.uint8, np.uint16, np.float16, np.float32)

    def takes_quality(self, dtype: DType) -> bool:
        return dtype == np.uint8

    def metadata_limits(self, channels: int) -> Mapping[str, int]:
        return {"exif": MAX_BLOCK_BYTES, "xmp": MAX_BLOCK_BYTES}

    def encode(self, pixels: Array, metadata: Metadata) -> bytes:
        """The file; a quality applies to 8 bits, since libjxl takes 16 bits and floats for linear light.

        Halves are written as single floats, because libjxl 0.11 changes small ones and NaN.
        """
        import imagecodecs

        if pixels.dtype == np.float16:
            pixels = pixels.astype(np.float32)
        squeezed = np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
        quality = metadata.coding.quality if self.takes_quality(pixels.dtype) else None
        options = {"lossless": True} if quality is None else {"lossless": False, "level": quality}
        codestream, level = opened(bytes(imagecodecs.jpegxl_encode(squeezed, effort=_EFFORT, **options)))
        if pixels.dtype == np.uint16:
            codestream = as_srgb(codestream)
        return contained(codestream, metadata, level)


def _dtype(found: Facts) -> DType:
    if found.floats:
        return np.dtype(np.float32 if found.bits == 32 else np.float16)
    return np.dtype(np.uint8 if found.bits <= 8 else np.uint16)
