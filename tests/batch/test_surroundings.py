"""Batches in odd surroundings, and the memory that they take."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from convcli.files.input import Input
from convcli.formats import registry
from convcli.formats.header import Metadata
from convcli.kernels.library import load_kernel
from convcli.pipeline import job
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.settings import Settings
from tests.batch.conftest import ENVIRONMENT, PROGRAM, made


def shell(command: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash; ``convcli`` in it is this checkout's."""
    command = command.replace("convcli batch", f"{PROGRAM} -m convcli batch")
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, env=ENVIRONMENT, check=False
    )


@pytest.mark.parametrize(
    "prefix",
    [
        "ulimit -n 32",
        "ulimit -v 1000000",
        "unset HOME TMPDIR; export LC_ALL=C",
        "umask 077",
        "exec 2>&-",
        "exec >&-",
    ],
)
def test_odd_surroundings(album, tmp_path, prefix):
    """Few descriptors, little memory, no home, closed streams: the same results."""
    ran = shell(f"{prefix}; convcli batch {album} {tmp_path}/out -k gaussian5 -q")
    assert ran.returncode == 1
    assert len(made(tmp_path / "out")) == 5, ran.stderr
    mode = (tmp_path / "out" / "0.gaussian5.png").stat().st_mode & 0o777
    assert mode == (0o600 if "umask" in prefix else 0o644)


def test_a_folder_that_is_gone_is_no_hindrance(album, tmp_path):
    """A working directory that was deleted matters to relative names alone."""
    place = tmp_path / "place"
    place.mkdir()
    shell(f"cd {place}; rmdir {place}; convcli batch {album} {tmp_path}/out -k box3 -q")
    assert len(made(tmp_path / "out")) == 5


def test_full_disks(album, tmp_path):
    """Outputs that do not fit are failures, one line each, and leave nothing; so is a manifest."""
    ran = shell(f"ulimit -f 1; convcli batch {album} {tmp_path}/out -k box3")
    assert ran.stderr.count("File too large") == 5
    assert made(tmp_path / "out") == {}
    ran = shell(f"convcli batch {album} {tmp_path}/two -k box3 --report - > /dev/full")
    assert "standard output: No space left on device" in ran.stderr


MEASURED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.mark.parametrize("suffix", ["bmp", "png", "jpg", "tif", "webp", "gif", "avif", "npy"])
def test_images_take_the_memory_that_was_planned(suffix, tmp_path):
    """--max-memory goes by estimates: none is far below or above what a worker takes."""
    rows, columns = np.mgrid[:1200, :1400]
    pixels = np.stack([rows * 2 // 7 + columns, rows ^ columns, columns // 3], axis=-1).astype(np.uint8)
    path = tmp_path / f"large.{suffix}"
    wanted = registry.format_of_suffix(path.suffix)
    path.write_bytes(wanted.encode(pixels, Metadata(subsampling="420")))
    output = OutputSpec(f"{tmp_path}/out/")
    kernels = [Settings(load_kernel(name), threads=1, output=output) for name in ("box3", "sobel-x")]
    with Input.open(str(path)) as opened:
        results = job.planned_results(str(path), opened, kernels)
        planned = max(task.memory for _, tasks in results for task in tasks) / 10**6
    words = [sys.executable, "-m", "convcli", "batch", "-q", path, tmp_path / "out", "-k", "box3"]
    limits = ["-k", "sobel-x", "-j", "1", "--threads", "1", "--max-memory", f"{planned + 2}M"]
    ran = subprocess.run(
        [sys.executable, "-c", MEASURED, *map(str, words), *limits],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=True,
    )
    taken = int(ran.stdout) * 1024 / 10**6
    assert 0.4 * planned < taken < 1.2 * planned + 15
