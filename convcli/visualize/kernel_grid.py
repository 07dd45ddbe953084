"""The weights of a kernel as colored squares, with numbers if they fit, and text below."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen
from convcli.core.numerals import axis_text, counted, number_text, with_minus
from convcli.geometry.describe import operation_text
from convcli.geometry.padding import Padding
from convcli.kernels.kernel import ROUNDING, Kernel
from convcli.pipeline.colormaps import diverging
from convcli.visualize.colorbar import as_decimal
from convcli.visualize.lettering import width
from convcli.visualize.map_set import DisplayMap
from convcli.visualize.panels import MOST_PLANES, framed_image, kernel_planes, text_line
from convcli.visualize.scene import FAINT, FRAME, INK, Item, Rectangle, Text

if TYPE_CHECKING:
    from convcli.networks.maps import MapFacts

_SMALL: Final = 12  # font size
_CELL: Final = 56  # largest square, in pixels
_SQUARE, _CLOSE = 42, 26  # limits to which squares grow for long numbers: with few rows, and with more
_SHORT: Final = 6  # characters of integers in squares
_THOUSAND, _SMALL_WEIGHT = 1000, 0.1  # smaller weights are written in thousandths
_LARGE: Final = 100
_SIZES: Final = (16, 14, 12, 11, 10)  # font sizes
_JOINTED: Final = 8  # smallest squares with lines between them, in pixels
_BELOW: Final = 8  # pixels below a plane
_ROUNDING: Final = 1e-12  # of the largest weight; up to it, weights are written as 0
_FEW: Final = 9  # rows or columns up to which squares grow for their numbers
_LUMA: Final = (0.299, 0.587, 0.114)
_DARK: Final = 120  # luma below which text is white
_WHITE: Final = (255, 255, 255)


@frozen(eq=False)
class KernelGrid:
    """The weights of a kernel as squares with numbers, one plane below the other, and text lines under them.

    Attributes:
        planes: (rows, columns) of weights each, all of one size.
        texts: the numbers in the squares, of the same shapes.
        cell: side of a square in pixels.
        lines: text below the squares.
        abreast: planes in a row.
    """

    planes: list[Array]
    texts: list[Array]
    cell: int
    lines: list[str]
    abreast: int = 1

    @classmethod
    def of(cls, map_: DisplayMap, tile: int) -> KernelGrid:
        """The grid of the kernel that makes a map, in ``tile`` × ``tile`` pixels if it fits."""
        if map_.report.network is not None:
            return cls([], [], 0, _network_lines(map_.report.network))
        kernel = map_.settings.kernel
        return cls.of_planes(kernel_planes(kernel, map_.report.index), kernel, settings_lines(map_), tile)

    @classmethod
    def of_planes(
        cls,
        planes: list[Array],
        kernel: Kernel,
        lines: list[str],
        tile: int,
        abreast: int = 1,
        most: int = MOST_PLANES,
    ) -> KernelGrid:
        """The grid of some planes of a kernel, in ``tile`` × ``tile`` pixels if it fits.

        Args:
            lines: text below the squares.
            most: planes that are drawn; the others are counted.
        """
        omitted = len(planes) - most
        planes, share = _readable(planes[:most], kernel.exact.denominator if kernel.exact else 1)
        high = planes[0].shape[0] * -(-len(planes) // abreast)
        wide = planes[0].shape[1] * min(abreast, len(planes))
        below = ([f"and {counted(omitted, 'more plane')}"] if omitted > 0 else []) + lines
        room = max(tile - 16 * (len(below) + 1) - 8 * (-(-len(planes) // abreast)), 64)
        usual = min(_CELL, max(min(room // high, tile // wide), 1))
        texts, cell = _number_texts(
            planes, usual, (_SQUARE if high <= _FEW else _CLOSE) if wide <= _FEW else 1
        )
        notes = [f"× 1/{share}"] if share > 1 else []
        if not all(font_size(plane.flat, cell) for plane in texts):
            notes = [_range_of(planes, share)]
        return cls(planes, texts, cell, notes + below, abreast)

    @property
    def _plane_size(self) -> tuple[int, int]:
        """(rows, columns) of a plane in pixels."""
        rows, columns = self.planes[0].shape if self.planes else (0, 0)
        return rows * self.cell, columns * self.cell

    @property
    def drawn_width(self) -> int:
        """Width of the squares in pixels."""
        abreast = min(self.abreast, len(self.planes))
        return abreast * (self._plane_size[1] + _BELOW) - _BELOW if abreast else 0

    @property
    def width(self) -> int:
        return max(self.drawn_width, *(math.ceil(width(line, _SMALL)) for line in self.lines))

    @property
    def height(self) -> int:
        return 2 * self.middle + _BELOW + 16 * len(self.lines) + 4

    @property
    def middle(self) -> int:
        """Pixels from the top of the squares to their middle."""
        if not self.planes:
            return 8 * len(self.lines)
        rows = -(-len(self.planes) // self.abreast)
        return (rows * (self._plane_size[0] + _BELOW) - _BELOW) // 2

    def items(self, place: tuple[int, int]) -> Iterator[Item]:
        """The squares and the lines below them."""
        (left, top), (high, wide) = place, self._plane_size
        limit = max((float(np.abs(plane).max()) for plane in self.planes), default=0.0)
        size = min((font_size(texts.flat, self.cell) for texts in self.texts), default=0)
        for index, (plane, texts) in enumerate(zip(self.planes, self.texts, strict=True)):
            row, column = divmod(index, self.abreast)
            corner = left + column * (wide + _BELOW), top + row * (high + _BELOW)
            yield from self._plane(diverging(plane.astype(np.float64), limit), texts, corner, size)
        top += 2 * self.middle + _BELOW if self.planes else 0
        yield from lines_below((left, top), self.lines)

    def _plane(self, colors: Array, texts: Array, place: tuple[int, int], size: int) -> Iterator[Item]:
        if self.cell < _JOINTED:
            yield from framed_image(place, colors, self.cell)
            return
        left, top = place
        for row, column in np.ndindex(texts.shape):
            corner = left + column * self.cell, top + row * self.cell
            red, green, blue = (int(part) for part in colors[row, column])
            yield Rectangle(corner, self.cell + 1, self.cell + 1, (red, green, blue), FRAME)
        yield from cell_texts(place, texts, colors, self.cell, size)


def lines_below(place: tuple[int, int], lines: Iterable[str]) -> Iterator[Item]:
    """Small text, one line below the other."""
    left, top = place
    for line in lines:
        yield from text_line((left, top), line, _SMALL, FAINT, 1e9)
        top += 16


def kernel_facts(kernel: Kernel, index: int | None) -> str:
    """The size of a kernel, and the sum of its weights.

    Args:
        index: the map that is meant; None for all.
    """
    (rows, columns), inputs = kernel.size, kernel.tensor_shape[-2]
    size = f"{rows} × {columns}{f' × {inputs}' if inputs > 1 else ''} weights"
    if index is None and kernel.maps > 1:
        return f"{counted(kernel.maps, 'kernel')} of {size}"
    if kernel.combine or index is None:
        return size
    weights = kernel.weights.reshape(-1, kernel.maps)[:, index]
    total = kernel.map_sums[index]
    total = 0.0 if abs(total) <= ROUNDING * float(np.abs(weights).sum()) else total
    return f"{size}, sum {axis_text(as_decimal(total))}"


def cell_texts(place: tuple[int, int], texts: Array, colors: Array, cell: int, size: int) -> Iterator[Item]:
    """Text in each cell of a grid.

    Args:
        texts, colors: (rows, columns) and (rows, columns, 3).
        cell: side of a cell in pixels.
        size: font size; 0 for no text.
    """
    left, top = place
    if not size:
        return
    for row, column in np.ndindex(texts.shape):
        ink = _WHITE if float(colors[row, column] @ _LUMA) < _DARK else INK
        middle = left + (column + 0.5) * cell, top + row * cell + round(cell / 2 + size * 0.36)
        yield Text(middle, str(texts[row, column]), size, ink, "middle")


def font_size(texts: Iterable[str], cell: int) -> int:
    """The largest font size at which every text fits a cell; 0 if none does."""
    distinct = set(texts)
    for size in _SIZES:
        if size <= cell - 6 and max(width(text, size) for text in distinct) <= cell - 6:
            return size
    return 0


def _number_texts(planes: list[Array], usual: int, most: int) -> tuple[list[Array], int]:
    """The numbers in the squares, of three digits or else two, and the side of a square.

    Squares grow from ``usual`` to ``most`` pixels if the numbers then fit.
    """
    for digits in (3, 2):
        texts = [_texts(plane, digits) for plane in planes]
        longest = max(len(text) for plane in texts for text in plane.flat)
        cell = max(usual, min(8 * longest + 10, most))
        if all(font_size(plane.flat, cell) for plane in texts):
            return texts, cell
    return texts, usual


def _readable(planes: list[Array], denominator: int) -> tuple[list[Array], int]:
    """The weights as they are written, and their divisor: integers if they are short, else decimals."""
    integers = planes[0].dtype.kind != "f"
    longest = max(len(str(value)) for plane in planes for value in (plane.max(), plane.min()))
    if integers and (denominator == 1 or longest <= _SHORT):
        return planes, denominator
    largest = max(float(np.abs(plane).max()) for plane in planes) / denominator
    share = _THOUSAND if 0 < largest < _SMALL_WEIGHT else 1
    return [plane.astype(np.float64) / denominator * share for plane in planes], share


def _range_of(planes: list[Array], share: int) -> str:
    """The range of weights in squares without numbers."""
    low, high = min(plane.min() for plane in planes), max(plane.max() for plane in planes)
    ends = [
        Fraction(int(end), share) if planes[0].dtype.kind in "iuO" else float(end) / share
        for end in (low, high)
    ]
    if low == high:
        return f"all weights {with_minus(number_text(ends[0]))}"
    return f"weights {axis_text(ends[0])} … {axis_text(ends[1])}"


def _network_lines(network: MapFacts) -> list[str]:
    """What stands for the kernel where a network made the map: its file, and the receptive field."""
    size = network.field.size
    field = "receptive field unknown" if size is None else f"receptive field {' × '.join(map(str, size))}"
    return [Path(network.model).name, field]


def settings_lines(map_: DisplayMap) -> list[str]:
    """The settings of a convolution: bias, combination, direction, stride, dilation, padding."""
    settings, report = map_.settings, map_.report
    kernel = settings.kernel
    bias = kernel.biases[min(report.index, kernel.maps - 1)]
    lines = [f"bias {with_minus(number_text(bias))}"] if bias else []
    lines += [f"{kernel.combine} of {kernel.maps} maps"] if kernel.combine else []
    lines.append(operation_text(settings.flip, settings.transposed))
    return [*lines, *step_lines(settings.stride, settings.dilation), padding_line(settings.padding)]


def step_lines(stride: tuple[int, ...], dilation: tuple[int, ...] = (1, 1)) -> list[str]:
    """Stride and dilation where they are not 1."""
    pairs = {"stride": (stride * 2)[:2], "dilation": (dilation * 2)[:2]}
    return [
        f"{name} {rows}, {columns}" for name, (rows, columns) in pairs.items() if (rows, columns) != (1, 1)
    ]


def padding_line(padding: Padding) -> str:
    """The padding of a convolution; without a fill if there is nothing to fill."""
    return f"padding {'valid' if padding.amount == 'valid' else padding}"


def _texts(plane: Array, digits: int) -> Array:
    """The number in each square."""
    near = _ROUNDING * float(np.abs(plane).max())
    floats = plane.dtype.kind == "f"
    texts = [
        _decimal(float(value), near, digits) if floats else with_minus(str(value)) for value in plane.flat
    ]
    return np.array(texts, object).reshape(plane.shape)


def _decimal(value: float, near: float, digits: int) -> str:
    """The value to so many digits; a large number may have more."""
    if abs(value) <= near:
        return "0"
    text = axis_text(value, 6)
    return text if abs(value) >= _LARGE and len(text) <= _SHORT + 1 else axis_text(value, digits)
