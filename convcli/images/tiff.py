"""TIFF: the first page, integers of 8 to 32 bits and floats, by tifffile; written with deflate."""

from __future__ import annotations

import io
from typing import Any, Final

import numpy as np

from convcli.dtypes import Array, DType
from convcli.errors import ImageError
from convcli.images.base import Header, Metadata

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE = 0, 1, 2, 3  # tag 262, photometric interpretation
_SEPARATE: Final = 2  # tag 284, planar configuration
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
        if page.photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE):
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
        return Header(self.name, rows, columns, channels, kind, frames)

    def decode(self, data: bytes, header: Header) -> Array:
        import tifffile

        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page: Any = file.pages.first
            pixels: Any = page.asarray()
            if page.photometric == _PALETTE:
                pixels = (np.moveaxis(page.colormap, 0, -1) >> 8).astype(np.uint8)[pixels]
            elif page.planarconfig == _SEPARATE and pixels.ndim == 3:
                pixels = np.moveaxis(pixels, 0, -1)
            if pixels.dtype == bool:
                pixels = pixels.astype(np.uint8) * np.uint8(255)
            elif page.bitspersample in (2, 4) and page.photometric != _PALETTE:
                pixels = pixels * np.uint8(255 // (2**page.bitspersample - 1))
            if page.photometric == _WHITE_IS_ZERO:
                pixels = np.invert(pixels) if pixels.dtype.kind in "iu" else -pixels
        shaped: Array = pixels.reshape(header.rows, header.columns, header.channels)
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
