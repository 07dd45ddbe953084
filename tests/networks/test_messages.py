"""Models of strangers: each mistake, damage or trick is one line, and no file outside is read."""

from __future__ import annotations

import os

import imagecodecs
import numpy as np
import pytest

from convcli.networks.fields import receptive_fields
from convcli.networks.reading import read_network
from convcli.networks.runtime import runtime_reason
from tests.networks.nets import FLOAT, Net, normalized, onnx, plain, unet

helper = onnx.helper
WEIGHTS = np.ones((4, 3, 3, 3), np.float32)


def model(*nodes, sizes=("n", 3, "h", "w"), weights=WEIGHTS, opset=17, ir=9, domains=(), inputs=1):
    """A model of these nodes, from x to y, with weights w."""
    names = ["x", *(f"x{i}" for i in range(1, inputs))]
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info(name, FLOAT, list(sizes)) for name in names],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(name, 1) for name in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir).SerializeToString()


def conv(x="x", y="y", **attributes):
    return helper.make_node("Conv", [x, "w"], [y], name="c", **attributes)


def relu(x, y, **attributes):
    return helper.make_node("Relu", [x], [y], **attributes)


def reshaped(*dims):
    """A model whose weights state other sizes than they have."""
    proto = onnx.load_model_from_string(model(conv()))
    proto.graph.initializer[0].dims[:] = dims
    return proto.SerializeToString()


def typed(number):
    """A model whose weights have another type."""
    proto = onnx.load_model_from_string(model(conv()))
    proto.graph.initializer[0].data_type = number
    return proto.SerializeToString()


CASES = {
    "name": (model(conv()).replace(b"\x01c", b"\x01\xff"), "not an ONNX model, or damaged"),
    "type": (typed(99), ":w: damaged: no type 99"),
    "random": (bytes(range(256)), "not an ONNX model, or damaged"),
    "truncated": (model(conv())[:200], "not an ONNX model, or damaged"),
    "empty": (b"", "not an ONNX model, or damaged: it has no nodes"),
    "newer": (model(conv(), opset=999), "opset 999; onnx"),
    "ir": (model(conv(), ir=999), "IR version 999; onnx"),
    "two inputs": (model(helper.make_node("Add", ["x", "x1"], ["y"]), inputs=2), "has 2 inputs (x, x1)"),
    "three axes": (model(relu("x", "y"), sizes=(3, 8, 8)), "'x' has 3 axes (3, 8, 8); an image has 4"),
    "channels": (model(conv(), sizes=(1, 1, 8, 8)), "takes 1 channel (gray), (1, 1, 8, 8); the image has 3"),
    "size": (model(conv(), sizes=(1, 3, 8, 9)), "images of 8×9 pixels (rows × columns); this one has 16×16"),
    "one side": (model(conv(), sizes=(1, 3, "h", 9)), "takes images of any×9 pixels"),
    "cycle": (model(helper.make_node("Add", ["x", "b"], ["a"], name="A"), relu("a", "b", name="B"),
                    relu("b", "y")), "nodes form a cycle: A → B → A"),
    "missing": (model(relu("z", "y")), "node 'y' reads 'z', which nothing computes"),
    "several missing": (model(helper.make_node("Sum", ["x", *"efghijkl"], ["y"])), "node 'y' reads 'e', "),
    "twice": (model(relu("x", "y"), relu("x", "y")), "tensor 'y' is computed twice"),
    "later twice": (model(relu("x", "a"), relu("a", "y"), relu("x", "y")), "tensor 'y' is computed twice"),
    "input again": (model(relu("x", "x"), relu("x", "y")), "tensor 'x' is computed twice, or is an input"),
    "window": (model(conv(dilations=[9, 9])), "node 'c' (Conv) makes no values of its 1×3×16×16 input"),
    "stride": (model(conv(strides=[0, 0])), "node 'c': strides '[0, 0]'; allowed: integers from 1"),
    "dilation": (model(conv(dilations=[2**62] * 2)), "node 'c': dilations '[4611"),
    "axis": (model(helper.make_node("Concat", ["x", "x"], ["y"], axis=9)), "shapes do not fit: axis"),
    "negative": (reshaped(-4, 3, 3, 3), "w: damaged: axes of sizes '[-4, 3, 3, 3]'"),
    "huge": (reshaped(2**50, 3, 3, 3), "w: damaged: axes of sizes '[1125899906842624, 3, 3, 3]'"),
    "other": (reshaped(5, 3, 3, 3), "w: damaged: cannot reshape"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(CASES))
def test_damaged_models_are_one_line(name, run, tmp_path):
    """Exit code 2, one line, with the file; `apply` refuses the same, or more, and writes nothing."""
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install -e '.[net]'")
    data, words = CASES[name]
    path = tmp_path / "net.onnx"
    path.write_bytes(data)
    (tmp_path / "image.png").write_bytes(imagecodecs.png_encode(np.zeros((16, 16, 3), np.uint8)))
    for command in (("shape", "16x16x3"), ("apply", tmp_path / "image.png", "-o", tmp_path / "y.npy")):
        ran = run(*command, "--model", path)
        assert (ran.code, ran.err.count("\n")) == (2, 1), ran.err
        assert ran.err.startswith("convcli: ")
        assert f"{path}" in ran.err
        assert words in ran.err, ran.err
    assert not (tmp_path / "y.npy").exists()


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("/etc/passwd", "only files in the model's folder are read"),
        ("../secret.bin", "only files in the model's folder are read"),
        ("a/../../secret.bin", "only files in the model's folder are read"),
        ("link.bin", "only files in the model's folder are read"),
        ("gone.bin", "there is no such file beside the model"),
        ("", "only files in the model's folder are read"),
    ],
)
def test_weights_outside_the_folder_are_refused(location, words, run, tmp_path):
    """Absolute paths, paths and links that leave the folder, and missing files; nothing is read."""
    folder = tmp_path / "models"
    (folder / "a").mkdir(parents=True)
    (tmp_path / "secret.bin").write_bytes(WEIGHTS.tobytes())
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    (folder / "net.onnx").write_bytes(external(location))
    ran = run("shape", "16x16x3", "--model", folder / "net.onnx")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert f"net.onnx:w: stored in {location!r}" in ran.err
    assert words in ran.err


def external(location):
    """A model whose weights are in another file."""
    proto = onnx.load_model_from_string(model(conv()))
    (tensor,) = proto.graph.initializer
    onnx.external_data_helper.set_external_data(tensor, location)
    tensor.ClearField("raw_data")
    return proto.SerializeToString()


def test_weights_in_a_file_beside_the_model(run, tmp_path, monkeypatch):
    """They are found from any working directory; the table does not read them."""
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install -e '.[net]'")
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "net.onnx").write_bytes(external("net.bin"))
    (folder / "net.bin").touch()
    os.truncate(folder / "net.bin", 3)  # too short to be read
    ran = run("shape", "16x16x3", "--model", folder / "net.onnx")
    assert ran.code == 0, ran.err
    assert "parameters     108" in ran.text
    image = tmp_path / "image.png"
    image.write_bytes(imagecodecs.png_encode(np.full((16, 16, 3), 255, np.uint8)))
    common = (
        "apply",
        image,
        "--model",
        folder / "net.onnx",
        "--map",
        "raw",
        "--stack",
        "-o",
        tmp_path / "y.npy",
    )
    monkeypatch.chdir(tmp_path)
    ran = run(*common)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "onnxruntime cannot load it" in ran.err
    (folder / "net.bin").write_bytes(WEIGHTS.tobytes())
    assert run(*common).code == 0
    assert np.array_equal(np.load(tmp_path / "y.npy"), np.full((1, 14, 14, 4), 27, np.float32))


def test_unknown_operators_are_named(run, tmp_path):
    """Their fields, and all after them, are unknown; a note says why."""
    path = tmp_path / "net.onnx"
    mystery = helper.make_node("Mystery", ["a"], ["b"], name="m", domain="com.acme")
    path.write_bytes(model(conv(y="a"), mystery, relu("b", "y"), domains=["com.acme"]))
    ran = run("shape", "16x16x3", "--model", path)
    assert ran.code == 0, ran.err
    assert "com.acme.Mystery" in ran.text
    assert "receptive fields are unknown (?) from a node on: m: com.acme.Mystery is not known" in ran.text
    fields = receptive_fields(read_network(path, (16, 16, 3)))
    assert fields["a"].size == (3, 3)
    assert fields["b"].size is fields["y"].size is None


def test_branches_with_different_jumps_are_named(run, tmp_path):
    """Maps of one size that come from other places of the image are an error of the network, and stated."""
    path = tmp_path / "net.onnx"
    net = Net((8, 8, 3), fixed=True)
    small = net.conv("x", 2, 1, s=2)
    cut = net.node("Slice", [net.conv("x", 2, 1)], None, [
        net.constant(np.array([0, 0])), net.constant(np.array([4, 4])), net.constant(np.array([2, 3])),
    ])  # fmt: skip
    net.add(small, cut)
    ran = run("shape", "8x8x3", "--model", net.save(path))
    assert ran.code == 0, ran.err
    assert "add3: its inputs have jumps of 2 and 1 pixels" in ran.text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--until", "rleu2"], "no node or tensor 'rleu2' (did you mean relu2"),
        (["--until", "dense"], "no node or tensor 'dense'"),
        ([], "output 'gemm8:out' gives a tensor of shape (1, 10), not feature maps; choose"),
        (["--until", "flatten7"], "'flatten7' gives a tensor of shape (1, 6), not"),
        (["--until", "relu2", "-k", "box3"], "--model is a whole network and cannot be combined"),
        (["--until", "relu2", "--stride", "2"], "--stride goes with --kernel and cannot be combined"),
        (["--until", "relu2", "--weights-order", "oihw"], "--weights-order goes with --kernel and cannot"),
        (["--until", "relu2", "--kernel-path", "."], "--kernel-path goes with --kernel and cannot"),
        (["--until", "relu2", "--alpha", "keep"], "--alpha keep cannot be combined with --model"),
        (["--until", "relu2", "--then", "relu"], "--then goes with --kernel and cannot be combined"),
        (["--until", "relu2", "-o", "y.png"], "relu2 gives 4 feature maps, which do not fit in one file"),
    ],
)  # fmt: skip
def test_wrong_command_lines(arguments, words, run, tmp_path, monkeypatch):
    """One line each, which says what is allowed."""
    monkeypatch.chdir(tmp_path)
    path = normalized().save(tmp_path / "net.onnx")
    image = tmp_path / "image.png"
    image.write_bytes(imagecodecs.png_encode(np.zeros((16, 16, 3), np.uint8)))
    ran = run("apply", image, "--model", path, *arguments)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert words in ran.err, ran.err


def test_several_outputs_need_a_choice(run, tmp_path):
    """Without --until, a network of two outputs lists them."""
    net = plain()
    path = net.save(tmp_path / "net.onnx", "relu1:out", "relu4:out")
    image = tmp_path / "image.png"
    image.write_bytes(imagecodecs.png_encode(np.zeros((16, 16, 3), np.uint8)))
    assert (
        "has 2 outputs (relu1:out, relu4:out); choose a node with --until"
        in run("apply", image, "--model", path).err
    )


def test_gray_images_and_other_files(run, tmp_path):
    """A gray image for a network of RGB, other files, and --until alone."""
    path = unet().save(tmp_path / "net.onnx")
    (tmp_path / "net.txt").write_text("x")
    assert (
        "takes 3 channels (RGB), (?, 3, ?, ?); the image has 1 (gray)"
        in run("shape", "9x9", "--model", path).err
    )
    assert "unknown kind of model; allowed: .onnx" in run("shape", "9x9", "--model", tmp_path / "net.txt").err
    assert "No such file" in run("shape", "9x9", "--model", tmp_path / "no.onnx").err
    assert "--until goes with --model" in run("apply", "a.png", "-k", "box3", "--until", "x").err
    assert "cannot be combined with --kernel" in run("shape", "9x9", "--model", path, "-k", "3").err


def test_thousands_of_nodes(tmp_path):
    """A deep network is read without recursion."""
    nodes = [conv("x", "a0", pads=[1] * 4)]
    nodes += [relu(f"a{index}", f"a{index + 1}") for index in range(3000)]
    path = tmp_path / "net.onnx"
    path.write_bytes(model(*nodes, relu("a3000", "y")))
    assert receptive_fields(read_network(path, (16, 16, 3)))["y"].size == (3, 3)


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (
            "[ONNXRuntimeError] : 1 : FAIL : Load model failed:\nFatal error.",
            "Load model failed: Fatal error",
        ),
        (
            "[ONNXRuntimeError] : 1 : FAIL : /src/graph/load.h:46 void Check(const std::map<int>&, bool) "
            "Opset 99 is under development.",
            "Opset 99 is under development",
        ),
        ("", "'ValueError'"),
    ],
)
def test_messages_of_the_runtime_become_one_line(message, line):
    """Codes, places in its source and function signatures are left out."""
    assert runtime_reason(ValueError(message)) == line
