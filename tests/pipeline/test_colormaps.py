"""Color maps: their tables, colored feature maps, and options that cannot be combined with them."""

from __future__ import annotations

import numpy as np
import pytest

from convcli.pipeline.colormaps import COLORMAPS, DIVERGING_MIDDLE, HUES, color_table, diverging
from tests.conftest import SAMPLES, decoded

SCENE, COLOR = SAMPLES / "scene.png", SAMPLES / "color.png"


@pytest.mark.parametrize("name", COLORMAPS)
def test_a_table_is_256_colors(name):
    """8 bits each, and read-only."""
    colors = color_table(name)
    shape = (HUES, 256, 3) if name == "wheel" else (256, 3)
    assert (colors.shape, colors.dtype, colors.flags.writeable) == (shape, np.uint8, False)


def test_viridis_is_the_published_one():
    """Its ends and its middle are the published ones, and luminance (CIE 1931) rises."""
    colors = color_table("viridis")
    assert ["".join(f"{c:02x}" for c in colors[at]) for at in (0, 128, 255)] == [
        "440154",
        "21918c",
        "fde725",
    ]
    light = np.where(colors / 255 <= 0.04045, colors / 255 / 12.92, ((colors / 255 + 0.055) / 1.055) ** 2.4)
    assert (np.diff((light @ [0.2126, 0.7152, 0.0722])[::4]) > 0).all()


def test_diverging_has_its_middle_at_zero():
    """The pixel of zero is neutral, below it is blue and above it red, with the published ends."""
    colors = color_table("diverging").astype(int)
    assert colors[DIVERGING_MIDDLE].tolist() == [247, 247, 247]
    assert (colors[1:DIVERGING_MIDDLE, 2] > colors[1:DIVERGING_MIDDLE, 0]).all()
    assert (colors[DIVERGING_MIDDLE + 1 :, 0] > colors[DIVERGING_MIDDLE + 1 :, 2]).all()
    assert colors[1].tolist() == [0x21, 0x66, 0xAC]
    assert colors[255].tolist() == [0xB2, 0x18, 0x2B]
    values = np.array([-9.0, -4, 0, 4, 9])
    assert np.array_equal(diverging(values, 4), color_table("diverging")[[1, 1, 128, 255, 255]])


@pytest.mark.parametrize("colormap", ["viridis", "diverging"])
@pytest.mark.parametrize("kernel", ["sobel-x", "laplacian4"])
def test_colors_are_those_of_the_gray_map(run, tmp_path, colormap, kernel):
    """A colored map is the gray map looked up in the table, and the report names the color map."""
    gray, colored = tmp_path / "gray.png", tmp_path / "colored.png"
    options = ("apply", SCENE, "-k", kernel, "--stride", "2,3")
    assert run(*options, "-o", gray).code == 0
    ran = run(*options, "--colormap", colormap, "-o", colored)
    assert f"colored with {colormap}" in ran.text
    assert "(1, 256, 171, 1) NHWC" in ran.text
    assert np.array_equal(decoded(colored), color_table(colormap)[decoded(gray)])


def test_zero_is_neutral_in_a_file(run, tmp_path):
    """A derivative of 0 has the middle color of diverging, whatever the number type."""
    for kind in (np.uint8, np.uint16, np.float32):
        flat = np.full((9, 9), 0.5 if kind is np.float32 else 77, kind)
        flat[:, 6:] = 0.75 if kind is np.float32 else 99
        np.save(tmp_path / "x.npy", flat)
        out = tmp_path / f"{np.dtype(kind)}.png"
        ran = run("apply", tmp_path / "x.npy", "-k", "sobel-x", "--colormap", "diverging", "-o", out)
        assert ran.code == 0, ran.err
        pixels = decoded(out)
        assert (pixels[:, :5] == 247).all()
        assert (pixels[:, 5:7] == (0xB2, 0x18, 0x2B)).all()


def test_color_images_show_their_brightness(run, tmp_path):
    """--channels gray is the default for color images, and alpha is kept."""
    out, gray = tmp_path / "out.png", tmp_path / "gray.png"
    assert "channels gray" in run("apply", COLOR, "-k", "box3", "--colormap", "viridis", "-o", out).text
    assert run("apply", COLOR, "-k", "box3", "--channels", "gray", "-o", gray).code == 0
    assert np.array_equal(decoded(out), color_table("viridis")[decoded(gray)])
    clear = SAMPLES / "transparent.png"
    assert run("apply", clear, "-k", "sobel-x", "--colormap", "diverging", "-o", out, "-f").code == 0
    assert np.array_equal(decoded(out)[..., 3], decoded(clear)[..., 3])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ("--colormap", "diverging", "--map", "clip"),
            "--colormap diverging needs a mapping centered on 0, not --map clip",
        ),
        (("--colormap", "viridis", "--map", "raw"), "--map raw keeps values"),
        (
            ("--colormap", "viridis", "--channels", "each"),
            "the feature map has 3; use --channels gray or sum",
        ),
        (
            ("--colormap", "viridis", "--depth", "16"),
            "--colormap viridis writes 8 bits and cannot be combined with --depth 16",
        ),
        (("--colormap", "viridis", "--stack"), "--stack holds values"),
        (("--colormap", "jet"), "'jet' is not one of gray, viridis, diverging"),
    ],
)
def test_mistakes(run, tmp_path, options, words):
    """One line that names the options that cannot be combined."""
    ran = run("apply", COLOR, "-k", "sobel-x", *options, "-o", f"{tmp_path}/")
    assert (ran.code, words in ran.err) == (2, True), ran.err
    assert len(ran.err.splitlines()) == 1
