"""Headers of OpenEXR files: the attributes of every part, read before any pixel is decoded.

See "OpenEXR File Layout" at https://openexr.com.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from convcli.core.dtypes import DType
from convcli.core.errors import ImageError, quoted
from convcli.core.frozen import frozen, replace

MAGIC: Final = b"\x76\x2f\x31\x01"
HEAD: Final = 2**22
"""Bytes in which all headers must lie; previews are the only long attribute."""

TILED, LONG_NAMES, DEEP, MULTI_PART = 0x200, 0x400, 0x800, 0x1000
"""Flags of the version field."""

TYPES: Final = (np.dtype(np.uint32), np.dtype(np.float16), np.dtype(np.float32))
"""Types of values by their number in a file."""

LINES: Final = {
    0: ("none", 1),
    1: ("rle", 1),
    2: ("zips", 1),
    3: ("zip", 16),
    4: ("piz", 32),
    5: ("pxr24", 16),
    6: ("b44", 32),
    7: ("b44a", 32),
    8: ("dwaa", 32),
    9: ("dwab", 256),
    10: ("htj2k256", 256),
    11: ("htj2k32", 32),
}
"""The name of each compression, and the rows of a chunk of scan lines."""

_MOST_PARTS: Final = 1024
_MOST_CHANNELS: Final = 4096
_LARGEST: Final = 2**30  # coordinates
_LONGEST_NAME: Final = 255

Attributes = Mapping[str, tuple[str, bytes]]
"""The type and the value of each attribute by its name."""


@frozen
class Channel:
    """A channel of a part.

    Attributes:
        name: such as ``R`` or ``diffuse.R``.
        dtype: of its values.
        is_full: whether it has a value for every pixel.
    """

    name: str
    dtype: DType
    is_full: bool


@frozen
class Part:
    """An image of a file.

    Attributes:
        number: of the part.
        attributes: as stored.
        channels: in the order of the file, which is alphabetical.
        compression: its number.
        window, display: first column and row, last column and row of the pixels, and of the screen.
        tile: (rows, columns) of a tile, or None for scan lines.
        table: the place of its table of chunks.
    """

    number: int
    attributes: Attributes
    channels: tuple[Channel, ...]
    compression: int
    window: tuple[int, int, int, int]
    display: tuple[int, int, int, int]
    tile: tuple[int, int] | None
    table: int = 0

    @property
    def rows(self) -> int:
        return self.window[3] - self.window[1] + 1

    @property
    def columns(self) -> int:
        return self.window[2] - self.window[0] + 1

    @property
    def block(self) -> tuple[int, int]:
        """Rows and columns of what a chunk holds."""
        return self.tile or (LINES[self.compression][1], self.columns)

    @property
    def grid(self) -> tuple[int, int]:
        """Chunks of the full resolution, down and across."""
        height, width = self.block
        return -(-self.rows // height), -(-self.columns // width)

    @property
    def pixel_bytes(self) -> int:
        """Bytes of a pixel of all channels."""
        return sum(channel.dtype.itemsize for channel in self.channels)

    @property
    def name(self) -> str:
        return self.attributes.get("name", ("", b""))[1].decode(errors="replace")


def parts(data: bytes) -> list[Part]:
    """Every part of a file, with the places of their tables.

    Args:
        data: the beginning of the file, up to `HEAD` bytes.

    Raises:
        ImageError: the headers are damaged, or have a feature that is not read.
    """
    try:
        return _parts(data)
    except (struct.error, UnicodeDecodeError, ValueError) as error:
        long = len(data) >= HEAD
        reason = f"its headers have more than {HEAD} bytes" if long else "its headers are incomplete or wrong"
        raise ImageError(f"damaged exr: {reason}") from error


def _parts(data: bytes) -> list[Part]:
    (version,) = struct.unpack_from("<I", data, 4)
    if version & 0xFF != 2:
        raise ImageError(f"exr of version {version & 0xFF}; allowed: 2")
    if version & DEEP:
        raise ImageError("exr with deep data; allowed: one value for each pixel and channel")
    several, place, found = bool(version & MULTI_PART), 8, list[Part]()
    while True:
        attributes, place = _attributes(data, place)
        if not attributes and several and found:
            break
        if len(found) == _MOST_PARTS:
            raise ImageError(f"exr with more than {_MOST_PARTS} parts")
        found.append(_part(len(found), attributes, several, bool(version & TILED)))
        if not several:
            break
    return list(_with_tables(found, place))


def _with_tables(found: list[Part], place: int) -> Iterator[Part]:
    """The parts, with the places of their tables of chunks, which follow each other."""
    for part in found:
        yield replace(part, table=place)
        stated = part.attributes.get("chunkCount")
        down, across = part.grid
        count = struct.unpack("<i", stated[1])[0] if stated else down * across
        if count < down * across:
            raise ImageError(f"damaged exr: it has {count} chunks instead of {down * across}")
        place += 8 * count


def _attributes(data: bytes, place: int) -> tuple[dict[str, tuple[str, bytes]], int]:
    """The attributes of a header, and the place behind it."""
    found: dict[str, tuple[str, bytes]] = {}
    while data[place] if place < len(data) else _end():
        name, place = _word(data, place)
        kind, place = _word(data, place)
        (size,) = struct.unpack_from("<i", data, place)
        place += 4
        if size < 0 or place + size > len(data):
            _end()
        found[name] = (kind, data[place : place + size])
        place += size
    return found, place + 1


def _end() -> bool:
    raise ValueError("the headers are not complete")


def _word(data: bytes, place: int) -> tuple[str, int]:
    """A text up to its zero, and the place behind it."""
    end = data.index(b"\0", place, place + _LONGEST_NAME + 1)
    return data[place:end].decode(), end + 1


def _part(number: int, attributes: dict[str, tuple[str, bytes]], several: bool, tiled: bool) -> Part:
    kind = attributes.get("type", ("", b""))[1].rstrip(b"\0").decode()
    if several and kind not in ("scanlineimage", "tiledimage"):
        raise ImageError(f"exr with a part of type {quoted(kind)}; allowed: scanlineimage and tiledimage")
    tiled = kind == "tiledimage" if several else tiled
    compression = attributes["compression"][1][0] if "compression" in attributes else -1
    if compression not in LINES:
        names = ", ".join(name for name, _ in LINES.values())
        raise ImageError(f"exr with compression {compression}; allowed: {names}")
    window, display = (_box(attributes, name) for name in ("dataWindow", "displayWindow"))
    tile = None
    if tiled:
        width, height, _ = struct.unpack("<IIB", attributes.get("tiles", ("", b""))[1])
        if not (0 < width <= _LARGEST and 0 < height <= _LARGEST):
            raise ImageError(f"damaged exr: tiles of {width}×{height} pixels")
        tile = (min(height, window[3] - window[1] + 1), width)
    channels = tuple(_channels(attributes.get("channels", ("", b"\0"))[1]))
    if not 0 < len(channels) <= _MOST_CHANNELS:
        raise ImageError(f"exr with {len(channels)} channels; allowed: 1 to {_MOST_CHANNELS}")
    return Part(number, attributes, channels, compression, window, display, tile)


def _box(attributes: Attributes, name: str) -> tuple[int, int, int, int]:
    left, top, right, bottom = struct.unpack("<4i", attributes.get(name, ("", b""))[1])
    inside = max(map(abs, (left, top, right, bottom))) < _LARGEST
    if not (inside and left <= right and top <= bottom):
        raise ImageError(f"damaged exr: the {name} is {left},{top} to {right},{bottom}")
    return left, top, right, bottom


def _channels(data: bytes) -> Iterator[Channel]:
    place, previous = 0, ""
    while data[place]:
        name, place = _word(data, place)
        kind, _, across, down = struct.unpack_from("<iB3xii", data, place)
        place += 16
        if not 0 <= kind < len(TYPES) or across < 1 or down < 1:
            raise ImageError(f"damaged exr: channel {quoted(name)} has type {kind}")
        if name <= previous:
            raise ImageError(f"damaged exr: channel {quoted(name)} is not in alphabetical order")
        previous = name
        yield Channel(name, TYPES[kind], across == down == 1)


def attribute(name: str, kind: str, value: bytes) -> bytes:
    """The stored form of an attribute."""
    return f"{name}\0{kind}\0".encode() + struct.pack("<i", len(value)) + value


def channel_list(channels: tuple[Channel, ...]) -> bytes:
    """The value of the attribute ``channels``."""
    entries = (
        channel.name.encode() + struct.pack("<xiB3xii", TYPES.index(channel.dtype), 0, 1, 1)
        for channel in channels
    )
    return b"".join(entries) + b"\0"
