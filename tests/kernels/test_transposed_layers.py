"""Transposed convolutions of ONNX and Keras files: their kernels, and what ``--layer`` makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import convcli
from convcli.core.errors import KernelError

CHANCE = np.random.default_rng(9)
INPUT = CHANCE.standard_normal((6, 5, 4)).astype(np.float32)  # rows, columns, channels


def onnx_file(path: Path, weights: np.ndarray, **attributes: object) -> None:
    """A model of one ConvTranspose node, with a bias for each map."""
    onnx = pytest.importorskip("onnx")
    helper, groups = onnx.helper, attributes.get("group", 1)
    bias = np.arange(weights.shape[1] * groups, dtype=np.float32)
    node = helper.make_node("ConvTranspose", ["x", "w", "b"], ["y"], name="up", **attributes)
    floats = onnx.TensorProto.FLOAT
    values = [
        helper.make_tensor_value_info(name, floats, [1, *sizes])
        for name, sizes in (("x", [weights.shape[0], 6, 5]), ("y", [None, None, None]))
    ]
    constants = [onnx.numpy_helper.from_array(array, name) for name, array in (("w", weights), ("b", bias))]
    graph = helper.make_graph([node], "net", values[:1], values[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())


def applied(run, path: Path, kernel: str, image: np.ndarray = INPUT) -> np.ndarray:
    """(rows, columns, maps) that ``apply --layer`` writes."""
    np.save(path / "x.npy", image)
    out = path / "y.npy"
    options = ["--layer", "--stack", "--map", "raw", "--force", "-o", out, "--report", "none"]
    ran = run("apply", path / "x.npy", "-k", kernel, *options)
    assert ran.code == 0, ran.err
    result: np.ndarray = np.load(out)[0]
    return result


ATTRIBUTES = {
    "plain": {},
    "stride": {"strides": [2, 3]},
    "padding": {"strides": [2, 2], "pads": [1, 0, 1, 2], "output_padding": [1, 0]},
    "dilation": {"dilations": [2, 1], "pads": [1, 1, 1, 1]},
    "same": {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
    "same at the top": {"strides": [2, 2], "auto_pad": "SAME_LOWER"},
    "short": {"strides": [4, 4], "auto_pad": "VALID"},
    "groups": {"strides": [2, 1], "group": 2},
}


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_onnx(run, tmp_path, name):
    """``apply --layer`` computes what ONNX's reference and onnxruntime compute, with bias and groups."""
    attributes = ATTRIBUTES[name]
    weights = CHANCE.standard_normal((4, 3, 3, 3)).astype(np.float32)  # in, out / groups, rows, columns
    path = tmp_path / "net.onnx"
    onnx_file(path, weights, kernel_shape=[3, 3], **attributes)
    got = applied(run, tmp_path, f"{path}:up")
    given = {"x": INPUT.transpose(2, 0, 1)[None]}
    if "group" not in attributes:  # which the reference of some versions computes wrongly
        evaluator = pytest.importorskip("onnx.reference").ReferenceEvaluator(str(path))
        expected = evaluator.run(None, given)[0][0].transpose(1, 2, 0)
        assert got.shape == expected.shape
        assert np.allclose(got, expected, atol=1e-5)
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    expected = session.run(None, given)[0][0].transpose(1, 2, 0)
    assert got.shape == expected.shape
    assert np.allclose(got, expected, atol=1e-5)


def test_onnx_layer(run, tmp_path):
    """The kernel has the axes (rows, columns, in, out) of what it computes, and its layer says the rest."""
    path = tmp_path / "net.onnx"
    weights = CHANCE.standard_normal((4, 3, 2, 3)).astype(np.float32)
    onnx_file(path, weights, strides=[2, 1], pads=[0, 1, 0, 1], output_padding=[1, 0])
    kernel = convcli.load_kernel(f"{path}:w")
    assert np.array_equal(kernel.weights, weights.transpose(2, 3, 0, 1))
    layer = kernel.layer
    assert (layer.transposed, layer.order) == (True, "in, out, rows, columns")
    assert (layer.stride, layer.padding, layer.output_padding) == ((2, 1), "0,0,1,1", (1, 0))
    shown = run("kernels", "show", f"{path}:w").text
    assert "transposed, stride 2,1, padding 0,0,1,1, output padding 1,0, a bias for each of 3 maps" in shown
    np.save(tmp_path / "x.npy", INPUT)
    options = ["--layer", "--stack", "--map", "raw", "-o", tmp_path / "y.npy"]
    text = run("apply", tmp_path / "x.npy", "-k", f"{path}:w", *options).text
    assert "transposed convolution, channels sum" in text
    assert "(6 − 1)·2 − 0 − 0 + 2 + 1 = 13" in text


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"output_shape": [12, 10]}, "output_shape is not supported: the padding depends"),
        (
            {"auto_pad": "SAME_UPPER", "strides": [2, 2], "output_padding": [1, 1]},
            "output_padding with auto_pad SAME_UPPER is not supported",
        ),
        ({"group": 3}, "groups 3 does not divide its 4 input channels"),
        ({"output_padding": [1, -1]}, "output padding"),
    ],
)
def test_onnx_attributes_that_cannot_be_applied(tmp_path, attributes, words):
    """One line that names the weights and the attribute."""
    path = tmp_path / "net.onnx"
    onnx_file(path, np.ones((4, 3, 3, 3), np.float32), **attributes)
    with pytest.raises(KernelError, match=rf"net\.onnx:w: .*{words}"):
        convcli.load_kernel(path)


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
@pytest.mark.parametrize("suffix", [".keras", ".h5", ".weights.h5"])
def test_keras(run, tmp_path, monkeypatch, suffix):
    """``apply --layer`` computes what Keras computes, with any padding; weights alone tell by their name."""
    pytest.importorskip("torch", reason="Keras computes by PyTorch here, which is not installed")
    pytest.importorskip("h5py")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras", reason="Keras is not installed: pip install -e '.[peers]'")
    cases = [
        ({"padding": "same", "strides": (2, 3)}, (3, 4)),
        ({"padding": "valid", "strides": 4}, 3),
        ({"padding": "same", "strides": 2, "output_padding": (1, 0)}, 3),
    ]
    for index, (options, size) in enumerate(cases):
        layer = keras.layers.Conv2DTranspose(
            2, size, bias_initializer="normal", name="conv2d_transpose", **options
        )
        model = keras.Sequential([keras.layers.Input((6, 5, 4)), layer])
        path = tmp_path / f"net{index}{suffix}"
        if suffix == ".weights.h5":
            model.save_weights(path)
            kernel = convcli.load_kernel(path)
            assert (kernel.layer.transposed, kernel.layer.padding) == (True, "")
            assert np.array_equal(kernel.weights, np.asarray(layer.get_weights()[0]).swapaxes(2, 3))
            continue
        model.save(path)
        expected = keras.ops.convert_to_numpy(model(INPUT[None]))[0]
        got = applied(run, tmp_path, f"{path}:conv2d_transpose")
        assert got.shape == expected.shape, options
        assert np.allclose(got, expected, atol=1e-5), options


def test_explore_refuses_a_transposed_layer(run, tmp_path):
    """One line says what the page cannot show."""
    path = tmp_path / "net.onnx"
    onnx_file(path, np.ones((1, 1, 3, 3), np.float32), strides=[2, 2])
    np.save(tmp_path / "x.npy", np.zeros((6, 5), np.uint8))
    ran = run("explore", tmp_path / "x.npy", "-k", f"{path}:w", "--layer", "-o", tmp_path / "page.html")
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert "transposed" in ran.err
