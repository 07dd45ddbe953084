"""``convcli shape`` and ``convcli plan``: sizes and methods, without pixels."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT, SAMPLES, decoded


def test_shape_of_the_lesson(run):
    """512×512, 3×3, strides (2, 1): 255×510, with the row that no window reads."""
    text = run("shape", "512x512", "--kernel", "3x3", "--stride", "2,1", "--padding", "valid").text
    for words in (
        "(1, 512, 512, 1) NHWC, (1, 1, 512, 512) NCHW",
        "floor((512 + 0 + 0 − 3) / 2) + 1 = 255",
        "floor((512 + 0 + 0 − 3) / 1) + 1 = 510",
        "512 input pixels that no window reads (1 row)",
        "(1, 255, 510, 1) NHWC, (1, 1, 255, 510) NCHW",
        "valid 255×510, same 256×512, full 257×514",
    ):
        assert words in text


def test_shape_of_a_chain(run):
    """The first layers of a residual network: each layer's numbers, and what they make together."""
    layers = ["--layer", "7x7x64,stride=2,padding=3", "--layer", "pool3x3,stride=2,padding=1"]
    text = run("shape", "224x224x3", *layers).text
    for words in (
        "layer 1: convolution 7×7, 3 → 64 channels",
        "7 · 7 · 3 · 64 + 64 = 9472",
        "112 · 112 · 64 values · 7 · 7 · 3 = 118 013 952",
        "layer 2: max pool 3×3, 64 → 64 channels",
        "11 × 11 pixels per value, neighbors 4 × 4 apart",
        "(1, 56, 56, 64) NHWC, (1, 64, 56, 56) NCHW",
        "torch.nn.MaxPool2d((3, 3), stride=(2, 2), padding=(1, 1))",
        "padding        1:−∞: top 1, bottom 1, left 1, right 1",
        "  2  max pool 3×3, 64 → 64 channels    (1, 56, 56, 64)      11 × 11           0\n",
    ):
        assert words in text, text
    report = json.loads(run("shape", "224x224x3", *layers, "--report", "json").text)
    assert [layer["output"]["nhwc"] for layer in report["layers"]] == [[1, 112, 112, 64], [1, 56, 56, 64]]
    assert report["parameters"] == 9472


def test_shape_of_a_kernel_and_stages_after_it(run):
    """The words of apply: rows of the overview with size and receptive field; relu changes neither."""
    stages = ["--then", "laplacian8,stride=2", "--then", "relu", "--then", "maxpool2x2"]
    text = run("shape", "512x512", "-k", "gaussian:2", *stages).text
    for words in (
        "layer 1: convolution gaussian:2 17×17, 1 → 1 channels",
        "same:reflect (the default; layers often use valid)",
        "layer 2: convolution laplacian8 3×3, 1 → 1 channels",
        "padding        same:reflect: top 0, bottom 1",
        "layer 3: relu, 1 channel\n  output      (1, 256, 256, 1) NHWC, (1, 1, 256, 256) NCHW, as the input",
        "torch.nn.ReLU()",
        "  3  relu, 1 channel                               (1, 256, 256, 1)    19 × 19           0\n",
        "receptive  21 × 21 pixels per value, neighbors 4 × 4 apart",
        "cost       298 parameters",
    ):
        assert words in text, text
    report = json.loads(run("shape", "512x512", "-k", "gaussian:2", *stages, "--report", "json").text)
    assert [layer["name"] for layer in report["layers"]] == ["gaussian:2", "laplacian8", "relu", None]
    assert report["layers"][2]["kind"] == "activation"
    assert report["output"]["nhwc"] == [1, 128, 128, 1]


def test_layers_and_stages_are_one_grammar(run):
    """A chain of ``--layer`` has the shapes of the same words after ``--kernel``."""
    words = ["sobel,stride=2,padding=valid", "relu6", "3x3x4,padding=1", "avgpool2x2,stride=1"]
    rest = [word for text in words[1:] for word in ("--then", text)]
    options = ["--stride", "2", "--padding", "valid"]
    by_kernel = run("shape", "33x20", "-k", "sobel", *options, *rest, "--report", "json")
    layers = [word for text in words for word in ("--layer", text)]
    assert json.loads(run("shape", "33x20", *layers, "--report", "json").text) == json.loads(by_kernel.text)


@pytest.mark.parametrize("like", ["torch", "keras", "opencv"])
def test_stages_read_padding_as_a_library_does(run, like):
    """``same`` of a kernel after commas is what it is as an option."""
    typed = run("shape", "32x32", "-k", "box3", "--padding", "same", "--like", like, "--report", "json")
    layer = run("shape", "32x32", "--layer", "box3,padding=same", "--like", like, "--report", "json")
    assert json.loads(typed.text) == json.loads(layer.text)


def test_shapes_are_those_of_apply(run, tmp_path):
    """The sizes that a chain is computed with, for odd sizes, strides and banks."""
    stages = ["--then", "laplacian8,stride=2", "--then", "relu", "--then", "maxpool3x2,stride=2,ceil=yes"]
    path = SAMPLES / "scene.png"
    shape = json.loads(run("shape", path, "-k", "random:3x3x1x4", *stages, "--report", "json").text)
    out = tmp_path / "maps.npy"
    run("apply", path, "-k", "random:3x3x1x4", *stages, "--stack", "--report", "none", "-o", out)
    assert list(np.load(out).shape) == shape["output"]["nhwc"]


def test_shape_of_a_layer_from_a_file(run, tmp_path):
    """``--layer`` without a text: stride, padding, dilation, groups, bias and activation of the file."""
    net = model(tmp_path / "net.onnx", group=2, strides=[2, 1], dilations=[1, 2], pads=[1, 0, 0, 2])
    report = json.loads(run("shape", "17x12x4", "-k", f"{net}:conv", "--layer", "--report", "json").text)
    layer, relu = report["layers"]
    rows, columns = layer["axes"]["rows"], layer["axes"]["columns"]
    assert (rows["stride"], columns["stride"], columns["dilation"]) == (2, 1, 2)
    assert (rows["before"], columns["before"], rows["after"], columns["after"]) == (1, 0, 0, 2)
    assert (layer["groups"], layer["weights"], layer["parameters"]) == (2, [3, 3, 2, 6], 108 + 6)
    assert (relu["name"], relu["output"]["nhwc"]) == ("relu", layer["output"]["nhwc"])
    text = run(
        "shape", "17x12x4", "-k", f"{net}:conv", "--layer", "--stride", "1", "--then", "maxpool2x2"
    ).text
    assert "stride         (1, 1), dilation (1, 2)" in text
    assert "layer 3: max pool 2×2, 6 → 6 channels" in text


def test_a_file_without_stride_and_padding_asks_for_them(run, tmp_path):
    """Safetensors have weights alone."""
    safetensors = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    path = tmp_path / "net.safetensors"
    safetensors.save_file({"conv.weight": np.ones((8, 3, 5, 5), np.float32)}, path)
    asked = run("shape", "32x32x3", "-k", f"{path}:conv.weight", "--layer")
    assert (asked.code, asked.err.count("\n")) == (2, 1)
    assert "--layer also needs --stride and --padding" in asked.err
    options = ["--stride", "2", "--padding", "2", "--report", "json"]
    report = json.loads(run("shape", "32x32x3", "-k", f"{path}:conv.weight", "--layer", *options).text)
    assert report["output"]["nhwc"] == [1, 16, 16, 8]


def test_shape_of_a_transposed_layer_from_a_file(run, tmp_path):
    """Its stride, padding and output padding give the sizes of the same layer as text."""
    net = model(tmp_path / "net.onnx", "ConvTranspose", strides=[2, 2], pads=[1] * 4, output_padding=[1, 0])
    report = json.loads(run("shape", "8x8x4", "-k", f"{net}:conv", "--layer", "--report", "json").text)
    text = "transposed3x3x6,stride=2,padding=1,1,output-padding=1,0"
    typed = json.loads(run("shape", "8x8x4", "--layer", text, "--report", "json").text)
    assert {**report["layers"][0], "name": None} == {key: typed[key] for key in report["layers"][0]}


def model(path, operation="Conv", **attributes):
    """An ONNX model with a convolution of 4 channels to 6 maps in 3 × 3 windows, and a ReLU."""
    onnx = pytest.importorskip("onnx", reason="ONNX is not installed: pip install -e '.[models]'")
    from onnx import TensorProto, helper, numpy_helper

    shape = (4, 6) if operation == "ConvTranspose" else (6, 4 // attributes.get("group", 1))
    weights = np.ones((*shape, 3, 3), np.float32)
    nodes = [
        helper.make_node(operation, ["x", "w", "b"], ["y"], "conv", **attributes),
        helper.make_node("Relu", ["y"], ["z"], "act"),
    ]
    tensors = [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.zeros(6, np.float32), "b")]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, None, None])]
    outputs = [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)]
    onnx.save(helper.make_model(helper.make_graph(nodes, "net", inputs, outputs, tensors)), str(path))
    return path


def test_shape_of_a_set_counts_every_kernel(run):
    """Both kernels of sobel are parameters, and every channel goes through both."""
    report = json.loads(run("shape", "64x64x3", "-k", "sobel", "--report", "json").text)
    assert (report["parameters"], report["multiply_adds"]) == (18, 64 * 64 * 3 * 18)
    assert set(report["code"].values()) == {None}


@pytest.mark.parametrize(
    ("name", "size"), [("scene.png", "512x512"), ("color.png", None), ("transparent.png", None)]
)
def test_the_header_of_an_image_is_its_size(run, name, size, tmp_path):
    """A file, without a suffix too, or standard input: what its size gives, for ``shape`` and ``plan``."""
    path = SAMPLES / name
    with Image.open(path) as opened:
        typed = f"{opened.height}x{opened.width}x{len(opened.getbands())}"
    bare = tmp_path / "image"
    bare.write_bytes(path.read_bytes())
    for command in ("shape", "plan"):
        options = ["-k", "box5", "--stride", "2x1", "--report", "json"]
        expected = json.loads(run(command, size or typed, *options).text)
        assert json.loads(run(command, path, *options).text) == expected
        assert json.loads(run(command, bare, *options).text) == expected
        assert json.loads(run(command, "-", *options, stdin=path.read_bytes()).text) == expected


def test_plan_takes_the_depth_of_a_file(run):
    """16 bits where the file has them, unless --depth says otherwise."""
    path, options = SAMPLES / "depth16.png", ("-k", "box3")
    deep, typed = run("plan", path, *options).text, "x".join(map(str, decoded(path).shape))
    assert deep == run("plan", typed, *options, "--depth", "16").text
    assert run("plan", path, *options, "--depth", "8").text == run("plan", typed, *options).text != deep


def test_shape_default_is_that_of_apply(run):
    """Without --padding the image keeps its size, and the other amounts are shown too."""
    text = run("shape", "512x512", "--kernel", "3x3", "--stride", "2,1").text
    assert "same:reflect (the default; layers often use valid): top 0, bottom 1, left 1, right 1" in text
    assert "(1, 256, 512, 1) NHWC" in text
    assert "valid 255×510" in text


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (["10x12", "-k", "3", "--padding", "valid"], [1, 8, 10, 1]),
        (["224x224x3", "-k", "7x7x64", "--stride", "2", "--padding", "3"], [1, 112, 112, 64]),
        (["64x64x3", "-k", "box5", "--padding", "full"], [1, 68, 68, 3]),
        (["64x64", "-k", "random:3x3x1x8,seed=1"], [1, 64, 64, 8]),
        (["64x64x3", "-k", "random:3x3x1x4"], [1, 64, 64, 12]),
        (["64x64x4", "-k", "random:3x3x2x8", "--groups", "2"], [1, 64, 64, 8]),
        (["64x64x4", "-k", "random:3x3x1x8", "--groups", "4"], [1, 64, 64, 8]),
        (["9x9x2", "--layer", "laplacian8,stride=2"], [1, 5, 5, 2]),
        (["9x9x2", "--layer", "1 0; 0 1,padding=valid"], [1, 8, 8, 2]),
        (["9x9x2", "--layer", "relu"], [1, 9, 9, 2]),
        (["64x64", "-k", "sobel", "--dilation", "3", "--padding", "valid"], [1, 58, 58, 1]),
        (["9×9", "-k", "3×3", "--padding", "1,2,0,0"], [1, 10, 7, 1]),
        (["9,9", "-k", "3,3", "--padding", "1x2x0x0"], [1, 10, 7, 1]),
        (["12,9,3", "-k", "3,3,4", "--stride", "2x1", "--dilation", "1x2", "--padding", "0"], [1, 5, 5, 4]),
        (["2x2", "--layer", "pool3x3,stride=2,ceil=yes"], [1, 1, 1, 1]),
    ],
)
def test_shape_as_json(run, arguments, output):
    """Channels, maps and kernels by name."""
    report = json.loads(run("shape", *arguments, "--report", "json").text)
    assert report["output"]["nhwc"] == output
    assert report["axes"]["rows"]["output"] == output[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["512", "-k", "3x3x3"], "kernel '3x3x3' is not N or NxN"),
        (["photo", "-k", "3x3"], "'photo' is neither a size such as 512x512 nor an existing file"),
        (["axb", "-k", "3x3"], "size 'axb' is not"),
        (["5x5.0", "-k", "3x3"], "size '5x5.0' is not"),
        (["none.png", "-k", "3x3"], "convcli: none.png: No such file"),
        ([f"{ROOT}/README.md", "-k", "3x3"], "not an image in a known format"),
        (["0x5", "-k", "3x3"], "size 0 is not allowed"),
        (["5x5", "-k", "7x7", "--padding", "valid"], "covers 7 × 7, which is larger"),
        (["5x5", "-k", "boxx"], "unknown kernel 'boxx'"),
        (["5x5", "-k", "3x3x3x3x3"], "kernel '3x3x3x3x3' is not"),
        (["5x5"], "missing option -k/--kernel, --layer or --model"),
        (["5x5", "-k", "3x3", "--layer", "3x3x1"], "add layers after the kernel with --then"),
        (["5x5", "--layer", "3x3x1", "--stride", "2"], "--stride goes with --kernel"),
        (["5x5", "--layer", "pol3x3"], "'pol3x3': unknown layer type (did you mean pool"),
        (["5x5", "--layer", "3x3x1", "--layer", "5x5x1"], "layer 2: the kernel covers 5 × 5"),
        (
            ["5x5x3", "-k", "random:3x3x2x4"],
            "kernel takes 2 input channels, but its input has 3",
        ),
        (["5x5x4", "-k", "random:3x3x1x4", "--groups", "2"], "takes 1 input channel in each of 2 groups"),
        (["5x5x3", "-k", "box3", "--then", "random:3x3x2x4"], "layer 2: the kernel takes 2 input channels"),
        (["5x5", "-k", "box3", "--then", "rellu"], "stage 'rellu' is neither a kernel nor a function"),
        (["5x5", "--layer", "3x3x1", "--then", "relu"], "--then goes with --kernel; without one, repeat"),
        (["5x5", "--layer", "relu,stride=2"], "stage 'relu,stride=2': relu takes no options"),
        (["5x5", "--layer"], "--layer needs a layer such as 3x3x16, or goes with --kernel FILE:NAME"),
        (["5x5", "-k", "3x3", "--layer"], "--layer takes the layer of a file, -k FILE:NAME; 3x3 is only a"),
        (["5x5", "-k", "box3", "--layer"], "kernel box3 does not come from a layer"),
        (["-k", "box3", "--layer", "5x5"], "--layer comes last: convcli shape 5x5 -k FILE:NAME --layer"),
        ([], "missing argument ROWSxCOLUMNS[xCHANNELS]|IMAGE"),
    ],
)
def test_shape_mistakes(run, arguments, words):
    """One line, exit 2."""
    result = run("shape", *arguments)
    assert (result.code, result.err.count("\n"), words in result.err) == (2, 1, True), result.err


def test_plan_prints_every_method_with_its_cost_or_refusal(run, numpy_alone):
    """Without an image: the chosen method, the number type and why, and the other methods."""
    from convcli.engine.methods.registry import NAMES

    text = run("plan", "4000x6000", "--kernel", "sharpen").text
    assert text.startswith("shift in int16 (exact), strips of ")
    assert "sums lie in −1020 … 1275, which int16 holds exactly" in text
    assert "separable  not applicable: the kernel has rank above 1 (map 0)" in text
    assert "→ shift" in text
    assert all(name in text for name in NAMES)
    report = json.loads(run("plan", "400x600x3", "-k", "box31", "--depth", "16", "--report", "json").text)
    assert (report["method"], report["dtype"], report["exact"]) == ("box", "uint32", True)
    assert "float32: the input is float32" in run("plan", "9x9", "-k", "box3", "--depth", "float").text
    assert "cannot be used here" in run("plan", "99x99", "-k", "sharpen", "--method", "box").err
