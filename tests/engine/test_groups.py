"""Layers with a group for each channel: the values of shift and add, whatever the strides, maps and axes."""

from __future__ import annotations

import numpy as np
import pytest

import convcli

RANDOM = np.random.default_rng(5)

LAYERS = {
    "3×3": ((2, 7, 20, 31), (7, 1, 3, 3), {"padding": 1}),
    "no padding": ((7, 20, 31), (7, 1, 3, 3), {}),
    "maps": ((3, 20, 31), (12, 1, 3, 5), {"padding": 2}),
    "stride": ((5, 20, 31), (5, 1, 3, 3), {"padding": 1, "stride": 2}),
    "row stride": ((5, 20, 31), (5, 1, 3, 3), {"stride": (3, 1)}),
    "dilation": ((5, 20, 31), (5, 1, 3, 3), {"dilation": (2, 3)}),
    "far taps": ((3, 40, 4000), (3, 1, 2, 2), {"dilation": (1, 3000)}),
    "large": ((2, 300, 400), (2, 1, 5, 5), {"padding": "same:reflect"}),
    "1-D": ((2, 6, 100), (6, 1, 9), {"padding": 4}),
    "3-D": ((2, 4, 6, 7, 8), (4, 1, 3, 3, 3), {"padding": 1}),
}


@pytest.mark.parametrize("method", ["im2col", "toeplitz", "auto"])
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32, np.float64])
def test_values_of_shift_and_add(name, dtype, method):
    """Integers are equal, floats close; maps of zeros and taps of zeros included."""
    size, shape, options = LAYERS[name]
    x = RANDOM.integers(0, 200, size).astype(dtype)
    weights = RANDOM.integers(-9, 10, shape)
    weights[0], weights[:, :, 0] = 0, 0
    weights = weights / 7 if np.dtype(dtype).kind == "f" else weights
    options = {**options, "channels": "first", "groups": size[-len(shape) + 1]}
    found, wanted = (convcli.conv(x, weights, method=name, **options) for name in (method, "shift"))
    assert np.allclose(found, wanted, rtol=1e-5, atol=0 if np.dtype(dtype).kind != "f" else 1e-3)


@pytest.mark.parametrize("method", ["im2col", "toeplitz"])
def test_infinities_and_nan_stay_in_their_channel_and_windows(method):
    """A tap of weight 0 reads nothing."""
    x = RANDOM.normal(size=(3, 20, 30)).astype(np.float32)
    x[1, 8, 9], x[2, 5, 5] = np.nan, np.inf
    weights = RANDOM.normal(size=(3, 1, 3, 3)).astype(np.float32)
    weights[1, 0, 0], weights[2, 0, :, 2] = 0, 0
    options = {"channels": "first", "groups": 3}
    found, wanted = (convcli.conv(x, weights, method=name, **options) for name in (method, "shift"))
    assert np.array_equal(np.isfinite(found), np.isfinite(wanted))
    assert np.allclose(found, wanted, rtol=1e-4, atol=1e-4, equal_nan=True)


@pytest.mark.parametrize("maps", [1, 2, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_separable_maps_of_zeros_beside_maps_of_several_channels(dtype, maps):
    """Planes are added for a map, however many maps have none."""
    x = RANDOM.integers(0, 200, (12, 13, 2)).astype(dtype)
    weights = np.multiply.outer(np.outer([1, 2, 1], [1, 3]), np.ones((2, maps), int))
    weights[..., 1:] = 0
    found, wanted = (
        convcli.conv(x, weights, method=name, channels="last") for name in ("separable", "shift")
    )
    assert np.array_equal(found, wanted)
