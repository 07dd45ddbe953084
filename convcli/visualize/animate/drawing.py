"""The frames of an animation as scenes: input and feature map, and below them patch · kernel = products."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen
from convcli.core.rational import Number
from convcli.geometry.padding import Pair
from convcli.visualize.animate.cells import (
    TEXT,
    Bounds,
    NumberStyle,
    enlarged,
    gray,
    grays,
    mark,
    mixed,
    number_cell,
    rectangle,
    scaled_image,
    weight_colors,
)
from convcli.visualize.animate.content import Animation, Frame
from convcli.visualize.animate.layout import LINE, MARGIN, PLANE_TITLE, SIGN, SMALL, TITLE, FrameLayout
from convcli.visualize.explain.sums import Plane
from convcli.visualize.explain.window import Window
from convcli.visualize.lettering import Ink, Point, cut, width
from convcli.visualize.raster import Canvas
from convcli.visualize.scene import FAINT, FRAME, GROUND, INK, Item, Line, PlacedImage, Rectangle, Scene, Text

WINDOW: Final = (255, 232, 176)
WINDOW_EDGE: Final = (200, 112, 0)
DONE: Final = (225, 236, 246)
CURRENT: Final = (158, 202, 235)
CURRENT_EDGE: Final = (20, 88, 158)
EMPTY: Final = (255, 255, 255)
PADDING: Final = (228, 228, 224)
BETWEEN: Final = (243, 240, 248)
"""Zeros between pixels."""
_PADDED: Final = mixed(WINDOW, PADDING)
_READ_BETWEEN: Final = mixed(WINDOW, BETWEEN)


def frame_pixels(animation: Animation) -> Iterator[Array]:
    """Each frame as (rows, columns, 3) of uint8; rows and columns are even and the same for all."""
    drawing = Drawing(animation)
    base = Canvas.blank(*drawing.layout.size).draw(drawing.background())
    for frame in drawing.frames():
        yield base.copy().draw(frame.current).pixels
        base.draw(frame.lasting)


def frame_scenes(animation: Animation) -> Iterator[Scene]:
    """Each frame as a scene."""
    drawing = Drawing(animation)
    (wide, high), (title, _) = drawing.layout.size, drawing.layout.heading
    base = list(drawing.background())
    for frame in drawing.frames():
        yield Scene(wide, high, (*base, *frame.current), f"{title}, {frame.name}")
        base += frame.lasting


def frame_size(animation: Animation) -> tuple[int, int]:
    """Rows and columns of every frame."""
    wide, high = FrameLayout(animation).size
    return high, wide


@frozen(eq=False)
class DrawnFrame:
    """What one frame paints over the frames before it.

    Attributes:
        name: which output it explains.
        current: items of this frame alone.
        lasting: items that stay in all later frames.
    """

    name: str
    current: tuple[Item, ...]
    lasting: tuple[Item, ...]


class Drawing:
    """Draws the content of an animation at the places of its layout."""

    def __init__(self, animation: Animation) -> None:
        self.animation, self.layout = animation, FrameLayout(animation)

    def frames(self) -> Iterator[DrawnFrame]:
        """What every frame adds to those before it."""
        layout = self.layout
        for frame, caption, steps in zip(self.animation.frames, layout.captions, layout.steps, strict=True):
            current = (
                *self._window(frame),
                *self._outputs(frame, current=True),
                *self._caption(caption),
                *self._equation(frame),
                *self._steps(frame, steps),
            )
            yield DrawnFrame(caption[0], current, tuple(self._outputs(frame, current=False)))

    def background(self) -> Iterator[Item]:
        """What all frames share."""
        layout = self.layout
        room = layout.size[0] - 2 * MARGIN
        title, settings = layout.heading
        yield Text.below((MARGIN, MARGIN - 4), cut(title, TITLE, room), TITLE)
        yield Text.below((MARGIN, MARGIN + TITLE + 8), cut(settings, SMALL, room), SMALL, FAINT)
        for area, label in zip((*layout.inputs, layout.output), layout.labels, strict=True):
            yield Text.below((area.left, area.top - 24), label, SMALL)
        last = layout.inputs[-1]
        middle = last.top + min(last.height, layout.output.height) / 2
        gap = layout.output.left - last.left - last.width
        yield Text.centered((layout.output.left - gap / 2, middle), "→", 30, FAINT)
        if layout.is_grid:
            yield from self._input_cells()
            yield from self._empty_outputs()
        else:
            yield from self._images()

    def _input_cells(self) -> Iterator[Item]:
        """Every number of the inputs, and a cross-out line through those that no window reads."""
        layout, (rows, columns) = self.layout, self.animation.spans
        for index, area in enumerate(layout.inputs):
            for row, column in product(range(*rows), range(*columns)):
                fill = self._input_fill(self._number(index, row, column), row, column)
                yield from self._input_cell(index, row, column, fill)
            for row, column in layout.unread:
                left, top, right, bottom = area.bounds_of(row, column)
                yield Line((left, bottom), (right, top), FAINT, smooth=True)
        if layout.unread:
            place = layout.input.left, layout.input.top + layout.input.height + 6
            yield Text.below(place, "crossed out: not read by any window", SMALL, FAINT)

    def _number(self, index: int, row: int, column: int) -> Number:
        """The number at a position of a padded input."""
        (first_row, _), (first_column, _) = self.animation.spans
        values = self.animation.inputs[index].values
        value: Number = values[row - first_row, column - first_column]
        return value

    def _input_cell(self, index: int, row: int, column: int, fill: Ink) -> Iterator[Item]:
        bounds = self.layout.inputs[index].bounds_of(row, column)
        return number_cell(bounds, fill, self._number(index, row, column), self.layout.styles["input"])

    def _input_fill(self, value: Number, row: int, column: int) -> Ink:
        """The color of an input cell."""
        if not self._inside(row, column):
            return PADDING
        if self._between(row, column):
            return BETWEEN
        return gray(value, *self.animation.levels[0]) if self.animation.shaded else EMPTY

    def _inside(self, row: int, column: int) -> bool:
        """Whether a position is in the input, not in its padding."""
        rows, columns = (axis.span for axis in self.layout.geometry.axes)
        return 0 <= row < rows and 0 <= column < columns

    def _between(self, row: int, column: int) -> bool:
        """Whether a position is a zero between pixels."""
        rows, columns = (axis.spread for axis in self.layout.geometry.axes)
        return row % rows != 0 or column % columns != 0

    def _empty_outputs(self) -> Iterator[Item]:
        rows, columns = self.animation.region
        for row in range(*rows):
            for column in range(*columns):
                yield from number_cell(self.layout.output.bounds_of(row, column), EMPTY, None, NumberStyle())

    def _images(self) -> Iterator[Item]:
        """The input images inside their padding, and the empty feature map."""
        animation, layout = self.animation, self.layout
        rows, columns = (axis.span for axis in layout.geometry.axes)
        output = layout.output.bounds(*animation.region)
        frames = [output]
        for area, panel in zip(layout.inputs, animation.inputs, strict=True):
            padded = area.bounds(*animation.spans)
            yield rectangle(padded, PADDING)
            pixels = grays(panel.values, *animation.levels[0])
            yield scaled_image(pixels, area.bounds((0, rows), (0, columns)))
            frames.append(padded)
        yield rectangle(output, EMPTY)
        for left, top, right, bottom in frames:
            yield rectangle((left - 1, top - 1, right, bottom), outline=FRAME)

    def _window(self, frame: Frame) -> Iterator[Item]:
        """The cells that the window reads, its outlines, and lines from a single image to its patch."""
        layout, window = self.layout, frame.explanation.window
        rows, columns = window.rows.tolist(), window.columns.tolist()
        for index, area in enumerate(layout.inputs):
            bounds = area.bounds((rows[0], rows[-1] + 1), (columns[0], columns[-1] + 1))
            if layout.is_grid:
                yield from self._taps(index, rows, columns)
            else:
                bounds = enlarged(bounds)
            if not layout.is_grid and len(layout.inputs) == 1:
                yield from self._lines_to_patch(bounds)
            yield mark(bounds, WINDOW_EDGE)

    def _lines_to_patch(self, bounds: Bounds) -> Iterator[Item]:
        (left, _, right, bottom), (patch_left, patch_top) = bounds, self.layout.plane_corner(0)
        patch_right = patch_left + self.layout.kernel[1] * self.layout.cell
        yield Line((left, bottom), (patch_left, patch_top), WINDOW_EDGE, smooth=True)
        yield Line((right, bottom), (patch_right, patch_top), WINDOW_EDGE, smooth=True)

    def _taps(self, index: int, rows: Sequence[int], columns: Sequence[int]) -> Iterator[Item]:
        """The cells of an input that the window reads, each outlined where it is dilated."""
        dilated = any(axis.dilation > 1 for axis in self.layout.geometry.axes)
        for row, column in product(rows, columns):
            if not self.animation.shaded:
                fill = WINDOW if self._inside(row, column) else _PADDED
                if fill == WINDOW and self._between(row, column):
                    fill = _READ_BETWEEN
                yield from self._input_cell(index, row, column, fill)
            if dilated:
                bounds = self.layout.inputs[index].bounds_of(row, column)
                yield rectangle(bounds, outline=WINDOW_EDGE, stroke=2)

    def _outputs(self, frame: Frame, *, current: bool) -> Iterator[Item]:
        """The outputs that appear with a frame; while it is the current one, the explained one is marked."""
        animation, layout = self.animation, self.layout
        row, column = frame.explanation.window.at
        if layout.is_grid:
            for place in frame.outputs:
                yield from self._output_cell(place, current=current and place == (row, column))
        else:
            (top, bottom), (left, right) = frame.block
            assert animation.feature_map is not None
            pixels = grays(animation.feature_map[top:bottom, left:right], *animation.levels[1])
            yield scaled_image(pixels, layout.output.bounds(*frame.block))
        if current:
            bounds = layout.output.bounds_of(row, column)
            yield mark(bounds if layout.is_grid else enlarged(bounds), CURRENT_EDGE)

    def _output_cell(self, place: Pair, *, current: bool) -> Iterator[Item]:
        channel = self.layout.outputs[place]
        fill = CURRENT if current else DONE
        if self.animation.shaded:
            fill = gray(channel.pixel, *self.animation.levels[1])
        yield from number_cell(
            self.layout.output.bounds_of(*place), fill, channel.value, self.layout.styles["output"]
        )

    def _caption(self, lines: Sequence[str]) -> Iterator[Item]:
        output = self.layout.output
        for index, text in enumerate(lines):
            place = output.left, output.top + output.height + 12 + index * LINE
            yield Text.below(place, text, TEXT, CURRENT_EDGE)

    def _equation(self, frame: Frame) -> Iterator[Item]:
        """Patch · kernel = products, for each input channel or each map that is combined."""
        layout = self.layout
        window = frame.explanation.window
        for index, plane in enumerate(layout.shown(frame.channel)):
            yield from self._plane(plane, window, layout.plane_corner(index), self._grid_titles(plane, index))
        if layout.omitted:
            yield Text.below((MARGIN, layout.omitted_top), layout.omitted, SMALL, FAINT)

    def _grid_titles(self, plane: Plane, index: int) -> tuple[str, str, str]:
        """Titles of a plane's patch, weights and products."""
        layout = self.layout
        patch, kernel = plane.parts[-1][0], "kernel"
        if layout.has_channels:
            patch = self.animation.label(plane.name)
        elif len(layout.planes) > 1:
            kernel = f"kernel {index}"
        return patch, f"{kernel}, rotated" if self.animation.settings.rotates else kernel, "products"

    def _plane(
        self, plane: Plane, window: Window, corner: Pair, titles: tuple[str, str, str]
    ) -> Iterator[Item]:
        """One patch, its weights and their products, with titles."""
        layout, (first, top) = self.layout, corner
        patch = plane.parts[-1][1]
        grids = (
            ("patch", patch, self._patch_colors(patch, window)),
            ("kernel", plane.weights, weight_colors(plane.weights)),
            ("products", plane.products, self._product_colors(plane.products)),
        )
        wide, high = layout.kernel[1] * layout.cell, layout.kernel[0] * layout.cell
        for index, (title, (style, values, colors)) in enumerate(zip(titles, grids, strict=True)):
            left = first + index * (wide + SIGN)
            bounds = left, top - PLANE_TITLE, left + round(width(title, SMALL)) + 4, top - 5
            yield rectangle(bounds, GROUND)  # the lines from a window end before the title
            yield Text.below((left, top - 21), title, SMALL)
            yield from self._grid((left, top), values, colors, layout.styles.get(style))
            if index:
                sign = "·" if index == 1 else "="
                yield Text.centered((left - SIGN / 2, top + high / 2), sign, 26)
        yield mark((first, top, first + wide, top + high), WINDOW_EDGE)

    def _patch_colors(self, patch: Array, window: Window) -> Array:
        """(rows, columns, 3) of uint8: the grays of an image, or the window's color below numbers."""
        if self.animation.shaded or not self.layout.numbered:
            shades = [gray(value, *self.animation.levels[0]) for value in patch.ravel()]
            colors = np.array(shades, np.uint8).reshape(*patch.shape, 3)
        else:
            colors = np.full((*patch.shape, 3), WINDOW, np.uint8)
        if self.layout.numbered:
            colors[window.outside], colors[window.between] = PADDING, BETWEEN
        return colors

    def _product_colors(self, products: Array) -> Array:
        """(rows, columns, 3) of uint8: white below numbers; colors of their own where there are none."""
        if self.layout.numbered:
            return np.full((*products.shape, 3), EMPTY, np.uint8)
        return weight_colors(products)

    def _grid(
        self, corner: tuple[int, int], values: Array, colors: Array, style: NumberStyle | None
    ) -> Iterator[Item]:
        """A grid of numbers on colors, or of colors alone where there is no style."""
        side, (left, top) = self.layout.cell, corner
        if style is None:
            yield PlacedImage(corner, colors, side)
            return
        for (row, column), value in np.ndenumerate(values):
            bounds = (
                left + column * side,
                top + row * side,
                left + (column + 1) * side,
                top + (row + 1) * side,
            )
            yield from number_cell(bounds, tuple(colors[row, column].tolist()), value, style)

    def _steps(self, frame: Frame, steps: Sequence[tuple[str, str]]) -> Iterator[Item]:
        """The steps; that of the value in the color of its cell, that of the pixel beside its gray."""
        layout = self.layout
        left, top = layout.steps_corner
        right = left + layout.step_names
        room = layout.size[0] - MARGIN - right
        last_of_value = frame.channel.valued - 1
        for index, (name, formula) in enumerate(steps):
            text = cut(formula, TEXT, room)
            line = top + index * LINE
            yield Text.below((left, line), name, TEXT, FAINT)
            yield Text.below((right, line), text, TEXT, CURRENT_EDGE if index == last_of_value else INK)
        if len(steps) > frame.channel.valued:
            yield self._swatch((right + round(width(text, TEXT)) + 10, line + 1), frame)

    def _swatch(self, corner: Point, frame: Frame) -> Rectangle:
        """The gray of the frame's pixel."""
        fill = gray(frame.channel.pixel, *self.animation.levels[1])
        return Rectangle(corner, TEXT + 1, TEXT + 1, fill, FRAME)
