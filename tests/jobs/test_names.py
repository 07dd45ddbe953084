"""Names of sources and targets: secrets in URLs, slashes at the end, jobs that are done."""

from __future__ import annotations

import io

import numpy as np
import pytest
from click.testing import CliRunner

from convcli.cli.main import cli

zarr = pytest.importorskip("zarr")


def run(*words: object):
    return CliRunner().invoke(cli, [str(word) for word in words])


@pytest.fixture
def image(tmp_path):
    np.save(tmp_path / "in.npy", np.random.default_rng(0).integers(0, 256, (40, 50), np.uint8))
    return tmp_path / "in.npy"


def test_the_query_of_a_url_is_stored_nowhere(image, web, tmp_path):
    """A signed URL is read by every piece, but is neither in the journal nor in the result."""
    data = io.BytesIO()
    np.save(data, np.load(image))
    web.files = {"/a.npy?sig=SECRET": data.getvalue(), "/a.npy": data.getvalue()}
    target = tmp_path / "out.zarr"
    words = ["apply", f"{web.address}/a.npy?sig=SECRET", "-k", "box3", "--chunk", 16, "--piece", 16]
    assert run(*words, "-o", target).exit_code == 0
    texts = [path.read_bytes() for path in target.rglob("*") if path.is_file()]
    assert texts and not any(b"SECRET" in text for text in texts)
    result = run(*words, "-o", tmp_path / "other.zarr", "--job", tmp_path / "job.json")
    assert result.exit_code != 0 and "query" in str(result.exception)
    assert not (tmp_path / "job.json").exists() and not (tmp_path / "other.zarr").exists()


def test_a_slash_after_a_store_makes_no_folder(image, tmp_path):
    """``out.zarr/`` is ``out.zarr``, whether it is there or not."""
    assert run("apply", image, "-k", "box3", "-o", f"{tmp_path}/out.zarr/", "-q").exit_code == 0
    assert zarr.open_array(tmp_path / "out.zarr", mode="r").shape == (40, 50)
    again = run("apply", image, "-k", "box3", "-o", f"{tmp_path}/out.zarr/")
    assert again.exit_code != 0 and "exists" in str(again.exception)


def test_shares_of_a_complete_job_have_nothing_to_do(image, tmp_path):
    """A batch system may start a share, and the end of a job, once more."""
    job = tmp_path / "job.json"
    assert run("apply", image, "-k", "box3", "-o", tmp_path / "out.zarr", "--job", job).exit_code == 0
    for _ in range(2):
        assert run("piece", job, "0/1").exit_code == 0
        assert run("piece", job, "--finish").exit_code == 0
