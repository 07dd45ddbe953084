"""TIFF: the first page, integers of 8 to 32 bits and floats, by tifffile; written with deflate."""

from __future__ import annotations

import io
import math
from typing import Any, Final

import numpy as np

from convcli.dtypes import Array, DType
from convcli.errors import ImageError
from convcli.images.base import Header, Metadata, full_range, range_notes

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6  # tag 262, photometric interpretation
_PLAIN: Final = (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE)
_SEPARATE: Final = 2  # tag 284, planar configuration
_JPEG: Final = 7  # tag 259, compression
_END_OF_JPEG: Final = b"\xff\xd9"
_TYPES: Final = "bool, integers of 8 to 32 bits, or floats"


class Tiff:
    """Tag Image File Format (6.0), BigTIFF included."""

    name = "tiff"
    suffixes: tuple[str, ...] = (".tif", ".tiff")

    def sniff(self, head: bytes) -> bool:
        return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

    def header(self, data: bytes) -> Header:
        import tifffile

        with tifffile.TiffFile(io.BytesIO(data)) as file:
            if not file.pages:
                raise ImageError("damaged tiff: it has no page")
            return self._facts(file.pages.first, len(file.pages))

    def _facts(self, page: Any, frames: int) -> Header:
        kind = page.dtype
        if kind is None or kind.kind not in "biuf" or (kind.kind in "iu" and kind.itemsize > 4):
            raise ImageError(f"tiff of type {kind}; allowed: {_TYPES}")
        if page.photometric not in _PLAIN and not _is_jpeg_colour(page):
            name = getattr(page.photometric, "name", page.photometric)
            raise ImageError(f"tiff with {name} colours; allowed: gray, RGB and palette")
        channels = 3 if page.photometric == _PALETTE else page.samplesperpixel
        if channels not in (1, 2, 3, 4) or page.imagedepth != 1:
            raise ImageError(f"tiff with {channels} channels; allowed: 1 to 4")
        if page.photometric == _PALETTE:
            kind = np.dtype(np.uint8)
        if kind.kind == "b":
            kind = np.dtype(np.uint8)
        rows, columns = int(page.imagelength), int(page.imagewidth)
        if rows < 1 or columns < 1:
            raise ImageError(f"damaged tiff: {columns}×{rows} pixels")
        notes = range_notes(0 if page.photometric == _PALETTE else _most(page))
        return Header(self.name, rows, columns, channels, kind, frames, notes=notes)

    def decode(self, data: bytes, header: Header) -> Array:
        import tifffile

        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page: Any = file.pages.first
            _check_pieces(page, data)
            pixels = _plain(page, page.asarray())
        shaped = pixels.reshape(header.rows, header.columns, header.channels)
        return shaped.astype(shaped.dtype.newbyteorder("="), copy=False)

    def holds(self, dtype: DType, channels: int) -> bool:
        return True

    def encode(self, pixels: Array, metadata: Metadata) -> bytes:
        import tifffile

        channels = pixels.shape[2]
        buffer = io.BytesIO()
        tifffile.imwrite(
            buffer,
            pixels[..., 0] if channels == 1 else pixels,
            photometric="rgb" if channels > 2 else "minisblack",
            planarconfig="contig" if channels > 1 else None,
            extrasamples=("unassalpha",) if channels in (2, 4) else None,
            compression="deflate",
            predictor=True,
            software="convcli",
            metadata=None,
        )
        return buffer.getvalue()


def _is_jpeg_colour(page: Any) -> bool:
    """Whether a page holds luma and chroma that the JPEG decoder turns into RGB."""
    together = page.planarconfig != _SEPARATE and page.samplesperpixel == 3
    return bool(page.photometric == _YCBCR and page.compression == _JPEG and together)


def _plain(page: Any, stored: Any) -> Array:
    """Stored values as gray or colours: palettes looked up, channels last, bits spread, white above black."""
    pixels: Array = stored
    if page.photometric == _PALETTE:
        colours: Array = (np.moveaxis(page.colormap, 0, -1) >> 8).astype(np.uint8)
        return colours[pixels]
    if page.planarconfig == _SEPARATE and pixels.ndim == 3:
        pixels = np.moveaxis(pixels, 0, -1)
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    elif most := _most(page):
        pixels = full_range(pixels, most)
    if page.photometric == _WHITE_IS_ZERO:
        pixels = np.invert(pixels) if pixels.dtype.kind in "iu" else -pixels
    return pixels


def _most(page: Any) -> int:
    """The largest value of unsigned integers of a page's bits, up to 16; else 0."""
    bits = page.bitspersample
    return 2**bits - 1 if page.dtype.kind == "u" and isinstance(bits, int) and bits <= 16 else 0


def _check_pieces(page: Any, data: bytes) -> None:
    """Refuse a page whose strips or tiles are not all in the file; tifffile would put zeros in their place.

    Raises:
        ImageError: one has no place, no bytes, or ends behind the file; or it is a JPEG without its end.
    """
    due = math.prod(page.chunked)
    places = zip(page.dataoffsets, page.databytecounts, strict=False)
    end = _END_OF_JPEG if page.compression == _JPEG else b""
    there = sum(
        0 < start < start + size <= len(data) and end in data[start + size - 8 : start + size]
        for start, size in places
    )
    if there < due:
        raise ImageError(f"damaged tiff: {due - there} of its {due} strips or tiles are missing or cut off")
