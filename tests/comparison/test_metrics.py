"""PSNR, SSIM and statistics, compared with scikit-image, NumPy and loops over Python's integers."""

from __future__ import annotations

import warnings
from fractions import Fraction
from math import inf, isclose

import numpy as np
import pytest
import tifffile
from PIL import Image

import convcli
from convcli.comparison import structure
from convcli.comparison.strips import StripPair
from convcli.comparison.tally import Tally
from convcli.core.errors import ArgumentError

TYPES = ("uint8", "int8", "uint16", "int16", "float16", "float32", "float64")
CHANNELS: tuple[tuple[int, ...], ...] = ((), (1,), (3,), (4,))


def pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two random images of one shape and type that are somewhat alike."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(TYPES[seed % len(TYPES)])
    shape = (*rng.integers(11, 40, 2), *CHANNELS[seed % len(CHANNELS)])
    if dtype.kind == "f":
        a = rng.random(shape)
        return a.astype(dtype), np.clip(a + rng.normal(0, 0.2, shape), 0, 1).astype(dtype)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    a = rng.integers(low, high, shape)
    noise = rng.integers(-(high // 9), high // 9, shape)
    return a.astype(dtype), np.clip(a + noise, low, high).astype(dtype)


@pytest.mark.parametrize("block", range(10))
def test_psnr_and_ssim_are_those_of_scikit_image(block):
    """100 random pairs of every type and number of channels, with both windows."""
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    for seed in range(10 * block, 10 * block + 10):
        a, b = pair(seed)
        axis = -1 if a.ndim == 3 else None
        wide = a.astype(np.float64), b.astype(np.float64)
        result, gaussian = (convcli.compare(a, b, ssim=window) for window in ("uniform", "gaussian"))
        options = {"data_range": result.data_range, "channel_axis": axis}
        expected = metrics.structural_similarity(*wide, **options)
        assert isclose(result.ssim, expected, rel_tol=0, abs_tol=1e-9), (seed, result.ssim, expected)
        paper = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        expected = metrics.structural_similarity(*wide, **options, **paper)
        assert isclose(gaussian.ssim, expected, rel_tol=0, abs_tol=1e-9), (seed, gaussian.ssim, expected)
        expected = metrics.peak_signal_noise_ratio(*wide, data_range=result.data_range)
        assert isclose(result.psnr, expected, rel_tol=0, abs_tol=1e-9), (seed, result.psnr, expected)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_default_data_range_is_that_of_scikit_image(dtype):
    """Without any option, both agree for the unsigned types of images."""
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    a, b = pair(TYPES.index(dtype) + 28)
    axis = -1 if a.ndim == 3 else None
    result = convcli.compare(a, b)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the range comes from the type
        expected = metrics.structural_similarity(a, b, channel_axis=axis)
    assert isclose(result.ssim, expected, abs_tol=1e-9)
    assert isclose(result.psnr, metrics.peak_signal_noise_ratio(a, b), abs_tol=1e-9)


@pytest.mark.parametrize("seed", [0, 5, 10, 15])
def test_strips_and_blocks_do_not_matter(seed, monkeypatch):
    """The same statistics and SSIM from strips of a few rows and blocks of a few columns."""
    a, b = pair(seed)
    whole = convcli.compare(a, b)
    monkeypatch.setattr("convcli.comparison.strips.STRIP_VALUES", 1)
    monkeypatch.setattr("convcli.comparison.strips._LEAST_ROWS", 4)
    monkeypatch.setattr(structure, "_BLOCK_VALUES", 600)
    parts = convcli.compare(a, b)
    assert isclose(whole.ssim, parts.ssim, abs_tol=1e-12)
    assert isclose(whole.rms, parts.rms, rel_tol=1e-12)
    for name in ("values", "differing", "largest", "data_range"):
        assert getattr(whole, name) == getattr(parts, name)
    assert whole.statistics.largest == parts.statistics.largest
    assert whole.statistics.histogram == parts.statistics.histogram


ENDS = {
    "uint8": (0, 255, 128),
    "int8": (-128, 127, 0),
    "int16": (-(2**15), 2**15 - 1, 3),
    "uint16": (0, 2**16 - 1, 9),
    "int32": (-(2**31), 2**31 - 1, -1),
    "uint32": (0, 2**32 - 1, 7),
    "int64": (-(2**63), 2**63 - 1, 5),
    "uint64": (0, 2**64 - 1, 2**63),
}


@pytest.mark.parametrize("left", ENDS)
@pytest.mark.parametrize("right", ENDS)
def test_integers_are_exact(left, right):
    """Differences of the ends of every pair of types, and their sums, equal those of Python's integers."""
    a = np.array([[x for x in ENDS[left] for _ in ENDS[right]]], left)
    b = np.array([list(ENDS[right]) * len(ENDS[left])], right)
    differences = [y - x for x, y in zip(a[0].tolist(), b[0].tolist(), strict=True)]
    tally = Tally()
    tally.add(StripPair(0, 0, a[..., None], b[..., None]))
    found = tally.statistics()
    largest = max(map(abs, differences))
    assert found.largest is not None
    assert abs(found.largest.difference) == largest
    assert found.largest.column == next(i for i, d in enumerate(differences) if abs(d) == largest)
    assert found.mean == float(Fraction(sum(differences), len(differences)))
    assert found.mean_absolute == float(Fraction(sum(map(abs, differences)), len(differences)))
    assert found.mean_square == float(Fraction(sum(d * d for d in differences), len(differences)))
    assert (found.low, found.high) == (min(0, *differences), max(0, *differences))
    assert tally.differing == sum(d != 0 for d in differences)
    for each in found.histogram:
        inside = [d for d in differences if each.low <= abs(d) < each.high]
        assert (each.below, each.above) == (sum(d < 0 for d in inside), sum(d > 0 for d in inside))
    assert sum(each.below + each.above for each in found.histogram) == tally.differing


def test_floats_are_those_of_numpy():
    """Largest difference and its place, means and RMS; decades of the histogram have exact edges."""
    rng = np.random.default_rng(3)
    a = rng.normal(size=(40, 50, 3))
    b = a + rng.choice([0, 1e-3, -1e-5, 0.1], a.shape) * rng.random(a.shape)
    result, found = convcli.compare(a, b), b - a
    place = np.unravel_index(np.argmax(np.abs(found)), a.shape)
    largest = result.statistics.largest
    assert (largest.row, largest.column, largest.channel) == place
    assert (largest.a, largest.b) == (a[place], b[place])
    for value, expected in (
        (result.largest, np.abs(found).max()),
        (result.mean, found.mean()),
        (result.mean_absolute, np.abs(found).mean()),
        (result.rms, np.sqrt((found**2).mean())),
    ):
        assert isclose(value, expected, rel_tol=1e-12)
    edges = np.array([[0.0, 1e-5, 9.999e-6, -1e-4, 5e-324]])
    bins = convcli.compare(np.zeros_like(edges), edges).statistics.histogram
    ends = [(each.low, each.high, each.below, each.above) for each in bins]
    assert ends[1:] == [(1e-6, 1e-5, 0, 1), (1e-5, 1e-4, 0, 1), (1e-4, 1e-3, 1, 0)]
    assert ends[0][3] == 1


def test_nan_and_infinity():
    """Equal ones are equal; others count above every limit, and leave statistics and windows of SSIM."""
    a = np.arange(400.0).reshape(20, 20)
    a[0, 0], a[1, 1], a[19, 19] = np.nan, np.inf, -np.inf
    assert convcli.compare(a, a.copy()).identical
    b = a.copy()
    b[2, 3], b[1, 1], b[5, 5] = np.nan, -np.inf, b[5, 5] + 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = convcli.compare(a, b)
    found = result.not_finite
    assert (found.nan_a, found.nan_b, found.infinite_a, found.infinite_b, found.unequal) == (1, 2, 2, 2, 2)
    assert (found.first.row, found.first.column) == (1, 1)
    assert (result.differing, result.largest, result.statistics.largest.difference) == (3, inf, 0.5)
    assert result.statistics.values == 396
    assert result.exceeds(1e300)
    windows = np.lib.stride_tricks.sliding_window_view(~(np.isfinite(a) & np.isfinite(b)), (7, 7))
    assert result.similarity.left_out == np.count_nonzero(windows.any((2, 3)))
    assert result.similarity.windows == 14 * 14 - result.similarity.left_out
    assert 0.99 < result.ssim < 1
    everything = np.full((9, 9), np.nan)
    assert convcli.compare(everything, np.ones((9, 9))).ssim is None


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (np.zeros((4, 5)), np.zeros((4, 6)), "different sizes: 4 × 5 and 4 × 6"),
        (np.zeros((4, 5)), np.zeros((4, 5, 3)), "different channels: gray and RGB"),
        (np.zeros((4, 5, 4)), np.zeros((4, 5, 3)), "RGBA and RGB (--ignore-alpha leaves alpha out)"),
        (np.zeros((2, 4, 5, 3)), np.zeros((3, 4, 5, 3)), "different numbers of frames: 2 and 3"),
        (np.zeros((0, 5)), np.zeros((0, 6)), "different sizes: 0 × 5 and 0 × 6"),
    ],
)
def test_mismatches(a, b, words):
    """Shapes that differ are told, nothing is computed, and the limit does not matter."""
    result = convcli.compare(a, b)
    assert words in result.mismatch
    assert not result.identical
    assert (result.largest, result.psnr, result.ssim) == (None, None, None)
    assert result.exceeds(1e300)


def test_results_are_printed_in_one_line():
    """What differs, and by how much."""
    a = np.zeros((20, 30), np.uint8)
    b = a.copy()
    assert str(convcli.compare(a, b)) == "identical: 600 values"
    b[4, 7] = 3
    assert str(convcli.compare(a, b)).startswith(
        "1 of 600 values differ: largest 3, RMS 0.122474, PSNR 66.36"
    )
    assert str(convcli.compare(a, b[1:])).startswith("different sizes")


def test_small_empty_and_constant_arrays():
    """No pixels, fewer than a window, one axis, bool, values without a range: numbers or None."""
    empty = convcli.compare(np.zeros((0, 5)), np.zeros((0, 5)))
    assert empty.identical
    assert (empty.values, empty.mean, empty.psnr, empty.ssim) == (0, None, None, None)
    small = convcli.compare(np.zeros((6, 50), np.uint8), np.ones((6, 50), np.uint8))
    assert (small.ssim, small.largest) == (None, 1)
    assert convcli.compare(np.arange(5), np.arange(5) + 1).mean == 1
    assert convcli.compare(np.zeros((9, 9), bool), np.ones((9, 9), bool)).largest == 255
    same = convcli.compare(np.ones((9, 9)), np.ones((9, 9)))
    assert (same.ssim, same.psnr, same.largest) == (1, inf, 0)
    huge = convcli.compare(np.array([[1e308, 1]]), np.array([[-1e308, 1]]))
    assert (huge.largest, huge.psnr) == (inf, None)
    mixed = convcli.compare(np.ones((9, 9), np.uint8), np.ones((9, 9), np.float32))
    assert mixed.identical
    assert not mixed.same_type


@pytest.mark.parametrize(
    ("value", "options", "words"),
    [
        (np.zeros((2, 2), complex), {}, "a has type complex128"),
        (np.zeros((1, 1, 1, 1, 1)), {}, "a has 5 axes"),
        (None, {}, "a has type object"),
        (np.ma.masked_array([1.0], [True]), {}, "a masks 1 of 1 values"),
        (b"nothing", {}, "not an image in a known format"),
        ("missing.png", {}, "missing.png: No such file"),
        (np.zeros((2, 2)), {"ssim": "gausian"}, "did you mean gaussian?"),
        (np.zeros((2, 2)), {"data_range": 0}, "data_range is 0"),
        (np.zeros((2, 2)), {"data_range": "1"}, "data_range is '1'"),
    ],
)
def test_wrong_arguments(value, options, words):
    """Each is refused in one sentence that names the argument."""
    with pytest.raises(convcli.ConvcliError) as caught:
        convcli.compare(value, np.zeros((2, 2)), **options)
    assert words in str(caught.value)


def test_frames_of_several_kinds(tmp_path):
    """Gray and RGBA pages of one file: every frame has its own channels, with and without alpha."""
    rng = np.random.default_rng(1)
    pages = [rng.integers(0, 256, (9, 8), np.uint8), rng.integers(0, 256, (12, 10, 4), np.uint8)]
    for name, red, alpha in (("a", 0, 0), ("b", 9, 0), ("c", 0, 9)):
        page = pages[1].copy()
        page[5, 6] ^= np.array([0, 0, red, alpha], np.uint8)
        with tifffile.TiffWriter(tmp_path / f"{name}.tif") as file:
            file.write(pages[0], photometric="minisblack")
            file.write(page, photometric="rgb", extrasamples=["unassalpha"])
    a, b, c = (tmp_path / f"{name}.tif" for name in "abc")
    result = convcli.compare(a, b)
    assert (result.values, result.differing) == (9 * 8 + 12 * 10 * 4, 1)
    largest = result.statistics.largest
    assert (largest.frame, largest.row, largest.column, largest.channel) == (1, 5, 6, 2)
    assert convcli.compare(a, c).differing == 1
    without = convcli.compare(a, c, ignore_alpha=True)
    assert (without.identical, without.values) == (True, 9 * 8 + 12 * 10 * 3)


@pytest.mark.parametrize("value", [[[1], [2, 3]], object(), np.zeros((1, 1, 1, 1, 1))])
def test_what_is_no_image_is_an_argument_error(value):
    """Whatever cannot be converted is refused by one line, not with the error of another library."""
    with pytest.raises(ArgumentError, match=r"^b "):
        convcli.compare(np.zeros((2, 2)), value)


def test_matrices_and_rare_modes_of_pillow():
    """A subclass with rules of its own, and colors multiplied by alpha, are images like any other."""
    with pytest.warns(PendingDeprecationWarning):
        matrix = np.matrix([[1, 2], [3, 4]])
    assert convcli.compare(matrix, np.asarray(matrix)).identical
    assert convcli.apply(matrix, "box3").maps.shape == convcli.apply(np.asarray(matrix), "box3").maps.shape
    assert convcli.compare(Image.new("La", (9, 8)), np.zeros((8, 9, 2), np.uint8)).identical
