"""Fractions that floats stand for."""

from __future__ import annotations

import numpy as np
import pytest

from convcli.core.rational import Rational

SINGLE, DOUBLE = 2.0**-24, 2.0**-53
BINOMIAL = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]])
TAPS = np.array([3, -4, 9, 0, 12])


@pytest.mark.parametrize(
    ("values", "roundoff", "numerators", "denominator"),
    [
        (np.ones((3, 3)) / 9, DOUBLE, np.ones((3, 3)), 9),
        (np.ones((3, 3)) / 9, SINGLE, np.ones((3, 3)), 9),
        (TAPS / 159, DOUBLE, TAPS, 159),
        (-TAPS / 65521, DOUBLE, -TAPS, 65521),
        (BINOMIAL / 16.3, DOUBLE, BINOMIAL * 10, 163),
        (np.array([0.299, 0.587, 0.114]), DOUBLE, [299, 587, 114], 1000),
        (np.array([1 / 3, 2 / 7, 5 / 11]), DOUBLE, [77, 66, 105], 231),
        (np.array([0.0, -0.0]), DOUBLE, [0, 0], 1),
        ((TAPS.astype(np.float32) / 159).astype(float), SINGLE, TAPS, 159),
    ],
)
def test_near_fractions_are_found(values, roundoff, numerators, denominator):
    """In lowest terms, with signs, for floats of both precisions."""
    near = Rational.near(values, roundoff)
    assert near is not None
    assert near.denominator == denominator
    assert np.array_equal(near.numerators, numerators)


@pytest.mark.parametrize(
    ("values", "roundoff"),
    [
        ((TAPS.astype(np.float32) / 159).astype(float), DOUBLE),
        (np.array([1 / 65537]), DOUBLE),
        (np.sqrt([2.0, 3.0, 5.0]), SINGLE),
        (np.array([np.nextafter(1 / 9, 1)]), DOUBLE),
        (np.array([5e-324]), DOUBLE),
        (np.array([1e300]), DOUBLE),
        (np.array([1.0, 1e-9]), SINGLE),
    ],
)
def test_other_floats_have_none(values, roundoff):
    """A denominator above 2¹⁶, a neighbor of the nearest float, and the ends of the range."""
    assert Rational.near(values, roundoff) is None
