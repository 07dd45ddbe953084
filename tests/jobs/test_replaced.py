"""Jobs that others replace or complete while a share of them runs: nothing of theirs is written any more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from convcli.cli.main import cli
from convcli.core.errors import OutputError
from convcli.jobs.driver import JobRun
from convcli.jobs.facts import MAP, Facts
from convcli.jobs.job import Job
from convcli.jobs.journal import Journal
from convcli.jobs.opened import OpenedJob
from convcli.storage.folder import Folder

pytest.importorskip("zarr")


@pytest.fixture
def prepare(tmp_path):
    """A function that prepares a job with a kernel, in the place of any before; the job."""
    image, file = tmp_path / "in.npy", tmp_path / "job.json"
    np.save(image, np.arange(32 * 32, dtype=np.uint16).reshape(32, 32))

    def prepare(kernel: str) -> Job:
        words = ["-o", tmp_path / "out.zarr", "--job", file, "--piece", 16, "--chunk", 8, "--force"]
        ran = CliRunner().invoke(cli, [str(word) for word in ["apply", image, "-k", kernel, *words]])
        assert ran.exit_code == 0, ran.output
        return Job.of_text(file.read_text(), "job.json")

    return prepare


def bound(job: Job) -> Journal:
    journal = Journal(job.journal)
    journal.bind(job)
    return journal


def test_a_replaced_job_writes_nothing(prepare, tmp_path):
    """Neither pixels of a piece nor facts, which would count for the other job."""
    job = prepare("box3")
    opened, journal = OpenedJob.of(job, 1), bound(job)
    mappings = JobRun(opened.runner.task, job.settings_with(), job, journal).mappings()
    facts = opened.runner.map(0, mappings)
    other = prepare("identity")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with (
        opened.source,
        pytest.raises(OutputError, match=r"out.zarr.convcli: another job has taken the place"),
    ):
        opened.runner.map(1, mappings)
    journal.waiting[MAP] = [facts]
    with pytest.raises(OutputError, match="another job"):
        journal.flush()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert not list(bound(other).facts(MAP))


def test_a_complete_job_writes_nothing(prepare):
    """As when a piece ran twice and the slower run goes on."""
    job = prepare("box3")
    journal = bound(job)
    Journal(job.journal).remove()
    assert not Path(job.journal).exists()
    journal.waiting[MAP] = [Facts(0, ())]
    with pytest.raises(OutputError, match="this job has ended"):
        journal.flush()
    assert not Path(job.journal).exists()


def test_each_write_costs_one_request(prepare, monkeypatch):
    """A band of shards is written after one look at the job."""
    job = prepare("box3")
    opened = OpenedJob.of(job, 1)
    run = JobRun(opened.runner.task, job.settings_with(), job, bound(job))
    asked = []
    kind: type[Folder] = type(run.journal.folder)
    read = kind.read
    monkeypatch.setattr(kind, "read", lambda self, name: asked.append(name) or read(self, name))
    with opened.source:
        opened.runner.map(0, run.mappings())
    assert asked.count("job.json") == len(list(job.grid.bands(job.grid.box(0)))) == 2
