"""Images of every kind as they are displayed: 8 bits, gray or RGB, at the size of a panel."""

from __future__ import annotations

from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import ArgumentError
from convcli.core.frozen import frozen
from convcli.formats.header import MAX_IMAGE_CHANNELS
from convcli.pipeline.color import white

Range = tuple[int, int]
"""The values that are displayed as black and as white."""

NARROW: Final = 4
"""Integers that fill less than this part of their type's range are stretched."""


def to_display(pixels: Array, bands: bool = False, range_: Range | None = None) -> Array:
    """(rows, columns, 1 or 3) of uint8; transparent pixels become white.

    Floats are displayed from their lowest to their highest value.

    Args:
        pixels: (rows, columns, channels) of any type.
        bands: whether the last of 2 or 4 channels is data, not alpha; it is not displayed.
        range_: the values of black and white; by default the `display_range`.
    """
    check_displayable(pixels.shape[2])
    has_alpha = not bands and pixels.shape[2] in (2, 4)
    colors = pixels[..., :-1] if pixels.shape[2] in (2, 4) else pixels
    range_ = range_ or display_range(colors)
    shown = stretched(colors, *range_) if range_ else to_uint8(colors)
    if not has_alpha:
        return shown
    alpha = to_uint8(pixels[..., -1:]).astype(np.uint16)
    mixed: Array = (shown * alpha + 255 * (255 - alpha) + 127) // 255
    return mixed.astype(np.uint8)


def display_range(pixels: Array, few: bool = False) -> Range | None:
    """The lowest and highest of integers that fill too little of their type's range to be told apart.

    Args:
        few: whether each of few pixels is shown with its value, so that uint8 is stretched as well.

    Returns:
        None if the range of the type is displayed.
    """
    stretchable = pixels.dtype.kind in "iu" and (
        pixels.dtype.itemsize > 1 or (few and pixels.dtype == np.uint8)
    )
    if not stretchable or not pixels.size:
        return None
    low, high = int(pixels.min()), int(pixels.max())
    return (low, high) if low < high and NARROW * (high - low) < white(pixels.dtype) else None


def stretched(pixels: Array, low: float, high: float) -> Array:
    """Pixels as uint8, with ``low`` as 0 and ``high`` as 255; values beyond are clipped."""
    gain = 255 / ((high - low) or 1)
    with np.errstate(over="ignore"):  # infinite values become 0 or 255
        return np.clip((pixels.astype(np.float64) - low) * gain + 0.5, 0, 255).astype(np.uint8)


RAW_REFUSED: Final = (
    "--map raw keeps values, not pixels to display; choose auto, clip, abs, signed or stretch"
)


def check_displayable(channels: int) -> None:
    """Refuse arrays with more channels than an image has.

    Raises:
        ArgumentError: there are too many.
    """
    if channels > MAX_IMAGE_CHANNELS:
        raise ArgumentError(
            f"an array of {channels} channels cannot be shown as one image; "
            f"allowed: up to {MAX_IMAGE_CHANNELS} channels"
        )


def to_uint8(pixels: Array) -> Array:
    """Pixels of any type as uint8: integers by the range of their type, floats by their own range."""
    if pixels.dtype == np.uint8:
        return pixels
    values = pixels.astype(np.float64)
    if pixels.dtype.kind in "iu":
        return np.clip(values * 255 / white(pixels.dtype) + 0.5, 0, 255).astype(np.uint8)
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    return stretched(np.nan_to_num(values, nan=low), low, high)


def without_gray_axis(pixels: Array) -> Array:
    """(rows, columns) if there is a single channel, as Pillow expects; (rows, columns, 3) otherwise."""
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


@frozen
class Scale:
    """How large pixels are drawn: ``box`` × ``box`` of them reduced to one, or each ``zoom`` pixels wide."""

    box: int = 1
    zoom: int = 1

    @classmethod
    def of(cls, longer: int, tile: int) -> Scale:
        """The scale at which ``longer`` pixels take at most ``tile``."""
        return cls(box=-(-longer // tile)) if longer > tile else cls(zoom=tile // longer)

    def reduced(self, pixels: Array, middle: int | None = None) -> Array:
        """(rows, columns, channels) of uint8 with one pixel for each box; boxes at the ends may be smaller.

        Args:
            middle: take the pixel of each box that is farthest from this value, because means of signed
                waves are flat; by default take the mean.
        """
        if self.box == 1:
            return pixels
        if middle is not None:
            high, low = self._boxes(np.maximum, pixels), self._boxes(np.minimum, pixels)
            farthest: Array = np.where(high.astype(int) - middle >= middle - low.astype(int), high, low)
            return farthest
        counts = self._boxes(np.add, np.ones((*pixels.shape[:2], 1), np.int64))
        means: Array = np.rint(self._boxes(np.add, pixels.astype(np.int64)) / counts)
        return means.astype(np.uint8)

    def _boxes(self, operation: np.ufunc, values: Array) -> Array:
        """One value of each box."""
        rows, columns = (np.arange(0, size, self.box) for size in values.shape[:2])
        reduced: Array = operation.reduceat(operation.reduceat(values, rows, 0), columns, 1)
        return reduced

    def center(self, index: float) -> float:
        """Pixels to the center of a row or column as it is drawn."""
        return (index + 0.5) * self.zoom / self.box


UNSCALED: Final = Scale()
