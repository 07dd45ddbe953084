"""Where the values of a result lie along an axis of the input, and coordinates there."""

from __future__ import annotations

from fractions import Fraction
from math import lcm

import numpy as np

from convcli.core.dtypes import Array, holds
from convcli.core.frozen import frozen
from convcli.geometry.axes import Axis


@frozen
class Positions:
    """The positions ``first + step·i`` for i from 0 to ``count`` − 1, in pixels of an axis of ``size``."""

    first: Fraction
    step: Fraction
    count: int
    size: int

    @classmethod
    def of(cls, axis: Axis) -> Positions:
        """The centers of the windows of an axis: of even ones, between the two pixels in the middle."""
        first = Fraction(axis.extent - 1, 2) - axis.before
        return cls(first / axis.spread, Fraction(axis.stride, axis.spread), axis.output, axis.size)

    @property
    def last(self) -> Fraction:
        """The last position."""
        return self.first + self.step * (self.count - 1)

    @property
    def is_still(self) -> bool:
        """Whether they are the pixels themselves."""
        return self.first == 0 and self.step == 1 and self.count == self.size

    @property
    def pixels(self) -> slice | None:
        """The pixels that they are; None if some are none."""
        if self.first.denominator * self.step.denominator > 1 or not 0 <= self.first <= self.last < self.size:
            return None
        return slice(int(self.first), int(self.last) + 1, int(self.step))

    def interpolated(self, values: Array) -> Array | None:
        """Coordinates at the positions, from one for each pixel; beyond the ends, the last step goes on.

        Args:
            values: numbers, times or differences of times, (size,).

        Returns:
            Values of the same type; for integers, float64 where some are fractions, and int64 where some do
            not fit. None where values of this type, or a single one, cannot be interpolated.
        """
        if (pixels := self.pixels) is not None:
            return values[pixels]
        if self.size == 1 or not _has_steps(values):
            return None
        whole = lcm(self.first.denominator, self.step.denominator)
        places = int(self.first * whole) + int(self.step * whole) * np.arange(self.count)
        before = np.clip(places // whole, 0, self.size - 2)
        return _between(values, before, places - before * whole, whole)


def _has_steps(values: Array) -> bool:
    """Whether values can be interpolated: differences of them can be multiplied and added to them."""
    if values.dtype.kind in "mM":
        return not np.isnat(values).any()
    if values.dtype.kind == "O":  # times of other calendars
        return all(hasattr(value, "calendar") for value in values)
    return values.dtype.kind in "iuf"


def _between(values: Array, before: Array, part: Array, whole: int) -> Array:
    """``values[before] + (values[before + 1] − values[before])·part / whole``."""
    first, second = values[before], values[before + 1]
    if values.dtype.kind == "O":
        steps = zip(first, second - first, part.tolist(), strict=True)
        return np.array([value + step * share / whole for value, step, share in steps], object)
    if values.dtype.kind in "mM":
        return _times_between(first, second, part, whole)
    if values.dtype.kind in "iu":
        numerators = (second.astype(np.int64) - first.astype(np.int64)) * part
        if not (numerators % whole).any():
            exact: Array = first.astype(np.int64) + numerators // whole
            fits = holds(values.dtype, int(exact.min()), int(exact.max()))
            return exact.astype(values.dtype) if fits else exact
    wide = first.astype(np.float64)
    result: Array = wide + (second.astype(np.float64) - wide) * (part / whole)
    return result.astype(values.dtype) if values.dtype.kind == "f" else result


def _times_between(first: Array, second: Array, part: Array, whole: int) -> Array:
    """The same for times and their differences, in nanoseconds where their unit is too long."""
    steps = (second - first) * part
    if (steps.astype(np.int64) % whole).any():
        fine = f"{first.dtype.kind}8[ns]"
        first, steps = first.astype(fine), steps.astype("m8[ns]")
    result: Array = first + (steps.astype(np.int64) // whole).astype(steps.dtype)
    return result
