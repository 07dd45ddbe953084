"""Pyramids of results in pieces: every level is the mean of the one above, whoever makes it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from convcli.cli.main import cli
from convcli.formats.zarr.pyramid import halved

zarr = pytest.importorskip("zarr")


def run(*words: object) -> None:
    result = CliRunner().invoke(cli, [str(word) for word in words])
    assert result.exit_code == 0, result.output


@pytest.fixture
def image(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 65536, (701, 530), np.uint16)
    np.save(tmp_path / "in.npy", pixels)
    return tmp_path / "in.npy"


def levels(place):
    """The arrays of an image, as its metadata list them."""
    group = zarr.open_group(place, mode="r")
    datasets = group.attrs["ome"]["multiscales"][0]["datasets"]
    return [group[dataset["path"]][:] for dataset in datasets]


def test_levels_are_means(image, tmp_path):
    """`--pyramid` adds levels down to 256 pixels; the first is the result without it."""
    run("apply", image, "-k", "box3", "--chunk", 128, "--pyramid", "-o", tmp_path / "a.ome.zarr", "-q")
    run("apply", image, "-k", "box3", "-o", tmp_path / "b.npy", "-q")
    first, *others = levels(tmp_path / "a.ome.zarr")
    assert np.array_equal(first, np.load(tmp_path / "b.npy"))
    assert [level.shape for level in others] == [(351, 265), (176, 133)]
    for above, level in zip([first, *others], others, strict=False):
        assert np.array_equal(level, halved(above[..., None])[..., 0])


def test_shares_make_the_same_levels(image, tmp_path):
    """`convcli piece --finish` makes the levels of a job, with the same metadata."""
    target, job = tmp_path / "shares.ome.zarr", tmp_path / "job.json"
    run("apply", image, "-k", "box3", "--chunk", 128, "--pyramid", "-o", target, "--job", job)
    run("piece", job, "0/1")
    run("piece", job, "--finish")
    run("apply", image, "-k", "box3", "--chunk", 128, "--pyramid", "-o", tmp_path / "a.ome.zarr", "-q")
    assert [level.tobytes() for level in levels(target)] == [
        level.tobytes() for level in levels(tmp_path / "a.ome.zarr")
    ]
    one, other = (
        json.loads((place / "zarr.json").read_text()) for place in (target, tmp_path / "a.ome.zarr")
    )
    assert one["attributes"]["ome"]["multiscales"] == other["attributes"]["ome"]["multiscales"]


def test_only_ome_images_have_levels(image, tmp_path):
    """Plain Zarr is refused before anything is written."""
    words = ["apply", str(image), "-k", "box3", "--pyramid", "-o", str(tmp_path / "a.zarr")]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code != 0 and ".ome.zarr" in str(result.exception)
    assert not (tmp_path / "a.zarr").exists()
