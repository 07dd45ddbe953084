"""Arrays written by whole objects: zarr and our reader find every value, whatever the layout."""

from __future__ import annotations

import json

import numpy as np
import pytest

from convcli.core.errors import OutputError
from convcli.files.input import Input
from convcli.formats.header import Layout
from convcli.formats.zarr.spec import ArraySpec, spec_like
from convcli.formats.zarr.target import ZarrTarget
from convcli.formats.zarr.zarr import opened_zarr

zarr = pytest.importorskip("zarr")

NEW = [
    (Layout(200, 300, 1, np.dtype("u2")), {}),
    (Layout(200, 300, 3, np.dtype("u1"), 2), {"chunk": (64, 32), "shard": (128, 64)}),
    (Layout(200, 300, 4, np.dtype("f4"), 2), {"chunk": (64, 32), "alpha": True}),
    (Layout(1, 1, 1, np.dtype("f8")), {"chunk": (1, 1)}),
]
LIKE = [
    (2, (2, 3, 200, 300), (1, 2, 64, 50), "tzyx"),
    (3, (200, 300, 6), (64, 50, 4), "yxz"),
    (3, (200, 300, 5), (64, 50, 2), "yxc"),
    (2, (4, 3, 200, 300), (2, 2, 64, 64), "czyx"),
    (3, (300, 200), (64, 50), "xy"),
]


def pixels_for(layout):
    """(frames, rows, columns, channels), with chunks of zeros."""
    shape = layout.frames, layout.rows, layout.columns, layout.channels
    pixels = np.random.default_rng(1).integers(0, 200, shape).astype(layout.dtype)
    pixels[:, :50] = 0
    return pixels


def written(place, spec, pixels):
    """The target with all pixels, written by bands as a piece writes them."""
    ZarrTarget.create(place, spec)
    target = ZarrTarget.open(place, ArraySpec.of_json(json.loads(json.dumps(spec.to_json()))))
    assert len(list(target.missing())) == np.prod(target.facts.grid)
    frame, total = 0, 0
    while frame < len(pixels):
        first, last = target.frame_block(frame)
        for top in range(0, pixels.shape[1], target.shard[1]):
            rows = top, min(top + target.shard[1], pixels.shape[1])
            part = pixels[first:last, slice(*rows)]
            total += target.write((first, last), rows, (0, pixels.shape[2]), part)
        frame = last
    assert target.written == total
    return target


def check(place, spec, layout):
    pixels = pixels_for(layout)
    target = written(place, spec, pixels)
    assert not list(target.missing()) and not target.is_complete
    target.complete({"made": "here"})
    assert target.is_complete
    array = zarr.open_array(place, mode="r")
    axes = target.axes
    order = [*axes.frames_at, axes.rows_at, axes.columns_at]
    order += [] if axes.channels_at is None else [axes.channels_at]
    assert np.array_equal(array[:].transpose(order).reshape(pixels.shape), pixels)
    found = opened_zarr(Input.open(place))
    for frame in range(layout.frames):
        assert np.array_equal(found.reader.rows(frame, 0, layout.rows), pixels[frame])


@pytest.mark.parametrize(("layout", "words"), NEW)
def test_new_arrays(layout, words, tmp_path):
    """Arrays without a Zarr source: chunks, shards, edges, one pixel."""
    check(str(tmp_path / "a.zarr"), spec_like(layout, **words), layout)


@pytest.mark.parametrize(("version", "shape", "chunks", "names"), LIKE)
def test_arrays_like_their_source(version, shape, chunks, names, tmp_path):
    """Version, order of axes and chunks are those of the source, also where chunks hold several frames."""
    place = str(tmp_path / "a.zarr")
    named = (
        {"dimension_names": list(names)}
        if version == 3
        else {"attributes": {"_ARRAY_DIMENSIONS": list(names)}}
    )
    zarr.create_array(place, shape=shape, chunks=chunks, dtype="i4", zarr_format=version, **named)
    source = opened_zarr(Input.open(place))
    axes = source.axes
    layout = Layout(axes.rows, axes.columns, axes.channels, np.dtype("i4"), axes.frames)
    spec = spec_like(layout, source.located.facts, axes)
    facts = spec.facts()
    assert (facts.zarr_format, facts.shape, facts.chunks, "".join(facts.names)) == (
        version,
        shape,
        chunks,
        names,
    )
    check(str(tmp_path / "b.zarr"), spec, layout)


def test_targets_are_created_once(tmp_path):
    """What is there is not replaced without force, and another folder is not even with it."""
    place, spec = str(tmp_path / "a.zarr"), spec_like(Layout(8, 8, 1, np.dtype("u1")))
    with pytest.raises(OutputError, match="must be created first"):
        ZarrTarget.open(place, spec)
    written(place, spec, pixels_for(Layout(8, 8, 1, np.dtype("u1"))))
    with pytest.raises(OutputError, match="exists already"):
        ZarrTarget.create(place, spec)
    again = ZarrTarget.create(place, spec, force=True)
    assert len(list(again.missing())) == 1
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="not Zarr"):
        ZarrTarget.create(str(tmp_path / "b"), spec, force=True)
    with pytest.raises(OutputError, match="another array"):
        ZarrTarget.open(place, spec_like(Layout(8, 9, 1, np.dtype("u1"))))


@pytest.mark.parametrize(
    ("rows", "columns"), [((0, 32), (0, 90)), ((64, 128), (0, 80)), ((0, 64), (32, 90)), ((0, 0), (0, 90))]
)
def test_only_whole_objects_are_written(rows, columns, tmp_path):
    """Parts of objects would need what another worker wrote."""
    spec = spec_like(Layout(100, 90, 1, np.dtype("u1")), chunk=(32, 32), shard=(64, 64))
    target = ZarrTarget.create(str(tmp_path / "a.zarr"), spec)
    pixels = np.zeros((1, rows[1] - rows[0], columns[1] - columns[0], 1), np.uint8)
    with pytest.raises(OutputError, match="not whole objects"):
        target.write((0, 1), rows, columns, pixels)
    assert target.write((0, 1), (64, 100), (64, 90), np.zeros((1, 36, 26, 1), np.uint8)) > 0
