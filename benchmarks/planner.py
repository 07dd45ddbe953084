"""How good the planner's choices are: ``python benchmarks/planner.py`` times every method that can be used.

It prints a row per problem, how often the choice was the fastest (within 5 %), and the worst regret: the time
of the choice relative to the fastest method's. Methods that should take `FAR` times as long as the choice are
left out.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from unittest import mock

import numpy as np

import convcli
from convcli.arrays import preparing
from convcli.engine import planner
from convcli.engine.plan import Plan

RNG = np.random.default_rng(0)
FAR = 15

LAYERS = (
    ((3, 224, 224), (64, 3, 7, 7), {"stride": 2, "padding": 3}),
    ((3, 224, 224), (32, 3, 3, 3), {"padding": 1}),
    ((1, 500, 500), (16, 1, 5, 5), {}),
    ((1, 500, 500), (4, 1, 3, 3), {}),
    ((1, 200, 200), (8, 1, 15, 15), {}),
    ((2, 300, 300), (2, 2, 3, 3), {}),
    ((4, 300, 300), (1, 4, 3, 3), {}),
    ((8, 100, 100), (8, 8, 5, 5), {}),
    ((64, 56, 56), (64, 64, 3, 3), {"padding": 1}),
    ((64, 56, 56), (256, 64, 1, 1), {}),
    ((64, 56, 56), (1, 64, 1, 1), {}),
    ((128, 28, 28), (128, 128, 3, 3), {"padding": 1}),
    ((256, 56, 56), (64, 256, 1, 1), {"stride": 2}),
    ((256, 14, 14), (256, 256, 3, 3), {"padding": 1}),
    ((512, 7, 7), (512, 512, 1, 1), {}),
    ((32, 112, 112), (32, 1, 3, 3), {"padding": 1, "groups": 32}),
    ((96, 112, 112), (96, 1, 3, 3), {"padding": 1, "groups": 96, "stride": 2}),
    ((384, 14, 14), (384, 1, 3, 3), {"padding": 1, "groups": 384}),
    ((64, 28, 28), (64, 1, 7, 7), {"padding": 3, "groups": 64}),
    ((16, 28, 28), (64, 1, 3, 3), {"padding": 1, "groups": 16}),
    ((128, 56, 56), (128, 4, 3, 3), {"padding": 1, "groups": 32}),
    ((1, 16000), (64, 1, 80), {"stride": 4}),
    ((64, 4000), (64, 64, 3), {"padding": 1}),
    ((128, 1000), (256, 128, 3), {"padding": 1, "dilation": 2}),
    ((3, 16, 56, 56), (32, 3, 3, 3, 3), {"padding": 1}),
    ((32, 8, 28, 28), (32, 32, 3, 3, 3), {"padding": 1}),
)
"""Layers: the shapes of the input and the weights, channels first, and options."""


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
    for size, shape, options in LAYERS:
        layer = RNG.standard_normal((1, *size), np.float32), RNG.standard_normal(shape, np.float32)
        name = f"layer {'×'.join(map(str, size))}, {'×'.join(map(str, shape))}"
        found[name] = *layer, {**options, "channels": "first"}
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


def planned(call: Callable[[], object]) -> Plan:
    """The plan that a call follows."""
    seen = []

    def watched(*arguments: object, **options: object) -> object:
        seen.append(planner.choose(*arguments, **options))
        return seen[-1]

    preparing.forget()  # calls like an earlier one are not planned again
    with mock.patch.object(preparing, "choose", watched):
        call()
    return seen[0]


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

        plan = planned(lambda: run("auto"))
        costs = {entry.method: entry.cost for entry in plan.candidates if entry.cost is not None}
        chosen = plan.method
        near = [method for method, cost in costs.items() if cost <= FAR * costs[chosen]]
        seconds = timed({method: partial(run, method) for method in near}, arguments.runs)
        best = min(seconds, key=lambda method: seconds[method])
        regret = seconds[chosen] / seconds[best]
        regrets.append(regret)
        row = "  ".join(f"{method} {value * 1000:.1f}" for method, value in seconds.items())
        print(f"{'  ' if regret < 1.05 else '! '}{name:<30} {chosen:<10} {regret:5.2f}  {row}", flush=True)
    right = sum(regret < 1.05 for regret in regrets) / len(regrets)
    print(f"\nthe choice was the fastest in {right:.0%} of {len(regrets)}; worst regret {max(regrets):.2f}")


if __name__ == "__main__":
    main()
