"""Arrays whose chunks change while a job reads them, and arrays without any."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from convcli.storage.folder import open_folder
from tests.jobs.sources import zarr_array

pytest.importorskip("zarr")
PIXELS = np.random.default_rng(7).integers(0, 999, (96, 80)).astype(np.uint16)
OPTIONS = ("-k", "box3", "-q", "--piece", "64", "--chunk", "32")
ARRAYS = {
    "chunks": {},
    "version 2": {"zarr_format": 2},
    "shards": {"chunks": (16, 20), "shards": (32, 40)},
}


def changed(place):
    """Write one chunk again, with other bytes of the same size where that is possible."""
    folder = open_folder(place)
    name = [name for name in folder.names() if not name.rpartition("/")[2].startswith((".", "zarr"))][-1]
    folder.write(name, folder.read(name))


@pytest.mark.parametrize("kind", ARRAYS)
def test_chunks_that_change(run, tmp_path, kind):
    """Neither --resume nor --finish completes a result of which some pieces saw other chunks."""
    place = zarr_array(tmp_path / "in.zarr", PIXELS, **ARRAYS[kind])
    out, job = tmp_path / "out.zarr", tmp_path / "job.json"
    assert run("apply", place, *OPTIONS, "-o", out, "--job", job).code == 0
    assert run("piece", job, "0/2").code == 0
    changed(place)
    assert run("piece", job, "1/2").code == 0  # which looks at metadata alone
    finished = run("piece", job, "--finish")
    assert finished.code and "the image has changed since the job was started; --force" in finished.err
    resumed = run("apply", place, *OPTIONS, "-o", out, "--resume")
    assert resumed.code and "the image has changed since it was started" in resumed.err
    assert run("apply", place, *OPTIONS, "-o", out, "--force").code == 0
    assert "nothing to do" in run("apply", place, *OPTIONS[:2], *OPTIONS[3:], "-o", out, "--resume").err
    changed(place)
    assert "already exists" in run("apply", place, *OPTIONS, "-o", out, "--resume").err


def test_metadata_in_a_store_that_lists_nothing():
    """Where one of two looks could not list objects, metadata alone decide."""
    from convcli.jobs.source import is_same

    assert is_same("zarr-1-2", "zarr-1-2") and not is_same("zarr-1-2", "zarr-1-3")
    assert is_same("zarr-1-2", "zarr-1-unlisted") and not is_same("zarr-1-2", "zarr-4-unlisted")


@pytest.mark.parametrize("kind", ARRAYS)
@pytest.mark.parametrize("name", ["out.png", "out.zarr"])
def test_arrays_without_chunks(run, tmp_path, kind, name):
    """If no chunk is there, which is no error, the report says so; one chunk is enough for it not to."""
    place = tmp_path / "in.zarr"
    zarr_array(place, PIXELS, **ARRAYS[kind])
    arguments = ("apply", place, "-k", "box3", "-o", tmp_path / name, "--force", "--report", "json")
    assert "no chunk of the input exists" not in " ".join(json.loads(run(*arguments).out)["notes"])
    for path in place.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif not path.name.startswith((".z", "zarr")):
            path.unlink()
    report = json.loads(run(*arguments).out)
    assert "no chunk of the input exists" in " ".join(report["notes"])
    assert report["input"]["bytes"] is None
