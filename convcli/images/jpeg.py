"""JPEG: gray, RGB and CMYK, up to 16 bits, by imagecodecs (libjpeg-turbo); what stands beside by Pillow."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from convcli.dtypes import Array, DType
from convcli.errors import ImageError
from convcli.images.base import (
    BAND,
    Bands,
    Coding,
    Encoder,
    Header,
    Layout,
    Metadata,
    WholePictures,
    rows_of_bands,
)
from convcli.images.decoding import CMYK_NOTE, from_cmyk, full_range, pillow, range_notes, saved, to_pillow
from convcli.images.jpegwriter import LARGEST_SIDE, JpegEncoder
from convcli.images.metadata import COMMENT, LARGEST, UNITS, blocks_for, blocks_of, comment, described, inches
from convcli.values import frozen, replace

if TYPE_CHECKING:
    from PIL.Image import Image

SAMPLINGS: Final = {"444": 0x11, "422": 0x21, "420": 0x22}
"""Chroma subsamplings by the sampling factors of luma, where those of chroma are 1."""

_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), 0xC2  # markers of frames
_SCAN: Final = b"\xff\xda"
_END: Final = b"\xff\xd9"
_ARITHMETIC: Final = 0xC8  # markers of frames from here on
_MOST_PIXELS: Final = 1024  # that a byte stands for: a block of 64 takes a bit, of one component or another
_COLOURS: Final = {1: 1, 3: 3, 4: 3}  # channels of a picture of so many components
_MORE: Final = b"".join(bytes(range(250)) + bytes((0xFF, 0xD0 + count)) for count in range(8)) * 2
"""Data for missing pixels: a zero first, in case the last byte is 0xFF; every restart marker."""


@frozen
class _Frame:
    """What stands in front of the pixels: the frame's marker, sizes and place, and whether Adobe wrote it."""

    kind: int
    bits: int
    rows: int
    columns: int
    components: int
    adobe: bool
    place: int
    factors: tuple[int, ...]

    @property
    def subsampling(self) -> str:
        """The nearest of `SAMPLINGS`."""
        if self.components != 3 or self.factors[1:] != (0x11, 0x11):
            return "444"
        return next((name for name, luma in SAMPLINGS.items() if self.factors[0] == luma), "444")


class Jpeg:
    """JPEG (ISO/IEC 10918-1), written with chroma subsampled where a JPEG input's was."""

    name = "jpeg"
    quality: int | None = 95
    decoding = 4  # the channels of CMYK
    encoding = 5
    suffixes: tuple[str, ...] = (".jpg", ".jpeg", ".jpe", ".jfif")

    def sniff(self, head: bytes) -> bool:
        return head.startswith(b"\xff\xd8\xff")

    def header(self, data: bytes) -> Header:
        frame = _frame(data)
        channels = _COLOURS.get(frame.components)
        if channels is None or not frame.rows or not frame.columns:
            raise ImageError(
                f"jpeg of {frame.columns}×{frame.rows} pixels with {frame.components} components; "
                "allowed: 1 (gray), 3 (colours) or 4 (CMYK)"
            )
        kind = np.dtype(np.uint8 if frame.bits <= 8 else np.uint16)
        notes = range_notes(2**frame.bits - 1) + ((CMYK_NOTE,) if frame.components == 4 else ())
        facts = Header(self.name, frame.rows, frame.columns, channels, kind, notes=notes)
        try:
            with pillow(data) as image:
                return described(facts, replace(_metadata(image), subsampling=frame.subsampling))
        except OSError:  # Pillow knows 8 bits with losses only
            return facts

    def decode(self, data: bytes, header: Header) -> Array:
        end = data.rfind(_END, max(data.rfind(_SCAN), 0))
        if end < 0:
            raise ImageError("damaged jpeg: it ends before its end-of-image marker")
        frame = _frame(data)
        if frame.kind < _ARITHMETIC and frame.rows * frame.columns > len(data) * _MOST_PIXELS:
            raise ImageError(
                f"damaged jpeg: {len(data)} bytes cannot hold {frame.columns}×{frame.rows} pixels"
            )
        values = _values(data, frame)
        if _may_be_cut(data, frame, values):
            longer = data[:end] + _MORE + data[end:]
            if not np.array_equal(_values(longer, frame), values):
                raise ImageError("damaged jpeg: its data run out before its last pixel")
        pixels = full_range(values, 2**frame.bits - 1)
        if frame.components == 4:
            pixels = from_cmyk(pixels if frame.adobe else np.invert(pixels))
        return pixels.reshape(header.rows, header.columns, header.channels)

    def holds(self, dtype: DType, channels: int, frames: int = 1) -> bool:
        return frames == 1 and dtype == np.uint8 and channels in (1, 3)

    def carries(self, channels: int) -> Mapping[str, int]:
        return {"icc": LARGEST, "exif": 65_527, "xmp": 65_504, "resolution": 0, COMMENT: 65_533}

    def encode(self, pixels: Array, metadata: Metadata) -> bytes:
        chroma = list(SAMPLINGS).index(metadata.subsampling)  # as Pillow counts them
        options = {
            "quality": metadata.coding.quality or self.quality,
            "subsampling": chroma,
            **blocks_for(metadata),
        }
        if metadata.resolution:
            options["dpi"] = inches(metadata.resolution)
        text = dict(metadata.texts).get(COMMENT, "")
        return saved(to_pillow(pixels), "JPEG", comment=text.encode(), **options)

    def band(self, layout: Layout, coding: Coding) -> int:
        return rows_of_bands(layout, BAND)

    def encoder(self, layout: Layout, metadata: Metadata, height: int) -> Encoder:
        if max(layout.rows, layout.columns) > LARGEST_SIDE:
            return WholePictures(layout, lambda pictures: self.encode(pictures[0], metadata))
        sample = self.encode(np.zeros((16, 16, layout.channels), np.uint8), metadata)
        quality, band = metadata.coding.quality or self.quality, self.band(layout, metadata.coding)
        return Bands(JpegEncoder(layout, band, quality, metadata.subsampling, sample), layout, band)


def _metadata(image: Image) -> Metadata:
    """What the segments say; Pillow joins those of a profile and of an Exif block."""
    info = image.info
    metres = UNITS.get(info.get("jfif_unit", 0) + 1)  # JFIF counts 1 for an inch, Exif and TIFF 2
    across, down = info.get("jfif_density", (0, 0))
    resolution = (across / metres, down / metres) if metres and across and down else None
    return replace(blocks_of(image), resolution=resolution, texts=comment(info.get("comment")))


def _frame(data: bytes) -> _Frame:
    """Walk the segments up to the frame's.

    Raises:
        ImageError: there is none.
    """
    place, adobe = 2, False
    while place + 10 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
            continue
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        if marker in _FRAMES:
            bits, rows, columns, components = struct.unpack_from(">BHHB", data, place + 4)
            factors = tuple(data[place + 11 : place + 11 + 3 * components : 3])
            return _Frame(marker, bits, rows, columns, components, adobe, place, factors)
        adobe |= marker == 0xEE and data[place + 4 : place + 9] == b"Adobe"
        place += 2 + length
    raise ImageError("damaged jpeg: it ends before its size is said")


def _values(data: bytes, frame: _Frame) -> Array:
    """Decoded gray, RGB or CMYK values, as many bits as the file has."""
    import imagecodecs

    colour = {1: "GRAYSCALE", 3: "RGB", 4: "CMYK"}[frame.components]
    values: Array = imagecodecs.jpeg8_decode(data, outcolorspace=colour)
    return values


def _may_be_cut(data: bytes, frame: _Frame, values: Array) -> bool:
    """Whether data may have run out, of which the decoder itself says nothing.

    It leaves mid-gray then, or in a progressive file a picture without its last refinements. Both may be
    meant so; but data that ran out decode to something else with more bytes behind them, whole ones to the
    same. Only the last scan of a progressive file is not told so.
    """
    if frame.kind == _PROGRESSIVE:
        return not _is_refined(data, frame)
    return frame.kind in _SEQUENTIAL and bool(np.all(values[-1, -1] == 2 ** (frame.bits - 1)))


def _is_refined(data: bytes, frame: _Frame) -> bool:
    """Whether the scans of a progressive file bring every coefficient to its last bit."""
    bits_left = {}
    place = data.find(_SCAN, frame.place)
    while 0 <= place < len(data) - 8:
        count = data[place + 4]
        named = data[place + 5 : place + 5 + 2 * count : 2]
        first, last, shifts = (*data[place + 5 + 2 * count : place + 8 + 2 * count], 0, 0, 0)[:3]
        for component, coefficient in itertools.product(named, range(first, min(last, 63) + 1)):
            bits_left[component, coefficient] = shifts & 15
        place = data.find(_SCAN, place + 2)
    return len(bits_left) >= 64 * frame.components and not any(bits_left.values())
