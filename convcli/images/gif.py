"""GIF: frames read by imageio as they are shown; gray written as it is, colours by 256 of them a frame."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

import numpy as np

from convcli.dtypes import Array, DType
from convcli.errors import ImageError
from convcli.images.base import Header, Metadata, Timing
from convcli.images.decoding import ANY_SIZE, MODES, saved, to_pillow
from convcli.images.metadata import COMMENT, LARGEST, comment, described

_RATE: Final = 100  # ticks a second
_EXTENSION, _PICTURE, _END = 0x21, 0x2C, 0x3B
_CONTROL, _COMMENT, _APPLICATION = 0xF9, 0xFE, 0xFF  # kinds of extensions
_LEFT, _CLEARED, _RESTORED = 1, 2, 3  # what becomes of a frame's place before the next one
_LOOPS: Final = (b"NETSCAPE2.0", b"ANIMEXTS1.0")


@dataclass(slots=True)
class _Facts:
    """What the blocks of a file say.

    Attributes:
        gray: whether every palette has grays only.
        clear: whether a pixel of any frame may show nothing.
        bare: whether there are places where nothing was drawn yet, or was taken away again.
        loops: how often the frames are shown, 0 for without end.
    """

    columns: int
    rows: int
    gray: bool = True
    clear: bool = False
    loops: int = 1
    durations: list[Fraction] = field(default_factory=list)
    comment: bytes = b""
    delay: Fraction = Fraction(0)
    dispose: int = 0
    see_through: bool = False
    bare: bool = True


class Gif:
    """Graphics Interchange Format (89a)."""

    name = "gif"
    suffixes: tuple[str, ...] = (".gif",)
    decoding = 8
    encoding = 12

    def sniff(self, head: bytes) -> bool:
        return head[:6] in (b"GIF87a", b"GIF89a")

    def header(self, data: bytes) -> Header:
        facts = _facts(data)
        frames = len(facts.durations)
        if not frames or not facts.rows or not facts.columns:
            raise ImageError(f"damaged gif: {frames} frames of {facts.columns}×{facts.rows} pixels")
        channels = 4 if facts.clear else 1 if facts.gray else 3
        timing = Timing(tuple(facts.durations), facts.loops) if frames > 1 else None
        found = Metadata(texts=comment(facts.comment), timing=timing)
        kind = np.dtype(np.uint8)
        return described(Header(self.name, facts.rows, facts.columns, channels, kind, frames), found)

    def decode(self, data: bytes, header: Header) -> Array:
        return next(self.frames(data, header))

    def frames(self, data: bytes, header: Header) -> Iterator[Array]:
        """Each frame as it is shown."""
        import imageio.v3 as iio

        shape = header.rows, header.columns, header.channels
        found = iio.imiter(io.BytesIO(data), plugin="pillow", mode=MODES[header.channels])
        while True:
            with ANY_SIZE:
                pixels = next(found, None)
            if pixels is None:
                return
            yield pixels.reshape(shape)

    def holds(self, dtype: DType, channels: int, frames: int = 1) -> bool:
        return dtype == np.uint8 and channels == 1

    def loses(self, dtype: DType, channels: int, frames: int) -> str:
        if dtype != np.uint8 or channels in (1, 2):
            return ""
        return "a GIF has 256 colours a frame: the nearest were taken" + (
            ", and pixels are seen or not" if channels == 4 else ""
        )

    def carries(self, channels: int) -> Mapping[str, int]:
        return {COMMENT: LARGEST, "timing": 0}

    def encode(self, pixels: Array, metadata: Metadata) -> bytes:
        return saved(to_pillow(pixels), "GIF", **_options(metadata))

    def animate(self, pictures: Array, metadata: Metadata) -> bytes:
        first, *others = map(to_pillow, pictures)
        timing = metadata.timing or Timing.steady(len(pictures))
        options: dict[str, Any] = {"duration": [10 * tick for tick in timing.ticks(_RATE)]}
        opaque = pictures.shape[3] == 3  # then Pillow can write what has changed alone
        options |= {"disposal": _LEFT, "optimize": True} if opaque else {"disposal": _CLEARED}
        if timing.loops != 1:
            options["loop"] = max(timing.loops - 1, 0)
        options = {**_options(metadata), **options}
        return saved(first, "GIF", save_all=True, append_images=others, **options)


def _options(metadata: Metadata) -> dict[str, Any]:
    return {"comment": dict(metadata.texts).get(COMMENT, "").encode(), "optimize": False}


def _facts(data: bytes) -> _Facts:
    """Walk over the blocks of a file (GIF89a specification, 17 to 27); what is cut off the decoder finds."""
    if len(data) < 13:
        raise ImageError("damaged gif: it ends too early")
    facts = _Facts(int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little"))
    place = 13 + _palette(data, 13, data[10], facts)
    while place + 1 < len(data) and data[place] != _END:
        if data[place] == _EXTENSION:
            place = _extension(data, place + 2, data[place + 1], facts)
        elif data[place] == _PICTURE and place + 10 < len(data):
            place = _picture(data, place + 1, facts)
        else:
            raise ImageError(f"damaged gif: a block of kind {data[place]:#04x}; allowed: 0x21, 0x2c, 0x3b")
    if place >= len(data) or data[place] != _END:
        raise ImageError("damaged gif: it ends too early")
    return facts


def _palette(data: bytes, place: int, flags: int, facts: _Facts) -> int:
    """Look at the palette that the flags announce; its bytes."""
    size = 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0
    colours = data[place : place + size]
    facts.gray &= colours[::3] == colours[1::3] == colours[2::3]
    return size


def _extension(data: bytes, place: int, kind: int, facts: _Facts) -> int:
    """Note what an extension says; where the next block begins."""
    blocks, end = _blocks(data, place)
    if kind == _CONTROL and blocks and len(blocks[0]) >= 4:
        facts.see_through, facts.dispose = bool(blocks[0][0] & 1), blocks[0][0] >> 2 & 7
        facts.delay = Fraction(int.from_bytes(blocks[0][1:3], "little"), _RATE)
    elif kind == _COMMENT:
        facts.comment = facts.comment or b"".join(blocks)
    elif kind == _APPLICATION and len(blocks) > 1 and blocks[0] in _LOOPS and len(blocks[1]) >= 3:
        more = int.from_bytes(blocks[1][1:3], "little")
        facts.loops = more + 1 if more else 0
    return end


def _picture(data: bytes, place: int, facts: _Facts) -> int:
    """Note a frame; where the next block begins."""
    left, top, width, height = (
        int.from_bytes(data[at : at + 2], "little") for at in range(place, place + 8, 2)
    )
    columns, rows = max(facts.columns, left + width), max(facts.rows, top + height)
    if not facts.durations:
        facts.columns, facts.rows = columns, rows  # a screen is as large as its first frame wants it
    elif (columns, rows) != (facts.columns, facts.rows):
        screen = f"{facts.columns}×{facts.rows}"
        raise ImageError(f"damaged gif: a frame of {width}×{height} at {left}, {top} of {screen}")
    covers = (left, top, width, height) == (0, 0, facts.columns, facts.rows) and not facts.see_through
    facts.clear |= facts.bare and not covers
    if facts.dispose != _RESTORED:
        facts.bare = facts.dispose == _CLEARED or (facts.bare and not covers)
    facts.durations.append(facts.delay)
    facts.delay, facts.dispose, facts.see_through = Fraction(0), 0, False
    return _blocks(data, place + 10 + _palette(data, place + 9, data[place + 8], facts))[1]


def _blocks(data: bytes, place: int) -> tuple[list[bytes], int]:
    """Sub-blocks from ``place`` on, up to the empty one, and where that ends."""
    found = []
    while place < len(data) and data[place]:
        found.append(data[place + 1 : place + 1 + data[place]])
        place += 1 + data[place]
    return found, place + 1
