"""``--normalize``: pixels in the units that a network was trained in, before the padding."""

from __future__ import annotations

import json
from fractions import Fraction

import imagecodecs
import numpy as np
import pytest

from convcli.core.errors import ArgumentError
from convcli.formats.readers import InMemoryReader
from convcli.pipeline.normalization import Normalization, NormalizedReader
from tests.conftest import SAMPLES

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
FORMS = {
    "0..1": (0, 1),
    "-1..1": (0.5, 0.5),
    "ImageNet": IMAGENET,
    "0.5/0.5": (0.5, 0.5),
    "0.4,0.5,0.6/0.25": ((0.4, 0.5, 0.6), 0.25),
    "0.1/0.2,0.3,0.4": (0.1, (0.2, 0.3, 0.4)),
    "-0.25/2": (-0.25, 2),
    "0.48145466,0.4578275,0.40821073/0.26862954,0.26130258,0.27577711": (
        (0.48145466, 0.4578275, 0.40821073),
        (0.26862954, 0.26130258, 0.27577711),
    ),
}
EXACT = {"0..1": np.uint8, "-1..1": np.int16, "ImageNet": np.int32, "0.4,0.5,0.6/0.25": np.int16}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.float32, np.float64])
@pytest.mark.parametrize("text", FORMS)
def test_values(text, dtype):
    """Every value is (value / white − mean) / std, to the rounding of the type that holds it."""
    rng = np.random.default_rng(1)
    white = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    stored = (rng.random((5, 4, 3)) * white).astype(dtype)
    stored[0, 0], stored[0, 1] = 0, white
    normalized = Normalization.parse(text).of(stored.dtype, 3)
    values = NormalizedReader(InMemoryReader([stored]), normalized).rows(0, 0, 5)
    assert values.dtype == normalized.dtype
    mean, deviation = (np.array(numbers, np.float64) for numbers in FORMS[text])
    expected = (stored.astype(np.float64) / white - mean) / deviation
    tolerance = 1e-12 if np.dtype(dtype).itemsize > 2 and dtype is not np.float32 else 4e-7
    np.testing.assert_allclose(values / normalized.denominator, expected, rtol=1e-6, atol=tolerance)


@pytest.mark.filterwarnings("error")
def test_values_beyond_the_type_become_infinite():
    """Floats near the end of their type overflow as they would in a kernel, without a warning."""
    stored = np.array([[[3e38, -3e38, np.inf, np.nan]]], np.float32)
    normalized = Normalization.parse("0/0.1").of(stored.dtype, 4)
    values = NormalizedReader(InMemoryReader([stored]), normalized).rows(0, 0, 1)
    np.testing.assert_array_equal(values, [[[np.inf, -np.inf, np.inf, np.nan]]])


@pytest.mark.parametrize("text", EXACT)
def test_values_of_pixels_are_exact(text):
    """Integers over one denominator, in the narrowest type: fractions, value by value."""
    normalization = Normalization.parse(text)
    normalized = normalization.of(np.dtype(np.uint8), 3)
    assert normalized.dtype == EXACT[text]
    stored = np.arange(256, dtype=np.uint8)[:, None, None].repeat(3, axis=2)
    values = NormalizedReader(InMemoryReader([stored]), normalized).rows(0, 0, 256)
    for channel in range(3):
        mean = normalization.means[channel % len(normalization.means)]
        deviation = normalization.deviations[channel % len(normalization.deviations)]
        for value in (0, 1, 77, 255):
            expected = (Fraction(value, 255) - mean) / deviation
            assert Fraction(int(values[value, 0, channel]), normalized.denominator) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("imagnet", "is not MEAN/STD .*did you mean imagenet"),
        (
            "0.5",
            "is not MEAN/STD .numbers in units of white, one or one per channel., imagenet, 0..1 or -1..1",
        ),
        ("1/3/2", "is not MEAN/STD"),
        ("0.5/", "is not MEAN/STD"),
        ("0.5/x", "is not MEAN/STD"),
        ("nan/1", "is not MEAN/STD"),
        ("0.5/0", "every STD must be above 0"),
        ("0.5/-1", "every STD must be above 0"),
        ("1,2/1,2,3", "has 2 and 3 numbers; allowed: 1, or one per channel"),
    ],
)
def test_forms_that_are_refused(text, words):
    """One line with what is allowed."""
    with pytest.raises(ArgumentError, match=words):
        Normalization.parse(text)


@pytest.mark.parametrize("text", ["0..1", "-1..1", "imagenet", "0.48145466/0.26862954"])
@pytest.mark.parametrize("padding", ["2", "1:0.5", "1:reflect"])
def test_apply_equals_torch(run, tmp_path, text, padding):
    """A layer over a normalized image, whose padding comes after: zeros are zeros of the layer's input."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
    weights = np.random.default_rng(2).standard_normal((4, 3, 3, 3)).astype(np.float32)
    np.save(tmp_path / "w.npy", np.ascontiguousarray(weights.transpose(2, 3, 1, 0)))
    out = tmp_path / "o.npy"
    arguments = ("apply", SAMPLES / "color.png", "-k", f"{tmp_path}/w.npy:hwio", "--normalize", text)
    ran = run(*arguments, "--padding", padding, "--stride", 3, "--stack", "--map", "raw", "-o", out)
    assert ran.code == 0, ran.err
    assert "before the padding" in ran.text
    normalization = Normalization.parse(text)
    mean, deviation = (
        np.array([float(number) for number in numbers])
        for numbers in (normalization.means, normalization.deviations)
    )
    x = imagecodecs.png_decode((SAMPLES / "color.png").read_bytes()) / 255.0
    x = torch.tensor(((x - mean) / deviation).transpose(2, 0, 1)[None])
    mode, amount, value = {
        "2": ("constant", 2, 0),
        "1:0.5": ("constant", 1, 0.5),
        "1:reflect": ("reflect", 1, None),
    }[padding]
    x = torch.nn.functional.pad(x, (amount,) * 4, mode, value)
    expected = torch.nn.functional.conv2d(x, torch.tensor(weights).double(), stride=3)[0].numpy()
    maps = np.load(out)[0].transpose(2, 0, 1)
    assert np.abs(maps - expected).max() < 2e-5


@pytest.mark.parametrize("text", ["0..1", "-1..1", "imagenet"])
@pytest.mark.parametrize("channels", ["each", "gray", "sum"])
def test_explain_agrees_with_apply(run, text, channels):
    """The steps of a pixel at a padded corner are exact, and end at the pixel of ``apply``."""
    arguments = ("--at", "0,0", "--normalize", text, "--padding", "same", "--map", "raw", "--report", "json")
    ran = run("explain", SAMPLES / "color.png", "-k", "sharpen", "--channels", channels, *arguments)
    assert ran.code == 0, ran.err
    for channel in json.loads(ran.text)["maps"][0]["channels"]:
        assert channel["steps"][-1]["value"] == pytest.approx(channel["pixel"], rel=1e-7)
        assert "normalized" in str(channel) or channels == "gray"


def test_mapping_and_notes(run, tmp_path):
    """In normalized units 1 is white: ``clip`` of 0..1 gives the bytes without it; the default stretches."""
    plain, clipped, other = (tmp_path / name for name in ("a.png", "b.png", "c.png"))
    common = ("apply", SAMPLES / "color.png", "-k", "gaussian5", "-o")
    assert run(*common, plain).code == 0
    assert run(*common, clipped, "--normalize", "0..1", "--map", "clip").code == 0
    assert imagecodecs.png_decode(plain.read_bytes()).tolist() == (
        imagecodecs.png_decode(clipped.read_bytes()).tolist()
    )
    text = run(*common, other, "--normalize", "imagenet").text
    assert "stretch" in text
    assert "mean 0.485, 0.456, 0.406, std 0.229, 0.224, 0.225" in text


def test_alpha(run, tmp_path):
    """Alpha is no color: it is kept as it is, and cannot be filtered with normalized colors."""
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (6, 7, 4), np.uint8)
    image, out = tmp_path / "a.png", tmp_path / "o.png"
    image.write_bytes(imagecodecs.png_encode(pixels))
    arguments = ("apply", image, "-k", "box3", "--normalize", "imagenet", "-o", out)
    assert run(*arguments).code == 0
    assert np.array_equal(imagecodecs.png_decode(out.read_bytes())[..., 3], pixels[..., 3])
    ran = run(*arguments, "-f", "--alpha", "filter")
    assert ran.code == 2
    assert "--alpha filter cannot be used here: the colors are normalized; use keep or drop" in ran.err


def test_options_that_do_not_fit(run, tmp_path):
    """Numbers for other channels, and linear light."""
    arguments = ("apply", SAMPLES / "color.png", "-k", "box3", "-o", tmp_path / "o.png", "--normalize")
    ran = run(*arguments, "0.1,0.2/1")
    assert "--normalize 0.1,0.2/1 has numbers for 2 channels; this image has 3" in ran.err
    assert ran.code == 2
    assert "--normalize and --linear cannot be combined" in run(*arguments, "0..1", "--linear").err
    assert "exact" in run("plan", "64x64x3", "-k", "box3", "--normalize", "imagenet").text
