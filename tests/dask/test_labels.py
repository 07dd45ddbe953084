"""Labeled arrays of xarray: dimensions by name, coordinates at the centers of windows, attributes."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import convcli
import convcli.dask

xr = pytest.importorskip("xarray", reason="labeled arrays need xarray")

RANDOM = np.random.default_rng(3)
PIXELS = RANDOM.integers(0, 256, (3, 12, 10), np.uint8)


def labeled(**coords) -> xr.DataArray:
    """Three images of 12 × 10, at one-hour steps."""
    hours = np.datetime64("2026-01-01T00", "ns") + np.arange(3) * np.timedelta64(1, "h")
    known = {"time": hours, "y": 100 - 10.0 * np.arange(12), "x": np.arange(10) * 3}
    attrs = {"units": "K", "valid_max": 255, "long_name": "brightness"}
    return xr.DataArray(PIXELS, dims=("time", "y", "x"), coords={**known, **coords}, name="b", attrs=attrs)


def conv(x: xr.DataArray, weights="box3", dims=("y", "x"), **options) -> xr.DataArray:
    """The result in memory, which the lazy one of every chunking must be identical to."""
    result = convcli.dask.conv(x, weights, dims=dims, **options)
    for chunks in ({x.dims[0]: 1, "y": 5, "x": 4}, {"y": 1}):
        lazy = convcli.dask.conv(x.chunk(chunks), weights, dims=dims, **options)
        assert lazy.chunks is not None
        assert lazy.dtype == result.dtype
        xr.testing.assert_identical(lazy.compute(), result)
    return result


def test_dimensions_are_filtered_by_name():
    """Other dimensions are filtered alike; the order of names is that of the kernel's axes."""
    x, weights = labeled(), RANDOM.normal(size=(2, 5))
    expected = np.stack([convcli.conv(image, weights, steady=True) for image in PIXELS])
    found = conv(x, weights)
    np.testing.assert_array_equal(found, expected)
    assert found.dims == x.dims
    turned = np.stack([convcli.conv(image.T, weights, steady=True).T for image in PIXELS])
    np.testing.assert_array_equal(conv(x, weights, dims=("x", "y")), turned)
    moved = conv(x.transpose("x", "time", "y"), weights)
    assert moved.dims == ("x", "time", "y")
    np.testing.assert_array_equal(moved.transpose(*x.dims), expected)


def test_one_dimension_and_all_of_them():
    """A signal by the name of its dimension; a volume needs no names."""
    signal = conv(labeled(), [1, 2, 1], dims="time", padding="same")
    expected = [convcli.conv(column, [1, 2, 1], padding="same") for column in PIXELS.reshape(3, -1).T]
    np.testing.assert_array_equal(signal.values.reshape(3, -1).T, expected)
    volume = conv(labeled(), np.ones((3, 3, 3), int), dims=None)
    np.testing.assert_array_equal(volume, convcli.conv(PIXELS, np.ones((3, 3, 3), int)))


@pytest.mark.parametrize("order", [("band", "y", "x"), ("y", "x", "band"), ("y", "band", "x")])
def test_channels_are_a_dimension(order):
    """Weights with channels sum them; the maps take their place, without their coordinates."""
    x = labeled().rename(time="band").transpose(*order)
    first = order[0] == "band"
    weights = RANDOM.integers(-3, 4, (5, 3, 3, 3) if first else (3, 3, 3, 5))
    found = conv(x, weights, channels="band")
    plain = np.moveaxis(weights, (0, 1), (-1, -2)) if first else weights
    expected = convcli.conv(np.moveaxis(PIXELS, 0, -1), plain, channels="last")
    assert found.sizes == {**x.sizes, "band": 5, "y": 10, "x": 8}
    np.testing.assert_array_equal(found.transpose("y", "x", "band"), expected)
    assert "band" not in found.coords


def test_channels_filtered_by_themselves_keep_their_coordinates():
    """A kernel without channels filters each of them."""
    found = conv(labeled(), "box3", channels="time")
    assert found.identical(conv(labeled(), "box3"))


COORDINATES = {
    "same": ({"padding": "same"}, 100 - 10.0 * np.arange(12), 3 * np.arange(10)),
    "valid": ({}, 100 - 10.0 * np.arange(1, 11), 3 * np.arange(1, 9)),
    "full": ({"padding": "full"}, 100 - 10.0 * np.arange(-1, 13), 3 * np.arange(-1, 11)),
    "stride 2": ({"stride": 2}, 100 - 10.0 * np.arange(1, 11, 2), 3 * np.arange(1, 9, 2)),
    "stride 3, same": ({"stride": 3, "padding": "same"}, 90 - 30.0 * np.arange(4), 3 * np.arange(0, 10, 3)),
    "sides": ({"padding": ((2, 0), (0, 1))}, 100 - 10.0 * np.arange(-1, 11), 3 * np.arange(1, 10)),
    "dilation": ({"dilation": (2, 3)}, 100 - 10.0 * np.arange(2, 10), 3 * np.arange(3, 7)),
    "transposed": (
        {"transposed": True, "stride": 2, "padding": 1},
        100 - 5.0 * np.arange(23),
        1.5 * np.arange(19),
    ),
}


@pytest.mark.parametrize("case", sorted(COORDINATES))
def test_coordinates_are_those_of_window_centers(case):
    """Stepped by the stride, moved by what padding lacks, and continued beyond the edges."""
    options, rows, columns = COORDINATES[case]
    found = conv(labeled(), **options)
    np.testing.assert_array_equal(found.y, rows)
    np.testing.assert_array_equal(found.x, columns)
    assert found.x.dtype == (np.float64 if case == "transposed" else np.int64)
    assert found.time.identical(labeled().time)


def test_even_windows_lie_between_pixels():
    """Numbers and times are interpolated, in their own units."""
    found = conv(labeled(), np.ones((2, 4), int))
    np.testing.assert_array_equal(found.y, 95 - 10.0 * np.arange(11))
    np.testing.assert_array_equal(found.x, 4.5 + 3 * np.arange(7))
    times = conv(labeled(), [1, 1], dims="time").time
    expected = np.datetime64("2026-01-01T00:30", "ns") + np.arange(2) * np.timedelta64(1, "h")
    np.testing.assert_array_equal(times, expected)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0.0, 1, 4, 9]), [-0.5, 0.5, 2.5, 6.5, 11.5]),
        (np.array([0, 2, 4, 6], np.uint8), [-1, 1, 3, 5, 7]),
        (np.arange(4).astype("m8[D]"), np.arange(-12, 100, 24).astype("m8[h]")),
        (np.array(["2026-01-01", "2026-01-03", "2026-01-05", "2026-01-07"], "M8[s]"), None),
    ],
    ids=["uneven", "unsigned", "differences", "times"],
)
def test_interpolation(values, expected):
    """Half a pixel before the first to half a pixel after the last."""
    x = xr.DataArray(np.arange(4.0), dims="t", coords={"t": values})
    found = convcli.dask.conv(x, [1, 1], padding=1).t
    if expected is None:
        expected = np.array("2025-12-31", "M8[D]") + 2 * np.arange(5)
    np.testing.assert_array_equal(found, expected)


def test_other_calendars():
    """Times that NumPy does not know are interpolated as well."""
    cftime = pytest.importorskip("cftime")
    days = [cftime.DatetimeNoLeap(2024, 2, 27 + day) for day in range(2)]
    x = xr.DataArray([1.0, 2.0], dims="t", coords={"t": days})
    assert convcli.dask.conv(x, [1, 1]).t.item() == cftime.DatetimeNoLeap(2024, 2, 27, 12)


def test_other_coordinates():
    """Scalars, those of several dimensions and names are kept where the result lies on pixels."""
    others = {
        "height": 2.0,
        "latitude": (("y", "x"), PIXELS[0] * 0.5),
        "name": ("x", list("abcdefghij")),
        "sector": ("y", np.arange(12) ** 2),
    }
    found = conv(labeled(**others), stride=2)
    assert found.height == 2
    np.testing.assert_array_equal(found.latitude, PIXELS[0, 1:11:2, 1:9:2] * 0.5)
    assert found["name"].values.tolist() == list("bdfh")
    assert found.sector.values.tolist() == [1, 9, 25, 49, 81]


def test_coordinates_that_cannot_be_found_out_are_dropped():
    """With a warning that names them; a coordinate of one dimension is interpolated."""
    others = {
        "latitude": (("y", "x"), PIXELS[0]),
        "name": ("x", list("abcdefghij")),
        "at": ("x", np.arange(10)),
    }
    with pytest.warns(UserWarning, match="dropped.*'latitude', 'name'$") as caught:
        found = convcli.dask.conv(labeled(**others), [[1, 1]], dims=("y", "x"))
    assert caught[0].filename == __file__
    assert set(found.coords) == {"time", "x", "y", "at"}
    np.testing.assert_array_equal(found["at"], np.arange(9) + 0.5)
    with pytest.warns(UserWarning, match="'name'"):
        assert (
            "name" not in convcli.dask.conv(labeled(**others), "box3", dims=("y", "x"), padding="full").coords
        )


def test_labels_of_several_levels():
    """An index of pairs is stepped with its levels."""
    pandas = pytest.importorskip("pandas")
    pairs = pandas.MultiIndex.from_product([range(2), range(5)], names=("block", "place"))
    x = labeled().drop_vars("x").assign_coords(xr.Coordinates.from_pandas_multiindex(pairs, "x"))
    found = conv(x, stride=2)
    assert found.place.values.tolist() == [1, 3, 0, 2]


def test_dimensions_without_coordinates():
    """Get none."""
    found = convcli.dask.conv(xr.DataArray(PIXELS[0]), "box3", stride=2)
    assert not found.coords


def test_attributes():
    """The name, units and texts are kept, ranges of the values are not; the input's stay as they are."""
    place = ((), 0, {"GeoTransform": "0 3 0 100 0 -10", "crs_wkt": "LOCAL"})
    x = labeled(spatial_ref=place)
    found = conv(x)
    assert (found.name, found.attrs) == ("b", {"units": "K", "long_name": "brightness"})
    assert found.spatial_ref.attrs == {"crs_wkt": "LOCAL"}
    assert conv(x, padding="same").spatial_ref.attrs == place[2]
    assert x.spatial_ref.attrs == place[2] and x.attrs["valid_max"] == 255
    with xr.set_options(keep_attrs=False):
        assert convcli.dask.conv(x, "box3", dims=("y", "x")).attrs == {}


def test_nothing_is_computed():
    """Coordinates and the result of an array in chunks are found without its values."""
    da = pytest.importorskip("dask.array")

    def refuse(block):
        raise AssertionError("a chunk was computed")

    data = da.zeros((12, 10), chunks=4).map_blocks(refuse, dtype="f8", meta=np.empty((0, 0)))
    x = xr.DataArray(data, dims=("y", "x"), coords={"area": (("y", "x"), data)})
    found = convcli.dask.conv(x, "box3", stride=2)
    assert found.area.chunks is not None and found.shape == found.area.shape


REFUSED = {
    "no names": ({"dims": None}, r"'time', 'y', 'x', but weights have 2 axes; .*dims=\('y', 'x'\)"),
    "unknown": ({"dims": ("y", "lon")}, r"dims \('y', 'lon'\) must name 2 of 'time', 'y', 'x'"),
    "twice": ({"dims": ("y", "y")}, "must name 2"),
    "too few": ({"dims": "y"}, "must name 2"),
    "channels": ({"channels": "band"}, "channels 'band' is not a dimension of x"),
    "channels too": ({"dims": ("y", "x"), "channels": "x"}, "must name 2 of 'time', 'y'"),
    "maps": ({"weights": np.ones((3, 3, 1, 4))}, "weights have 4 axes"),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_what_is_refused(case):
    """With the dimensions that the array has."""
    options, message = REFUSED[case]
    with pytest.raises(convcli.ArgumentError, match=message):
        convcli.dask.conv(labeled(), **{"weights": "box3", "dims": ("y", "x"), **options})


def test_kernels_with_several_maps_need_channels():
    """Maps take the place of channels, so there must be some."""
    kernel = convcli.Kernel(np.ones((3, 3, 1, 4)))
    with pytest.raises(convcli.ArgumentError, match="4 maps"):
        convcli.dask.conv(labeled(), kernel, dims=("y", "x"))


def test_no_warning_without_a_reason():
    """A plain call warns of nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        conv(labeled(), padding="same")
