"""PNG: 1 to 16 bits, gray, RGB, palette, alpha; decoded and encoded by imagecodecs, exact for every type."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import Final

import numpy as np

from convcli.dtypes import Array, DType
from convcli.errors import ImageError
from convcli.images.base import Header, Layout, Metadata
from convcli.images.pngwriter import SIGNATURE, PngEncoder

_CHANNELS: Final = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # by colour type; a palette holds RGB
_MOST_DEFLATED: Final = 1032  # bytes that one byte of deflate can stand for


class Png:
    """Portable Network Graphics (ISO/IEC 15948)."""

    name = "png"
    suffixes: tuple[str, ...] = (".png", ".apng")

    def sniff(self, head: bytes) -> bool:
        return head.startswith(SIGNATURE)

    def header(self, data: bytes) -> Header:
        chunks = _chunks(data)
        kind, body = next(chunks, (b"", b""))
        if kind != b"IHDR" or len(body) != 13:
            raise ImageError("damaged png: it does not start with an IHDR chunk")
        columns, rows, depth, colour = struct.unpack(">IIBB", body[:10])
        if not columns or not rows or colour not in _CHANNELS:
            raise ImageError(f"damaged png: {columns}×{rows} pixels of colour type {colour}")
        transparent = any(kind == b"tRNS" for kind, _ in chunks)
        channels = _CHANNELS[colour] + (transparent and colour in (0, 2, 3))
        return Header(self.name, rows, columns, channels, np.dtype(np.uint16 if depth == 16 else np.uint8))

    def decode(self, data: bytes, header: Header) -> Array:
        import imagecodecs

        depth, colour = data[24], data[25]
        samples = 1 if colour == 3 else _CHANNELS[colour]
        needed = header.rows * ((header.columns * samples * depth + 7) // 8 + 1)
        if needed > len(data) * _MOST_DEFLATED:
            raise ImageError(
                f"damaged png: {len(data)} bytes cannot hold {header.columns}×{header.rows} pixels"
            )
        pixels: Array = imagecodecs.png_decode(data)
        return pixels.reshape(header.rows, header.columns, header.channels)

    def holds(self, dtype: DType, channels: int) -> bool:
        return dtype in (np.uint8, np.uint16)

    def encode(self, pixels: Array, metadata: Metadata) -> bytes:
        file = io.BytesIO()
        maker = self.encoder(Layout.of(pixels), metadata, len(pixels))
        maker.write(file, [maker.strip(0, pixels)])
        return file.getvalue()

    def encoder(self, layout: Layout, metadata: Metadata, height: int) -> PngEncoder:
        return PngEncoder(layout)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, body) of the chunks in front of the pixels."""
    place = len(SIGNATURE)
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        if kind == b"IDAT":
            return
        yield kind, data[place + 8 : place + 8 + length]
        place += length + 12
