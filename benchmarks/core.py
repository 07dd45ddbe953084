"""The convolution itself, without files, beside its peers: ``python benchmarks/core.py``.

One picture of 6000×4000 random 8-bit pixels, kernels by name, the same number of threads for all. Runs are
interleaved, the first of each is thrown away, and the medians and their ratio are printed. Peers that are
not installed are left out: ``pip install -e '.[peers,test]'`` installs them.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

import numpy as np

import convcli

Timed = Callable[[], object]


def peers(name: str, x: np.ndarray, kernel: convcli.Kernel, threads: int) -> dict[str, Timed]:
    """The calls that a user would make instead, for one kernel."""
    try:
        import cv2
    except ImportError:
        return {}
    cv2.setNumThreads(threads)
    depth = -1 if kernel.sum else cv2.CV_16S
    weights = kernel.weights
    found: dict[str, Timed] = {"cv2.filter2D": lambda: cv2.filter2D(x, depth, weights)}
    if name.startswith("box"):
        found["cv2.blur"] = lambda: cv2.blur(x, kernel.size)
    elif name.startswith("gaussian"):
        found["cv2.GaussianBlur"] = lambda: cv2.GaussianBlur(x, kernel.size, 0)
    elif name == "sobel-x":
        found["cv2.Sobel"] = lambda: cv2.Sobel(x, cv2.CV_16S, 1, 0)
    return found


def interleaved(calls: dict[str, Timed], runs: int) -> dict[str, float]:
    """Median milliseconds of each call."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(runs + 1):
        for name, call in calls.items():
            begun = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - begun)
    return {name: statistics.median(found[1:]) * 1000 for name, found in seconds.items()}


def machine() -> str:
    """What the figures were measured on."""
    parts = [f"{os.cpu_count()} processors", f"Python {platform.python_version()}"]
    for package in ("numpy", "opencv-python-headless"):
        try:
            parts.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(parts)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kernels", nargs="*", default=["box3", "gaussian5", "sobel-x", "sharpen"])
    parser.add_argument("--size", default="4000x6000", help="ROWSxCOLUMNS")
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--threads", nargs="*", type=int, default=[1, 2])
    given = parser.parse_args()
    rows, columns = map(int, given.size.split("x"))
    x = np.random.default_rng(0).integers(0, 256, (rows, columns), np.uint8)
    print(f"{rows}×{columns} gray, 8-bit; medians of {given.runs} runs in ms; {machine()}\n")
    print("| kernel | threads | convcli | peer | ms | convcli / peer |")
    print("|---|---|---|---|---|---|")
    for name in given.kernels:
        kernel = convcli.load_kernel(name)
        dtype = np.uint8 if kernel.sum else np.int16
        for threads in given.threads:

            def own(kernel=kernel, dtype=dtype, threads=threads) -> object:
                return convcli.conv(x, kernel, padding="same:reflect", dtype=dtype, threads=threads)

            found = interleaved({"convcli": own, **peers(name, x, kernel, threads)}, given.runs)
            mine = found.pop("convcli")
            for peer, theirs in found.items():
                print(
                    f"| {name} | {threads} | {mine:.1f} | {peer} | {theirs:.1f} | {mine / theirs:.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
