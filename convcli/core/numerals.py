"""Numbers as text: the one set of formatters for reports, messages, drawings and files.

What people read has a minus sign (−); what programs read (files, code, command lines) has a hyphen.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from math import floor, inf, isfinite, log10
from typing import Final

from convcli.core.rational import Number

DIGITS: Final = 4  # of a rounded number beside an image
PLAIN_DIGITS: Final = 7  # of the largest numbers there without an exponent
_SMALLEST_POWER: Final = -3  # of ten, below which a number in a cell has an exponent
_UNITS: Final = ("bytes", "kB", "MB", "GB", "TB", "PB")
_VOLUME_DIGITS: Final = 3  # of a number of bytes
_LONGEST: Final = 20  # characters of a number in a name
_LONGEST_FORMULA: Final = 9  # characters of a number in a formula that is written in full
_LARGEST_POWER: Final = 4096  # of two, as the denominator of weights
_EXPONENT: Final = re.compile(r"e\+?(−?)0*(?=\d)")


def number_text(value: Number) -> str:
    """A number as it is typed, with a hyphen: ``3``, ``-1/9``, ``0.375``; floats to six digits."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def short_text(value: Number) -> str:
    """The same in few digits, for names: those of long fractions are rounded, as in ``1e+300``."""
    text = number_text(value)
    return text if len(text) <= _LONGEST else f"{float(value):.6g}"


def float_text(value: float) -> str:
    """A float other than 0 in 25 digits, which are read back as that float and never as a fraction.

    The last digit, 1, prevents cancellation, so the numerator does not fit in 62 bits.
    """
    digits, exponent = f"{Decimal(value):.24e}".split("e")
    return str(Decimal(f"{digits[:-1]}1e{exponent}"))


def report_text(value: Number) -> str:
    """A value in a report: an integer in full, a fraction to six digits."""
    if isinstance(value, Fraction) and value.denominator == 1:
        return with_minus(str(value.numerator))
    return with_minus(f"{float(value):.6g}")


def size_text(count: int) -> str:
    """A number of bytes: ``9000 bytes``, ``12 kB``."""
    return f"{count} bytes" if count < 10_000 else f"{grouped(round(count / 1000))} kB"


def volume_text(count: int, rounded: Callable[[Fraction], int] = round) -> str:
    """A number of bytes in the largest unit that fits, to three digits: ``800 bytes``, ``1.07 GB``.

    Args:
        rounded: how the third digit is found, such as `math.ceil` for what is needed at least.
    """
    power = min(max(len(str(count)) - 1, 0) // 3, len(_UNITS) - 1)
    if not power:
        return counted(count, "byte")
    step = 10 ** max(len(str(count)) - _VOLUME_DIGITS, 0)
    kept = rounded(Fraction(count, step)) * step
    if kept >= 1000 ** (power + 1) and power < len(_UNITS) - 1:
        power += 1
    return f"{float(Fraction(kept, 1000**power)):g} {_UNITS[power]}"


def counted(count: int, noun: str) -> str:
    """A count with its noun: ``1 row``, ``2 rows``."""
    return f"{count} {noun}{'s' * (count != 1)}"


def axes_text(count: int) -> str:
    """A number of axes: ``1 axis``, ``2 axes``."""
    return f"{count} {'axis' if count == 1 else 'axes'}"


def grouped(count: int) -> str:
    """A whole number in groups of three digits, from five digits on: ``12 345``."""
    return f"{count:,}".replace(",", " ") if count >= 10_000 else str(count)


def with_minus(text: str) -> str:
    """The text of a number with a minus sign (U+2212) in place of hyphens."""
    return text.replace("-", "−")


def as_float(value: Number) -> float:
    """The nearest float; infinity beyond the range of floats."""
    try:
        return float(value)
    except OverflowError:
        return inf if value > 0 else -inf


def decimal_text(value: Fraction) -> str:
    """All digits of a fraction that ends within six decimals; empty for others."""
    ends = 10**6 % value.denominator == 0 and abs(value) < 10**9
    return with_minus(f"{float(value):.15g}") if ends else ""


def formula_text(value: Number) -> str:
    """A number in a formula: integers, short decimals and fractions in full, others to six digits."""
    if isinstance(value, Fraction) and value.denominator != 1:
        text = decimal_text(value) or with_minus(number_text(value))
        is_short = len(text) <= _LONGEST_FORMULA and not _is_float(value)
        return text if is_short else report_text(as_float(value))
    return report_text(value)


def _is_float(value: Fraction) -> bool:
    """Whether a fraction looks like the exact value of a float: over a large power of two."""
    return value.denominator > _LARGEST_POWER and value.denominator.bit_count() == 1


def axis_text(value: Number, digits: int = DIGITS) -> str:
    """A number at an axis or color bar: no exponent from 10 to the power of ``digits`` to 10 million."""
    large = 10**PLAIN_DIGITS
    if isinstance(value, Fraction) and value.denominator == 1 and abs(float(value)) < large:
        return report_text(value)
    if float(f"1e{digits}") <= abs(float(value)) < large:
        return with_minus(f"{float(value):.0f}")
    return rounded_text(value, digits)


def rounded_text(value: Number, digits: int) -> str:
    """A number to so many digits, with a short exponent such as ``1e7`` or ``2e−5`` where it needs one."""
    return _EXPONENT.sub(r"e\1", with_minus(f"{float(value):.{digits}g}"))


def cell_text(value: Number, digits: int = DIGITS, plain: int = PLAIN_DIGITS) -> str:
    """A number for a cell: integers of up to ``plain`` digits and short decimals in full, others rounded.

    With four digits and more, a number that is not an integer keeps a decimal.
    """
    if isinstance(value, float):
        return with_minus(f"{value:g}")
    integer = value.denominator == 1
    text = str(value.numerator) if integer else decimal_text(value)
    if not text or len(text.strip("-−")) > (plain if integer else digits + 1):
        text = _rounded_for_cell(as_float(value), digits, plain)
    return with_minus(text)


def _rounded_for_cell(value: float, digits: int, plain: int) -> str:
    """The value to so many digits, with an exponent if it is large or small."""
    if not value or not isfinite(value):
        return f"{value:g}"
    power = floor(log10(abs(value)))
    if not _SMALLEST_POWER <= power < plain:
        mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
        return f"{_without_zeros(mantissa, 0)}e{int(exponent)}"
    decimals = int(digits >= DIGITS)
    return _without_zeros(f"{value:.{max(digits - 1 - power, decimals)}f}", decimals)


def _without_zeros(text: str, least: int) -> str:
    """A decimal number without trailing zeros, but with at least so many decimals."""
    integer, _, decimals = text.partition(".")
    decimals = decimals.rstrip("0").ljust(least, "0")
    return f"{integer}.{decimals}" if decimals else integer
