"""Time and memory by image size: ``python benchmarks/scaling.py``.

For square images from 1 to 100 megapixels: median nanoseconds per pixel, and the peak of memory beyond input
and output, as counted by tracemalloc.
"""

from __future__ import annotations

import argparse
import statistics
import time
import tracemalloc

import numpy as np

import convcli

KERNELS = ("box3", "gaussian5", "sobel-x", "sharpen", "box31", "dense 5×5", "dense 31×31")


def problem(name: str, size: int) -> tuple[np.ndarray, convcli.Kernel, type]:
    """The image, the kernel and the type of the result."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (size, size), np.uint8)
    if name.startswith("dense"):
        side = int(name.split("×")[1])
        return x.astype(np.float32), convcli.Kernel(rng.normal(size=(side, side))), np.float32
    kernel = convcli.load_kernel(name)
    return x, kernel, np.uint8 if kernel.sum else np.int16


def main() -> None:
    """Print a row per kernel and size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megapixels", nargs="*", type=float, default=[1, 4, 24, 100])
    parser.add_argument("--threads", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    print("| kernel | threads | megapixels | ns a pixel | extra memory |\n|---|---|---|---|---|")
    for name in KERNELS:
        for threads in options.threads:
            for megapixels in options.megapixels:
                x, kernel, dtype = problem(name, round((megapixels * 1e6) ** 0.5))

                def run(x=x, kernel=kernel, dtype=dtype, threads=threads) -> np.ndarray:
                    return convcli.conv(x, kernel, padding="same:reflect", dtype=dtype, threads=threads)

                seconds = []
                for _ in range(options.runs + 2):
                    begun = time.perf_counter()
                    run()
                    seconds.append(time.perf_counter() - begun)
                tracemalloc.start()
                output = run().nbytes
                extra = tracemalloc.get_traced_memory()[1] - output
                tracemalloc.stop()
                each = statistics.median(seconds[2:]) / x.size * 1e9
                row = f"{name} | {threads} | {megapixels:g} | {each:.2f} | {extra / 2**20:.1f} MB"
                print(f"| {row} |", flush=True)


if __name__ == "__main__":
    main()
