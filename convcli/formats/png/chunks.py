"""The chunks of a PNG, and whether they form an image (ISO/IEC 15948, clauses 5 and 11).

libpng may return uninitialized memory for files that it does not accept, so everything it gets is checked
here first.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Final

from convcli.core.errors import ImageError, one_line
from convcli.core.frozen import frozen
from convcli.files.input import Window
from convcli.formats import deflate
from convcli.formats.decoding import PALETTE_NOTE
from convcli.formats.png.encoder import SIGNATURE, chunk

Bytes = bytes | Window
"""A file, whole or as it is read."""

Chunk = tuple[bytes, int, int]
"""Kind, place of the body, and its length."""

MAX_SIDE: Final = 10**6
"""Rows or columns that libpng takes, and with it most programs."""

_PALETTE: Final = 3  # a color type
_SAMPLES: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by color type
_DEPTHS: Final = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_CRITICAL: Final = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_MOST_COLORS: Final = 256
_MOST_DEFLATED: Final = 1032  # bytes that one byte of deflate can expand to
_HIDDEN: Final = "the default image is ignored: it is not part of the animation"
_PIECE: Final = 2**18  # bytes of an IDAT chunk taken at a time


@frozen
class Structure:
    """How the pixels are stored.

    Attributes:
        front: body of the IHDR chunk after the sizes.
        palette: body of the PLTE chunk, where colors are looked up.
        transparency: body of the tRNS chunk, empty without a valid one.
        moving: whether it is an animation.
        hidden: whether the image of the IDAT chunks is no frame of it.
    """

    rows: int
    columns: int
    depth: int
    color: int
    front: bytes
    palette: bytes
    transparency: bytes
    moving: bool
    hidden: bool
    notes: tuple[str, ...]

    @property
    def channels(self) -> int:
        """1 to 4: gray or colors, and alpha."""
        colors = 3 if self.color == _PALETTE else _SAMPLES[self.color]
        return colors + bool(self.transparency)

    @property
    def is_plain(self) -> bool:
        """Whether pixels are stored as 8 or 16 bits per channel, not interlaced."""
        stored = self.depth >= 8 and self.color != _PALETTE and not self.transparency
        return stored and not (self.hidden or any(self.front[2:])) and self.columns <= MAX_SIDE

    def file(self, bodies: Iterable[bytes]) -> bytes:
        """A file of only the image, with these bodies of IDAT chunks."""
        parts = [SIGNATURE, chunk(b"IHDR", struct.pack(">II", self.columns, self.rows), self.front)]
        parts += [chunk(b"PLTE", self.palette)] if self.palette else []
        parts += [chunk(b"tRNS", self.transparency)] if self.transparency else []
        parts += [chunk(b"IDAT", body) for body in bodies]
        return b"".join((*parts, chunk(b"IEND")))

    def check_room(self, size: int) -> None:
        """Refuse sizes that ``size`` bytes cannot expand to, before memory is allocated."""
        each = self.columns * _SAMPLES[self.color] * self.depth
        shape = f"{self.columns}×{self.rows}"
        if self.rows * ((each + 7) // 8 + 1) > size * _MOST_DEFLATED:
            raise ImageError(f"damaged png: {size} bytes cannot hold {shape} pixels")
        if not self.is_plain and max(self.rows, self.columns) > MAX_SIDE:
            raise ImageError(f"png of {shape} pixels; allowed: up to {MAX_SIDE} a side")


def walk(data: Bytes) -> Iterator[Chunk]:
    """Every chunk before ``IEND``; what follows that is ignored."""
    place = len(SIGNATURE)
    while place + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        if kind == b"IEND":
            return
        yield kind, place + 8, length
        place += length + 12


def structure(data: Bytes, chunks: Iterable[Chunk] | None = None) -> Structure:
    """How pixels are stored, according to the chunks.

    Args:
        chunks: those of `walk`, if the caller already has them.

    Raises:
        ImageError: they are damaged, or unknown and critical.
    """
    listed = list(walk(data) if chunks is None else chunks)
    _check_order([kind for kind, _, _ in listed])
    columns, rows, depth, color, front = _front(data, listed[0])
    in_front: dict[bytes, Chunk] = {}
    for each in listed:
        if each[0] == b"IDAT":
            break
        in_front.setdefault(each[0], each)
    palette = _palette(data, in_front.get(b"PLTE")) if color == _PALETTE else b""
    transparency, notes = b"", tuple[str, ...]()
    if b"tRNS" in in_front and color in (0, 2, _PALETTE):
        transparency, notes = _transparency(data, in_front[b"tRNS"], color, len(palette) // 3)
    moving, hidden = b"acTL" in in_front, b"fcTL" not in in_front
    notes += ((PALETTE_NOTE,) if palette else ()) + ((_HIDDEN,) if moving and hidden else ())
    notes += _ending(data, listed[-1])
    sizes = rows, columns, depth, color
    return Structure(*sizes, front, palette, transparency, moving, moving and hidden, notes)


def _check_order(kinds: list[bytes]) -> None:
    """Refuse chunks whose kinds or order form no image."""
    if kinds[:1] != [b"IHDR"]:
        raise ImageError("damaged png: it does not start with an IHDR chunk")
    for kind in dict.fromkeys(kinds):
        shown = repr(one_line(kind.decode("latin-1")))
        if not kind.isalpha():
            raise ImageError(f"damaged png: {shown} is not a chunk type")
        if not kind[0] & 0x20 and kind not in _CRITICAL:
            raise ImageError(f"png with the unknown critical chunk {shown}")
    if b"IDAT" not in kinds:
        raise ImageError("damaged png: it ends before its pixels")
    first, count = kinds.index(b"IDAT"), kinds.count(b"IDAT")
    if kinds[first : first + count] != [b"IDAT"] * count:
        raise ImageError("damaged png: other chunks lie between its IDAT chunks")
    for single in ("IHDR", "PLTE"):
        if kinds.count(single.encode()) > 1:
            raise ImageError(f"damaged png: it has more than one {single} chunk")


def _front(data: Bytes, first: Chunk) -> tuple[int, int, int, int, bytes]:
    """Columns, rows, depth, color type, and the body after the sizes."""
    front = _required(data, first)
    if len(front) != 13:
        raise ImageError(f"damaged png: IHDR has {len(front)} bytes; allowed: 13")
    columns, rows, depth, color, *methods = struct.unpack(">IIBBBBB", front)
    if not columns or not rows or max(columns, rows) >= 2**31:
        raise ImageError(f"damaged png: {columns}×{rows} pixels")
    if depth not in _DEPTHS.get(color, ()):
        raise ImageError(f"damaged png: {depth} bits of color type {color}")
    if methods[:2] != [0, 0] or methods[2] > 1:
        raise ImageError(f"damaged png: compression, filter and interlace methods {methods}")
    return columns, rows, depth, color, front[8:]


def _palette(data: Bytes, entry: Chunk | None) -> bytes:
    if entry is None:
        raise ImageError("damaged png: there is no palette before the pixels")
    colors, odd = divmod(entry[2], 3)
    if odd or not 1 <= colors <= _MOST_COLORS:
        raise ImageError(f"damaged png: PLTE has {entry[2]} bytes; allowed: 3 to 768, three per color")
    return _required(data, entry)


def _transparency(data: Bytes, entry: Chunk, color: int, entries: int) -> tuple[bytes, tuple[str, ...]]:
    """The body of a tRNS chunk; an impossible one is ignored with a note, as by libpng."""
    most = entries if color == _PALETTE else 2 * _SAMPLES[color]
    least = 1 if color == _PALETTE else most
    if least <= entry[2] <= most:
        return _required(data, entry), ()
    allowed = f"{least} to {most}" if least < most else most
    return b"", (f"the tRNS chunk is left out: it has {entry[2]} bytes; allowed: {allowed}",)


def _ending(data: Bytes, last: Chunk) -> tuple[str, ...]:
    """A note if the file is truncated after its pixels."""
    _, place, length = last
    return () if data[place + length + 8 : place + length + 12] == b"IEND" else ("the file has no end",)


def body(data: Bytes, entry: Chunk) -> bytes:
    """A chunk's body.

    Raises:
        ValueError: it is truncated, or its checksum is wrong.
    """
    kind, place, length = entry
    inside, crc = data[place : place + length], data[place + length : place + length + 4]
    if len(crc) < 4:
        raise ValueError("it is truncated")
    if deflate.crc32(inside, deflate.crc32(kind)) != int.from_bytes(crc, "big"):
        raise ValueError("its checksum is wrong")
    return inside


def _required(data: Bytes, entry: Chunk) -> bytes:
    """The body of a chunk that the image needs."""
    try:
        return body(data, entry)
    except ValueError as error:
        raise ImageError(f"damaged png: {entry[0].decode()}: {error}") from error


def bodies(data: Bytes, kinds: tuple[bytes, ...]) -> Iterator[tuple[bytes, bytes]]:
    """(kind, body) of the chunks of some kinds, in the order of the file.

    Raises:
        ImageError: one of them is damaged.
    """
    for entry in walk(data):
        if entry[0] in kinds:
            yield entry[0], _required(data, entry)


def pixels(data: Bytes) -> Iterator[bytes]:
    """The bodies of the IDAT chunks, large ones in pieces and small ones joined, each checked.

    Raises:
        ImageError: one is cut off, or its checksum is wrong.
    """
    waiting: list[bytes] = []
    for kind, place, length in walk(data):
        if kind == b"IDAT":
            end, crc = place + length, deflate.crc32(kind)
            for start in range(place, min(end, len(data)), _PIECE):
                waiting.append(data[start : min(start + _PIECE, end)])
                crc = deflate.crc32(waiting[-1], crc)
                if len(waiting) * len(waiting[-1]) >= _PIECE:
                    yield b"".join(waiting)
                    waiting = []
            if end + 4 > len(data):
                raise ImageError("damaged png: it is truncated")
            if crc != int.from_bytes(data[end : end + 4], "big"):
                raise ImageError("damaged png: IDAT: its checksum is wrong")
    yield b"".join(waiting)
