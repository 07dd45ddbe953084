"""Trained layers: safetensors, ONNX and Keras files, turned to (rows, columns, in, out), with their layer."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import convcli
from convcli.core.errors import KernelError
from convcli.kernels.readers.models.isolated import read_in_process
from tests.conftest import SAMPLES

WEIGHTS = np.random.default_rng(3).standard_normal((4, 3, 3, 5)).astype(np.float32)  # out, in, rows, columns
TURNED = WEIGHTS.transpose(2, 3, 1, 0)
BIAS = np.array([0.5, -1, 2, 0.25], np.float32)


def safetensors(tensors: dict[str, np.ndarray], types: dict[str, str] | None = None) -> bytes:
    """A file as the format's page describes it."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, array in tensors.items():
        kind = (types or {}).get(
            name, {"float32": "F32", "float16": "F16", "int64": "I64"}.get(str(array.dtype))
        )
        raw = array.tobytes()
        header[name] = {
            "dtype": kind,
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.fixture
def tensors(tmp_path) -> Path:
    path = tmp_path / "net.safetensors"
    path.write_bytes(
        safetensors(
            {
                "conv1.weight": WEIGHTS,
                "conv1.bias": BIAS,
                "fc.weight": np.ones((2, 7), np.float32),
                "half": np.arange(6, dtype=np.float16).reshape(2, 3),
            }
        )
    )
    return path


def test_safetensors(tensors):
    """Axes are reordered, the bias belongs to the layer, and the only convolution needs no name."""
    kernel = convcli.load_kernel(f"{tensors}:conv1.weight")
    assert np.array_equal(kernel.weights, TURNED)
    assert kernel.layer.bias == tuple(BIAS.tolist())
    assert kernel == convcli.load_kernel(tensors)
    assert not any(kernel.biases)
    assert convcli.load_kernel(f"{tensors}:half").weights.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_bfloat16(tmp_path):
    """The upper half of a float32."""
    path = tmp_path / "b.safetensors"
    path.write_bytes(safetensors({"w": np.array([[0x3F80, 0xC040]], np.uint16)}, {"w": "BF16"}))
    assert convcli.load_kernel(f"{path}:w").weights.tolist() == [[1, -3]]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (":conv1.wieght", r"contains no tensor 'conv1.wieght' .did you mean conv1.weight"),
        (":nothing", "it contains conv1.weight, conv1.bias, fc.weight, half"),
        (":conv1.bias", r"has shape .4,.; a convolution over images has 4 axes .out, in, rows, columns."),
    ],
)
def test_names_that_are_not_there(tensors, name, words):
    """The nearest names are suggested, or all are listed."""
    with pytest.raises(KernelError, match=words):
        convcli.load_kernel(f"{tensors}{name}")


def test_a_broken_file_is_refused(tensors):
    """Truncated anywhere or with false offsets, it is refused in one line."""
    data = tensors.read_bytes()
    for length in (0, 4, 8, 20, 200, len(data) - 1):
        tensors.write_bytes(data[:length])
        with pytest.raises(KernelError, match=r"net\.safetensors"):
            convcli.load_kernel(f"{tensors}:half")
    tensors.write_bytes(data.replace(b'"shape": [2, 3]', b'"shape": [2, 9]'))
    with pytest.raises(KernelError, match="18 values in 12 bytes"):
        convcli.load_kernel(f"{tensors}:half")
    tensors.write_bytes(data.replace(b'"dtype": "F16"', b'"dtype": "F15"'))
    with pytest.raises(KernelError, match="unknown type 'F15'"):
        convcli.load_kernel(f"{tensors}:half")


def test_a_signaling_nan_is_refused_quietly(tmp_path):
    """A signaling NaN is refused without a warning from NumPy."""
    path = tmp_path / "nan.safetensors"
    path.write_bytes(safetensors({"w": np.array([[0x7FA00000, 0]], np.uint32)}, {"w": "F32"}))
    with pytest.raises(
        KernelError, match=r"nan\.safetensors:w: kernel has a weight that is not a finite number"
    ):
        convcli.load_kernel(f"{path}:w")


def onnx_model(constant: bool = False, **attributes: object) -> bytes:
    """A model of one convolution, its weights an initializer or a constant node, as exporters keep them."""
    onnx = pytest.importorskip("onnx", reason="ONNX is not installed: pip install -e '.[models]'")
    helper, as_tensor = onnx.helper, onnx.numpy_helper.from_array
    tensors = [as_tensor(WEIGHTS, "first.weight"), as_tensor(BIAS, "first.bias")]
    nodes = [
        helper.make_node("Conv", ["x", "first.weight", "first.bias"], ["y"], name="/first/Conv", **attributes)
    ]
    if constant:
        nodes = [helper.make_node("Constant", [], [each.name], value=each) for each in tensors] + nodes
    values = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, channels, None, None])
        for name, channels in (("x", 3), ("y", 4))
    ]
    graph = helper.make_graph(nodes, "net", values[:1], values[1:], [] if constant else tensors)
    return helper.make_model(graph).SerializeToString()


@pytest.mark.parametrize("constant", [False, True])
def test_onnx(tmp_path, constant):
    """Initializers and constants, by the name of the tensor or the node, with the node's attributes."""
    path = tmp_path / "net.onnx"
    path.write_bytes(onnx_model(constant, strides=[2, 1], pads=[1, 2, 1, 2], dilations=[1, 2]))
    for name in ("", ":first.weight", ":/first/Conv"):
        kernel = convcli.load_kernel(f"{path}{name}")
        assert np.array_equal(kernel.weights, TURNED)
        layer = kernel.layer
        assert (layer.stride, layer.padding, layer.dilation) == ((2, 1), "1,1,2,2", (1, 2))
        assert layer.bias == tuple(BIAS.tolist())
    with pytest.raises(KernelError, match=r"contains no tensor 'first\.wait'"):
        convcli.load_kernel(f"{path}:first.wait")


@pytest.mark.parametrize(
    ("attributes", "padding"),
    [
        ({}, "valid"),
        ({"auto_pad": "SAME_UPPER"}, "same"),
        ({"auto_pad": "SAME_LOWER"}, "same-lower"),
        ({"auto_pad": "VALID"}, "valid"),
        ({"pads": [1, 0, 2, 3]}, "1,2,0,3"),
    ],
)
def test_onnx_paddings(tmp_path, attributes, padding):
    """Every form of padding in ONNX becomes a value of ``--padding``."""
    path = tmp_path / "net.onnx"
    path.write_bytes(onnx_model(**attributes))
    assert convcli.load_kernel(path).layer.padding == padding
    convcli.conv(np.ones((1, 9, 9, 3)), convcli.load_kernel(path), padding=padding, channels="last")


def keras_file(path: Path, archive: bool) -> None:
    """The layout of Keras 3's archives, and of its older files."""
    h5py = pytest.importorskip("h5py", reason="h5py is not installed: pip install -e '.[models]'")
    layers = [
        {
            "class_name": "Conv2D",
            "config": {
                "name": "first",
                "kernel_size": [3, 5],
                "strides": [2, 1],
                "padding": "same",
                "dilation_rate": [1, 1],
                "groups": 1,
            },
        },
        {
            "class_name": "DepthwiseConv2D",
            "config": {"name": "deep", "kernel_size": [3, 5], "padding": "valid"},
        },
        {"class_name": "Conv2DTranspose", "config": {"name": "back", "kernel_size": [3, 5]}},
    ]
    config = json.dumps({"class_name": "Sequential", "config": {"name": "net", "layers": layers}})
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for index, name in enumerate(("first", "deep", "back")):
            folder = f"layers/conv2d_{index}/vars" if archive else f"model_weights/{name}/net/{name}"
            names = ("0", "1") if archive else ("kernel", "bias")
            file[f"{folder}/{names[0]}"] = TURNED
            file[f"{folder}/{names[1]}"] = {"deep": np.tile(BIAS, 3), "back": BIAS[:3]}.get(name, BIAS)
            if archive:
                file[folder].attrs["name"] = name
        if not archive:
            file.attrs["model_config"] = config
    if not archive:
        path.write_bytes(buffer.getvalue())
        return
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("config.json", config)
        target.writestr("model.weights.h5", buffer.getvalue())


@pytest.mark.parametrize("name", ["net.keras", "net.h5"])
def test_keras(run, tmp_path, name):
    """A layer by name; depthwise layers become groups, transposed ones say so."""
    path = tmp_path / name
    keras_file(path, archive=name.endswith(".keras"))
    kernel = convcli.load_kernel(f"{path}:first")
    assert np.array_equal(kernel.weights, TURNED)
    assert (kernel.layer.stride, kernel.layer.padding) == ((2, 1), "same")
    assert kernel.layer.bias == tuple(BIAS.tolist())
    deep = convcli.load_kernel(f"{path}:deep")
    assert deep.tensor_shape == (3, 5, 1, 12)
    assert deep.layer.groups == 3
    out = tmp_path / "deep.npy"
    ran = run(
        "apply", SAMPLES / "color.png", "-k", f"{path}:deep", "--layer", "--stack", "--map", "raw", "-o", out
    )
    assert "channels sum in 3 groups" in ran.text, ran.err
    assert np.load(out).shape[-1] == 12
    back = convcli.load_kernel(f"{path}:back")
    assert back.layer.transposed
    assert np.array_equal(back.weights, TURNED.swapaxes(2, 3))
    with pytest.raises(KernelError, match="contains 3 convolutions; choose one with FILE:NAME"):
        convcli.load_kernel(path)
    with pytest.raises(KernelError, match="did you mean first"):
        convcli.load_kernel(f"{path}:frist")


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
def test_keras_writes_what_is_read(tmp_path, monkeypatch):
    """Files saved by Keras, and a depthwise layer computed by both."""
    pytest.importorskip("torch", reason="Keras computes by PyTorch here, which is not installed")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras", reason="Keras is not installed: pip install -e '.[peers]'")
    model = keras.Sequential(
        [
            keras.layers.Input((9, 11, 3)),
            keras.layers.Conv2D(
                4, (3, 5), strides=(2, 1), padding="same", bias_initializer="normal", name="a"
            ),
            keras.layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False, name="b"),
        ]
    )
    model.save(tmp_path / "net.keras")
    x = np.random.default_rng(1).random((1, 9, 11, 3), np.float32)
    values = x
    for name in ("a", "b"):
        kernel = convcli.load_kernel(f"{tmp_path}/net.keras:{name}")
        layer = kernel.layer
        values = convcli.conv(
            values,
            kernel,
            bias=layer.bias or None,
            stride=layer.stride,
            padding=layer.padding,
            groups=layer.groups,
            channels="last",
        )
    assert np.allclose(values, keras.ops.convert_to_numpy(model(x)), atol=1e-5)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import time; time.sleep(60)", "could not be read within 2 seconds"),
        ("import os; os.abort()", "failed with exit code -6"),
    ],
)
def test_a_reader_that_hangs_or_crashes_is_ended(tmp_path, monkeypatch, code, words):
    """A process that hangs or crashes is ended, and the file is reported as damaged."""
    (tmp_path / "odd.py").write_text(f"{code}\ndef extract(*_): pass\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(KernelError, match=words):
        read_in_process("odd", tmp_path / "x.h5", None, "x.h5", timeout=2)


@pytest.mark.parametrize(
    ("name", "module"), [("net.onnx", "onnx"), ("net.keras", "h5py"), ("net.h5", "h5py")]
)
def test_a_missing_library_is_named(tmp_path, monkeypatch, name, module):
    """One line with the command that installs it."""
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / name).write_bytes(b"junk")
    with pytest.raises(
        KernelError, match=rf"needs {module}; install it with: pip install 'convcli\[models\]'"
    ):
        convcli.load_kernel(tmp_path / name)


@pytest.mark.parametrize("name", ["net.onnx", "net.keras", "net.h5"])
def test_junk_is_refused(tmp_path, name):
    """Other content, and a missing file."""
    pytest.importorskip({"net.onnx": "onnx"}.get(name, "h5py"))
    (tmp_path / name).write_bytes(b"\x08junk" * 9)
    with pytest.raises(KernelError, match=rf"{name}: not a"):
        convcli.load_kernel(tmp_path / name)
    with pytest.raises(KernelError, match=r"none.onnx: no such file"):
        convcli.load_kernel(tmp_path / "none.onnx")


def test_apply_takes_the_layer_over(run, tmp_path, tensors):
    """``--layer`` applies stride, padding and bias; options take precedence; reports mention it."""
    path = tmp_path / "net.onnx"
    path.write_bytes(onnx_model(strides=[2, 1], pads=[1, 2, 1, 2]))
    color, out = SAMPLES / "color.png", tmp_path / "out.npy"
    common = ("--combine", "stack", "--map", "raw", "-o", out, "-f")
    text = run("apply", color, "-k", path, *common).text
    assert "use --layer to apply its settings" in text
    text = run("apply", color, "-k", path, "--layer", "--scale", "1/255", *common).text
    assert "as in the layer: stride 2,1, padding 1,1,2,2, a bias for each of 4 maps; pixels as stored" in text
    import imagecodecs

    x = imagecodecs.png_decode(color.read_bytes()).astype(np.float64) / 255
    kernel, pads = convcli.load_kernel(path), [(1, 1), (2, 2)]
    expected = convcli.conv(x, kernel, stride=(2, 1), padding=pads, bias=BIAS, channels="last")
    assert np.allclose(np.load(out), expected, atol=1e-4)
    text = run("apply", color, "-k", path, "--layer", "--combine", "sum", *common[2:]).text
    assert "bias 7/4" in text
    ran = run("apply", color, "-k", path, "--layer", "--combine", "max", *common[2:])
    assert "maps with separate biases cannot be combined by max" in ran.err
    text = run("apply", color, "-k", path, "--layer", "--stride", "4", *common).text
    assert "stride     (4, 4)" in text
    assert run("apply", color, "-k", "box3", "--layer", "-o", out).err.startswith(
        "convcli: kernel box3 does not come from a layer"
    )


def test_a_trained_network_on_a_photograph(run, tmp_path):
    """The first layer of MTCNN's first network over scikit-image's astronaut equals PyTorch's to 1e-4.

    Its weights are those that the mtcnn package ships, (rows, columns, in, out); they go through safetensors
    in PyTorch's order, with the layer's bias, and a NumPy archive in Keras' own.
    """
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
    joblib = pytest.importorskip("joblib", reason="mtcnn's weights need joblib: pip install -e '.[test]'")
    package, pictures = (importlib.util.find_spec(name) for name in ("mtcnn", "skimage"))
    if package is None or pictures is None:
        pytest.skip("mtcnn or scikit-image is not installed: pip install -e '.[test]'")
    weights, bias = joblib.load(Path(package.origin).parent / "assets" / "weights" / "pnet.lz4")[:2]
    photograph = Path(pictures.origin).parent / "data" / "astronaut.png"
    np.savez(tmp_path / "pnet.npz", conv1=weights)
    (tmp_path / "pnet.safetensors").write_bytes(
        safetensors({"conv1.weight": np.ascontiguousarray(weights.transpose(3, 2, 0, 1)), "conv1.bias": bias})
    )
    import imagecodecs

    x = torch.tensor(imagecodecs.png_decode(photograph.read_bytes()).transpose(2, 0, 1)[None] / 255.0)
    layer = torch.nn.functional.conv2d(
        x, torch.tensor(weights.transpose(3, 2, 0, 1)).double(), torch.tensor(bias).double(), stride=2
    )[0]
    for kernel, bias_option in (("pnet.npz:conv1", False), ("pnet.safetensors:conv1.weight", True)):
        options = [
            "--stride",
            "2",
            "--padding",
            "valid",
            "--scale",
            "1/255",
            "--map",
            "raw",
            "--combine",
            "stack",
        ]
        options += ["--layer"] if bias_option else []
        ran = run("apply", photograph, "-k", tmp_path / kernel, *options, "-o", tmp_path / "maps.npy", "-f")
        assert ran.code == 0, ran.err
        expected = layer if bias_option else layer - torch.tensor(bias)[:, None, None]
        maps = np.load(tmp_path / "maps.npy")[0].transpose(2, 0, 1)
        assert maps.shape == (10, 255, 255)
        assert np.abs(maps - expected.numpy()).max() < 1e-4


def conv_model(weights: object, nodes: tuple = (), bias: object = None, **attributes: object) -> bytes:
    """A model of one Conv whose weights are ``weights``, or what ``nodes`` make of the tensor ``raw``."""
    onnx = pytest.importorskip("onnx", reason="ONNX is not installed: pip install -e '.[models]'")
    helper, as_tensor = onnx.helper, onnx.numpy_helper.from_array
    tensors = [as_tensor(weights, "raw" if nodes else "w")]
    tensors += [as_tensor(value, name) for _, _, _, extra in nodes for name, value in extra.items()]
    made = [
        helper.make_node(kind, [source, *extra], [result], **dict(attributes))
        for (kind, attributes, (source, result), extra) in nodes
    ]
    if bias is not None:
        tensors.append(as_tensor(bias, "b"))
    names = ["x", "w", *(["b"] if bias is not None else [])]
    made.append(helper.make_node("Conv", names, ["y"], name="c", **attributes))
    value = helper.make_tensor_value_info
    ends = [value("x", onnx.TensorProto.FLOAT, None), value("y", onnx.TensorProto.FLOAT, None)]
    graph = helper.make_graph(made, "net", ends[:1], ends[1:], tensors)
    return helper.make_model(graph).SerializeToString()


PLAIN = np.arange(-9, 9, dtype=np.float32).reshape(2, 1, 3, 3) / 4
QUANTIZED = np.arange(-9, 9, dtype=np.int8).reshape(2, 1, 3, 3)
SCALES, ZEROS = np.array([0.5, 0.25], np.float32), np.array([1, -2], np.int8)
BEHIND = {
    "identity": (PLAIN, (("Identity", {}, ("raw", "w"), {}),), PLAIN),
    "cast": (PLAIN.astype(np.float16), (("Cast", {"to": 1}, ("raw", "w"), {}),), PLAIN),
    "two nodes": (
        PLAIN.astype(np.float16),
        (("Identity", {}, ("raw", "v"), {}), ("Cast", {"to": 1}, ("v", "w"), {})),
        PLAIN,
    ),
    "one scale": (
        QUANTIZED,
        (("DequantizeLinear", {}, ("raw", "w"), {"s": np.float32(0.5), "z": np.int8(3)}),),
        (QUANTIZED.astype(np.float32) - 3) / 2,
    ),
    "a scale for each map": (
        QUANTIZED,
        (("DequantizeLinear", {"axis": 0}, ("raw", "w"), {"s": SCALES, "z": ZEROS}),),
        (QUANTIZED.astype(np.float32) - ZEROS.reshape(2, 1, 1, 1)) * SCALES.reshape(2, 1, 1, 1),
    ),
}


@pytest.mark.parametrize("name", BEHIND)
def test_onnx_weights_behind_nodes(tmp_path, name):
    """Identity, Cast and DequantizeLinear between constants and the Conv are computed."""
    stored, nodes, expected = BEHIND[name]
    path = tmp_path / "net.onnx"
    path.write_bytes(conv_model(stored, nodes))
    for member in ("", ":c", ":w"):
        kernel = convcli.load_kernel(f"{path}{member}")
        assert np.array_equal(kernel.weights, expected.transpose(2, 3, 1, 0))
    assert f"through {nodes[-1][0]}" in kernel.about.source


def test_onnx_weights_that_no_constant_makes(tmp_path):
    """The unsupported node is named; so is a convolution of another kind."""
    path = tmp_path / "net.onnx"
    path.write_bytes(conv_model(PLAIN, (("Relu", {}, ("raw", "w"), {}),)))
    with pytest.raises(KernelError, match=r"net\.onnx:w: computed by a Relu node, which is not supported"):
        convcli.load_kernel(path)
    path.write_bytes(conv_model(PLAIN).replace(b"Conv", b"Cnov"))
    with pytest.raises(KernelError, match="contains no convolution"):
        convcli.load_kernel(path)


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float16"])
def test_onnx_narrow_floats(tmp_path, name):
    """Types that NumPy lacks are converted."""
    ml_dtypes = pytest.importorskip("ml_dtypes")
    kind = np.dtype(getattr(ml_dtypes, name, None) or name)
    stored = PLAIN.astype(kind)
    path = tmp_path / "net.onnx"
    path.write_bytes(conv_model(stored, bias=np.array([1, 2], np.float32).astype(kind)))
    kernel = convcli.load_kernel(path)
    assert np.array_equal(kernel.weights, stored.astype(np.float64).transpose(2, 3, 1, 0))
    assert kernel.layer.bias == (1, 2)


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_narrow_floats_bit_by_bit(tmp_path, name):
    """Every pattern of 8 bits, and patterns of 16, as ml_dtypes reads them; infinity and NaN are refused."""
    ml_dtypes = pytest.importorskip("ml_dtypes")
    kind = np.dtype(getattr(ml_dtypes, name))
    raw = np.arange(0, 2**16, 1 if kind.itemsize == 1 else 257, np.uint16)[:256]
    raw = raw.astype(np.uint8 if kind.itemsize == 1 else np.uint16)
    expected = raw.view(kind).astype(np.float64)
    raw, expected = raw[np.isfinite(expected)], expected[np.isfinite(expected)]
    tensor_type = {"bfloat16": "BF16", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2"}[name]
    path = tmp_path / "net.safetensors"
    path.write_bytes(safetensors({"w": raw[None]}, {"w": tensor_type}))
    assert convcli.load_kernel(f"{path}:w").weights[0].tolist() == expected.tolist()


WRONG = {
    "pads of one": ({"pads": [1]}, "padding has 1 values; allowed: 4"),
    "pads of three": ({"pads": [1, 1, 1]}, "padding has 3 values; allowed: 4"),
    "pads of eight": ({"pads": [1] * 8}, "padding has 8 values; allowed: 4"),
    "negative pads": ({"pads": [-1, 0, 0, 0]}, "allowed: integers from 0"),
    "three strides": ({"strides": [1, 1, 1]}, "stride has 3 values; allowed: 2"),
    "no stride": ({"strides": [0, 1]}, "allowed: integers from 1"),
    "float strides": ({"strides": 1.5}, "stride '1.5'; allowed: integers from 1"),
    "dilation": ({"dilations": [1]}, "dilation has 1 values; allowed: 2"),
    "group 0": ({"group": 0}, "groups '0'; allowed: integers from 1"),
    "group -1": ({"group": -1}, "groups '-1'; allowed: integers from 1"),
    "group 3": ({"group": 3}, "groups 3 does not divide its 4 maps"),
    "another window": ({"kernel_shape": [5, 5]}, "does not match its weights, (3, 5)"),
    "auto_pad": ({"auto_pad": b"SAME_\xff"}, "auto_pad 'SAME_�'; allowed: NOTSET, VALID"),
    "auto_pad as a number": ({"auto_pad": 3}, "auto_pad '3'; allowed"),
}


@pytest.mark.parametrize("name", WRONG)
def test_onnx_attributes_are_checked(tmp_path, name):
    """A node's attribute is a valid value of a layer, or refused by name."""
    attributes, words = WRONG[name]
    path = tmp_path / "net.onnx"
    path.write_bytes(onnx_model(**attributes))
    with pytest.raises(KernelError) as caught:
        convcli.load_kernel(path)
    assert words in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_a_single_stride_serves_both_axes(tmp_path):
    """An integer instead of a list applies to all axes."""
    path = tmp_path / "net.onnx"
    path.write_bytes(onnx_model(strides=2))
    assert convcli.load_kernel(path).layer.stride == (2, 2)


def test_onnx_volumes_and_odd_tensors(tmp_path):
    """Conv3d, external tensors without a file, and a bias of another length are refused by name."""
    onnx = pytest.importorskip("onnx", reason="ONNX is not installed: pip install -e '.[models]'")
    path = tmp_path / "net.onnx"
    path.write_bytes(conv_model(np.ones((1, 1, 3, 3, 3), np.float32), strides=[1, 1, 1], pads=[1] * 6))
    with pytest.raises(KernelError, match=r"has shape .1, 1, 3, 3, 3.; a convolution over images has 4 axes"):
        convcli.load_kernel(path)
    model = onnx.load_from_string(conv_model(PLAIN))
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    path.write_bytes(model.SerializeToString())
    with pytest.raises(KernelError, match="only files in the model's folder are read"):
        convcli.load_kernel(path)
    path.write_bytes(conv_model(PLAIN, bias=np.ones(3, np.float32)))
    with pytest.raises(KernelError, match=r"a bias of shape .3,. for 2 maps"):
        convcli.load_kernel(path)
    model.graph.initializer[0].dims[:] = [2**20, 2**20]
    model.graph.initializer[0].data_location = onnx.TensorProto.DEFAULT
    path.write_bytes(model.SerializeToString())
    with pytest.raises(KernelError, match=f"{2**40} weights; allowed: up to"):
        convcli.load_kernel(path)
    model.graph.node[0].input.pop()
    path.write_bytes(model.SerializeToString())
    with pytest.raises(KernelError, match="contains no convolution"):
        convcli.load_kernel(path)


def keras_layer(path: Path, weights: object, settings: dict[str, object], **attributes: object) -> None:
    """An archive of one layer called ``c`` with these settings; ``attributes`` are those of its weights."""
    h5py = pytest.importorskip("h5py", reason="h5py is not installed: pip install -e '.[models]'")
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["layers/c/vars/0"] = weights
        file["layers/c/vars"].attrs["name"] = "c"
        for key, value in attributes.items():
            file["layers/c/vars/0"].attrs[key] = value
    layer = {"class_name": settings.pop("class_name", "Conv2D"), "config": {"name": "c", **settings}}
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("config.json", json.dumps({"config": {"layers": [layer]}}))
        target.writestr("model.weights.h5", buffer.getvalue())


def test_keras_conv1d(tmp_path):
    """One row high, by name or as the only layer; causal padding is at the left."""
    path = tmp_path / "net.keras"
    row = np.arange(10.0).reshape(5, 1, 2)
    config = {"class_name": "Conv1D", "kernel_size": [5], "strides": [2], "dilation_rate": [3]}
    keras_layer(path, row, {**config, "padding": "causal"})
    for name in ("", ":c", ":layers/c/vars/0"):
        kernel = convcli.load_kernel(f"{path}{name}")
        assert np.array_equal(kernel.weights, row[None])
        layer = kernel.layer
        assert (layer.stride, layer.padding, layer.dilation) == ((1, 2), "0,0,12,0", (1, 3))


def test_layers_over_volumes(tmp_path):
    """They are refused with advice; a convolution over images next to them needs no name."""
    volume = np.zeros((2, 1, 3, 3, 3), np.float32)
    path = tmp_path / "net.safetensors"
    path.write_bytes(safetensors({"c.weight": volume}))
    with pytest.raises(KernelError, match=r"net\.safetensors:c\.weight has shape \(2, 1, 3, 3, 3\)"):
        convcli.load_kernel(path)
    path.write_bytes(safetensors({"c.weight": volume, "d.weight": volume[..., 0]}))
    assert convcli.load_kernel(path).weights.shape == (3, 3, 1, 2)
    path = tmp_path / "net.keras"
    keras_layer(path, volume.transpose(2, 3, 4, 1, 0), {"class_name": "Conv3D", "kernel_size": [3, 3, 3]})
    for name in ("", ":c"):
        with pytest.raises(KernelError, match=r"net\.keras:c: a Conv3D layer; allowed: Conv2D"):
            convcli.load_kernel(f"{path}{name}")


def test_keras_opaque_bytes(tmp_path):
    """Keras stores bfloat16 as two opaque bytes, with the type as an attribute."""
    path = tmp_path / "net.keras"
    raw = (PLAIN.transpose(2, 3, 1, 0).copy().view(np.uint32) >> 16).astype(np.uint16)
    keras_layer(path, raw.view("V2"), {"kernel_size": [3, 3]}, dtype="bfloat16")
    assert np.array_equal(convcli.load_kernel(path).weights, PLAIN.transpose(2, 3, 1, 0))
    keras_layer(path, raw.view("V2"), {"kernel_size": [3, 3]})
    with pytest.raises(KernelError, match="contains no convolution 'c'; it contains no convolution at all"):
        convcli.load_kernel(f"{path}:c")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kernel_size": [5, 5]}, "kernel size '(5, 5)' does not match its weights, (3, 3)"),
        ({"kernel_size": 3, "strides": "2"}, "stride '2'; allowed: integers from 1"),
        ({"kernel_size": 3, "groups": True}, "groups 'True'; allowed: integers from 1"),
        ({"kernel_size": 3, "padding": "full"}, "padding 'full'; allowed: valid, same"),
        ({"kernel_size": 3, "padding": "causal"}, "padding 'causal'; allowed: valid, same"),
        ({"kernel_size": 3, "dilation_rate": [2, 2, 2]}, "dilation has 3 values; allowed: 2"),
    ],
)
def test_keras_settings_are_checked(tmp_path, settings, words):
    """By the same rules as ONNX attributes."""
    path = tmp_path / "net.keras"
    keras_layer(path, PLAIN.transpose(2, 3, 1, 0), dict(settings))
    with pytest.raises(KernelError) as caught:
        convcli.load_kernel(path)
    assert words in str(caught.value)


def test_small_files_take_little(tmp_path):
    """An entry that would unpack to far more than a model is refused by its stated size."""
    h5py = pytest.importorskip("h5py", reason="h5py is not installed: pip install -e '.[models]'")
    path = tmp_path / "net.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("config.json", b" " * (2**24 + 1))
        target.writestr("model.weights.h5", b"")
    with pytest.raises(
        KernelError, match=rf"config.json unpacks to {2**24 + 1} bytes; allowed: up to {2**24}"
    ):
        convcli.load_kernel(path)
    path = tmp_path / "net.h5"
    with h5py.File(path, "w") as file:
        file["conv2d/kernel"] = PLAIN.transpose(2, 3, 1, 0)
        text = h5py.h5t.C_S1.copy()
        text.set_size(3 * 2**30)
        h5py.h5d.create(file.id, b"text", text, h5py.h5s.create_simple((1,)))
    assert convcli.load_kernel(path).layer.padding == ""
    with pytest.raises(KernelError, match="contains no convolution 'text'"):
        convcli.load_kernel(f"{path}:text")
    head = (2**24 + 1).to_bytes(8, "little")
    (tmp_path / "net.safetensors").write_bytes(head + b"{}")
    with pytest.raises(KernelError, match=f"a header of {2**24 + 1} bytes; allowed: up to {2**24}"):
        convcli.load_kernel(tmp_path / "net.safetensors")


def test_conv_adds_the_trained_bias(tensors):
    """The layer's bias is added; a given one replaces it, in both orders of channels."""
    x = np.random.default_rng(2).random((9, 11, 3))
    name = f"{tensors}:conv1.weight"
    expected = convcli.conv(x, TURNED, channels="last") + BIAS
    assert np.allclose(convcli.conv(x, name, channels="last"), expected, atol=1e-5)
    assert np.allclose(
        convcli.conv(x.transpose(2, 0, 1), name, channels="first"), expected.transpose(2, 0, 1), atol=1e-5
    )
    assert np.allclose(convcli.conv(x, name, channels="last", bias=7), expected - BIAS + 7, atol=1e-5)
    kernel = convcli.load_kernel(name)
    assert np.allclose(convcli.conv(x, kernel.biased(0), channels="last"), expected - BIAS, atol=1e-5)
    with pytest.raises(KernelError, match="maps with separate biases cannot be combined by l2"):
        convcli.conv(x, kernel.combined("l2"), channels="last")


def test_a_layer_without_stride_and_padding_is_not_guessed(run, tmp_path, tensors):
    """Safetensors files state neither, so ``--layer`` takes both from the command line."""
    common = ("apply", SAMPLES / "color.png", "-k", f"{tensors}:conv1.weight", "--stack", "--map", "raw")
    out = ("-o", tmp_path / "o.npy", "-f")
    ran = run(*common, "--layer", *out)
    assert ran.code == 2
    assert (
        "its file does not specify stride or padding, so --layer also needs --stride and --padding" in ran.err
    )
    assert "--layer also needs --stride (" in run(*common, "--layer", "--padding", "1", *out).err
    assert "stride, padding and activation not specified" in run(*common, *out).text
    text = run(*common, "--layer", "--stride", "2", "--padding", "1", *out).text
    assert "stride     (2, 2)" in text
