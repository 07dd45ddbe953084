"""A TIFF page read in parts: the tiles or strips that some rows need, each decoded by one thread."""

from __future__ import annotations

from collections import OrderedDict
from threading import Condition
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.errors import ImageError
from convcli.core.frozen import frozen
from convcli.files.input import Input
from convcli.formats.decoding import decoder_errors
from convcli.formats.header import Header
from convcli.formats.readers import Reader
from convcli.formats.tiff.color import CCITT, JPEG, SEPARATE, odd_samples, pixels, subsampling, unit_samples
from convcli.formats.tiff.pages import Plane

_UNCOMPRESSED: Final = 1  # tag 259
_LARGEST_RATIOS: Final = {_UNCOMPRESSED: 1, 5: 2560, 8: 1032, 32946: 1032, 32773: 64, JPEG: 4096}
"""The most bytes that one byte expands to, by compression; a 12-bit LZW code stands for up to 3,837 bytes."""

_LEAST_FIRST: Final = 2  # tag 266, fill order
_CONVERTED: Final = 2**18  # pixels converted at a time
_ODD: Final = range(17, 32)  # bits that tifffile unpacks in one byte order only
END_OF_JPEG: Final = b"\xff\xd9"
_MORE_FAX: Final = (b"\x35\x07" * 32, b"\xb5" * 64)
"""Codes to append to fax data: if the data are truncated, which the decoder ignores, they change pixels."""

LARGEST_BAND: Final = 2**28
"""Bytes of a row of tiles, or of a strip, above which a page is decoded whole, within the limits of that."""

_APART: Final = 8  # pages that workers may be apart

KEPT: Final = 48 * 2**20
"""Bytes of decoded rows that are kept for the next strip, at least one band."""


class TiffRows:
    """Rows of a plane of an open file, one of ``count`` that are read one after the other."""

    def __init__(self, source: Input, plane: Plane, header: Header, count: int = 1) -> None:
        page = plane.page
        self.source, self.page, self.shift, self.header = source, page, plane.shift, header
        self.height = page.tilelength if page.is_tiled else page.rowsperstrip
        self.width = page.tilewidth if page.is_tiled else page.imagewidth
        if self.height < 1 or self.width < 1:
            raise ImageError(f"damaged tiff: strips or tiles of {self.width}×{self.height} pixels")
        self.across = -(-page.imagewidth // self.width)
        self.apart = page.samplesperpixel if page.planarconfig == SEPARATE else 1
        self.each = header.columns * self.height * header.channels * header.dtype.itemsize
        due, there = self._segments * self.apart, len(page.dataoffsets)
        sized = page.compression == _UNCOMPRESSED or len(page.databytecounts) >= due
        if there < due or not sized:
            raise ImageError(
                f"damaged tiff: {min(there, len(page.databytecounts))} of its {due} strips or tiles are there"
            )
        self._check_size()
        self.most = max(KEPT // max(self.each, 1), 2) if count == 1 else 2
        self.bands: OrderedDict[int, _Band] = OrderedDict()
        self.changed = Condition()
        page.init_decode()

    def _check_size(self) -> None:
        """Refuse a page whose pixels its file cannot hold, before memory is allocated."""
        page, (wide, high) = self.page, subsampling(self.page)
        counts = page.databytecounts if page.compression != _UNCOMPRESSED and any(page.databytecounts) else ()
        there = min(sum(counts), self.source.size) if counts else self.source.size
        bits = page.bitspersample if isinstance(page.bitspersample, int) else 1
        due = self.header.rows * self.header.columns * page.samplesperpixel * bits // (8 * wide * high)
        if due > there * _LARGEST_RATIOS.get(page.compression, due):
            shape = f"{self.header.columns}×{self.header.rows}"
            raise ImageError(f"damaged tiff: {there} bytes cannot hold {shape} pixels")

    @property
    def _segments(self) -> int:
        """Strips or tiles of the page, or of each of its samples."""
        return int(self.across * -(-self.header.rows // self.height))

    @property
    def memory(self) -> int:
        """About how many bytes are taken: the decoded rows that are kept, and a segment on its way."""
        page, bands = self.page, min(self.most, -(-self.header.rows // self.height))
        samples = self.height * self.width * page.samplesperpixel
        return int(self.each * bands + samples * page.dtype.itemsize + max(page.databytecounts, default=0))

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
        rows, left = into.shape[0], column * self.width
        with decoder_errors("tiff"):
            places = [index * self.across + column + plane * self._segments for plane in range(self.apart)]
            parts = [self._segment(place, rows) for place in places]
            columns, there = min(self.width, into.shape[1] - left), min(len(part) for part in parts)
            if there < rows or min(part.shape[1] for part in parts) < columns:
                raise ImageError(f"damaged tiff: segment {places[0]} has {there} of {rows} rows")
            step = max(_CONVERTED // columns, 1)
            for top in range(0, rows, step):
                bottom = min(top + step, rows)
                stored = [part[top:bottom, :columns] for part in parts]
                together = stored[0] if len(stored) == 1 else np.concatenate(stored, axis=-1)
                into[top:bottom, left : left + columns] = pixels(self.page, together)

    def _segment(self, place: int, rows: int) -> Array:
        """A decoded strip or tile, (rows, columns, samples)."""
        page, shared = self.page, subsampling(self.page)
        data = self._data(place, rows)
        if page.compression == JPEG and END_OF_JPEG not in data[-8:]:
            raise ImageError(f"damaged tiff: segment {place} is missing or truncated")
        size = (self.height if page.is_tiled else rows, self.width)
        if shared != (1, 1):
            return unit_samples(_unpacked(page, data), size, shared)
        if page.dtype.kind == "u" and page.bitspersample in _ODD:
            return odd_samples(page, _unpacked(page, data), (*size, self._samples))
        decoded = page.decode(data, place, jpegtables=page.jpegtables)[0]
        if decoded is None:
            raise ImageError(f"damaged tiff: segment {place} is missing")
        if page.compression in CCITT and any(
            not np.array_equal(page.decode(data + more, place)[0], decoded) for more in _MORE_FAX
        ):
            raise ImageError(f"damaged tiff: the data of segment {place} ends before the last pixel")
        samples: Array = decoded[0]
        return samples

    def _data(self, place: int, rows: int) -> bytes:
        """The bytes of a strip or tile.

        Their number is known where nothing is compressed, and a single segment without one goes to the end of
        the file, as in libtiff; otherwise what the page states counts.
        """
        page = self.page
        offset, counts = page.dataoffsets[place], page.databytecounts
        count = counts[place] if place < len(counts) else 0
        alone = self._segments * self.apart == 1
        if page.compression == _UNCOMPRESSED:
            due = self._size(rows)
            count = due if alone or count > due or not counts else count
        elif alone and not count:
            count = max(self.source.size - offset, 0)
        data = bytes(self.source.part(offset + self.shift, count)) if offset and count else b""
        if not count or len(data) < count:
            raise ImageError(f"damaged tiff: segment {place} is missing or truncated")
        return data

    def _size(self, rows: int) -> int:
        """Bytes of an uncompressed segment; each row ends at a whole byte."""
        page, (wide, high) = self.page, subsampling(self.page)
        rows = self.height if page.is_tiled else rows
        if (wide, high) != (1, 1):
            return int(-(-rows // high) * -(-self.width // wide) * (wide * high + 2))
        bits = page.bitspersample
        return int(
            rows * -(-self.width * (sum(bits) if isinstance(bits, tuple) else bits * self._samples) // 8)
        )

    @property
    def _samples(self) -> int:
        """Samples of a pixel in one segment."""
        return 1 if self.apart > 1 else int(self.page.samplesperpixel)

    def forget(self) -> None:
        """Keep no decoded rows."""
        with self.changed:
            self.bands.clear()


@frozen(eq=False)
class TiffPages(Reader):
    """Pages that are alike, read in order; decoded rows of earlier pages are dropped."""

    pages: list[TiffRows]

    @property
    def memory(self) -> int:
        return sum(page.memory for page in self.pages[:_APART])

    def rows(self, frame: int, first: int, last: int) -> Array:
        if frame >= _APART:
            self.pages[frame - _APART].forget()
        return self.pages[frame].rows(first, last)


class _Band:
    """Decoded rows, and how far they are."""

    def __init__(self, shape: tuple[int, int, int], dtype: DType) -> None:
        self.pixels = np.empty(shape, dtype)
        self.claimed = self.settled = 0
        self.failure: BaseException | None = None


def _unpacked(page: Any, data: bytes) -> bytes:
    """A segment as it was before it was compressed, in the usual order of bits."""
    from tifffile import TIFF

    if page.fillorder == _LEAST_FIRST:
        data = _reversed(data)
    if page.predictor != 1:
        raise ImageError("tiff of subsampled YCbCr or odd depth with a predictor, which is not supported")
    return data if page.compression == _UNCOMPRESSED else bytes(TIFF.DECOMPRESSORS[page.compression](data))


def _reversed(data: bytes) -> bytes:
    """The bits of every byte in the opposite order."""
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
    return np.packbits(bits).tobytes()
