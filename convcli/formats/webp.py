"""WebP: 8-bit RGB and RGBA; lossless, with the colors of transparent pixels, unless a quality is chosen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.frozen import replace
from convcli.formats.base import Format
from convcli.formats.decoding import (
    CHANNELS,
    MODES,
    open_with_pillow,
    pillow_frames,
    save_with_pillow,
    to_pillow,
)
from convcli.formats.header import Header, Metadata, Timing
from convcli.formats.metadata import MAX_BLOCK_BYTES, pillow_metadata, pillow_options, with_metadata

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_SIDE: Final = 16_383
_EXACT: Final[dict[str, Any]] = {"lossless": True, "exact": True}
_MOVING: Final = 1  # effort; Pillow's default, 0, makes files nine times as large
_RATE: Final = 1000  # ticks per second


class WebP(Format):
    """WebP (RFC 9649)."""

    max_side = MAX_SIDE
    max_pixels = MAX_SIDE**2
    has_quality = True
    decoder_overhead = 5
    encoder_overhead = 39
    animation_overhead = 24

    def sniff(self, head: bytes) -> bool:
        return head[:4] == b"RIFF" and head[8:12] == b"WEBP"

    def header(self, data: bytes) -> Header:
        with open_with_pillow(data) as image:
            channels, frames = CHANNELS[image.mode], int(getattr(image, "n_frames", 1))
            facts = Header(self.name, image.height, image.width, channels, np.dtype(np.uint8), frames)
            timing = _timing(data) if frames > 1 else None
            return with_metadata(facts, replace(pillow_metadata(image), timing=timing))

    def decode(self, data: bytes, header: Header) -> Array:
        import imagecodecs

        if _is_moving(data):
            return next(self.frames(data, header))
        pixels: Array = imagecodecs.webp_decode(data, hasalpha=header.channels == 4)
        return pixels.reshape(header.rows, header.columns, header.channels)

    def frames(self, data: bytes, header: Header) -> Iterator[Array]:
        """Each frame as displayed."""
        return pillow_frames(data, MODES[header.channels])

    def holds(self, dtype: DType, channels: int, frames: int = 1) -> bool:
        return dtype == np.uint8 and (frames == 1 or channels in (1, 3))

    def loss(self, dtype: DType, channels: int, frames: int) -> str:
        hides = dtype == np.uint8 and frames > 1 and channels in (2, 4)
        return "animated WebP drops the colors of fully transparent pixels" if hides else ""

    def metadata_limits(self, channels: int) -> Mapping[str, int]:
        blocks = ("exif", "xmp") if channels < 3 else ("icc", "exif", "xmp")  # gray is written as RGB
        return {"timing": 0, **dict.fromkeys(blocks, MAX_BLOCK_BYTES)}

    def encode(self, pixels: Array, metadata: Metadata) -> bytes:
        return save_with_pillow(_colored(pixels), "WEBP", **_options(metadata))

    def encode_frames(self, frames: Array, metadata: Metadata) -> bytes:
        first, *others = map(_colored, frames)
        timing = metadata.timing or Timing.steady(len(frames))
        times = {"duration": timing.ticks(_RATE, least=1), "loop": timing.loops, "method": _MOVING}
        return save_with_pillow(
            first, "WEBP", save_all=True, append_images=others, **times, **_options(metadata)
        )


def _options(metadata: Metadata) -> dict[str, Any]:
    """Options of Pillow for the coding and the metadata."""
    quality = metadata.coding.quality
    return {**(_EXACT if quality is None else {"quality": quality}), **pillow_options(metadata)}


def _colored(pixels: Array) -> Image:
    """Pixels as a Pillow image in RGB or RGBA: the format has no gray."""
    image = to_pillow(pixels)
    return image if pixels.shape[2] > 2 else image.convert("RGB" if pixels.shape[2] == 1 else "RGBA")


def _is_moving(data: bytes) -> bool:
    """Whether the file is marked as an animation, perhaps of one frame (RFC 9649, 2.7)."""
    return data[12:16] == b"VP8X" and len(data) > 20 and bool(data[20] & 2)


def _timing(data: bytes) -> Timing:
    """The timing by the ANIM and ANMF chunks (RFC 9649, 2.7)."""
    durations, loops, place = [], 0, 12
    while place + 8 <= len(data):
        kind, body = data[place : place + 4], place + 8
        if kind == b"ANIM":
            loops = int.from_bytes(data[body + 4 : body + 6], "little")
        elif kind == b"ANMF":
            durations.append(Fraction(int.from_bytes(data[body + 12 : body + 15], "little"), _RATE))
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        place = body + size + size % 2
    return Timing(tuple(durations), loops)
