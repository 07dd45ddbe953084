"""Measures the constants of ``convcli/engine/methods/rates.py``: ``python benchmarks/rates.py``."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

VALUES = 200_000


def nanoseconds(call: Callable[[], object], repeat: int = 300) -> float:
    """Median nanoseconds of a call per value, of `VALUES` values."""
    rounds = []
    for _ in range(9):
        begun = time.perf_counter()
        for _ in range(repeat):
            call()
        rounds.append((time.perf_counter() - begun) / repeat)
    return statistics.median(rounds) / VALUES * 1e9


def main() -> None:
    """Print a row per type."""
    print("type      add   add in place   multiply   load")
    pixels = np.zeros(VALUES, np.uint8)
    for dtype in (np.uint8, np.int16, np.uint16, np.int32, np.float32, np.int64, np.float64):
        a, b, out = (np.ones(VALUES, dtype) for _ in range(3))
        factor = dtype(3)
        found = (
            nanoseconds(lambda a=a, b=b, out=out: np.add(a, b, out)),
            nanoseconds(lambda a=a, out=out: np.add(out, a, out)),
            nanoseconds(lambda a=a, out=out, factor=factor: np.multiply(a, factor, out)),
            nanoseconds(lambda out=out: np.copyto(out, pixels, casting="unsafe")),
        )
        print(f"{np.dtype(dtype).name:<8}" + "".join(f"{value:8.3f}" for value in found))


if __name__ == "__main__":
    main()
