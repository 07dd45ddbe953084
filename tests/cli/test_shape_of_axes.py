"""``convcli shape`` for signals and volumes: sizes and code, compared with PyTorch, Keras and the engine."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

import convcli

CASES = [
    ("100", "5", ()),
    ("100", "5", ("--padding", "causal", "--stride", "2")),
    ("100", "4", ("--padding", "same", "--stride", "3")),
    ("37", "3", ("--padding", "full", "--dilation", "4")),
    ("40x3", "5x16", ("--axes", "1", "--padding", "same:zero")),
    ("40x3", "5x16", ("--axes", "1", "--padding", "2", "--dilation", "2")),
    ("9x10x11", "3", ("--axes", "3")),
    ("9x10x11", "3x2x1", ("--axes", "3", "--padding", "valid", "--stride", "2")),
    ("9x10x11x2", "3x3x3x4", ("--axes", "3", "--padding", "same", "--stride", "2,1,3")),
    ("9x10x11x2", "2x2x2x4", ("--axes", "3", "--padding", "same-lower", "--dilation", "2")),
]


@pytest.mark.parametrize(("size", "kernel", "words"), CASES)
def test_sizes_and_code(run, size, kernel, words):
    """The output is that of the engine, and of the layer that the printed PyTorch code makes."""
    torch = pytest.importorskip("torch")
    report = json.loads(run("shape", size, "-k", kernel, *words, "--report", "json").text)
    shape, weights = report["input"]["nhwc"], report["weights"]
    axes = report["axes"].values()
    pads = [(axis["before"], axis["after"]) for axis in axes]
    steps = {name: [axis[name] for axis in axes] for name in ("stride", "dilation")}
    computed = convcli.conv(np.zeros(shape), np.zeros(weights), padding=pads, channels="last", **steps)
    assert list(computed.shape) == report["output"]["nhwc"]
    assert report["parameters"] == np.prod(weights)
    assert report["multiply_adds"] == np.prod(report["output"]["nhwc"]) * np.prod(weights[:-1])
    layer = eval(report["code"]["torch"], {"torch": torch})
    made = layer(torch.zeros(report["input"]["nchw"]))
    assert list(made.shape) == report["output"]["nchw"]
    assert sum(values.numel() for values in layer.parameters()) == report["parameters"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("size", "kernel", "words"), CASES)
def test_keras_code(run, size, kernel, words):
    """The layer of the printed Keras code has the same output shape, where Keras has such a layer."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    report = json.loads(run("shape", size, "-k", kernel, *words, "--report", "json").text)
    if code := report["code"]["keras"]:
        layer = eval(code, {"keras": keras})
        assert list(layer.compute_output_shape(report["input"]["nhwc"])) == report["output"]["nhwc"]


def test_scipy_code(run):
    """The printed SciPy code computes what the engine does."""
    signal = pytest.importorskip("scipy.signal")
    random = np.random.default_rng(1)
    import scipy

    assert signal is scipy.signal
    for size, kernel, words in (CASES[0], CASES[1], CASES[6], CASES[7]):
        report = json.loads(run("shape", size, "-k", kernel, *words, "--report", "json").text)
        x, w = random.normal(size=report["input"]["nhwc"][1:-1]), random.normal(size=report["weights"][:-2])
        names = {"x": x, "w": w, "numpy": np, "scipy": scipy}
        exec(report["code"]["scipy"], names)
        axes = report["axes"].values()
        strides, padding = [axis["stride"] for axis in axes], report["padding"]
        assert np.allclose(names["y"], convcli.conv(x, w, stride=strides, padding=padding))


REPORTS = [
    (
        ("100", "-k", "5"),
        "padding        same:reflect (the default; layers often use valid): before 2, after 2",
    ),
    (
        ("100", "-k", "5", "--stride", "2", "--padding", "causal"),
        "length         floor((100 + 4 + 0 − 5) / 2) + 1",
    ),
    (
        ("9x9x9", "--axes", "3", "-k", "box:3x3x3"),
        "input          (1, 9, 9, 9, 1) NDHWC, (1, 1, 9, 9, 9) NCDHW",
    ),
    (("9", "-k", "[1 0 -1]", "--flip"), "# with flipped weights: w[::-1]"),
    (("9x9", "--axes", "2", "-k", "3"), "rows           floor"),
]


@pytest.mark.parametrize(("words", "line"), REPORTS)
def test_reports(run, words, line):
    """Axes have their own names and layouts."""
    assert line in run("shape", *words).text


REFUSED = [
    (("100",), "missing option -k/--kernel"),
    (("100", "-k", "3x3x3"), "kernel '3x3x3' is not N or NxN"),
    (("100", "-k", "box3"), "kernel box3 covers 3 × 3, but the size has 1 axis"),
    (("9x9", "--axes", "3", "-k", "3"), "size '9x9' is not NxNxN or NxNxNxN"),
    (("9x9x9", "--axes", "3", "-k", "3", "--padding", "1"), "numbers of --padding are for rows and columns"),
    (("9x9x9", "--axes", "3", "-k", "3", "--padding", "causal"), "padding 'causal' is for one axis"),
    (("100", "-k", "5", "--like", "keras"), "--like is for images of two axes; the size has 1 axis"),
    (("100", "--layer", "3x3x16"), "--layer is for images of two axes"),
    (("3", "-k", "5", "--padding", "valid"), "larger than the padded image"),
    (("9x9", "-k", "3", "--stride", "1,2,3"), "stride has 3 values; allowed: 1 or 2"),
]


@pytest.mark.parametrize(("words", "message"), REFUSED)
def test_refused(run, words, message):
    """One line that says what is allowed."""
    ran = run("shape", *words)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert message in ran.err


def test_strides_of_volumes(run, tmp_path):
    """In apply, three numbers are for all axes of a volume, and one or two for rows and columns."""
    np.save(tmp_path / "v.npy", np.zeros((9, 12, 10), np.float32))
    for stride, shape in (("2", (7, 5, 4)), ("2,1", (7, 5, 8)), ("3,1,2", (3, 10, 4))):
        words = ("-k", "box:3x3x3", "--padding", "valid", "--stride", stride)
        assert run("apply", tmp_path / "v.npy", *words, "-o", tmp_path / "o.npy", "--force").code == 0
        assert np.load(tmp_path / "o.npy").squeeze().shape == shape


@pytest.mark.parametrize("command", ["apply", "batch", "explore", "plan"])
def test_three_strides_of_images(run, tmp_path, command):
    """Refused before any image is read."""
    output = () if command == "plan" else ("-o", tmp_path / "out.html")
    ran = run(command, tmp_path / "none.png", "-k", "box3", "--stride", "1,2,3", *output)
    assert ran.code == 2
    assert "stride has 3 values; allowed: 1 or 2" in ran.err or command == "plan"
