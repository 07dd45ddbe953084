"""Chains compared with their stages one by one: ``python benchmarks/chains.py``.

A chain runs over 6000×4000 random pixels. Each of its stages also runs alone, over what the stage before it
gives, kept in memory at full size. Runs are interleaved, the first of each is discarded, and the medians are
printed; the ratio is the time of all stages divided by that of the chain.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence

import numpy as np

from convcli.core.dtypes import Array
from convcli.engine.chain.plan import ChainPlan
from convcli.engine.chain.planner import choose_chain
from convcli.engine.consumer import StripTask
from convcli.engine.filter import Filter
from convcli.engine.plan import Problem
from convcli.engine.run import run
from convcli.engine.source import ArraySource
from convcli.geometry.axes import Axis, geometry
from convcli.kernels.library import load_kernel
from convcli.layers.stage_text import parse_stage
from convcli.layers.stages import ConvolutionStage

CHAINS = (
    ("box3", "laplacian8", "sharpen"),
    ("gaussian3", "sobel-x", "box3"),
    ("sobel-x", "abs", "box3"),
    ("gaussian:2", "laplacian8", "relu"),
    ("gaussian5", "sobel", "maxpool2x2"),
    ("sharpen", "relu", "avgpool2x2"),
)
SIZE = 4000, 6000


def planned(image: Array, texts: Sequence[str], threads: int) -> ChainPlan:
    """The plan of stages over an image, (rows, columns)."""
    first, *stages = [parse_stage(text, load_kernel) for text in texts]
    assert isinstance(first, ConvolutionStage)
    shape = geometry(image.shape, first.kernel.size, first.stride, first.padding, first.dilation)
    rows, columns = shape.axes
    problem = Problem((Axis(1, 1), rows, columns), Filter.of(first.kernel), image.dtype, first.padding.fill)
    return choose_chain(problem, first, stages, threads=threads)


class Result:
    """The values of a chain at full size."""

    def __init__(self, plan: ChainPlan) -> None:
        output = plan.output
        self.values = np.empty((output.maps, *output.sizes, output.lanes), plan.outcome.dtype)

    def destination(self, task: StripTask) -> None:
        return None

    def take(self, task: StripTask, sums: Array) -> None:
        self.values[:, slice(*task.strip.rows)] = sums


def computed(image: Array, plan: ChainPlan) -> Array:
    """Run a chain over an image."""
    result = Result(plan)
    run(plan, ArraySource(image[None, None, :, :, None, None]), lambda: result)
    return result.values


def parts(image: Array, texts: Sequence[str], threads: int) -> list[tuple[Array, ChainPlan]]:
    """Each stage over what the one before it gives; a function or a pool follows a kernel of one weight."""
    made = []
    for text in texts:
        alone = [text] if isinstance(parse_stage(text, load_kernel), ConvolutionStage) else ["[1]", text]
        plan = planned(image, alone, threads)
        made.append((image, plan))
        image = np.ascontiguousarray(computed(image, plan)[0, :, :, 0])
    return made


def timed(image: Array, plan: ChainPlan) -> float:
    """Milliseconds."""
    start = time.perf_counter()
    computed(image, plan)
    return (time.perf_counter() - start) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    options = parser.parse_args()
    image = np.random.default_rng(0).integers(0, 256, SIZE, np.uint8)
    print("| chain | threads | chain, ms | stages, ms | ratio |\n|---|---|---|---|---|")
    for texts in CHAINS:
        for threads in options.threads:
            whole, stages = planned(image, texts, threads), parts(image, texts, threads)
            times = [
                (timed(image, whole), *(timed(source, plan) for source, plan in stages))
                for _ in range(options.runs + 1)
            ]
            chain, *each = (statistics.median(column) for column in zip(*times[1:], strict=True))
            print(
                f"| {' → '.join(texts)} | {threads} | {chain:.0f} | {' + '.join(f'{t:.0f}' for t in each)} "
                f"| {sum(each) / chain:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
