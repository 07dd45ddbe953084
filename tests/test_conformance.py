"""Other people's numbers: Keras and PyTorch layers, SciPy's filters, and a recorded layer."""

from __future__ import annotations

import numpy as np
import pytest

import convcli
from tests.conftest import SAMPLES, decoded

SCENE = decoded(SAMPLES / "scene.png").astype(np.float32) / 255
LAYER = convcli.load_kernel("random:3x3x1x1,seed=1")

# Values of the layer of walk-through B at some places, from torch 2.13.0 conv2d in float64
RECORDED = {
    (0, 0): 0.4283107,
    (31, 120): 0.4492039,
    (100, 90): 0.1253592,
    (140, 300): 0.0626796,
    (170, 450): 0.2507184,
    (200, 440): 0.1796937,
    (220, 100): 0.2072559,
    (254, 509): 0.2009365,
}


def test_walk_through_b_shapes():
    """Strides (2, 1) give (1, 255, 510, 1); a window of ones with `same` keeps 512×512."""
    x = SCENE[None, ..., None]
    assert LAYER.weights.shape == (3, 3, 1, 1)
    assert convcli.conv(x, LAYER, stride=(2, 1), channels="last").shape == (1, 255, 510, 1)
    ones = convcli.load_kernel("ones:3x3x1x1")
    assert convcli.conv(x, ones, padding="same", channels="last").shape == (1, 512, 512, 1)


def test_walk_through_b_equals_torch():
    """The same weights in torch give the same feature map, to 1e-5."""
    torch = pytest.importorskip("torch")
    x = SCENE[None, ..., None]
    ours = convcli.conv(x, LAYER, stride=(2, 1), channels="last")
    weights = torch.tensor(np.moveaxis(LAYER.weights.astype(np.float32), (2, 3), (1, 0)).copy())
    theirs = torch.nn.functional.conv2d(torch.tensor(x[..., 0])[:, None], weights, stride=(2, 1))
    assert np.abs(ours[..., 0] - theirs[:, 0].numpy()).max() < 1e-5


@pytest.mark.parametrize(("row", "column"), RECORDED)
def test_walk_through_b_equals_the_recorded_layer(row, column):
    """The same numbers where torch is not installed."""
    ours = convcli.conv(SCENE, LAYER.weights[:, :, 0, 0], stride=(2, 1))
    assert ours[row, column] == pytest.approx(RECORDED[row, column], abs=1e-5)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_torch_conv2d(mode):
    """Groups, strides, dilation, bias and every padding mode of a torch layer."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(3)
    layer = torch.nn.Conv2d(
        4, 6, (3, 2), stride=(2, 1), padding=(2, 1), dilation=(1, 2), groups=2, padding_mode=mode
    )
    x = torch.randn(2, 4, 11, 13)
    fill = {"zeros": "zero", "replicate": "edge", "circular": "wrap"}.get(mode, mode)
    ours = convcli.conv(
        x.numpy(),
        layer.weight.detach().numpy(),
        bias=layer.bias.detach().numpy(),
        stride=(2, 1),
        padding=(2, 1),
        dilation=(1, 2),
        groups=2,
        fill=fill,
        channels="first",
    )
    assert np.allclose(ours, layer(x).detach().numpy(), atol=1e-5)


SCIPY_MODES = {
    "reflect": "symmetric",
    "mirror": "reflect",
    "nearest": "edge",
    "wrap": "wrap",
    "constant": "zero",
}


@pytest.mark.parametrize("mode", SCIPY_MODES)
@pytest.mark.parametrize("size", [(3, 3), (5, 3), (7, 9)])
def test_scipy_correlate_and_convolve(mode, size):
    """scipy.ndimage in all its border modes, odd kernels."""
    ndimage = pytest.importorskip("scipy.ndimage")
    rng = np.random.default_rng(2)
    x, weights = rng.normal(size=(20, 17)), rng.normal(size=size)
    padding = f"same:{SCIPY_MODES[mode]}"
    assert np.allclose(convcli.conv(x, weights, padding=padding), ndimage.correlate(x, weights, mode=mode))
    flipped = convcli.conv(x, weights, padding=padding, flip=True)
    assert np.allclose(flipped, ndimage.convolve(x, weights, mode=mode))


@pytest.mark.parametrize("mode", ["valid", "full"])
def test_scipy_convolve2d(mode):
    """scipy.signal.convolve2d is the true convolution."""
    signal = pytest.importorskip("scipy.signal")
    rng = np.random.default_rng(4)
    x, weights = rng.normal(size=(20, 17)), rng.normal(size=(4, 5))
    assert np.allclose(convcli.conv(x, weights, padding=mode, flip=True), signal.convolve2d(x, weights, mode))
