"""Several maps as one: every way against NumPy over the maps themselves, and a stack of them as one array."""

from __future__ import annotations

from fractions import Fraction
from math import isqrt

import imagecodecs
import numpy as np
import pytest

import convcli
from convcli.core.errors import KernelError
from convcli.kernels.bank import COMBINE_CHOICES, combined
from tests.conftest import SAMPLES, decoded

WAYS_BY_NUMPY = {
    "l2": lambda maps: np.sqrt((maps.astype(float) ** 2).sum(0)),
    "l1": lambda maps: np.abs(maps).sum(0),
    "linf": lambda maps: np.abs(maps).max(0),
    "max": lambda maps: maps.max(0),
    "min": lambda maps: maps.min(0),
    "sum": lambda maps: maps.sum(0),
    "argmax": lambda maps: maps.argmax(0),
}


def test_every_way_is_checked():
    """Every way to combine is compared with NumPy."""
    assert set(COMBINE_CHOICES) == {*WAYS_BY_NUMPY, "angle", "stack"}


@pytest.mark.parametrize("how", WAYS_BY_NUMPY)
@pytest.mark.parametrize("name", ["sobel", "kirsch", "frei-chen", "laws"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_ways_to_combine(how, name, dtype):
    """The same value as over the maps computed one by one; exact for integers and exact weights."""
    x = np.random.default_rng(2).integers(0, 256, (21, 26)).astype(dtype)
    kernel = convcli.load_kernel(name)
    apart = combined(kernel, "stack")
    maps = np.moveaxis(convcli.conv(x[..., None], apart, channels="last", dtype=np.float64), -1, 0)
    found = convcli.conv(x, combined(kernel, how), dtype=np.float64)
    assert found.shape == (21 - kernel.size[0] + 1, 26 - kernel.size[1] + 1)
    due = WAYS_BY_NUMPY[how](maps)
    if how == "argmax" and not kernel.exact:
        assert (found == due).mean() > 0.99  # equal sums may round differently
    elif kernel.exact and how != "l2":
        assert np.array_equal(found, due)
    else:
        assert np.allclose(found, due, atol=1e-4 * np.abs(maps).max())


def test_a_sum_is_one_kernel():
    """``sum`` adds the weights and the biases; one map has nothing to combine."""
    kernel = combined(convcli.load_kernel("robinson"), "sum")
    assert kernel.weights.ndim == 2
    assert not kernel.weights.any()
    bank = convcli.Kernel(np.ones((1, 1, 1, 2)), bias=[1, 2])
    assert combined(bank, "sum").bias == 3
    with pytest.raises(KernelError, match="maps with separate biases cannot be combined by max"):
        combined(bank, "max")
    with pytest.raises(KernelError, match="box3 has only one feature map"):
        combined(convcli.load_kernel("box3"), "max")


def test_named_behind_the_set():
    """``kirsch:max`` is the set with ``--combine max``."""
    assert convcli.load_kernel("kirsch:max").combine == "max"
    assert convcli.load_kernel("sobel:stack").combine is None
    assert convcli.load_kernel("sobel:5").maps == 2
    texts = [
        convcli.load_kernel(name).about.description for name in ("sobel:l2", "sobel:angle", "sobel:stack")
    ]
    assert texts[0] == convcli.load_kernel("sobel").about.description
    assert texts[1:] == ["The maps of sobel, combined by angle", "The maps of sobel, each on its own"]


def test_apply_combines(run, tmp_path):
    """Image by image: eight maps, one of the largest, one of directions from black to white."""
    scene = SAMPLES / "scene.png"
    assert run("apply", scene, "-k", "kirsch", "-o", f"{tmp_path}/maps/").code == 0
    assert len(list((tmp_path / "maps").iterdir())) == 8
    out = tmp_path / "out.png"
    text = run("apply", scene, "-k", "kirsch", "--combine", "argmax", "-o", out).text
    assert "stretch: 0 → 0, 7 → 255" in text
    assert "argmax" in text
    pixels = decoded(scene)
    maps = convcli.conv(pixels[..., None], combined(convcli.load_kernel("kirsch"), None), channels="last")
    due = np.rint(maps.argmax(-1) * 255 / 7)
    assert np.array_equal(decoded(out)[1:-1, 1:-1], due)


def test_a_stack_is_one_array(run, tmp_path):
    """All maps of all colors as the channels of one .npy; formats of images are refused."""
    out = tmp_path / "stack.npy"
    color = SAMPLES / "color.png"
    text = run("apply", color, "-k", "sobel", "--combine", "stack", "--map", "raw", "-o", out).text
    assert "npy, 6 channels, float32" in text
    (stacked,), pixels = np.load(out), decoded(color)
    for index, name in enumerate(("sobel-x", "sobel-y")):
        due = np.stack([convcli.conv2d(pixels[..., color], name) for color in range(3)], -1)
        assert np.array_equal(stacked[1:-1, 1:-1, 3 * index : 3 * index + 3], due)
    for options, words in [
        (
            ("-o", tmp_path / "x.png"),
            "--stack writes an array of 2 channels, or pages, which png cannot hold; use .npy or .tif",
        ),
        (("--format", "gif"), "which gif cannot hold"),
    ]:
        ran = run("apply", SAMPLES / "scene.png", "-k", "sobel", "--combine", "stack", *options)
        assert (ran.code, words in ran.err) == (2, True), ran.err
    ran = run("apply", SAMPLES / "transparent.png", "-k", "sobel", "--combine", "stack", "-o", out, "-f")
    assert "alpha is dropped" in ran.text
    ran = run(
        "apply",
        SAMPLES / "transparent.png",
        "-k",
        "sobel",
        "--combine",
        "stack",
        "--alpha",
        "keep",
        "-o",
        out,
    )
    assert "--alpha keep cannot be used with --stack" in ran.err
    ran = run("apply", SAMPLES / "scene.png", "-k", "sobel", "--combine", "stack", "-o", f"{tmp_path}/f/")
    assert (tmp_path / "f" / "scene.sobel.npy").exists(), ran.err


@pytest.mark.parametrize(
    ("options", "note", "total"),
    [
        (
            ("-k", "laplacian4", "--scale", "sum"),
            "--scale sum has no effect: the weights sum to 0",
            0,
        ),
        (
            ("-k", "log:1.5", "--scale", "sum"),
            "--scale sum has no effect: the weights sum to 0",
            0,
        ),
        (
            ("-k", "box3", "--scale", "gain"),
            "--scale gain has no effect: the kernel specifies no gain",
            1,
        ),
        (("-k", "ones3", "--scale", "sum"), "", 1),
        (("-k", "sobel-x", "--scale", "abs"), "", 0),
        (("-k", "ones3", "--scale", "1/3"), "", 3),
    ],
)
def test_scaling(run, tmp_path, options, note, total):
    """By the sum, the magnitudes, the gain a number; what cannot be divided is left, with a note."""
    text = run("apply", SAMPLES / "scene.png", *options, "-o", tmp_path / "out.tif", "--map", "raw").text
    assert note in text
    assert f"sum {total}" in text or abs(total) < 1


def test_the_gain_makes_slopes(run, tmp_path):
    """Whatever the kernel, ``--scale gain`` answers a ramp with its slope."""
    ramp = tmp_path / "ramp.npy"
    np.save(ramp, np.tile(np.arange(40, dtype=np.uint8) * 3, (20, 1)))
    for name in ("sobel-x", "prewitt-x", "scharr-x", "sobel7-x", "central-x", "sobel-x:9"):
        out = tmp_path / "out.npy"
        ran = run("apply", ramp, "-k", name, "--scale", "gain", "--map", "raw", "-o", out, "-f")
        assert ran.code == 0, ran.err
        assert np.allclose(np.load(out)[:, 5:-5], 3)


@pytest.mark.parametrize("words", [["--map", "clip", "--depth", "16"], ["--map", "stretch:0,1500"]])
def test_magnitudes_are_rounded_once(words, run, tmp_path):
    """The root of a sum of squares, mapped, is the nearest integer to its exact value, ties to even."""
    pixels = np.random.default_rng(4).integers(0, 256, (90, 110), np.uint8)
    (tmp_path / "in.png").write_bytes(imagecodecs.png_encode(pixels))
    run("apply", tmp_path / "in.png", "-k", "sobel", "--padding", "valid", *words, "-o", tmp_path / "out.png")
    wide = pixels.astype(int)
    across = wide[:, 2:] - wide[:, :-2]
    down = wide[2:] - wide[:-2]
    x = across[:-2] + 2 * across[1:-1] + across[2:]
    y = down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:]
    gain, most = (Fraction(255, 1500), 255) if "clip" not in words else (Fraction(257), 65_535)
    wanted = [[min(nearest_root(int(n), gain), most) for n in row] for row in x * x + y * y]
    assert np.array_equal(decoded(tmp_path / "out.png"), wanted)


def nearest_root(square: int, gain: Fraction) -> int:
    """The root times a gain to the nearest integer, ties to even, in whole numbers alone."""
    floor = isqrt(square * gain.numerator**2 // gain.denominator**2)
    beyond = 4 * square * gain.numerator**2 - (2 * floor + 1) ** 2 * gain.denominator**2
    return floor + (beyond > 0 or (beyond == 0 and floor % 2))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
def test_magnitudes_of_arrays_are_rounded_once(dtype):
    """Roots of every square sum that Sobel's kernels make of some noise, as whole numbers and as floats."""
    pixels = np.random.default_rng(9).integers(0, 256, (300, 400), np.uint8)
    x, y = (convcli.conv(pixels, name, dtype=np.int32).astype(object) for name in ("sobel-x", "sobel-y"))
    found = convcli.conv(pixels, "sobel", dtype=dtype)
    if np.dtype(dtype).kind == "f":
        wanted = np.sqrt((x * x + y * y).astype(dtype))  # exact below 2**24, and one rounding
    else:
        most = np.iinfo(dtype).max
        wanted = np.array([min(nearest_root(n, Fraction(1)), most) for n in (x * x + y * y).ravel()])
    assert np.array_equal(found.ravel(), wanted.ravel())
