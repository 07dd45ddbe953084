"""From accumulated sums to results: exact affine meaning, then one rounding into the result's type."""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property
from math import gcd, inf
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array, DType, accumulator, holds, span
from convcli.core.frozen import frozen, replace
from convcli.core.rational import Number

_EXACT_PRODUCT: Final = 2**28  # times a midpoint of 25 bits, an integer below has no more than 53 bits
BLOCK: Final = 2**16
"""Values converted at a time, so that their copies stay in the cache."""

_EXACT_BELOW: Final[dict[type, int]] = {np.float32: 2**23, np.float64: 2**52}
"""Magnitudes below which a float type's quotients round to the right integer (`Finish`)."""

_EXACT_PRODUCTS: Final[dict[type, int]] = {np.float32: 2**22, np.float64: 2**51}
"""The same for products with the inverse of an odd denominator (`Finish.in_floats`)."""


@frozen
class Affine:
    """The value of an accumulated sum ``x``: ``(gain·x + offset) / denominator``.

    All three are integers for exact sums; gain and offset may be floats, with denominator 1, for float
    sums. ``magnitude`` takes the absolute value.
    """

    gain: float = 1
    offset: float = 0
    denominator: int = 1
    magnitude: bool = False

    @classmethod
    def exact(cls, gain: Fraction, offset: Fraction, magnitude: bool = False) -> Affine:
        """``gain·x + offset`` with rational coefficients, in lowest terms."""
        common = gain.denominator * offset.denominator // gcd(gain.denominator, offset.denominator)
        return cls(int(gain * common), int(offset * common), common, magnitude)

    @classmethod
    def of(cls, gain: Number, offset: Number, magnitude: bool = False) -> Affine:
        """``gain·x + offset``, exact where both are fractions."""
        if isinstance(gain, Fraction) and isinstance(offset, Fraction):
            return cls.exact(gain, offset, magnitude)
        return cls(float(gain), float(offset), 1, magnitude)

    @property
    def is_exact(self) -> bool:
        """Whether gain and offset are integers."""
        return isinstance(self.gain, int) and isinstance(self.offset, int)

    def as_floats(self) -> Affine:
        """The same value with float coefficients, for sums that are floats."""
        d = self.denominator
        return Affine(self.gain / d, self.offset / d, 1, self.magnitude)

    def value(self, x: float) -> Number:
        """The value of a sum ``x``; a fraction if everything is exact."""
        scaled = self.scaled(x)
        if isinstance(scaled, int):
            exact = Fraction(scaled, self.denominator)
            return abs(exact) if self.magnitude else exact
        rounded = float(scaled / self.denominator)
        return abs(rounded) if self.magnitude else rounded

    def then(self, gain: Number, offset: Number) -> Affine:
        """The composition: ``gain · value + offset``, where ``value`` is this one's."""
        if self.is_exact and isinstance(gain, Fraction) and isinstance(offset, Fraction):
            share = Fraction(1, self.denominator)
            return Affine.exact(gain * int(self.gain) * share, gain * int(self.offset) * share + offset)
        own = self.as_floats()
        return Affine(float(gain) * own.gain, float(gain) * own.offset + float(offset))

    def scaled(self, x: float) -> float:
        """The numerator for a sum ``x``, which may be infinite."""
        return self.offset + (self.gain * x if self.gain else 0)


class Finish:
    """Turns accumulated sums into results: the exact value, rounded to nearest, ties to even, saturated.

    The arithmetic is chosen once, from the range that the sums can have, and every choice gives the same
    result:

    - integers: ``floor((N + d//2) / d)`` for an odd denominator d, where no tie exists; shifts for a
      power of two;
    - float32 division and ``rint`` while |N| < 2²³: a quotient that is no tie is at least 1/(2d) away
      from one, and its rounding error, at most 2⁻²⁴·|N|/d, is smaller; a tie is representable, so the
      division gives it exactly;
    - the same in float64 while |N| < 2⁵², and 64-bit integers beyond.

    NaN becomes 0 in an integer type.

    Args:
        source: type of the sums.
        low, high: bounds of the sums, infinite where unknown.
        affine: from a sum to its value.
        target: type of the results.
        exact: whether the sums are integers, in whatever type.
    """

    def __init__(
        self, source: DType, low: float, high: float, affine: Affine, target: DType, exact: bool
    ) -> None:
        self.source, self.affine, self.target = source, affine, target
        self.raw = tuple(sorted((affine.scaled(low), affine.scaled(high))))
        products = (replace(affine, offset=0).scaled(end) for end in (low, high))
        self.largest = max(map(abs, (*self.raw, affine.offset, *products)))
        self.exact = exact and affine.is_exact
        self.integer_result = target.kind in "iu"
        self.work = self._integer_type(source) or self._float_type(source)
        self.limits = self._limits()
        self.ends = self._ends() if self.limits else None
        self.overflows = target.kind == "f" and not self.largest < float(np.finfo(target).max)

    def _integer_type(self, source: DType) -> DType | None:
        """The type for rounding in integers, or None where floats are faster or nothing is exact."""
        d = self.affine.denominator
        if not (self.exact and self.integer_result):
            return None
        low, high = int(self.raw[0]), int(self.raw[1])
        if self.affine.magnitude:
            low, high = min(low, -high), max(-low, high)
        high += d // 2
        factors = (int(self.affine.gain), int(self.affine.offset))
        low, high = min(low, *factors), max(high, *factors, d)
        simple = d % 2 == 1 or d & (d - 1) == 0
        if source.kind == "f" and self.largest < _EXACT_BELOW[source.type]:
            return None
        if simple and source.kind in "iu" and holds(source, low, high):
            return source
        wider = accumulator(low, high)
        if wider == np.int64 or not simple:
            return None if self.largest < _EXACT_BELOW[np.float64] else wider
        return wider

    def _float_type(self, source: DType) -> DType:
        if np.float64 in (source.type, self.target.type) or self._integer_bytes() > 2:
            return np.dtype(np.float64)
        exact_below = _EXACT_BELOW[np.float32]
        integers = self.exact or source.kind in "iu"
        if integers and max(self.largest, self.affine.denominator) >= exact_below:
            return np.dtype(np.float64)
        return np.dtype(np.float32)

    def _integer_bytes(self) -> int:
        """Bytes of an integer result; 0 for a float one."""
        return self.target.itemsize if self.integer_result else 0

    def _limits(self) -> tuple[int, int] | None:
        """The saturation bounds, or None where no sum can reach them."""
        if not self.integer_result:
            return None
        least, most = span(self.target)
        if self.largest < 2**60:
            low, high = (round(Fraction(end) / self.affine.denominator) for end in self.raw)
            if self.affine.magnitude:
                low, high = 0, max(abs(low), abs(high))
            if least <= low and high <= most:
                return None
        return least, most

    @cached_property
    def in_floats(self) -> tuple[float, ...] | None:
        """The same results by floats alone, as the extension computes them; None where they would differ.

        Returns:
            1 for float64 and 0 for float32, gain, offset, divisor, factor, 1 to take magnitudes, the limits
            or infinities, and 1 to round to integers. The factor is that of an odd denominator, where no tie
            exists: the error of its two roundings, at most 2⁻²³·|N|/d, is smaller than 1/(2d), the least
            distance from a tie.
        """
        affine, d = self.affine, self.affine.denominator
        if self.target.itemsize > 4 and self.integer_result:
            return None
        double = self._needs_double()
        if double is None:
            return None
        odd = d % 2 == 1 and self.integer_result
        divisor, factor = (1.0, 1 / d) if odd or d & (d - 1) == 0 else (float(d), 1.0)
        if not double:
            factor = float(np.float32(factor))
        low, high = self.limits or (-inf, inf)
        flags = float(affine.magnitude), float(low), float(high), float(self.integer_result)
        return float(double), float(affine.gain), float(affine.offset), divisor, factor, *flags

    @cached_property
    def in_16_bits(self) -> tuple[int, int, int] | None:
        """The same results by integers of 16 bits, as in the extension; None where they would differ.

        Returns:
            What is added before a division, the multiplier of an odd divisor, and a shift; zeros if sums are
            only limited. ``floor(n·m / 2ᵏ)`` is ``floor(n / d)`` for m = ⌈2ᵏ/d⌉ while n·(m·d − 2ᵏ) < 2ᵏ
            (Granlund and Montgomery, "Division by invariant integers using multiplication", 1994).
        """
        affine, d = self.affine, self.affine.denominator
        plain = self.exact and self.integer_result and affine.gain == 1 and not affine.magnitude
        if not plain or self.target.itemsize > 2 or self.source not in (np.uint16, np.int16):
            return None
        half, (low, high) = d // 2, map(int, self.raw)
        least, most = span(self.source)
        unsigned = self.source == np.uint16 and int(affine.offset) >= 0
        if not (least <= low and high + half <= most) or (d > 1 and not (unsigned and low >= 0)):
            return None
        shift = d.bit_length() - 1
        if d & (d - 1) == 0:
            return (half, 0, shift) if shift < 16 else None
        multiplier = -(-(2 ** (16 + shift)) // d)
        fits = multiplier < 2**16 and (high + half) * (multiplier * d - 2 ** (16 + shift)) < 2 ** (16 + shift)
        return (half, multiplier, shift) if d % 2 and fits else None

    def _needs_double(self) -> bool | None:
        """Whether floats need 64 bits to give the results; None where these do not suffice either."""
        largest = max(self.largest, self.affine.denominator)
        if self.exact and self.integer_result:
            if largest < _EXACT_PRODUCTS[np.float32] and self.target.itemsize < 4:
                return False
            return True if largest < _EXACT_PRODUCTS[np.float64] else None
        if self.work.kind != "f":
            return None
        d = self.affine.denominator
        narrows = not self.integer_result and self.target.itemsize < self.work.itemsize
        if (narrows and self.exact and d & (d - 1)) or (
            self.exact and largest >= _EXACT_BELOW[self.work.type]
        ):
            return None
        return bool(self.work == np.float64)

    @property
    def idle(self) -> bool:
        """Whether the sums are the results, type and all."""
        return self.affine == Affine() and self.limits is None and self.target == self.source == self.work

    def __call__(
        self, sums: Array, out: Array, count: bool = False, offsets: Array | None = None
    ) -> tuple[int, int]:
        """Write the results of ``sums`` to ``out``, of the same size; ``sums`` may be overwritten.

        Args:
            offsets: of the shape of ``sums`` and the type of the work, added to float sums; the bounds hold
                for what they give.

        Returns:
            The numbers of values below and above the target's range; zeros unless ``count``. For a float
            target those are finite sums that became infinite.
        """
        if sums.dtype != self.work and sums.ndim > 1:
            return self._in_blocks(sums, out, count, offsets)
        work = sums if sums.dtype == self.work else sums.astype(self.work)
        kind = work.dtype.type
        infinite = self._infinities(work, self.affine.magnitude) if count and self.overflows else (0, 0)
        if self.affine.gain != 1:
            work *= kind(self.affine.gain)
        if self.affine.offset != 0:
            work += kind(self.affine.offset)
        if offsets is not None:
            work += offsets
        if self.affine.magnitude and work.dtype.kind != "u":
            np.abs(work, out=work)
        if work.dtype.kind == "f":
            self._round_floats(work)
        elif self.affine.denominator != 1:
            _divide_integers(work, self.affine.denominator)
        beyond = self._saturate(work, self.ends, count) if self.ends else (0, 0)
        np.copyto(out, work.reshape(out.shape), casting="unsafe")
        if self.limits and work.dtype.kind == "f" and self._integer_bytes() == 8:
            # float64 ends one step below the type's last value; what was cut off there goes all the way
            out[work.reshape(out.shape) >= np.nextafter(2.0 ** (63 + (self.target.kind == "u")), 0)] = span(
                self.target
            )[1]
        if count and self.overflows:
            infinities = self._infinities(out)
            beyond = infinities[0] - infinite[0], infinities[1] - infinite[1]
        return beyond

    @staticmethod
    def _infinities(values: Array, magnitude: bool = False) -> tuple[int, int]:
        """The numbers of values that are −∞ and ∞; with ``magnitude``, both count as ∞."""
        if not values.size or (np.isfinite(values.min()) and np.isfinite(values.max())):
            return 0, 0
        low, high = (int(np.count_nonzero(values == end)) for end in (-np.inf, np.inf))
        return (0, low + high) if magnitude else (low, high)

    def _in_blocks(self, sums: Array, out: Array, count: bool, offsets: Array | None) -> tuple[int, int]:
        """Convert to another type some rows at a time, so that the copies stay in the cache."""
        each = sums[:1].size
        rows = max(BLOCK // max(each, 1), 1)
        below = above = 0
        for top in range(0, len(sums), rows):
            if each > BLOCK and sums.ndim > 2:
                added = None if offsets is None else offsets[top]
                beyond = self._in_blocks(sums[top], out[top], count, added)
            else:
                part = slice(top, top + rows)
                added = None if offsets is None else offsets[part]
                beyond = self(sums[part].astype(self.work), out[part], count, added)
            below, above = below + beyond[0], above + beyond[1]
        return below, above

    def _round_floats(self, work: Array) -> None:
        d = self.affine.denominator
        if d != 1:
            work /= work.dtype.type(d)
            narrows = not self.integer_result and self.target.itemsize < work.itemsize
            if narrows and self.exact and d & (d - 1):
                _leave_midpoints(work, d, self.target)
        if self.integer_result:
            if not self.largest < np.inf:
                np.copyto(work, 0, where=np.isnan(work))
            if not self.exact or self.affine.denominator != 1:
                np.rint(work, out=work)

    def _ends(self) -> tuple[Any, Any, Any]:
        """In the type of the work: the lowest and highest result, and the highest that converts to one."""
        kind = self.work.type
        least, most = self.limits or (0, 0)
        if self.work.kind in "iu":
            own = span(self.work)
            least, most = max(least, own[0]), min(most, own[1])
        high = kind(most)
        return kind(least), high, np.nextafter(high, kind(0)) if int(high) > most else high

    def _saturate(self, work: Array, ends: tuple[Any, Any, Any], count: bool) -> tuple[int, int]:
        low, high, last = ends
        below = int(np.count_nonzero(work < low)) if count and work.min() < low else 0
        above = int(np.count_nonzero(work > high)) if count and work.max() > high else 0
        work.clip(low, last, out=work)
        return below, above


def _leave_midpoints(quotients: Array, d: int, target: DType) -> None:
    """Move quotients by ``d`` that rounding alone put halfway between two values of ``target``, in place.

    They would be rounded twice, the second time at a tie that does not exist. Real ties stay where they are.
    """
    places = _halfway(quotients, target)
    near = quotients[places]
    products = near.astype(np.float64) * d  # exact for a small d: a midpoint has 25 bits at most
    sums = np.rint(products)
    unsure = np.flatnonzero(products != sums) if d < _EXACT_PRODUCT else range(len(near))
    for index in unsure:
        exact, midpoint = Fraction(int(sums[index]), d), Fraction(float(near[index]))
        if exact != midpoint:
            place = tuple(axis[index] for axis in places)
            direction = near.dtype.type(np.inf if exact > midpoint else -np.inf)
            quotients[place] = np.nextafter(near[index], direction)


def _halfway(values: Array, target: DType) -> tuple[Array, ...]:
    """Where values lie half-way between two neighbors of a narrower float type."""
    if values.dtype == np.float64 and target == np.float32:  # none is small enough for float32 to lose digits
        return np.nonzero((values.view(np.int64) & 0x1FFF_FFFF) == 0x1000_0000)
    near = values.astype(target)
    apart = values - near
    other = np.nextafter(near, np.where(apart > 0, np.inf, -np.inf).astype(target))
    return np.nonzero((apart != 0) & (other.astype(values.dtype) - values == apart))


def _divide_integers(work: Array, d: int) -> None:
    """``work`` / ``d`` to nearest, ties to even, in place; ``work`` has room for ``+ d // 2``."""
    kind = work.dtype.type
    if d & (d - 1) == 0:
        shift = kind(d.bit_length() - 1)
        odd = np.right_shift(work, shift)
        odd &= kind(1)
        odd += kind(d // 2 - 1)
        work += odd
        work >>= shift
    elif d % 2:
        work += kind(d // 2)
        work //= kind(d)
    else:
        work += kind(d // 2)
        quotient = work // kind(d)
        quotient -= (quotient * kind(d) == work) & (quotient & kind(1)).astype(bool)
        work[...] = quotient
