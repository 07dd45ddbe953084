"""Where everything is in the frames of an animation, and what is written there."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import product
from typing import Final

from convcli.core.dtypes import Array
from convcli.core.errors import one_line
from convcli.core.numerals import cell_text, with_minus
from convcli.core.rational import Number
from convcli.geometry.padding import Pair
from convcli.kernels.describe import map_name
from convcli.visualize.animate.cells import LEGIBLE, TEXT, Area, NumberStyle
from convcli.visualize.animate.content import Animation, Frame
from convcli.visualize.lettering import width

MARGIN: Final = 28
TITLE, SMALL = 22, 13  # font sizes
LINE: Final = 24
SIGN: Final = 44  # between two grids, for · and =
PLANE_TITLE: Final = 22
MOST_PLANES: Final = 4  # patches below each other
_PLANE_GAP: Final = 14
_GAP: Final = 76  # between input and feature map
_PANEL: Final = 430  # longest side of a grid or an image
_SMALLEST_PANEL: Final = 112
_INPUT_CELL: Final = (32, 46)  # smallest and largest
_CELLS: Final = {1: 46, 2: 46, 3: 46, 4: 42, 5: 38, 6: 34, 7: 34, 8: 32, 9: 32, 10: 32, 11: 32}
"""Pixels of a cell of the kernel, by its longer side; larger kernels are colors without numbers."""
_WIDEST_CELL: Final = 72
_WIDEST_PANEL: Final = 540  # of a grid whose numbers need it
_COLORED: Final = 190  # longer side of a kernel without numbers
_WIDEST: Final = 1180  # frame without its margins
_ROOMY: Final = 760  # width to which a frame grows to have the steps beside the products
_BESIDE: Final = 44  # between the products and the steps
_SWATCH: Final = 28


class FrameLayout:
    """Places and texts of all frames of one animation; all lengths are pixels.

    Attributes:
        planes: the kernel's planes that are drawn, as in the first frame.
        kernel: rows and columns of the kernel.
        cell: side of a cell of patch, kernel and products.
        input, output: the areas of the input and the feature map.
        outputs: the channel of every output of a grid.
        below: top of the first patch.
    """

    def __init__(self, animation: Animation) -> None:
        self.animation = animation
        self.geometry = animation.task.geometry
        self.planes = animation.frames[0].channel.planes[:MOST_PLANES]
        self.kernel: Pair = self.planes[0].weights.shape
        self.outputs = dict(animation.outputs)
        self.cell = self._kernel_cell()
        input_cell, output_cell = self._cells()
        top = MARGIN + TITLE + LINE + 42
        self.input = Area(MARGIN, top, *animation.spans, input_cell)
        left = max(self.input.width + _GAP, math.ceil(width(self.labels[0], SMALL)) + 24)
        self.output = Area(MARGIN + left, top, *animation.region, output_cell)
        captions = 12 + LINE * max(map(len, self.captions))
        gap = 56 if self.is_grid else 66
        self.below = top + max(self.input.height, self.output.height + captions) + gap

    def _cells(self) -> tuple[float, float]:
        """Sides of the cells of input and feature map."""
        spans, region = self.animation.spans, self.animation.region
        longest = max(last - first for first, last in (*spans, *region))
        outputs = max(last - first for first, last in region)
        if self.animation.cells is None:
            cell = min(_PANEL / longest, 16)
            return cell, max(cell, _SMALLEST_PANEL / outputs)
        smallest, largest = _INPUT_CELL
        least = min(max(_PANEL // longest, smallest), largest)
        values = [channel.value for channel in self.outputs.values()]
        return (
            _readable_cell(self.animation.cells.flat, least, _WIDEST_PANEL // longest),
            _readable_cell(values, least, _WIDEST_PANEL // outputs),
        )

    def _kernel_cell(self) -> int:
        """Side of a cell in which every product can be read, if the kernel is small enough."""
        least = _CELLS.get(max(self.kernel))
        if least is None:
            return max(_COLORED // max(self.kernel), 2)
        most = (_WIDEST - 2 * SIGN) // (3 * int(self.kernel[1]))
        values = (value for grids in self._grids().values() for grid in grids for value in grid.flat)
        return _readable_cell(values, least, min(most, _WIDEST_CELL))

    def _grids(self) -> dict[str, list[Array]]:
        """Every patch, kernel and product grid of all frames."""
        planes = [plane for frame in self.animation.frames for plane in frame.channel.planes[:MOST_PLANES]]
        return {
            "patch": [plane.parts[-1][1] for plane in planes],
            "kernel": [plane.weights for plane in self.planes],
            "products": [plane.products for plane in planes],
        }

    @property
    def is_grid(self) -> bool:
        """Whether input and feature map are grids of numbers, not images."""
        return self.animation.cells is not None

    @property
    def numbered(self) -> bool:
        """Whether the kernel is small enough for numbers."""
        return max(self.kernel) in _CELLS

    @cached_property
    def styles(self) -> dict[str, NumberStyle]:
        """How the numbers of each grid are written, in all frames alike; grids without numbers have none."""
        styles = {}
        if self.numbered:
            for name, grids in self._grids().items():
                values = (value for grid in grids for value in grid.flat)
                styles[name] = NumberStyle.fitting(values, self.cell)
        if self.animation.cells is not None:
            outputs = [channel.value for channel in self.outputs.values()]
            styles["input"] = NumberStyle.fitting(self.animation.cells.ravel(), self.input.cell)
            styles["output"] = NumberStyle.fitting(outputs, self.output.cell)
        return styles

    @cached_property
    def captions(self) -> list[list[str]]:
        """Lines below the feature map in each frame: the output's place, and its value beside its pixel."""
        return [self._caption(frame) for frame in self.animation.frames]

    def _caption(self, frame: Frame) -> list[str]:
        (row, column), channel = frame.explanation.window.at, frame.channel
        lines = [f"row {row}, column {column}"]
        if self.animation.shaded:
            value, pixel = cell_text(channel.value), cell_text(channel.pixel)
            lines.append(f"value {value}" if value == pixel else f"value {value}, pixel {pixel}")
        return lines

    @cached_property
    def unread(self) -> list[Pair]:
        """The positions of the grid that no window reads."""
        rows, columns = (
            {tap for output in range(axis.output) for tap in range(*axis.window(output), axis.dilation)}
            for axis in self.geometry.axes
        )
        positions = product(*(range(*span) for span in self.animation.spans))
        return [(row, column) for row, column in positions if row not in rows or column not in columns]

    @cached_property
    def steps(self) -> list[list[tuple[str, str]]]:
        """The steps of each frame: name, and formula with its result."""
        return [self._steps(frame) for frame in self.animation.frames]

    def _steps(self, frame: Frame) -> list[tuple[str, str]]:
        channel = frame.channel
        steps = channel.steps if self.animation.shaded else channel.steps[: channel.valued]
        return [
            (step.name, f"{step.how} = {cell_text(step.value)}" if step.how else cell_text(step.value))
            for step in steps
        ]

    @cached_property
    def step_names(self) -> int:
        """Width of the column of step names."""
        return round(max(width(name, TEXT) for steps in self.steps for name, _ in steps)) + 18

    @property
    def omitted(self) -> str:
        """Which planes are not drawn; empty if all are."""
        first, last = len(self.planes), len(self.animation.frames[0].channel.planes) - 1
        return f"kernels {first} to {last}: only their sums are shown" if last >= first else ""

    @cached_property
    def heading(self) -> tuple[str, str]:
        """The title, and the settings below it."""
        settings, axes = self.animation.settings, self.geometry.axes
        name, _ = map_name(settings.kernel, 0)
        input_size, output_size = (
            " × ".join(map(str, size)) for size in (self.geometry.input, self.geometry.output)
        )
        parts = [f"{input_size} → {output_size}", f"stride {_both([axis.stride for axis in axes])}"]
        padded = any(axis.before or axis.after for axis in axes)
        parts.append(f"padding {settings.padding}" if padded else "no padding")
        if any(axis.dilation > 1 for axis in axes):
            parts.append(f"dilation {_both([axis.dilation for axis in axes])}")
        if settings.flip:
            parts.append("kernel rotated by 180°")
        return f"{one_line(name)} over {one_line(self.animation.source)}", "  ·  ".join(parts)

    @cached_property
    def labels(self) -> tuple[str, str]:
        """Titles of the input and the feature map."""
        animation = self.animation
        read = _part(animation.spans, self.geometry.input)
        return f"input{read}", f"feature map{_part(animation.region, self.geometry.output)}"

    @cached_property
    def size(self) -> Pair:
        """Width and height of a frame, both even."""
        widest = max(
            self._panels_width,
            self._equation_width + (_BESIDE + self._steps_width if self.steps_beside else 0),
            0 if self.steps_beside else self._steps_width,
            width(self.heading[0], TITLE),
            width(self.heading[1], SMALL),
        )
        steps = 0 if self.steps_beside else max(map(len, self.steps)) * LINE + 8
        return _even(min(math.ceil(widest), _WIDEST) + 2 * MARGIN), _even(self._planes_end + steps + MARGIN)

    @property
    def _panels_width(self) -> float:
        """From the left of the input to the right of the feature map or of the texts around it."""
        captions = (width(text, TEXT) for caption in self.captions for text in caption)
        texts = *captions, width(self.labels[1], SMALL)
        return self.output.left - MARGIN + max(self.output.width, *texts)

    @property
    def _equation_width(self) -> int:
        """Of patch · kernel = products."""
        return 3 * int(self.kernel[1]) * self.cell + 2 * SIGN

    @cached_property
    def _steps_width(self) -> int:
        formulas = [width(formula, TEXT) for steps in self.steps for _, formula in steps]
        return self.step_names + math.ceil(max(formulas)) + (_SWATCH if self.animation.shaded else 0)

    @cached_property
    def steps_beside(self) -> bool:
        """Whether the steps fit to the right of the products; otherwise they are below."""
        lines = max(map(len, self.steps)) * LINE
        fits = self._equation_width + _BESIDE + self._steps_width <= max(self._panels_width, _ROOMY)
        return fits and lines <= self._planes_end - self.below

    @property
    def plane_title(self) -> int:
        """Height of the title of each plane where there are several."""
        return PLANE_TITLE if len(self.planes) > 1 else 0

    @property
    def _planes_end(self) -> int:
        """Bottom of the last plane and of the line below it."""
        plane = self.kernel[0] * self.cell + self.plane_title + _PLANE_GAP
        return self.below + len(self.planes) * plane + (LINE if self.omitted else 0)

    @cached_property
    def steps_corner(self) -> Pair:
        """Left and top of the steps."""
        if not self.steps_beside:
            return MARGIN, self._planes_end + 8
        lines = max(map(len, self.steps)) * LINE
        top = (self.below + self._planes_end - _PLANE_GAP - lines) // 2 + 4
        return MARGIN + self._equation_width + _BESIDE, top


def _readable_cell(values: Iterable[Number], least: int, most: int) -> int:
    """Side of a cell in which every number can be read in full, within these limits."""
    widest = max(width(text, LEGIBLE) for text in {cell_text(value) for value in values})
    return min(max(least, math.ceil(widest) + 11), max(most, least))


def _part(spans: Sequence[Pair], size: Sequence[int]) -> str:
    """Which rows and columns are shown; empty if all are."""
    if all(first <= 0 and last >= count for (first, last), count in zip(spans, size, strict=True)):
        return ""
    rows, columns = (with_minus(f"{first} to {last - 1}") for first, last in spans)
    return f", rows {rows}, columns {columns}"


def _both(values: Sequence[int]) -> str:
    """``2``, or ``2 × 1`` where the axes differ."""
    return str(values[0]) if len(set(values)) == 1 else " × ".join(map(str, values))


def _even(value: int) -> int:
    return value + value % 2
