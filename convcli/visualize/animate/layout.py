"""Where everything stands in the frames of a sliding kernel, and what is written there."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import product
from typing import Final

from convcli.core.dtypes import Array
from convcli.core.errors import one_line
from convcli.core.rational import Number
from convcli.geometry.padding import Pair, amount_text
from convcli.kernels.describe import map_name
from convcli.visualize.animate.cells import LEGIBLE, TEXT, Area, Type, brief
from convcli.visualize.animate.moments import Moment, Slide
from convcli.visualize.text import width

MARGIN: Final = 28
TITLE, SMALL = 22, 13  # sizes of text
LINE: Final = 24
SIGN: Final = 44  # between two grids, for the sign
_GAP: Final = 76
_PANEL: Final = 430  # pixels, the longest side of a grid or a picture
_LEAST_PANEL: Final = 112
_CELLS: Final = (32, 46)
_SIDES: Final = {1: 46, 2: 46, 3: 46, 4: 42, 5: 38, 6: 34, 7: 34, 8: 32, 9: 32, 10: 32, 11: 32}
"""Pixels of a cell below, by the longer side of the kernel; larger ones are colors without numbers."""
_WIDE_CELL: Final = 72
_WIDE_PANEL: Final = 540  # pixels of a grid whose numbers need them
_COLORED: Final = 190  # pixels of such a kernel
_WIDEST: Final = 1180
_BESIDE: Final = 44  # between the products and the steps
_SWATCH: Final = 28
_ROOMY: Final = 760  # a frame may be so wide for the sake of the steps
MOST_PLANES: Final = 4  # patches below each other


class Stage:
    """The places of everything, found once for all frames."""

    def __init__(self, slide: Slide) -> None:
        self.slide = slide
        self.geometry = slide.task.geometry
        self.planes = slide.moments[0].channel.planes[:MOST_PLANES]
        self.kernel: Pair = self.planes[0].weights.shape
        self.side = self._side()
        top = MARGIN + TITLE + LINE + 42
        spans, region = slide.spans, slide.region
        longest = max(last - first for first, last in (*spans, *region))
        outputs = max(last - first for first, last in region)
        if slide.cells is not None:
            cell: float = min(max(_PANEL // longest, _CELLS[0]), _CELLS[1])
            values = [channel.value for _, channel in slide.outputs]
            own: float = _roomy(values, int(cell), _WIDE_PANEL // outputs)
            cell = _roomy(slide.cells.flat, int(cell), _WIDE_PANEL // longest)
        else:
            cell = min(_PANEL / longest, 16)
            own = max(cell, _LEAST_PANEL / outputs)
        self.input = Area(MARGIN, top, *spans, cell)
        left = max(self.input.wide + _GAP, math.ceil(width(self.labels[0], SMALL)) + 24)
        self.output = Area(MARGIN + left, top, *region, own)
        self.outputs = dict(slide.outputs)
        captions = 12 + LINE * max(map(len, self.captions))
        self.below = top + max(self.input.high, self.output.high + captions) + (56 if self.grid else 66)

    def _side(self) -> int:
        """Pixels of a cell below, where every product can be read."""
        least = _SIDES.get(max(self.kernel))
        if least is None:
            return max(_COLORED // max(self.kernel), 2)
        most = (_WIDEST - 2 * SIGN) // (3 * int(self.kernel[1]))
        values = (value for grids in self._grids().values() for grid in grids for value in grid.flat)
        return _roomy(values, least, min(most, _WIDE_CELL))

    def _grids(self) -> dict[str, list[Array]]:
        """Every grid that stands below at some moment."""
        planes = [plane for moment in self.slide.moments for plane in moment.channel.planes[:MOST_PLANES]]
        return {
            "patch": [plane.parts[-1][1] for plane in planes],
            "kernel": [plane.weights for plane in self.planes],
            "products": [plane.products for plane in planes],
        }

    @property
    def grid(self) -> bool:
        """Whether numbers are shown, not pictures."""
        return self.slide.cells is not None

    @property
    def numbered(self) -> bool:
        """Whether the kernel is small enough for numbers."""
        return max(self.kernel) in _SIDES

    @cached_property
    def types(self) -> dict[str, Type]:
        """How the numbers of each grid are written, the same at every moment."""
        cells = self.slide.cells
        types = {
            name: Type.fitting((value for grid in grids for value in grid.flat), self.side)
            for name, grids in self._grids().items()
            if self.numbered
        }
        if cells is not None:
            outputs = [channel.value for _, channel in self.slide.outputs]
            types["input"] = Type.fitting(cells.ravel(), self.input.cell)
            types["output"] = Type.fitting(outputs, self.output.cell)
        return types

    @cached_property
    def captions(self) -> list[list[str]]:
        """Below the feature map at every moment: which output, and its value beside its pixel."""
        return [self._caption(moment) for moment in self.slide.moments]

    def _caption(self, moment: Moment) -> list[str]:
        (row, column), channel = moment.found.spot.at, moment.channel
        found = [f"row {row}, column {column}"]
        if self.slide.shaded:
            value, pixel = brief(channel.value), brief(channel.pixel)
            found.append(f"value {value}" if value == pixel else f"value {value}, pixel {pixel}")
        return found

    @cached_property
    def reached(self) -> tuple[set[int], set[int]]:
        """The rows and the columns that some window reads."""
        rows, columns = (
            {place for output in range(axis.output) for place in range(*axis.window(output), axis.dilation)}
            for axis in self.geometry.axes
        )
        return rows, columns

    @cached_property
    def missed(self) -> list[Pair]:
        """The positions of the grid that no window reads."""
        places = product(*(range(*span) for span in self.slide.spans))
        return [(i, j) for i, j in places if i not in self.reached[0] or j not in self.reached[1]]

    @cached_property
    def lines(self) -> list[list[tuple[str, str]]]:
        """The steps of every moment: name, and how with what it gives."""
        return [self._steps(moment) for moment in self.slide.moments]

    def _steps(self, moment: Moment) -> list[tuple[str, str]]:
        channel = moment.channel
        steps = channel.steps if self.slide.shaded else channel.steps[: channel.valued]
        return [
            (step.name, f"{step.how} = {brief(step.value)}" if step.how else brief(step.value))
            for step in steps
        ]

    @cached_property
    def names(self) -> int:
        """Pixels of the longest name of a step."""
        return round(max(width(name, TEXT) for lines in self.lines for name, _ in lines)) + 18

    @property
    def more(self) -> str:
        """Which planes are not shown; empty where all are."""
        first, last = len(self.planes), len(self.slide.moments[0].channel.planes) - 1
        return f"kernels {first} to {last}: their sums alone" if last >= first else ""

    @property
    def equation(self) -> int:
        """Pixels of patch · kernel = products."""
        return 3 * int(self.kernel[1]) * self.side + 2 * SIGN

    @cached_property
    def heading(self) -> tuple[str, str]:
        """The title, and the settings below it."""
        settings, axes = self.slide.settings, self.geometry.axes
        name, _ = map_name(settings.kernel, 0)
        sizes = [" × ".join(map(str, each)) for each in (self.geometry.input, self.geometry.output)]
        words = [f"{sizes[0]} → {sizes[1]}", f"stride {_both([axis.stride for axis in axes])}"]
        padded = any(axis.before or axis.after for axis in axes)
        amount, fill = amount_text(settings.padding.amount), settings.padding.fill
        by = "with" if fill.mode == "constant" else "by"
        words.append(f"padding {amount}, filled {by} {fill}" if padded else "no padding")
        if any(axis.dilation > 1 for axis in axes):
            words.append(f"dilation {_both([axis.dilation for axis in axes])}")
        if settings.flip:
            words.append("kernel turned by 180°")
        return f"{one_line(name)} over {one_line(self.slide.source)}", "  ·  ".join(words)

    @cached_property
    def labels(self) -> tuple[str, str]:
        """Above the input and the feature map."""
        read = self._part(self.slide.spans, self.geometry.input)
        return f"input{read}", f"feature map{self._part(self.slide.region, self.geometry.output)}"

    def _part(self, spans: Sequence[Pair], whole: Sequence[int]) -> str:
        """Which rows and columns are shown, where not all are."""
        if all(first <= 0 and last >= size for (first, last), size in zip(spans, whole, strict=True)):
            return ""
        rows, columns = (f"{first} to {last - 1}".replace("-", "−") for first, last in spans)
        return f", rows {rows}, columns {columns}"

    @cached_property
    def size(self) -> Pair:
        """Columns and rows of a frame."""
        wide = max(
            self._above,
            self.equation + (_BESIDE + self._steps_wide if self.beside else 0),
            0 if self.beside else self._steps_wide,
            width(self.heading[0], TITLE),
            width(self.heading[1], SMALL),
        )
        lines = 0 if self.beside else max(map(len, self.lines)) * LINE + 8
        high = self._planes_end + lines + MARGIN
        return _even(min(math.ceil(wide), _WIDEST) + 2 * MARGIN), _even(high)

    @property
    def _above(self) -> float:
        """Pixels from the left of the input to the right of the feature map."""
        captions = (width(text, TEXT) for caption in self.captions for text in caption)
        texts = *captions, width(self.labels[1], SMALL)
        return self.output.left - MARGIN + max(self.output.wide, *texts)

    @cached_property
    def _steps_wide(self) -> int:
        texts = [width(how, TEXT) for lines in self.lines for _, how in lines]
        return self.names + math.ceil(max(texts)) + (_SWATCH if self.slide.shaded else 0)

    @cached_property
    def beside(self) -> bool:
        """Whether the steps have room at the right of the products, else they stand below."""
        lines = max(map(len, self.lines)) * LINE
        fits = self.equation + _BESIDE + self._steps_wide <= max(self._above, _ROOMY)
        return fits and lines <= self._planes_end - self.below

    @property
    def _planes_end(self) -> int:
        each = self.kernel[0] * self.side + (22 if len(self.planes) > 1 else 0)
        return self.below + len(self.planes) * (each + 14) + (LINE if self.more else 0)

    @cached_property
    def steps(self) -> Pair:
        """Left and top of the steps."""
        if not self.beside:
            return MARGIN, self._planes_end + 8
        lines = max(map(len, self.lines)) * LINE
        return MARGIN + self.equation + _BESIDE, (self.below + self._planes_end - 14 - lines) // 2 + 4


def _roomy(values: Iterable[Number], least: int, most: int) -> int:
    """Pixels of a cell in which every number can be read in full, up to the most."""
    widest = max(width(text, LEGIBLE) for text in {brief(value) for value in values})
    return min(max(least, math.ceil(widest) + 11), max(most, least))


def _both(values: Sequence[int]) -> str:
    """``2``, or ``2 × 1`` where the axes differ."""
    return str(values[0]) if len(set(values)) == 1 else " × ".join(map(str, values))


def _even(value: int) -> int:
    return value + value % 2
