"""Images, trees and manifests that the tests of batches share."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from tests.conftest import SAMPLES, Run

PROGRAM = shlex.quote(sys.executable)
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(SAMPLES.parent)}


@pytest.fixture
def batch(run: Run) -> Run:
    """Run ``convcli batch`` in this process, with workers of its own."""
    return partial(run, "batch")


def noise(seed: int, size: int = 24) -> bytes:
    """A PNG."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size + 1, 3), np.uint8)
    return bytes(imagecodecs.png_encode(pixels))


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A folder of good, odd and broken images, in a tree."""
    folder = tmp_path / "in"
    (folder / "sub" / "deep").mkdir(parents=True)
    for index in range(5):
        (folder / f"{index}.png").write_bytes(noise(index))
    (folder / "sub" / "a.png").write_bytes(noise(7))
    (folder / "sub" / "deep" / "b.PNG").write_bytes(noise(8))
    (folder / "cut.png").write_bytes(noise(9)[:200])
    (folder / "text.png").write_bytes(b"no image")
    (folder / "notes.txt").write_text("left alone")
    (folder / ".hidden.png").write_bytes(noise(1))
    return folder


@dataclass(frozen=True)
class Slow:
    """A folder of images that take a while with some options, and their results."""

    folder: Path
    options: tuple[str, ...]
    results: dict[str, str]


@pytest.fixture(scope="session")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Slow:
    """Images with a large kernel by plain sums: a tenth of a second each, and the results of a whole run."""
    top = tmp_path_factory.mktemp("slow")
    folder, options = top / "in", ("-k", "gaussian:12,size=41", "--method", "shift")
    folder.mkdir()
    for index in range(8):
        (folder / f"{index}.png").write_bytes(noise(index, 240))
    words = [sys.executable, "-m", "convcli", "batch", "-q", folder, top / "out", *options]
    subprocess.run(list(map(str, words)), check=True, env=ENVIRONMENT)
    return Slow(folder, options, made(top / "out"))


def made(folder: Path) -> dict[str, str]:
    """Every file of a tree, with the SHA-256 of its bytes."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def rows(path: Path) -> list[dict]:
    """The rows of a manifest in JSON lines, without its first line."""
    return [row for row in map(json.loads, path.read_text().splitlines()) if "batch" in row]
