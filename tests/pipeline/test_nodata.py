"""``--nodata``: pixels without data are left out, against a slow loop over fractions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
import tifffile

import convcli
from convcli.geometry.padding import Padding
from convcli.pipeline.job import apply
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.nodata import Nodata, stored_value
from convcli.pipeline.settings import Settings

EPSILON = 1e-6
RNG = np.random.default_rng(11)
HOLES = RNG.random((23, 31)) < 0.1
HOLES[4:10, 8:15] = True


def written(path, pixels, nodata=None, **options):
    """A TIFF with GDAL's nodata tag, and its name."""
    tags = [] if nodata is None else [(42113, 2, 0, str(nodata), True)]
    kind = {"photometric": "rgb" if pixels.shape[2:] in ((3,), (4,)) else "minisblack"} | options
    tifffile.imwrite(path, pixels, metadata=None, extratags=tags, **kind)
    return path


@dataclass
class Windows:
    """The windows of a slow loop: weights as integers, ``scale`` for each, and where they lie."""

    taps: np.ndarray
    scale: Fraction
    stride: tuple[int, int]
    dilation: tuple[int, int]
    pads: list[list[int]]
    fill: str
    """A number, "ignore", or NumPy's name of a padding."""

    def padded(self, values, outside):
        """An array with its padding; ``outside`` is the constant."""
        if self.fill == "ignore" or self.fill.isdigit():
            return np.pad(values, self.pads, constant_values=outside)
        return np.pad(values, self.pads, mode=self.fill)

    def results(self, pixels, missing, strict=False):
        """Per window: None without data at its center, else S · Σ w·x / Σ w over pixels with data.

        Args:
            pixels, missing: (rows, columns).
            strict: a window over any missing pixel gives None.

        Returns:
            (rows, columns) of fractions and None, and which windows have all data.
        """
        constant = int(self.fill) if self.fill.isdigit() else 0
        x = self.padded(np.where(missing, 0, pixels).astype(object), constant)
        gone, left_out = self.padded(missing, False), self.padded(missing, self.fill == "ignore")
        span = [(n - 1) * d + 1 for n, d in zip(self.taps.shape, self.dilation, strict=True)]
        sizes = [(n - k) // s + 1 for n, k, s in zip(x.shape, span, self.stride, strict=True)]
        found, full = np.empty(sizes, object), np.ones(sizes, bool)
        whole = Fraction(int(self.taps.sum())) * self.scale
        for at in np.ndindex(*sizes):
            first = [index * step for index, step in zip(at, self.stride, strict=True)]
            part = tuple(
                slice(start, start + length, step)
                for start, length, step in zip(first, span, self.dilation, strict=True)
            )
            center = gone[tuple(start + (n - 1) // 2 for start, n in zip(first, span, strict=True))]
            weights = np.where(left_out[part], 0, self.taps)
            full[at] = not center and np.array_equal(weights, self.taps)
            products, total = Fraction((weights * x[part]).sum()), int(weights.sum())
            if strict:
                found[at] = products * self.scale if full[at] else None
            else:
                found[at] = whole * products / total if total and not center else None
        return found, full


@pytest.mark.parametrize("seed", range(60))
def test_every_geometry(tmp_path, seed):
    """Any stride, dilation, padding, direction and type: as the loop says; full windows as without it."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(rng.choice(["u1", "i2", "u2", "f4", "f8"]))
    strict = bool(rng.integers(2))
    fill = rng.choice(["0", "3", "edge", "wrap", "reflect", *([] if strict else ["ignore"])])
    image = rng.integers(0, 60, rng.integers(6, 14, 2)).astype(dtype)
    missing = rng.random(image.shape) < rng.choice([0.03, 0.4])
    value = {"u": 200, "i": -9999}.get(dtype.kind, rng.choice([-9999.0, np.nan]))
    image[missing] = value
    least = -3 if strict else 0
    kernel = convcli.Kernel(rng.integers(least, 4, rng.integers(1, 6, 2)) + np.eye(1), scale="1/7", bias=2)
    stride, dilation, pads = rng.integers(1, 4, 2), rng.integers(1, 3, 2), rng.integers(0, 4, (2, 2))
    pads = np.minimum(pads, 2) if fill in ("wrap", "reflect") else pads
    extent = [(n - 1) * d + 1 for n, d in zip(kernel.shape, dilation, strict=True)]
    if any(e > n + p.sum() for e, n, p in zip(extent, image.shape, pads, strict=True)):
        pytest.skip("the window does not fit")
    flip, taps = bool(rng.integers(2)), np.asarray(kernel.exact.numerators)
    source = written(tmp_path / "in.tif", image, value)
    results = []
    for choice in ("auto", "none"):
        out = tmp_path / f"{choice}.tif"
        settings = Settings(
            kernel,
            stride=tuple(stride.tolist()),
            dilation=tuple(dilation.tolist()),
            padding=Padding.parse(f"{','.join(map(str, pads.ravel()))}:{fill}"),
            flip=flip,
            mapping=Mapping("raw"),
            output=OutputSpec(str(out)),
            nodata=Nodata.parse(choice),
        )
        apply(str(source), settings)
        results.append(tifffile.imread(out))
    found, plain = results
    windows = Windows(
        taps[::-1, ::-1] if flip else taps,
        Fraction(1, kernel.exact.denominator),
        stride,
        dilation,
        pads.tolist(),
        fill,
    )
    due, full = windows.results(image, missing, strict=bool((taps < 0).any() or not taps.sum()))
    assert found.shape == due.shape
    values = np.array([value if d is None else float(d + 2) for d in due.ravel()]).reshape(due.shape)
    assert np.allclose(found, values, rtol=EPSILON, atol=EPSILON, equal_nan=True)
    empty = np.array([d is None for d in due.ravel()]).reshape(due.shape)
    written_value = np.asarray(stored_value(float(value), found.dtype))
    assert np.array_equal(found[empty], np.full(empty.sum(), written_value), equal_nan=True)
    if fill != "ignore":
        assert np.array_equal(found[full & ~empty], plain[full & ~empty], equal_nan=True)


def read(path):
    """Pixels, and the nodata tag as text; None without one."""
    with tifffile.TiffFile(path) as file:
        tag = file.pages[0].tags.get(42113)
        return file.asarray(), tag and tag.value


def test_bands_are_without_data_each_by_itself(run, tmp_path):
    """Bands of data have their own holes, and colors of a photograph go together."""
    bands = RNG.integers(1, 90, (23, 31, 3)).astype(np.int16)
    gone = RNG.random(bands.shape) < 0.1
    bands[gone] = -9999
    source, out = written(tmp_path / "in.tif", bands, -9999), tmp_path / "out.tif"
    ran = run("apply", source, "-k", "box3", "-o", out)
    assert f"nodata -9999: {gone.sum()} values of the input left out" in ran.text
    assert np.array_equal(read(out)[0] == -9999, gone)
    colors = bands.astype(np.uint8)
    colors[gone], colors[4:9, 5:9] = 0, 0
    source = written(tmp_path / "photo.tif", colors, 0)
    ran = run("apply", source, "-k", "box3", "-o", out, "--force", "--report", "json")
    whole = (colors == 0).all(-1)
    assert json.loads(ran.text)["pixels"]["ignored"] == whole.sum()
    assert np.array_equal((read(out)[0] == 0).all(-1), whole)


@pytest.mark.parametrize("channels", ["gray", "sum"])
def test_summed_channels_need_all_data(run, tmp_path, channels):
    """Where channels are summed, a pixel without data in one of them is left out."""
    bands = RNG.integers(1, 90, (23, 31, 3)).astype(np.float32)
    bands[HOLES, RNG.integers(0, 3, HOLES.sum())] = -1
    source, out = written(tmp_path / "in.tif", bands, -1), tmp_path / "out.tif"
    assert run("apply", source, "-k", "box3", "--channels", channels, "-o", out).code == 0
    shares = (1, 1, 1) if channels == "sum" else (0.299, 0.587, 0.114)
    windows = Windows(np.ones((3, 3), int), Fraction(1, 9), (1, 1), (1, 1), [[1, 1]] * 2, "reflect")
    thousands = (bands * np.rint(np.array(shares) * 1000)).sum(-1).astype(np.int64)
    due, _ = windows.results(thousands, HOLES)
    values = np.array([-1 if v is None else float(v) / 1000 for v in due.ravel()]).reshape(due.shape)
    assert np.allclose(read(out)[0], values, rtol=EPSILON)


OUTPUTS = [
    ("i2", "-9999", (), "int16", "-9999"),
    ("i2", "-9999", ("--map", "raw"), "float32", "-9999"),
    ("i2", "-9999", ("--depth", "8", "--map", "stretch"), "uint8", "0"),
    ("f4", "-3.4028234663852886e+38", (), "float32", "-3.4028234663852886e+38"),
    ("f4", "-3.40282347e+38", (), "float32", "-3.4028234663852886e+38"),
    ("f4", "nan", (), "float32", "nan"),
    ("f4", "nan", ("--map", "stretch"), "uint16", "0"),
    ("f8", "1e20", (), "float64", "100000000000000000000"),
    ("u1", "255", (), "uint8", "255"),
    ("u2", "0", ("-k", "sobel"), "uint16", "0"),
    ("i4", "2147483647", ("--map", "raw"), "float32", "2147483648"),
]


@pytest.mark.parametrize(("dtype", "value", "options", "result", "tag"), OUTPUTS)
def test_pixels_and_tag_agree(run, tmp_path, dtype, value, options, result, tag):
    """The tag states what pixels without data are: the value, or 0 where the type does not hold it."""
    image = RNG.integers(1, 90, HOLES.shape).astype(dtype)
    image[HOLES] = stored_value(float(value), image.dtype)
    source, out = written(tmp_path / "in.tif", image, value), tmp_path / "out.tif"
    options = options if "-k" in options else ("-k", "box3", *options)
    ran = run("apply", source, *options, "-o", out)
    assert ran.code == 0, ran.err
    pixels, found = read(out)
    assert (pixels.dtype, float(found)) == (np.dtype(result), pytest.approx(float(tag), nan_ok=True))
    at_holes = pixels[HOLES].astype(float)
    assert np.array_equal(at_holes, np.full(HOLES.sum(), float(found)), equal_nan=True)
    shown = "" if float(value) == pytest.approx(float(tag), nan_ok=True) else f"cannot hold nodata {value}"
    assert shown in ran.text


def test_results_that_are_the_value_are_counted(run, tmp_path):
    """Where a result with data is the nodata value, the report says how often."""
    image = np.zeros((12, 12), np.uint8)
    image[:6], image[10, 10] = 6, 255
    source = written(tmp_path / "in.tif", image, 255)
    ran = run("apply", source, "-k", "box3", "--bias", "249", "-o", tmp_path / "out.tif")
    pixels, _ = read(tmp_path / "out.tif")
    taken = np.count_nonzero(pixels == 255) - 1
    assert taken
    assert f"{taken} values with data are the nodata value too" in ran.text


def test_where_the_value_comes_from(run, tmp_path):
    """The file's tag by default; a number instead; none filters it, and says so."""
    image = RNG.integers(1, 90, HOLES.shape).astype(np.int16)
    image[HOLES] = -9999
    source, out = written(tmp_path / "in.tif", image, -9999), tmp_path / "out.tif"
    results = {}
    for choice in ("auto", "-9999", "none", "7"):
        ran = run("apply", source, "-k", "box3", "--nodata", choice, "-o", out, "--force")
        assert ran.code == 0, ran.err
        results[choice] = *read(out), ran.text
    assert np.array_equal(results["auto"][0], results["-9999"][0])
    assert results["auto"][1] == "-9999" and results["7"][1] == "7"
    assert results["none"][1] is None and results["none"][0].min() < -1000
    assert "nodata -9999 is left out and filtered like any other value" in results["none"][2]
    ran = run("apply", source, "-k", "box3", "--ignore", "-9999", "-o", out, "--force")
    assert "because --ignore says what counts" in ran.text
    other = written(tmp_path / "u.tif", image.astype(np.uint8), -9999)
    ran = run("apply", other, "-k", "box3", "-o", out, "--force")
    assert "nodata -9999 is left out: no pixel of uint8 can have it" in ran.text
    ran = run("apply", source, "-k", "box3", "-o", tmp_path / "out.png", "--map", "stretch", "--depth", "8")
    assert "left out, because png cannot store it: nodata value" in ran.text
    ran = run("apply", source, "-k", "sobel-x", "--colormap", "diverging", "-o", tmp_path / "c.png")
    assert "window that lacks data: colored as the lowest value" in ran.text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--then", "relu"), "its nodata value -1 cannot be left out with --then"),
        (("--transposed",), "with --transposed"),
        (("--nodata", "3", "--ignore", "nan"), "both say which pixels are left out"),
        (("--nodata", "x"), "--nodata 'x' is not auto, none or a number"),
        (("-k", "sobel-x", "--padding", "same:ignore"), "padding fill ignore cannot be used"),
    ],
)
def test_refusals(run, tmp_path, options, words):
    """One line says what does not go together, and what to do."""
    source = written(tmp_path / "in.tif", np.eye(9, dtype=np.float32), -1)
    kernel = () if "-k" in options else ("-k", "box3")
    ran = run("apply", source, *kernel, *options, "-o", tmp_path / "out.tif")
    assert ran.code != 0
    assert words in ran.err


def test_explained_windows_have_data(run, tmp_path):
    """A window with all its data is explained as ever; others are refused."""
    image = np.arange(100, dtype=np.float32).reshape(10, 10)
    image[0, 0] = -1
    source = written(tmp_path / "in.tif", image, -1)
    ran = run("explain", source, "-k", "box3", "--at", "5,5")
    assert ran.code == 0 and "55" in ran.text
    ran = run("explain", source, "-k", "box3", "--at", "1,1")
    assert "the window of 1,1 reads pixels without data (nodata -1)" in ran.err


def test_masked_by_gdal(run, tmp_path):
    """GDAL's own mask of the result is the input's: a center without data gives none."""
    rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")
    image = RNG.random(HOLES.shape).astype(np.float32)
    image[HOLES] = -9999
    profile = {"driver": "GTiff", "height": 23, "width": 31, "count": 1, "dtype": "float32", "nodata": -9999}
    place = rasterio.Affine(2, 0, 0, 0, -2, 0)
    with rasterio.open(tmp_path / "in.tif", "w", crs="EPSG:32633", transform=place, **profile) as file:
        file.write(image, 1)
    assert run("apply", tmp_path / "in.tif", "-k", "gaussian:1", "-o", tmp_path / "out.tif").code == 0
    with rasterio.open(tmp_path / "out.tif") as file:
        values = file.read(1, masked=True)
    assert np.array_equal(values.mask, HOLES)
    assert 0 <= values.min() <= values.max() <= 1
