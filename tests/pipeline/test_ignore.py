"""Normalized convolution: ``--ignore`` and the fill ``ignore`` against fractions, SciPy and astropy."""

from __future__ import annotations

import json
from fractions import Fraction

import imagecodecs
import numpy as np
import pytest

import convcli
from convcli.core.errors import ArgumentError, ConvcliError
from convcli.geometry.padding import Padding
from convcli.pipeline.ignore import Ignore, Mask
from convcli.pipeline.job import apply
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.settings import Settings
from tests.conftest import SAMPLES
from tests.reference import correlate

EPSILON = 1e-6
RNG = np.random.default_rng(7)
GRAY = RNG.integers(1, 256, (23, 31)).astype(np.uint8)
HOLES = RNG.random(GRAY.shape) < 0.25
HOLES[4:10, 8:15] = True
"""Pixels that are left out, some in a patch larger than the windows."""


def written(path, pixels):
    """A file of an image, and its name."""
    if path.suffix == ".npy":
        np.save(path, pixels)
    else:
        imagecodecs.imwrite(path, pixels)
    return path


def quotient(pixels, weights, kernel, border):
    """S · Σ w·x·m / Σ w·m at every pixel, as fractions; None where the divisor is 0.

    Args:
        border: NumPy's name of the padding; "ignore" for pixels without weight.
    """
    numerators, scale = kernel.exact.numerators, Fraction(1, kernel.exact.denominator)
    (height, width), whole = numerators.shape, Fraction(int(numerators.sum())) * scale
    pads = [((n - 1) // 2, n // 2) for n in (height, width)]
    mode = {"mode": "constant"} if border == "ignore" else {"mode": border}
    x, m = (np.pad(part.astype(object), pads, **mode) for part in (pixels, weights))
    found = np.empty(pixels.shape, object)
    for row, column in np.ndindex(pixels.shape):
        part = (slice(row, row + height), slice(column, column + width))
        top, bottom = (numerators * x[part] * m[part]).sum(), (numerators * m[part]).sum()
        found[row, column] = whole * Fraction(int(top), int(bottom)) if bottom else None
    return found


def rounded(values, undefined=0):
    """Fractions as uint8: to nearest, ties to even, saturated."""
    pixels = [undefined if value is None else min(max(round(value), 0), 255) for value in values.ravel()]
    return np.array(pixels, np.uint8).reshape(values.shape)


@pytest.mark.parametrize("name", ["box3", "gaussian5", "plus3", "triangle5", "1 2; 0 1"])
@pytest.mark.parametrize("border", ["reflect", "ignore"])
def test_exact_for_integers(run, tmp_path, name, border):
    """Numerator and denominator are exact integers, and their quotient is rounded once, ties to even."""
    image = np.where(HOLES, 0, GRAY).astype(np.uint8)
    source, out = written(tmp_path / "in.png", image), tmp_path / "out.png"
    options = ("--ignore", "0", "--padding", f"same:{border}", "--map", "clip")
    ran = run("apply", source, "-k", name, *options, "-o", out, "--report", "json")
    assert ran.code == 0, ran.err
    due = quotient(image, ~HOLES, convcli.load_kernel(name), border)
    assert np.array_equal(imagecodecs.imread(out), rounded(due))
    pixels = json.loads(ran.text)["pixels"]
    missing = sum(value is None for value in due.ravel())
    assert pixels == {"nan": 0, "ignored": np.count_nonzero(HOLES), "undefined": missing}
    assert missing


@pytest.mark.parametrize("stride", ["1", "2,3"])
def test_gaps_that_are_kept(run, tmp_path, stride):
    """``,keep``: the same values, but undefined where the pixel at the center of the window is left out."""
    image = np.where(HOLES, 9, GRAY).astype(np.uint8)
    source, results = written(tmp_path / "in.png", image), []
    for ignore in ("9", "9,keep"):
        out = tmp_path / f"{ignore}.tif"
        options = ("--stride", stride, "--padding", "same:ignore", "--ignore", ignore, "-o", out)
        ran = run("apply", source, "-k", "box3", *options, "--map", "raw")
        assert ran.code == 0, ran.err
        results.append(imagecodecs.imread(out))
    filled, kept = results
    down, across = (int(step) for step in (stride + "," + stride).split(",")[:2])
    offsets = [((-(-n // s) - 1) * s + 3 - n) // 2 for n, s in zip(GRAY.shape, (down, across), strict=True)]
    holes = (image == 9)[1 - max(offsets[0], 0) :: down, 1 - max(offsets[1], 0) :: across]
    assert np.array_equal(kept, np.where(holes, np.nan, filled), equal_nan=True)
    assert (
        f"{np.count_nonzero(np.isnan(kept))} pixels of the map have no valid pixel at the center" in ran.text
    )
    ran = run("explain", source, "-k", "box3", "--ignore", "9,keep", "--at", "6,10")
    assert "the pixel at the center is left out" in ran.text
    assert ran.text.rstrip().splitlines()[-1].endswith("= 9")


@pytest.mark.parametrize("bits", [8, 16])
def test_gray_masks_are_weights(run, tmp_path, bits):
    """Gray levels of a mask count in proportion, exactly; the mask's alpha does not matter."""
    levels = RNG.integers(0, 2**bits, GRAY.shape).astype(f"u{bits // 8}")
    levels[HOLES] = 0
    mask = written(tmp_path / "mask.png", levels)
    source, out = written(tmp_path / "in.png", GRAY), tmp_path / "out.png"
    ran = run("apply", source, "-k", "gaussian3", "--ignore", mask, "-o", out)
    assert ran.code == 0, ran.err
    due = quotient(GRAY, levels, convcli.load_kernel("gaussian3"), "reflect")
    assert np.array_equal(imagecodecs.imread(out), rounded(due))


def test_a_black_and_white_mask_is_nan(run, tmp_path):
    """A mask of black and white gives the bytes that NaN in the same places gives."""
    values = np.where(HOLES, np.nan, GRAY).astype(np.float32)
    mask = written(tmp_path / "mask.png", np.where(HOLES, 0, 255).astype(np.uint8))
    results = []
    for name, pixels, ignore in (("a", values, "nan"), ("b", GRAY.astype(np.float32), mask)):
        source, out = written(tmp_path / f"{name}.npy", pixels), tmp_path / f"{name}-out.npy"
        assert run("apply", source, "-k", "gaussian:1", "--ignore", ignore, "-o", out).code == 0
        results.append(np.load(out))
    assert np.array_equal(*results, equal_nan=True)


@pytest.mark.parametrize("method", ["auto", "shift", "separable", "fft", "toeplitz"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nan_as_scipy(run, tmp_path, method, dtype):
    """Within 1e-6 of the quotient of two convolutions by SciPy, whatever the method; NaN never spreads."""
    ndimage = pytest.importorskip("scipy.ndimage")
    values = np.where(HOLES, np.nan, GRAY / 255).astype(dtype)
    source, out = written(tmp_path / "in.npy", values), tmp_path / "out.npy"
    ran = run("apply", source, "-k", "gaussian:1.5", "--ignore", "nan", "--method", method, "-o", out)
    assert ran.code == 0, ran.err
    kernel = convcli.load_kernel("gaussian:1.5").weights
    parts = (np.where(HOLES, 0, values.astype(np.float64)), (~HOLES).astype(np.float64))
    top, bottom = (ndimage.correlate(part, kernel, mode="mirror") for part in parts)
    found = np.load(out).squeeze()
    assert found.dtype == dtype
    assert np.abs(found - top / bottom).max() <= EPSILON
    assert f"{np.count_nonzero(HOLES)} pixels of the input are NaN" in ran.text


@pytest.mark.filterwarnings("ignore:nan_treatment")
@pytest.mark.parametrize("boundary", ["fill", "wrap"])
@pytest.mark.parametrize("scaled", [False, True])
def test_nan_as_astropy(run, tmp_path, boundary, scaled):
    """Astropy's ``nan_treatment="interpolate"``: NaN is filled from neighbors; a constant fill is valid."""
    convolution = pytest.importorskip("astropy.convolution")
    values = np.where(HOLES, np.nan, GRAY / 255)
    weights = convcli.load_kernel("gaussian5").weights * (3 if scaled else 1)
    kernel = written(tmp_path / "kernel.npy", weights)
    source, out = written(tmp_path / "in.npy", values), tmp_path / "out.npy"
    padding = {"fill": "same:0.5", "wrap": "same:wrap"}[boundary]
    ran = run("apply", source, "-k", kernel, "--ignore", "nan", "--padding", padding, "-o", out)
    assert ran.code == 0, ran.err
    due = convolution.convolve(
        values,
        weights,
        boundary=boundary,
        fill_value=0.5,
        nan_treatment="interpolate",
        normalize_kernel=not scaled,
        preserve_nan=False,
    )
    found = np.load(out).squeeze()
    assert np.array_equal(np.isnan(found), np.isnan(due))
    assert np.nanmax(np.abs(found - due)) <= EPSILON


@pytest.mark.parametrize("channels", ["each", "gray", "sum"])
def test_color_pixels(run, tmp_path, channels):
    """A color pixel is left out if all its colors have the value; one weight serves all channels."""
    colors = RNG.integers(0, 256, (*GRAY.shape, 3)).astype(np.uint8)
    colors[HOLES] = 7
    colors[0, 0, 0] = 7
    source, out = written(tmp_path / "in.png", colors), tmp_path / "out.tif"
    options = ("--ignore", "7", "--channels", channels, "--map", "raw")
    ran = run("apply", source, "-k", "box3", *options, "-o", out)
    assert ran.code == 0, ran.err
    shares = {"each": np.eye(3), "gray": [[0.299, 0.587, 0.114]], "sum": np.ones((1, 3))}[channels]
    found = imagecodecs.imread(out).reshape(*GRAY.shape, -1)
    for index, share in enumerate(np.asarray(shares)):
        kernel = convcli.load_kernel("box3")
        whole = (colors * np.rint(share * 1000)).sum(-1)
        due = quotient(whole, ~HOLES, kernel, "reflect")
        values = np.array([np.nan if v is None else float(v) / 1000 for v in due.ravel()])
        assert np.allclose(found[..., index].ravel(), values, rtol=EPSILON, equal_nan=True)


@pytest.mark.parametrize("seed", range(24))
def test_every_geometry(tmp_path, seed):
    """Any stride, dilation, padding, fill, direction, type and mask: the reference's quotient of two sums."""
    rng = np.random.default_rng(seed)
    dtype, fill = rng.choice(["u1", "i2", "u2", "f4"]), rng.choice(["ignore", "0", "3", "edge", "wrap"])
    image = rng.integers(0, 9, rng.integers(5, 12, 2)).astype(dtype)
    weights = rng.integers(0, 256, image.shape).astype(np.uint8) * (rng.random(image.shape) < 0.4)
    kernel = convcli.Kernel(rng.integers(0, 4, rng.integers(1, 5, 2)) + np.eye(1), scale="1/7", bias=2)
    stride, dilation, pads = rng.integers(1, 4, 2), rng.integers(1, 3, 2), rng.integers(0, 4, (2, 2))
    flip = bool(rng.integers(2))
    settings = Settings(
        kernel,
        stride=tuple(stride.tolist()),
        dilation=tuple(dilation.tolist()),
        padding=Padding.parse(f"{','.join(map(str, pads.ravel()))}:{fill}"),
        flip=flip,
        mapping=Mapping("raw"),
        output=OutputSpec(str(tmp_path / "out.npy")),
        ignore=Ignore(mask=Mask("mask", weights, 255)),
    )
    apply(str(written(tmp_path / "in.npy", image)), settings)
    numerators = np.asarray(kernel.exact.numerators)
    taps = numerators[::-1, ::-1] if flip else numerators
    mode = fill if fill in ("edge", "wrap") else "constant"
    value = int(fill) if fill.isdigit() else 0
    window = (taps, stride, pads, dilation, mode)
    products = image.astype(np.int64) * weights
    top = correlate(products, *window, value * 255)
    bottom = correlate(weights, *window, 0 if fill == "ignore" else 255)
    whole = Fraction(int(numerators.sum()), kernel.exact.denominator)
    due = [float(whole * a / b + 2) if b else np.nan for a, b in zip(top.flat, bottom.flat, strict=True)]
    assert np.allclose(np.load(tmp_path / "out.npy").ravel(), due, rtol=EPSILON, atol=0, equal_nan=True)


def test_any_nan_leaves_out_the_pixel(run, tmp_path):
    """One channel with NaN leaves out the whole pixel, and it is counted once."""
    colors = np.full((9, 9, 3), 2.0, np.float32)
    colors[4, 4] = (np.nan, 50, 50)
    source, out = written(tmp_path / "in.npy", colors), tmp_path / "out.npy"
    ran = run("apply", source, "-k", "box3", "--ignore", "nan", "-o", out, "--report", "json")
    assert np.array_equal(np.load(out), np.full((9, 9, 3), 2))
    assert json.loads(ran.text)["pixels"] == {"nan": 1, "ignored": 1, "undefined": 0}


def test_alpha_and_weights(run, tmp_path):
    """Colors are weighted by alpha and the mask, alpha by the mask; undefined pixels are transparent."""
    pixels = RNG.integers(0, 256, (*GRAY.shape, 4)).astype(np.uint8)
    mask = written(tmp_path / "mask.png", np.where(HOLES, 0, 255).astype(np.uint8))
    source, out = written(tmp_path / "in.png", pixels), tmp_path / "out.png"
    assert run("apply", source, "-k", "gaussian3", "--ignore", mask, "-o", out).code == 0
    found, kernel = imagecodecs.imread(out), convcli.load_kernel("gaussian3")
    valid = (~HOLES).astype(np.uint8)
    for channel in range(3):
        due = quotient(pixels[..., channel], pixels[..., 3].astype(int) * valid, kernel, "reflect")
        assert np.array_equal(found[..., channel], rounded(due))
    assert np.array_equal(found[..., 3], rounded(quotient(pixels[..., 3], valid, kernel, "reflect")))


@pytest.mark.parametrize(
    ("options", "value"),
    [
        (("--ignore", "9"), 9),
        (("--ignore", "9", "--map", "stretch"), 0),
        (("--ignore", "9", "--depth", "16"), 2313),
    ],
)
def test_undefined_pixels_of_integers(run, tmp_path, options, value):
    """They get the ignored value with ``clip``, in the units of the result, and black otherwise."""
    image = np.full((12, 12), 200, np.uint8)
    image[:, :6] = 9
    image[0, 11] = 210
    source, out = written(tmp_path / "in.png", image), tmp_path / "out.png"
    ran = run("apply", source, "-k", "box3", *options, "-o", out)
    assert np.all(imagecodecs.imread(out)[:, :5] == value)
    assert f"60 pixels of the map have no valid pixel in the window: written as {value}" in ran.text


def test_undefined_pixels_of_floats(run, tmp_path):
    """They are NaN, and do not count as NaN values."""
    source = written(tmp_path / "in.npy", np.full((5, 5), np.nan))
    ran = run(
        "apply", source, "-k", "box3", "--ignore", "nan", "-o", tmp_path / "out.npy", "--report", "json"
    )
    row = json.loads(ran.text)
    assert np.isnan(np.load(tmp_path / "out.npy")).all()
    assert (row["pixels"], row["nonfinite"]["nan"]) == ({"nan": 25, "ignored": 25, "undefined": 25}, 0)


def test_only_the_border(run, tmp_path):
    """``same:ignore`` renormalizes at the edges, where reflection would repeat pixels; NaN still spreads."""
    values = np.arange(36, dtype=np.float32).reshape(6, 6)
    values[5, 5] = np.nan
    source, out = written(tmp_path / "in.npy", values), tmp_path / "out.npy"
    assert run("apply", source, "-k", "box3", "--padding", "same:ignore", "-o", out).code == 0
    found = np.load(out).squeeze()
    assert found[0, 0] == np.mean(values[:2, :2])
    assert np.isnan(found[4:, 4:]).all() and np.isnan(found).sum() == 4


@pytest.mark.parametrize("weights", ["gaussian5", np.ones((2, 3)) / 6, RNG.random((3, 3, 2, 4))])
@pytest.mark.parametrize("padding", ["same", "full", ((3, 0), (1, 2))])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_conv_ignores_the_border(weights, padding, dtype):
    """``fill="ignore"`` in Python: the kernel's sum times the quotient, NaN where no weight is inside."""
    x = GRAY[:9, :10].astype(dtype)
    options = {}
    if not isinstance(weights, str) and weights.ndim == 4:
        x, options = np.stack([x, x.T[:9, :9].repeat(2, 1)[:, :10]], -1), {"channels": "last"}
    found = convcli.conv(x, weights, padding=padding, fill="ignore", stride=2, dtype=np.float64, **options)
    top, bottom = (
        convcli.conv(part, weights, padding=padding, stride=2, dtype=np.float64, **options)
        for part in (x, np.ones_like(x))
    )
    kernel = convcli.load_kernel(weights).weights if isinstance(weights, str) else weights
    whole = kernel.sum(axis=(0, 1, 2)) if kernel.ndim == 4 else kernel.sum()
    with np.errstate(invalid="ignore"):
        assert np.allclose(found, whole * top / bottom, rtol=1e-12, atol=0, equal_nan=True)


def test_conv_rounds_once():
    """An integer result of ``fill="ignore"`` is the exact quotient, rounded to nearest, ties to even."""
    kernel = convcli.load_kernel("gaussian5")
    found = convcli.conv(GRAY, kernel, padding="same:ignore", dtype=np.uint8)
    assert np.array_equal(found, rounded(quotient(GRAY, np.ones_like(GRAY), kernel, "ignore")))
    with pytest.raises(
        ArgumentError, match="fill 'ignore' cannot be used with this kernel: its weights sum to 0"
    ):
        convcli.conv(GRAY, "sobel-x", padding="same", fill="ignore")


def test_same_bytes_in_every_cut(run, tmp_path):
    """Threads and methods do not change the bytes of exact results; a batch writes those of ``apply``."""
    mask = written(tmp_path / "mask.png", (RNG.integers(0, 4, (512, 512)) * 85).astype(np.uint8))
    options = ("-k", "gaussian5", "--ignore", mask, "--padding", "same:ignore")
    files = []
    for index, more in enumerate([(), ("--threads", "1"), ("--method", "shift"), ("--method", "fft")]):
        files.append(tmp_path / f"{index}.png")
        ran = run("apply", SAMPLES / "scene.png", *options, *more, "-o", files[-1])
        assert ran.code == 0, ran.err
    log = tmp_path / "log.jsonl"
    ran = run("batch", SAMPLES / "scene.png", tmp_path / "out", *options, "--jobs", "1", "--report", log)
    assert ran.code == 0, ran.err
    files += (tmp_path / "out").iterdir()
    assert len({file.read_bytes() for file in files}) == 1
    again = run("batch", SAMPLES / "scene.png", tmp_path / "out", *options, "--resume", "--report", log)
    assert "1 unchanged" in again.text + again.err or "skipped" in again.text + again.err
    pixels = imagecodecs.imread(mask)
    written(mask, 255 - pixels)
    changed = run("batch", SAMPLES / "scene.png", tmp_path / "out", *options, "--resume", "--report", log)
    assert changed.code == 0, changed.err
    assert files[-1].read_bytes() != files[0].read_bytes()


def test_explained(run, tmp_path):
    """``explain`` shows the weights, what they leave of the patch, and the division; its pixel is apply's."""
    image = np.where(HOLES, 0, GRAY).astype(np.uint8)
    source = written(tmp_path / "in.png", image)
    for options in (
        ("--ignore", "0"),
        ("--ignore", "0", "--padding", "same:ignore"),
        ("--padding", "same:ignore"),
    ):
        for at in ("0,0", "3,8", "7,11"):
            ran = run("explain", source, "-k", "gaussian3", *options, "--at", at)
            assert ran.code == 0, ran.err
            assert "times weight" in ran.text
            assert "valid" in ran.text
            assert "apply rounds" not in ran.text
    ran = run("explain", SAMPLES / "transparent.png", "-k", "box3", "--padding", "same:ignore", "--at", "0,0")
    assert "apply rounds" not in ran.text
    assert ran.text.count("times weight") == 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ("-k", "sobel-x", "--ignore", "0"),
            "--ignore 0 cannot be used with kernel sobel-x: its weights sum to 0",
        ),
        (("-k", "sharpen", "--ignore", "nan"), "kernel sharpen: it has negative weights"),
        (("-k", "sobel", "--ignore", "nan"), "kernel sobel: its maps are combined by l2"),
        (
            ("-k", "sharpen", "--padding", "same:ignore"),
            "padding fill ignore cannot be used with kernel sharpen",
        ),
        (
            ("-k", "box3", "--ignore", "mask.gif"),
            "--ignore 'mask.gif' is not nan, a number or an existing file",
        ),
        (("-k", "box3", "--ignore", "1/0"), "--ignore '1/0' is not nan, a number or an existing file"),
        (("-k", "box3", "--ignore", "-"), "--ignore cannot read standard input"),
        (("-k", "box3", "--ignore", SAMPLES / "color.png"), "color.png: is a color image; a mask is gray"),
        (("-k", "box3", "--ignore", SAMPLES / "draw.py"), "draw.py: not an image in a known format"),
        (("-k", "box3", "--ignore", "MASK"), "the mask has 3 × 4 pixels, the image 512 × 512"),
    ],
)
def test_refused(run, tmp_path, options, words):
    """What cannot be renormalized, or is no mask, is refused in one line, before anything is written."""
    small = written(tmp_path / "small.png", np.zeros((3, 4), np.uint8))
    options = [small if option == "MASK" else option for option in options]
    ran = run("apply", SAMPLES / "scene.png", *options, "-o", tmp_path / "out.png")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert words in ran.err
    assert not (tmp_path / "out.png").exists()


def test_masks_are_protected(run, tmp_path):
    """A result never overwrites the mask, even with --force."""
    mask = written(tmp_path / "mask.png", np.full((512, 512), 255, np.uint8))
    ran = run("apply", SAMPLES / "scene.png", "-k", "box3", "--ignore", mask, "-f", "-o", mask)
    assert ran.code == 2
    assert np.all(imagecodecs.imread(mask) == 255)


def test_masks_of_floats(tmp_path):
    """Floats from 0 to 1 are weights; others, and several frames, are refused."""
    good = Ignore.parse(str(written(tmp_path / "a.npy", np.array([[0, 0.25], [0.5, 1]]))))
    assert good.mask is not None
    assert (good.mask.weights.tolist(), good.full) == ([[0, 0.25], [0.5, 1]], 1)
    with pytest.raises(ConvcliError, match=r"has values from 0\.0 to 2\.0; a mask has 0 to 1"):
        Ignore.parse(str(written(tmp_path / "b.npy", np.array([[0.0, 2.0]]))))
    with pytest.raises(ConvcliError, match="has 5 frames; a mask has one"):
        Ignore.parse(str(written(tmp_path / "c.npy", np.zeros((5, 2, 2, 1), np.uint8))))
