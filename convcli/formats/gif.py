"""GIF: frames decoded by Pillow and composed here; written as gray, or with 256 colors per frame.

Pillow decodes the LZW data but does not compose frames: it fills what no frame drew or what a frame cleared
with an opaque color, where browsers, libvips, ImageMagick and FFmpeg show nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.errors import ImageError
from convcli.core.frozen import frozen
from convcli.formats.base import Format
from convcli.formats.decoding import PALETTE_NOTE, save_with_pillow, to_pillow
from convcli.formats.header import Header, Metadata, Timing
from convcli.formats.metadata import COMMENT, MAX_BLOCK_BYTES, comment_texts, with_metadata

if TYPE_CHECKING:
    from PIL.Image import Image

_RATE: Final = 100  # ticks per second
_EXTENSION, _IMAGE, _END, _PADDING = 0x21, 0x2C, 0x3B, 0x00
_CONTROL, _COMMENT, _APPLICATION = 0xF9, 0xFE, 0xFF  # kinds of extensions
_LEFT, _CLEARED, _RESTORED = 1, 2, (3, 4)  # disposal methods; some encoders write 4 for 3
_LOOPS: Final = (b"NETSCAPE2.0", b"ANIMEXTS1.0")
_XMP, _ICC = b"XMP DataXMP", b"ICCRGBG1012"
_XMP_TRAILER: Final = b"\x01\xff\xfe\xfd"
"""Begins 258 bytes that lead any reader of sub-blocks to the end of a packet (XMP specification, part 3)."""

_MOST_PIXELS: Final = 2731  # per byte: a code of 12 bits for the longest string of a full table
_CHECKED: Final = 2**26  # pixels of a frame of any file size
_DRAWN: Final = 2**18  # pixels drawn at a time
_SHORT: Final = "the first frame has fewer pixels than its size; the missing ones are transparent"
_NO_END: Final = "the file has no end"
_TOO_EARLY: Final = "damaged gif: it is truncated"


@frozen(eq=False)
class _Part:
    """One frame: its place on the screen, how it is drawn and disposed of, and its coded indices.

    Attributes:
        left, top, columns, rows: its place; it is cropped to the screen.
        palette: bytes of red, green and blue; empty if the file has none.
        hole: the transparent index, or None.
        data: the sub-blocks of LZW data, each preceded by its length.
    """

    left: int
    top: int
    columns: int
    rows: int
    palette: bytes
    hole: int | None
    dispose: int
    interlaced: bool
    bits: int
    data: bytes

    def covers(self, columns: int, rows: int) -> bool:
        """Whether the frame covers the whole screen."""
        return not (self.left or self.top) and self.columns >= columns and self.rows >= rows

    def indices(self) -> tuple[Array, Array | None]:
        """The indices, (rows, columns), and which of them are present, or None for all.

        Raises:
            ImageError: the data are damaged, or too short for the frame.
        """
        image, whole = self._decoded(0)
        if whole:
            return np.asarray(image), None
        indices = np.asarray(image)
        return indices, indices == np.asarray(self._decoded(255)[0])

    def is_short(self) -> bool:
        """Whether there are fewer indices than pixels."""
        return self.columns * self.rows <= _CHECKED and not self._decoded(0)[1]

    def _decoded(self, ground: int) -> tuple[Image, bool]:
        from PIL import Image

        size = self.columns, self.rows
        if _CHECKED < self.columns * self.rows > len(self.data) * _MOST_PIXELS:
            raise ImageError(
                f"damaged gif: {len(self.data)} bytes cannot hold a frame of {size[0]}×{size[1]} pixels"
            )
        image = Image.new("L", size, ground)
        try:
            image.frombytes(self.data, "gif", self.bits, self.interlaced, -1)
        except ValueError as error:
            if "not enough" not in str(error):
                raise ImageError("damaged gif: the data of a frame cannot be decoded") from error
            return image, False
        return image, True

    def table(self) -> Array:
        """The RGBA color of each index, (256, 4); missing ones are black; grays without a palette."""
        table: Array = np.zeros((256, 4), np.uint8)
        if self.palette:
            table[: len(self.palette) // 3, :3] = np.frombuffer(self.palette, np.uint8).reshape(-1, 3)
        else:
            table[:, :3] = np.arange(256)[:, None]
        table[:, 3] = 255
        if self.hole is not None:
            table[self.hole, 3] = 0
        return table


@dataclass(slots=True)
class _Facts:
    """What the blocks of a file contain.

    Attributes:
        clear: whether a pixel of any frame may be transparent.
        bare: whether there are areas where nothing is drawn.
        loops: how often the frames are played; 0 means forever.
    """

    columns: int
    rows: int
    palette: bytes = b""
    clear: bool = False
    loops: int = 1
    parts: list[_Part] = field(default_factory=list)
    durations: list[Fraction] = field(default_factory=list)
    comment: bytes = b""
    icc: bytes | None = None
    xmp: bytes | None = None
    notes: list[str] = field(default_factory=list)
    delay: Fraction = Fraction(0)
    dispose: int = 0
    hole: int | None = None
    bare: bool = True

    @property
    def gray(self) -> bool:
        """Whether every palette has grays only."""
        palettes = {part.palette for part in self.parts}
        return all(each[::3] == each[1::3] == each[2::3] for each in (self.palette, *palettes))


class Gif(Format):
    """Graphics Interchange Format (89a)."""

    max_side = 65_535
    max_pixels = 65_535**2
    max_colors = 256
    decoder_overhead = 9
    encoder_overhead = 20
    animation_overhead = 9

    def sniff(self, head: bytes) -> bool:
        return head[:6] in (b"GIF87a", b"GIF89a")

    def header(self, data: bytes) -> Header:
        facts = _facts(data)
        frames = len(facts.parts)
        if not frames or not facts.rows or not facts.columns:
            raise ImageError(f"damaged gif: {frames} frames of {facts.columns}×{facts.rows} pixels")
        channels = 4 if facts.clear else 1 if facts.gray else 3
        timing = Timing(tuple(facts.durations), facts.loops) if frames > 1 else None
        metadata = Metadata(icc=facts.icc, xmp=facts.xmp, texts=comment_texts(facts.comment), timing=timing)
        kind = np.dtype(np.uint8)
        notes = (() if facts.gray else (PALETTE_NOTE,)) + tuple(facts.notes)
        header = Header(self.name, facts.rows, facts.columns, channels, kind, frames, notes=notes)
        return with_metadata(header, metadata)

    def decode(self, data: bytes, header: Header) -> Array:
        return next(self.frames(data, header))

    def frames(self, data: bytes, header: Header) -> Iterator[Array]:
        """Each frame as displayed, on a screen that is transparent where nothing was drawn."""
        picture: Array = np.zeros((header.rows, header.columns, header.channels), np.uint8)
        for number, part in enumerate(_facts(data).parts):
            before = picture.copy() if part.dispose in _RESTORED and number else None
            place = picture[part.top : part.top + part.rows, part.left : part.left + part.columns]
            _draw(part, place, under=not number)
            yield picture.copy() if header.frames > 1 else picture
            if before is not None:
                picture = before
            elif part.dispose in (_CLEARED, *_RESTORED):
                place[...] = 0

    def holds(self, dtype: DType, channels: int, frames: int = 1) -> bool:
        return dtype == np.uint8 and channels == 1

    def loss(self, dtype: DType, channels: int, frames: int) -> str:
        if dtype != np.uint8 or channels in (1, 2):
            return ""
        return "GIF has 256 colors per frame: each color was replaced by the nearest one" + (
            ", and pixels are either opaque or transparent" if channels == 4 else ""
        )

    def metadata_limits(self, channels: int) -> Mapping[str, int]:
        return {COMMENT: MAX_BLOCK_BYTES, "timing": 0}

    def encode(self, pixels: Array, metadata: Metadata) -> bytes:
        return save_with_pillow(to_pillow(pixels), "GIF", **_options(metadata))

    def encode_frames(self, frames: Array, metadata: Metadata) -> bytes:
        first, *others = map(to_pillow, frames)
        timing = metadata.timing or Timing.steady(len(frames))
        options: dict[str, Any] = {"duration": [10 * tick for tick in timing.ticks(_RATE)]}
        opaque = frames.shape[3] == 3  # then Pillow can write what has changed alone
        options |= {"disposal": _LEFT, "optimize": True} if opaque else {"disposal": _CLEARED}
        if timing.loops != 1:
            options["loop"] = max(timing.loops - 1, 0)
        options = {**_options(metadata), **options}
        return save_with_pillow(first, "GIF", save_all=True, append_images=others, **options)


def _options(metadata: Metadata) -> dict[str, Any]:
    return {"comment": dict(metadata.texts).get(COMMENT, "").encode(), "optimize": False}


def _draw(part: _Part, place: Array, under: bool) -> None:
    """Draw the part of a frame that is on the screen, some rows at a time.

    Args:
        under: whether the colors of transparent pixels are kept, as in the first frame.
    """
    (rows, columns, channels), table = place.shape, part.table()
    if not rows or not columns:
        return
    indices, there = part.indices()
    if there is not None and channels < 4 and not there[:rows, :columns].all() and under:
        raise ImageError("damaged gif: the first frame has fewer pixels than its size")
    step = max(_DRAWN // columns, 1)
    for top in range(0, rows, step):
        some = slice(top, min(top + step, rows))
        part_indices = indices[some, :columns]
        seen: Array = np.ones_like(part_indices, bool) if there is None else there[some, :columns]
        if part.hole is not None and not under:
            seen = seen & (part_indices != part.hole)
        np.copyto(place[some], table[part_indices][..., :channels], where=seen[..., None])


def _facts(data: bytes) -> _Facts:
    """Read the blocks of a file (GIF89a specification, 17 to 27).

    Raises:
        ImageError: a block is truncated, or of an unknown kind.
    """
    if len(data) < 13:
        raise ImageError(_TOO_EARLY)
    facts = _Facts(int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little"))
    facts.palette = _palette(data, 13, data[10])
    place = 13 + len(facts.palette)
    while place < len(data) and data[place] != _END:
        if data[place] == _PADDING:
            place += 1
        elif data[place] == _EXTENSION:
            place = _extension(data, place + 1, facts)
        elif data[place] == _IMAGE:
            place = _frame(data, place + 1, facts)
        else:
            raise ImageError(f"damaged gif: a block of type {data[place]:#04x}; allowed: 0x21, 0x2c, 0x3b")
    if place > len(data) or (not facts.parts and place == len(data)):
        raise ImageError(_TOO_EARLY)
    if place == len(data):
        facts.notes.append(_NO_END)
    return facts


def _palette(data: bytes, place: int, flags: int) -> bytes:
    """The palette that the flags announce."""
    size = 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0
    if place + size > len(data):
        raise ImageError(_TOO_EARLY)
    return data[place : place + size]


def _extension(data: bytes, place: int, facts: _Facts) -> int:
    """Read an extension; return the offset of the next block."""
    blocks, end = _blocks(data, place + 1)
    kind = data[place]
    if kind == _CONTROL and blocks and len(blocks[0]) >= 4:
        flags, low, high, index = blocks[0][:4]
        facts.hole, facts.dispose = (index if flags & 1 else None), flags >> 2 & 7
        facts.delay = Fraction(low + 256 * high, _RATE)
    elif kind == _COMMENT:
        facts.comment = facts.comment or b"".join(blocks)
    elif kind == _APPLICATION and len(blocks) > 1:
        _application(blocks, data[place + 2 + len(blocks[0]) : end], facts)
    return end


def _application(blocks: list[bytes], stored: bytes, facts: _Facts) -> None:
    """Read an application extension; ``stored`` is its data with the lengths of the sub-blocks."""
    name, first, *_ = blocks
    if name in _LOOPS and len(first) >= 3:
        more = int.from_bytes(first[1:3], "little")
        facts.loops = more + 1 if more else 0
    elif name == _XMP and not facts.xmp:
        packet, trailer, _ = stored.rpartition(_XMP_TRAILER)
        facts.xmp = packet if trailer else b"".join(blocks[1:])
    elif name == _ICC:
        facts.icc = facts.icc or b"".join(blocks[1:])


def _frame(data: bytes, place: int, facts: _Facts) -> int:
    """Read a frame; return the offset of the next block."""
    if place + 10 > len(data):
        raise ImageError(_TOO_EARLY)
    left, top, columns, rows, flags = struct.unpack_from("<HHHHB", data, place)
    palette = _palette(data, place + 9, flags)
    begin = place + 10 + len(palette)
    _, end = _blocks(data, begin)
    if not facts.columns or not facts.rows:  # a screen without a size is as large as its first frame
        facts.columns, facts.rows = left + columns, top + rows
    place_and_size = left, top, columns, rows
    how = facts.hole, facts.dispose, bool(flags & 0x40), data[begin - 1]
    part = _Part(*place_and_size, palette or facts.palette, *how, data[begin : end - 1])
    _follow(part, facts)
    facts.parts.append(part)
    facts.durations.append(facts.delay)
    facts.delay, facts.dispose, facts.hole = Fraction(0), 0, None
    return end


def _follow(part: _Part, facts: _Facts) -> None:
    """Track whether areas are transparent while a frame is displayed, and after it."""
    covers = part.covers(facts.columns, facts.rows) and part.hole is None
    if facts.bare and covers and not facts.clear and part.is_short():
        covers = False
        facts.notes.append(_SHORT)
    facts.clear |= facts.bare and not covers
    if part.dispose not in _RESTORED:
        facts.bare = part.dispose == _CLEARED or (facts.bare and not covers)


def _blocks(data: bytes, place: int) -> tuple[list[bytes], int]:
    """The sub-blocks from ``place`` up to the empty one, and the offset after it.

    Raises:
        ImageError: the file ends before.
    """
    blocks = []
    while place < len(data) and data[place]:
        blocks.append(data[place + 1 : place + 1 + data[place]])
        place += 1 + data[place]
    if place >= len(data):
        raise ImageError(_TOO_EARLY)
    return blocks, place + 1
