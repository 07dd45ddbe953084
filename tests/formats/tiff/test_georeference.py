"""Georeferences of filtered GeoTIFFs, as GDAL reads them."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

import convcli
from convcli.geometry.padding import Padding
from convcli.kernels.kernel import Kernel
from convcli.kernels.library import load_kernel
from convcli.pipeline.job import apply
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.settings import Settings

rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")
from rasterio.control import GroundControlPoint  # noqa: E402
from rasterio.rpc import RPC  # noqa: E402
from rasterio.transform import Affine  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
ROWS, COLUMNS = 40, 53
KERNEL = Kernel(np.ones((3, 4)), scale="1/12")
PIXELS = np.random.default_rng(3).integers(0, 200, (ROWS, COLUMNS)).astype(np.uint8)
TRANSFORMS = {
    "north up": Affine(10.0, 0.0, 399960.0, 0.0, -10.0, 4500000.0),
    "degrees": Affine(1 / 3600, 0.0, 7.999861111111, 0.0, -1 / 1200, 48.000138888),
    "south up": Affine(30.0, 0.0, 500000.0, 0.0, 30.0, -1000.0),
    "rotated": Affine(8.0, -6.0, 399960.0, -6.0, -8.0, 4500000.0),
}
LAYOUTS = {
    "striped": {},
    "tiled": {"tiled": True, "blockxsize": 16, "blockysize": 16},
    "BigTIFF": {"BIGTIFF": "YES", "compress": "deflate"},
    "COG": {"driver": "COG", "compress": "deflate", "blocksize": 128},
}
PADDINGS = (
    *("same:reflect", "same:edge", "same:zero", "same:wrap", "same:symmetric", "same:ignore"),
    *("valid", "full", "2", "1,2:edge", "3,1,0,2:edge", "0,4,5,0:7"),
)


def georeferenced(path, transform, crs="EPSG:32633", point=False, **options):
    """A GeoTIFF that GDAL writes, and its name."""
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "height": ROWS, "width": COLUMNS} | options
    with rasterio.open(path, "w", crs=crs, transform=transform, **profile) as file:
        file.write(PIXELS, 1)
        if point:
            file.update_tags(AREA_OR_POINT="Point")
    return path


def filtered(source, out, kernel, **settings):
    """What GDAL reads of a result: (CRS, transform, tags, shape)."""
    output = OutputSpec(str(out))
    (report,) = apply(str(source), Settings(kernel, output=output, force=True, **settings))
    with rasterio.open(out) as file:
        return file.crs, file.transform, file.tags(), file.shape, report


def matrix(transform):
    """A transform as (3, 3) numbers."""
    return np.reshape(tuple(transform), (3, 3))


def due(transform, geometry):
    """The transform of a result: output pixel i has the center of its window, s·i + d·(k − 1)/2 − p."""
    rows, columns = (axis for axis in geometry.axes)
    steps = []
    for axis in (columns, rows):
        first = axis.dilation * (axis.kernel - 1) / 2 - axis.before
        steps.append((axis.stride, first + (1 - axis.stride) / 2))
    (across, left), (down, top) = steps
    return matrix(transform) @ [[across, 0, left], [0, down, top], [0, 0, 1]]


def is_close(found, wanted):
    """Whether places differ by less than a millionth of a pixel anywhere on an image."""
    corners = np.array([[0.5, COLUMNS, 0.5, COLUMNS], [0.5, 0.5, ROWS, ROWS], [1, 1, 1, 1]])
    size = abs(np.linalg.det(wanted)) ** 0.5
    return np.abs((matrix(found) - wanted) @ corners).max() < size * 1e-6


CASES = [
    (*case, random.Random(number).choice(list(TRANSFORMS)), random.Random(number + 1).choice(list(LAYOUTS)))
    for number, case in enumerate(itertools.product(PADDINGS, (1, 2, 3), (1, 2), ((3, 3), (2, 4), (7, 1))))
]


@pytest.mark.parametrize(("padding", "stride", "dilation", "size", "where", "layout"), CASES)
def test_windows_keep_their_places(tmp_path, padding, stride, dilation, size, where, layout):
    """The same coordinate system, and each output pixel lies where the center of its window does."""
    kernel = Kernel(np.ones(size), scale="1/9")
    point = bool((stride + dilation + sum(size)) % 2)
    transform = TRANSFORMS[where]
    source = georeferenced(tmp_path / "in.tif", transform, point=point, **LAYOUTS[layout])
    with rasterio.open(source) as file:
        given = file.crs, file.transform, file.tags()["AREA_OR_POINT"]
    strides = (stride, 4 - stride)
    found = filtered(
        source,
        tmp_path / "out.tif",
        kernel,
        stride=strides,
        dilation=(dilation, 1),
        padding=Padding.parse(padding),
    )
    crs, moved, tags, shape, report = found
    assert (crs, tags["AREA_OR_POINT"]) == (given[0], given[2])
    assert shape == report.geometry.output
    assert is_close(moved, due(given[1], report.geometry)), (moved, due(given[1], report.geometry))


@pytest.mark.parametrize(("padding", "stride"), [("valid", 1), ("same:edge", 3), ("3,1,0,2:edge", 2)])
def test_ground_control_points(tmp_path, padding, stride):
    """Control points keep their places on the ground, and move to where these are in the result."""
    corners = [(0, 0), (0, COLUMNS), (ROWS, 0), (ROWS, COLUMNS), (20, 17)]
    points = [GroundControlPoint(row, column, 10 + column / 9, 50 - row / 7, 1) for row, column in corners]
    source = tmp_path / "in.tif"
    with rasterio.open(source, "w", "GTiff", COLUMNS, ROWS, 1, dtype="uint8") as file:
        file.write(PIXELS, 1)
        file.gcps = points, "EPSG:4326"
    output = OutputSpec(str(tmp_path / "out.tif"))
    settings = Settings(KERNEL, stride=(stride, 1), padding=Padding.parse(padding), output=output)
    (report,) = apply(str(source), settings)
    inverse = np.linalg.inv(due(Affine.identity(), report.geometry))
    with rasterio.open(tmp_path / "out.tif") as file:
        found, crs = file.gcps
    assert crs == "EPSG:4326"
    for point, given in zip(found, points, strict=True):
        column, row, _ = inverse @ (given.col, given.row, 1)
        assert (point.x, point.y, point.z) == (given.x, given.y, given.z)
        assert (point.col, point.row) == pytest.approx((column, row))


def test_polynomials_of_the_camera_are_left_out(tmp_path):
    """Rational polynomials are told to be missing: they cannot be said for another sampling exactly."""
    one = [1.0] + [0.0] * 19
    scales = dict.fromkeys(("height_scale", "lat_scale", "line_scale", "long_scale", "samp_scale"), 1)
    offsets = dict.fromkeys(("height_off", "lat_off", "line_off", "long_off", "samp_off"), 1)
    terms = dict.fromkeys(("line_den_coeff", "line_num_coeff", "samp_den_coeff", "samp_num_coeff"), one)
    source = tmp_path / "in.tif"
    with rasterio.open(source, "w", "GTiff", COLUMNS, ROWS, 1, dtype="uint8") as file:
        file.write(PIXELS, 1)
        file.rpcs = RPC(**scales, **offsets, **terms)
    (report,) = apply(str(source), Settings(KERNEL, output=OutputSpec(str(tmp_path / "out.tif"))))
    assert "left out of this tiff: rational polynomial coefficients" in report.notes


def test_vertical_systems_and_long_texts(tmp_path):
    """Compound systems, and those that no number names, are the same in the result."""
    systems = ("EPSG:4326+5773", "+proj=laea +lat_0=52 +lon_0=10 +x_0=1 +y_0=2 +ellps=GRS80 +units=m")
    for number, system in enumerate(systems):
        source = georeferenced(tmp_path / f"{number}.tif", TRANSFORMS["degrees"], crs=system)
        with rasterio.open(source) as file:
            given = file.crs
        found = filtered(source, tmp_path / f"out{number}.tif", KERNEL)
        assert found[0] == given


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_bands_are_no_colors(tmp_path, count, interleave):
    """Bands of data stay gray and undefined, as GDAL names them; those of RGB stay red, green and blue."""
    for kind in ("MINISBLACK", *(["RGB"] if count > 2 else [])):
        options = {"photometric": kind, "interleave": interleave, "count": count, "dtype": "uint16"}
        source, out = tmp_path / f"{kind}.tif", tmp_path / f"{kind}-out.tif"
        profile = {"driver": "GTiff", "height": ROWS, "width": COLUMNS, "crs": "EPSG:3857"} | options
        with rasterio.open(source, "w", transform=TRANSFORMS["north up"], **profile) as file:
            file.write(np.stack([PIXELS] * count))
        with rasterio.open(source) as file:
            given = file.colorinterp
        apply(str(source), Settings(KERNEL, output=OutputSpec(str(out))))
        with rasterio.open(out) as file:
            assert file.colorinterp == given


def test_cloud_optimized_files(tmp_path):
    """A result has strips, which the report says of a file with tiles in a certain order."""
    for layout in ("COG", "tiled"):
        source = georeferenced(tmp_path / f"{layout}.tif", TRANSFORMS["degrees"], **LAYOUTS[layout])
        *_, report = filtered(source, tmp_path / "out.tif", KERNEL)
        said = any("layout of a cloud-optimized GeoTIFF" in note for note in report.notes)
        assert said == (layout == "COG")


@pytest.mark.parametrize(("kernel", "total"), [("box3", 1), ("sobel-x", 0), ("1 1; 1 1", 4)])
def test_scales_of_bands(tmp_path, kernel, total):
    """Scaled results are the results of scaled values, in bands of the same names."""
    values = np.stack([PIXELS, PIXELS[::-1]]).astype(np.int16)
    source, out = tmp_path / "in.tif", tmp_path / "out.tif"
    profile = {"driver": "GTiff", "height": ROWS, "width": COLUMNS, "count": 2, "dtype": "int16"}
    with rasterio.open(source, "w", crs="EPSG:3857", transform=TRANSFORMS["north up"], **profile) as file:
        file.write(values)
        file.scales, file.offsets, file.units = (0.5, 0.01), (-20.0, 0.0), ("m", "<K>")
        file.descriptions = "height & more", "heat"
    loaded = load_kernel(kernel)
    (report,) = apply(str(source), Settings(loaded, mapping=Mapping("raw"), output=OutputSpec(str(out))))
    with rasterio.open(out) as file:
        found = file.read()
        assert (file.scales, file.offsets) == ((0.5, 0.01), (-20.0 * total, 0.0))
        assert file.units == (("m", "<K>") if total == 1 else (None, None))
        assert file.descriptions == ("height & more", "heat")
    scaled = convcli.conv2d(values[0] * 0.5 - 20, loaded, padding="same:reflect")
    assert np.allclose(found[0] * 0.5 - 20 * total, scaled, atol=1e-3)
    mapped = Settings(loaded, mapping=Mapping("stretch"), output=OutputSpec(str(out)), force=True)
    (report,) = apply(str(source), mapped)
    assert any("scales and offsets of bands are left out" in note for note in report.notes)
    with rasterio.open(out) as file:
        assert (file.scales, file.offsets) == ((1, 1), (0, 0))
