"""``apply --model --until``: feature maps of any node, and their reports."""

from __future__ import annotations

import json

import imagecodecs
import numpy as np
import pytest

from tests.conftest import SAMPLES, decoded
from tests.networks.nets import NETS, Net, onnx, unet
from tests.pipeline.test_report_schema import SCHEMA, undescribed

reference = pytest.importorskip("onnx.reference", reason="ONNX is not installed: pip install -e '.[test]'")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install -e '.[net]'")


def photograph(path, size):
    """A random image of that size, and its path."""
    pixels = np.random.default_rng(2).integers(0, 256, size, np.uint8)
    path.write_bytes(imagecodecs.png_encode(pixels if size[2] == 3 else pixels[..., 0]))
    return pixels, path


def evaluated(model, x, names):
    """Tensors of a model, computed by onnx's reference implementation."""
    for name in names:
        if name not in {entry.name for entry in model.graph.output}:
            model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    kinds = [entry.name for entry in model.graph.output]
    values = reference.ReferenceEvaluator(model).run(kinds, {"x": x})
    return dict(zip(kinds, values, strict=True))


@pytest.mark.parametrize("name", list(NETS))
def test_maps_are_those_of_onnx(name, run, tmp_path):
    """The maps of the middle and the last node equal onnx's reference implementation to 1e-4."""
    net = NETS[name]()
    path = net.save(tmp_path / "net.onnx")
    pixels, image = photograph(tmp_path / "image.png", net.image)
    x = (pixels / np.float32(255)).astype(np.float32).transpose(2, 0, 1)[None]
    values = evaluated(net.model(), x, [node.output[0] for node in net.nodes])
    maps = [node.name for node in net.nodes if values[node.output[0]].shape[2:] > (1, 1)]
    for until in (maps[len(maps) // 2], maps[-1]):
        out = tmp_path / f"{until}.npy"
        ran = run("apply", image, "--model", path, "--until", until, "--stack", "--map", "raw", "-o", out)
        assert ran.code == 0, ran.err
        made = np.load(out)
        assert made.dtype == np.float32
        assert np.abs(made.transpose(0, 3, 1, 2) - values[f"{until}:out"]).max() < 1e-4


def channels_last() -> bytes:
    """A network of TensorFlow's layout: it transposes its input, and its maps back."""
    net = Net((12, 14, 3))
    x = net.node("Transpose", ["x"], perm=(0, 3, 1, 2))
    net.channels[x] = 3
    y = net.relu(net.conv(x, 4, 3, s=2, pads=1))
    net.node("Transpose", [y], perm=(0, 2, 3, 1))
    net.input_sizes = ["n", "h", "w", 3]
    return net.model().SerializeToString()


def test_channels_last(run, tmp_path):
    """The layout is detected by the number of channels, and the axes of maps are followed."""
    (tmp_path / "net.onnx").write_bytes(channels_last())
    pixels, image = photograph(tmp_path / "image.png", (12, 14, 3))
    x = (pixels / np.float32(255)).astype(np.float32)[None]
    model = onnx.load_model_from_string(channels_last())
    (name,) = (entry.name for entry in model.graph.output)
    conv = model.graph.node[1].output[0]
    expected = evaluated(model, x, [name, conv])
    for until, maps in ((name, expected[name]), (conv, expected[conv].transpose(0, 2, 3, 1))):
        ran = run(
            "apply", image, "--model", tmp_path / "net.onnx", "--until", until, "--stack", "--map", "raw",
            "-o", tmp_path / "maps.npy", "-f",
        )  # fmt: skip
        assert ran.code == 0, ran.err
        assert "(1, 12, 14, 3) NHWC, normalized to 0..1" in ran.text
        assert np.abs(np.load(tmp_path / "maps.npy") - maps).max() < 1e-4


def test_a_single_map_is_a_gray_image(run, tmp_path):
    """Its channel needs no format that holds extra channels."""
    net = Net((12, 14, 3))
    net.conv("x", 1, 3)
    path, (_, image) = net.save(tmp_path / "net.onnx"), photograph(tmp_path / "image.png", (12, 14, 3))
    ran = run("apply", image, "--model", path, "--until", net.nodes[-1].name, "-o", tmp_path / "map.png")
    assert "png, gray, 8-bit" in ran.text, ran.err


@pytest.fixture
def model(tmp_path):
    return unet().save(tmp_path / "net.onnx")


def test_maps_become_pixels(run, tmp_path, model):
    """Without a mapping, maps that cannot be negative are stretched and others signed, with 8 bits."""
    image = SAMPLES / "color.png"
    ran = run("apply", image, "--model", model, "--until", "conv0", "-o", f"{tmp_path}/")
    assert ran.code == 0, ran.err
    assert sorted(path.name for path in tmp_path.glob("*.png")) == [f"color.conv0.{i}.png" for i in range(4)]
    assert "signed: 0 → 128" in ran.text
    run("apply", image, "--model", model, "--until", "relu1", "-o", f"{tmp_path}/")
    for index in range(4):
        pixels = decoded(tmp_path / f"color.relu1.{index}.png")
        assert pixels.dtype == np.uint8
        assert (pixels.min(), pixels.max()) == (0, 255)


def test_the_bytes_do_not_depend_on_threads(run, tmp_path, model):
    """The same file with one thread and with two."""
    for threads in (1, 2):
        ran = run(
            "apply", SAMPLES / "color.png", "--model", model, "--until", "relu7", "--stack", "--map", "raw",
            "--threads", threads, "-o", tmp_path / f"{threads}.npy",
        )  # fmt: skip
        assert f", {threads} thread" in ran.text
    assert (tmp_path / "1.npy").read_bytes() == (tmp_path / "2.npy").read_bytes()


@pytest.mark.parametrize(
    ("text", "mean", "std"),
    [
        ("-1..1", 0.5, 0.5),
        ("imagenet", [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ("0.1,0.2,0.3/2", [0.1, 0.2, 0.3], 2),
    ],
)
def test_normalize_is_applied_before_the_network(text, mean, std, run, tmp_path, model):
    """--normalize subtracts the mean of each channel and divides by the deviation, where white is 1."""
    pixels, image = photograph(tmp_path / "image.png", (24, 32, 3))
    x = ((pixels / 255 - mean) / std).astype(np.float32).transpose(2, 0, 1)[None]
    expected = evaluated(unet().model(), x, ["conv0:out"])["conv0:out"]
    common = ("apply", image, "--model", model, "--until", "conv0", "--stack", "--map", "raw")
    ran = run(*common, f"--normalize={text}", "-o", tmp_path / "maps.npy")
    assert ran.code == 0, ran.err
    assert f"normalized by {text}" in ran.text
    assert np.abs(np.load(tmp_path / "maps.npy").transpose(0, 3, 1, 2) - expected).max() < 1e-4
    wrong = run(
        "apply", image, "--model", model, "--until", "conv0", "--normalize", "1,2/1", "-o", f"{tmp_path}/"
    )
    assert "--normalize 1,2/1 has numbers for 2 channels; this image has 3" in wrong.err


@pytest.mark.parametrize("how", ["--sheet", "--figure"])
def test_maps_are_drawn(how, run, tmp_path, model):
    """Sheets and figures have the maps, with the node in place of a kernel."""
    out = tmp_path / "drawn.svg"
    ran = run("apply", SAMPLES / "color.png", "--model", model, "--until", "relu1", how, "-o", out)
    assert ran.code == 0, ran.err
    text = out.read_text()
    assert text.count("<image") == 4 + 4 + (how == "--figure")  # maps, their color bars, and the input
    assert "relu1" in text


def test_alpha_is_dropped_and_said(run, tmp_path, model):
    """An image with alpha has the channels of a color image."""
    ran = run(
        "apply", SAMPLES / "transparent.png", "--model", model, "--until", "conv0", "-o", f"{tmp_path}/"
    )
    assert ran.code == 0, ran.err
    assert "alpha is dropped" in ran.text


def test_frames_are_computed_one_by_one(run, tmp_path, model):
    """A stack of frames gives the maps of each."""
    pixels = np.random.default_rng(3).integers(0, 256, (3, 8, 8, 3), np.uint8)
    np.save(tmp_path / "frames.npy", pixels)
    common = ("--model", model, "--until", "relu1", "--stack", "--map", "raw")
    ran = run("apply", tmp_path / "frames.npy", *common, "-o", tmp_path / "all.npy")
    assert ran.code == 0, ran.err
    for frame in range(3):
        out = tmp_path / f"{frame}.npy"
        assert run("apply", tmp_path / "frames.npy", *common, "--frames", frame, "-o", out).code == 0
        assert np.array_equal(np.load(tmp_path / "all.npy")[frame], np.load(out)[0])


def test_reports_have_the_network(run, tmp_path, model):
    """The text, JSON and CSV forms state node, receptive field and cost; JSON keeps to the schema."""
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    common = (
        "apply",
        SAMPLES / "color.png",
        "--model",
        model,
        "--until",
        "conv6",
        "-o",
        f"{tmp_path}/",
        "-f",
    )
    text = run(*common).text
    assert "node       conv6: Conv 3×3" in text
    assert "receptive  18 × 18 pixels per value, neighbors 4 × 4 apart, the first centered at 1.5" in text
    assert "kernel" not in text
    for line in run(*common, "--report", "json").text.splitlines():
        report = json.loads(line)
        jsonschema.validate(report, {**SCHEMA, "anyOf": [{"$ref": "#/$defs/node"}]})
        assert undescribed(report, SCHEMA["$defs"]["node"]) == set()
        assert report["receptive_field"] == [18, 18]
        assert report["jump"] == [4, 4]
    assert run(*common, "--report", "csv").text.splitlines()[1].startswith(f"{SAMPLES}/color.png,")


def test_the_model_is_never_an_output(run, tmp_path, model):
    """Even with --force, the model's file is not replaced."""
    (tmp_path / "maps.tif").write_bytes(model.read_bytes())
    (tmp_path / "maps.onnx").symlink_to(tmp_path / "maps.tif")
    ran = run(
        "apply", SAMPLES / "color.png", "--model", tmp_path / "maps.onnx", "--until", "relu1", "--stack",
        "-o", tmp_path / "maps.tif", "-f",
    )  # fmt: skip
    assert ran.code == 2
    assert (tmp_path / "maps.tif").read_bytes() == model.read_bytes()


def test_only_what_is_needed_is_loaded(run, tmp_path, model):
    """Unknown operators after the node do not matter."""
    net = onnx.load_model(str(model))
    net.graph.node.append(onnx.helper.make_node("Mystery", [net.graph.output[0].name], ["z"], domain="other"))
    net.opset_import.append(onnx.helper.make_opsetid("other", 1))
    net.graph.output[0].name = "z"
    model.write_bytes(net.SerializeToString())
    common = ("apply", SAMPLES / "color.png", "--model", model, "-o", f"{tmp_path}/")
    assert run(*common, "--until", "relu1").code == 0
    failed = run(*common)
    assert failed.code == 2
    assert failed.err.count("\n") == 1
    assert "onnxruntime cannot load it" in failed.err or "tensor" in failed.err
