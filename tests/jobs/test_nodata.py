"""Missing data of Zarr arrays and GeoTIFFs that are filtered in pieces."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

from convcli.formats.zarr.nodata import nodata_attributes, stated_nodata
from tests.jobs.sources import zarr_array

zarr = pytest.importorskip("zarr")

RANDOM = np.random.default_rng(5)
HOLES = RANDOM.random((71, 94)) < 0.05
HOLES[20:45, 30:61] = True
SIZES = ("--chunk", "32", "--piece", "64")


def source(place, pixels, kind):
    """A file or an array that states the value of missing data, the lowest of its pixels."""
    value = float(np.nanmin(pixels)) if not np.isnan(pixels).any() else np.nan
    if kind == "tiff":
        tags = [(42113, 2, 0, repr(value), True)]
        tifffile.imwrite(place.with_suffix(".tif"), pixels, metadata=None, extratags=tags)
        return place.with_suffix(".tif"), value
    attributes = nodata_attributes(value, pixels.dtype) | {"units": "m"}
    names = {"dimension_names": ("y", "x"), "attributes": attributes}
    return zarr_array(place.with_suffix(".zarr"), pixels, **names), value


@pytest.mark.parametrize("kind", ["tiff", "zarr"])
@pytest.mark.parametrize("kernel", ["box3", "sobel-x", "gaussian:1.5"])
@pytest.mark.parametrize("missing", [("i2", -9999), ("f4", -9999), ("f4", np.nan)])
def test_pieces_leave_out_missing_data(run, tmp_path, kind, kernel, missing):
    """The bytes of the whole, and the value in the attributes of the result."""
    dtype, value = missing
    pixels = RANDOM.integers(0, 3000, HOLES.shape).astype(dtype)
    pixels[HOLES] = value
    place, stated = source(tmp_path / "in", pixels, kind)
    np.save(tmp_path / "whole.npy", pixels)
    options = ("-k", kernel, "--map", "raw", "-q")
    whole = ("--nodata", str(value), "--steady", "-o", tmp_path / "whole-out.npy")
    assert run("apply", tmp_path / "whole.npy", *options, *whole).code == 0
    ran = run("apply", place, *options, *SIZES, "-o", tmp_path / "out.zarr")
    assert (ran.code, ran.err) == (0, "")
    found = zarr.open(str(tmp_path / "out.zarr"), mode="r")
    assert np.array_equal(found[...].squeeze(), np.load(tmp_path / "whole-out.npy").squeeze(), equal_nan=True)
    assert stated_nodata(found.attrs) == pytest.approx(stated, nan_ok=True)
    assert kind == "tiff" or found.attrs["units"] == "m"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("missing", [("i2", -9999), ("f4", -9999), ("f4", np.nan)])
def test_xarray_masks_results(run, tmp_path, missing):
    """Arrays of xarray are sources, and it masks missing data of results."""
    xarray = pytest.importorskip("xarray")
    dtype, value = missing
    pixels = RANDOM.integers(0, 3000, HOLES.shape).astype("f8")
    pixels[HOLES] = np.nan
    data = xarray.Dataset({"height": (("y", "x"), pixels)})
    encoding = {"height": {"dtype": dtype, "_FillValue": np.dtype(dtype).type(value)}}
    data.to_zarr(tmp_path / "in.zarr", encoding=encoding, zarr_format=3, consolidated=False)
    ran = run("apply", tmp_path / "in.zarr" / "height", "-k", "box3", *SIZES, "-o", tmp_path / "out.zarr")
    assert (ran.code, ran.err) == (0, "")
    assert f"{HOLES.sum()} pixels of the input left out" in ran.text
    stated = stated_nodata(zarr.open(str(tmp_path / "out.zarr"), mode="r").attrs)
    assert stated == pytest.approx(value, nan_ok=True)


def test_the_report_of_pieces_says_what_that_of_the_whole_says(run, tmp_path):
    """Also how many results with data have the value of missing data, which every piece counts."""
    pixels = RANDOM.integers(0, 9, HOLES.shape).astype("u1")
    np.save(tmp_path / "in.npy", pixels)
    words = ("apply", tmp_path / "in.npy", "-k", "box3", "--nodata", "5", "--report", "json", "-o")
    reports = [
        json.loads(run(*words, tmp_path / target, *options).out)
        for target, options in (("whole.npy", ("--steady",)), ("pieces.zarr", SIZES))
    ]
    whole, pieces = (
        [note for note in report["notes"] if "in 4 pieces" not in note and "left out, because" not in note]
        for report in reports
    )
    assert whole == pieces
    assert any("with data" in note for note in whole)
