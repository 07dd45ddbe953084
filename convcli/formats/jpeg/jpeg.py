"""JPEG: gray, RGB and CMYK, up to 16 bits, by imagecodecs (libjpeg-turbo); metadata by Pillow."""

from __future__ import annotations

import itertools
import re
import struct
from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.errors import ImageError
from convcli.core.frozen import frozen, replace
from convcli.formats.base import StreamedFormat
from convcli.formats.decoding import (
    CMYK_NOTE,
    cmyk_to_rgb,
    open_with_pillow,
    range_notes,
    save_with_pillow,
    to_full_range,
    to_pillow,
)
from convcli.formats.encoders import BandEncoder, Encoder, WholeImageEncoder, band_rows
from convcli.formats.header import Coding, Header, Layout, Metadata
from convcli.formats.jpeg.encoder import MAX_SIDE, JpegEncoder
from convcli.formats.metadata import (
    COMMENT,
    MAX_BLOCK_BYTES,
    METERS_PER_UNIT,
    comment_texts,
    dots_per_inch,
    pillow_metadata,
    pillow_options,
    with_metadata,
)

SAMPLINGS: Final = {"444": 0x11, "422": 0x21, "420": 0x22}
"""Chroma subsamplings by the sampling factors of luma, where those of chroma are 1."""

_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), 0xC2  # markers of frames
_ARITHMETIC: Final = 0xC8  # markers of frames from here on
_SCAN, _END, _COMMENT = 0xDA, 0xD9, 0xFE  # markers
_APPLICATIONS: Final = range(0xE0, 0xF0)
_BARE: Final = frozenset((0x01, 0xD8, *range(0xD0, 0xD8)))  # markers without a body
_MARKER: Final = re.compile(rb"\xff[^\x00\xff]")  # with any bytes before it
_CODED: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # the marker after coded data
_LEAST_FRAME: Final = 6  # bytes of its body
_BEGIN: Final = b"\xff\xd8"
_DOT: Final = bytes.fromhex("ffc0 000b 08 0001 0001 01 011100 ffda 0008 01 0100 003f00 ffd9")
"""The rest of a gray baseline image of one pixel, after its metadata; the pixel is never decoded."""

_UNREAD: Final = {
    b"Photoshop 3.0\0": "Photoshop and IPTC data",
    b"http://ns.adobe.com/xmp/extension/\0": "extended XMP",
    b"MPF\0": "further images",
}
"""Application segments that are not kept, by their first bytes."""

_EXTENDED: Final = re.compile(rb"(?<!\s)\s+xmpNote:HasExtendedXMP\s*=\s*(?:\"[^\"]*\"|'[^']*')")
_MOST_PIXELS: Final = 1024  # per byte: a block of 64 takes at least a bit, in some component
_COLORS: Final = {1: 1, 3: 3, 4: 3}  # channels by number of components
_MORE: Final = b"".join(bytes(range(250)) + bytes((0xFF, 0xD0 + count)) for count in range(8)) * 2
"""Data for missing pixels: a zero first, in case the last byte is 0xFF; every restart marker."""


Segment = tuple[int, int, int]
"""Marker, place of the body, and where that ends."""


@frozen
class _Frame:
    """What precedes the pixels, and where the image ends.

    Attributes:
        kind: the marker of the frame.
        factors: sampling factors of each component.
        scans: the segments of the scans, each followed by coded data.
        end: offset after the end-of-image marker, or 0 without one.
    """

    kind: int
    bits: int
    rows: int
    columns: int
    components: int
    factors: tuple[int, ...]
    scans: tuple[Segment, ...]
    end: int

    @property
    def subsampling(self) -> str:
        """The nearest of `SAMPLINGS`."""
        if self.components != 3 or self.factors[1:] != (0x11, 0x11):
            return "444"
        return next((name for name, luma in SAMPLINGS.items() if self.factors[0] == luma), "444")


class Jpeg(StreamedFormat):
    """JPEG (ISO/IEC 10918-1), written with chroma subsampled where a JPEG input's was."""

    max_side = MAX_SIDE
    max_pixels = MAX_SIDE**2
    has_quality = True
    default_quality = 95
    subsamples_chroma = True
    decoder_overhead = 4  # the channels of CMYK

    def sniff(self, head: bytes) -> bool:
        return head.startswith(_BEGIN)

    def header(self, data: bytes) -> Header:
        segments = list(_segments(data))
        frame = _frame(data, segments)
        channels = _COLORS.get(frame.components)
        if channels is None or not frame.rows or not frame.columns:
            raise ImageError(
                f"jpeg of {frame.columns}×{frame.rows} pixels with {frame.components} components; "
                "allowed: 1 (gray), 3 (colors) or 4 (CMYK)"
            )
        kind = np.dtype(np.uint8 if frame.bits <= 8 else np.uint16)
        metadata, left = _metadata(data, segments)
        notes = range_notes(2**frame.bits - 1) + ((CMYK_NOTE,) if frame.components == 4 else ()) + left
        facts = Header(self.name, frame.rows, frame.columns, channels, kind, notes=notes)
        return with_metadata(facts, replace(metadata, subsampling=frame.subsampling))

    def decode(self, data: bytes, header: Header) -> Array:
        frame = _frame(data, list(_segments(data)))
        if not frame.end:
            raise ImageError("damaged jpeg: it ends before its end-of-image marker")
        data = data[: frame.end]  # a video, an archive or another image may follow
        if frame.kind < _ARITHMETIC and frame.rows * frame.columns > len(data) * _MOST_PIXELS:
            raise ImageError(
                f"damaged jpeg: {len(data)} bytes cannot hold {frame.columns}×{frame.rows} pixels"
            )
        values = _values(data, frame)
        if _may_be_cut(data, frame, values):
            longer = data[:-2] + _MORE + data[-2:]
            if not np.array_equal(_values(longer, frame), values):
                raise ImageError("damaged jpeg: its data ends before the last pixel")
        pixels = to_full_range(values, 2**frame.bits - 1)
        if frame.components == 4:
            # Inverted, as Adobe programs store inks. Without a segment on that, Pillow, OpenCV, libvips,
            # ImageMagick, GraphicsMagick and FFmpeg take them alike.
            pixels = cmyk_to_rgb(pixels)
        return pixels.reshape(header.rows, header.columns, header.channels)

    def holds(self, dtype: DType, channels: int, frames: int = 1) -> bool:
        return frames == 1 and dtype == np.uint8 and channels in (1, 3)

    def metadata_limits(self, channels: int) -> Mapping[str, int]:
        return {"icc": MAX_BLOCK_BYTES, "exif": 65_527, "xmp": 65_504, "resolution": 0, COMMENT: 65_533}

    def encode(self, pixels: Array, metadata: Metadata) -> bytes:
        chroma = list(SAMPLINGS).index(metadata.subsampling)  # as Pillow counts them
        options = {
            "quality": metadata.coding.quality or self.default_quality,
            "subsampling": chroma,
            **pillow_options(metadata),
        }
        if metadata.resolution:
            options["dpi"] = dots_per_inch(metadata.resolution)
        text = dict(metadata.texts).get(COMMENT, "")
        return save_with_pillow(to_pillow(pixels), "JPEG", comment=text.encode(), **options)

    def band_height(self, layout: Layout, coding: Coding) -> int:
        return band_rows(layout)

    def encoder(self, layout: Layout, metadata: Metadata) -> Encoder:
        if max(layout.rows, layout.columns) > MAX_SIDE:
            return WholeImageEncoder(layout, lambda frames: self.encode(frames[0], metadata))
        sample = self.encode(np.zeros((16, 16, layout.channels), np.uint8), metadata)
        quality, band = (
            metadata.coding.quality or self.default_quality,
            self.band_height(layout, metadata.coding),
        )
        return BandEncoder(JpegEncoder(layout, band, quality, metadata.subsampling, sample), layout, band)


def _segments(data: bytes) -> Iterator[Segment]:
    """Every segment, the last of them the end of the image where it is there.

    Bytes before a marker are skipped, as in libjpeg.
    """
    match = _MARKER.search(data, len(_BEGIN))
    while match:
        marker, place = data[match.end() - 1], match.end()
        if marker == _END:
            yield marker, place, place
            return
        end = place if marker in _BARE else place + int.from_bytes(data[place : place + 2], "big")
        if end > len(data):
            return
        if end > place:
            yield marker, place + 2, end
        match = (_CODED if marker == _SCAN else _MARKER).search(data, end)


def _frame(data: bytes, segments: list[Segment]) -> _Frame:
    """What the segments say about the image.

    Raises:
        ImageError: they do not state its size.
    """
    marker, place, end = next((each for each in segments if each[0] in _FRAMES), (0, 0, 0))
    if end - place < _LEAST_FRAME:
        raise ImageError("damaged jpeg: no segment states its size")
    bits, rows, columns, components = struct.unpack_from(">BHHB", data, place)
    factors = tuple(data[place + 7 : place + 7 + 3 * components : 3])
    scans = tuple(each for each in segments if each[0] == _SCAN)
    last, _, behind = segments[-1]
    return _Frame(marker, bits, rows, columns, components, factors, scans, behind if last == _END else 0)


def _metadata(data: bytes, segments: list[Segment]) -> tuple[Metadata, tuple[str, ...]]:
    """The metadata of the segments before the pixels, and a note on what is left out.

    Pillow joins those of a profile and of an Exif block, but reads no file of more than 8 bits, of lossless
    or of arithmetic coding; so it is given the segments with an image that it reads, whatever the file's.
    """
    parts, left = [_BEGIN], dict[str, None]()
    for marker, place, end in itertools.takewhile(lambda each: each[0] != _SCAN, segments):
        if marker in _APPLICATIONS or marker == _COMMENT:
            name = next((name for mark, name in _UNREAD.items() if data.startswith(mark, place)), None)
            if name is None:
                parts.append(data[place - 4 : end])
            else:
                left[name] = None
    notes = (f"left out: {', '.join(left)}",) if left else ()
    with open_with_pillow(b"".join((*parts, _DOT))) as image:
        info, blocks = image.info, pillow_metadata(image)
    meters = METERS_PER_UNIT.get(info.get("jfif_unit", 0) + 1)  # JFIF counts 1 for an inch, Exif and TIFF 2
    across, down = info.get("jfif_density", (0, 0))
    resolution = (across / meters, down / meters) if meters and across and down else None
    xmp = blocks.xmp and _EXTENDED.sub(b"", blocks.xmp)
    return replace(blocks, xmp=xmp, resolution=resolution, texts=comment_texts(info.get("comment"))), notes


def _values(data: bytes, frame: _Frame) -> Array:
    """Decoded gray, RGB or CMYK values, as many bits as the file has."""
    import imagecodecs

    color = {1: "GRAYSCALE", 3: "RGB", 4: "CMYK"}[frame.components]
    values: Array = imagecodecs.jpeg8_decode(data, outcolorspace=color)
    return values


def _may_be_cut(data: bytes, frame: _Frame, values: Array) -> bool:
    """Whether the data may be truncated, which the decoder does not report.

    It then leaves mid-gray, or in a progressive file an image without its last refinements. Both may be
    intended; but truncated data decode to something else with more bytes appended, and complete data to the
    same. Only the last scan of a progressive file is not detected this way.
    """
    if frame.kind == _PROGRESSIVE:
        return not _is_refined(data, frame)
    return frame.kind in _SEQUENTIAL and bool(np.all(values[-1, -1] == 2 ** (frame.bits - 1)))


def _is_refined(data: bytes, frame: _Frame) -> bool:
    """Whether the scans of a progressive file bring every coefficient to its last bit."""
    bits_left = {}
    for _, place, _ in frame.scans:
        count = data[place]
        named = data[place + 1 : place + 1 + 2 * count : 2]
        first, last, shifts = (*data[place + 1 + 2 * count : place + 4 + 2 * count], 0, 0, 0)[:3]
        for component, coefficient in itertools.product(named, range(first, min(last, 63) + 1)):
            bits_left[component, coefficient] = shifts & 15
    return len(bits_left) >= 64 * frame.components and not any(bits_left.values())
