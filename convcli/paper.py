"""Pictures of every kind as they are looked at: 8 bits, gray or RGB, at the size of a panel."""

from __future__ import annotations

from typing import Final

import numpy as np

from convcli.colour import white
from convcli.dtypes import Array
from convcli.values import frozen


def on_paper(pixels: Array, bands: bool = False) -> Array:
    """(rows, columns, 1 or 3) of uint8; what is transparent shows white, floats go from lowest to highest.

    Args:
        bands: whether the last of 2 or 4 channels is no alpha; it is not seen.
    """
    shown = as_bytes(pixels[..., : pixels.shape[2] - 1] if bands else pixels)
    if shown.shape[2] in (1, 3):
        return shown
    alpha = shown[..., -1:].astype(np.uint16)
    mixed: Array = (shown[..., :-1] * alpha + 255 * (255 - alpha) + 127) // 255
    return mixed.astype(np.uint8)


def as_bytes(pixels: Array) -> Array:
    """Pixels of any type as 8 bits; floats from their lowest value to their highest."""
    if pixels.dtype == np.uint8:
        return pixels
    values = pixels.astype(np.float64)
    if pixels.dtype.kind in "iu":
        return np.clip(values * 255 / white(pixels.dtype) + 0.5, 0, 255).astype(np.uint8)
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    stretched = (np.nan_to_num(values, nan=low) - low) * (255 / ((high - low) or 1))
    return np.clip(stretched + 0.5, 0, 255).astype(np.uint8)


def flat(pixels: Array) -> Array:
    """(rows, columns) of gray ones, as Pillow takes them."""
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


@frozen
class Scale:
    """How large pixels are drawn: the means of ``box`` × ``box`` of them as one, or each ``zoom`` wide."""

    box: int = 1
    zoom: int = 1

    @classmethod
    def of(cls, longer: int, tile: int) -> Scale:
        """That at which so many pixels take at most ``tile``."""
        return cls(box=-(-longer // tile)) if longer > tile else cls(zoom=tile // longer)

    def drawn(self, pixels: Array, middle: int | None = None) -> Array:
        """(rows, columns, channels) of uint8: of each box the mean, the boxes at the ends may be smaller.

        Args:
            middle: of each box the pixel that is farthest from this one instead; means of waves are flat.
        """
        if self.box == 1:
            return pixels
        if middle is not None:
            high, low = self._reduced(np.maximum, pixels), self._reduced(np.minimum, pixels)
            far: Array = np.where(high.astype(int) - middle >= middle - low.astype(int), high, low)
            return far
        counts = self._reduced(np.add, np.ones((*pixels.shape[:2], 1), np.int64))
        mean: Array = np.rint(self._reduced(np.add, pixels.astype(np.int64)) / counts)
        return mean.astype(np.uint8)

    def _reduced(self, how: np.ufunc, values: Array) -> Array:
        """One value of each box."""
        rows, columns = (np.arange(0, size, self.box) for size in values.shape[:2])
        found: Array = how.reduceat(how.reduceat(values, rows, 0), columns, 1)
        return found

    def place(self, index: float) -> float:
        """Where the middle of a row or column is drawn."""
        return (index + 0.5) * self.zoom / self.box


AS_IT_IS: Final = Scale()
