"""Rows of an OpenEXR part, decoded by bands of chunks, of which the latest are kept."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.files.input import Input
from convcli.formats.decoding import decoder_errors
from convcli.formats.exr.chunks import band
from convcli.formats.exr.headers import Part
from convcli.formats.exr.selection import Selection
from convcli.formats.readers import Reader

_KEPT: Final = 48 * 2**20  # bytes of decoded bands that are kept, but at least two bands


class ExrRows(Reader):
    """Reads the selected channels of a part.

    Args:
        several: whether the file has several parts.
    """

    def __init__(self, source: Input, part: Part, selection: Selection, several: bool) -> None:
        self.source, self.part, self.selection, self.several = source, part, selection, several
        self.height = part.block[0]
        self.kept: OrderedDict[int, Array] = OrderedDict()
        self.changing = Lock()

    @property
    def _each(self) -> int:
        """Bytes of a decoded band."""
        row = self.part.columns * len(self.selection.names) * self.selection.dtype.itemsize
        return min(self.height, self.part.rows) * row

    @property
    def memory(self) -> int:
        stored = min(self.height, self.part.rows) * self.part.columns * self.part.pixel_bytes
        return self._each * min(self._most, self.part.grid[0]) + 3 * stored

    @property
    def _most(self) -> int:
        return max(_KEPT // self._each, 2)

    def rows(self, frame: int, first: int, last: int) -> Array:
        begin, end = first // self.height, -(-last // self.height)
        bands = [self._band(number) for number in range(begin, end)]
        top = begin * self.height
        if len(bands) == 1:
            return bands[0][first - top : last - top]
        return np.concatenate(bands)[first - top : last - top]

    def _band(self, number: int) -> Array:
        with self.changing:
            found = self.kept.get(number)
            if found is not None:
                self.kept.move_to_end(number)
                return found
        with decoder_errors("exr"):
            planes = band(self.source, self.part, number, self.selection.names, self.several)
        pixels = np.empty((*planes[0].shape, len(planes)), self.selection.dtype)
        for channel, plane in enumerate(planes):
            pixels[..., channel] = plane
        with self.changing:
            self.kept[number] = pixels
            while len(self.kept) > self._most:
                self.kept.popitem(last=False)
        return pixels
