"""PNG: 1 to 16 bits, gray, RGB, palette, alpha; decoded by imagecodecs, exact for every type."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.errors import ImageError, one_line, quoted
from convcli.core.frozen import replace
from convcli.files.input import Input
from convcli.formats.base import StreamedFormat
from convcli.formats.decoding import silence_logger
from convcli.formats.encoders import BAND_BYTES, BandEncoder, band_rows
from convcli.formats.header import Coding, Header, Layout, Metadata
from convcli.formats.metadata import MAX_BLOCK_BYTES, TEXTS, inflate, with_metadata
from convcli.formats.png import apng
from convcli.formats.png import chunks as pngchunks
from convcli.formats.png.chunks import MAX_SIDE, Bytes, Chunk, Structure, bodies, body, structure
from convcli.formats.png.encoder import SIGNATURE, PngEncoder, chunk
from convcli.formats.png.rows import PIECE, PngRows, unpacked
from convcli.formats.readers import Reader

_XMP: Final = b"XML:com.adobe.xmp"
_XMP_MARK: Final = b"http://ns.adobe.com/xap/1.0/\0"  # as JPEG has it
_RAW: Final = "Raw profile type "
_RAW_NAMES: Final = {"exif": "exif", "xmp": "xmp", "icc": "icc", "icm": "icc"}
_TEXT_COST: Final = 100  # bytes that a text counts in addition to its own: there may be many
_MOST_NOTES: Final = 10
_SMALL_BAND_BYTES: Final = 4 * BAND_BYTES  # bytes, of small files
_ANIMATION: Final = (b"acTL", b"fcTL", b"IDAT", b"fdAT")


class Png(StreamedFormat):
    """Portable Network Graphics (ISO/IEC 15948)."""

    max_side = MAX_SIDE
    max_pixels = MAX_SIDE**2
    progressive = True
    animation_overhead = 8

    def sniff(self, head: bytes) -> bool:
        return head.startswith(SIGNATURE)

    def open(self, source: Input) -> list[tuple[Header, Reader | None]]:
        return [(self.header(source.window()), None)]

    def header(self, data: Bytes) -> Header:
        listed = list(pngchunks.walk(data))
        info = structure(data, listed)
        dtype = np.dtype(np.uint16 if info.depth == 16 else np.uint8)
        metadata, notes = _metadata(data, listed)
        frames = 1
        if info.moving:
            parts, plays = apng.parts(bodies(data, _ANIMATION), info.rows, info.columns)
            if len(parts) > 1:
                frames, metadata = len(parts), replace(metadata, timing=apng.timing(parts, plays))
        notes = (*info.notes, *notes)
        facts = Header(self.name, info.rows, info.columns, info.channels, dtype, frames, notes=notes)
        return with_metadata(facts, metadata)

    def decode(self, data: bytes, header: Header) -> Array:
        info = structure(data)
        if header.frames > 1 or info.hidden:
            return next(self.frames(data, header))
        pixels = [inside for _, inside in bodies(data, (b"IDAT",))]
        return _decoded(info, header.rows, header.columns, pixels)

    def frames(self, data: bytes, header: Header) -> Iterator[Array]:
        info = structure(data)
        if header.frames == 1 and not info.hidden:
            yield self.decode(data, header)
            return
        parts, _ = apng.parts(bodies(data, _ANIMATION), header.rows, header.columns)
        blank = np.zeros((header.rows, header.columns, header.channels), header.dtype)
        yield from apng.compose(parts, blank, lambda part: _decoded(info, *part.shape, part.bodies))

    def progressive_reader(self, source: Input, header: Header) -> Reader | None:
        data = source.window()
        info = structure(data)
        if not info.is_plain:
            return None
        info.check_room(len(data))
        return PngRows(pngchunks.pixels(data), header, info.front)

    def holds(self, dtype: DType, channels: int, frames: int = 1) -> bool:
        return dtype in (np.uint8, np.uint16)

    def metadata_limits(self, channels: int) -> Mapping[str, int]:
        fields = "icc", "exif", "xmp", "resolution", "gamma", "srgb", "timing", TEXTS
        return dict.fromkeys(fields, MAX_BLOCK_BYTES)

    def band_height(self, layout: Layout, coding: Coding) -> int:
        return band_rows(layout, _SMALL_BAND_BYTES if coding.small else BAND_BYTES)

    def encoder(self, layout: Layout, metadata: Metadata) -> BandEncoder:
        if max(layout.rows, layout.columns) > MAX_SIDE:
            shape = f"{layout.columns}×{layout.rows}"
            raise ImageError(
                f"PNG of {shape} pixels: sides above {MAX_SIDE:,} are not written, "
                "because most decoders reject them"
            )
        coding = metadata.coding
        bands = PngEncoder(layout, chunks(metadata), metadata.timing, coding.small)
        return BandEncoder(bands, layout, self.band_height(layout, coding))


def _decoded(info: Structure, rows: int, columns: int, pixels: Sequence[bytes]) -> Array:
    """(rows, columns, channels) of the bodies of IDAT chunks."""
    import imagecodecs

    silence_logger("imagecodecs")  # which warns of every interlaced image
    info = replace(info, rows=rows, columns=columns)
    data = info.file(pixels)
    info.check_room(len(data))
    for _ in unpacked(iter(pixels), PIECE):  # libpng may only warn of a wrong checksum
        pass
    decoded: Array = imagecodecs.png_decode(data)
    return decoded.reshape(rows, columns, info.channels)


def _metadata(data: Bytes, chunks: list[Chunk]) -> tuple[Metadata, tuple[str, ...]]:
    """The metadata of the chunks before and after the pixels, unchecked, and notes on what is left out.

    The first of a kind counts, and one on how to display the pixels counts only before them.
    """
    fields, raw = dict[str, Any](), dict[str, Any]()
    texts: list[tuple[str, str]] = []
    notes, room, behind = dict[str, None](), MAX_BLOCK_BYTES, False
    for each in chunks:
        kind, _, length = each
        behind |= kind == b"IDAT"
        known = kind in _READERS
        if kind in _PIXELS or (behind and kind in _IN_FRONT) or (length > MAX_BLOCK_BYTES and not known):
            continue
        try:
            name, value = _READERS.get(kind, _unknown)(body(data, each), room)
        except (ValueError, struct.error) as error:
            room //= 2  # so that many texts that inflate without end cost no more than one
            if len(notes) < _MOST_NOTES:
                notes[f"the {one_line(kind.decode('latin-1'))} chunk is left out: {error}"] = None
            continue
        if name == TEXTS:
            texts.append(value)
            room -= min(room, sum(map(len, value)) + _TEXT_COST)
        elif name == _RAW:
            raw.setdefault(*value)
            room -= min(room, len(value[1]) + _TEXT_COST)
        elif name and value is not None:
            fields.setdefault(name, value)
    return Metadata(**{**raw, **fields}, texts=tuple(texts)), tuple(notes)


Found = tuple[str, Any]
"""A field of `Metadata` and its value."""


def _profile(body: bytes, room: int) -> Found:
    _, rest = _split(body)
    return "icc", inflate(rest[1:])


def _gamma(body: bytes, room: int) -> Found:
    (value,) = struct.unpack(">I", body)
    return "gamma", value / 100_000 or None


def _intent(body: bytes, room: int) -> Found:
    (value,) = struct.unpack("B", body)
    return "srgb", value if value < 4 else None


def _resolution(body: bytes, room: int) -> Found:
    across, down, unit = struct.unpack(">IIB", body)
    return "resolution", (across, down) if unit == 1 else None


def _exif(body: bytes, room: int) -> Found:
    return "exif", body


def _text(body: bytes, room: int) -> Found:
    keyword, text = _split(body)
    return _text_field(keyword, text, "latin-1", room)


def _deflated_text(body: bytes, room: int) -> Found:
    keyword, rest = _split(body)
    return _text_field(keyword, inflate(rest[1:], room), "latin-1", room)


def _international_text(body: bytes, room: int) -> Found:
    keyword, rest = _split(body)
    deflated, (_, text) = rest[:1] == b"\1", _split(_split(rest[2:])[1])
    if keyword == _XMP:
        return "xmp", inflate(text) if deflated else text
    return _text_field(keyword, inflate(text, room) if deflated else text, "utf-8", room)


def _text_field(keyword: bytes, text: bytes, encoding: str, room: int) -> Found:
    """A text, or a block that ImageMagick and others write as text."""
    words = keyword.decode("latin-1")
    if not 1 <= len(words) <= 79 or not words.isprintable():
        raise ValueError(f"its keyword is {quoted(words)}")
    if words.startswith(_RAW):
        return _RAW, _raw_block(words, text)
    if len(text) + _TEXT_COST > room or b"\0" in text:
        raise ValueError("its text has zeros, or there is too much text")
    return TEXTS, (words, text.decode(encoding))


def _raw_block(keyword: str, text: bytes) -> Found:
    """A block by its name, its length, and hexadecimal digits, each on a line."""
    kind = keyword.removeprefix(_RAW).casefold()
    try:
        length, _, digits = text.strip().partition(b"\n")[2].strip().partition(b"\n")
        block = bytes.fromhex(digits.decode("ascii"))
        whole = len(block) == int(length)
    except ValueError:
        whole = False
    if not whole:
        raise ValueError("its profile is damaged")
    name = _RAW_NAMES.get(kind)
    if kind == "app1":
        name = "xmp" if block.startswith(_XMP_MARK) else "exif"
    if name is None:
        raise ValueError(f"{quoted(keyword)} is not carried over")
    return name, block.removeprefix(_XMP_MARK)


def _split(body: bytes) -> tuple[bytes, bytes]:
    """What precedes the first zero, and what follows it."""
    before, zero, behind = body.partition(b"\0")
    if not zero:
        raise ValueError("it is truncated")
    return before, behind


def _unknown(body: bytes, room: int) -> Found:
    """A chunk of no meaning here, which was checked to be complete."""
    return "", None


_READERS: Final[dict[bytes, Callable[[bytes, int], Found]]] = {
    b"iCCP": _profile,
    b"gAMA": _gamma,
    b"sRGB": _intent,
    b"pHYs": _resolution,
    b"eXIf": _exif,
    b"tEXt": _text,
    b"zTXt": _deflated_text,
    b"iTXt": _international_text,
}
_PIXELS: Final = (b"IHDR", b"PLTE", b"tRNS", *_ANIMATION)
"""Chunks that are read when pixels are decoded."""

_IN_FRONT: Final = (b"iCCP", b"gAMA", b"sRGB", b"pHYs")


def chunks(metadata: Metadata) -> bytes:
    """The chunks between IHDR and IDAT that hold ``metadata``, in an order that PNG allows."""
    parts = []
    if metadata.gamma:
        parts.append(chunk(b"gAMA", struct.pack(">I", min(round(metadata.gamma * 100_000), 2**31 - 1))))
    if metadata.icc:
        parts.append(chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc)))
    elif metadata.srgb is not None:
        parts.append(chunk(b"sRGB", bytes([metadata.srgb])))
    if metadata.resolution:
        parts.append(chunk(b"pHYs", struct.pack(">IIB", *map(round, metadata.resolution), 1)))
    if metadata.exif:
        parts.append(chunk(b"eXIf", metadata.exif))
    if metadata.xmp:
        parts.append(chunk(b"iTXt", _XMP + bytes(5) + metadata.xmp))
    return b"".join(parts) + b"".join(_text_chunk(*pair) for pair in metadata.texts)


def _text_chunk(keyword: str, text: str) -> bytes:
    """A tEXt chunk where the text is Latin-1, else iTXt."""
    name = keyword.encode("latin-1")
    try:
        return chunk(b"tEXt", name + b"\0" + text.encode("latin-1"))
    except UnicodeEncodeError:
        return chunk(b"iTXt", name + bytes(5) + text.encode())
