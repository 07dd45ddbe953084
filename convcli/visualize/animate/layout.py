"""Where everything is in the frames of an animation, and what is written there."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
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
from convcli.visualize.animate.content import Animation, Frame, takes_channels
from convcli.visualize.explain.arithmetic import added, total
from convcli.visualize.explain.sums import Channel, Plane
from convcli.visualize.lettering import width

MARGIN: Final = 28
TITLE, SMALL = 22, 13  # font sizes
LINE: Final = 24
SIGN: Final = 44  # between two grids, for · and =
PLANE_TITLE: Final = 22
_PLANE_GAP: Final = 14
_EQUATION_GAP: Final = 56  # between planes beside each other
_GAP: Final = 76  # between input and feature map
_BETWEEN: Final = 28  # between input channels
_PANEL: Final = 430  # longest side of a grid or an image
_SMALLEST_PANEL: Final = 112
_INPUT_CELL: Final = (32, 46)  # smallest and largest
_CELLS: Final = {1: 46, 2: 46, 3: 46, 4: 42, 5: 38, 6: 34, 7: 34, 8: 32, 9: 32, 10: 32, 11: 32}
"""Pixels of a cell of the kernel, by its longer side; larger kernels are colors without numbers."""
_WIDEST_CELL: Final = 72
_WIDEST_PANEL: Final = 540  # of a grid whose numbers need it
_COLORED: Final = 190  # longer side of a kernel without numbers
_WIDEST: Final = 1180  # frame without its margins
_WIDEST_CHANNELS: Final = 1400  # of several input channels
_SMALLEST_CELL: Final = 22  # of several input channels
_SMALL_MAP: Final = 240  # side of a feature map that fits beside them whatever its cells
_LARGEST_NUMBERED: Final = 6  # longer side of a kernel with numbers, of more planes than these
_FEW_PLANES: Final = 2  # that are below each other
_COLORED_CHANNEL: Final = 150  # longer side of one of several kernels without numbers
_ROOMY: Final = 760  # width to which a frame grows to have the steps beside the products
_BESIDE: Final = 44  # between the products and the steps
_SWATCH: Final = 28


class FrameLayout:
    """Places and texts of all frames of one animation; all lengths are pixels.

    Attributes:
        planes: the kernel's planes that are drawn, as in the first frame.
        kernel: rows and columns of the kernel.
        cell: side of a cell of patch, kernel and products.
        inputs, output: the areas of the inputs, side by side, and of the feature map.
        outputs: the channel of every output of a grid.
        below: top of the first patch.
    """

    def __init__(self, animation: Animation) -> None:
        self.animation = animation
        self.geometry = animation.task.geometry
        self.planes = self.shown(animation.frames[0].channel)
        self.kernel: Pair = self.planes[0].weights.shape
        self.outputs = dict(animation.outputs)
        self.cell = self._kernel_cell()
        input_cell, output_cell = self._cells()
        top = MARGIN + TITLE + LINE + 42
        self.inputs = list(self._input_areas(top, input_cell))
        *_, last = self.inputs
        labels = MARGIN + math.ceil(width(self.labels[0], SMALL)) + 24 if len(self.inputs) == 1 else 0
        left = max(last.left + last.width + _GAP, labels)
        self.output = Area(left, top, *animation.region, output_cell)
        captions = 12 + LINE * max(map(len, self.captions))
        gap = 56 if self.is_grid else 66
        self.below = top + max(last.height, self.output.height + captions) + gap

    @property
    def input(self) -> Area:
        """The area of the first input."""
        first: Area = self.inputs[0]
        return first

    def _input_areas(self, top: int, cell: float) -> Iterator[Area]:
        left = MARGIN
        for panel in self.animation.inputs:
            area = Area(left, top, *self.animation.spans, cell)
            yield area
            left += max(area.width, math.ceil(width(panel.name, SMALL))) + _BETWEEN

    def shown(self, channel: Channel) -> list[Plane]:
        """The planes of a channel that are drawn."""
        return [channel.planes[index] for index in self.animation.planes]

    def _cells(self) -> tuple[float, float]:
        """Sides of the cells of input and feature map."""
        spans, region = self.animation.spans, self.animation.region
        longest = max(last - first for first, last in (*spans, *region))
        outputs = max(last - first for first, last in region)
        if not self.animation.is_grid:
            cell = min(_PANEL / longest, 16, self._fitting_cell())
            return cell, max(cell, _SMALLEST_PANEL / outputs)
        smallest, largest = _INPUT_CELL
        least = min(max(_PANEL // longest, smallest), largest)
        values = [channel.value for channel in self.outputs.values()]
        inputs = [value for panel in self.animation.inputs for value in panel.values.flat]
        fitting = self._fitting_cell()
        return (
            min(_readable_cell(inputs, least, _WIDEST_PANEL // longest), fitting),
            min(_readable_cell(values, least, _WIDEST_PANEL // outputs), max(fitting, _SMALL_MAP // outputs)),
        )

    def _fitting_cell(self) -> float:
        """Largest side of a cell with which several inputs fit beside each other and the feature map."""
        count = len(self.animation.inputs)
        if count == 1:
            return math.inf
        (_, columns), (_, outputs) = self.animation.spans, self.animation.region
        across = count * (columns[1] - columns[0]) + outputs[1] - outputs[0]
        cell = (_WIDEST_CHANNELS - _GAP - (count - 1) * _BETWEEN) / across
        return max(math.floor(cell), _SMALLEST_CELL) if self.is_grid else cell

    def _kernel_cell(self) -> int:
        """Side of a cell in which every product can be read, if the kernel is small enough."""
        if not self.numbered:
            longest = _COLORED if len(self.planes) <= _FEW_PLANES else _COLORED_CHANNEL
            return max(longest // max(self.kernel), 2)
        columns = int(self.kernel[1])
        most = (_WIDEST - 2 * SIGN) // (3 * columns)
        if self._several_columns:
            most = ((_WIDEST_CHANNELS - _EQUATION_GAP) // 2 - 2 * SIGN) // (3 * columns)
        values = (value for grids in self._grids().values() for grid in grids for value in grid.flat)
        least = min(_CELLS[max(self.kernel)], most)
        return _readable_cell(values, least, min(most, _WIDEST_CELL))

    @property
    def _several_columns(self) -> bool:
        """Whether planes are beside each other, because they are too many below each other."""
        return self.has_channels and len(self.planes) > _FEW_PLANES

    def _grids(self) -> dict[str, list[Array]]:
        """Every patch, kernel and product grid of all frames."""
        planes = [plane for frame in self.animation.frames for plane in self.shown(frame.channel)]
        return {
            "patch": [plane.parts[-1][1] for plane in planes],
            "kernel": [plane.weights for plane in self.planes],
            "products": [plane.products for plane in planes],
        }

    @property
    def is_grid(self) -> bool:
        """Whether input and feature map are grids of numbers, not images."""
        return self.animation.is_grid

    @property
    def numbered(self) -> bool:
        """Whether the kernel is small enough for numbers."""
        longest = _LARGEST_NUMBERED if self._several_columns else max(_CELLS)
        return max(self.kernel) <= longest

    @cached_property
    def styles(self) -> dict[str, NumberStyle]:
        """How the numbers of each grid are written, in all frames alike; grids without numbers have none."""
        styles = {}
        if self.numbered:
            for name, grids in self._grids().items():
                values = (value for grid in grids for value in grid.flat)
                styles[name] = NumberStyle.fitting(values, self.cell)
        if self.is_grid:
            outputs = [channel.value for channel in self.outputs.values()]
            inputs = [value for panel in self.animation.inputs for value in panel.values.flat]
            styles["input"] = NumberStyle.fitting(inputs, self.input.cell)
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
        formulas = [step.how for step in steps]
        if self.has_channels:
            formulas[0] = self._sum_text(channel)
        return [
            (step.name, f"{how} = {cell_text(step.value)}" if how else cell_text(step.value))
            for step, how in zip(steps, formulas, strict=True)
        ]

    def _sum_text(self, channel: Channel) -> str:
        """The sums of the input channels that are drawn, and that of the others."""
        terms: list[tuple[Number, str]] = [
            (plane.sum, self.animation.label(plane.name)) for plane in self.shown(channel)
        ]
        if others := len(channel.planes) - len(terms):
            rest = total(plane.sum for plane in channel.planes) - total(term for term, _ in terms)
            terms.append((rest, f"{others} other{'s' * (others > 1)}"))
        return added(terms, cell_text)

    @cached_property
    def step_names(self) -> int:
        """Width of the column of step names."""
        return round(max(width(name, TEXT) for steps in self.steps for name, _ in steps)) + 18

    @property
    def has_channels(self) -> bool:
        """Whether the planes are input channels of one feature map."""
        return takes_channels(self.animation.settings)

    @property
    def omitted(self) -> str:
        """Which planes are not drawn; empty if all are."""
        first, last = len(self.planes), len(self.animation.frames[0].channel.planes) - 1
        if last < first:
            return ""
        if not self.has_channels:
            return f"kernels {first} to {last}: only their sums are shown"
        others = last + 1 - first
        return "1 other channel is only added" if others == 1 else f"{others} other channels are only added"

    @cached_property
    def heading(self) -> tuple[str, str]:
        """The title, and the settings below it."""
        settings, axes = self.animation.settings, self.geometry.layer
        name = "".join(map_name(settings.kernel, self.animation.map))
        input_size, output_size = (
            " × ".join(map(str, size)) for size in (self.geometry.input, self.geometry.output)
        )
        parts = ["transposed"] if settings.transposed else []
        parts += [f"{input_size} → {output_size}", f"stride {_both([axis.stride for axis in axes])}"]
        parts.append(self._padding)
        if any(axis.dilation > 1 for axis in axes):
            parts.append(f"dilation {_both([axis.dilation for axis in axes])}")
        if settings.flip:
            parts.append("kernel rotated by 180°")
        if len(self.animation.inputs) > 1 and (read := self._read):
            parts.append(f"input{'' if read.startswith(' ') else ': '}{read.removeprefix(', ')}")
        return f"{one_line(name)} over {one_line(self.animation.source)}", "  ·  ".join(parts)

    @property
    def _padding(self) -> str:
        """The padding, or what a transposed convolution removes and adds."""
        amount = str(self.animation.settings.padding)
        is_padded = any(before or after for before, after in self.geometry.pairs)
        if not self.geometry.transposed:
            return f"padding {amount}" if is_padded else "no padding"
        removed = f"padding {amount.removesuffix(':zero')}, removed" if is_padded else "no padding"
        extra = [axis.output_padding for axis in self.geometry.transposed]
        return f"{removed}  ·  output padding {_both(extra)}" if any(extra) else removed

    @cached_property
    def labels(self) -> list[str]:
        """Titles of the inputs and the feature map."""
        names = [panel.name for panel in self.animation.inputs]
        if len(names) == 1:
            names = [f"{names[0]}{self._read}"]
        return [*names, f"feature map{_part(self.animation.region, self.geometry.output)}"]

    @property
    def _read(self) -> str:
        """What is shown of the input: the zeros between its pixels, and which part, unless it is all."""
        is_spread = self.is_grid and any(axis.spread > 1 for axis in self.geometry.axes)
        zeros = " with zeros between pixels" if is_spread else ""
        return zeros + _part(self.animation.spans, [axis.span for axis in self.geometry.axes])

    @cached_property
    def size(self) -> Pair:
        """Width and height of a frame, both even."""
        widest = max(
            self._panels_width,
            self._equation_width,
            self._last_width + self._beside + self._steps_width if self.steps_beside else 0,
            0 if self.steps_beside else self._steps_width,
            width(self.heading[0], TITLE),
            width(self.heading[1], SMALL),
        )
        steps = 0 if self.steps_beside else max(map(len, self.steps)) * LINE + 8
        most = _WIDEST if len(self.inputs) == 1 else max(_WIDEST_CHANNELS, math.ceil(self._panels_width))
        return _even(min(math.ceil(widest), most) + 2 * MARGIN), _even(self._planes_end + steps + MARGIN)

    @property
    def _panels_width(self) -> float:
        """From the left of the input to the right of the feature map or of the texts around it."""
        captions = (width(text, TEXT) for caption in self.captions for text in caption)
        texts = *captions, width(self.labels[-1], SMALL)
        return self.output.left - MARGIN + max(self.output.width, *texts)

    @property
    def _equation_width(self) -> int:
        """Of patch · kernel = products, and of those beside it."""
        return self.plane_columns * (self._one_equation + _EQUATION_GAP) - _EQUATION_GAP

    @property
    def _one_equation(self) -> int:
        return 3 * int(self.kernel[1]) * self.cell + 2 * SIGN

    @cached_property
    def plane_columns(self) -> int:
        """How many planes are beside each other."""
        room = _WIDEST_CHANNELS if self._several_columns else self._one_equation
        fitting = int(room + _EQUATION_GAP) // (self._one_equation + _EQUATION_GAP)
        return min(max(fitting, 1), len(self.planes))

    @property
    def _plane_height(self) -> int:
        return self.kernel[0] * self.cell + self.plane_title + _PLANE_GAP

    def plane_corner(self, index: int) -> Pair:
        """Left and top of a plane's patch."""
        down, across = divmod(index, self.plane_columns)
        left = MARGIN + across * (self._one_equation + _EQUATION_GAP)
        return left, self.below + down * self._plane_height + self.plane_title

    @cached_property
    def _steps_width(self) -> int:
        formulas = [width(formula, TEXT) for steps in self.steps for _, formula in steps]
        return self.step_names + math.ceil(max(formulas)) + (_SWATCH if self.animation.shaded else 0)

    @cached_property
    def steps_beside(self) -> bool:
        """Whether the steps fit to the right of the products; otherwise they are below."""
        lines = max(map(len, self.steps)) * LINE
        room = max(self._panels_width, self._equation_width, _ROOMY)
        fits = self._last_width + self._beside + self._steps_width <= room
        return fits and lines <= self._planes_end - self._steps_above

    @property
    def _beside(self) -> int:
        """From the last products to the steps beside them."""
        return _EQUATION_GAP if self.plane_columns > 1 else _BESIDE

    @property
    def _last_width(self) -> int:
        """Of the last planes that are beside each other."""
        count = len(self.planes) % self.plane_columns or self.plane_columns
        return count * (self._one_equation + _EQUATION_GAP) - _EQUATION_GAP

    @property
    def _steps_above(self) -> int:
        """Top of the planes that the steps may be beside."""
        is_full = len(self.planes) % self.plane_columns == 0
        return self.below if is_full else self.plane_corner(len(self.planes) - 1)[1]

    @property
    def plane_title(self) -> int:
        """Height of the title of each plane where there are several."""
        return PLANE_TITLE if len(self.planes) > 1 else 0

    @property
    def _planes_end(self) -> int:
        """Bottom of the last plane and of the line below it."""
        return self.omitted_top + (LINE if self.omitted else 0)

    @property
    def omitted_top(self) -> int:
        """Top of the line below the planes."""
        return self.below - (-len(self.planes) // self.plane_columns) * self._plane_height

    @cached_property
    def steps_corner(self) -> Pair:
        """Left and top of the steps."""
        if not self.steps_beside:
            return MARGIN, self._planes_end + 8
        lines = max(map(len, self.steps)) * LINE
        top = (self._steps_above + self._planes_end - _PLANE_GAP - lines) // 2 + 4
        return MARGIN + self._last_width + self._beside, top


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
