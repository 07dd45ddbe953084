"""Pixels in memory: read like a file of one run of frames, and never written."""

from __future__ import annotations

from typing import Final, NoReturn

from convcli.core.dtypes import Array, DType
from convcli.core.errors import ImageError
from convcli.files.input import Input
from convcli.formats.base import Format, Run
from convcli.formats.header import Header
from convcli.formats.readers import InMemoryReader

NAME: Final = "array"
"""What the format is called in reports."""


class Memory(Format):
    """An array that a Python function was given; it has no file, no name and no suffix."""

    writable = False
    suggested = False
    is_array = True
    any_channels = True

    def sniff(self, head: bytes) -> bool:
        return False

    def header(self, data: bytes) -> Header:
        self._refuse()

    def decode(self, data: bytes, header: Header) -> Array:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise ImageError("an array in memory has no bytes to decode")

    def open(self, source: Input) -> list[Run]:
        pixels = source.pixels
        assert pixels is not None
        frames, rows, columns, channels = pixels.values.shape
        header = Header(
            NAME,
            rows,
            columns,
            channels,
            pixels.values.dtype,
            frames,
            notes=pixels.notes,
            bands=pixels.bands,
        )
        return [(header, InMemoryReader(list(pixels.values)))]

    def holds(self, dtype: DType, channels: int, frames: int = 1) -> bool:
        return False
