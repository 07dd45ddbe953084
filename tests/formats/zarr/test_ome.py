"""OME-Zarr: results pass a validator, and lie where their pixels lie."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest
import tifffile

from convcli.core.errors import OutputError
from convcli.files.input import Input
from convcli.formats.calibration import Axes, Sampling
from convcli.formats.header import Layout
from convcli.formats.zarr.pyramid import build_levels, halved, level_specs
from convcli.formats.zarr.results import Result, result_spec
from convcli.formats.zarr.spatial import sampled_spatial
from convcli.formats.zarr.target import ZarrTarget
from convcli.formats.zarr.zarr import opened_zarr
from convcli.geometry.axes import Axis

zarr = pytest.importorskip("zarr")

NAMES, SHAPE = "tczyx", (2, 3, 4, 60, 50)
SCALE, MOVED = [1.5, 1.0, 0.5, 0.25, 0.2], [0.0, 0.0, 7.0, 3.0, -2.0]
KINDS = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}
CHANNELS = [
    {"color": f"0000F{n}", "active": True, "window": {"min": 0, "max": 255, "start": 0, "end": 200 + n}}
    for n in range(3)
]


def image(place, version, **more):
    """An OME image of two levels with everything that one may say."""
    scaled = [s * (2 if name in "yx" else 1) for s, name in zip(SCALE, NAMES, strict=True)]
    moved = [m + (s / 2 if name in "yx" else 0) for m, s, name in zip(MOVED, SCALE, NAMES, strict=True)]
    datasets = [
        {
            "path": path,
            "coordinateTransformations": [
                {"type": "scale", "scale": scale},
                {"type": "translation", "translation": translation},
            ],
        }
        for path, scale, translation in (("s0", SCALE, MOVED), ("s1", scaled, moved))
    ]
    first = {
        "name": "cells",
        "type": "gaussian",
        "metadata": {"method": "mean"},
        "axes": [
            {"name": name, "type": KINDS[name], **({"unit": "micrometer"} if name in "zyx" else {})}
            for name in NAMES
        ],
        "datasets": datasets,
        **({"version": "0.4"} if version == "0.4" else {}),
    }
    omero = {"channels": CHANNELS, "rdefs": {"defaultT": 1, "defaultZ": 3}, "id": 7}
    ome = {"multiscales": [first], "omero": omero}
    attributes = ome if version == "0.4" else {"ome": {"version": "0.5", **ome}}
    group = zarr.open_group(
        place,
        mode="w",
        zarr_format=2 if version == "0.4" else 3,
        attributes={**attributes, "lab": {"room": 5}, "labels": ["nuclei"]},
    )
    pixels = np.random.default_rng(2).integers(0, 255, SHAPE).astype("u1")
    for path, values in (("s0", pixels), ("s1", pixels[..., ::2, ::2])):
        named = {"dimension_names": list(NAMES)} if version == "0.5" else {}
        group.create_array(path, shape=values.shape, chunks=(1, 1, 2, 32, 32), dtype="u1", **named)[:] = (
            values
        )
    return pixels


def opened(place, axes="", level=0):
    source = Input.open(str(place))
    source.axes, source.level = axes, level
    return opened_zarr(source)


def made(found, place, samplings, sizes, **more):
    """The result of a source, written with zeros; its metadata of the image and its notes."""
    axes = found.axes
    layout = Layout(*sizes, axes.channels, found.dtype, axes.frames)
    spec = result_spec(Result(layout, samplings, **more), found.reader)
    target = ZarrTarget.create(str(place), spec.spec)
    zeros = np.zeros((axes.frames, *sizes, axes.channels), found.dtype)
    target.write((0, axes.frames), (0, sizes[0]), (0, sizes[1]), zeros)
    assert not list(target.missing())
    target.complete({})
    group = zarr.open_group(str(place), mode="r")
    return group.attrs.asdict(), spec.notes


def ome_of(attributes):
    return attributes.get("ome", attributes)


def check_valid(place, version):
    """The validator of the OME-Zarr community takes the image."""
    pytest.importorskip("ome_zarr_models")
    from ome_zarr_models.v04 import Image as Image04
    from ome_zarr_models.v05 import Image as Image05

    kind = Image04 if version == "0.4" else Image05
    kind.from_zarr(zarr.open_group(str(place), mode="r"))


def axis(size, kernel, stride, dilation, before):
    return Axis(size=size, kernel=kernel, stride=stride, dilation=dilation, before=before, after=before)


GEOMETRY = [(3, 1, 1, 1), (3, 2, 1, 1), (5, 3, 1, 0), (3, 2, 3, 3), (4, 2, 1, 0)]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize(("kernel", "stride", "dilation", "before"), GEOMETRY)
def test_pixels_keep_their_places(version, kernel, stride, dilation, before, tmp_path):
    """Scale and translation give each output pixel the place of the center of its window."""
    image(tmp_path / "in.zarr", version)
    found = opened(tmp_path / "in.zarr")
    rows, columns = axis(60, kernel, stride, dilation, before), axis(50, kernel, stride, dilation, before)
    samplings = Sampling.of(rows), Sampling.of(columns)
    attributes, notes = made(found, tmp_path / "out.zarr", samplings, (rows.output, columns.output))
    (first,) = ome_of(attributes)["multiscales"]
    (level,) = first["datasets"]
    scale = level["coordinateTransformations"][0]["scale"]
    moved = level["coordinateTransformations"][1]["translation"]
    for at in (3, 4):
        for output in (0, 1, 5):
            taps = [output * stride - before + dilation * tap for tap in range(kernel)]
            center = sum(taps) / len(taps)
            assert scale[at] * output + moved[at] == pytest.approx(SCALE[at] * center + MOVED[at])
    assert scale[:3] == SCALE[:3] and moved[:3] == MOVED[:3]
    assert first["name"] == "cells" and "metadata" not in first
    assert [one.get("unit") for one in first["axes"]] == [None, None, *["micrometer"] * 3]
    assert attributes["lab"] == {"room": 5} and "labels" not in attributes
    assert any("one resolution level; the input has 2" in note for note in notes)
    check_valid(tmp_path / "out.zarr", version)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_selected_planes_keep_their_places(version, tmp_path):
    """Selected channels keep their colors, and selected planes their positions."""
    pixels = image(tmp_path / "in.zarr", version)
    found = opened(tmp_path / "in.zarr", "c=1..2,z=2..3")
    assert np.array_equal(found.reader.rows(0, 0, 60)[..., 0], pixels[0, 1, 2])
    same = Sampling(), Sampling()
    attributes, notes = made(found, tmp_path / "out.zarr", same, (60, 50), keeps_values=True)
    ome = ome_of(attributes)
    changes = ome["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    assert changes[0]["scale"] == SCALE and changes[1]["translation"] == [0, 0, 7.0 + 2 * 0.5, 3.0, -2.0]
    assert ome["omero"]["channels"] == CHANNELS[1:] and "rdefs" not in ome["omero"]
    check_valid(tmp_path / "out.zarr", version)
    attributes, notes = made(found, tmp_path / "other.zarr", same, (60, 50))
    windows = [channel["window"] for channel in ome_of(attributes)["omero"]["channels"]]
    assert windows == [{"min": 0, "max": 255, "start": 0, "end": 255}] * 2
    assert any("display windows are the range of uint8" in note for note in notes)


def test_levels(tmp_path):
    """A level of a pyramid is read by its number, with its own transformations."""
    pixels = image(tmp_path / "in.zarr", "0.5")
    found = opened(tmp_path / "in.zarr", level=1)
    assert np.array_equal(found.reader.rows(0, 0, 30)[..., 0], pixels[0, 0, 0, ::2, ::2])
    attributes, _ = made(found, tmp_path / "out.zarr", (Sampling(), Sampling()), (30, 25))
    changes = ome_of(attributes)["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    assert changes[0]["scale"] == pytest.approx([1.5, 1.0, 0.5, 0.5, 0.4])
    assert changes[1]["translation"] == pytest.approx([0, 0, 7.0, 3.125, -1.9])


def test_results_in_shards_are_of_version_5(tmp_path):
    """Shards need version 3 of the format, and this needs version 0.5 of OME-Zarr."""
    image(tmp_path / "in.zarr", "0.4")
    found = opened(tmp_path / "in.zarr")
    layout = Layout(60, 50, 1, found.dtype, found.axes.frames)
    spec = result_spec(Result(layout, (Sampling(), Sampling())), found.reader, (16, 16), (32, 32)).spec
    assert spec.group["ome"]["version"] == "0.5" and "version" not in spec.group["ome"]["multiscales"][0]
    ZarrTarget.create(str(tmp_path / "out.zarr"), spec)
    check_valid(tmp_path / "out.zarr", "0.5")


@pytest.mark.parametrize(("channels", "frames"), [(1, 1), (3, 1), (4, 2), (1, 5)])
def test_new_images(channels, frames, tmp_path):
    """A result of any image becomes an OME image, with the pixel sizes of its source."""
    pixel = Axes("ome", "TZC", (1, 1, 1), (("X", 0.5, "µm"), ("Y", 0.25, "µm")), (("X", -2.0),))
    layout = Layout(40, 30, channels, np.dtype("u2"), frames)
    spec = result_spec(Result(layout, (Sampling(), Sampling()), pixel=pixel, is_ome=True)).spec
    target = ZarrTarget.create(str(tmp_path / "a.ome.zarr"), spec)
    pixels = np.random.default_rng(3).integers(0, 999, (frames, 40, 30, channels)).astype("u2")
    target.write((0, frames), (0, 40), (0, 30), pixels)
    check_valid(tmp_path / "a.ome.zarr", "0.5")
    found = opened(tmp_path / "a.ome.zarr")
    planes = pixels.transpose(0, 3, 1, 2).reshape(-1, 40, 30)
    assert all(np.array_equal(found.reader.rows(n, 0, 40)[..., 0], plane) for n, plane in enumerate(planes))
    (first,) = spec.group["ome"]["multiscales"]
    changes = first["datasets"][0]["coordinateTransformations"]
    assert changes[0]["scale"][-2:] == [0.25, 0.5] and changes[1]["translation"][-2:] == [0.0, 1.0]


def test_transforms_of_the_spatial_convention():
    """Corners and centers stay where they are, for both registrations; the box follows."""
    stated = {
        "proj:code": "EPSG:32633",
        "spatial:dimensions": ["y", "x"],
        "spatial:transform": [10.0, 0.0, 5000.0, 0.0, -10.0, 9000.0],
        "spatial:shape": [60, 50],
        "spatial:bbox": [5000.0, 8400.0, 5500.0, 9000.0],
    }
    down, across = Sampling(2, Fraction(1)), Sampling(3, Fraction(1, 2))
    found, note = sampled_spatial(stated, (30, 17), down, across)
    a, _, c, _, e, f = found["spatial:transform"]
    for output in (0, 4):
        assert a * (output + 0.5) + c == 10 * (3 * output + 0.5 + 0.5) + 5000
        assert e * (output + 0.5) + f == -10 * (2 * output + 1 + 0.5) + 9000
    assert found["spatial:shape"] == [30, 17] and found["proj:code"] == "EPSG:32633" and not note
    assert found["spatial:bbox"] == [c, f + 30 * e, c + 17 * a, f]
    node, _ = sampled_spatial({**stated, "spatial:registration": "node"}, (30, 17), down, across)
    assert node["spatial:transform"] == [30.0, 0.0, 5005.0, 0.0, -20.0, 8990.0]
    for wrong in ({"spatial:transform": [1, 2]}, {"spatial:transform_type": "rpc"}):
        left, note = sampled_spatial({**stated, **wrong}, (30, 17), down, across)
        assert "spatial:transform" not in left and "cannot be adjusted" in note


@pytest.mark.parametrize(
    "damage",
    [
        {"datasets": [{"path": "s0"}]},
        {"datasets": [{"path": "s0", "coordinateTransformations": [{"type": "scale", "scale": [1, 2]}]}]},
        {"datasets": [{"path": "s0", "coordinateTransformations": [{"type": "scale", "scale": ["a"] * 5}]}]},
        {"datasets": [{"path": "s0", "coordinateTransformations": 7}]},
    ],
)
def test_damaged_transformations_are_left_out(damage, tmp_path):
    """Pixel sizes that cannot be true cost the OME metadata, not the result."""
    image(tmp_path / "in.zarr", "0.5")
    path = tmp_path / "in.zarr" / "zarr.json"
    document = json.loads(path.read_text())
    document["attributes"]["ome"]["multiscales"][0] |= damage
    path.write_text(json.dumps(document))
    found = opened(tmp_path / "in.zarr")
    _, notes = made(found, tmp_path / "out.zarr", (Sampling(), Sampling()), (60, 50))
    assert any("OME metadata" in note and "left out" in note for note in notes)


def test_attributes_of_values_and_other_arrays(tmp_path):
    """What is not true of a result is left out by name; the rest is kept verbatim."""
    place = tmp_path / "in.zarr"
    attributes = {"units": "K", "_FillValue": -1, "coordinates": "lat lon", "x": [1, {"y": None}]}
    zarr.create_array(place, shape=(60, 50), dtype="i2", attributes=attributes)
    found = opened(place)
    spec = result_spec(Result(Layout(60, 50, 1, found.dtype), (Sampling(), Sampling())), found.reader)
    assert spec.spec.attributes == {"units": "K", "x": [1, {"y": None}]}
    assert spec.notes == (
        "attributes left out, because they are not true of the result: _FillValue, coordinates",
    )


@pytest.mark.parametrize(("channels", "frames", "shard"), [(1, 1, None), (3, 2, None), (1, 1, (32, 32))])
def test_pyramids(channels, frames, shard, tmp_path):
    """Each level is the mean of 2 × 2 pixels of the one above, at its place; the validator takes them."""
    place, layout = str(tmp_path / "a.ome.zarr"), Layout(101, 90, channels, np.dtype("u1"), frames)
    spec = result_spec(Result(layout, (Sampling(), Sampling()), is_ome=True), None, (16, 16), shard).spec
    pixels = np.random.default_rng(3).integers(0, 255, (frames, 101, 90, channels)).astype("u1")
    target = ZarrTarget.create(place, spec)
    target.write((0, frames), (0, 101), (0, 90), pixels)
    target.complete({})
    assert build_levels(place, spec, 30) == len(level_specs(spec, 30)) == 2
    check_valid(place, "0.5")
    expected = pixels
    group = zarr.open_group(place, mode="r")
    levels = group.attrs["ome"]["multiscales"][0]["datasets"]
    for number in range(3):
        found = zarr.open_array(place, path=str(number), mode="r")[:]
        if channels > 1:
            found = found.reshape(frames, channels, *found.shape[-2:]).transpose(0, 2, 3, 1)
        assert np.array_equal(found.reshape(expected.shape), expected)
        scale, *moved = levels[number]["coordinateTransformations"]
        assert scale["scale"][-2:] == [2.0**number] * 2
        assert [one["translation"][-2:] for one in moved] == [[(2**number - 1) / 2] * 2] * bool(number)
        expected = np.stack([halved(plane) for plane in expected])


def test_means_are_rounded_once():
    """Ties go to even, signs and wide integers included; odd sides are filled up by their edge."""
    for dtype, values in (("u1", (1, 2, 2, 1)), ("i2", (-1, -2, -2, -1)), ("u4", (2**32 - 1,) * 4)):
        block = np.array(values, dtype).reshape(2, 2, 1)
        mean = Fraction(sum(int(value) for value in values), 4)
        assert halved(block).ravel().tolist() == [round(mean)]
    odd = np.array([[1, 2, 9]], "u1")[..., np.newaxis]
    assert halved(odd).ravel().tolist() == [2, 9]
    assert halved(odd.astype("f4")).ravel().tolist() == [1.5, 9.0]
    with pytest.raises(OutputError, match="OME-Zarr image"):
        level_specs(result_spec(Result(Layout(9, 9, 1, np.dtype("u1")), (Sampling(), Sampling()))).spec)


def test_pixel_sizes_for_other_formats(run, tmp_path):
    """An OME-TIFF of an OME-Zarr image has its axes and pixel sizes, without unknown units."""
    image(tmp_path / "in.zarr", "0.4")
    ran = run("apply", tmp_path / "in.zarr", "-k", "box3", "--stride", "2", "-o", tmp_path / "a.ome.tif")
    assert ran.code == 0, ran.err
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as file:
        assert (file.series[0].axes, file.series[0].shape) == ("TCZYX", (2, 3, 4, 30, 25))
        text = file.ome_metadata
    for words in (
        'PhysicalSizeZ="0.5"',
        'PhysicalSizeY="0.5"',
        'PhysicalSizeX="0.4"',
        'PhysicalSizeXUnit="µm"',
    ):
        assert words in text
    assert "TimeIncrement" not in text
