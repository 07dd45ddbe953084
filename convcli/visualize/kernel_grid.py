"""The weights behind a feature map as squares in colors, with numbers where they fit, and words below."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen
from convcli.core.numerals import axis_text, number_text, with_minus
from convcli.pipeline.colormaps import diverging
from convcli.visualize.map_set import DisplayMap
from convcli.visualize.panels import MOST_PLANES, framed, planes, text_line
from convcli.visualize.scene import FAINT, FRAME, INK, Item, Rectangle, Text
from convcli.visualize.text import width

_SMALL: Final = 12  # points
_CELL: Final = 56  # pixels, at most
_SQUARE, _CLOSE = 42, 26  # pixels that squares with long numbers may have, of few rows and of more
_SHORT: Final = 6  # digits and signs of integers in squares
_THOUSAND, _SMALL_WEIGHT = 1000, 0.1  # weights below the latter are written in thousandths
_LARGE: Final = 100
_SIZES: Final = (16, 14, 12, 11, 10)  # points
_JOINTED: Final = 8  # pixels of squares with lines between them
_BELOW: Final = 8  # pixels below a plane
_ROUNDING: Final = 1e-12  # of the largest weight: what is no more is written as 0
_FEW: Final = 9  # rows or columns of squares that numbers are wanted in
_LUMA: Final = (0.299, 0.587, 0.114)
_DARK: Final = 120  # luma below which ink is white
_WHITE: Final = (255, 255, 255)


@frozen(eq=False)
class KernelGrid:
    """A kernel's weights as squares with numbers, one plane below the other, and the words under them.

    Attributes:
        planes: (rows, columns) of weights.
        texts: of the same shapes, what is written in the squares.
        cell: pixels of a square.
        words: lines below the squares.
    """

    planes: list[Array]
    texts: list[Array]
    cell: int
    words: list[str]

    @classmethod
    def of(cls, map_: DisplayMap, tile: int) -> KernelGrid:
        """Squares so large that all planes fit ``tile`` pixels where they can."""
        kernel = map_.settings.kernel
        shown = planes(kernel, map_.report.index)
        left = len(shown) - MOST_PLANES
        shown, share = _readable(shown[:MOST_PLANES], kernel.exact.denominator if kernel.exact else 1)
        high = sum(plane.shape[0] for plane in shown)
        broad = shown[0].shape[1]
        below = ([f"and {left} planes more"] if left > 0 else []) + words_of(map_)
        room = max(tile - 16 * (len(below) + 1) - 8 * len(shown), 64)
        usual = min(_CELL, max(min(room // high, tile // broad), 1))
        texts, cell = _written(shown, usual, (_SQUARE if high <= _FEW else _CLOSE) if broad <= _FEW else 1)
        said = [f"× 1/{share}"] if share > 1 else []
        if not all(font_size(plane.flat, cell) for plane in texts):
            said = [_range_of(shown, share)]
        return cls(shown, texts, cell, said + below)

    @property
    def width(self) -> int:
        columns = int(self.planes[0].shape[1])
        return max(columns * self.cell, *(math.ceil(width(each, _SMALL)) for each in self.words))

    @property
    def height(self) -> int:
        return 2 * self.middle + _BELOW + 16 * len(self.words) + 4

    @property
    def middle(self) -> int:
        """Pixels from the top to the middle of the squares."""
        return (sum(int(plane.shape[0]) * self.cell + _BELOW for plane in self.planes) - _BELOW) // 2

    def items(self, place: tuple[int, int]) -> Iterator[Item]:
        """The squares and the words."""
        left, top = place
        limit = max(float(np.abs(plane).max()) for plane in self.planes)
        size = min(font_size(texts.flat, self.cell) for texts in self.texts)
        for plane, texts in zip(self.planes, self.texts, strict=True):
            yield from self._plane(diverging(plane.astype(np.float64), limit), texts, (left, top), size)
            top += plane.shape[0] * self.cell + _BELOW
        for words in self.words:
            yield from text_line((left, top), words, _SMALL, FAINT, 1e9)
            top += 16

    def _plane(self, colors: Array, texts: Array, place: tuple[int, int], size: int) -> Iterator[Item]:
        if self.cell < _JOINTED:
            yield from framed(place, colors, self.cell)
            return
        left, top = place
        for row, column in np.ndindex(texts.shape):
            corner = left + column * self.cell, top + row * self.cell
            red, green, blue = (int(part) for part in colors[row, column])
            yield Rectangle(corner, self.cell + 1, self.cell + 1, (red, green, blue), FRAME)
        yield from cell_texts(place, texts, colors, self.cell, size)


def cell_texts(place: tuple[int, int], texts: Array, colors: Array, cell: int, size: int) -> Iterator[Item]:
    """A text of so many points in each cell of a grid of these colors, (rows, columns, 3); none for 0."""
    left, top = place
    if not size:
        return
    for row, column in np.ndindex(texts.shape):
        ink = _WHITE if float(colors[row, column] @ _LUMA) < _DARK else INK
        middle = left + (column + 0.5) * cell, top + row * cell + round(cell / 2 + size * 0.36)
        yield Text(middle, str(texts[row, column]), size, ink, "middle")


def font_size(texts: Iterable[str], cell: int) -> int:
    """The largest size at which every text fits a cell; 0 where none does."""
    different = set(texts)
    for size in _SIZES:
        if size <= cell - 6 and max(width(text, size) for text in different) <= cell - 6:
            return size
    return 0


def _written(shown: list[Array], usual: int, most: int) -> tuple[list[Array], int]:
    """The numbers in the squares, two digits before none; squares grow where that makes room."""
    for digits in (3, 2):
        texts = [_texts(plane, digits) for plane in shown]
        longest = max(len(text) for plane in texts for text in plane.flat)
        cell = max(usual, min(8 * longest + 10, most))
        if all(font_size(plane.flat, cell) for plane in texts):
            return texts, cell
    return texts, usual


def _readable(shown: list[Array], denominator: int) -> tuple[list[Array], int]:
    """What is written of the weights, and their divisor: integers where they are short, else decimals."""
    whole = shown[0].dtype.kind != "f"
    longest = max(len(str(value)) for plane in shown for value in (plane.max(), plane.min()))
    if whole and (denominator == 1 or longest <= _SHORT):
        return shown, denominator
    largest = max(float(np.abs(plane).max()) for plane in shown) / denominator
    share = _THOUSAND if 0 < largest < _SMALL_WEIGHT else 1
    return [plane.astype(np.float64) / denominator * share for plane in shown], share


def _range_of(shown: list[Array], share: int) -> str:
    """What squares without numbers hold."""
    low, high = min(plane.min() for plane in shown), max(plane.max() for plane in shown)
    ends = [
        Fraction(int(end), share) if shown[0].dtype.kind in "iuO" else float(end) / share
        for end in (low, high)
    ]
    if low == high:
        return f"all {with_minus(number_text(ends[0]))}"
    return f"weights {axis_text(ends[0])} … {axis_text(ends[1])}"


def words_of(map_: DisplayMap) -> list[str]:
    """What is done with the weights: their bias, direction and steps."""
    settings, report = map_.settings, map_.report
    kernel = settings.kernel
    bias = kernel.biases[min(report.index, kernel.maps - 1)]
    found = [f"bias {with_minus(number_text(bias))}"] if bias else []
    found += [f"{kernel.combine} of {kernel.maps} maps"] if kernel.combine else []
    found.append("convolution: turned by 180°" if settings.flip else "cross-correlation")
    for name, pair in (("stride", settings.stride), ("dilation", settings.dilation)):
        steps = (pair * 2)[:2]
        found += [f"{name} {steps[0]}, {steps[1]}"] if steps != (1, 1) else []
    return [*found, f"padding {'valid' if settings.padding.amount == 'valid' else report.padding}"]


def _texts(plane: Array, digits: int) -> Array:
    """What is written in each square, with its sign."""
    near = _ROUNDING * float(np.abs(plane).max())
    floats = plane.dtype.kind == "f"
    texts = [
        _decimal(float(value), near, digits) if floats else with_minus(str(value)) for value in plane.flat
    ]
    return np.array(texts, object).reshape(plane.shape)


def _decimal(value: float, near: float, digits: int) -> str:
    """So many digits, more where they are those of a large number."""
    if abs(value) <= near:
        return "0"
    text = axis_text(value, 6)
    return text if abs(value) >= _LARGE and len(text) <= _SHORT + 1 else axis_text(value, digits)
