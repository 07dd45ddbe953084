"""Chunks of OpenEXR files: found by their tables, and decoded a few at a time.

The library decodes whole files, every part and every level of them. So it is given small ones: a header for
some rows of a single part, and the chunks of those rows as they are stored.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import ImageError
from convcli.files.input import Input
from convcli.formats.exr.headers import LONG_NAMES, MAGIC, TILED, Part, attribute
from convcli.formats.exr.library import decoded

_LARGEST: Final = 2**30  # bytes of a decoded chunk
_PLAUSIBLE: Final = 10**4  # bytes that a byte of a chunk may decode to
_ANY: Final = 2**26  # bytes that a chunk of any size may decode to


def check_chunks(part: Part) -> None:
    """Refuse chunks that are too large to be decoded.

    Raises:
        ImageError: they are.
    """
    height, width = part.block
    size = height * min(width, part.columns) * part.pixel_bytes
    if size > _LARGEST:
        raise ImageError(f"exr with chunks of {size} bytes; allowed: {_LARGEST}")


def band(source: Input, part: Part, number: int, names: Sequence[str], several: bool) -> list[Array]:
    """The rows of a band: those of a row of tiles, or of a chunk of scan lines.

    Args:
        number: of the band, from the top.
        names: of the channels.
        several: whether the file has several parts, so that chunks say which one they belong to.

    Returns:
        An array (rows, columns) of each channel, in the order of ``names``.

    Raises:
        ImageError: a chunk is damaged or missing.
    """
    height, _ = part.block
    across = part.grid[1]
    top = part.window[1] + number * height
    bottom = min(top + height - 1, part.window[3])
    stored = _stored(source, part, range(number * across, (number + 1) * across), several)
    head = _head(part, top, bottom)
    if part.tile is None:
        bodies = [struct.pack("<i", top) + data for data in stored]
    else:
        bodies = [struct.pack("<4i", column, 0, 0, 0) + data for column, data in enumerate(stored)]
    begin = len(head) + 8 * len(bodies)
    places = list(accumulate(map(len, bodies), initial=begin))[:-1]
    table = np.array(places, "<u8").tobytes()
    pixels = decoded(b"".join((head, table, *bodies)))
    found = [pixels[name] for name in names]
    shape = (bottom - top + 1, part.columns)
    if any(plane.shape != shape for plane in found):
        raise ImageError(f"damaged exr: rows of {found[0].shape} pixels instead of {shape}")
    return found


def _stored(source: Input, part: Part, wanted: range, several: bool) -> list[bytes]:
    """The size and the data of chunks by their numbers, as stored."""
    table = source.part(part.table + 8 * wanted.start, 8 * len(wanted))
    if len(table) < 8 * len(wanted):
        raise ImageError("damaged exr: it is truncated")
    places = np.frombuffer(table, "<u8").tolist()
    skipped = (4 if several else 0) + (16 if part.tile else 4)
    if min(places) < part.table or max(places) + skipped + 4 > source.size:
        raise ImageError("damaged exr: it is truncated, or a chunk is missing")
    heads = source.parts([(place, skipped + 4) for place in places])
    sizes = [_size(part, number, bytes(head), several) for number, head in zip(wanted, heads, strict=True)]
    bodies = source.parts([(place + skipped, size + 4) for place, size in zip(places, sizes, strict=True)])
    if any(len(body) < size + 4 for body, size in zip(bodies, sizes, strict=True)):
        raise ImageError("damaged exr: it is truncated")
    return [bytes(body) for body in bodies]


def _size(part: Part, number: int, head: bytes, several: bool) -> int:
    """The bytes of a chunk, whose first fields must be those that the table says."""
    down, across = divmod(number, part.grid[1])
    height, width = part.block
    place = (across, down, 0, 0) if part.tile else (part.window[1] + down * height,)
    fields = struct.unpack(f"<{len(head) // 4}i", head)
    if fields[:-1] != ((part.number,) if several else ()) + place:
        raise ImageError(f"damaged exr: chunk {number} is not where its table says")
    size = int(fields[-1])
    due = min(height, part.rows - down * height) * min(width, part.columns) * part.pixel_bytes
    if not 0 < size <= due:
        raise ImageError(f"damaged exr: chunk {number} has {size} bytes; allowed: 1 to {due}")
    if due > max(_PLAUSIBLE * size, _ANY):
        raise ImageError(f"damaged exr: chunk {number} of {size} bytes cannot hold {due} bytes of pixels")
    return size


def _head(part: Part, top: int, bottom: int) -> bytes:
    """The header of a file of some rows."""
    left, _, right, _ = part.window
    window = struct.pack("<4i", left, top, right, bottom)
    fields = [
        attribute("channels", "chlist", part.attributes["channels"][1]),
        attribute("compression", "compression", bytes([part.compression])),
        attribute("dataWindow", "box2i", window),
        attribute("displayWindow", "box2i", window),
        attribute("lineOrder", "lineOrder", b"\0"),
        attribute("pixelAspectRatio", "float", struct.pack("<f", 1)),
        attribute("screenWindowCenter", "v2f", bytes(8)),
        attribute("screenWindowWidth", "float", struct.pack("<f", 1)),
    ]
    flags = LONG_NAMES
    if part.tile is not None:
        height, width = part.block  # no larger than the image, since the library allocates whole tiles
        tiles = struct.pack("<IIB", min(width, part.columns), height, 0)
        fields.append(attribute("tiles", "tiledesc", tiles))
        flags |= TILED
    return MAGIC + struct.pack("<I", 2 | flags) + b"".join(fields) + b"\0"
