"""Pages to read in parts, and files that count what is read of them."""

from __future__ import annotations

import io

import numpy as np
import tifffile

from convcli.files.input import Input

ROWS, COLUMNS = 200, 150
WINDOWS = (
    ((0, 200), (0, 150)),
    ((0, 1), (0, 1)),
    ((199, 200), (149, 150)),
    ((15, 17), (31, 33)),
    ((16, 64), (32, 96)),
    ((3, 197), (40, 47)),
    ((100, 130), (0, 150)),
)
"""(rows, columns): everything, corners, across the borders of tiles, along them, tall, wide."""


def stored(dtype: str, channels: int, frames: int = 1) -> np.ndarray:
    """(frames, rows, columns, channels) of values over the range of integers, or floats around 0."""
    shape, rng = (frames, ROWS, COLUMNS, channels), np.random.default_rng(5)
    if dtype.startswith("float"):
        return rng.normal(size=shape).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype, endpoint=True)


def written(pixels: np.ndarray, planar: bool = False, **options: object) -> bytes:
    """A TIFF by tifffile of (frames, rows, columns, channels)."""
    frames, channels = len(pixels), pixels.shape[-1]
    shaped = np.moveaxis(pixels, -1, 1) if planar else pixels
    shaped = shaped[..., 0] if channels == 1 else shaped
    buffer = io.BytesIO()
    colors = {"photometric": "rgb" if channels == 3 else "minisblack"}
    if channels > 1:
        colors["planarconfig"] = "separate" if planar else "contig"
    tifffile.imwrite(buffer, shaped if frames > 1 else shaped[0], **colors, **options)
    return buffer.getvalue()


class Counted(Input):
    """Bytes in memory that count what is read of them in parts."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data=data)
        self.taken = self.requests = 0

    def part(self, offset: int, count: int) -> bytes | memoryview:
        found = super().part(offset, count)
        self.taken += len(found)
        self.requests += 1
        return found
