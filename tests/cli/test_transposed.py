"""``--transposed`` and ``--output-padding``: results, reports and messages."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import convcli
from tests.conftest import SAMPLES

UP = ["--transposed", "--stride", "2"]


@pytest.mark.parametrize(
    ("shape", "options", "arguments"),
    [
        ((9, 11), [], {"padding": "same"}),
        ((9, 11), ["--padding", "1", "--output-padding", "1,0"], {"padding": 1, "output_padding": (1, 0)}),
        ((7, 8, 3), ["--padding", "0,1,2,0"], {"padding": [(0, 1), (2, 0)]}),
        ((7, 8, 3), ["--flip", "--dilation", "2"], {"padding": "same", "flip": True, "dilation": 2}),
        ((70, 900), ["--method", "shift"], {"padding": "same"}),
    ],
)
def test_apply_is_conv(run, tmp_path, shape, options, arguments):
    """The file has the values of `convcli.conv`, for every channel; the report says which sizes and why."""
    pixels = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "in.png")
    kernel = "1 2 -1; 0 3 1; 2 0 1"
    out = tmp_path / "out.npy"
    ran = run("apply", tmp_path / "in.png", "-k", kernel, *UP, *options, "--map", "raw", "-o", out)
    weights = [[1, 2, -1], [0, 3, 1], [2, 0, 1]]
    channels = "last" if pixels.ndim == 3 else None
    due = convcli.conv(pixels, weights, transposed=True, stride=2, channels=channels, **arguments)
    assert np.array_equal(np.load(out).reshape(due.shape), due), ran.err
    assert f"rows        ({shape[0]} − 1)·2 − " in ran.text
    assert f" = {due.shape[0]}\n" in ran.text
    assert "operation   transposed convolution" in ran.text


def test_volumes(run, tmp_path):
    """A kernel of three axes has stride 1 along the frames."""
    frames = np.random.default_rng(2).integers(0, 256, (4, 6, 7)).astype(np.uint8)
    np.save(tmp_path / "in.npy", frames[..., None])
    weights = np.random.default_rng(3).integers(-3, 4, (2, 3, 3))
    np.save(tmp_path / "kernel.npy", weights)
    options = ["-k", tmp_path / "kernel.npy", *UP, "--map", "raw", "-o", tmp_path / "out.npy"]
    run("apply", tmp_path / "in.npy", *options)
    due = convcli.conv(frames, weights, transposed=True, stride=(1, 2, 2), padding="same")
    assert np.array_equal(np.load(tmp_path / "out.npy")[..., 0], due)


def test_bilinear_enlargement_keeps_a_flat_image(run, tmp_path):
    """Weights of which each output reads a sum of 1 are an average: the mapping is clip, as for a blur."""
    Image.fromarray(np.full((8, 9), 77, np.uint8)).save(tmp_path / "in.png")
    kernel = ["-k", "1 3 3 1; 3 9 9 3; 3 9 9 3; 1 3 3 1", "--scale", "1/16"]
    ran = run("apply", tmp_path / "in.png", *kernel, *UP, "-o", tmp_path / "out.png")
    assert "mapping     clip" in ran.text
    assert (np.asarray(Image.open(tmp_path / "out.png"))[1:-1, 1:-1] == 77).all()


def test_resolution_and_alpha(run, tmp_path):
    """Twice as many pixels have twice the resolution; alpha is that of the nearest pixel."""
    pixels = np.random.default_rng(4).integers(0, 256, (5, 6, 4)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "in.png", dpi=(100, 50))
    run("apply", tmp_path / "in.png", "-k", "box2", *UP, "-o", tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as result:
        assert np.allclose(result.info["dpi"], (200, 100), atol=0.1)
        assert np.array_equal(np.asarray(result)[..., 3], pixels[..., 3].repeat(2, 0).repeat(2, 1))


def test_reports(run, tmp_path):
    """JSON has the layer's own numbers, with the output padding; CSV has them too."""
    options = ["-k", "box3", *UP, "--padding", "1,0", "--output-padding", "1"]
    ran = run("apply", SAMPLES / "scene.png", *options, "-o", tmp_path / "out.png", "--report", "json")
    found = json.loads(ran.text)
    assert found["kernel"]["operation"] == "transposed cross-correlation"
    rows = found["axes"]["rows"]
    assert {key: rows[key] for key in ("stride", "before", "after", "output_padding", "output")} == {
        "stride": 2,
        "before": 1,
        "after": 1,
        "output_padding": 1,
        "output": 1024,
    }
    assert rows["formula"] == "(512 − 1)·2 − 1 − 1 + 3 + 1 = 1024"
    assert found["multiply_adds"] == 512 * 512 * 9
    ran = run("apply", SAMPLES / "scene.png", *options, "-f", "-o", tmp_path / "out.png", "--report", "csv")
    names, values = (line.split(",") for line in ran.text.splitlines())
    assert dict(zip(names, values, strict=False))["stride_rows"] == "2"


def test_batch_redoes_other_output_padding(run, tmp_path):
    """``--resume`` redoes results of another output padding, and keeps those of the same one."""
    options = ["-k", "box3", *UP, "--padding", "1", "-o", tmp_path / "out/", "--report", tmp_path / "m.jsonl"]
    run("batch", SAMPLES / "scene.png", *options)
    assert "1 skipped" in run("batch", SAMPLES / "scene.png", *options, "--resume").err
    changed = run("batch", SAMPLES / "scene.png", *options, "--output-padding", "1", "--resume").err
    assert "settings differ: 1" in changed


def test_plan(run):
    """The plan lists the candidates of the largest phase, and how many phases there are."""
    text = run("plan", "512x512", "-k", "gaussian5", *UP).text
    assert ", 4 phases, strips of " in text.splitlines()[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output-padding", "1"], "--output-padding goes with --transposed"),
        (
            ["--transposed", "--padding", "same:edge"],
            "padding same:edge has the fill edge, but a transposed convolution removes its padding; use same",
        ),
        (
            ["--transposed", "--output-padding", "1"],
            "output padding 1 is not allowed with stride 1 and dilation 1 (allowed: 0)",
        ),
        (["--transposed", "--output-padding", "x"], "output padding 'x' is not N or N,N (whole numbers)"),
        (["--transposed", "--output-padding", "-1"], "output padding -1 is not allowed (allowed: 0 to "),
        (
            ["--transposed", "--padding", "300"],
            "the padding removes 600 × 600, and the full output of the transposed convolution has only "
            "514 × 514; use less padding",
        ),
        (
            ["--transposed", "--padding", "causal"],
            "transposed convolutions have no padding 'causal'; use valid, same, same-lower, full or numbers",
        ),
        (
            ["--transposed", "--like", "scipy"],
            "scipy has no transposed convolution (--like scipy); allowed: keras, torch, onnx",
        ),
        (
            ["--transposed", "--like", "torch", "--padding", "same"],
            "torch.nn.ConvTranspose2d has no padding 'same'; allowed: N or ROWS,COLS",
        ),
        (
            ["--transposed", "--like", "torch", "--padding", "1,0,1,0"],
            "padding '1,0,1,0': torch.nn.ConvTranspose2d pads both sides equally; allowed: N or ROWS,COLS",
        ),
        (
            ["--transposed", "--like", "keras", "--padding", "1"],
            "padding '1': keras.layers.Conv2DTranspose takes valid and same; allowed: valid, same",
        ),
        (
            ["--transposed", "--like", "keras", "--stride", "2", "--dilation", "2"],
            "Keras does not support stride and dilation together (--like keras)",
        ),
    ],
)
def test_messages(run, tmp_path, arguments, message):
    """What cannot be computed is one line that says what is allowed, and nothing is written."""
    ran = run("apply", SAMPLES / "scene.png", "-k", "box3", *arguments, "-o", tmp_path / "out.png")
    assert ran.code == 2
    assert len(ran.err.splitlines()) == 1
    assert message in ran.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("like", "padding", "sizes"),
    [("keras", None, "35×35"), ("keras", "same", "32×32"), ("torch", None, "33×33"), ("torch", "1", "31×31"),
     ("onnx", "same", "32×32"), ("onnx", "0,0,1,1", "32×32")],
)  # fmt: skip
def test_like(run, like, padding, sizes):
    """Each library's default and words, where the kernel is smaller or larger than the stride."""
    kernel = "5" if sizes == "35×35" else "3"
    options = ["--like", like, *([] if padding is None else ["--padding", padding])]
    found = json.loads(run("shape", "16x16", "-k", kernel, *UP, *options, "--report", "json").text)
    assert "×".join(str(axis["output"]) for axis in found["axes"].values()) == sizes


def test_layers_of_shape(run):
    """A transposed layer in a chain halves the distance between neighbors; its code and cost are its own."""
    text = run("shape", "16x16x8", "--layer", "3x3x4,stride=2,padding=same", "--layer",
               "transposed4x4x2,stride=2,padding=1").text  # fmt: skip
    assert "layer 2: transposed convolution 4×4, 4 → 2 channels\n" in text
    assert "(8 − 1)·2 − 1 − 1 + 4 + 0 = 16" in text
    assert "torch.nn.ConvTranspose2d(4, 2, (4, 4), stride=(2, 2), padding=(1, 1))" in text
    assert "4 · 4 · 2 · 4 + 2 = 130" in text
    assert "8 · 8 · 4 values · 4 · 4 · 2 = 8192" in text
    assert "receptive  5 × 5 pixels per value\n" in text.split("total")[1]


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("transposed3x3", "a convolution is ROWSxCOLUMNSxMAPS, such as transposed3x3x16"),
        ("convtranspose2d3x3x16", "write a transposed convolution as transposed3x3x16"),
        ("conv2dtranspose3x3x16", "write a transposed convolution as transposed3x3x16"),
        ("3x3x16,output-padding=1", "output-padding=1 is not allowed for conv"),
        ("transposed3x3x16,padding=1:edge", "has the fill edge, but a transposed convolution removes"),
        ("transposed3x3x16,output-padding=1", "output padding 1 is not allowed with stride 1"),
        ("transposed3x3x16,groups=3", "groups 3 does not divide"),
    ],
)
def test_layer_messages(run, layer, message):
    """A layer that cannot be is one line."""
    ran = run("shape", "16x16x8", "--layer", layer)
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert message in ran.err


def test_options_that_go_with_kernel(run):
    """``--transposed`` has no effect on a --layer, which says so itself."""
    ran = run("shape", "16x16x8", "--layer", "3x3x16", "--transposed")
    assert "--transposed goes with --kernel; write a --layer as transposed3x3x16" in ran.err
