"""Which value has which colour: a bar beside a feature map, with numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Final

import numpy as np

from convcli.colourmaps import MIDDLE, table
from convcli.dtypes import Array
from convcli.lettering import width
from convcli.picture import Mapping, short
from convcli.rational import Number
from convcli.scene import FAINT, FRAME, Box, Item, Line, Picture, Text, ascent
from convcli.values import frozen

BAR: Final = 32
"""Pixels that a level bar takes with its numbers, and those in which an upright one is broad."""

_THICK: Final = 12
_TICK: Final = 4
_SMALL: Final = 12  # points
_MOST: Final = 7  # numbers at a bar or an axis
_WHITE: Final = 255


@frozen
class Bar:
    """What the pixels of 8 bits mean.

    Attributes:
        mapping: with the range that it used.
        white: the value that is white where the mapping is ``clip`` or ``abs``.
        colormap: of `colourmaps.COLOURMAPS`.
    """

    mapping: Mapping
    white: float
    colormap: str

    @property
    def ends(self) -> tuple[Number, Number]:
        """The lowest and the highest value."""
        if self.mapping.low is None or self.mapping.high is None:
            return Fraction(0), exact(self.white)
        return self.mapping.low, self.mapping.high

    def pixels(self, values: Array) -> Array:
        """What values of that range are mapped to, 0 to 255."""
        low, high = map(float, self.ends)
        if self.mapping.kind == "signed":
            gain, offset = (MIDDLE - 1) / (high or 1), float(MIDDLE)
        else:
            gain = _WHITE / ((high - low) or 1)
            offset = -gain * low
        return np.rint(values * gain + offset).clip(0, _WHITE).astype(np.uint8)

    def colours(self, length: int) -> Array:
        """(length, 3): those of evenly spaced values, the lowest first."""
        low, high = map(float, self.ends)
        return table(self.colormap)[self.pixels(np.linspace(low, high, length))]

    def numbers(self, length: int, room: int) -> list[tuple[int, str]]:
        """Pixels from the lowest value, and what stands there: both ends, and round numbers with ``room``."""
        low, high = map(float, self.ends)
        if low == high:
            return [(0, short_number(self.ends[0]))]
        found = [(0, short_number(self.ends[0])), (length - 1, short_number(self.ends[1]))]
        for value in round_numbers(low, high, _MOST):
            place = round((value - low) / (high - low) * (length - 1))
            if room <= place <= length - 1 - room:
                found.append((place, short_number(exact(value))))
        return sorted(found)


def level(bar: Bar, place: tuple[int, int], length: int) -> Iterator[Item]:
    """A bar from left to right, its numbers below it, of `BAR` pixels in all."""
    left, top = place
    colours = np.repeat(bar.colours(length)[None], _THICK, 0)
    yield Box((left - 1, top - 1), length + 2, _THICK + 2, outline=FRAME)
    yield Picture(place, colours)
    base = top + _THICK + _TICK + ascent(_SMALL)
    widest = max(width(short_number(end), _SMALL) for end in bar.ends)
    for at, text in bar.numbers(length, round(1.5 * widest) + _SMALL):
        anchor = "start" if at == 0 else "end" if at == length - 1 else "middle"
        yield Line((left + at, top + _THICK + 1), (left + at, top + _THICK + _TICK))
        yield Text((left + at, base), text, _SMALL, FAINT, anchor)


def upright(bar: Bar, place: tuple[int, int], length: int) -> Iterator[Item]:
    """A bar from the bottom up, its numbers at its right."""
    left, top = place
    colours = np.repeat(bar.colours(length)[::-1, None], _THICK, 1)
    yield Box((left - 1, top - 1), _THICK + 2, length + 2, outline=FRAME)
    yield Picture(place, colours)
    for at, text in bar.numbers(length, 2 * _SMALL):
        height = top + length - 1 - at
        yield Line((left + _THICK + 1, height), (left + _THICK + _TICK, height))
        yield Text((left + _THICK + _TICK + 4, height + 4), text, _SMALL, FAINT)


def room(bar: Bar, length: int) -> int:
    """Pixels across that `upright` takes."""
    return _THICK + _TICK + 4 + math.ceil(max(width(text, _SMALL) for _, text in bar.numbers(length, 24)))


def round_numbers(low: float, high: float, most: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten within a range, at most so many."""
    if not low < high:
        return []
    least = (high - low) / most
    power = 10.0 ** math.floor(math.log10(least))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def exact(value: float) -> Fraction:
    """The fraction that a decimal number is meant as."""
    return Fraction(f"{value:.12g}")


def short_number(value: Number) -> str:
    """A value at a bar: integers in full, others to four digits."""
    if isinstance(value, Fraction) and value.denominator == 1:
        return short(value)
    return f"{float(value):.4g}".replace("-", "−")
