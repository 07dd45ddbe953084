"""Convolution of arrays compared with other libraries: ``python benchmarks/core.py``.

Images have 6000×4000 random 8-bit pixels, gray and RGB; results have 8 bits (16 for kernels of sum 0, floats
for dense random kernels). All libraries use the same number of threads. Runs are interleaved, the first of
each is discarded, and the medians and their ratios are printed as a table. Missing libraries are left out;
``pip install -e '.[peers,test]'`` and PyTorch install them. Calls slower than `PATIENCE` run once. PyTorch
keeps its threads spinning after a call, so ``--peers cv2`` measures OpenCV alone.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version

import numpy as np

import convcli

Timed = Callable[[], object]

PRESETS = ("box3", "box31", "gaussian5", "sobel-x", "laplacian4", "sharpen", "emboss")
DENSE = (3, 5, 7, 9, 11, 15, 31)
PATIENCE = 2.0  # seconds
PACKAGES = ("numpy", "opencv-python-headless", "scipy", "torch")


def opencv(x: np.ndarray, name: str, kernel: convcli.Kernel, threads: int) -> dict[str, Timed]:
    """filter2D, and the specialized function if there is one."""
    try:
        import cv2
    except ImportError:
        return {}
    cv2.setNumThreads(threads)
    depth = cv2.CV_32F if x.dtype == np.float32 else -1 if kernel.sum else cv2.CV_16S
    found: dict[str, Timed] = {"cv2.filter2D": lambda: cv2.filter2D(x, depth, kernel.weights)}
    if name.startswith("box"):
        found["cv2.blur"] = lambda: cv2.blur(x, kernel.size)
    elif name.startswith("gaussian"):
        found["cv2.GaussianBlur"] = lambda: cv2.GaussianBlur(x, kernel.size, 0)
    elif name == "sobel-x":
        found["cv2.Sobel"] = lambda: cv2.Sobel(x, cv2.CV_16S, 1, 0)
    return found


def scipy(x: np.ndarray, kernel: convcli.Kernel) -> dict[str, Timed]:
    """scipy.ndimage.correlate, which is single-threaded."""
    try:
        from scipy import ndimage
    except ImportError:
        return {}
    weights = kernel.weights.astype(np.float32)
    weights = weights[..., None] if x.ndim == 3 else weights
    out = np.float32 if x.dtype == np.float32 else np.uint8 if kernel.sum else np.int16
    return {"scipy.ndimage": lambda: ndimage.correlate(x, weights, mode="mirror", output=out)}


def pytorch(x: np.ndarray, kernel: convcli.Kernel, threads: int) -> dict[str, Timed]:
    """PyTorch's conv2d on float32, each channel on its own."""
    try:
        import torch
    except ImportError:
        return {}
    torch.set_num_threads(threads)
    planes = np.moveaxis(x, -1, 0) if x.ndim == 3 else x[None]
    tensor = torch.tensor(np.ascontiguousarray(planes), dtype=torch.float32)[:, None]
    weights = torch.tensor(kernel.weights, dtype=torch.float32)[None, None]
    padding = tuple(size // 2 for size in kernel.size)

    def run() -> object:
        with torch.inference_mode():
            return torch.nn.functional.conv2d(tensor, weights, padding=padding)

    return {"torch": run}


def interleaved(calls: dict[str, Timed], runs: int) -> dict[str, float]:
    """Median milliseconds of each call."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(runs + 1):
        for name, call in calls.items():
            if seconds[name] and seconds[name][0] > PATIENCE:
                continue
            begun = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - begun)
    return {name: statistics.median(found[1:] or found) * 1000 for name, found in seconds.items()}


def rows_of(options: argparse.Namespace) -> list[tuple[str, np.ndarray, convcli.Kernel]]:
    """(name, image, kernel) of each row."""
    rng = np.random.default_rng(0)
    rows, columns = map(int, options.size.split("x"))
    gray = rng.integers(0, 256, (rows, columns), np.uint8)
    found = [(name, gray, convcli.load_kernel(name)) for name in options.presets]
    if options.rgb:
        rgb = rng.integers(0, 256, (rows, columns, 3), np.uint8)
        found += [(f"{name}, RGB", rgb, convcli.load_kernel(name)) for name in options.presets]
    floats = gray.astype(np.float32)
    for size in options.dense:
        kernel = convcli.Kernel(rng.normal(size=(size, size)), name="dense")
        found.append((f"dense {size}×{size}, float", floats, kernel))
    return found


def machine() -> str:
    """The machine and the versions."""
    parts = [f"{os.cpu_count()} processors ({platform.machine()})", f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            parts.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(parts)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--presets", nargs="*", default=PRESETS)
    parser.add_argument("--dense", nargs="*", type=int, default=DENSE)
    parser.add_argument("--size", default="4000x6000", help="ROWSxCOLUMNS")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--threads", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--rgb", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--peers", nargs="*", default=["cv2", "scipy", "torch"])
    options = parser.parse_args()
    print(f"{options.size}, medians of {options.runs} runs in milliseconds; {machine()}\n")
    print("| kernel | threads | method | convcli | peer: ms (convcli / peer) |")
    print("|---|---|---|---|---|")
    for threads in options.threads:
        for name, x, kernel in rows_of(options):
            calls: dict[str, Timed] = {"convcli": partial(own, x, kernel, threads)}
            calls |= opencv(x, name, kernel, threads) if "cv2" in options.peers else {}
            calls |= scipy(x, kernel) if "scipy" in options.peers and threads == 1 else {}
            calls |= pytorch(x, kernel, threads) if "torch" in options.peers else {}
            found = interleaved(calls, options.runs)
            mine = found.pop("convcli")
            peers = ", ".join(f"{peer}: {ms:.1f} ({mine / ms:.2f})" for peer, ms in found.items())
            print(f"| {name} | {threads} | {method(x, kernel)} | {mine:.1f} | {peers} |", flush=True)


def own(x: np.ndarray, kernel: convcli.Kernel, threads: int, **options: object) -> object:
    """The call of convcli."""
    dtype = np.float32 if x.dtype == np.float32 else np.uint8 if kernel.sum else np.int16
    channels = "last" if x.ndim == 3 else None
    return convcli.conv(
        x, kernel, padding="same:reflect", dtype=dtype, channels=channels, threads=threads, **options
    )


def method(x: np.ndarray, kernel: convcli.Kernel) -> str:
    """The name of the method that the planner chooses."""
    from convcli.formats.header import Header
    from convcli.pipeline.planning.convolution import convolution_of
    from convcli.pipeline.settings import Settings

    header = Header("", *x.shape[:2], x.shape[2] if x.ndim == 3 else 1, x.dtype)
    return convolution_of(header, Settings(kernel)).plan.method


if __name__ == "__main__":
    main()
