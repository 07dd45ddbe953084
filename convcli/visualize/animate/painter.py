"""The frames of a sliding kernel: input and feature map, and below them patch · kernel = products."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.rational import Number
from convcli.geometry.padding import Pair
from convcli.visualize.animate.cells import (
    TEXT,
    Type,
    edge,
    gray,
    grays,
    grown,
    mixed,
    put,
    scaled,
    thin_line,
    weighed,
)
from convcli.visualize.animate.layout import LINE, MARGIN, SIGN, SMALL, TITLE, Stage
from convcli.visualize.animate.moments import Moment, Slide
from convcli.visualize.explain.pixel import Plane
from convcli.visualize.scene import FAINT, FRAME, GROUND, INK
from convcli.visualize.text import Ink, cut, width, write

WINDOW: Final = (255, 232, 176)
WINDOW_EDGE: Final = (200, 112, 0)
DONE: Final = (225, 236, 246)
NOW: Final = (158, 202, 235)
NOW_EDGE: Final = (20, 88, 158)
EMPTY: Final = (255, 255, 255)
PADDING: Final = (228, 228, 224)


def frames(slide: Slide) -> Iterator[Array]:
    """Each frame, (rows, columns, 3) of uint8, all of one size, whose sides are even."""
    return _Painter(slide).frames()


def size(slide: Slide) -> tuple[int, int]:
    """Rows and columns of each frame."""
    wide, high = Stage(slide).size
    return high, wide


class _Painter(Stage):
    """Paints every moment on the stage."""

    def frames(self) -> Iterator[Array]:
        """Each moment on what those before it left."""
        base = self._base()
        for moment, caption, lines in zip(self.slide.moments, self.captions, self.lines, strict=True):
            image = base.copy()
            self._window(image, moment)
            self._outputs(image, moment, now=True)
            self._caption_lines(image, caption)
            self._equation(image, moment)
            self._lines(image, lines, moment)
            yield np.asarray(image)
            self._outputs(base, moment, now=False)

    def _base(self) -> Any:
        """What no moment changes."""
        from PIL import Image

        image = Image.new("RGB", self.size, GROUND)
        room = self.size[0] - 2 * MARGIN
        title, settings = self.heading
        write(image, (MARGIN, MARGIN - 4), cut(title, TITLE, room), TITLE, INK)
        write(image, (MARGIN, MARGIN + TITLE + 8), cut(settings, SMALL, room), SMALL, FAINT)
        for panel, text in zip((self.input, self.output), self.labels, strict=True):
            write(image, (panel.left, panel.top - 24), text, SMALL, INK)
        middle = self.input.top + min(self.input.high, self.output.high) / 2
        gap = self.output.left - self.input.left - self.input.wide
        write(image, (self.output.left - gap / 2, middle), "→", 30, FAINT, "mm")
        if self.grid:
            self._input_cells(image)
            self._empty(image)
        else:
            self._pictures(image)
        return image

    def _input_cells(self, image: Any) -> None:
        cells, (rows, columns) = self.slide.cells, self.slide.spans
        assert cells is not None
        for row in range(*rows):
            for column in range(*columns):
                value = cells[row - rows[0], column - columns[0]]
                box = self.input.box((row, row + 1), (column, column + 1))
                put(image, box, self._ground(value, row, column), value, self.types["input"])
        for row, column in self.missed:
            left, top, right, bottom = self.input.box((row, row + 1), (column, column + 1))
            thin_line(image, (left, bottom), (right, top), FAINT)
        if self.missed:
            place = self.input.left, self.input.top + self.input.high + 6
            write(image, place, "crossed out: no window reads it", SMALL, FAINT)

    def _ground(self, value: Number, row: int, column: int) -> Ink:
        """The color below an input's number."""
        size = self.geometry.input
        if not (0 <= row < size[0] and 0 <= column < size[1]):
            return PADDING
        return gray(value, *self.slide.shades[0]) if self.slide.shaded else EMPTY

    def _empty(self, image: Any) -> None:
        for row in range(*self.slide.region[0]):
            for column in range(*self.slide.region[1]):
                put(image, self.output.box((row, row + 1), (column, column + 1)), EMPTY, None, Type())

    def _pictures(self, image: Any) -> None:
        """The input, padding around it where there is room to see it, and the empty feature map."""
        from PIL import ImageDraw

        draw = ImageDraw.Draw(image)
        whole = self.input.box(*self.slide.spans)
        draw.rectangle(whole, fill=PADDING)
        rows, columns = self.geometry.input
        left, top, right, bottom = self.input.box((0, rows), (0, columns))
        assert self.slide.picture is not None
        picture = grays(self.slide.picture, *self.slide.shades[0])
        image.paste(scaled(picture, (right - left, bottom - top)), (left, top))
        draw.rectangle(self.output.box(*self.slide.region), fill=EMPTY)
        for box in (whole, self.output.box(*self.slide.region)):
            draw.rectangle((box[0] - 1, box[1] - 1, box[2], box[3]), outline=FRAME)

    def _window(self, image: Any, moment: Moment) -> None:
        """The cells that the window reads, its outline, and lines from a picture to the patch."""
        from PIL import ImageDraw

        draw, spot = ImageDraw.Draw(image), moment.found.spot
        rows, columns = spot.rows.tolist(), spot.columns.tolist()
        outline = self.input.box((rows[0], rows[-1] + 1), (columns[0], columns[-1] + 1))
        if not self.grid:
            outline = grown(outline)
            left, top = MARGIN, self.below + (22 if len(self.planes) > 1 else 0)
            thin_line(image, outline[::3], (left, top), WINDOW_EDGE)
            thin_line(image, outline[2:], (left + self.kernel[1] * self.side, top), WINDOW_EDGE)
        else:
            self._taps(image, rows, columns)
        edge(draw, outline, WINDOW_EDGE)

    def _taps(self, image: Any, rows: Sequence[int], columns: Sequence[int]) -> None:
        from PIL import ImageDraw

        cells, spans = self.slide.cells, self.slide.spans
        assert cells is not None
        apart = any(axis.dilation > 1 for axis in self.geometry.axes)
        for row in rows:
            for column in columns:
                value = cells[row - spans[0][0], column - spans[1][0]]
                box = self.input.box((row, row + 1), (column, column + 1))
                if not self.slide.shaded:
                    inside = self._ground(value, row, column) != PADDING
                    ground = WINDOW if inside else mixed(WINDOW, PADDING)
                    put(image, box, ground, value, self.types["input"])
                if apart:
                    ImageDraw.Draw(image).rectangle(box, outline=WINDOW_EDGE, width=2)

    def _outputs(self, image: Any, moment: Moment, *, now: bool) -> None:
        """The outputs of a block, filled in; the explained one marked."""
        from PIL import ImageDraw

        box = self.output.box(*moment.block)
        if self.grid:
            for row in range(*moment.block[0]):
                for column in range(*moment.block[1]):
                    self._output_cell(image, (row, column), now=now and (row, column) == moment.found.spot.at)
        else:
            (top, bottom), (left, right) = moment.block
            assert self.slide.pixels is not None
            part = grays(self.slide.pixels[top:bottom, left:right], *self.slide.shades[1])
            image.paste(scaled(part, (box[2] - box[0], box[3] - box[1])), box[:2])
        if now:
            row, column = moment.found.spot.at
            mark = self.output.box((row, row + 1), (column, column + 1))
            edge(ImageDraw.Draw(image), mark if self.grid else grown(mark), NOW_EDGE)

    def _output_cell(self, image: Any, at: Pair, *, now: bool) -> None:
        row, column = at
        channel = self.outputs[at]
        ground = NOW if now else DONE
        if self.slide.shaded:
            ground = gray(channel.pixel, *self.slide.shades[1])
        box = self.output.box((row, row + 1), (column, column + 1))
        put(image, box, ground, channel.value, self.types["output"])

    def _caption_lines(self, image: Any, caption: Sequence[str]) -> None:
        for index, text in enumerate(caption):
            place = self.output.left, self.output.top + self.output.high + 12 + index * LINE
            write(image, place, text, TEXT, NOW_EDGE)

    def _equation(self, image: Any, moment: Moment) -> None:
        """Patch · kernel = products, for each map that is combined."""
        top = self.below
        outside = moment.found.spot.outside(self.geometry.input)
        several = len(self.planes) > 1
        for index, plane in enumerate(moment.channel.planes[: len(self.planes)]):
            top += 22 if several else 0
            self._plane(image, plane, outside, top, f"kernel {index}" if several else "kernel")
            top += self.kernel[0] * self.side + 14
        write(image, (MARGIN, top), self.more, SMALL, FAINT)

    def _plane(self, image: Any, plane: Plane, outside: Array, top: int, kernel: str) -> None:
        """One map's patch, weights and products, below their names."""
        from PIL import ImageDraw

        patch, step = plane.parts[-1], self.kernel[1] * self.side + SIGN
        turned = f"{kernel}, turned" if self.slide.settings.flip else kernel
        each = (
            (patch[0], "patch", patch[1], self._read(patch[1], outside)),
            (turned, "kernel", plane.weights, weighed(plane.weights)),
            ("products", "products", plane.products, self._multiplied(plane.products)),
        )
        for index, (title, name, cells, inks) in enumerate(each):
            left = MARGIN + index * step
            room = left, top - 22, left + round(width(title, SMALL)) + 4, top - 5
            ImageDraw.Draw(image).rectangle(room, fill=GROUND)  # lines from a window end before it
            write(image, (left, top - 21), title, SMALL, INK)
            self._cells(image, (left, top), cells, inks, name)
            if index:
                sign = "·" if index == 1 else "="
                write(image, (left - SIGN / 2, top + self.kernel[0] * self.side / 2), sign, 26, INK, "mm")
        box = (MARGIN, top, MARGIN + self.kernel[1] * self.side, top + self.kernel[0] * self.side)
        edge(ImageDraw.Draw(image), box, WINDOW_EDGE)

    def _read(self, patch: Array, outside: Array) -> Array:
        """Colors below the patch, (rows, columns, 3): grays where there are no numbers on them."""
        shown = self.slide.shaded or not self.numbered
        inks = [
            PADDING if out and self.numbered else gray(value, *self.slide.shades[0]) if shown else WINDOW
            for value, out in zip(patch.ravel(), outside.ravel(), strict=True)
        ]
        return np.array(inks, np.uint8).reshape(*patch.shape, 3)

    def _multiplied(self, products: Array) -> Array:
        """White below products that are written, colors for those that are not."""
        if self.numbered:
            return np.full((*products.shape, 3), EMPTY, np.uint8)
        return weighed(products)

    def _cells(self, image: Any, place: Pair, cells: Array, inks: Array, name: str) -> None:
        from PIL import Image

        side, (left, top) = self.side, place
        if not self.numbered:
            image.paste(Image.fromarray(np.repeat(np.repeat(inks, side, 0), side, 1)), place)
            return
        for (i, j), value in np.ndenumerate(cells):
            box = (left + j * side, top + i * side, left + (j + 1) * side, top + (i + 1) * side)
            put(image, box, tuple(inks[i, j].tolist()), value, self.types[name])

    def _lines(self, image: Any, lines: Sequence[tuple[str, str]], moment: Moment) -> None:
        """The steps; that of the value in the color of its cell, that of the pixel beside its gray."""
        room = self.size[0] - MARGIN - self.steps[0] - self.names
        valued = moment.channel.valued
        for index, (name, how) in enumerate(lines):
            left, top = self.steps[0], self.steps[1] + index * LINE
            written = cut(how, TEXT, room)
            write(image, (left, top), name, TEXT, FAINT)
            write(image, (left + self.names, top), written, TEXT, NOW_EDGE if index == valued - 1 else INK)
        if len(lines) > valued:
            self._swatch(image, (left + self.names + round(width(written, TEXT)) + 10, top + 1), moment)

    def _swatch(self, image: Any, place: Pair, moment: Moment) -> None:
        """The gray of the pixel."""
        from PIL import ImageDraw

        box = (*place, place[0] + TEXT, place[1] + TEXT)
        ground = gray(moment.channel.pixel, *self.slide.shades[1])
        ImageDraw.Draw(image).rectangle(box, fill=ground, outline=FRAME)
