"""A TIFF page read in parts: the tiles or strips that some rows need, decoded by whoever comes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Condition
from typing import Any, Final

import numpy as np

from convcli.dtypes import Array, DType
from convcli.errors import ImageError
from convcli.files import Input
from convcli.images.base import Header
from convcli.images.decoding import sound
from convcli.values import frozen

JPEG: Final = 7
"""Tag 259, compression."""

END_OF_JPEG: Final = b"\xff\xd9"

LARGEST_BAND: Final = 2**28
"""Bytes of a row of tiles, or of a strip, above which a page is decoded whole, within the limits of that."""

_APART: Final = 8  # pages that workers may be apart

KEPT: Final = 48 * 2**20
"""Bytes of decoded rows that are kept for the next strip, at least one band."""


class TiffRows:
    """Rows of a page whose pixels lie together (planar configuration 1).

    Args:
        page: tifffile's page of an open file, one of ``pages`` that are read one after the other.
        finish: turns decoded values, (rows, columns, samples), into the header's.
    """

    def __init__(
        self, source: Input, page: Any, header: Header, finish: Callable[[Array], Array], pages: int = 1
    ) -> None:
        self.source, self.page, self.header, self.finish = source, page, header, finish
        self.height = page.tilelength if page.is_tiled else page.rowsperstrip
        self.across = -(-page.imagewidth // page.tilewidth) if page.is_tiled else 1
        self.each = header.columns * self.height * header.channels * header.dtype.itemsize
        self.most = max(KEPT // max(self.each, 1), 2)
        due, there = self.across * -(-header.rows // max(self.height, 1)), len(page.dataoffsets)
        if self.height < 1 or there < due or len(page.databytecounts) < due:
            raise ImageError(f"damaged tiff: {there} of its {due} strips or tiles are there")
        self.most = self.most if pages == 1 else 2
        self.bands: OrderedDict[int, _Band] = OrderedDict()
        self.changed = Condition()

    @property
    def memory(self) -> int:
        """About how many bytes the decoded rows take that are kept."""
        return int(self.each * min(self.most, -(-self.header.rows // self.height)))

    def rows(self, first: int, last: int) -> Array:
        """Rows ``first`` to ``last``, (rows, columns, channels).

        Raises:
            ImageError: a tile or strip is damaged, or missing.
        """
        indices = range(first // self.height, (last - 1) // self.height + 1)
        bands = [self._band(index) for index in indices]
        parts = [
            band[max(first - index * self.height, 0) : last - index * self.height]
            for index, band in zip(indices, bands, strict=True)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _band(self, index: int) -> Array:
        """One row of tiles, or one strip; several workers decode its tiles side by side."""
        with self.changed:
            band = self.bands.get(index)
            if band is None:
                band = self.bands[index] = _Band(self._shape(index), self.header.dtype)
                while len(self.bands) > self.most:
                    self.bands.popitem(last=False)
            self.bands.move_to_end(index)
        while (column := self._claim(band)) is not None:
            try:
                self._decode(index, column, band.pixels)
            except BaseException as error:
                self._settle(band, error)
                raise
            self._settle(band, None)
        with self.changed:
            self.changed.wait_for(lambda: band.failure is not None or band.settled == self.across)
        if band.failure is not None:
            raise band.failure
        return band.pixels

    def _shape(self, index: int) -> tuple[int, int, int]:
        rows = min(self.height, self.header.rows - index * self.height)
        return rows, self.header.columns, self.header.channels

    def _claim(self, band: _Band) -> int | None:
        """The next tile of a band that nobody decodes yet."""
        with self.changed:
            if band.claimed == self.across or band.failure is not None:
                return None
            band.claimed += 1
            return band.claimed - 1

    def _settle(self, band: _Band, failure: BaseException | None) -> None:
        with self.changed:
            band.settled += 1
            band.failure = failure or band.failure
            self.changed.notify_all()

    def _decode(self, index: int, column: int, into: Array) -> None:
        page, place = self.page, index * self.across + column
        offset, count = page.dataoffsets[place], page.databytecounts[place]
        with sound("tiff"):
            data = bytes(self.source.part(offset, count)) if offset and count else b""
            ended = page.compression != JPEG or END_OF_JPEG in data[-8:]
            if not count or len(data) < count or not ended:
                raise ImageError(f"damaged tiff: segment {place} is missing or cut off")
            decoded = page.decode(data, place, jpegtables=page.jpegtables)[0]
            if decoded is None:
                raise ImageError(f"damaged tiff: segment {place} is missing")
            part = self.finish(decoded[0])
        left = column * page.tilewidth if page.is_tiled else 0
        rows, columns = into.shape[0], min(part.shape[1], into.shape[1] - left)
        if part.shape[0] < rows:
            raise ImageError(f"damaged tiff: segment {place} has {part.shape[0]} of {rows} rows")
        into[:, left : left + columns] = part[:rows, :columns]

    def forget(self) -> None:
        """Keep no decoded rows."""
        with self.changed:
            self.bands.clear()


@frozen(eq=False)
class TiffPages:
    """Pages that are alike, read from the first to the last; those before the one before are forgotten."""

    pages: list[TiffRows]

    @property
    def memory(self) -> int:
        """About how many bytes the decoded rows take that are kept."""
        return sum(page.memory for page in self.pages[:_APART])

    def rows(self, frame: int, first: int, last: int) -> Array:
        """Rows of a page, (rows, columns, channels)."""
        if frame >= _APART:
            self.pages[frame - _APART].forget()
        return self.pages[frame].rows(first, last)


class _Band:
    """Decoded rows, and how far they are."""

    def __init__(self, shape: tuple[int, int, int], dtype: DType) -> None:
        self.pixels = np.empty(shape, dtype)
        self.claimed = self.settled = 0
        self.failure: BaseException | None = None
