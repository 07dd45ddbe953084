"""Georeferences and pixel sizes of TIFF in results in Zarr, and back."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

from convcli.formats.zarr.georeference import (
    _GEOGRAPHIC_CODES,
    _PROJECTED_CODES,
    georeference_attributes,
    stated_georeference,
)

pytest.importorskip("zarr")
PIXELS = np.random.default_rng(3).integers(0, 200, (40, 53)).astype(np.uint8)
LAEA = "+proj=laea +lat_0=52 +lon_0=10 +ellps=GRS80 +units=m"


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    ("transform", "crs", "point", "options"),
    [
        ((10, 0, 4e5, 0, -10, 45e5), "EPSG:32633", False, ["--stride", 2]),
        ((8, -6, 4e5, -6, -8, 45e5), "EPSG:3857", False, ["--stride", "3,2", "--padding", "valid"]),
        ((0.1, 0, 5, 0, -0.1, 50), "EPSG:4326", True, ["--stride", 2, "--padding", "2,1,0,3:edge"]),
        ((30, 0, 5e5, 0, 30, -1000), LAEA, False, ["--dilation", 2, "--padding", "full"]),
    ],
)
def test_georeferences(run, tmp_path, transform, crs, point, options):
    """A result in Zarr lies where GDAL finds that in TIFF, and so does a TIFF that is made of the Zarr."""
    rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "height": 40, "width": 53, "crs": crs}
    affine = rasterio.transform.Affine(*transform)
    with rasterio.open(tmp_path / "in.tif", "w", transform=affine, **profile) as file:
        file.write(PIXELS, 1)
        if point:
            file.update_tags(AREA_OR_POINT="Point")
    for name in ("out.zarr", "out.tif"):
        run("apply", tmp_path / "in.tif", "-k", "box3", "-o", tmp_path / name, *options)
    run("apply", tmp_path / "out.zarr", "-k", "identity", "-o", tmp_path / "back.tif")
    attributes = json.loads((tmp_path / "out.zarr" / "zarr.json").read_text())["attributes"]
    with rasterio.open(tmp_path / "out.tif") as whole, rasterio.open(tmp_path / "back.tif") as back:
        assert back.transform.almost_equals(whole.transform) and back.crs == whole.crs
        assert back.tags()["AREA_OR_POINT"] == whole.tags()["AREA_OR_POINT"]
        stated = np.array(attributes["spatial:transform"]).reshape(2, 3)
        if attributes["spatial:registration"] == "node":  # whose transform is that of centers
            stated[:, 2] -= stated[:, :2].sum(1) / 2
        assert stated.ravel() == pytest.approx(tuple(whole.transform)[:6])
        assert attributes["spatial:shape"] == [*whole.shape]
        assert attributes.get("proj:code") == (crs if crs.startswith("EPSG") else None)
    assert attributes["spatial:dimensions"] == ["y", "x"]
    assert {one["name"] for one in attributes["zarr_conventions"]} >= {"spatial:"}


PLACE = {"spatial:transform": [10.0, 0.0, 5.0, 0.0, -10.0, 9.0]}


@pytest.mark.parametrize(
    ("attributes", "kind", "code"),
    [
        ({"proj:code": "EPSG:4326"}, 2, 4326),
        ({"proj:code": "EPSG:3857"}, 1, 3857),
        ({"proj:code": "EPSG:4647"}, 1, 4647),
        ({"proj:code": "EPSG:7844", "proj:wkt2": 'GEOGCRS["GDA2020"]'}, 2, 7844),
        ({"proj:projjson": {"type": "ProjectedCRS", "id": {"authority": "EPSG", "code": 9377}}}, 1, 9377),
        ({"proj:code": "EPSG:6933"}, 1, 6933),
        ({"proj:code": "EPSG:7372"}, None, None),
        ({"proj:code": "IAU_2015:30100"}, None, None),
        ({"proj:wkt2": 'PROJCRS["mine"]'}, None, None),
        ({"proj:code": 7, "proj:projjson": [], "geotiff": {"GeoKeyDirectoryTag": [-1]}}, None, None),
    ],
)
def test_coordinate_systems_of_others(attributes, kind, code):
    """A code becomes keys of GeoTIFF if it is known to be geographic or projected; else a note says so."""
    place, note = stated_georeference({**attributes, **PLACE})
    assert place.scale == (10.0, 10.0, 0.0) and place.ties == (0.0, 0.0, 0.0, 5.0, 9.0, 0.0)
    assert (code in place.keys and kind in place.keys) if code else place.keys == ()
    assert bool(note) == (code is None)


def test_the_table_of_codes():
    """PROJ says the same of the codes at the ends of every run of the table."""
    crs = pytest.importorskip("rasterio.crs", reason="rasterio is not installed")
    for runs, kind in ((_GEOGRAPHIC_CODES, "is_geographic"), (_PROJECTED_CODES, "is_projected")):
        for code in {code for run in runs for code in run} - {4327, 4390, 4882, 20047, 32766}:
            assert getattr(crs.CRS.from_epsg(code), kind), code


def test_keys_of_another_system_do_not_count():
    """Where somebody has changed the code, the keys of the file that was read are those of another system."""
    first, _ = stated_georeference({"proj:code": "EPSG:4326", **PLACE})
    stored, _ = georeference_attributes(first, ("y", "x"), (4, 5))
    again, _ = stated_georeference(stored)
    assert again == first
    other, _ = stated_georeference({**stored, "proj:code": "EPSG:32633"})
    assert 32633 in other.keys and 4326 not in other.keys


@pytest.mark.parametrize(("axes", "shape", "kept"), [("ZYX", (4,), "zyx"), ("TCYX", (2, 3), "tcyx")])
def test_pixel_sizes(run, tmp_path, axes, shape, kept):
    """A calibrated stack becomes an OME image, stepped and shifted, whose TIFF has the pixel sizes again."""
    metadata = {"axes": axes, "unit": "um", "spacing": 1.5}
    pixels = np.broadcast_to(PIXELS, (*shape, 40, 53))
    tifffile.imwrite(tmp_path / "in.tif", pixels, imagej=True, resolution=(4.0, 2.0), metadata=metadata)
    run("apply", tmp_path / "in.tif", "-k", "box3", "--stride", 2, "-o", tmp_path / "out.zarr")
    group = json.loads((tmp_path / "out.zarr" / "zarr.json").read_text())["attributes"]["ome"]
    (image,) = group["multiscales"]
    scale, moved = (next(iter([*change.values()][1:])) for change in image["datasets"][0][CHANGES])
    assert [axis["name"] for axis in image["axes"]] == [*kept]
    assert scale[-2:] == [1.0, 0.5] and moved[-2:] == [0.5, 0.0]
    assert scale[0] == (1.5 if axes[0] == "Z" else 1.0)
    run("apply", tmp_path / "out.zarr", "-k", "identity", "-o", tmp_path / "back.tif")
    with tifffile.TiffFile(tmp_path / "back.tif") as back:
        assert 'PhysicalSizeX="0.5" PhysicalSizeXUnit="µm"' in back.ome_metadata


CHANGES = "coordinateTransformations"


def test_axes_that_ome_zarr_cannot_have(run, tmp_path):
    """Depth before channels is an order that OME-Zarr does not allow: a note says what is left out."""
    metadata = {"axes": "ZCYX", "unit": "um"}
    pixels = np.broadcast_to(PIXELS, (2, 3, 40, 53))
    tifffile.imwrite(tmp_path / "in.tif", pixels, imagej=True, resolution=(4.0, 2.0), metadata=metadata)
    ran = run("apply", tmp_path / "in.tif", "-k", "box3", "-o", tmp_path / "out.zarr")
    assert "axes and pixel sizes are left out: OME-Zarr orders axes as t, c, z" in ran.out.decode()
