"""Biases of layers: one per map, added once, in whatever way sums become results."""

from __future__ import annotations

import numpy as np
import pytest

import convcli

X = np.random.default_rng(0).normal(size=(2, 5, 40, 600)).astype(np.float32)
WEIGHTS = np.random.default_rng(1).normal(size=(6, 5, 3, 3)).astype(np.float32)
BIAS = np.array([0.1, -2.5, 0, 1e3, 0.1, 7], np.float32)
METHODS = ["auto", "shift", "im2col"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channels", ["first", "last"])
def test_each_map_of_floats_has_its_own(method, dtype, channels):
    """The results are those without a bias, plus the bias, in the type of the sums."""
    x, weights = (
        (X, WEIGHTS) if channels == "first" else (np.moveaxis(X, 1, -1), WEIGHTS.transpose(2, 3, 1, 0))
    )
    options = {"channels": channels, "method": method, "dtype": dtype}
    plain = convcli.conv(x, weights, **options)
    wanted = plain + (BIAS[:, None, None] if channels == "first" else BIAS).astype(dtype)
    assert np.array_equal(convcli.conv(x, weights, bias=BIAS, **options), wanted)


@pytest.mark.parametrize("method", METHODS)
def test_results_of_integers_are_limited_with_the_bias(method):
    """A bias that lifts sums over the highest pixel saturates them; one that lowers them does not."""
    x = np.full((1, 5, 9, 9), 255, np.uint8)
    weights = np.full((3, 5, 1, 1), 0.3)
    got = convcli.conv(x, weights, bias=[0.4, 1e4, -200.25], channels="first", dtype=np.uint8, method=method)
    assert [set(map_.ravel().tolist()) for map_ in got[0]] == [{255}, {255}, {182}]
    assert (
        convcli.conv(x, weights, bias=[-1e9, 0, 0], channels="first", dtype=np.uint8, method=method).max()
        == 255
    )
