"""Float kernels that are fractions up to rounding, over integer images."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import convcli
from convcli.core.errors import ConvcliError
from convcli.engine.methods.registry import NAMES
from tests.reference import correlate

RANDOM = np.random.default_rng(7)
IMAGE = RANDOM.integers(0, 256, (40, 50)).astype(np.uint8)
SMOOTH = np.array([[2, 4, 5, 4, 2], [4, 9, 12, 9, 4], [5, 12, 15, 12, 5], [4, 9, 12, 9, 4], [2, 4, 5, 4, 2]])
KERNELS = {
    "box": (np.ones((3, 3)), 9),
    "smooth": (SMOOTH, SMOOTH.sum()),
    "signed": (np.array([[-1, 0, 2], [3, 0, -7]]), 21),
}


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
def test_results_are_those_of_fractions(name, dtype):
    """The same bytes as a kernel of texts such as 1/9, for float64 and float32 weights."""
    integers, divisor = KERNELS[name]
    exact = convcli.Kernel(integers.astype(int), scale=Fraction(1, int(divisor)))
    expected = convcli.conv(IMAGE, exact, dtype=dtype)
    assert np.array_equal(convcli.conv(IMAGE, integers / divisor, dtype=dtype), expected)
    if dtype != "float64":
        single = integers.astype(np.float32) / np.float32(divisor)
        assert np.array_equal(convcli.conv(IMAGE, single, dtype=dtype), expected)


@pytest.mark.parametrize("source", ["uint8", "int8", "uint16", "int16"])
@pytest.mark.parametrize("double", [False, True])
def test_results_stay_within_the_bound_of_float_sums(source, double):
    """2·n·ε·Σ|w·x| around the sums of the floats that were passed."""
    ends = np.iinfo(source)
    x = RANDOM.integers(ends.min, ends.max, (12, 13), source, endpoint=True)
    epsilon = 2.0**-53 if double else 2.0**-24
    for weights in (np.array([[0.1]]), np.array([[np.pi]]), np.array([[1e-4, 0.3]]), SMOOTH / 1003):
        got = convcli.conv(x, weights, dtype="float64" if double else None)
        truth, scale = (
            correlate(image, taps, (1, 1), ((0, 0), (0, 0)), (1, 1))
            for image, taps in ((x, weights), (np.abs(x.astype(int)), np.abs(weights)))
        )
        exact = np.vectorize(lambda value: Fraction(float(value)), otypes=[object])(got)
        bound = (2 * weights.size * epsilon * scale.astype(float)).astype(float)
        assert np.all(np.abs((exact - truth).astype(float)) <= bound)


@pytest.mark.parametrize("method", NAMES)
def test_methods_give_the_same_bytes(method):
    """Where a method sums integers, it gives what plain sums of them give."""
    weights = KERNELS["smooth"][0] / KERNELS["smooth"][1]
    try:
        got = convcli.conv(IMAGE, weights, method=method, padding="same", dtype="uint8")
    except ConvcliError:
        pytest.skip("the method refuses this kernel")
    assert np.array_equal(got, convcli.conv(IMAGE, weights, method="shift", padding="same", dtype="uint8"))


def test_uniform_images_stay_uniform():
    """An average of equal values is that value, without a trace of the weights' rounding."""
    x = np.full((9, 9), 251, np.uint8)
    for side in (3, 5, 7, 11):
        weights = np.ones((side, side)) / side**2
        assert np.all(convcli.conv(x, weights, padding="same:edge", dtype="float64") == 251)
