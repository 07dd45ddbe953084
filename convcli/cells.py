"""Cells with numbers, their colours, and what marks them: the parts of a drawn grid."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from convcli.colourmaps import diverging
from convcli.dtypes import Array
from convcli.lettering import Ink, width, write
from convcli.padding import Pair
from convcli.rational import Number
from convcli.scene import FRAME, GROUND, INK
from convcli.steps import as_float, decimal
from convcli.values import frozen

Box = tuple[int, int, int, int]  # left, top, right, bottom

TEXT: Final = 15  # points
LEGIBLE: Final = 11
DIGITS: Final = 4
_TINY: Final = 9
_DARK: Final = 118  # grays below it have light numbers on them
_LEAST_WINDOW: Final = 9
_FINE: Final = 3  # slanted lines are drawn so much larger first


def brief(value: Number, digits: int = DIGITS) -> str:
    """A number in a cell: short integers and decimals in full, others to so many digits."""
    written = f"{as_float(value):.{digits}g}"
    if not isinstance(value, float):
        whole = str(value.numerator) if value.denominator == 1 else decimal(value)
        written = whole if whole and len(whole.strip("-−")) <= digits + 1 else written
    return written.replace("-", "−")


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

    A size of 0 is none: they would be too small to read.
    """

    digits: int = DIGITS
    points: int = TEXT

    @classmethod
    def fitting(cls, values: Iterable[Number], cell: float) -> Type:
        """Fewer digits before letters that are hard to read."""
        different = set(values)
        found = []
        for digits in (DIGITS, DIGITS - 1):
            widest = max(width(brief(value, digits), TEXT) for value in different)
            found.append((min(TEXT, int(TEXT * (cell - 10) / widest)), digits))
        points, digits = found[0] if found[0][0] >= LEGIBLE else max(found)
        return cls(digits, points if points >= _TINY else 0)


def put(image: Any, box: Box, ground: Ink, value: Number | None, type_: Type) -> None:
    """One cell of a grid with its number."""
    from PIL import ImageDraw

    ImageDraw.Draw(image).rectangle(box, fill=ground, outline=FRAME)
    if value is not None and type_.points:
        ink = INK if sum(ground) > 3 * _DARK else GROUND
        middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        write(image, middle, brief(value, type_.digits), type_.points, ink, "mm")


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


def gray(value: Number, low: int, high: int) -> Ink:
    """The gray of a value between black and white, 8 bits."""
    share = min(max((as_float(value) - low) / (high - low), 0), 1)
    gray = round(255 * share)
    return gray, gray, gray


def mixed(one: Ink, other: Ink) -> Ink:
    """The colour between two."""
    red, green, blue = ((a + b) // 2 for a, b in zip(one, other, strict=True))
    return red, green, blue
