"""Pixels in memory: read like a file of one run of frames, and never written."""

from __future__ import annotations

from typing import Final

from convcli.core.dtypes import DType
from convcli.files.input import Input
from convcli.formats.base import FilelessFormat, Run
from convcli.formats.header import Header
from convcli.formats.readers import InMemoryReader

NAME: Final = "array"
"""What the format is called in reports."""


class Memory(FilelessFormat):
    """An array that a Python function was given; it has no file, no name and no suffix."""

    why_no_file = "an array in memory has no bytes to decode"
    writable = False
    suggested = False
    is_array = True
    any_channels = True

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
