"""Alpha, light and depth: what happens to colors around the convolution."""

from __future__ import annotations

from fractions import Fraction

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

import convcli
from convcli.files.input import Input
from convcli.formats.encoders import WholeImageEncoder
from convcli.formats.header import Layout
from convcli.formats.opening import open_input
from convcli.formats.readers import InMemoryReader
from convcli.geometry.padding import Padding
from convcli.pipeline.color import light_to_srgb
from convcli.pipeline.color import srgb_to_light as light_of
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.maps.canvas import Canvas
from convcli.pipeline.maps.feature_map import feature_maps
from convcli.pipeline.planning.task import prepare
from convcli.pipeline.settings import Settings
from tests.conftest import SAMPLES, decoded
from tests.reference import correlate, rounded


def filtered(pixels: np.ndarray, kernel: convcli.Kernel, **settings: object) -> np.ndarray:
    """The image that ``apply`` makes of (rows, columns, channels) pixels."""
    data = tiff(pixels)
    ((task,),) = prepare("x.tif", open_input(Input(data=data), 10**9), Settings(kernel, **settings))
    layout: Layout = task.layout
    encoder = WholeImageEncoder(layout, bytes)
    canvas = Canvas(layout, encoder, task.plan.height)
    feature_maps(task.plan, InMemoryReader([pixels]), task.color_handling, task.mapping, [canvas])
    return encoder.frames[0]


def tiff(pixels: np.ndarray) -> bytes:
    """A TIFF file, by tifffile."""
    import io

    buffer = io.BytesIO()
    channels = pixels.shape[2]
    tifffile.imwrite(
        buffer,
        pixels[..., 0] if channels == 1 else pixels,
        photometric="rgb" if channels > 2 else "minisblack",
        planarconfig="contig" if channels > 1 else None,
        extrasamples=("unassalpha",) if channels in (2, 4) else None,
    )
    return buffer.getvalue()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("name", ["box3", "gaussian5", "sharpen"])
@given(seed=st.integers(0, 2**32))
def test_colors_count_by_how_much_is_seen(dtype, name, seed):
    """Σ w·c·a / Σ w·a for colors and Σ w·a for alpha, rounded once, compared with a plain loop."""
    rng = np.random.default_rng(seed)
    most = np.iinfo(dtype).max
    pixels = rng.integers(0, most, (5, 6, 4), dtype, endpoint=True)
    pixels[..., 3][rng.random((5, 6)) < 0.4] = 0
    kernel = convcli.load_kernel(name)
    got = filtered(pixels, kernel)
    pads = [(size // 2, size // 2) for size in kernel.size]

    def summed(plane: np.ndarray) -> np.ndarray:
        return correlate(plane, kernel.exact.numerators, (1, 1), pads, (1, 1), "reflect", 0)

    alpha = pixels[..., 3].astype(object)
    below = summed(alpha)
    assert np.array_equal(got[..., 3], rounded(below * Fraction(1, kernel.exact.denominator), dtype))
    for color in range(3):
        above = summed(pixels[..., color].astype(object) * alpha)
        truth = [
            [Fraction(int(n), int(d)) if d > 0 else 0 for n, d in zip(*row, strict=True)]
            for row in zip(above, below, strict=True)
        ]
        assert np.array_equal(got[..., color], rounded(np.array(truth, object), dtype))


def test_no_hidden_color_leaks(run, tmp_path):
    """A red pixel beside a fully transparent green one stays red; only its alpha spreads."""
    pixels = np.zeros((3, 4, 4), np.uint8)
    pixels[:, :2] = (255, 0, 0, 255)
    pixels[:, 2:] = (0, 255, 0, 0)
    source, out = tmp_path / "a.png", tmp_path / "b.png"
    source.write_bytes(imagecodecs.png_encode(pixels))
    result = run("apply", source, "-k", "box3", "-o", out)
    assert "alpha is filtered too, and colors are weighted by alpha" in result.text
    got = decoded(out)
    assert not got[..., 1].any()
    assert got[1, :, 3].tolist() == [255, 170, 85, 0]
    assert got[1, :3, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize(
    ("fill", "corner"),
    [("zero", (200, 100, 50, 113)), ("0", (200, 100, 50, 113)), ("40", (111, 67, 44, 255))],
)
def test_what_lies_outside_is_nothing_or_opaque(fill, corner):
    """A fill of 0 is transparent, any other number is an opaque color."""
    pixels = np.full((4, 4, 4), (200, 100, 50, 255), np.uint8)
    got = filtered(pixels, convcli.load_kernel("box3"), padding=Padding.parse(f"same:{fill}"))
    assert tuple(got[0, 0]) == corner


def test_alpha_can_be_kept_or_dropped(run, tmp_path):
    """--alpha decides and the report confirms; a bias does not change alpha."""
    source, out = SAMPLES / "transparent.png", tmp_path / "out.png"
    original = decoded(source)
    for word in ("keep", "drop"):
        result = run("apply", source, "-k", "box3", "--alpha", word, "-o", out, "--force")
        assert f"alpha {'is the input' if word == 'keep' else 'is dropped'}" in result.text
        assert decoded(out).shape[2] == (4 if word == "keep" else 3)
    run("apply", source, "-k", "box3", "--bias", "50", "-o", out, "--force")
    biased = decoded(out)
    run("apply", source, "-k", "box3", "-o", out, "--force")
    assert np.array_equal(biased[..., 3], decoded(out)[..., 3])
    run("apply", source, "-k", "identity", "-o", out, "--force")
    assert np.array_equal(decoded(out), original)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-k", "sobel-x"], "the weights do not sum to 1"),
        (["-k", "box3", "--channels", "gray"], "the colors are combined (--channels gray)"),
    ],
)
def test_alpha_that_cannot_be_filtered(run, options, words):
    """The message has the reason and the alternatives."""
    result = run(
        "apply",
        SAMPLES / "transparent.png",
        *options,
        "--alpha",
        "filter",
        "-o",
        "/dev/null",
        "--format",
        "png",
    )
    assert result.code == 2
    assert f"--alpha filter cannot be used here: {words}; use keep or drop" in result.err


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_linear_light(dtype):
    """Compared with the curve's formula in float64; every value survives decoding and encoding."""
    most = np.iinfo(dtype).max
    ramp = np.arange(0, most + 1, dtype=dtype).reshape(256, -1, 1)
    assert np.array_equal(filtered(ramp, convcli.load_kernel("identity"), linear=True), ramp)
    pixels = np.random.default_rng(0).integers(0, most, (20, 30, 3), dtype, endpoint=True)
    got = filtered(pixels, convcli.load_kernel("box3"), linear=True).astype(int)
    light = light_of(pixels / most)
    mean = convcli.conv(light, np.ones((3, 3)), padding="same:reflect", channels="last") / 9
    assert np.abs(got - np.rint(light_to_srgb(mean) * most)).max() <= 1
    assert np.mean(got == np.rint(light_to_srgb(mean) * most)) > 0.99


def test_the_curve_is_that_of_the_standard():
    """Known points of IEC 61966-2-1, and the inverse."""
    assert np.allclose(light_of(np.array([0.0, 0.04045, 0.5, 1.0])), [0, 0.0031308, 0.21404114, 1], atol=1e-7)
    values = np.linspace(-0.2, 1.2, 1001)
    assert np.allclose(light_to_srgb(light_of(values)), values, atol=1e-6)


@pytest.mark.parametrize("depth", ["8", "16", "float"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_depth_converts_on_purpose(dtype, depth):
    """White stays white: fractions of it are rounded once, and floats have it at 1."""
    white = 1 if dtype == np.float32 else np.iinfo(dtype).max
    pixels = np.linspace(0, white, 240).astype(dtype).reshape(10, 24, 1)
    got = filtered(pixels, convcli.load_kernel("identity"), depth=depth)
    if depth == "float":
        assert got.dtype == np.float32
        assert np.allclose(got, pixels / white if dtype != np.float32 else pixels, atol=1e-7)
        return
    most = 255 if depth == "8" else 65535
    truth = [round(Fraction(float(value)) * most / white) for value in pixels.ravel()]
    assert got.ravel().tolist() == truth


def test_depth_takes_alpha_along():
    """Opaque stays opaque in another depth, filtered or kept."""
    pixels = np.full((6, 6, 4), 255, np.uint8)
    for alpha in ("filter", "keep"):
        got = filtered(pixels, convcli.load_kernel("box3"), depth="16", alpha=alpha)
        assert got.dtype == np.uint16 and (got == 65535).all()


@pytest.mark.parametrize("dtype", [np.int16, np.uint32, np.int32, np.float16, np.float64])
def test_light_of_every_type(dtype):
    """Wide integers are decoded without a table, and half floats lose nothing."""
    most = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    pixels = (np.linspace(0, 1, 240) * most).astype(dtype).reshape(10, 24, 1)
    got = filtered(pixels, convcli.load_kernel("box3"), linear=True, depth="float")
    light = light_of(pixels[..., 0].astype(np.float64) / most)
    mean = convcli.conv(light, np.ones((3, 3)), padding="same:reflect") / 9
    assert np.allclose(got[..., 0], light_to_srgb(mean), atol=2e-6)


def test_alpha_outside_is_the_fill_that_was_asked_for():
    """A constant fill is in the image's units, also in linear light."""
    pixels = np.full((3, 3, 4), 200, np.uint8)
    settings = {"padding": Padding.parse("3:208"), "linear": True, "alpha": "keep"}
    assert filtered(pixels, convcli.load_kernel("sobel-x"), **settings)[0, 0, 3] == 208


@pytest.mark.parametrize(("mapping", "pixel"), [("signed", 128), ("stretch", 0)])
def test_a_flat_image_has_no_edges_in_light(mapping, pixel):
    """Rounding errors of floats are not stretched to black and white."""
    flat = np.full((40, 40, 1), 100, np.uint8)
    settings = {"linear": True, "mapping": Mapping.parse(mapping)}
    assert (filtered(flat, convcli.load_kernel("laplacian8"), **settings) == pixel).all()


def test_what_is_not_seen_has_no_range():
    """The range is that of visible colors; hidden ones are neither counted nor amplified."""
    pixels = np.full((20, 30, 4), 200, np.uint8)
    pixels[..., :3] = np.linspace(150, 250, 30).astype(np.uint8)[:, None]
    pixels[:, 15:, 3] = 0
    got = filtered(pixels, convcli.load_kernel("box3"), mapping=Mapping.parse("stretch"))
    shown = got[got[..., 3] > 0]
    assert shown[:, 0].min() == 0 and shown[:, 0].max() == 255


def test_raw_light_has_alpha_from_0_to_1():
    """Filtered or kept, alpha has the units of the colors beside it."""
    pixels = np.full((5, 5, 4), 255, np.uint8)
    for alpha in ("filter", "keep"):
        got = filtered(
            pixels, convcli.load_kernel("box3"), linear=True, alpha=alpha, mapping=Mapping.parse("raw")
        )
        assert np.allclose(got, 1, atol=1e-6)
