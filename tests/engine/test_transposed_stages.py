"""Transposed convolutions as stages of a chain: the values of `conv` after `conv`, however strips are cut."""

from __future__ import annotations

import numpy as np
import pytest

import convcli
from tests.conftest import SAMPLES

BLUR = [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
TEXT = "1 2 1; 2 4 2; 1 2 1"
X = np.random.default_rng(1).integers(0, 256, (133, 37)).astype(np.uint8)


def up(x: np.ndarray, weights: object = BLUR, **options: object) -> np.ndarray:
    """A transposed convolution, exactly."""
    result: np.ndarray = convcli.conv(
        x, weights, transposed=True, padding=options.pop("padding", "same"), dtype=np.float64, **options
    )
    return result


def down(x: np.ndarray, weights: object, padding: str = "same:reflect", **options: object) -> np.ndarray:
    """A convolution as the command pads it."""
    result: np.ndarray = convcli.conv(x, weights, padding=padding, dtype=np.float64, **options)
    return result


CHAINS = {
    "activation": (["--transposed", "--stride", "2", "--then", "relu"], lambda x: up(x, stride=2)),
    "convolution": (
        ["--transposed", "--stride", "2", "--then", "box3,padding=same"],
        lambda x: down(up(x, stride=2), "box3", "same"),
    ),
    "stride 1": (
        ["--transposed", "--then", "sharpen,padding=valid"],
        lambda x: down(up(x), "sharpen", "valid"),
    ),
    "after a stride": (
        ["--stride", "2", "--then", f"{TEXT},transposed=yes,stride=2,padding=1,output-padding=0,1"],
        lambda x: up(down(x, BLUR, stride=2), stride=2, padding=1, output_padding=(0, 1)),
    ),
    "twice": (
        ["--then", f"{TEXT},transposed=yes,stride=3,flip=yes", "--then", "1 2; 3 4,transposed=yes,stride=2"],
        lambda x: up(up(down(x, BLUR), stride=3, flip=True), [[1, 2], [3, 4]], stride=2),
    ),
    "strides after it": (
        ["--transposed", "--stride", "3", "--then", "sobel-x,stride=2", "--then", "box3"],
        lambda x: down(down(up(x, stride=3), "sobel-x", stride=2), "box3"),
    ),
}


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_is_one_after_the_other(run, tmp_path, monkeypatch, name):
    """The file has the values of one `conv` after the other, with strips of any height."""
    options, due = CHAINS[name]
    np.save(tmp_path / "x.npy", X)
    expected = due(X.astype(np.float64))
    for strip in (None, 1 << 12):
        if strip:
            monkeypatch.setattr("convcli.engine.chain.planner.STRIP_BYTES", strip)
            monkeypatch.setattr("convcli.engine.chain.planner.LEAST_BYTES", strip)
        out = ["--map", "raw", "--precision", "double", "--force", "-o", tmp_path / "y.npy"]
        ran = run("apply", tmp_path / "x.npy", "-k", TEXT, *options, *out)
        assert ran.code == 0, ran.err
        assert np.allclose(np.load(tmp_path / "y.npy").squeeze(), expected, rtol=1e-6, atol=1e-3)


def test_the_report_of_a_transposed_stage(run, tmp_path):
    """Each stage has its own formula; neighbors come nearer."""
    np.save(tmp_path / "x.npy", X)
    options = ["--stride", "2", "--then", f"{TEXT},transposed=yes,stride=4", "-o", tmp_path / "y.png"]
    text = run("apply", tmp_path / "x.npy", "-k", "box3", *options).text
    assert "operation   transposed convolution\n" in text
    assert "(67 − 1)·4 − 0 − 0 + 3 + 1 = 268" in text
    assert "receptive   3 × 3 pixels per value, neighbors 1/2 × 1/2 apart" in text


def test_a_pixel_of_a_chain_is_explained(run):
    """The trace goes to the pixel nearest to the center of a window with zeros between pixels."""
    options = ["--stride", "2", "--then", f"{TEXT},transposed=yes,stride=2", "--at", "100,101"]
    text = run("explain", SAMPLES / "scene.png", "-k", "box3", *options).text
    assert "  reads    rows 98 to 102 and columns 99 to 103 of the input" in text
    assert "of stage 1 with (1, 1) zeros between pixels\n" in text
    assert "stage 1, box3: row 50, column 50 of 256 × 256" in text
    assert "· marks zeros between pixels" in text


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ("box3,output-padding=1", "output-padding goes with transposed=yes"),
        ("box3,transposed=yes,output-padding=1", "output padding 1 is not allowed with stride 1"),
        ("box3,transposed=yes,padding=same:edge", "has the fill edge, but a transposed convolution removes"),
        ("box3,transposed=maybe", "transposed=maybe is not yes or no"),
    ],
)
def test_messages(run, tmp_path, stage, message):
    """One line for a stage that cannot be."""
    ran = run("apply", SAMPLES / "scene.png", "-k", "box3", "--then", stage, "-o", tmp_path / "y.png")
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert message in ran.err
