"""Arrays whose chunks change while a job reads them, and arrays without any."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from convcli.cluster.in_process import InProcessEngine
from convcli.geometry.padding import Padding
from convcli.jobs.planning import JobOptions, plan_job
from convcli.jobs.source import is_same, stamps_of
from convcli.kernels.library import load_kernel
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.settings import Settings
from tests.jobs.sources import zarr_array

zarr = pytest.importorskip("zarr")
PIXELS = np.random.default_rng(7).integers(0, 999, (96, 80)).astype(np.uint16)
ARRAYS = {
    "chunks": {},
    "version 2": {"zarr_format": 2},
    "shards": {"chunks": (16, 20), "shards": (32, 40)},
}


def changed(place, value):
    """Write the last chunk again; metadata stay as they are."""
    array = zarr.open(place, mode="r+")
    array[64:, 60:] = value
    return array[...]


@pytest.mark.parametrize("mapping", ["clip", "stretch"])
@pytest.mark.parametrize("kind", ARRAYS)
def test_chunks_that_change(run, tmp_path, kind, mapping):
    """Pieces that saw other chunks are made again, those of a range with all that depend on it."""
    place = zarr_array(tmp_path / "in.zarr", PIXELS, **ARRAYS[kind])
    out, job = tmp_path / "out.zarr", tmp_path / "job.json"
    options = ("-k", "box3", "--piece", "32", "--chunk", "32", "--map", mapping)
    assert run("apply", place, *options, "-o", out, "--job", job).code == 0
    for words in ("0/1", "--finish") if mapping == "stretch" else ():
        assert run("piece", job, words).code == 0
    assert run("piece", job, "0/2").code == 0
    changed(place, 3000)
    assert run("piece", job, "1/2").code == 0  # which looks at metadata alone
    finished = run("piece", job, "--finish")
    again = 4 if mapping == "clip" else 9
    assert finished.code and f"so that {again} pieces must be made again; run all shares" in finished.err
    pixels = changed(place, 2000)
    resumed = run("apply", place, *options, "-q", "-o", out, "--resume")
    assert (resumed.code, resumed.err) == (0, "")
    np.save(tmp_path / "whole.npy", pixels)
    run("apply", tmp_path / "whole.npy", *options[:2], *options[-2:], "-o", tmp_path / "whole-out.npy")
    assert np.array_equal(zarr.open(out)[...], np.load(tmp_path / "whole-out.npy").squeeze())
    assert "nothing to do" in run("apply", place, *options, "-o", out, "--resume").err
    changed(place, 1)
    assert "already exists" in run("apply", place, *options, "-o", out, "--resume").err


def test_what_pieces_read(tmp_path):
    """A piece depends on the objects of its windows, those of borders that repeat the other side included."""
    place = zarr_array(tmp_path / "in.zarr", PIXELS, (32, 20))
    output = OutputSpec(str(tmp_path / "out.zarr"))
    found = {}
    for padding in ("same:zero", "same:wrap"):
        settings = Settings(load_kernel("box3"), padding=Padding.parse(padding), output=output)
        with plan_job(place, settings, JobOptions(piece=(32, 40), chunk=(32, 40))) as planned:
            grid, _ = planned.grid(InProcessEngine())
            listed = [stamps_of(planned.task.opened, planned.task.plan, grid).pieces]
            (tmp_path / "in.zarr" / "c" / "0" / "0").touch()
            listed.append(stamps_of(planned.task.opened, planned.task.plan, grid).pieces)
        found[padding] = np.flatnonzero(listed[0] != listed[1]).tolist()
    assert found == {"same:zero": [0, 1], "same:wrap": [0, 1, 2, 3, 4, 5]}


def test_metadata_in_a_store_that_lists_nothing():
    """Where one of two looks could not list objects, metadata alone decide."""
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
