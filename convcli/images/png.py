"""PNG: 1 to 16 bits, gray, RGB, palette, alpha; decoded by imagecodecs, exact for every type."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from itertools import takewhile
from typing import Any, Final

import numpy as np

from convcli.dtypes import Array, DType
from convcli.errors import ImageError, one_line, shown
from convcli.files import Input, Window
from convcli.images import apng, deflate
from convcli.images.base import Header, Layout, Metadata, Reader, whole
from convcli.images.metadata import LARGEST, TEXTS, described, inflated
from convcli.images.pngrows import PngRows
from convcli.images.pngwriter import SIGNATURE, PngEncoder, chunk
from convcli.values import replace

_CHANNELS: Final = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # by colour type; a palette holds RGB
_PALETTE: Final = 3  # a colour type
_PIECE: Final = 2**18  # bytes of an IDAT chunk that are taken at once

Bytes = bytes | Window
"""A file, whole or as it is read."""

_XMP: Final = b"XML:com.adobe.xmp"
_TEXT_COST: Final = 100  # bytes that a text counts for beside its own: there may be many
_MOST_NOTES: Final = 10
_ANIMATION: Final = (b"acTL", b"fcTL", b"IDAT", b"fdAT")
_MOST_DEFLATED: Final = 1032  # bytes that one byte of deflate can stand for


class Png:
    """Portable Network Graphics (ISO/IEC 15948)."""

    name = "png"
    suffixes: tuple[str, ...] = (".png", ".apng")

    def sniff(self, head: bytes) -> bool:
        return head.startswith(SIGNATURE)

    def open(self, source: Input) -> list[tuple[Header, Reader | None]]:
        return [(self.header(source.window()), None)]

    def header(self, data: Bytes) -> Header:
        kind, place, length = next(_chunks(data), (b"", 0, 0))
        body = data[place : place + length]
        if kind != b"IHDR" or len(body) != 13:
            raise ImageError("damaged png: it does not start with an IHDR chunk")
        columns, rows, depth, colour = struct.unpack(">IIBB", body[:10])
        if not columns or not rows or colour not in _CHANNELS:
            raise ImageError(f"damaged png: {columns}×{rows} pixels of colour type {colour}")
        in_front = {kind for kind, _, _ in takewhile(lambda c: c[0] != b"IDAT", _chunks(data))}
        channels = _CHANNELS[colour] + (b"tRNS" in in_front and colour in (0, 2, 3))
        kept = np.dtype(np.uint16 if depth == 16 else np.uint8)
        metadata, notes = _metadata(data)
        frames = 1
        if b"acTL" in in_front:
            parts, plays = apng.parts(_bodies(data, _ANIMATION), rows, columns)
            if len(parts) > 1:
                frames, metadata = len(parts), replace(metadata, timing=apng.timing(parts, plays))
        return described(Header(self.name, rows, columns, channels, kept, frames, notes=notes), metadata)

    def decode(self, data: bytes, header: Header) -> Array:
        if header.frames > 1:
            return next(self.frames(data, header))
        return self._decoded(data, header)

    def frames(self, data: bytes, header: Header) -> Iterator[Array]:
        """Each frame of an animation as it is shown."""
        found, _ = apng.parts(_bodies(data, _ANIMATION), header.rows, header.columns)
        head, shared = data[24:29], b"".join(chunk(*each) for each in _bodies(data, (b"PLTE", b"tRNS")))

        def decode(part: apng.Part) -> Array:
            rows, columns = part.shape
            single = SIGNATURE + chunk(b"IHDR", struct.pack(">II", columns, rows) + head) + shared
            single += b"".join(chunk(b"IDAT", body) for body in part.bodies) + chunk(b"IEND")
            return self._decoded(single, replace(header, rows=rows, columns=columns))

        blank = np.zeros((header.rows, header.columns, header.channels), header.dtype)
        return apng.composed(found, blank, decode)

    def progressive(self, source: Input, header: Header) -> Reader | None:
        data = source.window()
        if not _is_plain(data):
            return None
        _check_room(data, header)
        return PngRows(_pixels(data), header, data[16:29])

    def _decoded(self, data: bytes, header: Header) -> Array:
        import imagecodecs

        _check_room(data, header)
        pixels: Array = imagecodecs.png_decode(data)
        return pixels.reshape(header.rows, header.columns, header.channels)

    def holds(self, dtype: DType, channels: int, frames: int = 1) -> bool:
        return dtype in (np.uint8, np.uint16)

    def carries(self, channels: int) -> Mapping[str, int]:
        said = "icc", "exif", "xmp", "resolution", "gamma", "srgb", "timing", TEXTS
        return dict.fromkeys(said, LARGEST)

    def encode(self, pixels: Array, metadata: Metadata) -> bytes:
        return whole(self.encoder(Layout.of(pixels), metadata, len(pixels)), pixels)

    def encoder(self, layout: Layout, metadata: Metadata, height: int) -> PngEncoder:
        return PngEncoder(layout, chunks(metadata), metadata.timing)


def _chunks(data: Bytes) -> Iterator[tuple[bytes, int, int]]:
    """(kind, place of its body, the body's length) of every chunk but the last, ``IEND``."""
    place = len(SIGNATURE)
    while place + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        if kind == b"IEND":
            return
        yield kind, place + 8, length
        place += length + 12


def _pixels(data: Bytes) -> Iterator[bytes]:
    """The bodies of the IDAT chunks, large ones in pieces and small ones together, each found sound.

    Raises:
        ImageError: a check sum is wrong.
    """
    kept: list[bytes] = []
    for kind, place, length in _chunks(data):
        if kind == b"IDAT":
            end, crc = place + length, deflate.crc32(kind)
            for start in range(place, end, _PIECE):
                kept.append(data[start : min(start + _PIECE, end)])
                crc = deflate.crc32(kept[-1], crc)
                if len(kept) * len(kept[-1]) >= _PIECE:
                    yield b"".join(kept)
                    kept = []
            if crc != int.from_bytes(data[end : end + 4], "big"):
                raise ImageError("damaged png: IDAT: its check sum is wrong")
    yield b"".join(kept)


def _check_room(data: Bytes, header: Header) -> None:
    """Refuse a size that so many bytes cannot be inflated to, before memory is taken for it."""
    depth, colour = data[24:26]
    samples = 1 if colour == _PALETTE else _CHANNELS[colour]
    needed = header.rows * ((header.columns * samples * depth + 7) // 8 + 1)
    if needed > len(data) * _MOST_DEFLATED:
        raise ImageError(f"damaged png: {len(data)} bytes cannot hold {header.columns}×{header.rows} pixels")


def _is_plain(data: Bytes) -> bool:
    """Whether pixels stand as they are, 8 or 16 bits each, from the top down, in chunks in good order.

    Whatever is odd is left to libpng, which knows what to make of it.
    """
    depth, colour, *methods = data[24:29]
    kinds = [kind for kind, _, _ in _chunks(data)]
    pixels = [index for index, kind in enumerate(kinds) if kind == b"IDAT"]
    together = bool(pixels) and pixels == list(range(pixels[0], pixels[-1] + 1))
    critical = {kind for kind in kinds[1:] if not kind[0] & 0x20}
    crc = deflate.crc32(data[12:29]) == int.from_bytes(data[29:33], "big")
    known = b"tRNS" not in kinds and critical <= {b"IDAT", b"PLTE"} and data[-8:-4] == b"IEND"
    known = known and all(kind.isalpha() for kind in kinds)
    return depth >= 8 and colour != _PALETTE and not any(methods) and together and crc and known


def _bodies(data: Bytes, kinds: tuple[bytes, ...]) -> Iterator[tuple[bytes, bytes]]:
    """(kind, body) of the chunks of some kinds, in the order of the file.

    Raises:
        ImageError: one of them is damaged.
    """
    for kind, place, length in _chunks(data):
        if kind in kinds:
            try:
                yield kind, _body(data, kind, place, length)
            except ValueError as error:
                raise ImageError(f"damaged png: {kind.decode()}: {error}") from error


def _metadata(data: Bytes) -> tuple[Metadata, tuple[str, ...]]:
    """What the chunks before and behind the pixels say, unchecked, and notes of what is left out.

    The first of a kind counts, and one that says how to show the pixels counts only in front of them.
    """
    found: dict[str, Any] = {}
    texts: list[tuple[str, str]] = []
    notes, room, behind = dict[str, None](), LARGEST, False
    for kind, place, length in _chunks(data):
        behind |= kind == b"IDAT"
        known = kind in _READERS
        if kind in _PIXELS or (behind and kind in _IN_FRONT) or (length > LARGEST and not known):
            continue
        try:
            name, value = _READERS.get(kind, _unknown)(_body(data, kind, place, length), room)
        except (ValueError, struct.error) as error:
            room //= 2  # so that many texts that inflate without end cost no more than one
            if len(notes) < _MOST_NOTES:
                notes[f"the {one_line(kind.decode('latin-1'))} chunk is left out: {error}"] = None
            continue
        if name == TEXTS:
            texts.append(value)
            room -= min(room, sum(map(len, value)) + _TEXT_COST)
        elif name and value is not None:
            found.setdefault(name, value)
    return Metadata(**found, texts=tuple(texts)), tuple(notes)


def _body(data: Bytes, kind: bytes, place: int, length: int) -> bytes:
    """A chunk's body, whole and as its check sum says."""
    body, crc = data[place : place + length], data[place + length : place + length + 4]
    if deflate.crc32(body, deflate.crc32(kind)) != int.from_bytes(crc, "big"):
        raise ValueError("its check sum is wrong")
    return body


Found = tuple[str, Any]
"""A field of `Metadata` and its value."""


def _profile(body: bytes, room: int) -> Found:
    _, rest = _split(body)
    return "icc", inflated(rest[1:])


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
    return _said(keyword, text, "latin-1", room)


def _deflated_text(body: bytes, room: int) -> Found:
    keyword, rest = _split(body)
    return _said(keyword, inflated(rest[1:], room), "latin-1", room)


def _international_text(body: bytes, room: int) -> Found:
    keyword, rest = _split(body)
    deflated, (_, text) = rest[:1] == b"\1", _split(_split(rest[2:])[1])
    if keyword == _XMP:
        return "xmp", inflated(text) if deflated else text
    return _said(keyword, inflated(text, room) if deflated else text, "utf-8", room)


def _said(keyword: bytes, text: bytes, encoding: str, room: int) -> Found:
    """One text; raw profiles are left out, because their orientation would be out of date."""
    words = keyword.decode("latin-1")
    if not 1 <= len(words) <= 79 or not words.isprintable():
        raise ValueError(f"its keyword is {shown(words)}")
    if words.startswith("Raw profile"):
        raise ValueError(f"{shown(words)} is a block in a form of its own")
    if len(text) + _TEXT_COST > room or b"\0" in text:
        raise ValueError("its text has zeros, or there is too much text")
    return TEXTS, (words, text.decode(encoding))


def _split(body: bytes) -> tuple[bytes, bytes]:
    """What stands before the first zero, and behind it."""
    before, zero, behind = body.partition(b"\0")
    if not zero:
        raise ValueError("it ends too early")
    return before, behind


def _unknown(body: bytes, room: int) -> Found:
    """What means nothing here; that it is whole was seen."""
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
"""Chunks that are looked at where pixels are decoded."""

_IN_FRONT: Final = (b"iCCP", b"gAMA", b"sRGB", b"pHYs")


def chunks(metadata: Metadata) -> bytes:
    """The chunks between IHDR and IDAT that say what ``metadata`` does, in an order that PNG allows."""
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
