"""The kernel between two images: recovered from maps, rounded where that is justified, or refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

import convcli
from convcli import load_kernel
from convcli.core.errors import ConvcliError
from convcli.geometry.padding import Padding
from convcli.kernels.fitting import as_rows, fitted

RANDOM = np.random.default_rng(3)
IMAGE = RANDOM.integers(0, 256, (41, 37, 1), np.uint8)


def map_of(kernel, padding="valid", image=IMAGE):
    """The map of each channel, as floats."""
    planes = [
        convcli.conv(plane, kernel, padding=padding, dtype="float64") for plane in np.moveaxis(image, 2, 0)
    ]
    return np.stack(planes, 2)


RECOVERED = [
    "sobel-x",
    "box3",
    "gaussian5",
    "emboss0",
    "laplacian-iso",
    "freichen-x",
    "log:0.8",
    "[1 2; 3 5]",
    "[1 0 -1]",
]


@pytest.mark.parametrize("name", RECOVERED)
@pytest.mark.parametrize("rounding", [True, False])
def test_kernels_are_recovered(name, rounding):
    """From its map without rounding, a kernel is found to 1e-9, and exactly if it is one of fractions."""
    kernel = load_kernel(name)
    has_bias = kernel.bias != 0
    fit = fitted(IMAGE, map_of(kernel), kernel.size, bias=has_bias, rounding=rounding)
    assert np.abs(fit.kernel.weights - kernel.weights).max() < 1e-9
    assert abs(fit.kernel.bias - kernel.bias) < 1e-9
    assert fit.rms < 1e-9
    if rounding and kernel.exact:
        assert fit.kernel.exact == kernel.exact or np.array_equal(fit.kernel.weights, kernel.weights)
        assert fit.denominator == kernel.exact.denominator


PADDINGS = [
    "same:reflect",
    "full:zero",
    "same:edge",
    "1,0,2,1:wrap",
    "full:7",
    "same-lower:symmetric",
    "valid",
]


@pytest.mark.parametrize("padding", PADDINGS)
def test_padding(padding):
    """Windows that reach outside the image count, if the padding is given."""
    kernel = load_kernel("[1 2 3; 4 5 6; 7 8 10; 1 1 2]")
    fit = fitted(IMAGE, map_of(kernel, padding), kernel.size, padding=Padding.parse(padding))
    assert np.array_equal(fit.kernel.weights, kernel.weights)


def test_padding_that_is_left_out_fits_no_kernel():
    """Renormalized windows have weights of their own, so they are refused."""
    with pytest.raises(ConvcliError, match="fill ignore fits no kernel"):
        fitted(IMAGE, IMAGE, (3, 3), padding=Padding.parse("same:ignore"))


def test_a_larger_size_has_zeros_around():
    """A window larger than the kernel's is centered; without --padding, only the inside counts."""
    fit = fitted(IMAGE, map_of(load_kernel("sobel-x"), "same:reflect"), (5, 7))
    assert np.array_equal(fit.kernel.weights, np.pad(load_kernel("sobel-x").weights, ((1, 1), (2, 2))))
    assert fit.windows == 37 * 31


def test_channels_count_together():
    """One kernel for all channels, with as many equations as there are values."""
    image = RANDOM.integers(0, 2**16, (9, 9, 3), np.uint16)
    fit = fitted(image, map_of(load_kernel("sharpen"), image=image), (3, 3))
    assert np.array_equal(fit.kernel.weights, load_kernel("sharpen").weights)
    assert fit.windows == 7 * 7 * 3


def test_rounded_pixels():
    """Pixels of 8 bits: simple fractions are found, others are not invented, and errors are as stated."""
    box = fitted(IMAGE, np.rint(map_of("box3")), (3, 3))
    assert np.array_equal(box.kernel.weights, load_kernel("box3").weights)
    assert 0.2 < box.rms < 0.35
    blur = fitted(IMAGE, np.rint(map_of("gaussian:0.7,size=5")), (5, 5))
    assert blur.denominator == 0
    away = blur.kernel.weights - load_kernel("gaussian:0.7,size=5").weights
    assert np.abs(away / blur.errors).max() < 5


def test_noise_gets_no_fractions():
    """A second image that does not depend on the first one: the residual is its spread."""
    fit = fitted(IMAGE, RANDOM.normal(size=IMAGE.shape), (3, 3), bias=True)
    assert fit.denominator == 0
    assert abs(fit.rms / fit.spread - 1) < 0.05
    assert dict(as_rows(fit))["note"].endswith("--map raw, or try a larger --size")


def test_blocks_do_not_matter(monkeypatch):
    """The windows of an image that is reduced row by row give the same kernel as all at once."""
    whole = fitted(IMAGE, map_of("freichen-x"), (3, 3))
    monkeypatch.setattr("convcli.kernels.fitting._BLOCK", 1)
    parts = fitted(IMAGE, map_of("freichen-x"), (3, 3))
    assert np.abs(whole.kernel.weights - parts.kernel.weights).max() < 1e-12
    assert abs(whole.condition - parts.condition) < 1e-9


def test_ill_conditioned_images():
    """A smooth image has a condition number far above 1e4, which normal equations would square."""
    rows, columns = np.mgrid[:60, :60] / 20
    image = (np.sin(rows) * np.cos(columns) + 0.01 * RANDOM.normal(size=(60, 60)))[..., None]
    smooth = map_of("gaussian:1.5,size=9", image=image)
    fit = fitted(smooth, map_of("sobel-x", image=smooth), (3, 3))
    assert fit.condition > 1e4
    assert np.abs(fit.kernel.weights - load_kernel("sobel-x").weights).max() < 1e-6


RAMP = np.arange(30.0)
REFUSED = [
    (np.full((9, 9, 1), 7, np.uint8), np.ones((9, 9, 1)), "a is flat (every value is 7)"),
    (IMAGE[:4, :4], IMAGE[:4, :4], "a has 4 windows for 9 unknowns"),
    (
        np.tile(RANDOM.normal(size=(1, 30, 1)), (30, 1, 1)),
        np.ones((30, 30, 1)),
        "all of its rows are the same",
    ),
    (
        np.tile(RANDOM.normal(size=(30, 1, 1)), (1, 30, 1)),
        np.ones((30, 30, 1)),
        "all of its columns are the same",
    ),
    (np.add.outer(RAMP, RAMP)[..., None], np.ones((30, 30, 1)), "a determines only 2 of 9 unknowns"),
    (IMAGE, IMAGE[:20], "b has 20×37 pixels (expected: 41×37 or 39×35, or use --padding)"),
    (IMAGE, np.repeat(IMAGE, 3, 2), "a has 1 channel and b 3 channels"),
    (IMAGE, np.full(IMAGE.shape, np.nan), "b has values that are not finite"),
    (IMAGE * 1e200, IMAGE * 1.0, "a has values beyond ±1e+120"),
    (IMAGE[:2], IMAGE[:2], "larger than the padded image"),
]


@pytest.mark.parametrize(("before", "after", "message"), REFUSED)
def test_refused(before, after, message):
    """What does not determine a kernel, with the reason, in one line."""
    with pytest.raises(ConvcliError) as caught:
        fitted(before, after, (3, 3), names=("a", "b"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_command(run, tmp_path, monkeypatch):
    """From files to a kernel file; reports as text and JSON; mistakes are one line."""
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", IMAGE[..., 0])
    assert run("apply", "a.npy", "-k", "emboss0", "--map", "raw", "-o", "b.tif").code == 0
    ran = run("kernels", "fit", "a.npy", "b.tif", "--size", "3", "--bias", "-o", "k.yaml")
    assert "none: every value is reproduced exactly" in ran.text
    assert load_kernel("k.yaml").bias == 128
    assert np.array_equal(load_kernel("k.yaml").weights, load_kernel("emboss0").weights)
    report = json.loads(
        run("kernels", "fit", "a.npy", "b.tif", "--size", "3x3", "--bias", "--report", "json").text
    )
    assert (report["bias"], report["denominator"], report["windows"]) == (128, 1, 39 * 35)
    assert "b.tif" in run("kernels", "fit", "a.npy", "b.tif", "--size", "3", "-o", "b.tif", "--force").err
    assert "1600 weights; allowed: up to 1024" in run("kernels", "fit", "a.npy", "b.tif", "--size", "40").err
    assert "given twice" in run("kernels", "fit", "-", "-", "--size", "3").err
    assert "c.npy: No such file" in run("kernels", "fit", "a.npy", "c.npy", "--size", "3").err
