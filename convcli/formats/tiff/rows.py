"""A TIFF page read in parts: the tiles or strips that some rows need, each decoded by one thread."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Condition
from typing import Final

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.frozen import frozen
from convcli.files.input import Input
from convcli.formats.header import Header
from convcli.formats.readers import Reader
from convcli.formats.tiff.pages import Plane
from convcli.formats.tiff.segments import Segments
from convcli.formats.tiff.tiles import Key, Tiles
from convcli.geometry.padding import Pair

LARGEST_SEGMENT: Final = 2**28
"""Bytes of a tile or strip above which a page is decoded whole, within the limits of that."""

_RAW: Final = 2**22
"""Bytes of an uncompressed strip above which its parts are read as needed."""

_GOOD: Final = 256, 256
"""(rows, columns) of a part of an uncompressed page of long rows, many of which are read at once."""

_APART: Final = 8  # pages that workers may be apart

KEPT: Final = 48 * 2**20
"""Bytes of decoded rows that are kept for the next strip, at least one band."""


class TiffRows:
    """Rows and windows of a plane of an open file, one of ``count`` that are read one after the other."""

    def __init__(self, source: Input, plane: Plane, header: Header, count: int = 1) -> None:
        self.header, self.alone = header, count == 1
        self.segments = Segments(source, plane, header)
        self.height, self.across = self.segments.height, self.segments.across
        self.each: int = header.columns * self.height * header.channels * header.dtype.itemsize
        self.most = max(KEPT // max(self.each, 1), 2) if self.alone else 2
        self.bands: OrderedDict[int, _Band] = OrderedDict()
        self.tiles = Tiles(self._tile, self.segments.prefetch, self.segments.at_once)
        self.changed = Condition()
        self.is_raw = self.each > _RAW and self.segments.is_raw

    @property
    def in_parts(self) -> bool:
        """Whether strips and tiles are small enough to be decoded one by one."""
        segment: int = self.each // self.header.columns * min(self.segments.width, self.header.columns)
        return self.is_raw or segment <= LARGEST_SEGMENT

    @property
    def memory(self) -> int:
        """About how many bytes are taken: the decoded rows that are kept, and a segment on its way."""
        if self.is_raw:
            return 0
        return self.each * min(self.most, self.segments.down) + self.segments.overhead

    @property
    def block(self) -> Pair | None:
        """(rows, columns) of a tile, or good to read where any part can be; None for whole rows."""
        if self.is_raw and self.segments.is_long:
            return _GOOD
        return (self.height, self.segments.width) if self.across > 1 else None

    def rows(self, first: int, last: int) -> Array:
        """Rows ``first`` to ``last``, (rows, columns, channels).

        Raises:
            ImageError: a tile or strip is damaged, or missing.
        """
        if self.is_raw:
            return self.segments.read_raw((first, last), (0, self.header.columns))
        indices = range(first // self.height, (last - 1) // self.height + 1)
        bands = [self._band(index) for index in indices]
        parts = [
            band[max(first - index * self.height, 0) : last - index * self.height]
            for index, band in zip(indices, bands, strict=True)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def window(self, rows: Pair, columns: Pair) -> Array:
        """A rectangle, (rows, columns, channels), of which the tiles that it covers are decoded.

        The latest tiles are kept: `KEPT` bytes, but at least those of the rectangle and one band more. So
        where strips of a panel are read from top to bottom, every tile is decoded once. Whole bands of tiles,
        of which nothing is left to be read, are not kept.

        Raises:
            ImageError: a tile or strip is damaged, or missing.
        """
        if self.is_raw:
            return self.segments.read_raw(rows, columns)
        if self.across == 1:
            part: Array = self.rows(*rows)[:, slice(*columns)]
            return part
        height, width = self.height, self.segments.width
        down = range(rows[0] // height, (rows[1] - 1) // height + 1)
        across = range(columns[0] // width, (columns[1] - 1) // width + 1)
        keys = [(index, column) for index in down for column in across]
        out = np.empty((rows[1] - rows[0], columns[1] - columns[0], self.header.channels), self.header.dtype)
        if rows[0] == down[0] * height and rows[1] in (down.stop * height, self.header.rows):
            for start in range(0, len(keys), self.segments.at_once):
                batch = keys[start : start + self.segments.at_once]
                self.segments.prefetch(batch)
                for key in batch:
                    self._paste(key, None, rows, columns, out)
            return out
        kept = KEPT * self.alone // (height * width * self.header.channels * self.header.dtype.itemsize)
        tiles = self.tiles.get(keys, max(kept, (len(down) + 1) * len(across)))
        for key, tile in zip(keys, tiles, strict=True):
            self._paste(key, tile, rows, columns, out)
        return out

    def _paste(self, key: Key, tile: Array | None, rows: Pair, columns: Pair, out: Array) -> None:
        """Put a tile where a window has it; it is decoded right there if it is not at hand."""
        high, wide, _ = self.segments.shape(*key)
        top, left = key[0] * self.height - rows[0], key[1] * self.segments.width - columns[0]
        place = out[max(top, 0) : top + high, max(left, 0) : left + wide]
        if tile is None and place.shape[:2] == (high, wide):
            self.segments.decode(*key, place)
            return
        tile = self._tile(key) if tile is None else tile
        top, left = max(-top, 0), max(-left, 0)
        place[...] = tile[top : top + place.shape[0], left : left + place.shape[1]]

    def _tile(self, key: Key) -> Array:
        pixels = np.empty(self.segments.shape(*key), self.header.dtype)
        self.segments.decode(*key, pixels)
        return pixels

    def _band(self, index: int) -> Array:
        """One row of tiles, or one strip; several workers decode its tiles side by side."""
        with self.changed:
            band = self.bands.get(index)
            if band is None:
                band = self.bands[index] = _Band(self._shape(index), self.header.dtype)
                while len(self.bands) > self.most:
                    self.bands.popitem(last=False)
            self.bands.move_to_end(index)
        while columns := self._claim(band):
            try:
                self._prepare(index, columns)
                for column in columns:
                    self._decode(index, column, band.pixels)
            except BaseException as error:
                self._settle(band, len(columns), error)
                raise
            self._settle(band, len(columns), None)
        with self.changed:
            self.changed.wait_for(lambda: band.failure is not None or band.settled == self.across)
        if band.failure is not None:
            raise band.failure
        return band.pixels

    def _shape(self, index: int) -> tuple[int, int, int]:
        rows = min(self.height, self.header.rows - index * self.height)
        return rows, self.header.columns, self.header.channels

    def _claim(self, band: _Band) -> range:
        """The next tiles of a band that nobody decodes yet: one, or as many as are requested together."""
        with self.changed:
            first = self.across if band.failure is not None else band.claimed
            last = min(first + self.segments.at_once, self.across)
            band.claimed = last
            return range(first, last)

    def _prepare(self, index: int, columns: range) -> None:
        if self.across == 1:
            self.segments.read_ahead(index)
        else:
            self.segments.prefetch((index, column) for column in columns)

    def _settle(self, band: _Band, count: int, failure: BaseException | None) -> None:
        with self.changed:
            band.settled += count
            band.failure = failure or band.failure
            self.changed.notify_all()

    def _decode(self, index: int, column: int, into: Array) -> None:
        left = column * self.segments.width
        self.segments.decode(index, column, into[:, left : left + self.segments.width])

    def forget(self) -> None:
        """Keep no decoded pixels."""
        with self.changed:
            self.bands.clear()
        self.tiles.forget()
        self.segments.ahead.clear()


@frozen(eq=False)
class TiffPages(Reader):
    """Pages that are alike, read in order; decoded rows of earlier pages are dropped."""

    pages: list[TiffRows]

    @property
    def memory(self) -> int:
        return sum(page.memory for page in self.pages[:_APART])

    @property
    def block(self) -> Pair | None:
        return self.pages[0].block

    def rows(self, frame: int, first: int, last: int) -> Array:
        self._forget(frame)
        return self.pages[frame].rows(first, last)

    def window(self, frame: int, rows: Pair, columns: Pair) -> Array:
        self._forget(frame)
        return self.pages[frame].window(rows, columns)

    def _forget(self, frame: int) -> None:
        """Drop what is kept of a page that no worker reads any more."""
        if frame >= _APART:
            self.pages[frame - _APART].forget()


class _Band:
    """Decoded rows, and how far they are."""

    def __init__(self, shape: tuple[int, int, int], dtype: DType) -> None:
        self.pixels = np.empty(shape, dtype)
        self.claimed = self.settled = 0
        self.failure: BaseException | None = None


def sparse_notes(pages: Sequence[TiffRows]) -> tuple[str, ...]:
    """A note on strips and tiles that are not stored."""
    absent, due = (sum(getattr(page.segments, name) for page in pages) for name in ("absent", "count"))
    if not absent:
        return ()
    fill = pages[0].segments.fill
    return (f"{absent} of {due} strips or tiles are not stored (a sparse file) and read as {fill:g}",)
