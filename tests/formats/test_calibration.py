"""Axes, pixel sizes and georeferences of TIFF results, as tifffile reads them."""

from __future__ import annotations

import itertools
import json
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile

from convcli.formats.calibration import Axes, Sampling

ROWS, COLUMNS = 24, 31
SETTINGS = [
    ("box3", 1, 1, "same:edge"),
    ("box3", 1, 1, "valid"),
    ("box3", 2, 1, "same:edge"),
    ("box3", 3, 2, "valid"),
    ("box:2x4", 1, 1, "valid"),
    ("box:2x4", 2, 3, "1:edge"),
    ("box:5x1", 2, 1, "3,1,0,2:edge"),
]
"""Kernel, stride, dilation, padding."""


def geokeys(raster: int) -> tuple[int, ...]:
    """A projected system, coordinates of pixels' edges (1) or centers (2), and a text."""
    return (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, raster, 1026, 34737, 6, 0)


def geotiff(path: Path, pixels: np.ndarray, tags: dict[int, tuple[float, ...]], raster: int = 1) -> Path:
    """A TIFF with tags of doubles, keys and their text."""
    extra = [(tag, 12, len(values), values, True) for tag, values in tags.items()]
    keys = geokeys(raster)
    extra += [(34735, 3, len(keys), keys, True), (34737, 2, 0, "WGS 84|", True)]
    tifffile.imwrite(path, pixels, photometric="minisblack", metadata=None, extratags=extra)
    return path


def place(tags: dict[int, tuple[float, ...]], u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Model coordinates of raster coordinates, as the GeoTIFF standard says."""
    if matrix := tags.get(34264):
        return matrix[0] * u + matrix[1] * v + matrix[3], matrix[4] * u + matrix[5] * v + matrix[7]
    if scale := tags.get(33550):
        i, j, _, x, y, _ = tags[33922]
        return x + (u - i) * scale[0], y - (v - j) * scale[1]
    ties = np.reshape(tags[33922], (-1, 6))  # three corners of a parallelogram
    plane = np.linalg.solve(np.c_[ties[:3, :2], np.ones(3)], ties[:3, 3:5])
    x, y = np.moveaxis(np.stack((u, v, np.ones_like(u)), -1) @ plane, -1, 0)
    return x, y


GEOREFERENCES = {
    "scale and tie": {33550: (2.0, 3.0, 0.0), 33922: (0.0, 0.0, 0.0, 1000.0, 500.0, 0.0)},
    "tie inside": {33550: (2.0, 3.0, 0.0), 33922: (4.0, 7.0, 0.0, 1000.0, 500.0, 9.0)},
    "matrix": {
        34264: (2.0, 0.5, 0.0, 1000.0, 0.25, -3.0, 0.0, 500.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    },
    "three ties": {
        33922: (0, 0, 0, 1000, 500, 0, 20, 0, 0, 1040, 505, 0, 0, 10, 0, 1005, 470, 0),
    },
}


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("raster", [1, 2], ids=["area", "point"])
@pytest.mark.parametrize("kind", GEOREFERENCES)
def test_pixels_of_a_geotiff_stay_where_they_are(run, tmp_path, kind, raster, settings):
    """The mean of coordinates under a window is where the result says that its pixel lies."""
    kernel, stride, dilation, padding = settings
    center = 0.5 if raster == 1 else 0
    v, u = np.mgrid[:ROWS, :COLUMNS] + center
    for axis in (0, 1):
        truth = place(GEOREFERENCES[kind], u, v)[axis]
        source, out = geotiff(tmp_path / "in.tif", truth, GEOREFERENCES[kind], raster), tmp_path / "out.tif"
        done = run(
            *(
                "apply",
                source,
                "-k",
                kernel,
                "--stride",
                stride,
                "--dilation",
                dilation,
                "--padding",
                padding,
            ),
            *("--precision", "double", "-o", out, "--report", "json", "--force"),
        )
        assert "ground" in json.loads(done.text)["metadata"]
        with tifffile.TiffFile(out) as file:
            page = file.pages.first
            tags = {tag: page.tags.valueof(tag) for tag in GEOREFERENCES[kind]}
            found = page.asarray()
            assert page.tags.valueof(34735) == geokeys(raster)
            assert page.tags.valueof(34737) == "WGS 84|"
        rows, columns = np.mgrid[: found.shape[0], : found.shape[1]] + center
        inside = windows_inside(json.loads(done.text), found.shape)
        assert inside.any()
        said = place(tags, columns, rows)[axis]
        assert np.allclose(found[inside], said[inside], rtol=0, atol=1e-9)


def windows_inside(report: dict, shape: tuple[int, int]) -> np.ndarray:
    """Which outputs read no padding, from the report's own geometry."""
    spans = []
    for name, size in zip(("rows", "columns"), shape, strict=True):
        axis = report["axes"][name]
        starts = np.arange(size) * axis["stride"] - axis["before"]
        extent = axis["dilation"] * (axis["kernel"] - 1) + 1
        spans.append((starts >= 0) & (starts + extent <= axis["input"]))
    return np.logical_and.outer(*spans)


def test_a_georeference_that_nothing_moves_keeps_its_bytes(run, tmp_path):
    """A filter without stride or shift leaves every tag as it was."""
    tags = GEOREFERENCES["tie inside"]
    source, out = geotiff(tmp_path / "in.tif", np.eye(20, dtype=np.uint8), tags), tmp_path / "out.tif"
    assert run("apply", source, "-k", "box3", "-o", out).code == 0
    with tifffile.TiffFile(source) as before, tifffile.TiffFile(out) as after:
        for tag in (33550, 33922, 34735, 34737):
            assert before.pages.first.tags.valueof(tag) == after.pages.first.tags.valueof(tag)
        assert before.geotiff_metadata == after.geotiff_metadata


VOLUME = np.arange(2 * 3 * 2 * 20 * 30, dtype=np.uint16).reshape(2, 3, 2, 20, 30)
OME = {
    "axes": "TZCYX",
    "Name": "cells & nuclei",
    "PhysicalSizeX": 0.1,
    "PhysicalSizeXUnit": "µm",
    "PhysicalSizeY": 0.25,
    "PhysicalSizeYUnit": "µm",
    "PhysicalSizeZ": 0.5,
    "PhysicalSizeZUnit": "µm",
    "TimeIncrement": 1.5,
    "TimeIncrementUnit": "min",
    "Channel": {"Name": ["DAPI", "GFP"]},
}
IMAGEJ = {
    "axes": "TZCYX",
    "unit": "micron",
    "spacing": 0.5,
    "finterval": 2.5,
    "xorigin": 3.0,
    "mode": "composite",
}


def stack(path: Path, writer: str, pixels: np.ndarray = VOLUME, **options: object) -> Path:
    """A hyperstack in the words of OME, ImageJ or tifffile."""
    if writer == "ome":
        tifffile.imwrite(path, pixels, ome=True, metadata=OME, **options)
    elif writer == "imagej":
        tifffile.imwrite(path, pixels, imagej=True, metadata=IMAGEJ, resolution=(10, 4), **options)
    else:
        tifffile.imwrite(path, pixels, photometric="minisblack", metadata={"axes": "TZCYX"}, **options)
    return path


def seen(path: Path) -> tuple[str, tuple[int, ...], np.ndarray]:
    """Axes, sizes and pixels of the only series that tifffile sees."""
    with tifffile.TiffFile(path) as file:
        assert len(file.series) == 1
        series = file.series[0]
        return series.axes, series.shape, series.asarray()


def ome_pixels(path: Path) -> tuple[dict[str, str], list[dict[str, str]], str]:
    """The attributes of Pixels and of each Channel, and the name of the image."""
    with tifffile.TiffFile(path) as file:
        root = ElementTree.fromstring(file.ome_metadata)
    space = {"o": "http://www.openmicroscopy.org/Schemas/OME/2016-06"}
    image = root.find("o:Image", space)
    pixels = image.find("o:Pixels", space)
    return pixels.attrib, [one.attrib for one in pixels.findall("o:Channel", space)], image.get("Name")


@pytest.mark.parametrize("writer", ["ome", "imagej", "shaped"])
@pytest.mark.parametrize(("stride", "padding"), [(1, "same:reflect"), (2, "valid")])
def test_axes_are_kept(run, tmp_path, writer, stride, padding):
    """T, Z and C are those of the input, and every plane is the convolution of its own."""
    source, out = stack(tmp_path / "in.tif", writer), tmp_path / "out.tif"
    done = run("apply", source, "-k", "box3", "--stride", stride, "--padding", padding, "-o", out)
    assert done.code == 0, done.err
    axes, shape, pixels = seen(out)
    assert (axes, shape[:3]) == ("TZCYX", (2, 3, 2))
    padded = np.pad(VOLUME.astype(int), [(0, 0)] * 3 + [(padding != "valid",) * 2] * 2, "reflect")
    sums = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (3, 4)).sum((-2, -1))
    assert np.array_equal(pixels, np.rint(sums[..., ::stride, ::stride] / 9))
    assert "axes       TZC 2×3×2" in done.text or "TZC 2×3×2" in done.text


def test_ome_sizes_are_those_of_the_result(run, tmp_path):
    """Pixels grow with the stride; Z, time, channels and the name stay; the shift is a note."""
    source, out = stack(tmp_path / "in.ome.tif", "ome"), tmp_path / "out.ome.tif"
    done = run("apply", source, "-k", "box3", "--stride", "3,2", "--padding", "valid", "-o", out)
    found, channels, name = ome_pixels(out)
    sizes = {axis: float(found[f"PhysicalSize{axis}"]) for axis in "XYZ"}
    assert sizes == pytest.approx({"X": 0.2, "Y": 0.75, "Z": 0.5})
    assert (found["PhysicalSizeXUnit"], float(found["TimeIncrement"]), found["TimeIncrementUnit"]) == (
        *("µm", 1.5, "min"),
    )
    assert [channel["Name"] for channel in channels] == ["DAPI", "GFP"]
    assert (name, found["Type"], found["SizeX"], found["SizeY"]) == ("cells & nuclei", "uint16", "14", "6")
    assert "OME-XML cannot record that the first pixel is row 1, column 1 of the input" in done.text


@pytest.mark.parametrize(
    ("stride", "padding", "origin"), [(1, "same:edge", 3), (2, "valid", 1), (1, "valid", 2)]
)
def test_imagej_coordinates_stay_where_they_are(run, tmp_path, stride, padding, origin):
    """(column − xorigin) × pixel width is the same coordinate for a result's pixel and its center."""
    source, out = stack(tmp_path / "in.tif", "imagej"), tmp_path / "out.tif"
    assert run("apply", source, "-k", "box3", "--stride", stride, "--padding", padding, "-o", out).code == 0
    with tifffile.TiffFile(out) as file:
        said, tags = file.imagej_metadata, file.pages.first.tags
        across, down = (tags.valueof(tag) for tag in (282, 283))
        assert tags.valueof(296) == 1
    assert said.get("xorigin", 0) == origin
    assert (across[1] / across[0], down[1] / down[0]) == pytest.approx((0.1 * stride, 0.25 * stride))
    kept = {key: said[key] for key in ("unit", "spacing", "finterval", "mode", "images")}
    assert kept == {"unit": "micron", "spacing": 0.5, "finterval": 2.5, "mode": "composite", "images": 12}


def ramps(writer: str, path: Path, axis: str) -> Path:
    """Two slices whose values are the coordinates of their pixels, as the file states them."""
    along = (
        np.broadcast_to(np.arange(COLUMNS), (ROWS, COLUMNS)) if axis == "X" else np.mgrid[:ROWS, :COLUMNS][0]
    )
    size, first = {"X": (0.5, 1200.0), "Y": (0.25, -3.0)}[axis]
    if writer == "imagej":
        said = {"axes": "ZYX", "unit": "um", "spacing": 2.0, "xorigin": 4.0, "yorigin": -2.0}
        pixels = np.stack([(along - said[f"{axis.lower()}origin"]) * size] * 2).astype(np.float32)
        tifffile.imwrite(path, pixels, imagej=True, metadata=said, resolution=(2, 4))
        return path
    pixels = np.stack([first + along * size, first + 100 + along * size])
    units = {"PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm"}
    places = {"X": ([1200.0, 1300.0], "µm"), "Y": ([-0.003, 0.097], "mm")}
    plane = {f"Position{key}": values for key, (values, _) in places.items()}
    plane |= {f"Position{key}Unit": [unit] * 2 for key, (_, unit) in places.items()}
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25}
    said = {"axes": "ZYX", **sizes, **units, "Plane": {**plane, "ExposureTime": [0.1, 0.2]}}
    tifffile.imwrite(path, pixels, ome=True, metadata=said)
    return path


def stated(writer: str, path: Path, axis: str) -> list[tuple[float, float]]:
    """The coordinate of the first pixel of each slice, and the size of a pixel, in micrometers."""
    with tifffile.TiffFile(path) as file:
        if writer == "imagej":
            top, bottom = file.pages.first.tags.valueof(282 if axis == "X" else 283)
            at = file.imagej_metadata.get(f"{axis.lower()}origin", 0)
            assert file.imagej_metadata["spacing"] == 2
            return [(-at * bottom / top, bottom / top)] * 2
        found = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]
    assert [plane["ExposureTime"] for plane in found["Plane"]] == [0.1, 0.2]
    assert [plane["TheZ"] for plane in found["Plane"]] == [0, 1]
    unit = {"µm": 1, "mm": 1000}
    return [
        (plane[f"Position{axis}"] * unit[plane[f"Position{axis}Unit"]], found[f"PhysicalSize{axis}"])
        for plane in found["Plane"]
    ]


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize(("frames", "first", "last"), [("all", 0, 12), ("6:12", 6, 12), ("7", 7, 8)])
def test_labels_and_lookup_tables_of_imagej(run, tmp_path, frames, first, last, byteorder):
    """The labels of the selected slices and the tables of their channels, as tifffile reads them."""
    ramp = np.arange(256, dtype=np.uint8)
    tables = [np.stack([ramp, ramp * 0, ramp]), np.stack([ramp * 0, ramp, ramp[::-1]])]
    said = IMAGEJ | {"Labels": [f"slice µ{number}" for number in range(12)], "LUTs": tables}
    source, out = tmp_path / "in.tif", tmp_path / "out.tif"
    tifffile.imwrite(source, VOLUME, imagej=True, metadata=said, byteorder=byteorder)
    done = run("apply", source, "-k", "box3", "--frames", frames, "-o", out)
    assert "left out" not in done.text
    with tifffile.TiffFile(out) as file:
        found = file.imagej_metadata
    named = found["Labels"]
    assert ([named] if isinstance(named, str) else list(named)) == said["Labels"][first:last]
    wanted = tables if last - first > 1 else tables[1:]
    assert np.array_equal(np.reshape(found["LUTs"], (-1, 3, 256)), wanted)
    again = run("apply", out, "-k", "box3", "-o", tmp_path / "again.tif")
    with tifffile.TiffFile(tmp_path / "again.tif") as file:
        assert np.array_equal(np.reshape(file.imagej_metadata["LUTs"], (-1, 3, 256)), wanted)
    assert "left out" not in again.text


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("writer", ["ome", "imagej"])
@pytest.mark.parametrize("axis", ["X", "Y"])
def test_coordinates_of_windows(run, tmp_path, axis, writer, settings):
    """The mean of coordinates under a window is where the result says that its pixel lies, in every slice."""
    kernel, stride, dilation, padding = settings
    source, out = ramps(writer, tmp_path / "in.tif", axis), tmp_path / "out.tif"
    options = ("--stride", stride, "--dilation", dilation, "--padding", padding, "--report", "json")
    done = run("apply", source, "-k", kernel, *options, "--precision", "double", "-o", out)
    assert "cannot record" not in done.text
    found = tifffile.imread(out)
    inside = windows_inside(json.loads(done.text), found.shape[1:])
    place = np.mgrid[: found.shape[1], : found.shape[2]][int(axis == "X")]
    for plane, (first, size) in zip(found, stated(writer, out, axis), strict=True):
        assert np.allclose(plane[inside], (first + place * size)[inside], rtol=0, atol=1e-3)


def test_stage_positions_that_are_left_out(run, tmp_path):
    """Positions without a unit of length, and those of frames that a kernel combines, are told."""
    plane = {"PositionX": [1.0, 2.0], "PositionXUnit": ["reference frame"] * 2}
    pixels = np.zeros((2, 9, 9), np.uint8)
    tifffile.imwrite(tmp_path / "in.tif", pixels, ome=True, metadata={"axes": "ZYX", "Plane": plane})
    done = run("apply", tmp_path / "in.tif", "-k", "box3", "-o", tmp_path / "out.tif")
    assert "stage positions that, or whose pixels, have no unit of length" in done.text
    source = ramps("ome", tmp_path / "ramps.tif", "X")
    done = run(
        "apply", source, "-k", "box:2x3x3", "--padding", "valid", "-o", tmp_path / "out.tif", "--force"
    )
    assert "stage positions and times of planes are left out" in done.text
    done = run("apply", source, "-k", "box3", "--frames", "1", "-o", tmp_path / "out.tif", "--force")
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        (found,) = [tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]["Plane"]]
    assert (found["TheZ"], found["PositionX"]) == (0, 1300)


@pytest.mark.parametrize("writer", ["ome", "imagej"])
def test_axes_of_colors(run, tmp_path, writer):
    """The samples of RGB are not separate channels, even if they become gray."""
    pixels = np.random.default_rng(3).integers(0, 256, (4, 20, 30, 3), np.uint8)
    source, out = tmp_path / "in.tif", tmp_path / "out.tif"
    tifffile.imwrite(source, pixels, photometric="rgb", metadata={"axes": "ZYXS"}, **{writer: True})
    for channels, shape in (("each", (4, 20, 30, 3)), ("gray", (4, 20, 30))):
        assert run("apply", source, "-k", "box3", "--channels", channels, "-o", out, "--force").code == 0
        axes, found, _ = seen(out)
        assert (axes, found) == ("ZYXS"[: len(shape)], shape)


@pytest.mark.parametrize(
    ("frames", "sizes"),
    [("6:12", (1, 3, 2)), ("2:6", (1, 2, 2)), ("7", (1, 1, 1)), ("0:12", (2, 3, 2)), ("1:4", None)],
)
def test_axes_of_some_frames(run, tmp_path, frames, sizes):
    """Frames that are a box within the axes keep them; others are told."""
    source, out = stack(tmp_path / "in.tif", "ome"), tmp_path / "out.tif"
    done = run("apply", source, "-k", "box3", "--frames", frames, "-o", out)
    with tifffile.TiffFile(out) as file:
        assert file.is_ome == (sizes is not None)
    if sizes is None:
        assert "left out: the selected frames are not a block of TZC 2×3×2" in done.text
        return
    found, channels, _ = ome_pixels(out)
    assert tuple(int(found[f"Size{axis}"]) for axis in "TZC") == sizes
    expected = ["DAPI", "GFP"] if sizes[2] == 2 else ["GFP"]
    assert [channel["Name"] for channel in channels] == expected


def test_a_kernel_over_frames_moves_along_them(run, tmp_path):
    """The one axis of the frames is filtered: its length and origin change, its step does not."""
    (tmp_path / "k.yaml").write_text("name: k\nweights: [[[1]], [[1]], [[1]]]\nscale: 1/3\n")
    slices = VOLUME.reshape(12, 20, 30)
    source, out = tmp_path / "in.tif", tmp_path / "out.tif"
    said = {"axes": "ZYX", "unit": "um", "spacing": 0.5, "zorigin": 4.0}
    tifffile.imwrite(source, slices, imagej=True, metadata=said, resolution=(10, 10))
    done = run("apply", source, "-k", tmp_path / "k.yaml", "--padding", "valid", "-o", out)
    assert done.code == 0, done.err
    with tifffile.TiffFile(out) as file:
        kept = file.imagej_metadata
        assert (file.series[0].axes, file.series[0].shape) == ("ZYX", (10, 20, 30))
    assert (kept["slices"], kept["zorigin"], kept["spacing"]) == (10, 3.0, 0.5)
    hyper = stack(tmp_path / "hyper.tif", "ome")
    told = run("apply", hyper, "-k", tmp_path / "k.yaml", "--padding", "valid", "-o", out, "--force")
    assert "the result's frames are not those of TZC 2×3×2" in told.text


@pytest.mark.parametrize("writer", ["ome", "imagej", "shaped"])
def test_what_another_format_leaves_out(run, tmp_path, writer):
    """A PNG says no axes, a stack of maps has others: the report says what is left out."""
    source = stack(tmp_path / "in.tif", writer)
    done = run("apply", source, "-k", "box3", "-o", tmp_path / "out.png")
    assert "because png cannot store it: axes and pixel sizes" in done.text
    maps = run("apply", source, "-k", "sobel:stack", "--stack", "-o", tmp_path / "maps.tif")
    assert "axes and pixel sizes are left out: the result's frames are not those of TZC" in maps.text
    bare = run("apply", source, "-k", "box3", "--strip", "-o", tmp_path / "bare.tif")
    with tifffile.TiffFile(tmp_path / "bare.tif") as file:
        assert (bare.code, file.is_ome, file.is_imagej, file.is_shaped) == (0, False, False, False)
    place = geotiff(tmp_path / "geo.tif", np.eye(20, dtype=np.uint8), GEOREFERENCES["matrix"])
    assert (
        "cannot store it: georeference" in run("apply", place, "-k", "box3", "-o", tmp_path / "geo.png").text
    )


def test_tags_that_are_not_handed_on_are_named(run, tmp_path):
    """GDAL's statistics, and its value of missing data where values are converted; ImageJ's labels."""
    extra = [(42113, 2, 0, "9", True), (42112, 2, 0, "<GDALMetadata/>", True)]
    white = {"photometric": "miniswhite", "metadata": None, "extratags": extra}
    tifffile.imwrite(tmp_path / "in.tif", np.eye(20, dtype=np.uint8), **white)
    done = run("apply", tmp_path / "in.tif", "-k", "box3", "-o", tmp_path / "out.tif")
    assert "the nodata value, because values are converted, GDAL metadata other than names" in done.text
    labels = {"axes": "ZYX", "Info": "a microscope"}
    tifffile.imwrite(tmp_path / "j.tif", VOLUME[0, :, 0], imagej=True, metadata=labels)
    done = run("apply", tmp_path / "j.tif", "-k", "box3", "-o", tmp_path / "j2.tif")
    assert "left out of this tiff: ImageJ metadata: Info" in done.text


def ome_file(path: Path, change: tuple[str, str]) -> Path:
    """An OME-TIFF in whose XML one text is replaced."""
    with tifffile.TiffFile(stack(path, "ome")) as file:
        xml = file.ome_metadata
    assert change[0] in xml
    tifffile.imwrite(
        path, VOLUME.reshape(12, 20, 30), description=xml.replace(*change, 1).encode(), metadata=None
    )
    return path


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (("<OME", '<!DOCTYPE x [<!ENTITY a "b">]><OME'), "its OME-XML is left out: it declares entities"),
        (("</Pixels>", ""), "its OME-XML is damaged and left out (ParseError)"),
        (('SizeT="2"', 'SizeT="4"'), "its OME-XML is left out: it counts 24 planes, not 12"),
        (('SizeT="2"', 'SizeT="x"'), "its OME-XML is damaged and left out (ValueError)"),
        (('IFD="0"', 'IFD="0" FirstC="1"'), "its planes are in another order, or in other files"),
        (("</Image>", "</Image><ROI/><Image><Pixels/></Image>"), "it describes 2 images"),
        (("</Pixels>", "</Pixels><ROIRef/>"), "left out of its OME-XML: ROIRef"),
    ],
)
def test_ome_that_is_not_understood_is_told(run, tmp_path, change, note):
    """Pixels are read all the same, all twelve planes, and a note says why axes are missing."""
    source, out = ome_file(tmp_path / "in.tif", change), tmp_path / "out.tif"
    done = run("apply", source, "-k", "box3", "-o", out)
    assert (done.code, note in done.text) == (0, True), done.text
    with tifffile.TiffFile(out) as file:
        assert len(file.pages) == 12


def test_an_image_that_is_turned_has_no_axes(run, tmp_path):
    """Pixel sizes and places are those of the stored image."""
    extra = [(274, 3, 1, 6, True)]
    tifffile.imwrite(
        tmp_path / "in.tif", VOLUME[0, 0, 0], ome=True, metadata={"PhysicalSizeX": 2.0}, extratags=extra
    )
    done = run("apply", tmp_path / "in.tif", "-k", "box3", "-o", tmp_path / "out.tif")
    assert "axes, pixel sizes and georeference are left out" in done.text


def test_frames_as_a_part_of_axes():
    """Every part of frames that is a box, against indices counted one by one."""
    axes = Axes("shaped", "TZC", (2, 3, 2))
    numbers = np.arange(12).reshape(2, 3, 2)
    boxes = {}
    slices = [[slice(a, b) for a in range(n) for b in range(a + 1, n + 1)] for n in axes.sizes]
    for box in itertools.product(*slices):
        taken = numbers[box]
        if np.array_equal(taken.ravel(), np.arange(taken.size) + taken.flat[0]):
            boxes.setdefault((int(taken.flat[0]), int(taken.flat[-1]) + 1), taken.shape)
    for first, last in itertools.combinations(range(13), 2):
        part = axes.part(first, last)
        assert (part and part.sizes) == boxes.get((first, last)), (first, last)


def test_the_center_of_a_window():
    """Step and start as the docstring derives them, and an edge half a step before the center."""
    sampling = Sampling(3, Fraction(2))
    assert (sampling.edge, Sampling().edge) == (1, 0)
