"""A format of a few lines, which `test_format` adds to the table: ``DUMMY``, rows, columns, gray bytes."""

from __future__ import annotations

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.errors import ImageError
from convcli.formats.base import Format
from convcli.formats.header import Header, Metadata

MAGIC = b"DUMMY"


class Dummy(Format):
    """Gray images of 8 bits and up to 255 pixels a side."""

    max_side = 255
    max_pixels = 255**2

    def sniff(self, head: bytes) -> bool:
        return head.startswith(MAGIC)

    def header(self, data: bytes) -> Header:
        rows, columns = data[5:7]
        return Header(self.name, rows, columns, 1, np.dtype(np.uint8))

    def decode(self, data: bytes, header: Header) -> Array:
        if len(data) != 7 + header.rows * header.columns:
            raise ImageError("damaged dummy")
        return np.frombuffer(data, np.uint8, offset=7).reshape(header.rows, header.columns, 1)

    def holds(self, dtype: DType, channels: int, frames: int = 1) -> bool:
        return dtype == np.uint8 and channels == frames == 1

    def encode(self, pixels: Array, metadata: Metadata) -> bytes:
        return MAGIC + bytes(pixels.shape[:2]) + pixels.tobytes()
