"""What a batch takes under ``--max-memory``: ``python benchmarks/memory.py``, on Linux.

For each format a folder of pictures of 1 to 9 megapixels is filtered with two kernels under some limits; what
all processes share out among themselves is looked at every few milliseconds. A picture that needs more
than the limit is refused by the batch, and counted.
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
from pictures import photograph

from convcli.formats import registry
from convcli.formats.header import Metadata

FORMATS = ("png", "jpeg", "tiff", "npy", "bmp", "gif", "webp", "avif")
SIDES = (1000, 1700, 2200, 2700, 3000)


def fill(folder: Path, name: str) -> None:
    """Pictures of one format, RGB."""
    folder.mkdir()
    whole = photograph(max(SIDES), max(SIDES), 3)
    entry = registry.format_named(name)
    for side in SIDES:
        part = np.ascontiguousarray(whole[:side, :side])
        path = folder / f"{side}{entry.suffixes[0]}"
        path.write_bytes(entry.encode(part, Metadata()))


def peak(source: Path, target: Path, limit: str) -> tuple[float, int]:
    """Most megabytes of all processes, and how many pictures were refused."""
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
    given = parser.parse_args()
    print("| peak in MB (refused) | " + " | ".join(given.limits) + " |")
    print("|---" * (len(given.limits) + 1) + "|")
    for name in given.formats:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            fill(folder / "in", name)
            cells = []
            for limit in given.limits:
                most, refused = peak(folder / "in", folder / limit, limit)
                cells.append(f"{most:.0f}" + f" ({refused})" * bool(refused))
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
