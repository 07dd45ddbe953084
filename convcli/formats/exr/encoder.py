"""Writes OpenEXR files band by band: the library compresses chunks, which are put in order here."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import BinaryIO, Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen
from convcli.formats.encoders import Encoder
from convcli.formats.exr.headers import LONG_NAMES, MAGIC, Channel, attribute, channel_list, parts
from convcli.formats.exr.library import encoded
from convcli.formats.header import Layout

LINES: Final = 16
"""Rows of a chunk of the compression that is written."""

COMPRESSION: Final = ("zip", 3)

_LONG: Final = 31  # bytes of a name that needs a flag if it is longer


@frozen
class ExrEncoder(Encoder):
    """Encodes bands of whole chunks.

    Attributes:
        names: of the channels, in the order of the pixels.
        attributes: stored beside those that the layout determines, by their names.
    """

    layout: Layout
    names: Sequence[str]
    attributes: Mapping[str, tuple[str, bytes]]

    def strip(self, first: int, pixels: Array) -> list[bytes]:
        """The chunks of the rows, as they are stored, but for their first row."""
        planes = {name: np.ascontiguousarray(pixels[..., number]) for number, name in enumerate(self.names)}
        data = encoded(planes, COMPRESSION[0], first)
        (part,) = parts(data)
        place, chunks = part.table + 8 * part.grid[0], []
        while place < len(data):
            (size,) = struct.unpack_from("<i", data, place + 4)
            chunks.append(data[place : place + 8 + size])
            place += 8 + size
        return chunks

    def write(self, file: BinaryIO, pieces: Iterable[list[bytes]]) -> None:
        """The whole file; its table is written last."""
        head, count = self._head(), -(-self.layout.rows // LINES)
        top = self._window[1]
        file.write(head + bytes(8 * count))
        sizes: list[int] = []
        for chunk in (chunk for piece in pieces for chunk in piece):
            (row,) = struct.unpack_from("<i", chunk)
            file.write(struct.pack("<i", row + top) + chunk[4:])
            sizes.append(len(chunk))
        places = list(accumulate(sizes, initial=len(head) + 8 * count))[:-1]
        file.seek(len(head))
        file.write(np.array(places, "<u8").tobytes())
        file.seek(0, 2)

    @property
    def _window(self) -> tuple[int, int, int, int]:
        left, top, *_ = struct.unpack("<4i", self.attributes["dataWindow"][1])
        return left, top, left + self.layout.columns - 1, top + self.layout.rows - 1

    def _head(self) -> bytes:
        channels = [Channel(name, self.layout.dtype, True) for name in sorted(self.names)]
        own = {
            "channels": ("chlist", channel_list(tuple(channels))),
            "compression": ("compression", bytes([COMPRESSION[1]])),
            "lineOrder": ("lineOrder", b"\0"),
        }
        fields = {**self.attributes, **own}
        longest = max(len(name.encode()) for name in (*fields, *self.names))
        flags = LONG_NAMES if longest > _LONG else 0
        stored = b"".join(attribute(name, *fields[name]) for name in sorted(fields))
        return MAGIC + struct.pack("<I", 2 | flags) + stored + b"\0"
