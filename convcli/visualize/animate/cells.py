"""Cells with numbers, their colors, and what marks them: the parts of a drawn grid."""

from __future__ import annotations

from collections.abc import Iterable
from math import floor, isfinite, log10
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen
from convcli.core.rational import Number
from convcli.geometry.padding import Pair
from convcli.pipeline.colormaps import diverging
from convcli.visualize.explain.arithmetic import as_float, decimal
from convcli.visualize.scene import FRAME, GROUND, INK
from convcli.visualize.text import Ink, width, write

Box = tuple[int, int, int, int]  # left, top, right, bottom

TEXT: Final = 15  # points
LEGIBLE: Final = 11
DIGITS: Final = 4
PLAIN: Final = 7  # digits of the largest numbers that are not written as 1.235e7
_TINY: Final = 9
_SMALLEST: Final = -3  # the power of ten below which a number is written as 1.235e−4
_DARK: Final = 124  # grays below it have light numbers on them
_LEAST_WINDOW: Final = 9
_FINE: Final = 3  # slanted lines are drawn so much larger first


def brief(value: Number, digits: int = DIGITS, plain: int = PLAIN) -> str:
    """A number in a cell: integers of ``plain`` digits and short decimals in full, others to so many digits.

    To four digits and more, a number that is not whole keeps a decimal.
    """
    if isinstance(value, float):
        return f"{value:g}".replace("-", "−")
    integer = value.denominator == 1
    written = str(value.numerator) if integer else decimal(value)
    if not written or len(written.strip("-−")) > (plain if integer else digits + 1):
        written = _rounded(as_float(value), digits, plain)
    return written.replace("-", "−")


def _rounded(value: float, digits: int, plain: int) -> str:
    """To so many digits, with a power of ten where the number is large or small."""
    if not value or not isfinite(value):
        return f"{value:g}"
    power = floor(log10(abs(value)))
    if not _SMALLEST <= power < plain:
        mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
        return f"{_stripped(mantissa, 0)}e{int(exponent)}"
    least = int(digits >= DIGITS)
    return _stripped(f"{value:.{max(digits - 1 - power, least)}f}", least)


def _stripped(decimal: str, least: int) -> str:
    """Without the zeros at its end, but for so many decimals."""
    whole, _, decimals = decimal.partition(".")
    kept = decimals.rstrip("0").ljust(least, "0")
    return f"{whole}.{kept}" if kept else whole


@frozen
class Area:
    """Where positions lie: the one at ``first``, (row, column), has its corner at (left, top)."""

    left: int
    top: int
    rows: Pair
    columns: Pair
    cell: float

    @property
    def wide(self) -> int:
        return round((self.columns[1] - self.columns[0]) * self.cell)

    @property
    def high(self) -> int:
        return round((self.rows[1] - self.rows[0]) * self.cell)

    def box(self, rows: Pair, columns: Pair) -> Box:
        """Left, top, right and bottom of some positions."""
        return (
            self.left + round((columns[0] - self.columns[0]) * self.cell),
            self.top + round((rows[0] - self.rows[0]) * self.cell),
            self.left + round((columns[1] - self.columns[0]) * self.cell),
            self.top + round((rows[1] - self.rows[0]) * self.cell),
        )


@frozen
class Type:
    """How the numbers of a grid are written, alike in all cells: to how many digits, and in which size.

    Attributes:
        plain: digits of the largest integers in full.
        points: 0 for none: they would be too small to read.
    """

    digits: int = DIGITS
    points: int = TEXT
    plain: int = PLAIN

    @classmethod
    def fitting(cls, values: Iterable[Number], cell: float) -> Type:
        """Fewer digits before letters that are hard to read, and powers of ten before none."""
        different = set(values)
        for digits, plain, least, edges in _TYPES:
            widest = max(width(brief(value, digits, plain), TEXT) for value in different)
            points = min(TEXT, int(TEXT * (cell - edges) / widest))
            if points >= least:
                return cls(digits, points, plain)
        return cls(points=0)

    def text(self, value: Number) -> str:
        """A number as it is written."""
        return brief(value, self.digits, self.plain)


_TYPES: Final = (
    *((digits, PLAIN, LEGIBLE, 10) for digits in (DIGITS, DIGITS - 1)),
    *((digits, PLAIN, _TINY, 5) for digits in (DIGITS - 1, DIGITS - 2)),
    *((digits, digits + 1, _TINY, 5) for digits in (DIGITS - 1, DIGITS - 2, 1)),
)
"""Digits, digits of integers, the smallest size and what is left free of a cell; the better ones first."""


def put(image: Any, box: Box, ground: Ink, value: Number | None, type_: Type) -> None:
    """One cell of a grid with its number, if it has one."""
    from PIL import ImageDraw

    ImageDraw.Draw(image).rectangle(box, fill=ground, outline=FRAME)
    if value is not None and type_.points:
        ink = INK if sum(ground) > 3 * _DARK else GROUND
        middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        write(image, middle, type_.text(value), type_.points, ink, "mm")


def thin_line(image: Any, start: Pair, end: Pair, ink: Ink) -> None:
    """A thin line with smooth edges."""
    from PIL import Image, ImageDraw

    left, top = min(start[0], end[0]) - 2, min(start[1], end[1]) - 2
    size = abs(start[0] - end[0]) + 4, abs(start[1] - end[1]) + 4
    mask = Image.new("L", (size[0] * _FINE, size[1] * _FINE), 0)
    points = [((x - left) * _FINE, (y - top) * _FINE) for x, y in (start, end)]
    ImageDraw.Draw(mask).line(points, 255, _FINE)
    image.paste(ink, (left, top), mask.resize(size, Image.Resampling.BOX))


def edge(draw: Any, box: Box, ink: Ink) -> None:
    """A thick outline."""
    draw.rectangle((box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1), outline=ink, width=3)


def grown(box: Box) -> Box:
    """A box that is large enough to be seen."""
    across, down = (max(_LEAST_WINDOW - (last - first), 0) // 2 for first, last in (box[::2], box[1::2]))
    return box[0] - across, box[1] - down, box[2] + across, box[3] + down


def scaled(pixels: Array, size: Pair) -> Any:
    """Pixels as a picture of this size: enlarged as squares, made smaller smoothly."""
    from PIL import Image

    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).convert("RGB")
    larger = size[0] >= picture.width
    size = (max(size[0], 1), max(size[1], 1))
    return picture.resize(size, Image.Resampling.NEAREST if larger else Image.Resampling.BOX)


def weighed(values: Array) -> Array:
    """Blue below 0, red above, pale enough for numbers on them, (rows, columns, 3)."""
    floats = np.vectorize(as_float, otypes=[float])(values)
    return diverging(floats / 2, float(np.abs(floats).max()))


def grays(values: Array, black: float, white: float) -> Array:
    """Values between black and white as 8 bits; what is not a number is black."""
    shares = (values.astype(np.float64) - black) / ((white - black) or 1)
    pixels: Array = np.rint(np.nan_to_num(np.clip(shares, 0, 1)) * 255)
    return pixels.astype(np.uint8)


def gray(value: Number, black: float, white: float) -> Ink:
    """The gray of one value."""
    gray = int(grays(np.array(as_float(value)), black, white))
    return gray, gray, gray


def mixed(one: Ink, other: Ink) -> Ink:
    """The color between two."""
    red, green, blue = ((a + b) // 2 for a, b in zip(one, other, strict=True))
    return red, green, blue
