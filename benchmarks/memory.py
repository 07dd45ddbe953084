"""Memory of a batch under ``--max-memory``: ``python benchmarks/memory.py``, on Linux.

For each format, a folder of images of 1 to 9 megapixels is filtered with two kernels under several limits,
and the memory of all processes (PSS) is sampled every few milliseconds. Images that need more than the limit
are rejected by the batch, and counted.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from batch import JOBS, ROOT, resident
from images import photograph

from convcli.formats import registry
from convcli.formats.header import Metadata

FORMATS = ("png", "jpeg", "tiff", "npy", "bmp", "gif", "webp", "avif")
SIDES = (1000, 1700, 2200, 2700, 3000)


def fill(folder: Path, name: str) -> None:
    """Write RGB images of one format."""
    folder.mkdir()
    largest = photograph(max(SIDES), max(SIDES), 3)
    entry = registry.format_named(name)
    for side in SIDES:
        part = np.ascontiguousarray(largest[:side, :side])
        path = folder / f"{side}{entry.suffixes[0]}"
        path.write_bytes(entry.encode(part, Metadata()))


def peak(source: Path, target: Path, limit: str) -> tuple[float, int]:
    """Peak megabytes of all processes, and how many images were rejected."""
    words = ["batch", source, target, "-k", "box3", "-k", "sobel-x", "-j", JOBS, "--max-memory", limit, "-q"]
    process = subprocess.Popen(
        [sys.executable, "-m", "convcli", *map(str, words)], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    most = 0
    while process.poll() is None:
        most = max(most, resident(process.pid))
        time.sleep(0.005)
    return most / 1e6, len(SIDES) - len(list(target.glob("*.box3.*")))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limits", nargs="*", default=["150M", "250M", "500M", "1G"])
    parser.add_argument("--formats", nargs="*", choices=FORMATS, default=list(FORMATS))
    options = parser.parse_args()
    print("| peak in MB (rejected) | " + " | ".join(options.limits) + " |")
    print("|---" * (len(options.limits) + 1) + "|")
    for name in options.formats:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            fill(folder / "in", name)
            cells = []
            for limit in options.limits:
                most, refused = peak(folder / "in", folder / limit, limit)
                cells.append(f"{most:.0f}" + f" ({refused})" * bool(refused))
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
