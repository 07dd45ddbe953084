"""Zarr arrays among the images of a batch: each is one image, not a folder."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from convcli.batch.inputs import Selection, SourceName, find_images
from convcli.batch.listing import listed_images
from tests.jobs.sources import zarr_array

pytest.importorskip("zarr")
PIXELS = np.random.default_rng(8).integers(0, 255, (40, 50)).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Two arrays, one of them in a subfolder, and a file."""
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for name in ("a.zarr", "sub/b.zarr"):
        zarr_array(tmp_path / "in" / name, PIXELS, (16, 16))
    Image.fromarray(PIXELS).save(tmp_path / "in" / "c.png")
    return tmp_path / "in"


def names(found, top):
    return [image.path.removeprefix(f"{top}/") for image in found]


@pytest.mark.parametrize("recursive", [False, True])
@pytest.mark.parametrize("kind", ["folder", "URL"])
def test_each_is_one_image(folder, kind, recursive):
    """In folders and below URLs, with and without subfolders, listed at once or as a stream."""
    top = str(folder)
    if kind == "URL":
        fsspec = pytest.importorskip("fsspec")
        top = f"memory://stores-{recursive}"
        fsspec.filesystem("memory").put(str(folder), f"/stores-{recursive}", recursive=True)
    selection = Selection(recursive, {".png"})
    expected = ["a.zarr", "c.png", *(["sub/b.zarr"] if recursive else [])]
    assert names(find_images([SourceName(top)], selection), top) == expected
    assert names([one.image for one in listed_images([SourceName(top)], selection)], top) == expected
    (found,) = find_images([SourceName(f"{top}/a.zarr", from_list=True)], selection)
    assert found.path.endswith("a.zarr")


def test_files_and_resuming(run, folder, tmp_path):
    """Results are files; the manifest notices a chunk that was written again."""
    manifest = tmp_path / "m.jsonl"
    words = ("batch", folder, tmp_path / "out", "-r", "-k", "box3", "--format", "png", "--report", manifest)
    assert run(*words).code == 0
    results = {path.name: path.read_bytes() for path in (tmp_path / "out").rglob("*.png")}
    assert len(results) == 3 and len(set(results.values())) == 1
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    assert [row["batch"]["input_sha256"][:8] for row in rows if "a.zarr" in str(row.get("input"))] == [
        "listing:"
    ]
    assert "0 done, 3 skipped" in run(*words, "--resume").err
    (folder / "a.zarr" / "c" / "0" / "0").touch()
    again = run(*words, "--resume", "--force").err
    assert "1 done, 2 skipped" in again and "input changed: 1" in again


def test_results_in_zarr_are_refused(run, folder, tmp_path):
    """One clear message: before the start for --format, else for each image."""
    words = ("batch", folder, tmp_path / "out", "-k", "box3")
    asked = run(*words, "--format", "zarr")
    assert asked.code == 2 and "convcli batch writes files" in asked.err
    inherited = run(*words)
    assert inherited.code and "a.zarr: its result would be Zarr, too" in inherited.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["c.box3.png"]
