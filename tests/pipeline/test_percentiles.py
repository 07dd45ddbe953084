"""Percentiles that are counted in passes equal those of the sorted values."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import numpy as np
import pytest

from convcli.pipeline.maps.percentiles import PercentileSearch

PERCENTS = [Fraction(0), Fraction(1, 2), Fraction(1), Fraction(50), Fraction(199, 2), Fraction(100)]


def searched(values: np.ndarray, pieces: int) -> list:
    search = PercentileSearch(values.dtype, PERCENTS)
    while not search.is_done:
        total = search.counter()
        for piece in np.array_split(values.ravel(), pieces):
            worker = search.counter()
            worker.note(piece)
            total.merge(worker)
        search.advance(total)
    return search.values()


def sorted_ranks(values: np.ndarray) -> list:
    finite = np.sort(values[np.isfinite(values)]) if values.dtype.kind == "f" else np.sort(values.ravel())
    return [finite[max(ceil(p * len(finite) / 100), 1) - 1].item() for p in PERCENTS]


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "f2", "f4", "f8"])
@pytest.mark.parametrize("pieces", [1, 7])
def test_every_type_and_cut(dtype, pieces):
    """The nearest rank, for values of all magnitudes and both signs."""
    rng = np.random.default_rng(7)
    values = rng.standard_normal(5000) * 10.0 ** rng.integers(-3, 5, 5000)
    if dtype[0] != "f":
        span = np.iinfo(dtype)
        values = np.clip(values, max(span.min, -(2**60)), min(span.max, 2**60))
    with np.errstate(over="ignore"):
        values = values.astype(dtype)
    assert searched(values, pieces) == sorted_ranks(values)


def test_what_is_not_finite_does_not_count():
    """NaN and infinities do not count; signed zeros do."""
    values = np.array([np.nan, np.inf, -np.inf, 3.0, -0.0, -2.5, 1.0], "f4")
    assert searched(values, 2) == sorted_ranks(values)


def test_few_and_equal_values():
    """A single value, and values that are all the same."""
    assert searched(np.array([-7], "i4"), 1) == [-7] * len(PERCENTS)
    assert searched(np.full(1000, 2.5, "f8"), 3) == [2.5] * len(PERCENTS)
