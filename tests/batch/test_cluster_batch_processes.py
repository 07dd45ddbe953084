"""Batches on real workers, from and to a bucket, and with processes that are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.batch.conftest import ENVIRONMENT, Slow, made, noise
from tests.clusters import Cluster, cluster, wait_until
from tests.servers import Bucket

pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler and two workers, which are restarted if they die."""
    with cluster(tmp_path_factory.mktemp("cluster")) as made_cluster:
        yield made_cluster


def started(cwd: Path, *words: object) -> subprocess.Popen[bytes]:
    """A batch in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "convcli", "batch", *map(str, words)],
        cwd=cwd,
        env={**os.environ, **ENVIRONMENT},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def ended(process: subprocess.Popen[bytes]) -> str:
    _, messages = process.communicate(timeout=120)
    return messages.decode()


def workers_of(pair: Cluster) -> list[int]:
    """The processes in which tasks run: those that nannies have started."""
    nannies = {process.pid for process in pair.processes[1:]}
    return [process for process, parent in _parents() if parent in nannies and _computes(process)]


def _parents() -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                yield int(entry.name), int((entry / "stat").read_text().rpartition(")")[2].split()[1])


def _computes(process: int) -> bool:
    with suppress(OSError):
        return b"spawn_main" in Path(f"/proc/{process}/cmdline").read_bytes()
    return False


def test_a_worker_that_is_killed_costs_nothing(pair: Cluster, slow: Slow, tmp_path: Path):
    """Its list is done again; results that were there already have the same bytes and count as made."""
    run = started(
        tmp_path, slow.folder, "out/", *slow.options, "--cluster", pair.address, "--report", "rows/"
    )
    wait_until(lambda: list(tmp_path.glob("out/*.png")) or run.poll() is not None, "result")
    killed = workers_of(pair)
    for process in killed:
        os.kill(process, signal.SIGKILL)
    messages = ended(run)
    assert killed
    assert run.returncode == 0, messages
    assert "8 done, 0 skipped, 0 failed" in messages
    assert made(tmp_path / "out") == slow.results


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_driver_that_ends_can_go_on(pair: Cluster, slow: Slow, tmp_path: Path, number: int):
    """What it left is found, finished or not; nothing is left half-written, and the lock does not stay."""
    words = slow.folder, "out/", *slow.options, "--cluster", pair.address, "--report", "rows.jsonl"
    run = started(tmp_path, *words)
    wait_until(lambda: list(tmp_path.glob("out/*.png")) or run.poll() is not None, "result")
    run.send_signal(number)
    assert "Traceback" not in ended(run)
    on = started(tmp_path, *words, "--resume")
    messages = ended(on)
    assert on.returncode == 0, messages
    assert "0 failed" in messages
    left = made(tmp_path / "out")
    assert {name: digest for name, digest in left.items() if not name.startswith("probe-")} == slow.results
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "rows.jsonl"]


def test_from_bucket_to_bucket(s3: Bucket, run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Bytes are those of files; resuming reads no image of a finished list again."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "in" / "sub"
    folder.mkdir(parents=True)
    for number in range(6):
        data = noise(number)
        (folder / f"{number}.png").write_bytes(data)
        s3.put(f"in/sub/{number}.png", data)
    run("batch", "-r", "in/", "out/", "-k", "sobel-x")
    words = "batch", "-r", f"{s3.url}/in/", f"{s3.url}/out/", "-k", "sobel-x", "--report", f"{s3.url}/rows/"
    done = run(*words, "--cluster", "local:2")
    assert "6 done, 0 skipped, 0 failed" in done.err, done.err
    for path in (tmp_path / "out").rglob("*.png"):
        assert s3.get(str(path.relative_to(tmp_path))) == path.read_bytes()
    s3.put("in/sub/3.png", noise(33))
    again = run(*words, "--cluster", "local:2", "--resume")
    assert "1 done, 5 skipped, 0 failed" in again.err, again.err
    last = run(*words, "--cluster", "local:2", "--resume")
    assert "0 done, 6 skipped, 0 failed" in last.err, last.err
