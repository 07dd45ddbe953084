"""Results of other libraries, where they are right."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

import convcli.dask

ndimage = pytest.importorskip("scipy.ndimage")
MODES = {
    "edge": "nearest",
    "reflect": "mirror",
    "symmetric": "reflect",
    "wrap": "grid-wrap",
    "zero": "constant",
}
RANDOM = np.random.default_rng(4)


@pytest.mark.parametrize("fill", sorted(MODES))
@pytest.mark.parametrize("chunk", [3, 16, 40])
def test_scipy(fill, chunk):
    """The same values as `scipy.ndimage.correlate` gives for the whole array, in float64."""
    x, weights = RANDOM.normal(size=(40, 37)), RANDOM.normal(size=(5, 3))
    lazy = convcli.dask.conv(da.from_array(x, chunks=chunk), weights, padding="same", fill=fill)
    np.testing.assert_allclose(lazy, ndimage.correlate(x, weights, mode=MODES[fill]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("fill", ["edge", "reflect", "symmetric", "zero"])
def test_dask_image(fill):
    """The same values as dask-image gives for floats; for integers it does not round them."""
    ndfilters = pytest.importorskip("dask_image.ndfilters")
    x, weights = RANDOM.normal(size=(40, 37)), RANDOM.normal(size=(5, 3))
    array = da.from_array(x, chunks=(20, 37))
    other = ndfilters.correlate(array, weights, mode=MODES[fill])
    lazy = convcli.dask.conv(array, weights, padding="same", fill=fill)
    np.testing.assert_allclose(lazy, other.compute(), rtol=0, atol=1e-12)
    assert len(dict(lazy.__dask_graph__())) < len(dict(other.__dask_graph__()))
