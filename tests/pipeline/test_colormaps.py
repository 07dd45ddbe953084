"""Color maps: their tables, colored feature maps, and options that cannot be combined with them."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import imagecodecs
import numpy as np
import pytest

import convcli
from convcli.core.numerals import axis_text
from convcli.pipeline.colormaps import COLORMAPS, DIVERGING_MIDDLE, color_table, diverging
from convcli.pipeline.mapping import Mapping
from convcli.visualize.colorbar import ColorBar, min_length, round_numbers, text_width
from tests.conftest import SAMPLES, decoded

SCENE, COLOR = SAMPLES / "scene.png", SAMPLES / "color.png"


@pytest.mark.parametrize("name", COLORMAPS)
def test_a_table_is_256_colors(name):
    """8 bits each, and read-only."""
    colors = color_table(name)
    assert (colors.shape, colors.dtype, colors.flags.writeable) == ((256, 3), np.uint8, False)


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


def test_color_pictures_show_their_brightness(run, tmp_path):
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


@pytest.mark.parametrize(
    ("text", "low", "high"), [("signed:800", -800, 800), ("stretch:-3,17", -3, 17), ("clip", 0, 255)]
)
def test_a_bar_is_what_values_become(text, low, high):
    """Every value of a bar has the pixel of the mapping, and its numbers are at their values."""
    bar = ColorBar(Mapping.parse(text), 255, "viridis")
    values = np.linspace(low, high, 777)
    mapping = bar.mapping
    due = {
        "signed": 128 + 127 * values / 800,
        "stretch": 255 * (values + 3) / 20,
        "clip": values,
    }[mapping.kind]
    assert np.array_equal(bar.pixels(values), np.rint(due))
    assert np.array_equal(bar.colors(777), color_table("viridis")[bar.pixels(values)])
    for place, words in bar.numbers(777, text_width):
        assert abs(values[place] - float(words.replace("−", "-"))) <= (high - low) / 776


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-800, 800), (0.001, 0.0042), (5, 5), (-3e9, 1e9)])
def test_round_numbers(low, high):
    """At most the requested count, within the range, in even steps."""
    found = round_numbers(low, high, 7)
    assert len(found) <= 8
    assert all(low <= value <= high for value in found)
    assert len({round(float(step), 9) for step in np.diff(found) / (high - low or 1)}) <= 1
    assert bool(found) == (low < high)


@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 255), (0, 65535), (-3375, 3375), (-739, 739), (330.5, 65204), (-976, 976), (0, 241.5)],
)
@pytest.mark.parametrize("length", [0, 60, 150, 200, 400, 1000])
def test_numbers_at_a_bar_are_regular_and_apart(low, high, length):
    """Both ends, and multiples of one step between them; none touches another."""
    bar = ColorBar(Mapping("stretch", Fraction(low), Fraction(high)), 255, "gray")
    length = max(length, min_length(bar))
    first, *inner, last = bar.numbers(length, text_width)
    assert [(0, axis_text(Fraction(low))), (length - 1, axis_text(Fraction(high)))] == [first, last]
    values = [float(text.replace("−", "-")) for _, text in inner]
    assert len({round(step, 6) for step in np.diff(values)}) <= 1
    assert low != -high or values == [-value for value in reversed(values)]
    spans = [(place - text_width(text) / 2, place + text_width(text) / 2) for place, text in inner]
    spans = [(0, text_width(first[1])), *spans, (length - 1 - text_width(last[1]), length - 1)]
    assert all(before[1] + 9 <= after[0] for before, after in pairwise(spans))
    assert length < 400 or len(inner) >= 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction(65535), "65535"), (50893.7, "50894"), (-1132.4, "−1132"), (0.123456, "0.1235"),
        (Fraction(10**8), "1e8"), (1e-5, "1e−5"), (Fraction(-3, 7), "−0.4286"),
    ],
)  # fmt: skip
def test_numbers_are_short(value, text):
    """Up to seven digits are written out, then exponents."""
    assert axis_text(value) == text


def test_a_flat_map_has_a_bar_of_one_value(run, tmp_path):
    """One number, and no division by zero."""
    (tmp_path / "x.png").write_bytes(imagecodecs.png_encode(np.full((8, 8), 9, np.uint8)))
    for what in ("--sheet", "--figure"):
        ran = run("apply", tmp_path / "x.png", "-k", "laplacian4", what, "-o", tmp_path / f"{what}.png")
        assert ran.code == 0, ran.err
    bar = ColorBar(Mapping.parse("stretch").with_range(0, 0), 255, "gray")
    assert bar.numbers(100, text_width) == [(0, "0")]
    assert convcli.load_kernel("laplacian4").sum == 0
