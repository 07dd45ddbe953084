"""What follows a convolution in its network: batch normalization, activations, and values in other files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convcli
from convcli.core.errors import KernelError
from convcli.kernels.kernel import Kernel

RANDOM = np.random.default_rng(7)
MAPS = 4
STATISTICS = [(RANDOM.random(MAPS) + 0.5).astype(np.float32) for _ in range(4)]
NORMALIZED = (
    "BatchNormalization",
    dict(zip(("g", "o", "m", "v"), STATISTICS, strict=True)),
    {"epsilon": 0.01},
)
RELU = ("Relu", {}, {})
PLAIN = {"dilations": [1, 1]}
LAYERS: dict[
    str, tuple[dict[str, Any], list[tuple[str, dict[str, Any], dict[str, Any]]], tuple[str, ...]]
] = {
    "alone": (PLAIN, [], ()),
    "relu": ({"pads": [1, 0, 2, 1], "strides": [2, 1]}, [RELU], ("relu",)),
    "batch normalization": ({"pads": [1, 1, 1, 1]}, [NORMALIZED], ()),
    "normalized relu": ({"auto_pad": "SAME_UPPER", "strides": [2, 2]}, [NORMALIZED, RELU], ("relu",)),
    "twice normalized": (PLAIN, [NORMALIZED, NORMALIZED, ("Sigmoid", {}, {})], ("sigmoid",)),
    "groups": ({"group": 2, "pads": [0, 2, 1, 0]}, [NORMALIZED, ("Tanh", {}, {})], ("tanh",)),
    "dilation": ({"dilations": [2, 1]}, [("LeakyRelu", {}, {"alpha": 0.1})], ("leaky-relu:0.1",)),
    "relu6": (PLAIN, [("Clip", {"l": np.float32(0), "h": np.float32(6)}, {})], ("relu6",)),
    "clip": (PLAIN, [("Clip", {"l": np.float32(-0.5), "h": np.float32(1)}, {})], ("clip:-0.5,1",)),
    "clip below": (PLAIN, [("Clip", {"l": np.float32(0)}, {})], ("relu",)),
    "idle nodes": (PLAIN, [("Identity", {}, {}), NORMALIZED, ("Identity", {}, {}), RELU], ("relu",)),
    "absolute": (PLAIN, [("Abs", {}, {})], ("abs",)),
}
WEIGHTS = RANDOM.standard_normal((MAPS, 2, 3, 2)).astype(np.float32)
BIAS = RANDOM.standard_normal(MAPS).astype(np.float32)


def staged(values: np.ndarray, stages: tuple[str, ...]) -> np.ndarray:
    """The stages as NumPy computes them, independent of the package."""
    for stage in stages:
        word, _, arguments = stage.partition(":")
        numbers = [float(text) for text in arguments.split(",") if text]
        if word in ("relu", "relu6", "clip"):
            low, high = {"relu": (0, np.inf), "relu6": (0, 6)}.get(word, numbers)
            values = np.clip(values, low, high)
        elif word == "leaky-relu":
            values = np.where(values < 0, values * numbers[0], values)
        else:
            values = {"sigmoid": lambda x: 1 / (1 + np.exp(-x)), "tanh": np.tanh, "abs": np.abs}[word](values)
    return values


def model(
    attributes: dict[str, Any], after: list[tuple[str, dict[str, Any], dict[str, Any]]], **more: Any
) -> Any:
    """A model of one Conv and the nodes ``after`` it, each with its further inputs and its attributes.

    Args:
        more: ``outputs``, the names of results besides the last; ``nodes``, further nodes.
    """
    onnx = pytest.importorskip("onnx", reason="ONNX is not installed: pip install -e '.[models]'")
    helper, as_tensor = onnx.helper, onnx.numpy_helper.from_array
    tensors = {"w": WEIGHTS, "b": BIAS}
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["y0"], name="conv", **attributes)]
    for index, (kind, inputs, settings) in enumerate(after):
        names = {f"{name}{index}": value for name, value in inputs.items()}
        tensors |= names
        ends = [f"y{index}", *names], [f"y{index + 1}"]
        nodes.append(helper.make_node(kind, *ends, **settings))
    last = f"y{len(after)}"
    described = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in ("x", *more.get("outputs", ()), last)
    ]
    graph = helper.make_graph(
        [*nodes, *more.get("nodes", ())],
        "net",
        described[:1],
        described[1:],
        [as_tensor(np.asarray(value), name) for name, value in tensors.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def computed(kernel: Kernel, values: np.ndarray) -> np.ndarray:
    """The whole layer of a kernel over (batch, channels, rows, columns)."""
    layer, whole = kernel.layer, kernel.as_layer()
    assert layer is not None
    sums = convcli.conv(
        values.transpose(0, 2, 3, 1),
        whole,
        stride=layer.stride,
        padding=layer.padding if not layer.padding[:1].isdigit() else _pairs(layer.padding),
        dilation=layer.dilation,
        groups=layer.groups,
        channels="last",
    )
    return staged(sums.transpose(0, 3, 1, 2), layer.activation)


def _pairs(text: str) -> list[tuple[int, int]]:
    top, bottom, left, right = map(int, text.split(","))
    return [(top, bottom), (left, right)]


@pytest.mark.parametrize("name", LAYERS)
def test_onnx_layers_equal_the_reference(tmp_path, name):
    """The weights, settings and stages of a layer give what ONNX's own evaluator computes."""
    onnx = pytest.importorskip("onnx", reason="ONNX is not installed: pip install -e '.[models]'")
    from onnx.reference import ReferenceEvaluator

    attributes, after, stages = LAYERS[name]
    whole = model(attributes, after)
    onnx.save(whole, tmp_path / "net.onnx")
    kernel = convcli.load_kernel(f"{tmp_path}/net.onnx:conv")
    assert kernel.layer.activation == stages
    channels = 2 * attributes.get("group", 1)
    x = RANDOM.standard_normal((1, channels, 9, 8)).astype(np.float32)
    expected = ReferenceEvaluator(whole).run(None, {"x": x})[0]
    np.testing.assert_allclose(computed(kernel, x), expected, atol=1e-5)


def test_weights_alone_stay_as_they_are_stored(tmp_path):
    """Batch normalization belongs to the layer: without it, weights and bias are those of the file."""
    onnx = pytest.importorskip("onnx", reason="ONNX is not installed: pip install -e '.[models]'")
    onnx.save(model(PLAIN, [NORMALIZED]), tmp_path / "net.onnx")
    kernel = convcli.load_kernel(tmp_path / "net.onnx")
    assert np.array_equal(kernel.weights, WEIGHTS.transpose(2, 3, 1, 0))
    assert [float(value) for value in kernel.own_bias] == BIAS.tolist()


ENDS = {
    "batch normalization after an activation": ([RELU, NORMALIZED], "BatchNormalization after relu"),
    "an activation without a stage": ([("HardSwish", {}, {})], "HardSwish"),
    "normalized, then without a stage": ([NORMALIZED, ("Elu", {}, {})], "Elu"),
    "a clip without a lower limit": (
        [("Clip", {"l": np.float32(-np.inf), "h": np.float32(6)}, {})],
        "Clip",
    ),
    "pooling": ([("GlobalAveragePool", {}, {}), RELU], ""),
    "another layer": ([("Conv", {"w": np.ones((1, 4, 1, 1), np.float32)}, {}), RELU], ""),
}


@pytest.mark.parametrize("name", ENDS)
def test_where_onnx_layers_end(tmp_path, name):
    """A layer ends where another begins; an operation that no stage computes is named."""
    onnx = pytest.importorskip("onnx", reason="ONNX is not installed: pip install -e '.[models]'")
    after, unsupported = ENDS[name]
    onnx.save(model(PLAIN, after), tmp_path / "net.onnx")
    layer = convcli.load_kernel(f"{tmp_path}/net.onnx:w").layer
    assert layer.unsupported == unsupported
    if not unsupported:
        assert layer.activation == ()


def test_results_with_several_consumers_end_a_layer(tmp_path):
    """A result that the model returns or two nodes use is the layer's; a gate such as SiLU is named."""
    onnx = pytest.importorskip("onnx", reason="ONNX is not installed: pip install -e '.[models]'")
    node = onnx.helper.make_node
    forked = model(PLAIN, [RELU], outputs=["y0"])
    twice = model(PLAIN, [RELU], outputs=["z"], nodes=[node("Tanh", ["y0"], ["z"])])
    silu = model(PLAIN, [("Sigmoid", {}, {})], outputs=["z"], nodes=[node("Mul", ["y0", "y1"], ["z"])])
    del silu.graph.output[1]
    for net, unsupported in ((forked, ""), (twice, ""), (silu, "Sigmoid and Mul")):
        onnx.save(net, tmp_path / "net.onnx")
        layer = convcli.load_kernel(f"{tmp_path}/net.onnx:conv").layer
        assert (layer.activation, layer.unsupported) == ((), unsupported)


def test_nodes_that_share_weights(tmp_path):
    """Two Conv nodes with the same weights: each name gives the settings of its own node."""
    onnx = pytest.importorskip("onnx", reason="ONNX is not installed: pip install -e '.[models]'")
    other = onnx.helper.make_node("Conv", ["x", "w"], ["z"], name="second", strides=[2, 2])
    onnx.save(model(PLAIN, [RELU], outputs=["z"], nodes=[other]), tmp_path / "net.onnx")
    first, second = (convcli.load_kernel(f"{tmp_path}/net.onnx:{name}").layer for name in ("conv", "second"))
    assert (first.stride, first.activation, len(first.bias)) == ((1, 1), ("relu",), MAPS)
    assert (second.stride, second.activation, len(second.bias)) == ((2, 2), (), 0)


def _external(path: Path, **changes: str | None) -> None:
    """A model with its tensors in ``weights.bin``, and ``changes`` to what it says; None removes an entry."""
    onnx = pytest.importorskip("onnx", reason="ONNX is not installed: pip install -e '.[models]'")
    net = model(PLAIN, [RELU])
    onnx.save(net, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    stored = onnx.load(path, load_external_data=False)
    for tensor in stored.graph.initializer:
        entries = {entry.key: entry.value for entry in tensor.external_data} | changes
        del tensor.external_data[:]
        for key, value in entries.items():
            if value is not None:
                tensor.external_data.add(key=key, value=value)
    path.write_bytes(stored.SerializeToString())


def test_values_in_a_file_beside_the_model(tmp_path):
    """External tensors are read, with the length stated or not; two models in one folder share a file."""
    path = tmp_path / "net.onnx"
    for changes in ({}, {"length": None}):
        _external(path, **changes)
        kernel = convcli.load_kernel(path)
        assert np.array_equal(kernel.weights, WEIGHTS.transpose(2, 3, 1, 0))
        assert [float(value) for value in kernel.layer.bias] == BIAS.tolist()


OUTSIDE = {
    "parent": ({"location": "../weights.bin"}, "only files in the model's folder are read"),
    "absolute": ({"location": "/etc/passwd"}, "only files in the model's folder are read"),
    "a link": ({"location": "link/passwd"}, "only files in the model's folder are read"),
    "no location": ({"location": None}, "stored in ''; only files in the model's folder"),
    "missing": ({"location": "gone.bin"}, "stored in 'gone.bin', and there is no such file beside the model"),
    "a folder": ({"location": "link"}, "only files in the model's folder are read"),
    "NUL": ({"location": "a\0b"}, "only files in the model's folder are read"),
    "past the end": ({"offset": "100000"}, "ends before the tensor does (bytes 100000 to"),
    "another length": ({"length": "7"}, "damaged: 7 bytes in 'weights.bin' instead of"),
    "a negative offset": ({"offset": "-4"}, "offset '-4' of its values; allowed: a number of bytes"),
    "no number": ({"length": "many"}, "length 'many' of its values; allowed: a number of bytes"),
    "a large number": ({"offset": "9" * 30}, "of its values; allowed: a number of bytes"),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_values_that_are_not_beside_the_model(tmp_path, name):
    """Paths out of the folder, missing and damaged files: one line with the tensor, nothing is read."""
    changes, words = OUTSIDE[name]
    (tmp_path / "link").symlink_to("/etc")
    _external(tmp_path / "net.onnx", **changes)
    with pytest.raises(KernelError) as caught:
        convcli.load_kernel(tmp_path / "net.onnx")
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path}/net.onnx:w: ")


def keras_model(tmp_path: Path, layers: list[Any], name: str) -> Any:
    """A saved model of these layers over 4 channels of 9 × 8 pixels, with statistics of its own."""
    keras = pytest.importorskip("keras", reason="Keras is not installed: pip install -e '.[peers]'")
    net = keras.Sequential([keras.layers.Input((9, 8, 4)), *layers])
    for layer in net.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([RANDOM.random(value.shape) + 0.5 for value in layer.get_weights()])
    net.save(tmp_path / name)
    return net


@pytest.fixture
def keras(monkeypatch) -> Any:
    pytest.importorskip("torch", reason="Keras computes by PyTorch here, which is not installed")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    return pytest.importorskip("keras", reason="Keras is not installed: pip install -e '.[peers]'")


KERAS = {
    "activation of the layer": (
        lambda k: [k.Conv2D(3, (3, 2), activation="relu", name="c", bias_initializer="normal")],
        ("relu",),
    ),
    "leaky word": (lambda k: [k.Conv2D(3, 3, activation="leaky_relu", name="c")], ("leaky-relu:0.2",)),
    "leaky layer inside": (
        lambda k: [k.Conv2D(4, 3, activation=k.LeakyReLU(negative_slope=0.1), name="c", groups=2)],
        ("leaky-relu:0.1",),
    ),
    "normalized": (
        lambda k: [
            k.Conv2D(3, 3, strides=2, padding="same", name="c", bias_initializer="normal"),
            k.BatchNormalization(),
            k.Dropout(0.5),
            k.Activation("tanh"),
        ],
        ("tanh",),
    ),
    "without scale and center": (
        lambda k: [
            k.DepthwiseConv2D(3, depth_multiplier=2, name="c"),
            k.BatchNormalization(scale=False),
            k.BatchNormalization(center=False, epsilon=0.1),
            k.ReLU(max_value=6),
        ],
        ("relu6",),
    ),
    "a slope": (
        lambda k: [k.Conv2D(3, 3, dilation_rate=2, name="c"), k.ReLU(negative_slope=0.25)],
        ("leaky-relu:0.25",),
    ),
    "sigmoid": (lambda k: [k.Conv2D(3, 3, name="c", activation="sigmoid", use_bias=False)], ("sigmoid",)),
}


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning", "ignore:You are saving:UserWarning")
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", KERAS)
def test_keras_layers_equal_keras(tmp_path, keras, name, suffix):
    """The weights, settings and stages of a layer give what Keras computes."""
    make, stages = KERAS[name]
    net = keras_model(tmp_path, make(keras.layers), f"net{suffix}")
    kernel = convcli.load_kernel(f"{tmp_path}/net{suffix}:c")
    assert kernel.layer.activation == stages
    x = RANDOM.standard_normal((1, 9, 8, 4)).astype(np.float32)
    expected = keras.ops.convert_to_numpy(net(x)).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(computed(kernel, x.transpose(0, 3, 1, 2)), expected, atol=1e-5)


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
def test_where_keras_layers_end(tmp_path, keras):
    """In a functional model, a result that two layers use, or the model returns, ends the layer."""
    layers = keras.layers
    x = layers.Input((9, 8, 4))
    forked = layers.Conv2D(3, 1, name="forked")(x)
    joined = layers.Add()([layers.ReLU()(forked), layers.Activation("tanh")(forked)])
    single = layers.ReLU(name="r")(layers.Conv2D(3, 1, name="single")(joined))
    odd = layers.Conv2D(3, 1, activation="gelu", name="odd")(single)
    after = layers.BatchNormalization()(layers.Conv2D(3, 1, activation="relu", name="after")(odd))
    end = layers.Conv2D(3, 1, name="end")(after)
    keras.Model(x, [end, layers.ReLU()(end)]).save(tmp_path / "net.keras")
    expected = {
        "forked": ((), ""),
        "single": (("relu",), ""),
        "odd": ((), "gelu"),
        "after": (("relu",), "BatchNormalization after relu"),
        "end": ((), ""),
    }
    for name, facts in expected.items():
        layer = convcli.load_kernel(f"{tmp_path}/net.keras:{name}").layer
        assert (layer.activation, layer.unsupported) == facts


def test_apply_computes_whole_layers(run, tmp_path):
    """``--layer`` on an image equals the evaluator on the normalized image, activation included."""
    onnx = pytest.importorskip("onnx", reason="ONNX is not installed: pip install -e '.[models]'")
    from onnx.reference import ReferenceEvaluator

    pixels = RANDOM.integers(0, 256, (9, 8, 2), np.uint8)
    np.save(tmp_path / "x.npy", pixels)
    for name in ("normalized relu", "dilation", "clip", "twice normalized"):
        attributes, after, stages = LAYERS[name]
        whole = model(attributes, after)
        onnx.save(whole, tmp_path / "net.onnx")
        arguments = ("apply", tmp_path / "x.npy", "-k", tmp_path / "net.onnx", "--layer", "--stack", "-f")
        out = ("--map", "raw", "--normalize", "-1..1", "-o", tmp_path / "o.npy")
        x = ((pixels / 127.5) - 1).astype(np.float32).transpose(2, 0, 1)[None]
        ran = run(*arguments, *out)
        assert ran.code == 0, ran.err
        assert f"activation {stages[0]}" in ran.text
        expected = ReferenceEvaluator(whole).run(None, {"x": x})[0][0].transpose(1, 2, 0)
        np.testing.assert_allclose(np.load(tmp_path / "o.npy").reshape(expected.shape), expected, atol=1e-5)


def test_activations_on_the_command_line(run, tmp_path):
    """``none`` leaves the activation out; what cannot be computed, and merged maps, are refused."""
    onnx = pytest.importorskip("onnx", reason="ONNX is not installed: pip install -e '.[models]'")
    np.save(tmp_path / "x.npy", RANDOM.random((9, 8, 2)).astype(np.float32))
    onnx.save(model(PLAIN, [("HardSwish", {}, {})]), tmp_path / "odd.onnx")
    onnx.save(model(PLAIN, [RELU]), tmp_path / "relu.onnx")
    common = ("--map", "raw", "--stack", "-o", tmp_path / "o.npy", "-f")
    odd = ("apply", tmp_path / "x.npy", "-k", tmp_path / "odd.onnx")
    ran = run(*odd, "--layer", *common)
    assert ran.code == 2
    assert (
        "its layer is followed by HardSwish, which convcli does not compute; use --activation none" in ran.err
    )
    for command in ("plan", "explain"):
        at = ("--at", "0,0") if command == "explain" else ()
        ran = run(command, tmp_path / "x.npy", "-k", tmp_path / "odd.onnx", "--layer", *at)
        assert "use --activation none" in ran.err
    text = run(*odd, "--layer", "--activation", "none", *common).text
    assert "without its activation" in text
    assert np.load(tmp_path / "o.npy").min() < 0
    assert "--activation none goes with --layer" in run(*odd, "--activation", "none", *common).err
    relu = ("apply", tmp_path / "x.npy", "-k", tmp_path / "relu.onnx", "--layer")
    assert (
        "before its layer's activation (relu)" in run(*relu, "--combine", "sum", *common[:2], *common[3:]).err
    )
    assert run(*relu, *common).code == 0
    assert np.load(tmp_path / "o.npy").min() == 0


@pytest.mark.parametrize("name", LAYERS)
def test_conv_computes_whole_layers(tmp_path, name):
    """``conv(x, kernel, layer=True)`` equals the evaluator; arguments that are given take precedence."""
    onnx = pytest.importorskip("onnx", reason="ONNX is not installed: pip install -e '.[models]'")
    from onnx.reference import ReferenceEvaluator

    attributes, after, _ = LAYERS[name]
    whole = model(attributes, after)
    onnx.save(whole, tmp_path / "net.onnx")
    kernel = convcli.load_kernel(f"{tmp_path}/net.onnx:conv")
    x = RANDOM.standard_normal((1, 2 * attributes.get("group", 1), 9, 8)).astype(np.float32)
    expected = ReferenceEvaluator(whole).run(None, {"x": x})[0]
    result = convcli.conv(x, kernel, layer=True, channels="first")
    np.testing.assert_allclose(result, expected, atol=1e-5)
    rounded = convcli.conv(x, kernel, layer=True, channels="first", dtype=np.int8)
    assert np.abs(rounded - np.clip(expected, -128, 127)).max() <= 0.5 + 1e-4
    strided = convcli.conv(x, kernel, layer=True, channels="first", stride=3, padding="valid")
    assert strided.shape[2:] == convcli.shape((9, 8), kernel, stride=3, dilation=kernel.layer.dilation)


def test_what_conv_refuses_of_layers(tmp_path):
    """Weights without a layer, settings that the file does not state, and unsupported activations."""
    onnx = pytest.importorskip("onnx", reason="ONNX is not installed: pip install -e '.[models]'")
    from tests.kernels.test_models import safetensors

    x = np.ones((1, 9, 8, 2), np.float32)
    for weights in (np.ones((3, 3)), "box3"):
        with pytest.raises(convcli.ArgumentError, match="layer=True needs the Kernel of a trained layer"):
            convcli.conv(x, weights, layer=True, channels="last")
    path = tmp_path / "w.safetensors"
    path.write_bytes(safetensors({"c.weight": WEIGHTS, "c.bias": BIAS}))
    stored = convcli.load_kernel(path)
    with pytest.raises(convcli.ArgumentError, match="does not specify stride or padding; pass stride=… and"):
        convcli.conv(x, stored, layer=True, channels="last")
    result = convcli.conv(x, stored, layer=True, channels="last", stride=1, padding=1)
    assert np.array_equal(result, convcli.conv(x, stored, channels="last", padding=1))
    assert not np.array_equal(result, convcli.conv(x, stored, channels="last", padding=1, bias=0))
    onnx.save(model(PLAIN, [("Elu", {}, {})]), tmp_path / "net.onnx")
    with pytest.raises(convcli.ArgumentError, match="followed by Elu, which convcli does not compute"):
        convcli.conv(x, convcli.load_kernel(tmp_path / "net.onnx"), layer=True, channels="last")
