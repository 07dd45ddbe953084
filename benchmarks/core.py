"""Convolution of arrays compared with other libraries: ``python benchmarks/core.py``.

Images have 6000×4000 random pixels: gray and RGB with 8 bits, gray with 16 bits, and floats. Results have the
image's type, but for kernels of sum 0: 16 bits for 8, floats for 16. All libraries use the same number of
threads. Runs are interleaved, the first of each is discarded, and the medians are printed as a table; the
ratio is the peer's time divided by convcli's. Missing libraries are left out;
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
from itertools import product

import numpy as np
from planner import planned

import convcli

Timed = Callable[[], object]

PRESETS = ("box3", "box31", "gaussian5", "sobel-x", "laplacian4", "sharpen", "emboss")
DENSE = (3, 5, 7, 9, 11, 15, 31, 61)
IMAGES = ("gray", "RGB", "16-bit", "float")
PATIENCE = 2.0  # seconds
PACKAGES = ("numpy", "opencv-python-headless", "scipy", "torch")


def opencv(x: np.ndarray, name: str, kernel: convcli.Kernel, threads: int) -> dict[str, Timed]:
    """filter2D, and the specialized functions if there are some."""
    try:
        import cv2
    except ImportError:
        return {}
    cv2.setNumThreads(threads)
    depth = {np.uint8: cv2.CV_8U, np.int16: cv2.CV_16S, np.uint16: cv2.CV_16U}.get(
        result(x, kernel), cv2.CV_32F
    )
    found: dict[str, Timed] = {"filter2D": lambda: cv2.filter2D(x, depth, kernel.weights)}
    if name.startswith("box"):
        found["blur"] = lambda: cv2.blur(x, kernel.size)
    elif name.startswith("gaussian"):
        found["GaussianBlur"] = lambda: cv2.GaussianBlur(x, kernel.size, 0)
    elif name == "sobel-x":
        found["Sobel"] = lambda: cv2.Sobel(x, depth, 1, 0)
    if kernel.factors is not None and not name.startswith("box"):
        column, row = (np.array([float(value) for value in vector]) for vector in kernel.factors)
        found["sepFilter2D"] = lambda: cv2.sepFilter2D(x, depth, row, column)
    return found


def result(x: np.ndarray, kernel: convcli.Kernel) -> type:
    """The type of a result."""
    if x.dtype == np.uint8:
        return np.uint8 if kernel.sum else np.int16
    return np.uint16 if x.dtype == np.uint16 and kernel.sum else np.float32


def scipy(x: np.ndarray, kernel: convcli.Kernel) -> dict[str, Timed]:
    """scipy.ndimage.correlate, which is single-threaded."""
    try:
        from scipy import ndimage
    except ImportError:
        return {}
    weights = kernel.weights.astype(np.float32)
    weights = weights[..., None] if x.ndim == 3 else weights
    out = result(x, kernel)
    return {"scipy": lambda: ndimage.correlate(x, weights, mode="mirror", output=out)}


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


def kernels_of(options: argparse.Namespace) -> dict[str, convcli.Kernel]:
    """Presets, an average typed as floats, and dense random kernels."""
    rng = np.random.default_rng(0)
    found = {name: convcli.load_kernel(name) for name in options.presets}
    found["np.ones((3, 3)) / 9"] = convcli.Kernel(np.ones((3, 3)) / 9)
    for size in options.dense:
        weights = rng.normal(size=(size, size))
        found[f"dense {size}×{size}"] = convcli.Kernel(weights / abs(weights).sum())
    return found


def images_of(options: argparse.Namespace) -> dict[str, np.ndarray]:
    """The images by name."""
    rng = np.random.default_rng(0)
    rows, columns = map(int, options.size.split("x"))
    gray = rng.integers(0, 256, (rows, columns), np.uint8)
    found = {
        "gray": gray,
        "RGB": rng.integers(0, 256, (rows, columns, 3), np.uint8),
        "16-bit": rng.integers(0, 65536, (rows, columns), np.uint16),
        "float": gray.astype(np.float32),
    }
    return {name: found[name] for name in options.images}


def machine() -> str:
    """The machine and the versions."""
    parts = [f"{os.cpu_count()} processors ({platform.machine()})", f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            parts.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(parts)


def summary(ratios: dict[str, list[tuple[float, str]]]) -> str:
    """For each peer, the geometric mean of all ratios, and the worst."""
    lines = []
    for peer, found in ratios.items():
        mean = statistics.geometric_mean(ratio for ratio, _ in found)
        worst, where = min(found)
        lines.append(f"{peer}: {mean:.2f} in the geometric mean of {len(found)}, worst {worst:.2f} ({where})")
    return "\n".join(lines)


def main() -> None:
    """Print the table and its summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--presets", nargs="*", default=PRESETS)
    parser.add_argument("--dense", nargs="*", type=int, default=DENSE)
    parser.add_argument("--images", nargs="*", choices=IMAGES, default=IMAGES)
    parser.add_argument("--size", default="4000x6000", help="ROWSxCOLUMNS")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--threads", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--peers", nargs="*", default=["cv2", "scipy", "torch"])
    options = parser.parse_args()
    print(f"{options.size}, medians of {options.runs} runs in milliseconds; {machine()}\n")
    print("| image | kernel | threads | method | convcli | peer: ms (peer / convcli) |")
    print("|---|---|---|---|---|---|")
    ratios: dict[str, list[tuple[float, str]]] = {}
    for (image, x), threads in product(images_of(options).items(), options.threads):
        for name, kernel in kernels_of(options).items():
            calls: dict[str, Timed] = {"convcli": partial(own, x, kernel, threads)}
            calls |= opencv(x, name, kernel, threads) if "cv2" in options.peers else {}
            calls |= scipy(x, kernel) if "scipy" in options.peers and threads == 1 else {}
            calls |= pytorch(x, kernel, threads) if "torch" in options.peers else {}
            found = interleaved(calls, options.runs)
            mine = found.pop("convcli")
            for peer, ms in found.items():
                ratios.setdefault(peer, []).append((ms / mine, f"{image}, {name}, {threads}"))
            peers = ", ".join(f"{peer}: {ms:.1f} ({ms / mine:.2f})" for peer, ms in found.items())
            chosen = planned(calls["convcli"]).method
            print(f"| {image} | {name} | {threads} | {chosen} | {mine:.1f} | {peers} |", flush=True)
    print(f"\n{summary(ratios)}")


def own(x: np.ndarray, kernel: convcli.Kernel, threads: int) -> object:
    """The call of convcli."""
    channels = "last" if x.ndim == 3 else None
    return convcli.conv(
        x, kernel, padding="same:reflect", dtype=result(x, kernel), channels=channels, threads=threads
    )


if __name__ == "__main__":
    main()
