"""Causal padding: all of it before the first value of a signal."""

from __future__ import annotations

import os

import numpy as np
import pytest

import convcli
from convcli.core.errors import ArgumentError
from tests.reference import correlate

RANDOM = np.random.default_rng(5)
CASES = [(20, 3, 1, 1), (20, 3, 2, 1), (17, 5, 3, 1), (9, 2, 1, 4), (4, 5, 1, 2), (1, 3, 1, 1), (16, 4, 4, 1)]


@pytest.mark.parametrize(("size", "kernel", "stride", "dilation"), CASES)
def test_by_definition(size, kernel, stride, dilation):
    """Exactly the values of the loop with dilation · (k − 1) zeros before; none depends on later values."""
    x, weights = RANDOM.integers(-9, 9, size), RANDOM.integers(-9, 9, kernel)
    options = {"stride": stride, "padding": "causal", "dilation": dilation, "dtype": "float64"}
    result = convcli.conv(x, weights, **options)
    expected = correlate(x, weights, (stride,), ((dilation * (kernel - 1), 0),), (dilation,))
    assert np.array_equal(result, expected.astype(float))
    assert len(result) == (size - 1) // stride + 1
    changed = np.where(np.arange(size) > size // 2, 0, x)
    first = size // 2 // stride + 1
    assert np.array_equal(convcli.conv(changed, weights, **options)[:first], result[:first])


@pytest.mark.parametrize(("size", "kernel", "stride", "dilation"), CASES)
def test_as_torch(size, kernel, stride, dilation):
    """Layers with channels: as PyTorch's conv1d over a signal that was padded at its start."""
    torch = pytest.importorskip("torch")
    x, w = RANDOM.normal(size=(2, 3, size)), RANDOM.normal(size=(4, 3, kernel))
    padded = torch.nn.functional.pad(torch.from_numpy(x), (dilation * (kernel - 1), 0))
    expected = torch.nn.functional.conv1d(padded, torch.from_numpy(w), stride=stride, dilation=dilation)
    options = {"stride": stride, "padding": "causal", "dilation": dilation}
    assert np.abs(convcli.conv(x, w, channels="first", **options) - expected.numpy()).max() < 1e-12


@pytest.mark.filterwarnings("ignore")
def test_as_keras():
    """As Keras' Conv1D with padding="causal", strides and dilations included."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    for size, kernel, stride, dilation in CASES:
        if stride > 1 < dilation:
            continue
        x, w = RANDOM.normal(size=(2, size, 3)), RANDOM.normal(size=(kernel, 3, 4))
        options = {"strides": stride, "padding": "causal", "dilation_rate": dilation}
        layer = keras.layers.Conv1D(4, kernel, use_bias=False, **options)
        layer.build(x.shape)
        layer.set_weights([w])
        expected = keras.ops.convert_to_numpy(layer(x))
        result = convcli.conv(x, w, stride=stride, dilation=dilation, padding="causal", channels="last")
        assert np.abs(result - expected).max() < 1e-4


def test_fills_and_images(run, tmp_path):
    """Other fills are possible; kernels that cover rows, and transposed convolutions, are refused."""
    x = np.array([3.0, 1.0, 2.0])
    assert convcli.conv(x, np.array([1, 1, 1]), padding="causal:edge").tolist() == [9, 7, 6]
    assert "(512 + 4 + 0 − 5)" in run("shape", "9x512", "-k", "1x5", "--padding", "causal").text
    ran = run("shape", "9x9", "-k", "3x3", "--padding", "causal")
    assert ran.code == 2
    assert "padding 'causal' is for one axis, as of a signal, but the kernel covers 3 × 3" in ran.err
    with pytest.raises(ArgumentError, match="have no padding 'causal'"):
        convcli.conv(x, np.ones(3), padding="causal", transposed=True)
