"""Folders of images compared with other tools, as whole commands: ``python benchmarks/batch.py``, on Linux.

Every tool computes the 3×3 mean of each RGB image of a folder and writes it to another: convcli as a batch,
OpenCV by a script with as many processes, command-line tools by one process per image under ``xargs``. Runs
are interleaved. The last row is the floor: imagecodecs decodes the images in as many processes, and nothing
else. ``--soak`` filters many small images instead, and prints the memory of all processes of the batch over
time.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from images import photograph
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
JOBS = len(os.sched_getaffinity(0))
ONES = ",".join(["1"] * 9)
MEAN = "-define 'convolve:scale=!' -morphology Convolve '3x3: 1,1,1 1,1,1 1,1,1'"
OPENCV = """
import os, sys, cv2
from multiprocessing import Pool
source, target, jobs = sys.argv[1], sys.argv[2], int(sys.argv[3])
cv2.setNumThreads(1)
def one(name):
    image = cv2.imread(os.path.join(source, name), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(os.path.join(target, name), cv2.blur(image, (3, 3)))
with Pool(jobs) as pool:
    pool.map(one, sorted(os.listdir(source)), chunksize=8)
"""
DECODING = """
import os, sys, imagecodecs
from multiprocessing import Pool
source, jobs = sys.argv[1], int(sys.argv[2])
def one(name):
    with open(os.path.join(source, name), "rb") as file:
        getattr(imagecodecs, sys.argv[3])(file.read())
with Pool(jobs) as pool:
    pool.map(one, sorted(os.listdir(source)), chunksize=1)
"""
MASK = "3 3 9 0\n1 1 1\n1 1 1\n1 1 1\n"

ALONE = "convcli, one processor"

Command = Callable[[Path, Path], list[str]]


def convcli(source: Path, target: Path, jobs: int = JOBS) -> list[str]:
    """Convcli itself."""
    words = ["batch", str(source), str(target), "-k", "box3", "-q", "-j", str(jobs)]
    return [sys.executable, "-m", "convcli", *words]


def each(command: str, source: Path) -> list[str]:
    """A shell command per image, whose name is {}; one process per processor at a time."""
    return ["bash", "-c", f"ls {source} | xargs -P{JOBS} -I{{}} {command}"]


def decoding(source: Path, target: Path) -> list[str]:
    """Decoding alone."""
    kind = "png_decode" if next(source.iterdir()).suffix == ".png" else "jpeg_decode"
    return [sys.executable, "-c", DECODING, str(source), str(JOBS), kind]


PEERS: dict[str, tuple[str, Command]] = {
    "opencv script": ("", lambda s, t: [sys.executable, "-c", OPENCV, str(s), str(t), str(JOBS)]),
    "vips, xargs": ("vips", lambda s, t: each(f"vips conv {s}/{{}} {t}/{{}} {t}/../mask.mat", s)),
    "gm, xargs": ("gm", lambda s, t: each(f"gm convert {s}/{{}} -convolve {ONES} {t}/{{}}", s)),
    "mogrify": ("mogrify", lambda s, t: ["bash", "-c", f"mogrify -path {t} {MEAN} {s}/*"]),
}


def images(folder: Path, count: int, side: int, suffix: str) -> None:
    """Write RGB images, each a different part of one photograph with grain of its own."""
    folder.mkdir()
    whole = photograph(side + 256, side + 256, 3)
    rng = np.random.default_rng(0)
    for number in range(count):
        top, left = rng.integers(0, 256, 2)
        part = np.roll(whole[top : top + side, left : left + side], number, axis=(0, 1))
        Image.fromarray(part).save(folder / f"{number:05}{suffix}", compress_level=1, quality=90)


def seconds(command: list[str], target: Path) -> float:
    """Seconds that a command takes to fill an empty folder."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    begun = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begun


def compare(folder: Path, runs: int, names: list[str]) -> None:
    """Print a table of the installed tools, and the parallel efficiency."""
    source, target = folder / "in", folder / "out"
    (folder / "mask.mat").write_text(MASK)
    tools: dict[str, Command] = {"convcli": convcli}
    if JOBS > 1:
        tools["convcli, one worker"] = lambda s, t: convcli(s, t, 1)
        tools[ALONE] = lambda s, t: ["taskset", "-c", str(min(os.sched_getaffinity(0))), *convcli(s, t, 1)]
    here = {
        name: command for name, (program, command) in PEERS.items() if not program or shutil.which(program)
    }
    tools |= {name: command for name, command in here.items() if name in names}
    tools["decoding alone"] = decoding
    found: dict[str, list[float]] = {name: [] for name in tools}
    for _ in range(runs):
        for name, command in tools.items():
            found[name].append(seconds(command(source, target), target))
    count = len(list(source.iterdir()))
    own = statistics.median(found["convcli"])
    print(f"{count} images, {JOBS} processors, medians of {runs} runs\n")
    print("| | seconds | per image | of convcli's time |\n|---|---|---|---|")
    for name, times in found.items():
        median = statistics.median(times)
        print(f"| {name} | {median:.2f} | {median / count * 1000:.1f} ms | {median / own:.2f} |")
    if JOBS > 1:
        alone = statistics.median(found[ALONE])
        print(f"\nParallel efficiency on {JOBS} processors: {alone / own / JOBS:.0%}")


def soak(folder: Path) -> None:
    """Print the memory of a batch over time."""
    source, target = folder / "in", folder / "out"
    count = len(list(source.iterdir()))
    process = subprocess.Popen(
        convcli(source, target), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    print("| seconds | images | megabytes of all processes |\n|---|---|---|")
    begun, shown = time.perf_counter(), 0.0
    while process.poll() is None:
        passed = time.perf_counter() - begun
        if passed >= shown:
            made = sum(1 for _ in target.iterdir()) if target.exists() else 0
            print(f"| {passed:.0f} | {made} | {resident(process.pid) / 1e6:.0f} |", flush=True)
            shown = passed + max(10.0, count / 2000)
        time.sleep(0.1)
    print(f"\n{count} images in {time.perf_counter() - begun:.0f} s, exit {process.returncode}")


def resident(pid: int) -> int:
    """Bytes of a process and its children, with shared pages counted once (PSS)."""
    total = 0
    for number in [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]:
        try:
            lines = Path(f"/proc/{number}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def main() -> None:
    """Make the images and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, help="images; default: 300, for --soak 20000")
    parser.add_argument("--side", type=int, help="pixels; default: 512, for --soak 32")
    parser.add_argument("--suffix", choices=[".png", ".jpg"], default=".png")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--soak", action="store_true")
    options = parser.parse_args()
    subprocess.run([sys.executable, "-m", "compileall", "-q", "convcli"], cwd=ROOT, check=True)  # as pip does
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images(
            folder / "in",
            options.count or (20_000 if options.soak else 300),
            options.side or (32 if options.soak else 512),
            options.suffix,
        )
        if options.soak:
            soak(folder)
        else:
            compare(folder, options.runs, options.peers)


if __name__ == "__main__":
    main()
