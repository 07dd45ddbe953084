"""Pictures of every kind as they are looked at: 8 bits, gray or RGB, at the size of a panel."""

from __future__ import annotations

from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import ArgumentError
from convcli.core.frozen import frozen
from convcli.formats.header import COLORS
from convcli.pipeline.color import white

NARROW: Final = 4
"""How many times integers may fall short of the range of their type before they are stretched to be seen."""


def to_display(pixels: Array, bands: bool = False) -> Array:
    """(rows, columns, 1 or 3) of uint8; transparent pixels show white.

    Floats are drawn from their lowest to their highest value, and so are integers of more than 8 bits that
    fill only a small part of their type's range, such as 12 bits in 16.

    Args:
        bands: whether the last of 2 or 4 channels is not alpha; it is not shown.
    """
    check_displayable(pixels.shape[2])
    has_alpha = not bands and pixels.shape[2] in (2, 4)
    colors = pixels[..., :-1] if pixels.shape[2] in (2, 4) else pixels
    drawn = display_range(colors)
    shown = to_uint8(colors) if drawn is None else stretched(colors, *drawn)
    if not has_alpha:
        return shown
    alpha = to_uint8(pixels[..., -1:]).astype(np.uint16)
    mixed: Array = (shown * alpha + 255 * (255 - alpha) + 127) // 255
    return mixed.astype(np.uint8)


def display_range(pixels: Array) -> tuple[int, int] | None:
    """The lowest and highest of integers that fill too little of their type to be told apart, else None."""
    if pixels.dtype.kind not in "iu" or pixels.dtype.itemsize == 1 or not pixels.size:
        return None
    low, high = int(pixels.min()), int(pixels.max())
    return (low, high) if low < high and NARROW * (high - low) < white(pixels.dtype) else None


def stretched(pixels: Array, low: float, high: float) -> Array:
    """Pixels as 8 bits, ``low`` black and ``high`` white."""
    gain = 255 / ((high - low) or 1)
    with np.errstate(over="ignore"):  # what was infinite is white or black
        return np.clip((pixels.astype(np.float64) - low) * gain + 0.5, 0, 255).astype(np.uint8)


def check_displayable(channels: int) -> None:
    """Refuse channels that are no colors.

    Raises:
        ArgumentError: there are too many.
    """
    if channels > COLORS:
        raise ArgumentError(
            f"an array of {channels} channels cannot be shown as one image; allowed: up to {COLORS} channels"
        )


def to_uint8(pixels: Array) -> Array:
    """Pixels of any type as 8 bits; floats from their lowest value to their highest."""
    if pixels.dtype == np.uint8:
        return pixels
    values = pixels.astype(np.float64)
    if pixels.dtype.kind in "iu":
        return np.clip(values * 255 / white(pixels.dtype) + 0.5, 0, 255).astype(np.uint8)
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    return stretched(np.nan_to_num(values, nan=low), low, high)


def without_gray_axis(pixels: Array) -> Array:
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


UNSCALED: Final = Scale()
