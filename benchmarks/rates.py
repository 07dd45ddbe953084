"""Measures the constants of ``convcli/engine/methods/rates.py``: ``python benchmarks/rates.py``.

Those of the extension follow from whole calls: what one more tap costs, and what is left without any.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

import convcli
from convcli.engine import native
from convcli.native.loader import description

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
    if native.is_available(np.dtype(np.float32)):
        compiled()


def milliseconds(call: Callable[[], object], runs: int = 9) -> float:
    """Fastest of some calls; the first does not count."""
    found = []
    for _ in range(runs + 1):
        begun = time.perf_counter()
        call()
        found.append((time.perf_counter() - begun) * 1000)
    return min(found[1:])


def per_value(x: np.ndarray, kernel: object, maps: int = 1, **options: object) -> float:
    """Nanoseconds of a convolution per value."""
    return milliseconds(lambda: convcli.conv(x, kernel, threads=1, **options)) * 1e6 / (x.size * maps)


def slope(x: np.ndarray, kernels: dict[int, object], **options: object) -> tuple[float, float]:
    """Nanoseconds of one more tap, and of a value without taps; from two kernels by their taps."""
    (few, small), (many, large) = (
        (taps, per_value(x, kernel, **options)) for taps, kernel in kernels.items()
    )
    rate = (large - small) / (many - few)
    return rate, small - few * rate


def compiled() -> None:
    """Print what the extension takes."""
    print(f"\nextension: {description()}\ntype      tap     finish  shared  separable  running")
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 2, (2000, 3000), np.uint8)
    for name, x, dtype in (
        ("int16", pixels, np.uint8),
        ("int32", pixels.astype(np.uint16) * 40_000, np.uint16),
        ("float32", pixels.astype(np.float32), np.float32),
        ("float64", pixels.astype(np.float64), np.float64),
    ):
        spread = rng.integers(1, 4, (9, 9)) if name.startswith("int") else rng.normal(size=(9, 9))
        options = {"dtype": dtype, "method": "direct"}
        tap, finish = slope(x, {9: spread[:3, :3], 81: spread}, **options)
        bank = np.repeat(spread[:, :, None, None], 16, 3)
        layer = {"channels": "last", **options}
        small = x[:512, :512, None]
        many = per_value(small, bank, 16, **layer)
        few = per_value(small, bank[:3, :3], 16, **layer)
        outer = [np.multiply.outer(spread[0, :size], spread[0, :size]) for size in (3, 9)]
        separable, _ = slope(x, {6: outer[0], 18: outer[1]}, dtype=dtype, method="separable")
        row = f"{name:<8}{tap:8.4f}{finish:8.3f}{(many - few) / 72 / tap:8.2f}{separable / tap:8.2f}"
        if name.startswith("int"):
            ones = {size: np.ones((size, size), int) for size in (3, 7)}
            row += f"{slope(x, ones, dtype=dtype, method='box')[0]:10.4f}"
        print(row)


if __name__ == "__main__":
    main()
