"""Commands as processes of their own, which tests stop, kill and look after."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np

from tests.clusters import wait_until
from tests.conftest import ROOT
from tests.jobs.sources import zarr_array

SIDE = 768
CHUNK = 64
PIECES = (SIDE // CHUNK) ** 2
WORDS = ("-k", "box3", "--piece", str(CHUNK), "--chunk", str(CHUNK))
IMAGE = np.random.default_rng(3).integers(0, 65536, (SIDE, SIDE), np.uint16)
MOST_REDONE = 16
"""Pieces whose facts wait to be written, and are lost with their process."""


def big_source(folder):
    """An image of which a job makes many small pieces, so that it takes a while."""
    return zarr_array(Path(folder) / "in.zarr", IMAGE, (128, 128))


def expected():
    """The result of `WORDS`."""
    total = np.zeros(IMAGE.shape, np.int64)
    padded = np.pad(IMAGE.astype(np.int64), 1, "reflect")
    for row in range(3):
        for column in range(3):
            total += padded[row : row + SIDE, column : column + SIDE]
    return np.rint(total / 9).astype(np.uint16)


class Client:
    """A command that runs as a process of its own."""

    def __init__(self, *words: object, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "convcli", *map(str, words)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def send(self, number: int) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def stop_within(self, target: Path, pieces: int = 20) -> None:
        """Stop the process once so many pieces are noted, and before all are."""
        wait_until(lambda: self.ended or len(noted(target)) >= pieces, "pieces")
        self.send(signal.SIGSTOP)
        assert not self.ended, self.process.stderr.read()

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def end(self) -> tuple[int, str]:
        """Wait for the end: the exit code, and what was said."""
        _, err = self.process.communicate(timeout=120)
        return self.process.returncode, err

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stderr.close()


def noted(target: Path) -> set[int]:
    """The pieces that the journal of a target has."""
    found = set()
    for file in Path(f"{target}.convcli").glob("map.*.jsonl"):
        for line in file.read_text().splitlines():
            with suppress(ValueError):
                found.add(json.loads(line)["piece"])
    return found


def times(target: Path) -> dict[str, int]:
    """When each chunk of a target was written."""
    return {str(path): path.stat().st_mtime_ns for path in Path(target).glob("c/*/[0-9]*")}


def is_clean(folder: Path) -> bool:
    """Whether nothing is left of unfinished work."""
    left = [path for path in Path(folder).rglob("*") if path.suffix == ".partial" or ".convcli" in path.name]
    return not left
