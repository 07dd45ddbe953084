"""Other people's numbers: Keras, PyTorch and ONNX layers, SciPy's and OpenCV's filters, a recorded layer."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

import convcli
from tests.conftest import SAMPLES, decoded

# What other libraries warn of is theirs to mend.
pytestmark = pytest.mark.filterwarnings("ignore")

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


TORCH_FILLS = {"zeros": "zero", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("mode", TORCH_FILLS)
@pytest.mark.parametrize(("stride", "dilation", "groups"), [(1, 1, 1), (2, 1, 1), (1, 2, 2), (3, 2, 4)])
def test_torch_layers(axes, mode, stride, dilation, groups):
    """torch.nn.Conv1d, Conv2d and Conv3d: every padding mode, strides, dilation, groups and bias."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(3)
    kind = getattr(torch.nn, f"Conv{axes}d")
    size, padding = (3, 2, 3)[:axes], (2, 1, 1)[:axes]
    options = {"stride": stride, "dilation": dilation, "groups": groups}
    layer = kind(4, 8, size, padding=padding, padding_mode=mode, **options)
    x = torch.randn(2, 4, *(11, 9, 8)[:axes])
    ours = convcli.conv(
        x.numpy(),
        layer.weight.detach().numpy(),
        bias=layer.bias.detach().numpy(),
        padding=padding,
        fill=TORCH_FILLS[mode],
        channels="first",
        **options,
    )
    assert np.allclose(ours, layer(x).detach().numpy(), atol=1e-5)


@pytest.fixture
def keras(monkeypatch):
    """Keras on the torch backend."""
    pytest.importorskip("torch")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    return pytest.importorskip("keras")


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("strides", "dilation", "groups"), [(1, 1, 1), (2, 1, 1), (1, 2, 1), (3, 1, 2)])
def test_keras_layers(keras, axes, padding, strides, dilation, groups):
    """Keras Conv1D, Conv2D and Conv3D on odd and even sizes: its `same`, strides, dilation, groups."""
    options = {"padding": padding, "groups": groups}
    layer = getattr(keras.layers, f"Conv{axes}D")(6, 3, strides=strides, dilation_rate=dilation, **options)
    x = np.random.default_rng(5).normal(size=(2, *(12, 9, 8)[:axes], 4)).astype(np.float32)
    theirs = keras.ops.convert_to_numpy(layer(x))
    weights, bias = layer.get_weights()
    ours = convcli.conv(x, weights, bias=bias, stride=strides, dilation=dilation, channels="last", **options)
    assert np.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("strides", "multiplier"), [(1, 1), (2, 1), (1, 3), (2, 2)])
def test_keras_depthwise(keras, padding, strides, multiplier):
    """DepthwiseConv2D is a convolution of as many groups as channels."""
    layer = keras.layers.DepthwiseConv2D(
        (3, 5), strides=strides, padding=padding, depth_multiplier=multiplier
    )
    x = np.random.default_rng(5).normal(size=(2, 12, 13, 4)).astype(np.float32)
    theirs = keras.ops.convert_to_numpy(layer(x))
    weights, bias = layer.get_weights()
    grouped = weights.reshape(3, 5, 1, 4 * multiplier)
    options = {"stride": strides, "padding": padding, "groups": 4, "channels": "last"}
    assert np.allclose(convcli.conv(x, grouped, bias=bias, **options), theirs, atol=1e-5)


def onnx_cases() -> dict[str, tuple[object, list[np.ndarray], np.ndarray]]:
    """Every test of one Conv node that the onnx package ships: (node, inputs, output)."""
    try:
        import onnx
        from onnx.backend.test.case.node import collect_testcases
    except ImportError:
        return {}
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in collect_testcases("Conv"):
            for inputs, outputs in case.data_sets:
                found[case.name] = case.model.graph.node[0], list(inputs), outputs[0]
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data"
    for model in sorted(folder.glob("*/*/model.onnx")):
        graph = onnx.load(str(model)).graph
        data = model.parent / "test_data_set_0"
        if [node.op_type for node in graph.node] == ["Conv"] and data.is_dir():
            stored = {entry.name: onnx.numpy_helper.to_array(entry) for entry in graph.initializer}
            given = [entry.name for entry in graph.input if entry.name not in stored]
            stored |= {name: tensor(data / f"input_{i}.pb") for i, name in enumerate(given)}
            inputs = [stored[name] for name in graph.node[0].input]
            found[model.parent.name] = graph.node[0], inputs, tensor(data / "output_0.pb")
    return {name: case for name, case in found.items() if case[0].op_type == "Conv"}


def tensor(path: Path) -> np.ndarray:
    """An array that the onnx package stores."""
    import onnx

    return onnx.numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes()))


ONNX = onnx_cases()
AUTO = {"SAME_UPPER": "same", "SAME_LOWER": "same-lower", "VALID": "valid"}


@pytest.mark.skipif(not ONNX, reason="onnx is not installed")
def test_onnx_ships_the_tests_we_know():
    """At least the 26 stored models and the node tests of Conv."""
    assert len(ONNX) >= 32


@pytest.mark.parametrize("name", ONNX)
def test_onnx_conv_nodes(name):
    """1-D to 3-D, pads, strides, dilations, groups and auto_pad, by onnx's own data."""
    import onnx

    node, inputs, expected = ONNX[name]
    given = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
    axes = inputs[0].ndim - 2
    pads = given.get("pads", [0] * 2 * axes)
    padding = list(zip(pads[:axes], pads[axes:], strict=True))
    auto = given.get("auto_pad", b"NOTSET").decode()
    result = convcli.conv(
        inputs[0],
        inputs[1],
        bias=inputs[2] if len(inputs) > 2 else None,
        stride=given.get("strides", 1),
        dilation=given.get("dilations", 1),
        padding=AUTO.get(auto, padding),
        groups=given.get("group", 1),
        channels="first",
    )
    assert result.shape == expected.shape
    assert np.allclose(result, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("size", [(3, 3), (5, 3), (4, 2), (7, 7), (13, 13)])
@pytest.mark.parametrize("border", ["edge", "reflect", "symmetric", "zero"])
def test_opencv_filter2d(size, border):
    """cv2.filter2D on 8-bit images with whole weights, equal to the last bit, saturated."""
    cv2 = pytest.importorskip("cv2")
    codes = {"edge": "REPLICATE", "reflect": "REFLECT_101", "symmetric": "REFLECT", "zero": "CONSTANT"}
    rng = np.random.default_rng(8)
    x, weights = rng.integers(0, 256, (40, 50), np.uint8), rng.integers(-3, 4, size)
    theirs = cv2.filter2D(
        x, -1, weights.astype(np.float32), borderType=getattr(cv2, f"BORDER_{codes[border]}")
    )
    before = [(k // 2, k - 1 - k // 2) for k in size]  # OpenCV's anchor lies at k // 2
    assert np.array_equal(convcli.conv(x, weights, padding=before, fill=border, dtype=np.uint8), theirs)


def test_opencv_separable_and_named_filters():
    """cv2.sepFilter2D, blur, GaussianBlur, Sobel, Scharr and Laplacian on 8-bit images."""
    cv2 = pytest.importorskip("cv2")
    x = np.random.default_rng(8).integers(0, 256, (40, 50), np.uint8)
    ours = {
        name: convcli.conv(x, name, padding="same:reflect", dtype=np.int16)
        for name in ("box3", "gaussian5", "sobel-x", "sobel-y", "scharr-x", "laplacian4")
    }
    column, row = np.array([1, 2, 1]), np.array([-1, 0, 1])
    assert np.array_equal(ours["sobel-x"], cv2.sepFilter2D(x, cv2.CV_16S, row, column))
    assert np.array_equal(ours["sobel-x"], cv2.Sobel(x, cv2.CV_16S, 1, 0))
    assert np.array_equal(ours["sobel-y"], cv2.Sobel(x, cv2.CV_16S, 0, 1))
    assert np.array_equal(ours["scharr-x"], cv2.Scharr(x, cv2.CV_16S, 1, 0))
    assert np.array_equal(ours["laplacian4"], cv2.Laplacian(x, cv2.CV_16S, ksize=1))
    assert np.array_equal(ours["box3"], cv2.blur(x, (3, 3)))
    ties = np.abs(ours["gaussian5"].astype(int) - cv2.GaussianBlur(x, (5, 5), 0))
    assert ties.max() <= 1  # OpenCV rounds halves up there, not to even


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


@pytest.mark.parametrize("origin", [(0, 0), (1, -1), (-1, 1)])
def test_scipy_origin_is_an_anchor(origin):
    """SciPy's origin moves the window: as much more padding before, as much less after."""
    ndimage = pytest.importorskip("scipy.ndimage")
    rng = np.random.default_rng(2)
    x, weights = rng.normal(size=(20, 17)), rng.normal(size=(3, 5))
    pads = [(k // 2 + o, k - 1 - k // 2 - o) for k, o in zip(weights.shape, origin, strict=True)]
    ours = convcli.conv(x, weights, padding=pads, fill="symmetric")
    assert np.allclose(ours, ndimage.correlate(x, weights, origin=origin))
