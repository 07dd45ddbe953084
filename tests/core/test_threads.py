"""Threads, and a system that gives few of them, or none."""

from __future__ import annotations

import _thread
import errno
import os
import subprocess
import sys

import imagecodecs
import numpy as np
import pytest

import convcli
from convcli.core import threads
from tests.conftest import ROOT, SAMPLES

LARGE = ("-k", "box3", "--threads", "3", "--force", "-q")


def refuse(*_: object) -> None:
    raise RuntimeError("can't start new thread")


def forget(*_: object) -> None:
    """A thread that memory ends before its first step."""


@pytest.fixture
def large(tmp_path):
    """An image of more bands than may wait for a writer."""
    pixels = np.random.default_rng(1).integers(0, 256, (1500, 1700, 3), np.uint8)
    (tmp_path / "in.png").write_bytes(imagecodecs.png_encode(pixels, level=1))
    return tmp_path / "in.png"


def after(count: int, then):
    """A function that starts ``count`` threads before it does something else."""
    real, begun = _thread.start_new_thread, []

    def start(*given):
        begun.append(given)
        return real(*given) if len(begun) <= count else then(*given)

    return start


@pytest.mark.parametrize("then", [refuse, forget])
@pytest.mark.parametrize("count", range(4))
def test_fewer_threads_give_the_same_file(count, then, large, run, monkeypatch):
    """A writer, and workers, that no thread is left for: whoever wanted one does the work."""
    folder = large.parent
    assert run("apply", large, "-o", folder / "whole.png", *LARGE).code == 0
    monkeypatch.setattr(threads, "_PATIENCE", 0.01)
    monkeypatch.setattr(_thread, "start_new_thread", after(count, then))
    ran = run("apply", large, "-o", folder / "few.png", *LARGE)
    assert (ran.code, ran.err) == (0, "")
    assert (folder / "few.png").read_bytes() == (folder / "whole.png").read_bytes()


def test_arrays_and_folders_without_threads(large, run, monkeypatch):
    """`conv` and a batch, whose workers finish their results themselves."""
    pixels = np.arange(2000 * 2100, dtype=np.float32).reshape(1, 2000, 2100, 1)
    wanted = convcli.conv(pixels, "box3", padding="same", channels="last", threads=4)
    monkeypatch.setattr(_thread, "start_new_thread", refuse)
    found = convcli.conv(pixels, "box3", padding="same", channels="last", threads=4)
    assert np.array_equal(found, wanted)
    out = large.parent / "out"
    ran = run("batch", large, SAMPLES / "scene.png", out, "-k", "box3", "-q")
    assert (ran.code, ran.err) == (0, "")
    assert sorted(path.name for path in out.iterdir()) == ["in.box3.png", "scene.box3.png"]


def test_join_raises_the_error_of_a_thread():
    """The first of several that failed; leaving waits for the others."""
    ended = []

    def fail() -> None:
        raise ValueError("one")

    with pytest.raises(ValueError, match="one"), threads.Threads() as several:
        assert several.begin(fail)
        assert several.begin(lambda: ended.append(1))
        several.join()
    assert ended == [1]


@pytest.mark.parametrize(
    ("allowed", "code", "told"),
    [
        (0, 2, "convcli: cannot start a worker process: Resource temporarily unavailable\n"),
        (1, 0, ""),
    ],
)
def test_fewer_processes_do_all_or_say_why_not(allowed, code, told, large, run, monkeypatch):
    """If the system gives no process, the reason is reported; if it gives one, that one does all the work."""
    real, forks = os.fork, []

    def fork() -> int:
        forks.append(1)
        if len(forks) > allowed:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return real()

    monkeypatch.setattr(os, "fork", fork)
    ran = run("batch", "-q", "-j", 2, large, SAMPLES / "scene.png", large.parent / "out", "-k", "box3")
    assert (ran.code, ran.err) == (code, told)
    assert len(list(large.parent.glob("out/*"))) == 2 * allowed


@pytest.mark.parametrize("limit", range(225_000, 750_000, 75_000))
@pytest.mark.parametrize("command", ["apply", "batch"])
def test_little_memory_is_enough_or_one_line(limit, command, large):
    """A limit of the address space, which stacks and buffers fill, ends in no traceback, waiting or silence.

    What fits depends on the machine; that a failure has one line does not.
    """
    words = [command, large, large.parent / "out/", "-k", "random:9x9,seed=1", "--threads", "8", "-q"]
    if command == "apply":
        words.insert(2, "-o")
        (large.parent / "out").mkdir()
    ran = subprocess.run(
        ["bash", "-c", f'ulimit -v {limit}; exec "$0" -m convcli "$@"', sys.executable, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert "Traceback" not in ran.stderr
    assert ran.stderr.count("\n") == (1 if ran.returncode else 0), ran.stderr


@pytest.mark.parametrize("limit", [6, 9, 12, 16])
def test_few_descriptors_are_enough_or_named(limit, large):
    """The lack of descriptors is reported, rather than standard output or a damaged image."""
    words = ["batch", large, SAMPLES / "scene.png", large.parent / "out", "-k", "box3", "-q"]
    ran = subprocess.run(
        ["bash", "-c", f'ulimit -n {limit}; exec "$0" -m convcli "$@"', sys.executable, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert "standard output" not in ran.stderr and "damaged" not in ran.stderr
    assert all("Too many open files" in line for line in ran.stderr.splitlines())
