"""Exact numbers: parsing them, and arrays of fractions over one denominator.

A kernel is exact if its weights are integers over a common denominator. Sums of integer pixels times such
weights are integers too, so nothing is rounded before the very end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from math import lcm
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from convcli.core.errors import quoted
from convcli.core.frozen import frozen
from convcli.core.patterns import pattern

Number = Fraction | float
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

SMALLEST: Final = Fraction(1, 10**300)
"""Smallest magnitude other than 0 that is parsed."""
_PLAIN: Final = pattern(r"([+-]?)(\d*)\.?(\d*)", re.ASCII)
_NUMBER: Final = pattern(
    r"(?P<top>[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,3})?)"
    r"(?:\s*/\s*(?P<bottom>[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,3})?))?",
    re.IGNORECASE | re.ASCII,
)
_GCD: Final[Any] = np.gcd  # some versions of its stubs leave out reduce
_FIRST, _PART = 2**6, 2**16  # values
_LONGEST: Final = 80
_INTEGERS: Final = 2**62  # numerators and denominators stay below this
_FLOAT64_EXACT: Final = 2**53
_FLOAT64_ROUNDING: Final = 2.0**-52  # of a product and a quotient
_LARGEST_DENOMINATOR: Final = 2**16  # that is looked for in floats
_DYADIC_BITS: Final = 24  # a float with more fractional bits than these was not meant as a fraction


def parse_number(text: str) -> Fraction:
    """The exact value of ``3``, ``-0.5``, ``1e-3`` or ``1/9``.

    Raises:
        ValueError: anything else, with the text and the reason; NaN, infinity and a zero divisor included.
    """
    word = text.strip().replace("−", "-")
    short = word if len(word) <= _LONGEST else ""
    plain = _PLAIN.fullmatch(short)
    if plain and (plain[2] or plain[3]):
        return Fraction(int(plain[1] + plain[2] + plain[3]), 10 ** len(plain[3]))
    match = _NUMBER.fullmatch(short)
    if match is None and re.fullmatch(r"[+-]?\.?(nan|inf|infinity)", short, re.IGNORECASE):
        raise ValueError(f"{quoted(text)} is not a finite number")
    if match is None:
        raise ValueError(f"{quoted(text)} is not a number (allowed: 3, -0.5, 1e-3, 1/9)")
    top, bottom = Fraction(match["top"]), Fraction(match["bottom"] or 1)
    if bottom == 0:
        raise ValueError(f"{quoted(text)} divides by zero")
    value = top / bottom
    if abs(value) > 10**300 or (value and abs(value) < SMALLEST):
        raise ValueError(f"{quoted(text)} is out of range (allowed: 1e-300 to 1e300)")
    return value


def exact_number(value: Any) -> Number:
    """An integer or fraction exactly; a float as a fraction if it has few fractional bits, else as it is."""
    if isinstance(value, (Fraction, int, np.integer)):
        return Fraction(int(value)) if not isinstance(value, Fraction) else value
    number = float(value)
    if abs(number) < 2**38 and number * 2**_DYADIC_BITS == round(number * 2**_DYADIC_BITS):
        return Fraction(number)
    return number


def fitting(value: Number) -> Number:
    """A number unchanged, or the nearest float if 62 bits do not hold it, as for weights."""
    if isinstance(value, float) or max(abs(value.numerator), value.denominator) < _INTEGERS:
        return value
    return float(value)


@frozen(eq=False)
class Rational:
    """An array of fractions: ``numerators`` (int64, any shape) over one ``denominator``."""

    numerators: IntArray
    denominator: int

    @classmethod
    def of(cls, values: NDArray[Any], scale: Number) -> Rational | None:
        """The exact form of ``values`` × ``scale``, or None if none fits 62 bits."""
        if isinstance(scale, float):
            return None
        if values.dtype.kind in "iub":
            largest = max((abs(int(values.max())), abs(int(values.min()))), default=0)
            return cls._fitted(values, largest, scale)
        if values.dtype.kind == "f":
            return cls._of_floats(values, scale)
        exact: list[Fraction] = []
        common = 1
        for value in map(exact_number, values.ravel().tolist()):
            if isinstance(value, float):
                return None
            exact.append(value)
            common = lcm(common, value.denominator)
            if common >= _INTEGERS:
                return None
        fractions = [value for value in exact if isinstance(value, Fraction)]
        integers = [value.numerator * (common // value.denominator) for value in fractions]
        if max(map(abs, integers)) >= _INTEGERS:
            return None
        array = np.array(integers, np.int64).reshape(values.shape)
        return cls._fitted(array, max(map(abs, integers)), scale / common)

    @classmethod
    def _of_floats(cls, values: NDArray[Any], scale: Fraction) -> Rational | None:
        if not all(_are_whole(part * 2.0**_DYADIC_BITS) for part in _parts(values)):
            return None
        steps = values.astype(np.float64)
        steps *= 2.0**_DYADIC_BITS
        most = float(max(steps.max(), -steps.min()))
        return cls._fitted(steps, int(most), scale / 2**_DYADIC_BITS) if most < _INTEGERS else None

    @classmethod
    def near(cls, values: NDArray[Any], roundoff: float) -> Rational | None:
        """Fractions over one small denominator, each within ``roundoff`` × value; None if there are none."""
        magnitudes = np.abs(values.astype(np.float64))
        if not float(magnitudes.max()) < _INTEGERS / _LARGEST_DENOMINATOR:
            return None
        common = 1
        while common <= _LARGEST_DENOMINATOR:
            steps = magnitudes * common
            numerators = np.rint(steps)
            is_off = np.abs(numerators / common - magnitudes) > roundoff * magnitudes
            if not is_off.any():
                signed = np.copysign(numerators, values)
                return cls._fitted(signed, int(numerators.max()), Fraction(1, common))
            common *= _denominator(float(steps.flat[is_off.argmax()]), roundoff + _FLOAT64_ROUNDING)
        return None

    @classmethod
    def _fitted(cls, integers: NDArray[Any], largest: int, scale: Fraction) -> Rational | None:
        """``integers`` × ``scale``, reduced to lowest terms."""
        if largest >= _INTEGERS:
            return None
        numerators = integers.astype(np.int64)
        shared = int(_GCD.reduce(numerators, axis=None)) or 1
        factor = scale * shared
        if largest // shared * abs(factor.numerator) >= _INTEGERS or factor.denominator >= _INTEGERS:
            return None
        numerators //= shared
        numerators *= factor.numerator
        numerators.setflags(write=False)
        return cls(numerators, factor.denominator)

    def floats(self) -> FloatArray:
        """Each fraction as the nearest float64."""
        largest = max(int(self.numerators.max()), -int(self.numerators.min()))
        if max(self.denominator, largest) <= _FLOAT64_EXACT:
            return self.numerators / self.denominator
        quotients: FloatArray = (self.numerators.astype(object) / self.denominator).astype(np.float64)
        return quotients  # Python's integers are divided with one rounding

    def total(self) -> Fraction:
        """The sum of all elements."""
        return Fraction(exact_sum(self.numerators), self.denominator)


def _denominator(value: float, tolerance: float) -> int:
    """The denominator of a positive value's first convergent that is within ``tolerance`` × value.

    At least 2; above the largest that is allowed if there is none.
    """
    rest, before, here = value % 1, 0, 1
    while rest > 0 and here <= _LARGEST_DENOMINATOR:
        before, here = here, int(min(1 / rest, _INTEGERS)) * here + before
        rest = 1 / rest % 1
        if here > 1 and abs(value * here - round(value * here)) <= tolerance * value * here:
            return here
    return _LARGEST_DENOMINATOR + 1


def _parts(values: NDArray[Any]) -> Iterator[FloatArray]:
    """The values as float64, in parts that take little memory; the first one is short, to fail early."""
    flat = values.ravel(order="K")  # a copy only of values that do not lie together
    yield flat[:_FIRST].astype(np.float64)
    for start in range(_FIRST, flat.size, _PART):
        yield flat[start : start + _PART].astype(np.float64)


def _are_whole(values: FloatArray) -> bool:
    return bool(np.all(values == np.rint(values)))


def exact_sum(integers: IntArray) -> int:
    """The sum without overflow."""
    if float(np.abs(integers.astype(np.float64)).sum()) < _INTEGERS:
        return int(integers.sum())
    return sum(map(int, integers.ravel()))


def masked(value: object) -> str:
    """Why a masked array is rejected; empty if no value is masked."""
    if not isinstance(value, np.ndarray) or type(value) is np.ndarray or not np.ma.is_masked(value):
        return ""
    count = int(np.ma.getmaskarray(value).sum())
    return f"masks {count} of {value.size} values; use .filled(VALUE) to say what they count as"
