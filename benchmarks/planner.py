"""How good the planner's choices are: ``python benchmarks/planner.py`` times every method that can be used.

It prints a row per problem, how often the choice was the fastest (within 5 %), and the worst regret: the time
of the choice relative to the fastest method's.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from unittest import mock

import numpy as np

import convcli
from convcli import api
from convcli.core.errors import ArgumentError
from convcli.engine import planner
from convcli.engine.methods.registry import methods

RNG = np.random.default_rng(0)


def problems(rows: int, columns: int) -> dict[str, tuple[np.ndarray, object, dict[str, object]]]:
    """Images, kernels and layers of many kinds."""
    gray = RNG.integers(0, 256, (rows, columns), np.uint8)
    floats = gray.astype(np.float32)
    deep = RNG.integers(0, 65536, (rows, columns), np.uint16)
    found: dict[str, tuple[np.ndarray, object, dict[str, object]]] = {}
    names = "box3 box5 box31 gaussian3 gaussian5 gaussian7 sobel-x sobel laplacian4 laplacian8 sharpen emboss"
    for name in [*names.split(), "gaussian:1", "gaussian:2", "gaussian:5"]:
        kernel = convcli.load_kernel(name)
        found[f"{name}, 8-bit"] = gray, kernel, {"padding": "same:reflect"}
        found[f"{name}, 16-bit"] = deep, kernel, {"padding": "same:reflect"}
    for size in (2, 3, 4, 5, 7, 9, 11, 15, 21, 31, 51):
        dense = RNG.normal(size=(size, size))
        found[f"dense {size}×{size}, float"] = floats, dense, {}
        found[f"dense {size}×{size}, integer"] = gray, RNG.integers(-50, 51, (size, size)), {}
    found["dense 5×5, stride 2"] = floats, RNG.normal(size=(5, 5)), {"stride": 2}
    found["box9, stride 3"] = gray, convcli.load_kernel("box9"), {"stride": 3}
    small = floats[: rows // 8, : columns // 8]
    for inputs, maps in ((3, 16), (16, 16), (32, 64)):
        layer = np.repeat(small[..., None], inputs, -1), RNG.normal(size=(3, 3, inputs, maps))
        found[f"layer 3×3×{inputs}×{maps}"] = *layer, {"channels": "last"}
    return found


def timed(calls: dict[str, Callable[[], object]], runs: int) -> dict[str, float]:
    """Median seconds of each call; the calls take turns, and the first round does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(runs + 1):
        for name, call in calls.items():
            begun = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - begun)
    return {name: statistics.median(found[1:]) for name, found in seconds.items()}


def choice(call: Callable[[], object]) -> str:
    """The method that the planner chooses in a call."""
    seen = []

    def watched(*arguments: object) -> object:
        seen.append(planner.choose(*arguments))
        return seen[-1]

    api._remembered.cache_clear()  # calls like an earlier one are not planned again
    with mock.patch.object(api, "choose", watched):
        call()
    return seen[0].method


def main() -> None:
    """Print the table and the summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="1500x2000", help="ROWSxCOLUMNS")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    rows, columns = map(int, arguments.size.split("x"))
    regrets = []
    for name, (x, weights, options) in problems(rows, columns).items():

        def run(method: str, x=x, weights=weights, options=options) -> object:
            return convcli.conv(x, weights, **options, method=method, threads=arguments.threads)

        able = {}
        for method in methods():
            with suppress(ArgumentError):
                run(method.name)
                able[method.name] = partial(run, method.name)
        seconds = timed(able, arguments.runs)
        chosen = choice(lambda: run("auto"))
        best = min(seconds, key=lambda method: seconds[method])
        regret = seconds[chosen] / seconds[best]
        regrets.append(regret)
        row = "  ".join(f"{method} {value * 1000:.1f}" for method, value in seconds.items())
        print(f"{'  ' if regret < 1.05 else '! '}{name:<24} {chosen:<10} {regret:5.2f}  {row}", flush=True)
    right = sum(regret < 1.05 for regret in regrets) / len(regrets)
    print(f"\nthe choice was the fastest in {right:.0%} of {len(regrets)}; worst regret {max(regrets):.2f}")


if __name__ == "__main__":
    main()
