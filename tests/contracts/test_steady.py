"""Steady methods: an image and every part of it give the same bytes, also where sums are rounded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest

import convcli
from convcli.core.dtypes import Array
from convcli.core.errors import ArgumentError
from convcli.engine.chain.activation import planned
from convcli.engine.chain.stage import StageOptions
from convcli.engine.chain.values import Values
from convcli.engine.combine import combine
from convcli.engine.filter import OTHER
from convcli.engine.methods.registry import NAMES, method_named
from convcli.engine.planner import UNSTEADY, choose
from convcli.layers.activations import ACTIVATIONS, parse_activation
from convcli.pipeline.color import light_to_srgb, srgb_to_light
from tests.conftest import without_extension
from tests.engine.test_planner import problem

RNG = np.random.default_rng(18)
KERNELS = {
    "gaussian": convcli.load_kernel("gaussian:1.3"),
    "box of a third": convcli.Kernel(np.full((5, 7), 0.1234567890123)),
    "dense": convcli.Kernel(RNG.normal(size=(9, 9))),
    "disk": convcli.Kernel((np.hypot(*np.mgrid[-4:5, -4:5]) < 4.5) * 0.0137),
    "row": convcli.Kernel(RNG.normal(size=(1, 6))),
    "holes": convcli.Kernel(RNG.normal(size=(7, 7)) * (RNG.random((7, 7)) < 0.4)),
    "thirds": convcli.Kernel(np.ones((3, 3), int), scale="1/9"),
    "layer": convcli.Kernel(RNG.normal(size=(5, 3, 3, 5))),
    "length": convcli.load_kernel("sobel"),
    "direction": convcli.Kernel(convcli.load_kernel("farid5").weights, combine="angle"),
}
TYPES = {
    "float16": lambda shape: RNG.normal(0, 10, shape).astype(np.float16),
    "float32": lambda shape: RNG.normal(0, 10, shape).astype(np.float32),
    "float64": lambda shape: RNG.normal(0, 10, shape),
    "uint8": lambda shape: RNG.integers(0, 256, shape, np.uint8),
    "int64": lambda shape: RNG.integers(-(2**62), 2**62, shape),
}
STEPS = {"plain": ((1, 1), (1, 1)), "strides": ((2, 3), (1, 1)), "dilation": ((1, 1), (2, 3))}
STEADY = [name for name in NAMES if method_named(name).steady]
OTHERS = [name for name in NAMES if not method_named(name).steady]


@pytest.fixture(params=["extension", "numpy"])
def engine(request: pytest.FixtureRequest) -> Iterator[None]:
    """With the compiled extension, where there is one, and without it."""
    with nullcontext() if request.param == "extension" else without_extension():
        yield


def _filtered(x: Array, kernel: convcli.Kernel, method: str, **options: object) -> Array | None:
    """The result, or None where the method refuses this kernel."""
    try:
        return convcli.conv(x, kernel, method=method, **options)
    except ArgumentError as error:
        assert "cannot be used here" in str(error)
        return None


def _differing(kernel: str, dtype: str, steps: str, method: str, seed: int = 0, **options: object) -> int:
    """The number of parts of an image that do not have the bytes of the whole; -1 where a method refuses."""
    stride, dilation = STEPS[steps]
    options |= {"stride": stride, "dilation": dilation, "threads": 1}
    channels, rng = KERNELS[kernel].shape[2:3], np.random.default_rng(seed)
    if KERNELS[kernel].maps > 1 and not KERNELS[kernel].combine:
        options["channels"] = "last"
    else:
        channels = ()
    x = TYPES[dtype]((131, 113, *channels))
    whole = _filtered(x, KERNELS[kernel], method, **options)
    if whole is None:
        return -1
    extents = [d * (k - 1) + 1 for k, d in zip(KERNELS[kernel].size, dilation, strict=True)]
    found = 0
    for _ in range(6):
        first = [int(rng.integers(0, size - 1)) for size in whole.shape[:2]]
        last = [
            int(rng.integers(start + 1, size)) for start, size in zip(first, whole.shape[:2], strict=True)
        ]
        bounds = zip(first, last, stride, extents, strict=True)
        rows, columns = (slice(a * s, (b - 1) * s + extent) for a, b, s, extent in bounds)
        part = _filtered(x[rows, columns], KERNELS[kernel], method, **options)
        expected = whole[first[0] : last[0], first[1] : last[1]]
        found += part is None or part.tobytes() != expected.tobytes()
    return found


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("method", STEADY)
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_parts_have_the_bytes_of_the_whole(kernel, dtype, method):
    """Regions of random places and sizes, by every steady method: equal for all steps."""
    found = [_differing(kernel, dtype, steps, method) for steps in STEPS]
    if max(found) < 0:
        pytest.skip("the method refuses this kernel")
    assert max(found) == 0


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("method", OTHERS)
def test_methods_that_are_not_steady_differ(method):
    """What is not called steady is not: some part has other last bits."""
    cases = [(kernel, dtype) for kernel in ("dense", "layer", "gaussian") for dtype in ("float32", "float64")]
    assert any(_differing(*case, "plain", method, seed) > 0 for case in cases for seed in range(3))


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_what_is_chosen_is_steady(kernel, dtype):
    """With ``steady``, every part chooses the method of the whole, and exact sums keep the best one."""
    assert {_differing(kernel, dtype, steps, "auto", steady=True) for steps in STEPS} == {0}


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
@pytest.mark.parametrize("kernel", [name for name in KERNELS if name != "layer"])
def test_the_choice_does_not_depend_on_sizes(kernel, dtype):
    """From a few pixels to a gigapixel; nor do the costs."""
    sizes = [(13, 13), (300, 20), (1000, 1000), (100_000, 15), (30_000, 40_000)]
    plans = [choose(problem(size, KERNELS[kernel], dtype), steady=True) for size in sizes]
    assert len({(plan.method, plan.dtype, plan.candidates) for plan in plans}) == 1
    assert all(plan.steady for plan in plans)


def test_exact_sums_are_steady_by_any_method():
    """They may use all methods; rounded ones only some, and the others say why not."""
    exact, rounded = problem((500, 500), KERNELS["thirds"], "u1"), problem((500, 500), KERNELS["dense"], "f4")
    assert choose(exact, "toeplitz", steady=True).steady
    refused = {entry.method for entry in choose(rounded, steady=True).candidates if entry.refusal == UNSTEADY}
    assert refused == {"toeplitz", "fft"}
    assert not choose(rounded, "fft").steady
    with pytest.raises(ArgumentError, match="method fft cannot be used here: its rounding depends"):
        choose(rounded, "fft", steady=True)


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_transposed_convolution_is_steady(dtype):
    """Parts of an image, twice as large: what their own pixels alone decide is equal."""
    x, weights = TYPES[dtype]((60, 70)), RNG.normal(size=(5, 5))
    whole = convcli.conv(x, weights, stride=2, transposed=True, steady=True)
    part = convcli.conv(x[11:40, 7:59], weights, stride=2, transposed=True, steady=True)
    inside = part[4:-4, 4:-4]
    assert inside.tobytes() == whole[26:, 18:][: len(inside), : inside.shape[1]].tobytes()


ROOTS = {how: partial(combine, how=how, dtype=np.dtype(np.float64)) for how in ("l2", "l1", "linf", "angle")}
STAGES = ["leaky-relu:1/7", "clip:-1,1/3", "threshold:1/3", "relu", "relu6", "abs", "sigmoid", "tanh"]
FUNCTIONS = {
    "linear light": lambda x: srgb_to_light(np.abs(x) % 1),
    "to sRGB": lambda x: light_to_srgb(np.abs(x) % 1),
    **{how: lambda x, do=do: do(np.stack([x, 1 - x])[..., None, None]) for how, do in ROOTS.items()},
    **{stage: lambda x, stage=stage: _activated(x, stage) for stage in STAGES},
}
"""What follows the sums, value by value."""


def _activated(x: Array, stage: str) -> Array:
    values = Values(1, (1, x.size), 1, 1, x.dtype, -50.0, 50.0, 1, False, OTHER)
    result = x.copy()
    planned(parse_activation(stage), values, StageOptions(choose)).formula.apply(result)
    return result


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_single_values_do_not_depend_on_the_place(name, dtype):
    """Any length and alignment gives the same bytes: what is left over by vectors is computed alike."""
    x, function = RNG.normal(0, 3, 200).astype(dtype), FUNCTIONS[name]
    single = np.concatenate([np.ravel(function(x[place : place + 1])) for place in range(x.size)])
    for first in range(9):
        for count in (1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 33, 64, 100):
            given = np.empty(count + first, dtype)[first:]
            given[:] = x[first : first + count]
            assert np.ravel(function(given)).tobytes() == single[first : first + count].tobytes()


def test_every_activation_is_in_the_table():
    """A new one has to be added."""
    assert {stage.partition(":")[0] for stage in STAGES} == set(ACTIVATIONS)
