"""Memory estimates of each format, compared with what a process takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("memory.py")
STATUS = Path("/proc/self/clear_refs")
READ = [("jpeg", 1), ("webp", 1), ("bmp", 1), ("avif", 1), ("png", 4), ("webp", 4), ("gif", 4), ("avif", 4)]
WRITTEN = [("jpeg", 1), ("bmp", 1), ("avif", 1), ("png", 4), ("webp", 2), ("gif", 2), ("tiff", 4)]
CASES = [(name, "npy", frames) for name, frames in READ] + [("npy", name, frames) for name, frames in WRITTEN]
VIDEO = [("mkv", "npy", 4), ("mp4", "npy", 4), ("npy", "mkv", 4), ("npy", "mp4", 16)]


def check(cases: list[tuple[str, str, int]], folder: Path) -> None:
    """No case takes much more than its estimate, or a small part of it."""
    words = [sys.executable, SCRIPT, folder, json.dumps(cases)]
    lines = subprocess.check_output(list(map(str, words)), text=True, cwd=SCRIPT.parents[2])
    found = [json.loads(line) for line in lines.splitlines()]
    assert [case for case, *_ in found] == [list(case) for case in cases]
    wrong = [
        f"{case}: estimated {planned:.0f} MB, took {taken:.0f}"
        for case, planned, taken in found
        if not 0.25 * planned - 15 < taken < 1.1 * planned + 4
    ]
    assert not wrong


@pytest.mark.skipif(not STATUS.exists(), reason="only Linux tells the most memory that was taken")
def test_images_take_the_memory_that_was_estimated(tmp_path):
    """Formats that are read or written, with one image or several frames."""
    check(CASES, tmp_path)


@pytest.mark.skipif(not STATUS.exists(), reason="only Linux tells the most memory that was taken")
def test_video_takes_the_memory_that_was_estimated(tmp_path):
    """Codecs keep reference frames and look ahead."""
    pytest.importorskip("av")
    check(VIDEO, tmp_path)
