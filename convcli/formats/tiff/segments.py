"""Strips and tiles of a TIFF page: where they lie, and how one is decoded."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import ImageError
from convcli.files.input import Input
from convcli.formats.decoding import decoder_errors
from convcli.formats.header import Header
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


class Segments:
    """The strips or tiles of a plane of an open file, ``across`` in each of ``down`` bands; strips are alone.

    Attributes:
        height, width: of a strip or tile.
        across, down: how many there are, columns and rows.
        apart: segments of one place in the image: one for each sample, or one for all.
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
        due, there = self.across * self.down * self.apart, len(page.dataoffsets)
        sized = page.compression == _UNCOMPRESSED or len(page.databytecounts) >= due
        if there < due or not sized:
            raise ImageError(
                f"damaged tiff: {min(there, len(page.databytecounts))} of its {due} strips or tiles are there"
            )
        self._check_size()
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

    def shape(self, index: int, column: int) -> tuple[int, int, int]:
        """(rows, columns, channels) of the part of the image that a segment covers."""
        rows = min(self.height, self.header.rows - index * self.height)
        columns = min(self.width, self.header.columns - column * self.width)
        return rows, columns, self.header.channels

    @property
    def overhead(self) -> int:
        """About how many bytes it takes to decode a segment, beside its pixels."""
        page, samples = self.page, self.height * self.width * self.page.samplesperpixel
        return int(samples * page.dtype.itemsize + max(page.databytecounts, default=0))

    def decode(self, index: int, column: int, into: Array) -> None:
        """Fill ``into`` with the pixels of a segment, in the shape of `shape`.

        Raises:
            ImageError: the segment is damaged or missing, naming it.
        """
        rows, columns, _ = into.shape
        places = [(plane * self.down + index) * self.across + column for plane in range(self.apart)]
        with decoder_errors("tiff", self._name(places[0])):
            parts = [self._segment(place, rows) for place in places]
            there = min(len(part) for part in parts)
            if there < rows or min(part.shape[1] for part in parts) < columns:
                raise ImageError(f"damaged tiff: {self._name(places[0])} has {there} of {rows} rows")
            step = max(_CONVERTED // columns, 1)
            for top in range(0, rows, step):
                bottom = min(top + step, rows)
                stored = [part[top:bottom, :columns] for part in parts]
                together = stored[0] if len(stored) == 1 else np.concatenate(stored, axis=-1)
                into[top:bottom] = pixels(self.page, together)

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
        data = self._data(place, rows)
        if page.compression == JPEG and END_OF_JPEG not in data[-8:]:
            raise ImageError(f"damaged tiff: {self._name(place)} is missing or truncated")
        size = (self.height if page.is_tiled else rows, self.width)
        if shared != (1, 1):
            return unit_samples(_unpacked(page, data), size, shared)
        if page.dtype.kind == "u" and page.bitspersample in _ODD:
            return odd_samples(page, _unpacked(page, data), (*size, self._samples))
        decoded = page.decode(data, place, jpegtables=page.jpegtables)[0]
        if decoded is None:
            raise ImageError(f"damaged tiff: {self._name(place)} is missing")
        if page.compression in CCITT and any(
            not np.array_equal(page.decode(data + more, place)[0], decoded) for more in _MORE_FAX
        ):
            raise ImageError(f"damaged tiff: the data of {self._name(place)} ends before the last pixel")
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
        alone = self.across * self.down * self.apart == 1
        if page.compression == _UNCOMPRESSED:
            due = self._size(rows)
            count = due if alone or count > due or not counts else count
        elif alone and not count:
            count = max(self.source.size - offset, 0)
        data = bytes(self.source.part(offset + self.shift, count)) if offset and count else b""
        if not count or len(data) < count:
            raise ImageError(f"damaged tiff: {self._name(place)} is missing or truncated")
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
