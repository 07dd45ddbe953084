"""The input, each kernel and its feature map side by side, with axes, sizes and ranges."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import ArgumentError
from convcli.core.frozen import frozen
from convcli.core.numerals import axis_text
from convcli.core.rational import Number
from convcli.kernels.kernel import ROUNDING
from convcli.visualize.colorbar import (
    as_decimal,
    least_vertical_length,
    round_numbers,
    vertical_bar,
    vertical_bar_width,
)
from convcli.visualize.display import Scale, without_gray_axis
from convcli.visualize.kernel_grid import KernelGrid, cell_texts, font_size
from convcli.visualize.lettering import width
from convcli.visualize.map_set import DisplayMap, MapSet
from convcli.visualize.panels import framed_image, text_line
from convcli.visualize.scene import FAINT, INK, Item, Line, Polygon, Scene, Text

MOST: Final = 12
"""Largest number of maps in one figure."""

_MARGIN: Final = 28
_ARROW: Final = 36  # between the columns
_AXIS: Final = 40  # left of an image, for its row numbers
_UNDER: Final = 24  # below it, for its column numbers
_HEAD: Final = 50  # above it, for a name and a line of facts
_BESIDE: Final = 14  # between a map and its color bar
_LEAST: Final = 150  # width of a column, for its text
_ROWS: Final = 36  # between one map and the next
_TITLE: Final = 17  # font size
_SMALL: Final = 12
_TICK: Final = 4
_TICKS: Final = 6
_APART, _CLOSE = 36, 20  # pixels between round numbers, and between numbers of every pixel


def figure(map_set: MapSet, tile: int) -> Scene:
    """The input, and a row with the kernel and the map for each map, all at one scale.

    Args:
        tile: pixels that the longest side of all images takes.

    Raises:
        ArgumentError: more than `MOST` maps.
    """
    if len(map_set.maps) > MOST:
        raise ArgumentError(f"a figure holds up to {MOST} feature maps, not {len(map_set.maps)}; use --sheet")
    longest = max(map_set.image.shape[:2] + tuple(n for m in map_set.maps for n in m.gray.shape[:2]))
    scale = Scale.of(longest, tile)
    rows = [_Row(map_, scale, tile) for map_ in map_set.maps]
    first, image = _MARGIN + _AXIS, scale.reduced(map_set.image)
    high, wide = (size * scale.zoom for size in image.shape[:2])
    second = first + max(wide, _LEAST) + _ARROW
    third = second + max(row.kernel_width for row in rows) + _ARROW + _AXIS
    top = _MARGIN + _HEAD
    first_top = top + _lowered(high, rows[0].middle)
    items: list[Item] = list(_input(map_set, scale, (first, first_top), max(wide, _LEAST)))
    items += _arrow(second - _ARROW + 8, top + rows[0].middle)
    bottom = first_top + high + _UNDER
    for row in rows:
        items += row.items((second, third), top)
        items += _arrow(third - _AXIS - _ARROW + 8, top + row.middle)
        bottom = max(bottom, top + row.bottom)
        top = bottom + _ROWS + _HEAD
    across = third + max(row.map_width for row in rows) + _MARGIN
    title = f"{map_set.name}: {', '.join(map_.name + map_.number for map_ in map_set.maps)}"
    return Scene(across, bottom + _MARGIN // 2, tuple(items), title)


def _lowered(high: int, middle: int) -> int:
    """Pixels by which an image is lowered so that an arrow at ``middle`` meets it."""
    return 0 if middle <= high - _ARROW // 2 else max(middle - high // 2, 0)


def _input(map_set: MapSet, scale: Scale, place: tuple[int, int], wide: int) -> Iterator[Item]:
    header, range_ = map_set.header, map_set.image_range
    facts = f"{header.rows} × {header.columns}, {header.kind}"
    facts += f", display range {range_[0]} … {range_[1]}" if range_ else ""
    yield from _heading(place, map_set.name, facts, wide)
    yield from _image(place, without_gray_axis(scale.reduced(map_set.image)), scale, map_set.values)
    yield from _axes(place, (header.rows, header.columns), scale)


def _image(place: tuple[int, int], pixels: Array, scale: Scale, values: Array | None) -> Iterator[Item]:
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
class _Row:
    """A kernel and its feature map.

    Attributes:
        tile: largest height and width of the kernel, in pixels.
    """

    map_: DisplayMap
    scale: Scale
    tile: int

    @property
    def pixels(self) -> Array:
        return self.map_.pixels(self.scale)

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns) of the drawn map, in pixels."""
        rows, columns = self.pixels.shape[:2]
        return rows * self.scale.zoom, columns * self.scale.zoom

    @property
    def grid(self) -> KernelGrid:
        return KernelGrid.of(self.map_, self.tile)

    @property
    def middle(self) -> int:
        """Pixels from the top of the row to the middle of the kernel, where the arrows are."""
        return self.grid.middle

    @property
    def lowered(self) -> int:
        """Pixels from the top of the row to the map."""
        return _lowered(self.size[0], self.middle)

    @property
    def bar_length(self) -> int:
        """Length of the color bar in pixels."""
        return max(self.size[0], least_vertical_length(self.map_.bar))

    @property
    def bottom(self) -> int:
        """Pixels to the bottom of the map with its axis and bar, or of the kernel if that is lower."""
        return max(self.lowered + max(self.size[0] + _UNDER, self.bar_length), self.grid.height)

    @property
    def kernel_width(self) -> int:
        return max(self.grid.width, _LEAST)

    @property
    def map_width(self) -> int:
        beside = self.size[1] + _BESIDE + vertical_bar_width(self.map_.bar, self.bar_length)
        return math.ceil(max(beside, width(_facts_of_map(self.map_), _SMALL)))

    def items(self, lefts: tuple[int, int], top: int) -> Iterator[Item]:
        """Kernel and map.

        Args:
            lefts: x of the kernel and of the map.
            top: y of the kernel.
        """
        map_, (kernel, right) = self.map_, lefts
        facts = _facts_of_kernel(map_)
        yield from _heading((kernel, top), map_.name, facts, self.kernel_width + _ARROW, map_.number)
        yield from self.grid.items((kernel, top))
        top += self.lowered
        yield from _heading((right, top), "feature map", _facts_of_map(map_), self.map_width)
        yield from _image((right, top), self.pixels, self.scale, map_.values)
        yield from _axes((right, top), map_.gray.shape[:2], self.scale)
        yield from vertical_bar(map_.bar, (right + self.size[1] + _BESIDE, top), self.bar_length)


def _facts_of_kernel(map_: DisplayMap) -> str:
    if map_.report.network is not None:
        return map_.report.network.operation
    kernel = map_.kernel
    (rows, columns), inputs = kernel.size, kernel.tensor_shape[-2]
    size = f"{rows} × {columns}{f' × {inputs}' if inputs > 1 else ''} weights"
    if kernel.combine:
        return size
    weights = kernel.weights.reshape(-1, kernel.maps)[:, map_.index]
    total = kernel.map_sums[map_.index]
    total = 0.0 if abs(total) <= ROUNDING * float(np.abs(weights).sum()) else total
    return f"{size}, sum {axis_text(as_decimal(total))}"


def _facts_of_map(map_: DisplayMap) -> str:
    rows, columns = map_.gray.shape[:2]
    low, high = (axis_text(value) for value in (map_.report.low, map_.report.high))
    return f"{rows} × {columns}, values {low} … {high}"


def _heading(place: tuple[int, int], title: str, facts: str, room: int, number: str = "") -> Iterator[Item]:
    left, top = place
    yield from text_line((left, top - _HEAD), title, _TITLE, INK, room, number)
    yield from text_line((left, top - _HEAD + _TITLE + 6), facts, _SMALL, FAINT, room + 24)


def _axes(place: tuple[int, int], size: tuple[int, int], scale: Scale) -> Iterator[Item]:
    """Row numbers on the left and column numbers below, at the centers of their pixels, from 0."""
    (left, top), (rows, columns) = place, size
    bottom = top + math.ceil(-(-rows // scale.box) * scale.zoom)
    for row in _ticks(rows, bottom - top):
        at = top + int(scale.center(row))
        yield Line((left - 1 - _TICK, at), (left - 2, at))
        yield Text((left - _TICK - 5, at + 4), str(row), _SMALL, FAINT, "end")
    for column in _ticks(columns, math.ceil(-(-columns // scale.box) * scale.zoom)):
        at = left + int(scale.center(column))
        yield Line((at, bottom + 1), (at, bottom + _TICK))
        yield Text((at, bottom + _TICK + 13), str(column), _SMALL, FAINT, "middle")


def _ticks(size: int, length: int) -> list[int]:
    """Round row or column numbers, as many as fit into ``length`` pixels."""
    most = max(min(length // _APART, _TICKS), 1)
    if size <= length // _CLOSE:
        return list(range(size))
    return [int(value) for value in round_numbers(0, size - 1, most) if value == int(value)]


def _arrow(left: int, middle: int) -> Iterator[Item]:
    right = left + _ARROW - 16
    yield Line((left, middle), (right - 6, middle))
    yield Polygon(((right - 7, middle - 4), (right - 7, middle + 4), (right, middle)))
