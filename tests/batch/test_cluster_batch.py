"""Batches on a cluster: bytes, rows and messages of a plain batch, in lists; and how they go on after faults.

Most run on the engine of this process, which keeps the same contract; the last ones on real workers.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

import convcli.cli.cluster_batch as command
from convcli.batch.cluster_run import PARTS
from convcli.batch.work_lists import work_lists
from convcli.cluster.base import Outcome
from convcli.cluster.in_process import InProcessEngine
from convcli.core.errors import ConvcliError
from tests.batch.conftest import made, noise, rows
from tests.conftest import Run

SOBEL = "-k", "sobel-x"


class Workers(InProcessEngine):
    """An engine that can be hurt, and counts the lists that it gets.

    Attributes:
        poison: part of a payload's name that kills its worker.
        lasts: lists after which the engine is lost.
    """

    def __init__(self) -> None:
        self.lists, self.poison, self.lasts = 0, "", sys.maxsize

    def outcomes(self, work, tasks):
        for task in tasks:
            self.lists += 1
            if self.lists > self.lasts:
                raise ConvcliError("the scheduler is gone")
            if self.poison and self._holds(task.payload):
                yield Outcome(task.number, failure=f"{task.name}: its worker died")
            else:
                yield from super().outcomes(work, [task])

    def _holds(self, payload: str) -> bool:
        from convcli.batch.list_worker import unpacked

        return self.poison in unpacked(json.loads(payload)["images"]).decode()


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Workers:
    """The engine of the next batches, whose lists have three images."""
    engine = Workers()
    monkeypatch.setattr(command, "engine_of", lambda address: engine)
    monkeypatch.setattr(command, "work_lists", lambda *given: work_lists(*given, size=3))
    return engine


@pytest.fixture
def batch(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run ``convcli batch --cluster`` in the folder of the test."""
    monkeypatch.chdir(tmp_path)

    def filtered(*words: object, cluster: bool = True):
        return run("batch", *words, *(("--cluster", "local:1") if cluster else ()))

    return filtered


def timeless(path: Path) -> list[dict]:
    """The rows of a manifest without times."""
    found = rows(path)
    for row in found:
        row.pop("seconds", None)
        row["batch"] = {key: value for key, value in row["batch"].items() if "time" not in key}
    return found


def failures(text: str) -> list[str]:
    return sorted(line for line in text.splitlines() if ".png: " in line)


@pytest.mark.parametrize("report", ["rows.jsonl", "rows.csv"])
def test_bytes_rows_messages_and_exit_code_are_those_of_a_plain_batch(
    batch, workers, album, tmp_path, report
):
    """Whatever the kernels, also where images fail."""
    kernels = *SOBEL, "-k", "gaussian:1.5"
    plain = batch("-r", "in/", "out/", *kernels, "--report", report, cluster=False)
    shutil.move("out", "plain"), shutil.move(report, f"plain-{report}")
    other = batch("-r", "in/", "out/", *kernels, "--report", report)
    assert (other.code, failures(other.err)) == (plain.code, failures(plain.err)) == (1, failures(plain.err))
    assert "7 done, 0 skipped, 2 failed" in other.err
    assert made(tmp_path / "out") == made(tmp_path / "plain")
    assert workers.lists > 2
    assert not Path(f"{report}.parts").exists()
    if report.endswith("jsonl"):
        assert timeless(tmp_path / report) == timeless(tmp_path / f"plain-{report}")
        assert Path(report).read_text().splitlines()[0] == Path(f"plain-{report}").read_text().splitlines()[0]
    else:
        assert len(Path(report).read_text().splitlines()) == len(
            Path(f"plain-{report}").read_text().splitlines()
        )


@pytest.mark.parametrize("report", ["rows.jsonl", "rows.csv", "rows/"])
def test_resuming_makes_what_is_missing(batch, workers, album, report):
    """Finished lists are skipped; in others, images that failed, changed or are new are made."""
    batch("in/", "out/", *SOBEL, "--report", report)
    workers.lists = 0
    again = batch("in/", "out/", *SOBEL, "--report", report, "--resume")
    assert "0 done, 5 skipped, 2 failed" in again.err
    if report == "rows/":
        assert workers.lists == 2, "the list without failures is skipped"
    (album / "cut.png").write_bytes(noise(90))
    (album / "text.png").unlink()
    (album / "2.png").write_bytes(noise(91))
    (album / "9.png").write_bytes(noise(92))
    last = batch("in/", "out/", *SOBEL, "--report", report, "--resume")
    assert last.code == 0, last.err
    assert "3 done, 4 skipped, 0 failed" in last.err
    assert "1 result redone (input changed: 1)" in last.err
    fresh = batch("in/", "fresh/", *SOBEL, cluster=False)
    assert fresh.code == 0
    assert made(Path("out")) == made(Path("fresh"))


def test_other_settings_are_another_state(batch, workers, album):
    """All is redone, in place, and the rows say with what."""
    batch("in/", "out/", *SOBEL, "--report", "rows/")
    again = batch("in/", "out/", *SOBEL, "--report", "rows/", "--resume", "--map", "abs")
    assert "5 results redone (settings differ: 5)" in again.err
    heads = [json.loads(path.read_text().splitlines()[0]) for path in sorted(Path("rows").iterdir())]
    assert all(len(head["manifest"]["settings"]) == 1 for head in heads)


def test_shards_are_numbered_manifests(batch, workers, album):
    """Each has its first line; together, in the order of their names, they have the rows of one file."""
    batch("-r", "in/", "out/", *SOBEL, "--report", "one.jsonl")
    batch("-r", "in/", "more/", *SOBEL, "--report", "rows/")
    shards = sorted(Path("rows").iterdir())
    assert [path.name[:7] for path in shards] == [f"{number:06}-" for number in range(len(shards))]
    names = [row["input"]["name"] for path in shards for row in rows(path)]
    assert names == [row["input"]["name"] for row in rows(Path("one.jsonl"))]


def test_a_plain_batch_goes_on_where_a_cluster_was_and_back(batch, workers, album):
    """The joined manifest is that of a plain batch."""
    batch("in/", "out/", *SOBEL, "--report", "rows.jsonl", cluster=False)
    assert "5 skipped" in batch("in/", "out/", *SOBEL, "--report", "rows.jsonl", "--resume").err
    assert (
        "5 skipped" in batch("in/", "out/", *SOBEL, "--report", "rows.jsonl", "--resume", cluster=False).err
    )


def test_results_of_one_name_in_different_lists(batch, workers, tmp_path):
    """The first stays, the second fails, and both are in the manifest; nothing is overwritten."""
    for folder, seed in (("a", 1), ("b", 2)):
        (tmp_path / folder).mkdir()
        for number in range(3):
            (tmp_path / folder / f"{number}.png").write_bytes(noise(10 * seed + number))
    batch("a/", "alone/", *SOBEL)
    done = batch("a/", "b/", "out/", *SOBEL, "--report", "rows.jsonl")
    assert done.code == 1
    assert "3 done, 0 skipped, 3 failed" in done.err
    assert done.err.count("already exists") == 3
    assert made(Path("out")) == made(Path("alone"))
    assert sum(row["batch"]["error"] is not None for row in rows(Path("rows.jsonl"))) == 3


def test_what_exists_is_kept(batch, workers, album, tmp_path):
    """A file with other bytes is an error of its image; one with the same bytes counts as made."""
    batch("in/", "out/", *SOBEL)
    (tmp_path / "out" / "0.sobel-x.png").write_bytes(b"mine")
    again = batch("in/", "out/", *SOBEL)
    assert "4 done, 0 skipped, 3 failed" in again.err
    assert (tmp_path / "out" / "0.sobel-x.png").read_bytes() == b"mine"
    assert "5 done" in batch("in/", "out/", *SOBEL, "--force").err


def test_an_image_that_kills_its_workers_is_found(batch, workers, album):
    """Its list is divided until it is alone; all others are made."""
    workers.poison = "3.png"
    done = batch("in/", "out/", *SOBEL, "--report", "rows.jsonl")
    assert "4 done, 0 skipped, 3 failed" in done.err
    assert "in/3.png: its worker died" in done.err
    assert [row["batch"]["error"] for row in rows(Path("rows.jsonl")) if "3.png" in row["input"]["name"]] == [
        "in/3.png: its worker died"
    ]
    workers.poison = ""
    assert (
        "1 done, 4 skipped, 2 failed"
        in batch("in/", "out/", *SOBEL, "--report", "rows.jsonl", "--resume").err
    )
    assert PARTS > 1


@pytest.mark.parametrize("report", ["rows.jsonl", "rows/"])
def test_a_lost_engine_costs_no_rows(batch, workers, album, report):
    """One line says so; what was done is skipped when the batch goes on."""
    whole = batch("-r", "in/", "whole/", *SOBEL)
    workers.lists, workers.lasts = 0, 2
    cut = batch("-r", "in/", "out/", *SOBEL, "--report", report)
    assert cut.code == 1
    assert "the scheduler is gone" in cut.err
    workers.lasts = sys.maxsize
    on = batch("-r", "in/", "out/", *SOBEL, "--report", report, "--resume")
    assert "skipped, 2 failed" in on.err
    assert " 0 skipped" not in on.err
    assert made(Path("out")) == made(Path("whole"))
    assert whole.code == on.code == 1


def test_stopping_at_the_first_failure(batch, workers, album):
    """No list is started after it, and no image of its list; later, the rest is made."""
    done = batch("-r", "in/", "out/", *SOBEL, "--report", "rows.jsonl", "--on-error", "stop")
    assert done.code == 1
    assert "5 done, 0 skipped, 1 failed" in done.err
    assert "not started" in done.err
    on = batch("-r", "in/", "out/", *SOBEL, "--report", "rows.jsonl", "--resume")
    assert "2 done, 5 skipped, 2 failed" in on.err


def test_a_dry_run_writes_nothing(batch, workers, album, tmp_path):
    """It shows what a plain one shows."""
    plain = batch("-r", "in/", "out/", *SOBEL, "-n", cluster=False)
    dry = batch("-r", "in/", "out/", *SOBEL, "-n")
    assert (dry.out, dry.code, workers.lists) == (plain.out, plain.code, 0)
    assert sorted(tmp_path.iterdir()) == [album]


REFUSED = {
    "jobs": (("in/", "out/", "-j", "2"), "--jobs cannot be combined with --cluster"),
    "stream": (("in/", "out/", "--report", "-"), "--report - cannot be used with --cluster"),
    "suffix": (("in/", "out/", "--report", "rows.txt"), "unknown manifest suffix; allowed: .jsonl"),
    "one file": (("in/", "out/x{suffix}"), "all images would be written to"),
    "into a source": (("in/", "{dir}/{stem}-x{suffix}"), "writes into a SOURCE"),
    "force": (("in/", "in/sub/", "out/", "--force"), "--force with --cluster needs a single SOURCE"),
    "no image": (("in/none*/", "out/"), "no file matches this pattern"),
    "cluster": (("in/", "out/", "--cluster", "here"), "unknown cluster 'here'"),
    "exists": (("in/", "out/", "--report", "old.jsonl"), "already exists"),
    "no manifest": (("in/", "out/", "--report", "old.jsonl", "--resume"), "is not a batch manifest"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(batch, workers, album, name):
    """One line, before anything is written."""
    Path("old.jsonl").write_text("mine\n")
    words, message = REFUSED[name]
    refused = batch(*words, *SOBEL, cluster="--cluster" not in words)
    assert refused.code in (1, 2)
    assert message in refused.err
    assert not Path("out").exists()
    assert Path("old.jsonl").read_text() == "mine\n"


def test_a_folder_of_results_in_a_source_is_left_out(batch, workers, album):
    """So that results are not filtered again, at once or later."""
    batch("-r", "in/", "in/out/", *SOBEL)
    assert "0 done" not in batch("-r", "in/", "in/out/", *SOBEL, "--force").err
    assert not list(Path("in/out").rglob("*sobel-x.sobel-x*"))
