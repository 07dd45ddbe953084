"""Grids of numbers: how the numbers are written, and the colors of their cells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen
from convcli.core.numerals import DIGITS, PLAIN_DIGITS, as_float, cell_text
from convcli.core.rational import Number
from convcli.geometry.padding import Pair
from convcli.pipeline.colormaps import diverging
from convcli.visualize.lettering import Ink, width
from convcli.visualize.scene import FRAME, GROUND, INK, Item, PlacedImage, Rectangle, Text

Bounds = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels."""

TEXT: Final = 15  # font size
LEGIBLE: Final = 11
_TINY: Final = 9
_DARK: Final = 124  # grays below it have light numbers
_MARK: Final = 9  # smallest side of a marked rectangle, in pixels


@frozen
class Area:
    """Where a grid of positions is drawn.

    Attributes:
        left, top: pixels to the corner of the first position.
        rows, columns: (first, past the last) position.
        cell: pixels a side of each position; fractions where an image is shown.
    """

    left: int
    top: int
    rows: Pair
    columns: Pair
    cell: float

    @property
    def width(self) -> int:
        return round((self.columns[1] - self.columns[0]) * self.cell)

    @property
    def height(self) -> int:
        return round((self.rows[1] - self.rows[0]) * self.cell)

    def bounds(self, rows: Pair, columns: Pair) -> Bounds:
        """The bounds of a range of rows and columns."""
        return (
            self.left + round((columns[0] - self.columns[0]) * self.cell),
            self.top + round((rows[0] - self.rows[0]) * self.cell),
            self.left + round((columns[1] - self.columns[0]) * self.cell),
            self.top + round((rows[1] - self.rows[0]) * self.cell),
        )

    def bounds_of(self, row: int, column: int) -> Bounds:
        """The bounds of one position."""
        return self.bounds((row, row + 1), (column, column + 1))


@frozen
class NumberStyle:
    """How all numbers of a grid are written.

    Attributes:
        digits: significant digits of numbers that are rounded.
        size: font size; 0 if they would be too small to read.
        plain: digits of the largest integers that are written in full.
    """

    digits: int = DIGITS
    size: int = TEXT
    plain: int = PLAIN_DIGITS

    @classmethod
    def fitting(cls, values: Iterable[Number], cell: float) -> NumberStyle:
        """The best style of `_STYLES` in which every value fits a cell of so many pixels."""
        distinct = set(values)
        for digits, plain, smallest, edges in _STYLES:
            widest = max(width(cell_text(value, digits, plain), TEXT) for value in distinct)
            size = min(TEXT, int(TEXT * (cell - edges) / widest))
            if size >= smallest:
                return cls(digits, size, plain)
        return cls(size=0)

    def text(self, value: Number) -> str:
        """The value as it is written in a cell."""
        return cell_text(value, self.digits, self.plain)


_STYLES: Final = (
    *((digits, PLAIN_DIGITS, LEGIBLE, 10) for digits in (DIGITS, DIGITS - 1)),
    *((digits, PLAIN_DIGITS, _TINY, 5) for digits in (DIGITS - 1, DIGITS - 2)),
    *((digits, digits + 1, _TINY, 5) for digits in (DIGITS - 1, DIGITS - 2, 1)),
)
"""Digits, digits of integers, smallest font size, and pixels of a cell to leave free; best first."""


def number_cell(bounds: Bounds, fill: Ink, value: Number | None, style: NumberStyle) -> Iterator[Item]:
    """One cell of a grid, with its number unless it is None or too small to read."""
    yield rectangle(bounds, fill, FRAME)
    if value is not None and style.size:
        ink = INK if sum(fill) > 3 * _DARK else GROUND
        center = (bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2
        yield Text.centered(center, style.text(value), style.size, ink)


def rectangle(
    bounds: Bounds, fill: Ink | None = None, outline: Ink | None = None, stroke: int = 1
) -> Rectangle:
    """A rectangle that includes its right and bottom edges, so that neighbors share a line."""
    left, top, right, bottom = bounds
    return Rectangle((left, top), right - left + 1, bottom - top + 1, fill, outline, stroke)


def mark(bounds: Bounds, ink: Ink) -> Rectangle:
    """A thick outline around the bounds."""
    left, top, right, bottom = bounds
    return rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=ink, stroke=3)


def enlarged(bounds: Bounds) -> Bounds:
    """Bounds around the same center that are large enough to be seen."""
    left, top, right, bottom = bounds
    across, down = (max(_MARK - size, 0) // 2 for size in (right - left, bottom - top))
    return left - across, top - down, right + across, bottom + down


def scaled_image(pixels: Array, bounds: Bounds) -> PlacedImage:
    """Pixels (rows, columns, 1 or 3) that fill the bounds: squares if enlarged, box means if reduced."""
    from PIL import Image

    left, top, right, bottom = bounds
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).convert("RGB")
    size = max(right - left, 1), max(bottom - top, 1)
    larger = right - left >= image.width
    resized = image.resize(size, Image.Resampling.NEAREST if larger else Image.Resampling.BOX)
    return PlacedImage((left, top), np.asarray(resized))


def weight_colors(values: Array) -> Array:
    """(rows, columns, 3) of uint8: blue below 0, red above, pale enough for numbers on them."""
    floats = np.vectorize(as_float, otypes=[float])(values)
    return diverging(floats / 2, float(np.abs(floats).max()))


def grays(values: Array, black: float, white: float) -> Array:
    """Values as uint8 between ``black`` (0) and ``white`` (255); NaN is black."""
    shares = (values.astype(np.float64) - black) / ((white - black) or 1)
    pixels: Array = np.rint(np.nan_to_num(np.clip(shares, 0, 1)) * 255)
    return pixels.astype(np.uint8)


def gray(value: Number, black: float, white: float) -> Ink:
    """The gray of one value."""
    level = int(grays(np.array(as_float(value)), black, white))
    return level, level, level


def mixed(first: Ink, second: Ink) -> Ink:
    """The color halfway between two colors."""
    red, green, blue = ((a + b) // 2 for a, b in zip(first, second, strict=True))
    return red, green, blue
