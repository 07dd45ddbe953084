"""Numbers as text, for reports, messages and files."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from convcli.core.rational import Number


def text_of(value: Number) -> str:
    """A number as a person writes it: ``3``, ``1/9``, ``0.375`` (floats in 6 digits)."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def float_text(value: float) -> str:
    """A float other than 0 in 25 digits that read back as it, and never as a fraction.

    A last digit of 1 leaves nothing to cancel, so that no 62 bits hold the numerator.
    """
    digits, exponent = f"{Decimal(value):.24e}".split("e")
    return str(Decimal(f"{digits[:-1]}1e{exponent}"))


def short(value: Number) -> str:
    """A value in a report: an integer in full, a fraction to six digits."""
    if isinstance(value, Fraction) and value.denominator == 1:
        return str(value.numerator).replace("-", "−")
    return f"{float(value):.6g}".replace("-", "−")


def size_text(count: int) -> str:
    return f"{count} bytes" if count < 10_000 else f"{grouped(round(count / 1000))} kB"


def counted(count: int, noun: str) -> str:
    """A count with its noun: ``1 row``, ``2 rows``."""
    return f"{count} {noun}{'s' * (count != 1)}"


def grouped(count: int) -> str:
    """A whole number in groups of three digits, from five digits on."""
    return f"{count:,}".replace(",", " ") if count >= 10_000 else str(count)
