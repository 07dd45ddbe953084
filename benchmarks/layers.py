"""Layers of networks compared with PyTorch: ``python benchmarks/layers.py``.

Layers of ResNet-50, MobileNet-v2, VGG-16, a 1-D network for audio and a 3-D network for video, with batches
of 1 and 8, and banks of filters on one large image. Inputs are float32, channels first, and so are weights;
both libraries get the same arrays and use the same number of threads. Runs are interleaved, the first of each
is discarded, and medians are printed; the ratio is PyTorch's time divided by convcli's. PyTorch keeps its
threads spinning after a call, so each call is preceded by a pause. Calls slower than `PATIENCE` run once.
While other programs use the machine, PyTorch's threads wait for each other; ``--fastest`` then compares the
fastest runs.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from core import PATIENCE, machine
from planner import planned

import convcli

PAUSE = 0.005  # seconds
CLOSE = 1e-4
"""Largest difference of the results, relative to the largest value."""

Shape = tuple[int, ...]
CONVOLUTIONS = {1: torch.nn.functional.conv1d, 2: torch.nn.functional.conv2d, 3: torch.nn.functional.conv3d}


class Layer(NamedTuple):
    """A layer: ``x`` is (in, spatial…), ``weights`` (out, in / groups, k…)."""

    kind: str
    x: Shape
    weights: Shape
    stride: int = 1
    padding: int = 0
    groups: int = 1
    batches: Shape = (1, 8)

    def name(self, batch: int) -> str:
        """Sizes of the input and the weights, and the stride."""
        stride = f" / {self.stride}" * (self.stride > 1)
        return f"{'×'.join(map(str, (batch, *self.x)))}, {'×'.join(map(str, self.weights))}{stride}"


LAYERS = (
    # ResNet-50
    Layer("first layer", (3, 224, 224), (64, 3, 7, 7), 2, 3),
    Layer("1×1", (64, 56, 56), (64, 64, 1, 1)),
    Layer("3×3", (64, 56, 56), (64, 64, 3, 3), 1, 1),
    Layer("1×1", (64, 56, 56), (256, 64, 1, 1)),
    Layer("3×3", (128, 56, 56), (128, 128, 3, 3), 2, 1),
    Layer("1×1", (256, 56, 56), (512, 256, 1, 1), 2),
    Layer("3×3", (128, 28, 28), (128, 128, 3, 3), 1, 1),
    Layer("3×3", (256, 14, 14), (256, 256, 3, 3), 1, 1),
    Layer("1×1", (1024, 14, 14), (256, 1024, 1, 1)),
    Layer("3×3", (512, 7, 7), (512, 512, 3, 3), 1, 1),
    Layer("1×1", (512, 7, 7), (2048, 512, 1, 1)),
    # MobileNet-v2
    Layer("first layer", (3, 224, 224), (32, 3, 3, 3), 2, 1),
    Layer("depthwise", (32, 112, 112), (32, 1, 3, 3), 1, 1, 32),
    Layer("1×1", (32, 112, 112), (16, 32, 1, 1)),
    Layer("depthwise", (96, 112, 112), (96, 1, 3, 3), 2, 1, 96),
    Layer("1×1", (24, 56, 56), (144, 24, 1, 1)),
    Layer("depthwise", (144, 56, 56), (144, 1, 3, 3), 1, 1, 144),
    Layer("depthwise", (384, 14, 14), (384, 1, 3, 3), 1, 1, 384),
    Layer("1×1", (320, 7, 7), (1280, 320, 1, 1)),
    # VGG-16
    Layer("first layer", (3, 224, 224), (64, 3, 3, 3), 1, 1),
    Layer("3×3", (64, 224, 224), (64, 64, 3, 3), 1, 1, batches=(1,)),
    Layer("3×3", (128, 112, 112), (128, 128, 3, 3), 1, 1, batches=(1,)),
    Layer("3×3", (256, 56, 56), (256, 256, 3, 3), 1, 1, batches=(1,)),
    Layer("3×3", (512, 28, 28), (512, 512, 3, 3), 1, 1, batches=(1,)),
    Layer("3×3", (512, 14, 14), (512, 512, 3, 3), 1, 1),
    # Groups, as in ResNeXt-50
    Layer("groups", (128, 56, 56), (128, 4, 3, 3), 1, 1, 32),
    # Audio
    Layer("first layer", (1, 16000), (64, 1, 80), 4),
    Layer("1-D", (64, 4000), (64, 64, 3), 1, 1),
    Layer("1-D", (128, 1000), (256, 128, 3), 1, 1),
    Layer("1-D", (256, 250), (512, 256, 3), 1, 1),
    # Video
    Layer("first layer", (3, 16, 112, 112), (64, 3, 3, 3, 3), 1, 1, batches=(1,)),
    Layer("3-D", (64, 16, 28, 28), (64, 64, 3, 3, 3), 1, 1, batches=(1,)),
    Layer("3-D", (128, 8, 14, 14), (256, 128, 3, 3, 3), 1, 1),
    # Filter banks
    Layer("filter bank", (1, 2048, 2048), (16, 1, 5, 5), batches=(1,)),
    Layer("filter bank", (1, 1024, 1024), (32, 1, 11, 11), batches=(1,)),
    Layer("filter bank", (1, 4096, 4096), (16, 1, 5, 5), batches=(1,)),
)


def calls_of(layer: Layer, batch: int, threads: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """The calls of convcli and PyTorch on the same random arrays."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, *layer.x), np.float32)
    weights = rng.standard_normal(layer.weights, np.float32)
    given = torch.from_numpy(x), torch.from_numpy(weights)
    convolution = CONVOLUTIONS[len(layer.weights) - 2]
    options = {"stride": layer.stride, "padding": layer.padding, "groups": layer.groups}

    def own() -> Any:
        return convcli.conv(x, weights, **options, channels="first", threads=threads)

    def theirs() -> Any:
        with torch.inference_mode():
            return convolution(*given, **options)

    return own, theirs


def interleaved(
    calls: tuple[Callable[[], Any], ...], runs: int, typical: Callable[[list[float]], float]
) -> list[float]:
    """Typical milliseconds of each call: the median, or another choice from all runs."""
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(runs + 1):
        for call, taken in zip(calls, seconds, strict=True):
            if taken and taken[0] > PATIENCE:
                continue
            time.sleep(PAUSE)
            begun = time.perf_counter()
            call()
            taken.append(time.perf_counter() - begun)
    return [typical(taken[1:] or taken) * 1000 for taken in seconds]


def check(own: Any, theirs: Any) -> None:
    """Stop if the results differ."""
    difference = np.abs(own - theirs.numpy()).max() / np.abs(own).max()
    if own.shape != tuple(theirs.shape) or not difference < CLOSE:
        raise SystemExit(f"the results differ by {difference:.2g}")


def summary(ratios: list[tuple[str, str, float]]) -> str:
    """Geometric means of all (kind, name, ratio) and of each kind, and the worst row."""
    values = [ratio for _, _, ratio in ratios]
    lines = [f"geometric mean of {len(values)}: {statistics.geometric_mean(values):.2f}"]
    for kind in dict.fromkeys(kind for kind, _, _ in ratios):
        own = [ratio for other, _, ratio in ratios if other == kind]
        lines.append(f"  {kind}: {statistics.geometric_mean(own):.2f} (worst {min(own):.2f})")
    _, name, ratio = min(ratios, key=lambda row: row[2])
    return "\n".join([*lines, f"worst: {ratio:.2f}, {name}"])


def main() -> None:
    """Print a table and its summary for each number of threads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--batches", nargs="*", type=int, default=[1, 8])
    parser.add_argument("--fastest", action="store_true", help="compare the fastest runs, not the medians")
    parser.add_argument("--only", default="", help="layers whose kind or sizes contain this text")
    options = parser.parse_args()
    typical, shown = (min, "fastest") if options.fastest else (statistics.median, "medians")
    print(f"{shown} of {options.runs} runs in milliseconds; {machine()}")
    for threads in options.threads:
        torch.set_num_threads(threads)
        print("\n| kind | layer | threads | method | convcli | torch | torch / convcli |")
        print("|---|---|---|---|---|---|---|")
        ratios = []
        for layer in LAYERS:
            for batch in sorted({*layer.batches} & {*options.batches}):
                name = layer.name(batch)
                if options.only not in f"{layer.kind} {name}":
                    continue
                calls = calls_of(layer, batch, threads)
                check(*(call() for call in calls))
                own, theirs = interleaved(calls, options.runs, typical)
                ratios.append((layer.kind, name, theirs / own))
                figures = f"{planned(calls[0]).method} | {own:.2f} | {theirs:.2f} | {theirs / own:.2f}"
                print(f"| {layer.kind} | {name} | {threads} | {figures} |", flush=True)
        if ratios:
            print(f"\n{summary(ratios)}", flush=True)


if __name__ == "__main__":
    main()
