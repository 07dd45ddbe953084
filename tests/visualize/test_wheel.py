"""The color map ``wheel``: hue is the direction of the gradient, brightness its magnitude."""

from __future__ import annotations

import colorsys
import json

import imagecodecs
import numpy as np
import pytest

import convcli
from convcli.pipeline.colormaps import HUES, color_table, hues, wheel_disk
from tests.conftest import SAMPLES, decoded

GROUND = (250, 250, 248)


def disk(path, size=121):
    """A bright disk with a soft edge, as a PNG."""
    rows, columns = np.mgrid[:size, :size] - size // 2
    radius = np.hypot(rows, columns)
    imagecodecs.imwrite(path, np.clip((40 - radius) * 8 + 128, 0, 255).astype(np.uint8))
    return path


def hue_of(colors):
    """Hues in degrees of colors, (…, 3)."""
    flat = (colors.reshape(-1, 3) / 255).tolist()
    return np.array([colorsys.rgb_to_hsv(*color)[0] * 360 for color in flat]).reshape(colors.shape[:-1])


def test_the_table_is_hsv():
    """Every color is the one of HSV with its hue, full saturation and its brightness."""
    table = color_table("wheel")
    for hue in range(0, HUES, 17):
        for shade in (0, 1, 100, 255):
            due = np.array(colorsys.hsv_to_rgb(hue / HUES, 1, shade / 255)) * 255
            assert np.abs(table[hue, shade] - due).max() <= 0.5 + 1e-9


def test_hues_of_directions():
    """The eight directions are exact; what is nearest to 360° is 0 again; NaN has hue 0."""
    assert hues(np.arange(0, 360, 45.0)).tolist() == list(range(0, HUES, HUES // 8))
    assert hues(np.array([359.9, 360.0, np.nan])).tolist() == [0, 0, 0]


def test_an_edge_shows_all_hues(run, tmp_path):
    """Around a bright disk, brightness rises toward its center, so the hue is that of the opposite side."""
    source, out = disk(tmp_path / "disk.png"), tmp_path / "out.png"
    ran = run("apply", source, "-k", "sobel", "--colormap", "wheel", "-o", out, "--report", "json")
    assert ran.code == 0, ran.err
    found = imagecodecs.imread(out)
    rows, columns = np.mgrid[:121, :121] - 60
    edge = np.abs(np.hypot(rows, columns) - 40) < 8
    inward = np.degrees(np.arctan2(rows, -columns)) % 360
    apart = np.abs((hue_of(found[edge]) - inward[edge] + 180) % 360 - 180)
    assert apart.max() < 6
    assert len(np.unique(hue_of(found[edge]).round(-1) % 360)) == 36
    assert not found[60, 60].any() and not found[0, 0].any()
    report = json.loads(ran.text)
    assert (report["kernel"]["combine"], report["mapping"].partition(",")[0]) == ("angle", "stretch:0")
    assert (
        "hue is the direction, brightness the magnitude"
        in run(
            "apply", source, "-k", "sobel", "--colormap", "wheel", "-o", out, "-f", "--report", "text"
        ).text
    )


def test_pixels_are_those_of_both_maps(run, tmp_path):
    """Each color is the table's, at the direction and at the magnitude that ``l2`` maps to a gray level."""
    for options in (("--map", "stretch:0,500"), ("--map", "clip"), ("--map", "stretch:0,99%")):
        common = ("apply", SAMPLES / "scene.png", *options, "-f")
        assert run(*common, "-k", "sobel", "--colormap", "wheel", "-o", tmp_path / "wheel.png").code == 0
        assert run(*common, "-k", "sobel", "-o", tmp_path / "gray.png").code == 0
        angles = convcli.conv(decoded(SAMPLES / "scene.png"), "sobel:angle", padding="same:reflect")
        due = color_table("wheel")[hues(angles), imagecodecs.imread(tmp_path / "gray.png")]
        assert np.array_equal(imagecodecs.imread(tmp_path / "wheel.png"), due)


def test_kernels_that_are_joined(run, tmp_path):
    """Two kernels with ``--combine angle`` are the set of both; color images show their brightness."""
    files = []
    for kernels in (("-k", "sobel"), ("-k", "sobel-x", "-k", "sobel-y", "--combine", "angle")):
        files.append(tmp_path / f"{len(files)}.png")
        options = ("--colormap", "wheel", "--threads", str(len(files)), "-o", files[-1])
        ran = run("apply", SAMPLES / "color.png", *kernels, *options)
        assert ran.code == 0, ran.err
    assert files[0].read_bytes() == files[1].read_bytes()


def test_the_legend_is_a_wheel():
    """Its colors lie in their own directions, darker toward the center, with the page outside."""
    drawn = wheel_disk(56, GROUND)
    assert drawn.shape == (56, 56, 3)
    assert all(tuple(drawn[corner]) == GROUND for corner in ((0, 0), (0, 55), (55, 0), (55, 55)))
    rows, columns = np.mgrid[:56, :56] - 27.5
    ring = np.abs(np.hypot(rows, columns) - 20) < 5
    apart = hue_of(drawn[ring]) - np.degrees(np.arctan2(-rows, columns))[ring]
    assert np.abs((apart + 180) % 360 - 180).max() < 8
    brightness = drawn[28, 28:54].max(-1).astype(int)
    assert (np.diff(brightness) > 0).all() and brightness[0] < 16


@pytest.mark.parametrize("drawing", ["--figure", "--sheet"])
@pytest.mark.parametrize("kernels", [("sobel",), ("sobel", "scharr")])
def test_figures_and_sheets(run, tmp_path, drawing, kernels):
    """They have a wheel with degrees and magnitudes as the legend; a common range needs only one."""
    source, texts = disk(tmp_path / "disk.png"), []
    options = [word for kernel in kernels for word in ("-k", kernel)]
    for value_range in ("each", "common"):
        out = tmp_path / f"{value_range}.svg"
        ran = run(
            "apply", source, *options, "--colormap", "wheel", drawing, "--range", value_range, "-o", out
        )
        assert ran.code == 0, ran.err
        texts.append(out.read_text())
    each, common = (text.count("center 0") for text in texts)
    assert each == len(kernels)
    assert common == (1 if drawing == "--sheet" else len(kernels))
    assert ("270°" in texts[0]) == (drawing == "--figure")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("-k", "kirsch"), "kernel kirsch has 8 feature maps; combining by angle needs two"),
        (("-k", "sobel-x"), "kernel sobel-x has 1 feature map; combining by angle needs two"),
        (("-k", "sobel", "--combine", "l1"), "shows directions and cannot be combined with --combine l1"),
        (("-k", "sobel", "--stack"), "shows directions and cannot be combined with --stack"),
        (("-k", "sobel", "--map", "signed"), "--map signed cannot be combined with --colormap wheel"),
        (("-k", "sobel", "--map", "raw"), "--map raw cannot be combined with --colormap wheel"),
        (("-k", "sobel", "--then", "relu"), "cannot be combined with --then"),
        (("-k", "sobel", "--transposed"), "cannot be combined with --transposed"),
        (("-k", "sobel", "--depth", "16"), "--colormap wheel writes 8 bits"),
    ],
)
def test_refused(run, tmp_path, options, words):
    """Whatever has no direction or no magnitude is refused in one line."""
    ran = run("apply", SAMPLES / "scene.png", *options, "--colormap", "wheel", "-o", tmp_path / "x.png")
    assert (ran.code, ran.err.count("\n")) == (2, 1), ran.err
    assert words in ran.err
