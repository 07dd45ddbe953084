"""Color bars: which color a value of a feature map has, with numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen
from convcli.core.numerals import PLAIN_DIGITS, axis_text, rounded_text
from convcli.core.rational import Number
from convcli.pipeline.colormaps import DIVERGING_MIDDLE, color_table, wheel_disk
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.settings import WHEEL
from convcli.visualize.lettering import width
from convcli.visualize.scene import FAINT, FRAME, GROUND, Item, Line, PlacedImage, Rectangle, Text, ascent

BAR_HEIGHT: Final = 32
"""Height of a horizontal bar with its numbers, in pixels."""

_WHEEL: Final = 56  # diameter
_DEGREES: Final = 34  # beside a wheel, for "180°"
_LINE: Final = 16
_LEAST: Final = 64
_THICK: Final = 12
_TICK: Final = 4
_SMALL: Final = 12  # font size
_SPACE: Final = 10  # smallest space between numbers, in pixels
_MOST: Final = 7  # most tick labels on a bar
_WHITE: Final = 255
_PLAIN: Final = 10**PLAIN_DIGITS  # larger values have exponents


@frozen
class ColorBar:
    """The meaning of the pixels of a map.

    Attributes:
        mapping: with the range that it used.
        white: the value of white if the mapping is ``clip`` or ``abs``.
        colormap: one of `colormaps.COLORMAPS`.
    """

    mapping: Mapping
    white: float
    colormap: str

    @property
    def ends(self) -> tuple[Number, Number]:
        """The lowest and the highest value of the bar."""
        if self.mapping.low is None or self.mapping.high is None:
            return Fraction(0), as_decimal(self.white)
        return self.mapping.low, self.mapping.high

    def pixels(self, values: Array) -> Array:
        """The pixels, 0 to 255, of values in the range of the bar."""
        low, high = map(float, self.ends)
        if self.mapping.kind == "signed":
            gain, offset = (DIVERGING_MIDDLE - 1) / (high or 1), float(DIVERGING_MIDDLE)
        else:
            gain = _WHITE / ((high - low) or 1)
            offset = -gain * low
        return np.rint(values * gain + offset).clip(0, _WHITE).astype(np.uint8)

    def colors(self, length: int) -> Array:
        """(length, 3) of uint8: the colors of evenly spaced values, the lowest first."""
        low, high = map(float, self.ends)
        return color_table(self.colormap)[self.pixels(np.linspace(low, high, length))]

    def numbers(self, length: int, size: Callable[[str], float], end: float = 1) -> list[tuple[int, str]]:
        """The numbers at a bar of ``length`` pixels: both ends, and round numbers between them.

        The round numbers are multiples of the smallest step at which they do not overlap; one that would
        overlap an end is left out.

        Args:
            size: the length that a number takes along the bar, in pixels.
            end: the part of a number at an end that lies within the bar, from 0 to 1.

        Returns:
            For each number the pixels from the lowest value, and its text.
        """
        low, high = map(float, self.ends)
        first, last = map(axis_text, self.ends)
        if low == high:
            return [(0, first)]
        extent = _signed(size) if low == -high else size
        free = end * extent(first) + _SPACE / 2, length - 1 - end * extent(last) - _SPACE / 2
        for most in range(_MOST, 0, -1):
            values = round_numbers(low, high, most)
            inner = [_Tick.of(value, low, high, length, extent) for value in values if low < value < high]
            if ticks := _regular(inner, free, (low not in values, high not in values)):
                return [(0, first), *((tick.place, tick.text) for tick in ticks), (length - 1, last)]
        return [(0, first), (length - 1, last)]


@frozen
class _Tick:
    """A number at a bar, with half its width including the space around it, in pixels."""

    place: int
    text: str
    half: float

    @classmethod
    def of(cls, value: float, low: float, high: float, length: int, size: Callable[[str], float]) -> _Tick:
        plain = max(abs(low), abs(high)) < _PLAIN
        text = axis_text(as_decimal(value)) if plain else rounded_text(value, 4)
        return cls(round((value - low) / (high - low) * (length - 1)), text, (size(text) + _SPACE) / 2)


def _signed(size: Callable[[str], float]) -> Callable[[str], float]:
    """The size of a number with a minus sign, so that numbers above and below 0 are left out alike."""
    return lambda text: size("−" + text.removeprefix("−"))


def _regular(
    ticks: list[_Tick], free: tuple[float, float], may_omit: tuple[bool, bool]
) -> list[_Tick] | None:
    """The ticks within ``free``; None if they overlap, or if more than the outermost ones do not fit."""
    first, last = free
    fitting = [tick for tick in ticks if first <= tick.place - tick.half and tick.place + tick.half <= last]
    close = any(after.place - before.place < before.half + after.half for before, after in pairwise(fitting))
    if close or not fitting:
        return None
    omitted = ticks.index(fitting[0]), len(ticks) - 1 - ticks.index(fitting[-1])
    return fitting if omitted[0] <= may_omit[0] and omitted[1] <= may_omit[1] else None


def number_width(text: str) -> float:
    """Width of a number at a horizontal bar, in pixels."""
    return width(text, _SMALL)


def bar_height(bar: ColorBar) -> int:
    """Height of a horizontal bar with its numbers, or of a wheel, in pixels."""
    return _WHEEL if bar.colormap == WHEEL else BAR_HEIGHT


def least_vertical_length(bar: ColorBar) -> int:
    """Smallest length of a vertical bar, or of a wheel with its numbers, in pixels."""
    return _WHEEL + 4 * _LINE if bar.colormap == WHEEL else _LEAST


def _wheel_numbers(bar: ColorBar) -> tuple[str, str]:
    """The magnitudes at the rim and in the center of a wheel, in words."""
    low, high = map(axis_text, bar.ends)
    return f"rim {high}", f"center {low}"


def _horizontal_wheel(bar: ColorBar, place: tuple[int, int]) -> Iterator[Item]:
    """A wheel with 0° on its right side, and the magnitudes to the right of that."""
    left, top = place
    yield PlacedImage(place, wheel_disk(_WHEEL, GROUND))
    yield Text((left + _WHEEL + 4, top + _WHEEL // 2 + _SMALL // 3), "0°", _SMALL, FAINT)
    right = left + _WHEEL + _DEGREES
    for line, text in enumerate(_wheel_numbers(bar)):
        yield Text((right, top + _WHEEL // 2 + line * _LINE - 2), text, _SMALL, FAINT)


def _vertical_wheel(bar: ColorBar, place: tuple[int, int]) -> Iterator[Item]:
    """A wheel with degrees around it, and the magnitudes below."""
    left, top = place
    x, y = left + _DEGREES + _WHEEL // 2, top + _LINE + _WHEEL // 2
    yield PlacedImage((left + _DEGREES, top + _LINE), wheel_disk(_WHEEL, GROUND))
    near, middle = _WHEEL // 2 + 4, y + _SMALL // 3
    yield Text((x + near, middle), "0°", _SMALL, FAINT)
    yield Text((x, y - near), "90°", _SMALL, FAINT, "middle")
    yield Text((x - near, middle), "180°", _SMALL, FAINT, "end")
    yield Text((x, y + near + ascent(_SMALL)), "270°", _SMALL, FAINT, "middle")
    for line, text in enumerate(_wheel_numbers(bar), 2):
        yield Text((x, y + _WHEEL // 2 + line * _LINE + 4), text, _SMALL, FAINT, "middle")


def min_bar_length(bar: ColorBar) -> int:
    """Smallest length of a horizontal bar at which the numbers of its ends fit."""
    if bar.colormap == WHEEL:
        return _WHEEL + _DEGREES + math.ceil(max(map(number_width, _wheel_numbers(bar))))
    return math.ceil(sum(number_width(axis_text(end)) for end in bar.ends)) + 2 * _SPACE


def horizontal_bar(bar: ColorBar, place: tuple[int, int], length: int) -> Iterator[Item]:
    """A bar from left to right with its numbers below it, or a wheel, `bar_height` pixels high."""
    if bar.colormap == WHEEL:
        yield from _horizontal_wheel(bar, place)
        return
    left, top = place
    colors = np.repeat(bar.colors(length)[None], _THICK, 0)
    yield Rectangle((left - 1, top - 1), length + 2, _THICK + 2, outline=FRAME)
    yield PlacedImage(place, colors)
    base = top + _THICK + _TICK + ascent(_SMALL)
    for at, text in bar.numbers(length, number_width):
        anchor = "start" if at == 0 else "end" if at == length - 1 else "middle"
        yield Line((left + at, top + _THICK + 1), (left + at, top + _THICK + _TICK))
        yield Text((left + at, base), text, _SMALL, FAINT, anchor)


def vertical_bar(bar: ColorBar, place: tuple[int, int], length: int) -> Iterator[Item]:
    """A bar from bottom to top with its numbers to its right, or a wheel."""
    if bar.colormap == WHEEL:
        yield from _vertical_wheel(bar, place)
        return
    left, top = place
    colors = np.repeat(bar.colors(length)[::-1, None], _THICK, 1)
    yield Rectangle((left - 1, top - 1), _THICK + 2, length + 2, outline=FRAME)
    yield PlacedImage(place, colors)
    for at, text in _vertical_numbers(bar, length):
        height = top + length - 1 - at
        yield Line((left + _THICK + 1, height), (left + _THICK + _TICK, height))
        yield Text((left + _THICK + _TICK + 4, height + 4), text, _SMALL, FAINT)


def _vertical_numbers(bar: ColorBar, length: int) -> list[tuple[int, str]]:
    return bar.numbers(length, lambda _: _SMALL, end=0.5)


def vertical_bar_width(bar: ColorBar, length: int) -> int:
    """Width of a vertical bar, or of a wheel, with its numbers, in pixels."""
    if bar.colormap == WHEEL:
        return max(_WHEEL + 2 * _DEGREES, math.ceil(max(map(number_width, _wheel_numbers(bar)))))
    widest = max(width(text, _SMALL) for _, text in _vertical_numbers(bar, length))
    return _THICK + _TICK + 4 + math.ceil(widest)


def round_numbers(low: float, high: float, most: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten between low and high, at most ``most``."""
    if not low < high:
        return []
    minimum = (high - low) / most
    power = 10.0 ** math.floor(math.log10(minimum))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= minimum)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def as_decimal(value: float) -> Fraction:
    """The decimal number of up to 12 digits that is nearest to a float, as a fraction."""
    return Fraction(f"{value:.12g}")
