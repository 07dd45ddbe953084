"""What a stage of a chain does, as a drawing: weights, the curve of a function, or the windows of a pool."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any, Final, Protocol

import numpy as np

from convcli.core.errors import one_line
from convcli.core.frozen import frozen
from convcli.core.numerals import axis_text, formula_text, number_text, with_minus
from convcli.core.rational import FloatArray, Number
from convcli.engine.chain.activation import planned as planned_activation
from convcli.engine.chain.stage import StageOptions
from convcli.engine.chain.values import Values
from convcli.engine.filter import OTHER
from convcli.engine.planner import choose
from convcli.geometry.describe import operation_text
from convcli.kernels.describe import title
from convcli.kernels.kernel import Kernel
from convcli.layers.activations import ACTIVATIONS
from convcli.layers.stages import ActivationStage, ConvolutionStage, PoolStage, Stage
from convcli.visualize.kernel_grid import KernelGrid, kernel_facts, lines_below, padding_line, step_lines
from convcli.visualize.lettering import Ink, width, wrapped
from convcli.visualize.panels import kernel_planes
from convcli.visualize.scene import FAINT, FRAME, INK, Item, Line, Rectangle, Text

_SMALL: Final = 12  # font size
_GRID: Final = 216  # largest height of a kernel with its text
_MOST_PLANES: Final = 6
_SIDE: Final = 132  # of the drawing of a function or pool, in pixels
_WORDS: Final = 152  # longest line below a curve
_NUMBERS: Final = 18  # below a curve, for the numbers of its axis
_BELOW: Final = 8
_WHITE: Final = (255, 255, 255)
_LIGHT: Final = (226, 229, 233)
_STRONG: Final = (120, 126, 134)


class Drawing(Protocol):
    """A drawing with lines of text below it.

    Attributes:
        width, height: of everything, in pixels.
        middle: pixels from the top to the middle of the drawing, where arrows point.
    """

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def middle(self) -> int: ...
    def items(self, place: tuple[int, int]) -> Iterator[Item]:
        """Everything, with the top left corner at ``place``."""
        ...


@frozen(eq=False)
class Operation:
    """A stage as it is drawn, with its name and a few facts."""

    title: str
    facts: str
    drawing: Drawing


def operation(stage: Stage, place: int) -> Operation:
    """The drawing of a stage.

    Args:
        place: of the stage in its chain, from 1.
    """
    if isinstance(stage, ActivationStage):
        return Operation(one_line(stage.name), f"stage {place}", Curve.of(stage))
    if isinstance(stage, PoolStage):
        return Operation(stage.name, f"stage {place}", Windows(stage))
    kernel = stage.kernel
    facts = f"stage {place}: {kernel_facts(kernel, 0 if kernel.maps == 1 else None)}"
    return Operation(one_line(title(kernel)), facts, _weights(stage))


def _weights(stage: ConvolutionStage) -> KernelGrid:
    """The weights of all maps of a kernel, those of one map in a row if they are few."""
    kernel, inputs = stage.kernel, stage.kernel.tensor_shape[-2]
    planes = [plane for index in range(stage.own_maps) for plane in kernel_planes(kernel, index)]
    abreast = inputs if inputs in (2, 3) else min(len(planes), 2)
    return KernelGrid.of_planes(planes, kernel, _convolution_lines(stage), _GRID, abreast, _MOST_PLANES)


def _convolution_lines(stage: ConvolutionStage) -> list[str]:
    kernel = stage.kernel
    lines = [_bias_line(kernel)] if any(kernel.biases) else []
    lines += [f"{kernel.combine} of {kernel.maps} maps"] if kernel.combine else []
    lines += [operation_text(stage.flip, stage.transposed)]
    lines += [f"{stage.groups} groups"] if stage.groups > 1 else []
    return [*lines, *step_lines(stage.stride, stage.dilation), padding_line(stage.padding)]


def _bias_line(kernel: Kernel) -> str:
    low, high = min(kernel.biases), max(kernel.biases)
    if low == high:
        return f"bias {with_minus(number_text(low))}"
    return f"biases {axis_text(low)} … {axis_text(high)}"


@frozen(eq=False)
class View:
    """The part of a function that is drawn.

    Attributes:
        domain: the lowest and the highest argument.
        across, up: the numbers at the axes.
    """

    domain: tuple[float, float]
    across: tuple[Number, ...] = (Fraction(0),)
    up: tuple[Number, ...] = (Fraction(0),)


_ZERO, _ONE = Fraction(0), Fraction(1)
_VIEWS: Final = {
    "sigmoid": View((-6, 6), (Fraction(-5), _ZERO, Fraction(5)), (_ZERO, _ONE)),
    "tanh": View((-3, 3), (Fraction(-2), _ZERO, Fraction(2)), (-_ONE, _ZERO, _ONE)),
}
"""Functions that have a scale; others are drawn from −1 to 1, or around their limits."""


def _view(stage: ActivationStage) -> View:
    if stage.function in _VIEWS:
        return _VIEWS[stage.function]
    limits = stage.arguments
    if stage.function not in ("clip", "threshold"):
        return View((-1, 1))
    low, high = float(limits[0]), float(limits[-1])
    room = 0.6 * ((high - low) or abs(low) or 1)
    return View((low - room, high + room), limits, limits if stage.function == "clip" else (_ZERO, _ONE))


@frozen(eq=False)
class Curve:
    """The curve of a function with its axes, and what it does in words.

    Attributes:
        points: (2, points): arguments and values.
    """

    view: View
    points: FloatArray
    lines: list[str]

    @classmethod
    def of(cls, stage: ActivationStage) -> Curve:
        view = _view(stage)
        arguments = _arguments(view, stage)
        return cls(view, np.stack([arguments, _computed(stage, arguments)]), _balanced(words(stage)))

    @property
    def width(self) -> int:
        return _SIDE + 8 + max(math.ceil(width(axis_text(number), _SMALL)) for number in self.view.up)

    @property
    def height(self) -> int:
        return _SIDE + _NUMBERS + _BELOW + 16 * len(self.lines)

    @property
    def middle(self) -> int:
        return _SIDE // 2

    def items(self, place: tuple[int, int]) -> Iterator[Item]:
        left, top = place
        yield Rectangle(place, _SIDE, _SIDE, _WHITE, FRAME)
        (across,), (up,) = self._pixels([0], 0).round(), self._pixels([0], 1).round()
        if 0 < across < _SIDE - 1:
            yield Line((left + across, top + 1), (left + across, top + _SIDE - 2), FRAME)
        if 0 < up < _SIDE - 1:
            yield Line((left + 1, top + up), (left + _SIDE - 2, top + up), FRAME)
        corners = _corners(np.stack([self._pixels(self.points[axis], axis) for axis in (0, 1)]))
        for (x, y), (other, below) in pairwise(corners.T.round(2).tolist()):
            yield Line((left + x, top + y), (left + other, top + below), INK, smooth=True, stroke=2)
        yield from self._numbers(place)
        yield from lines_below((left, top + _SIDE + _NUMBERS + _BELOW), self.lines)

    def _pixels(self, values: Any, axis: int) -> FloatArray:
        """Pixels from the left of arguments, or from the top of values of the function."""
        low, high = float(self.points[axis].min()), float(self.points[axis].max())
        room = 0.12 * ((high - low) or 1) if axis else 0.0
        shares = (np.asarray(values, np.float64) - (low - room)) / (high - low + 2 * room)
        pixels: FloatArray = (1 - shares if axis else shares) * (_SIDE - 1)
        return pixels

    def _places(self, numbers: Sequence[Number], axis: int) -> list[int]:
        return [round(float(pixel)) for pixel in self._pixels([float(number) for number in numbers], axis)]

    def _numbers(self, place: tuple[int, int]) -> Iterator[Item]:
        """The numbers below and to the right, as far as they do not overlap."""
        (left, top), last = place, -1e9
        texts = [axis_text(number) for number in self.view.across]
        for at, text in zip(self._places(self.view.across, 0), texts, strict=True):
            half = width(text, _SMALL) / 2
            if at - half > last + 4:
                yield Line((left + at, top + _SIDE), (left + at, top + _SIDE + 3))
                yield Text((left + at, top + _SIDE + 15), text, _SMALL, FAINT, "middle")
                last = at + half
        taken = 1e9
        for at, number in zip(self._places(self.view.up, 1), self.view.up, strict=True):
            if at < taken - _SMALL - 2:
                yield Line((left + _SIDE, top + at), (left + _SIDE + 3, top + at))
                yield Text((left + _SIDE + 7, top + at + 4), axis_text(number), _SMALL, FAINT)
                taken = at


def _arguments(view: View, stage: ActivationStage) -> FloatArray:
    """One argument for each pixel, and those at both sides of a step."""
    limits = [float(number) for number in stage.arguments if view.domain[0] < number < view.domain[1]]
    sides = [float(np.nextafter(limit, limit + side)) for limit in limits for side in (-1, 1)]
    return np.sort([*np.linspace(*view.domain, _SIDE), *limits, *sides])


def _balanced(text: str) -> list[str]:
    """The text in as few lines as it needs, all about equally long."""
    fewest = len(wrapped(text, _SMALL, _WORDS))
    rooms = (wrapped(text, _SMALL, room) for room in range(_WORDS // 2, _WORDS + 1, 4))
    return next((lines for lines in rooms if len(lines) == fewest), wrapped(text, _SMALL, _WORDS))


def _computed(stage: ActivationStage, arguments: FloatArray) -> FloatArray:
    """The values of a function as the engine computes them."""
    double = np.dtype(np.float64)
    low, high = float(arguments[0]), float(arguments[-1])
    values = Values(1, (1, arguments.size), 1, 1, double, low, high, 1, False, OTHER)
    results = arguments.copy()
    planned_activation(stage, values, StageOptions(choose, double=True)).formula.apply(results)
    return results


def _corners(points: FloatArray, tolerance: float = 0.3) -> FloatArray:
    """The points (2, n) of a line that deviates from all points by at most ``tolerance``.

    The algorithm is that of Ramer, Douglas and Peucker, with vertical distances.
    """
    across, up = points
    line = up[0] + (up[-1] - up[0]) * (across - across[0]) / ((across[-1] - across[0]) or 1)
    inner = np.abs(up - line)[1:-1]
    if not inner.size or inner.max() <= tolerance:
        return points[:, [0, -1]]
    farthest = 1 + int(inner.argmax())
    first, second = _corners(points[:, : farthest + 1]), _corners(points[:, farthest:])
    return np.concatenate([first, second[:, 1:]], axis=1)


def words(stage: ActivationStage) -> str:
    """What a function does, with its parameters in place of their names."""
    activation = ACTIVATIONS[stage.function]
    text = activation.help
    names = re.findall(r"[A-Z]+", activation.usage)
    for name in names[len(stage.arguments) :]:
        text = re.sub(rf" \([^)]*\b{name}\b[^)]*\)", "", text)
    for name, number in zip(names, stage.arguments, strict=False):
        text = re.sub(rf"\b{name}\b", formula_text(number), text)
    return text.replace("(", "").replace(")", "") if stage.arguments else text


@frozen(eq=False)
class Windows:
    """The window of a pool among cells, and the window after it."""

    stage: PoolStage

    @property
    def _extent(self) -> tuple[int, int]:
        """Rows and columns from the first to the last value of a window."""
        pairs = zip(self.stage.window, self.stage.dilation, strict=True)
        rows, columns = ((size - 1) * step + 1 for size, step in pairs)
        return rows, columns

    @property
    def _cells(self) -> tuple[int, int]:
        """(rows, columns) of cells: those of a window and of the next one in both directions."""
        rows, columns = (size + step for size, step in zip(self._extent, self.stage.stride, strict=True))
        return rows, columns

    @property
    def _cell(self) -> float:
        return min(_SIDE / max(self._cells), 33)

    def _length(self, cells: float) -> int:
        return max(round(cells * self._cell), 1)

    @property
    def lines(self) -> list[str]:
        """What is computed, and the options."""
        stage, (rows, columns) = self.stage, self.stage.window
        kind = "largest" if stage.function == "maxpool" else "average"
        padding = (
            [] if stage.padding.amount == "valid" else [f"padding {str(stage.padding).partition(':')[0]}"]
        )
        rest = ["the last window may be cut off"] if stage.ceiling else []
        steps = [f"stride {stage.stride[0]}, {stage.stride[1]}"]
        steps += step_lines((1, 1), stage.dilation)
        return [f"{kind} of {rows} × {columns}", *steps, *padding, *rest]

    @property
    def width(self) -> int:
        return max(self._length(self._cells[1]), *(round(width(line, _SMALL)) + 1 for line in self.lines))

    @property
    def height(self) -> int:
        return self._length(self._cells[0]) + _BELOW + 16 * len(self.lines) + 4

    @property
    def middle(self) -> int:
        return self._length(self._cells[0]) // 2

    def items(self, place: tuple[int, int]) -> Iterator[Item]:
        (left, top), stage = place, self.stage
        high, wide = map(self._length, self._cells)
        yield Rectangle(place, wide, high, _WHITE, FRAME)
        yield from self._values(place)
        if self._cell >= 5:
            for row in range(1, self._cells[0]):
                at = top + self._length(row)
                yield Line((left, at), (left + wide - 1, at), FRAME)
            for column in range(1, self._cells[1]):
                at = left + self._length(column)
                yield Line((at, top), (at, top + high - 1), FRAME)
        yield from self._area(place, (0, stage.stride[1]), self._extent, None, FAINT)
        yield from self._area(place, (0, 0), self._extent, None, INK, 2)
        yield from lines_below((left, top + high + _BELOW), self.lines)

    def _values(self, place: tuple[int, int]) -> Iterator[Item]:
        """The values of a window as filled cells, with a dark one as the largest."""
        (rows, columns), (down, across) = self.stage.window, self.stage.dilation
        if (down, across) == (1, 1):
            yield from self._area(place, (0, 0), (rows, columns), _LIGHT)
        else:
            for row, column in np.ndindex(rows, columns):
                yield from self._area(place, (row * down, column * across), (1, 1), _LIGHT)
        if self.stage.function == "maxpool":
            largest = (rows - 1) // 2 * down, (columns - 1) * across
            yield from self._area(place, largest, (1, 1), _STRONG)

    def _area(
        self,
        place: tuple[int, int],
        corner: tuple[int, int],
        size: tuple[int, int],
        fill: Ink | None,
        outline: Ink | None = None,
        stroke: int = 1,
    ) -> Iterator[Item]:
        """Some cells as one rectangle."""
        ends = [
            (round(begin * self._cell), self._length(begin + cells))
            for begin, cells in zip(corner, size, strict=True)
        ]
        (top, bottom), (left, right) = ends
        yield Rectangle((place[0] + left, place[1] + top), right - left, bottom - top, fill, outline, stroke)
