"""Numbers as text: tables of values and what they are written as."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

import pytest

from convcli.core import numerals
from convcli.core.numerals import axis_text, cell_text, volume_text


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (Fraction(-12), 4, "−12"),
        (Fraction(1, 3), 4, "0.3333"),
        (Fraction(1, 3), 3, "0.333"),
        (Fraction(5, 4), 4, "1.25"),
        (Fraction(41210), 4, "41210"),
        (Fraction(1234567), 4, "1234567"),
        (Fraction(-12345678), 4, "−1.235e7"),
        (Fraction(278706, 10), 4, "27870.6"),
        (Fraction(2787061, 100), 4, "27870.6"),
        (Fraction(141963, 1000), 4, "142.0"),
        (Fraction(141963, 1000), 3, "142"),
        (Fraction(1, 7000), 4, "1.429e−4"),
        (Fraction(1, 7000), 2, "1.4e−4"),
        (Fraction(1, 2), 2, "0.5"),
        (float("nan"), 4, "nan"),
    ],
)
def test_numbers_in_cells(value, digits, text):
    """Integers of up to seven digits and short decimals are written in full, others rounded."""
    assert cell_text(value, digits) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction(65535), "65535"), (50893.7, "50894"), (-1132.4, "−1132"), (0.123456, "0.1235"),
        (Fraction(10**8), "1e8"), (1e-5, "1e−5"), (Fraction(-3, 7), "−0.4286"),
    ],
)  # fmt: skip
def test_numbers_are_short(value, text):
    """Up to seven digits are written out, then exponents."""
    assert axis_text(value) == text


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        ("formula_text", Fraction(-7), "−7"),
        ("formula_text", Fraction(-1, 8), "−0.125"),
        ("formula_text", Fraction(1, 3), "1/3"),
        ("formula_text", Fraction(1, 131072), "7.62939e−06"),
        ("formula_text", Fraction(12345, 678901), "0.0181838"),
        ("formula_text", float("inf"), "inf"),
        ("decimal_text", Fraction(-5, 4), "−1.25"),
        ("decimal_text", Fraction(1, 3), ""),
        ("as_float", Fraction(10**400), float("inf")),
        ("as_float", Fraction(-(10**400)), float("-inf")),
        ("with_minus", "1e-3", "1e−3"),
    ],
)
def test_numbers_in_formulas(function, value, text):
    """Short decimals and fractions are exact, others have six digits, and huge ones are infinite."""
    assert getattr(numerals, function)(value) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (10**6, "1 MB"),
        (2**30, "1.07 GB"),
        (10**18, "1000 PB"),
        (123 * 10**18, "123000 PB"),
    ],
)
def test_volumes_have_three_digits(count, text):
    """In the largest unit that fits, also where rounding leads to the next one; no size is shown as 0."""
    assert volume_text(count) == text


def test_volumes_are_rounded_as_asked():
    """So that what is needed is never shown as less than it is, nor a limit as more."""
    assert (volume_text(1_000_001, ceil), volume_text(1_999_999, floor)) == ("1.01 MB", "1.99 MB")
