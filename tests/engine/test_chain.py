"""Chains of stages: exact where they can be, near PyTorch where they cannot, alike for every cut."""

from __future__ import annotations

import random
import tracemalloc
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from convcli.core.errors import ArgumentError
from convcli.engine.chain.computer import heights
from convcli.engine.chain.convolution import PlannedConvolution
from convcli.engine.chain.plan import ChainPlan
from convcli.engine.chain.planner import MOST_STAGES, choose_chain
from convcli.engine.computers import strip_memory
from convcli.engine.filter import Filter
from convcli.engine.plan import Problem
from convcli.engine.run import run
from convcli.engine.source import ArraySource
from convcli.geometry.axes import Axis, geometry
from convcli.kernels.kernel import Kernel
from convcli.kernels.library import load_kernel
from convcli.layers.stage_text import parse_stage
from convcli.layers.stages import ConvolutionStage
from tests.engine.chain_reference import computed

KERNELS = ("box3", "laplacian8", "gaussian5", "sobel-x", "sharpen", "1 2 3; 0 -1 2", "1 -2", "sobel", "[3]")
PADDINGS = (
    "valid",
    "same",
    "1",
    "0,2,1,0",
    "same:reflect",
    "same:edge",
    "1:wrap",
    "1:symmetric",
    "2:7",
    "full",
)
POOLS = (
    "maxpool2x2",
    "maxpool3x3,stride=2,padding=1",
    "avgpool2x2",
    "avgpool3x3,stride=2,padding=1",
    "maxpool3x2,ceil=yes",
    "avgpool3x3,stride=2,padding=1,ceil=yes",
    "avgpool3x3,padding=same,stride=2",
    "avgpool2x3,stride=1",
)
EXACT = (
    "relu",
    "abs",
    "leaky-relu:1/8",
    "leaky-relu:-3/2",
    "clip:-3,200",
    "threshold:20",
    "threshold:-5/3,90",
)
SMOOTH = ("sigmoid", "tanh")


def drawn_chain(draw: random.Random, functions: tuple[str, ...], kernels: tuple[str, ...]) -> list[str]:
    """A kernel as a stage, and one to four stages after it."""

    def convolution() -> str:
        steps = f"stride={draw.choice(['1', '1', '2', '2,1'])},dilation={draw.choice(['1', '1', '2'])}"
        flip = draw.choice(["", ",flip=yes", ",bias=7/2"])
        return f"{draw.choice(kernels)},padding={draw.choice(PADDINGS)},{steps}{flip}"

    kinds = [convolution, convolution, lambda: draw.choice(POOLS), lambda: draw.choice(functions)]
    return [convolution(), *(draw.choice(kinds)() for _ in range(draw.randint(1, 4)))]


def planned(x: np.ndarray, texts: list[str], **options: object) -> ChainPlan:
    """The plan of a chain over (batch, rows, columns, lanes)."""
    load: Any = options.pop("load", load_kernel)
    first, *stages = [parse_stage(text, load) for text in texts]
    assert isinstance(first, ConvolutionStage)
    shape = geometry(x.shape[1:3], first.kernel.size, first.stride, first.padding, first.dilation)
    problem = Problem(
        axes=(Axis(1, 1), *shape.axes),
        filter=Filter.of(first.kernel, flip=first.flip),
        dtype=x.dtype,
        fill=first.padding.fill,
        batch=len(x),
        lanes=x.shape[3],
        double=bool(options.pop("double", False)),
    )
    return choose_chain(problem, first, stages, **options)


def run_chain(x: np.ndarray, plan: ChainPlan) -> np.ndarray:
    """The values of all maps, (batch, maps, rows, columns, lanes), as fractions or floats."""
    output, outcome = plan.output, plan.outcome
    result = np.empty((len(x), output.maps, *output.sizes, output.lanes), object)

    class Recorder:
        def destination(self, task):
            return None

        def take(self, task, sums):
            (top, bottom), (left, right) = task.strip.rows, task.strip.columns
            for index, affine in enumerate(outcome.affines):
                numbers = sums[index].tolist()
                values = [
                    [[affine.value(int(v) if outcome.exact else v) for v in p] for p in r] for r in numbers
                ]
                result[task.batch, index, top:bottom, left:right] = values

    source = x.reshape(len(x), 1, *x.shape[1:3], 1, x.shape[3])
    run(plan, ArraySource(source), Recorder)
    return result


def expected(x: np.ndarray, texts: list[str]) -> np.ndarray:
    """The same by the slow loops."""
    stages = [parse_stage(text, load_kernel) for text in texts]
    images = []
    for image in x:
        lanes = []
        for lane in range(x.shape[3]):
            maps = [np.vectorize(Fraction, otypes=[object])(image[..., lane].astype(object))]
            for stage in stages:
                maps = computed(stage, maps)
            lanes.append(np.stack(maps))
        images.append(np.stack(lanes, axis=-1))
    return np.stack(images)


def image(seed: int, dtype: str = "uint8", lanes: int = 1, batch: int = 1) -> np.ndarray:
    drawn = np.random.default_rng(seed)
    rows, columns = drawn.integers(9, 15, 2)
    return drawn.integers(0, 200, (batch, rows, columns, lanes)).astype(dtype)


@pytest.mark.parametrize("seed", range(100))
def test_rational_chains_are_exact(seed):
    """Every value is the fraction that the slow loops give, whatever the strips."""
    draw = random.Random(seed)
    x = image(seed, draw.choice(["uint8", "int16", "uint16"]), draw.choice([1, 1, 3]))
    single = tuple(kernel for kernel in KERNELS if kernel != "sobel")
    texts = drawn_chain(draw, EXACT, single)
    try:
        plan = planned(x, texts)
    except ArgumentError as error:
        assert "larger than" in str(error) or "padding" in str(error), error
        pytest.skip("a window is larger than the maps")
    assert plan.exact, texts
    wanted = expected(x, texts)
    for height in (plan.height, 1, 3):
        assert np.array_equal(run_chain(x, plan.cut(height, 0)), wanted), (texts, height)


@pytest.mark.parametrize("seed", range(40))
def test_other_chains_stay_within_the_stated_error(seed):
    """Smooth functions and norms are near the slow loops', by no more than the bound where there is one."""
    draw = random.Random(seed)
    x = image(seed)
    texts = drawn_chain(draw, (*SMOOTH, *EXACT), tuple(k for k in KERNELS if k != "sobel"))
    texts.insert(draw.randint(1, len(texts)), draw.choice(SMOOTH))
    texts = [text for text in texts if not text.startswith("threshold")]
    try:
        plan = planned(x, texts)
    except ArgumentError:
        pytest.skip("a window is larger than the maps")
    found, wanted = run_chain(x, plan).astype(float), expected(x, texts).astype(float)
    assert plan.output.error is not None
    assert np.abs(found - wanted).max() <= plan.output.error + 1e-12, texts


def test_banks_multiply_maps_and_layers_sum_them():
    """A kernel of one channel filters each map, one of several channels sums them; maps stay in order."""
    x = image(3)
    bank = Kernel(np.arange(18).reshape(3, 3, 1, 2), name="bank")
    layer = Kernel(np.arange(36).reshape(3, 3, 2, 2) - 10, name="layer", bias=(1, Fraction(1, 2)))
    stages = [ConvolutionStage(bank, parse_stage("box3", load_kernel).padding)]

    def kernels(name: str) -> Kernel:
        return {"bank": bank, "layer": layer}.get(name) or load_kernel(name)

    texts = ["bank,padding=same", "relu", "layer,padding=1", "box3,padding=same:edge"]
    first, *rest = [parse_stage(text, kernels) for text in texts]
    shape = geometry(x.shape[1:3], (3, 3), 1, first.padding)
    problem = Problem(
        axes=(Axis(1, 1), *shape.axes), filter=Filter.of(bank), dtype=x.dtype, fill=first.padding.fill
    )
    plan = choose_chain(problem, first, rest)
    maps = [np.vectorize(Fraction, otypes=[object])(x[0, ..., 0].astype(object))]
    for stage in (first, *rest):
        maps = computed(stage, maps)
    assert stages and plan.output.maps == 2
    assert np.array_equal(run_chain(x, plan)[0, ..., 0], np.stack(maps))


@pytest.mark.parametrize("seed", range(60))
def test_composed_convolutions_give_the_same_values(seed, monkeypatch):
    """Wherever two convolutions may be computed as one, borders included, the slow loops agree."""
    monkeypatch.setattr(PlannedConvolution, "cost", 1.0)  # one convolution is always cheaper than two
    draw = random.Random(seed)
    x = image(seed, "uint8", draw.choice([1, 3]))
    fill = draw.choice(["reflect", "symmetric", "wrap", "edge", "zero"])
    texts = []
    for place in range(draw.choice([2, 2, 3])):
        kernel = draw.choice(["box3", "gaussian5", "laplacian8", "sobel-x", "1 2 3; 0 -1 2"])
        amount = draw.choice(["same", "same", "valid", "1"]) if place else "same"
        texts.append(f"{kernel},padding={amount}:{fill},dilation={draw.choice([1, 1, 2])}")
    texts[-1] += draw.choice(["", ",stride=2"])
    try:
        plan = planned(x, texts)
    except ArgumentError:
        pytest.skip("a window is larger than the maps")
    assert np.array_equal(run_chain(x, plan), expected(x, texts)), (texts, plan)


@pytest.mark.parametrize(
    ("texts", "count"),
    [
        (["gaussian3", "laplacian8"], 1),
        (["gaussian3,padding=same:symmetric", "laplacian8,padding=same:symmetric"], 1),
        (["gaussian3,padding=same:wrap", "sobel-x,padding=same:wrap"], 1),
        (["sobel-x,padding=same:wrap", "gaussian3,padding=same:wrap"], 1),
        (["gaussian3", "laplacian8,stride=2"], 1),
        (["gaussian3,stride=2", "laplacian8"], 2),
        (["gaussian3,padding=same", "laplacian8,padding=same"], 2),
        (["gaussian3", "laplacian8,padding=same:symmetric"], 2),
        (["sobel-x", "gaussian3"], 2),
        (["gaussian3,padding=same:edge", "laplacian8,padding=valid"], 1),
        (["gaussian3", "relu", "laplacian8"], 3),
    ],
    ids=lambda value: " | ".join(value) if isinstance(value, list) else "",
)
def test_convolutions_are_composed_where_that_is_exact(texts, count, monkeypatch):
    """Not across strides, functions, or borders that do not commute with the first kernel."""
    monkeypatch.setattr(PlannedConvolution, "cost", 1.0)  # one convolution is always cheaper than two
    texts = [
        text if "padding" in text or text == "relu" else f"{text},padding=same:reflect" for text in texts
    ]
    x = np.broadcast_to(np.uint8(0), (1, 2000, 2000, 1))
    plan = planned(x, texts)
    assert len(plan.stages) == count
    assert len(plan.requested) == len(texts)


@pytest.mark.parametrize("function", ["tanh", "leaky-relu:1/3", "sobel", "avgpool3x3"])
def test_double_precision_holds_in_every_stage(function):
    """Exact values that become floats become float64, and the stated error is that of float64."""
    texts = ["box3,padding=valid,bias=1/3", function, "tanh"]
    plan = planned(image(2), texts, double=True)
    assert plan.output.dtype == np.float64
    assert plan.output.error is None or plan.output.error < 1e-9
    if function != "sobel":
        found, wanted = run_chain(image(2), plan), expected(image(2), texts)
        assert np.abs(found.astype(float) - wanted.astype(float)).max() < 1e-12


@pytest.mark.parametrize("number", ["1e300", "1e-300", "9223372036854775808", "1/1000000007"])
@pytest.mark.parametrize("kernel", ["box3", "-1*box3", "sobel-x"])
@pytest.mark.parametrize("stage", ["leaky-relu:{}", "leaky-relu:-{}", "clip:-{0},{0}", "threshold:-{0},{0}"])
def test_parameters_of_any_size_are_computed(stage, kernel, number):
    """Numbers that no integer type holds lead to floats near the slow loops' values, never to a failure."""
    x, texts = image(5), [f"{kernel},padding=valid", stage.format(number)]
    found, wanted = run_chain(x, planned(x, texts, double=True)), expected(x, texts)
    assert np.allclose(found.astype(float), wanted.astype(float), rtol=1e-12, atol=0)


def test_the_number_of_stages_is_limited():
    """The longest chain is computed however deep its stages ask each other for rows; one more is refused."""
    x = image(1)
    texts = ["box3,padding=same", *["box3,transposed=yes"] * (MOST_STAGES - 1)]
    assert run_chain(x, planned(x, texts)).shape == (1, 1, *x.shape[1:])
    with pytest.raises(ArgumentError, match=f"allowed: up to {MOST_STAGES}"):
        planned(x, [*texts, "relu"])


def test_dilation_costs_no_memory_while_chains_are_planned():
    """Kernels are composed only after their common size is known to be small."""
    tracemalloc.start()
    planned(image(1), ["box3,padding=same", "box3,padding=same,dilation=100000"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize("stage", ["box3,padding=valid", "maxpool2x2", "avgpool3x3"])
def test_long_strides_cost_no_memory(stage):
    """The estimated memory of one window is that of its rows, whatever the stride."""
    plan = planned(image(1), ["sobel-x,padding=same", f"{stage},stride=1000000000000"])
    assert strip_memory(plan) < 2**20


def test_convolutions_are_composed_only_where_that_is_cheaper(monkeypatch):
    """A kernel with more taps than both together is not."""
    taps = property(lambda stage: stage.plan.problem.filter.taps)
    monkeypatch.setattr(PlannedConvolution, "cost", taps)
    x = image(0)
    for texts, count in ((["box3", "[2]"], 1), (["box3", "laplacian8"], 2)):
        assert len(planned(x, [f"{text},padding=same:reflect" for text in texts]).stages) == count


class Discard:
    """Takes values and keeps nothing."""

    def destination(self, task):
        return None

    def take(self, task, sums):
        pass


THREE: list[str] = [f"{name},padding=same:reflect" for name in ("gaussian3", "sobel-x", "sharpen")]


def test_memory_does_not_grow_with_the_image():
    """A chain over 100 megapixels takes as much as over 4, and far less than one map."""
    peaks = []
    for side in (2000, 10_000):
        plan = planned(np.broadcast_to(np.uint8(9), (1, side, side, 1)), THREE, threads=1)
        x = np.broadcast_to(np.uint8(9), (1, 1, side, side, 1, 1))
        tracemalloc.start()
        run(plan, ArraySource(x), Discard)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] + 2**20
    assert peaks[1] < 32 * 2**20


def test_little_is_computed_twice():
    """All stages together compute at most a tenth more rows than their maps have."""
    plan = planned(
        np.broadcast_to(np.uint8(9), (1, 4000, 6000, 1)), [*THREE, "relu", "maxpool2x2"], threads=1
    )
    wanted = heights(plan)
    count = -(-plan.axes[1].output // plan.height)
    assert count > 1
    assert sum(wanted) * count <= 1.1 * sum(stage.output.sizes[0] for stage in plan.stages) + sum(wanted)
