"""Batches that are stopped, killed, or disturbed by others, and how they go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from convcli.batch.batch import Batch, Limits
from convcli.batch.inputs import InputFile
from convcli.batch.manifest import Manifest
from convcli.batch.worker import ImageTask, ImageWorker
from convcli.kernels.library import load_kernel
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.settings import Settings
from tests.batch.conftest import ENVIRONMENT, Slow, made, noise, rows


def started(*words: object, cwd: Path) -> subprocess.Popen[bytes]:
    """Start a batch in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "convcli", "batch", *map(str, words)],
        cwd=cwd,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def gone(pid: int, seconds: float = 10.0) -> bool:
    """Whether a process ends within a time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


def wait_for_results(process: subprocess.Popen[bytes], out: Path, count: int = 1) -> None:
    end = time.monotonic() + 30
    while len(list(out.glob("*.png"))) < count:
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopped_at_any_moment_a_batch_can_go_on(batch, slow: Slow, tmp_path, number):
    """No partial output and no orphan is left; a resumed run ends with the bytes of an uninterrupted one."""
    out, log = tmp_path / "out", tmp_path / "log.jsonl"
    words = (slow.folder, out, *slow.options, "--report", log)
    process = started(*words, cwd=tmp_path)
    wait_for_results(process, out)
    workers = children(process.pid)
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
    assert b"Traceback" not in err
    assert workers and all(gone(worker) for worker in workers)
    part = made(out)
    assert part.items() <= slow.results.items() and len(part) < len(slow.results)
    ran = batch(*words, "--resume")
    assert ran.code == 0, ran.err
    assert made(out) == slow.results
    assert len(rows(log)) == len(slow.results)


def test_a_worker_that_dies_costs_one_image(slow: Slow, tmp_path):
    """It is reported with its signal, and the batch continues."""
    log, count = tmp_path / "log.jsonl", len(slow.results)
    process = started(slow.folder, tmp_path / "out", *slow.options, "--report", log, "-j", 2, cwd=tmp_path)
    wait_for_results(process, tmp_path / "out")
    os.kill(children(process.pid)[-1], signal.SIGKILL)  # the last one; the first is the monitor
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert err.count(b"its worker process was killed by SIGKILL") == 1
    assert f"{count - 1} done, 0 skipped, 1 failed".encode() in err
    assert sum(bool(row["batch"]["error"]) for row in rows(log)) == 1
    assert len(made(tmp_path / "out")) == count - 1


def test_two_batches_into_one_folder(slow: Slow, tmp_path):
    """They run at the same time, with --force; every file is complete."""
    images = sorted(slow.folder.glob("[0-3].png"))
    words = (*images, tmp_path / "out", *slow.options, "--force")
    both = [started(*words, cwd=tmp_path) for _ in range(2)]
    assert [process.communicate(timeout=60) and process.returncode for process in both] == [0, 0]
    results = made(tmp_path / "out")
    assert results.items() <= slow.results.items() and len(results) == len(images)


def test_a_manifest_has_one_writer(batch, album, tmp_path):
    """A second run with the same manifest is refused for as long as the first one has it."""
    log = tmp_path / "log.jsonl"
    words = (album / "0.png", tmp_path / "out", "-k", "box3", "--report", log, "--resume")
    assert batch(*words).code == 0
    first = Manifest(str(log), resume=True)
    first.begin({}, first.earlier())
    assert "another run is writing to it" in batch(*words).err
    first.close()
    assert "0 done, 1 skipped" in batch(*words).err


def test_an_input_that_is_replaced_meanwhile_is_a_failure(tmp_path):
    """Renamed over while it is computed: what is written would not be what the manifest says was read."""
    image, new = tmp_path / "0.png", tmp_path / "new.png"
    image.write_bytes(noise(0))
    new.write_bytes(noise(50))
    settings = Settings(load_kernel("box3"), output=OutputSpec(f"{tmp_path}/out/"))
    work = Batch([InputFile(str(image))], [settings], Limits(1, 1, 2**30))
    finish = ImageWorker(work, True, {})(ImageTask(work.sources[0], [0], 1, False, False))
    new.rename(image)
    outcome = finish()
    assert outcome.error == f"{image}: changed while it was being read"
    assert [row.facts["error"] for row in outcome.rows] == [outcome.error]
    assert made(tmp_path / "out") == {}


def test_results_without_a_row_are_taken_by_another_number_of_workers(batch, tmp_path):
    """Bytes of images that are cut into strips do not depend on workers, so a resumed run finds its own."""
    folder, log = tmp_path / "in", tmp_path / "log.jsonl"
    folder.mkdir()
    for index in range(3):
        (folder / f"{index}.png").write_bytes(noise(index, 500))
    words = (folder, tmp_path / "out", "-k", "gaussian:2", "--method", "shift", "--report", log)
    batch(*words, "-j", 1)
    before = made(tmp_path / "out")
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:1] + lines[2:]))
    ran = batch(*words, "-j", 2, "--threads", 3, "--resume")
    assert "1 done, 2 skipped, 0 failed" in ran.err, ran.err
    assert made(tmp_path / "out") == before
