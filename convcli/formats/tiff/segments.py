"""Strips and tiles of a TIFF page: where they lie, and how one is decoded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from threading import Lock
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.errors import ImageError
from convcli.files.input import Input
from convcli.formats.decoding import decoder_errors
from convcli.formats.header import Header
from convcli.formats.tiff.color import CCITT, JPEG, SEPARATE, odd_samples, pixels, subsampling, unit_samples
from convcli.formats.tiff.fetching import AT_ONCE, fetched
from convcli.formats.tiff.pages import Plane
from convcli.formats.tiff.stated_size import stated_pixels
from convcli.formats.tiff.tables import Table
from convcli.geometry.padding import Pair

_UNCOMPRESSED: Final = 1  # tag 259
_LARGEST_RATIOS: Final = {_UNCOMPRESSED: 1, 5: 2560, 8: 1032, 32946: 1032, 32773: 64, JPEG: 4096}
"""The most bytes that one byte expands to, by compression; a 12-bit LZW code stands for up to 3,837 bytes."""

_LEAST_FIRST: Final = 2  # tag 266, fill order
_CONVERTED: Final = 2**18  # pixels converted at a time
_LARGEST_STATED: Final = 4  # pixels of a compressed image, for each of its segment
_MOST_AT_ONCE: Final = 256
_SHORT_LINE: Final = 2**17  # bytes of a row that is read whole, even if some of its columns are wanted
_ODD: Final = range(17, 32)  # bits that tifffile unpacks in one byte order only
END_OF_JPEG: Final = b"\xff\xd9"
_MORE_FAX: Final = (b"\x35\x07" * 32, b"\xb5" * 64)
"""Codes to append to fax data: if the data are truncated, which the decoder ignores, they change pixels."""


class Segments:
    """The strips or tiles of a plane of an open file, ``across`` in each of ``down`` bands; strips are alone.

    Attributes:
        height, width: of a strip or tile.
        across, down: how many there are, columns and rows.
        apart: segments of one place in the image: one for each sample, or one for all.
        absent: segments that are not stored, as in sparse files; 0 where the table is too long to count them.
    """

    def __init__(self, source: Input, plane: Plane, header: Header) -> None:
        page = plane.page
        self.source, self.page, self.shift, self.header = source, page, plane.shift, header
        self.height = page.tilelength if page.is_tiled else page.rowsperstrip
        self.width = page.tilewidth if page.is_tiled else page.imagewidth
        if self.height < 1 or self.width < 1:
            raise ImageError(f"damaged tiff: strips or tiles of {self.width}×{self.height} pixels")
        self.across = int(-(-page.imagewidth // self.width))
        self.down = int(-(-header.rows // self.height))
        self.apart = int(page.samplesperpixel) if page.planarconfig == SEPARATE else 1
        self.offsets, self.counts = page.dataoffsets, page.databytecounts
        self.ahead: dict[int, bytes] = {}
        self.fetching = Lock()
        due, there = self.count, len(self.offsets)
        sized = page.compression == _UNCOMPRESSED or len(self.counts) >= due
        if there < due or not sized:
            raise ImageError(
                f"damaged tiff: {min(there, len(self.counts))} of its {due} strips or tiles are there"
            )
        is_whole = self._is_long or 0 not in self.offsets
        self.absent = 0 if is_whole else sum(self._is_absent(place) for place in range(due))
        self._check_size()
        self.segment_of = page.decode  # tifffile makes it on first use, which threads must not do at once

    @property
    def count(self) -> int:
        """Number of all segments."""
        return self.across * self.down * self.apart

    @property
    def _is_long(self) -> bool:
        """Whether the tables are too long to look at all entries."""
        return isinstance(self.offsets, Table) or isinstance(self.counts, Table)

    def _is_absent(self, place: int) -> bool:
        """Whether a segment is said to lie nowhere and to have no bytes: GDAL leaves out what has no data."""
        return not self.offsets[place] and place < len(self.counts) and not self.counts[place]

    @property
    def fill(self) -> float:
        """The value of samples that are not stored."""
        return float(self.page.nodata or 0)

    def _check_size(self) -> None:
        """Refuse a page whose pixels its file cannot hold, before memory is allocated."""
        page, (wide, high) = self.page, subsampling(self.page)
        counts = () if self._is_long or page.compression == _UNCOMPRESSED else self.counts
        there = min(sum(counts), self.source.size) if any(counts) else self.source.size
        bits = page.bitspersample if isinstance(page.bitspersample, int) else 1
        due = self.header.rows * self.header.columns * page.samplesperpixel * bits // (8 * wide * high)
        due = due * (self.count - self.absent) // self.count
        if not self._is_long and due > there * _LARGEST_RATIOS.get(page.compression, due):
            shape = f"{self.header.columns}×{self.header.rows}"
            raise ImageError(f"damaged tiff: {there} bytes cannot hold {shape} pixels")

    @property
    def is_raw(self) -> bool:
        """Whether pixels lie in strips as they lie in memory, so that any part of a strip can be read."""
        page, bits = self.page, self.page.bitspersample
        plain = page.compression == _UNCOMPRESSED and page.predictor == 1 and page.fillorder != _LEAST_FIRST
        whole = isinstance(bits, int) and bits == 8 * page.dtype.itemsize and page.dtype.kind in "iuf"
        return bool(plain and whole and not page.is_tiled and subsampling(page) == (1, 1) and not self.absent)

    @property
    def is_long(self) -> bool:
        """Whether rows are so long that some of their columns are read alone."""
        return int(self.width * self._samples * self._stored.itemsize) > _SHORT_LINE

    def shape(self, index: int, column: int) -> tuple[int, int, int]:
        """(rows, columns, channels) of the part of the image that a segment covers."""
        rows = min(self.height, self.header.rows - index * self.height)
        columns = min(self.width, self.header.columns - column * self.width)
        return rows, columns, self.header.channels

    @property
    def overhead(self) -> int:
        """About how many bytes it takes to decode a segment, beside its pixels."""
        raw = int(self.height * self.width * self.page.samplesperpixel * self.page.dtype.itemsize)
        return raw + (raw if self._is_long else max(self.counts, default=0))

    def decode(self, index: int, column: int, into: Array) -> None:
        """Fill ``into`` with the pixels of a segment, in the shape of `shape`.

        Raises:
            ImageError: the segment is damaged or missing, naming it.
        """
        rows, columns, _ = into.shape
        places = self._places((index, column))
        with decoder_errors("tiff", self._name(places[0])):
            parts = [self._segment(place, rows) for place in places]
            there = min(len(part) for part in parts)
            if there < rows or min(part.shape[1] for part in parts) < columns:
                raise ImageError(f"damaged tiff: {self._name(places[0])} has {there} of {rows} rows")
            self._convert([part[:rows, :columns] for part in parts], into)

    def _places(self, key: Pair) -> list[int]:
        """The numbers of the segments of a band and column."""
        index, column = key
        return [(plane * self.down + index) * self.across + column for plane in range(self.apart)]

    @property
    def at_once(self) -> int:
        """How many segments of a remote file are requested together; 1 for a local file."""
        if not self.source.is_remote:
            return 1
        size = self.source.size // self.count if self._is_long else sum(self.counts) // len(self.counts)
        return min(max(AT_ONCE // max(size * self.apart, 1), 1), _MOST_AT_ONCE)

    def prefetch(self, keys: Iterable[Pair]) -> None:
        """Request the bytes of segments of a remote file, (band, column) each, that will be decoded next.

        Raises:
            ImageError: they cannot be read.
        """
        if self.source.is_remote:
            self._fetch([place for key in keys for place in self._places(key)])

    def read_ahead(self, index: int) -> None:
        """Request the bytes of a strip of a remote file and of those after it, unless they are here."""
        if self.source.is_remote and index not in self.ahead and not self._is_absent(index):
            with self.fetching:
                if index not in self.ahead:
                    self.ahead.clear()
                    self.prefetch((next_, 0) for next_ in range(index, min(index + self.at_once, self.down)))

    def _fetch(self, places: Sequence[int]) -> None:
        ranges = {place: self._range(place) for place in places if not self._is_absent(place)}
        ranges = {place: span for place, span in ranges.items() if all(span) and place not in self.ahead}
        self.ahead |= dict(zip(ranges, fetched(self.source, list(ranges.values())), strict=True))

    def _convert(self, parts: list[Array], into: Array) -> None:
        """Fill ``into`` with the pixels of stored samples, some rows at a time."""
        rows, columns, _ = into.shape
        step = max(_CONVERTED // columns, 1)
        for top in range(0, rows, step):
            bottom = min(top + step, rows)
            stored = [part[top:bottom] for part in parts]
            together = stored[0] if len(stored) == 1 else np.concatenate(stored, axis=-1)
            into[top:bottom] = pixels(self.page, together)

    def read_raw(self, rows: Pair, columns: Pair) -> Array:
        """A rectangle of a page that `is_raw`, (rows, columns, channels); only its own bytes are read.

        Raises:
            ImageError: the file ends before.
        """
        shape = rows[1] - rows[0], columns[1] - columns[0]
        into = np.empty((*shape, self.header.channels), self.header.dtype)
        with decoder_errors("tiff"):
            parts = [
                np.concatenate([self._raw_part(plane, *part, columns) for part in self._strips(rows)])
                for plane in range(self.apart)
            ]
            self._convert(parts, into)
        return into

    def _strips(self, rows: Pair) -> Iterator[tuple[int, Pair]]:
        """The strips that hold rows, and which of their own rows these are."""
        for index in range(rows[0] // self.height, (rows[1] - 1) // self.height + 1):
            top = index * self.height
            yield index, (max(rows[0] - top, 0), min(rows[1] - top, self.height))

    def _raw_part(self, plane: int, index: int, rows: Pair, columns: Pair) -> Array:
        """A rectangle of a strip, (rows, columns, samples)."""
        place, dtype = plane * self.down + index, self._stored
        pixel = self._samples * dtype.itemsize
        line, height = self.width * pixel, min(self.height, self.header.rows - index * self.height)
        if self._raw_count(place, height) < rows[1] * line:
            raise ImageError(f"damaged tiff: {self._name(place)} is missing or truncated")
        start = self.offsets[place] + self.shift
        if not self.is_long or columns == (0, self.width):
            ranges = [(start + rows[0] * line, (rows[1] - rows[0]) * line)]
            wide = self.width
        else:
            left, width = columns[0] * pixel, (columns[1] - columns[0]) * pixel
            ranges = [(start + row * line + left, width) for row in range(*rows)]
            columns, wide = (0, columns[1] - columns[0]), columns[1] - columns[0]
        data = b"".join(self.source.parts(ranges))
        if len(data) < (rows[1] - rows[0]) * wide * pixel:
            raise ImageError(f"damaged tiff: {self._name(place)} is missing or truncated")
        block = np.frombuffer(data, dtype).reshape(rows[1] - rows[0], wide, self._samples)
        return block[:, slice(*columns)]

    @property
    def _stored(self) -> DType:
        """The type of samples in the file."""
        dtype: DType = np.dtype(self.page.dtype).newbyteorder(self.page.parent.byteorder)
        return dtype

    def _name(self, place: int) -> str:
        """A strip or tile in words."""
        down, across = divmod(place % (self.across * self.down), self.across)
        row, column = down * self.height, across * self.width
        if self.page.is_tiled:
            return f"tile {place} (from row {row}, column {column})"
        return f"strip {place} (from row {row})"

    def _segment(self, place: int, rows: int) -> Array:
        """A decoded strip or tile, (rows, columns, samples)."""
        page, shared = self.page, subsampling(self.page)
        size = (self.height if page.is_tiled else rows, self.width)
        if self._is_absent(place):
            return np.full((*size, self._samples), self.fill, page.dtype)
        data = self._data(place)
        if page.compression == JPEG and END_OF_JPEG not in data[-8:]:
            raise ImageError(f"damaged tiff: {self._name(place)} is missing or truncated")
        self._check_stated(place, data)
        if shared != (1, 1):
            return unit_samples(_unpacked(page, data), size, shared)
        if page.dtype.kind == "u" and page.bitspersample in _ODD:
            return odd_samples(page, _unpacked(page, data), (*size, self._samples))
        decoded = self.segment_of(data, place, jpegtables=page.jpegtables)[0]
        if decoded is None:
            raise ImageError(f"damaged tiff: {self._name(place)} is missing")
        if page.compression in CCITT and any(
            not np.array_equal(self.segment_of(data + more, place)[0], decoded) for more in _MORE_FAX
        ):
            raise ImageError(f"damaged tiff: the data of {self._name(place)} ends before the last pixel")
        samples: Array = decoded[0]
        return samples

    def _check_stated(self, place: int, data: bytes) -> None:
        """Refuse an image within a segment that is much larger than the segment."""
        stated, due = stated_pixels(self.page.compression, data), self.height * self.width
        if stated > _LARGEST_STATED * due:
            raise ImageError(f"damaged tiff: {self._name(place)} states {stated} pixels instead of {due}")

    def _data(self, place: int) -> bytes:
        """The bytes of a strip or tile."""
        offset, count = self._range(place)
        data = self.ahead.pop(place, None)
        if data is None:
            data = bytes(self.source.part(offset, count)) if offset and count else b""
        if not count or len(data) < count:
            raise ImageError(f"damaged tiff: {self._name(place)} is missing or truncated")
        return data

    def _range(self, place: int) -> Pair:
        """The first byte of a strip or tile, 0 for none, and their number.

        The number is known where nothing is compressed, and a single segment without one goes to the end of
        the file, as in libtiff; otherwise what the page states counts.
        """
        offset = self.offsets[place]
        if self.page.compression == _UNCOMPRESSED:
            band = place // self.across % self.down
            count = self._raw_count(place, self.shape(band, 0)[0])
        else:
            count = self.counts[place]
            if self.count == 1 and not count:
                count = max(self.source.size - offset, 0)
        return offset and offset + self.shift, count

    def _raw_count(self, place: int, rows: int) -> int:
        """The bytes of an uncompressed strip or tile."""
        due, count = self._size(rows), self.counts[place] if place < len(self.counts) else 0
        return due if self.count == 1 or count > due or not self.counts else count

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
