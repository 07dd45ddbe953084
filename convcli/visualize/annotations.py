"""Images with headings, facts and axes, and the arrows between them, which all figures are made of."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen
from convcli.core.numerals import axis_text
from convcli.core.rational import Number
from convcli.visualize.colorbar import (
    least_vertical_length,
    round_numbers,
    vertical_bar,
    vertical_bar_width,
)
from convcli.visualize.display import Scale, without_gray_axis
from convcli.visualize.kernel_grid import cell_texts, font_size
from convcli.visualize.lettering import width
from convcli.visualize.map_set import DisplayMap, MapSet
from convcli.visualize.panels import framed_image, text_line
from convcli.visualize.scene import FAINT, INK, Item, Line, Polygon, Text

MARGIN: Final = 28
ARROW: Final = 36
"""Width of an arrow with the space around it."""
AXIS: Final = 40
"""Left of an image, for its row numbers."""
UNDER: Final = 24
"""Below an image, for its column numbers."""
HEAD: Final = 50
"""Above an image, for a name and a line of facts."""
BESIDE: Final = 14
"""Between a map and its color bar."""
LEAST: Final = 150
"""Width of a column, for its text."""
ROWS: Final = 36
"""Between one map and the next below it."""
SMALL: Final = 12
"""Font size of facts."""

_TITLE: Final = 17  # font size
_TICK: Final = 4
_TICKS: Final = 6
_APART, _CLOSE = 36, 20  # pixels between round numbers, and between numbers of every pixel


def lowered(high: int, middle: int) -> int:
    """Pixels by which an image is lowered so that an arrow at ``middle`` meets it."""
    return 0 if middle <= high - ARROW // 2 else max(middle - high // 2, 0)


def input_image(map_set: MapSet, scale: Scale, place: tuple[int, int], wide: int) -> Iterator[Item]:
    header, range_ = map_set.header, map_set.image_range
    facts = f"{header.rows} × {header.columns}, {header.kind}"
    facts += f", display range {range_[0]} … {range_[1]}" if range_ else ""
    yield from heading(place, map_set.name, facts, wide)
    yield from map_image(place, without_gray_axis(scale.reduced(map_set.image)), scale, map_set.values)
    yield from axes(place, (header.rows, header.columns), scale)


def map_image(place: tuple[int, int], pixels: Array, scale: Scale, values: Array | None) -> Iterator[Item]:
    """The image in a frame, with numbers in its pixels if there are values and they fit."""
    yield from framed_image(place, pixels, scale.zoom)
    if values is not None and scale.box == 1:
        colors = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, 2)
        texts = np.array([axis_text(_number(value)) for value in values.flat], object)
        size = font_size(texts.flat, scale.zoom)
        yield from cell_texts(place, texts.reshape(values.shape), colors, scale.zoom, size)


def _number(value: Any) -> Number:
    """An array's value as a number: integers as fractions, 0 without a sign."""
    return Fraction(int(value)) if np.isfinite(value) and value == int(value) else float(value)


@frozen(eq=False)
class LabeledMap:
    """A feature map with its heading, axes and color bar."""

    map_: DisplayMap
    scale: Scale

    @property
    def pixels(self) -> Array:
        return self.map_.pixels(self.scale)

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns) of the drawn map, in pixels."""
        rows, columns = self.pixels.shape[:2]
        return rows * self.scale.zoom, columns * self.scale.zoom

    @property
    def center(self) -> int:
        """Pixels from the left to the middle of the map."""
        return self.size[1] // 2

    @property
    def bar_length(self) -> int:
        """Length of the color bar in pixels."""
        return max(self.size[0], least_vertical_length(self.map_.bar))

    @property
    def foot(self) -> int:
        """Pixels from the top of the map to the end of its axis."""
        return self.size[0] + UNDER

    @property
    def height(self) -> int:
        """Pixels from the top of the map to the end of its axis and bar."""
        return max(self.foot, self.bar_length)

    @property
    def width(self) -> int:
        """Width of the map and its bar, or of its facts if they are longer."""
        beside = self.size[1] + BESIDE + vertical_bar_width(self.map_.bar, self.bar_length)
        return math.ceil(max(beside, width(facts_of_map(self.map_), SMALL)))

    def items(self, place: tuple[int, int]) -> Iterator[Item]:
        """Everything, with the top left corner of the map at ``place``."""
        map_, (left, top) = self.map_, place
        yield from heading(place, "feature map", facts_of_map(map_), self.width)
        yield from map_image(place, self.pixels, self.scale, map_.values)
        yield from axes(place, map_.gray.shape[:2], self.scale)
        yield from vertical_bar(map_.bar, (left + self.size[1] + BESIDE, top), self.bar_length)


def facts_of_map(map_: DisplayMap) -> str:
    rows, columns = map_.gray.shape[:2]
    low, high = (axis_text(value) for value in (map_.report.low, map_.report.high))
    return f"{rows} × {columns}, values {low} … {high}"


def heading(place: tuple[int, int], title: str, facts: str, room: int, number: str = "") -> Iterator[Item]:
    left, top = place
    yield from text_line((left, top - HEAD), title, _TITLE, INK, room, number)
    yield from text_line((left, top - HEAD + _TITLE + 6), facts, SMALL, FAINT, room + 24)


def axes(place: tuple[int, int], size: tuple[int, int], scale: Scale) -> Iterator[Item]:
    """Row numbers on the left and column numbers below, at the centers of their pixels, from 0."""
    (left, top), (rows, columns) = place, size
    bottom = top + math.ceil(-(-rows // scale.box) * scale.zoom)
    for row in _ticks(rows, bottom - top):
        at = top + int(scale.center(row))
        yield Line((left - 1 - _TICK, at), (left - 2, at))
        yield Text((left - _TICK - 5, at + 4), str(row), SMALL, FAINT, "end")
    for column in _ticks(columns, math.ceil(-(-columns // scale.box) * scale.zoom)):
        at = left + int(scale.center(column))
        yield Line((at, bottom + 1), (at, bottom + _TICK))
        yield Text((at, bottom + _TICK + 13), str(column), SMALL, FAINT, "middle")


def _ticks(size: int, length: int) -> list[int]:
    """Round row or column numbers, as many as fit into ``length`` pixels."""
    most = max(min(length // _APART, _TICKS), 1)
    if size <= length // _CLOSE:
        return list(range(size))
    return [int(value) for value in round_numbers(0, size - 1, most) if value == int(value)]


def arrow(left: int, middle: int, later: int = 0) -> Iterator[Item]:
    """An arrow to the right; its line begins ``later`` pixels after ``left``."""
    right = left + ARROW - 16
    yield Line((left + later, middle), (right - 6, middle))
    yield Polygon(((right - 7, middle - 4), (right - 7, middle + 4), (right, middle)))
