"""What the planner decides, as tables: problem → method, type, strips and reason, and what it refuses."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import convcli
from convcli.arrays.arguments import as_padding
from convcli.core.errors import ArgumentError
from convcli.engine.filter import Filter
from convcli.engine.plan import Plan, Problem
from convcli.engine.planner import MOST_THREADS, choose
from convcli.geometry.axes import Axis, geometry

pytestmark = pytest.mark.usefixtures("numpy_alone")  # the plans without the compiled extension

RANDOM = np.random.default_rng(0)
DENSE = RANDOM.normal(size=(41, 41))
INTEGERS = np.random.default_rng(1).integers(-9, 10, (21, 21))
LAYER = RANDOM.normal(size=(3, 3, 64, 64))
PHOTO, SMALL = (4000, 6000), (400, 600)


def problem(size, kernel, dtype, padding="valid", stride=1, **options) -> Problem:
    """A problem of two axes, for a preset, a `Kernel` or weights."""
    known = convcli.load_kernel(kernel) if isinstance(kernel, str) else kernel
    known = known if isinstance(known, convcli.Kernel) else convcli.Kernel(known)
    filter_, pads = Filter.of(known), as_padding(padding, "zero")
    axes = geometry(size, filter_.kernel[1:], stride, pads, options.pop("dilation", 1)).axes
    return Problem((Axis(1, 1), *axes), filter_, np.dtype(dtype), pads.fill, **options)


DECISIONS = {
    "differences": (
        problem(SMALL, "sharpen", "u1"),
        "shift in int16 (exact), strips of 199 rows, 1 thread",
        "sums lie in −1020 … 1275, which int16 holds exactly",
    ),
    "rank 1": (
        problem(SMALL, "gaussian5", "u1"),
        "separable in uint16 (exact), strips of 132 rows, 1 thread",
        "sums lie in 0 … 65280, which uint16 holds exactly",
    ),
    "a box": (
        problem(PHOTO, "box31", "u1"),
        "box in uint32 (exact), strips of 61 rows × 3916 columns, 2 threads",
        "sums lie in 0 … 245055, which uint32 holds exactly",
    ),
    "small and dense": (
        problem(SMALL, DENSE[:7, :7], "f4"),
        "toeplitz in float32 (rounded), strips of 132 rows, 1 thread",
        "float32: the input is float32",
    ),
    "large and dense": (
        problem(PHOTO, DENSE, "f4"),
        "fft in float32 (rounded), strips of 248 rows × 3304 columns, 2 threads",
        "float32: the input is float32",
    ),
    "large, dense and exact": (
        problem(SMALL, INTEGERS, "u1"),
        "fft in float64 (exact), strips of 220 rows, 1 thread",
        "float64 transforms are off by at most 4e-07, so rounding gives the exact integers",
    ),
    "a layer": (
        problem(SMALL, LAYER, "f4", channels=64),
        "im2col in float32 (rounded), strips of 18 rows, 2 threads",
        "float32: the input is float32",
    ),
    "wide": (
        problem((4000, 60_000), "sharpen", "u1"),
        "shift in int16 (exact), strips of 21 rows × 32768 columns, 2 threads",
        "sums lie in −1020 … 1275, which int16 holds exactly",
    ),
    "a stride": (
        problem(SMALL, "gaussian5", "u1", stride=2),
        "separable in uint16 (exact), strips of 198 rows, 1 thread",
        "sums lie in 0 … 65280, which uint16 holds exactly",
    ),
    "doubles": (
        problem(SMALL, "sharpen", "f8"),
        "shift in float64 (rounded, steady), strips of 80 rows, 1 thread",
        "float64: the input is float64",
    ),
    "32-bit integers": (
        problem(SMALL, "sharpen", "i4"),
        "shift in int64 (exact), strips of 80 rows, 1 thread",
        "sums lie in −19327352828 … 19327352827, which int64 holds exactly",
    ),
    "64-bit integers": (
        problem(SMALL, "sharpen", "i8"),
        "shift in float64 (rounded, steady), strips of 80 rows, 1 thread",
        "float64: int64 values may overflow when multiplied",
    ),
    "sums beyond 64 bits": (
        problem(SMALL, [[2**40, 3]], "i4"),
        "shift in float64 (rounded, steady), strips of 100 rows, 1 thread",
        "float64: sums reach 2.36e+21, which 64 bits cannot hold",
    ),
    "weights that are no fractions": (
        problem(SMALL, [[2**-0.5, 3**-0.5, 0.1]], "u1"),
        "shift in float32 (rounded, steady), strips of 134 rows, 1 thread",
        "float32: the weights are not rationals with a small common denominator",
    ),
    "weights that are nearly fractions": (
        problem(SMALL, np.ones((3, 3)) / 9, "u1"),
        "separable in uint16 (exact), strips of 199 rows, 1 thread",
        "the weights are integers / 9 up to rounding; sums lie in 0 … 2295, which uint16 holds exactly",
    ),
    "fractions whose exact sums would take longer": (
        problem(SMALL, INTEGERS / 99, "u1"),
        "fft in float32 (rounded), strips of 380 rows, 1 thread",
        "float32: the weights are not rationals with a small common denominator",
    ),
    "double precision": (
        problem(SMALL, [[2**-0.5, 3**-0.5, 0.1]], "u1", double=True),
        "shift in float64 (rounded, steady), strips of 100 rows, 1 thread",
        "float64: the weights are not rationals with a small common denominator",
    ),
    "a fill between integers": (
        problem(SMALL, "sharpen", "u1", "same:0.5"),
        "shift in float64 (rounded, steady), strips of 100 rows, 1 thread",
        "float64: the fill 0.5 is not an integer",
    ),
}

REFUSALS = {
    "separable, a row": (
        "separable",
        problem(SMALL, [[1, 2, 1]], "u1"),
        "the kernel has a single row or column",
    ),
    "separable, rank": ("separable", problem(SMALL, "sharpen", "u1"), "the kernel has rank above 1 (map 0)"),
    "separable, planes": (
        "separable",
        problem(SMALL, LAYER, "f4", channels=64),
        "4096 planes of weights; allowed: up to 64",
    ),
    "box, weights": ("box", problem(SMALL, "sharpen", "u1"), "the weights are not all equal"),
    "box, planes": ("box", problem(SMALL, LAYER, "f4", channels=64), "more than one 2-D slice of weights"),
    "box, stride": (
        "box",
        problem(SMALL, "box3", "u1", stride=2),
        "a column stride would discard most of the shared partial sums",
    ),
    "toeplitz, planes": (
        "toeplitz",
        problem(SMALL, LAYER, "f4", channels=64),
        "4096 planes of weights; allowed: up to 64",
    ),
    "toeplitz, exact": (
        "toeplitz",
        problem(SMALL, [[2**28, 3]], "i4"),
        "products add up to as much as 5.76e+17, more than float64 holds exactly",
    ),
    "im2col, one plane": (
        "im2col",
        problem(SMALL, DENSE[:3, :3], "f4"),
        "with one channel and one map, copying the windows costs as much as summing them",
    ),
    "fft, stride": (
        "fft",
        problem(SMALL, DENSE[:3, :3], "f4", stride=2),
        "a stride would discard most of the transform's output",
    ),
    "fft, planes": (
        "fft",
        problem(SMALL, LAYER, "f4", channels=64),
        "4096 planes of weights; allowed: up to 16",
    ),
    "fft, size": (
        "fft",
        problem(PHOTO, DENSE, "f4", dilation=30),
        "the kernel covers 1201 pixels; allowed: up to 1024",
    ),
    "fft, exact": (
        "fft",
        problem(SMALL, INTEGERS * 2**20, "u2"),
        "its rounding error may reach 1e+02, so exact integers are not guaranteed",
    ),
}

ARGUMENTS = {
    "an unknown method": (
        {"method": "shfit"},
        "not one of auto, shift, direct, separable, .* \\(did you mean shift\\?\\)",
    ),
    "no name": ({"method": 3}, "method 3 is not a name; allowed: auto, shift, .*, fft"),
    "no threads": ({"threads": 0}, "threads 0 is not a whole number from 1"),
    "half a thread": ({"threads": 1.5}, "threads 1.5 is not a whole number from 1"),
    "an unknown backend": ({"backend": "thread"}, "backend 'thread' is not one of threads"),
}


@cache
def plan_of(name: str) -> Plan:
    return choose(DECISIONS[name][0], threads=2)


@pytest.mark.parametrize("name", DECISIONS)
def test_decisions(name):
    """Method, number type, strips and threads, and why this type: for two threads, whatever the machine."""
    _, summary, reason = DECISIONS[name]
    assert (plan_of(name).summary, plan_of(name).arithmetic.reason) == (summary, reason)


@pytest.mark.parametrize("name", DECISIONS)
def test_the_cheapest_method_is_taken_and_strips_cover_the_result(name):
    """No other candidate costs less; every output lies in one strip."""
    plan = plan_of(name)
    costs = {entry.method: entry.cost for entry in plan.candidates if entry.cost is not None}
    assert plan.method == min(costs, key=costs.get)
    areas = [np.prod(strip.shape) for strip in plan.strips()]
    assert sum(areas) == plan.problem.rows.output * plan.problem.columns.output


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name):
    """A method that cannot be used says why, in the plan and in the error for users who ask for it."""
    method, refused, reason = REFUSALS[name]
    listed = {entry.method: entry.refusal for entry in choose(refused).candidates}
    assert listed[method] == reason
    assert f"{method:<10} not applicable: {reason}" in str(choose(refused))
    with pytest.raises(ArgumentError) as caught:
        choose(refused, method)
    assert str(caught.value) == f"method {method} cannot be used here: {reason}"


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_that_are_not_allowed(name):
    """The message has what was got and what is allowed."""
    options, message = ARGUMENTS[name]
    with pytest.raises(ArgumentError, match=message):
        choose(DECISIONS["differences"][0], **options)


def test_threads_follow_the_work():
    """Small work takes one, large as many as are allowed; strips are cut for sharers, if there are any."""
    small, large = problem(SMALL, "sharpen", "u1"), problem((40_000, 60_000), "sharpen", "u1")
    assert choose(small, threads=8).threads == 1
    assert choose(large, threads=8).threads == 8
    assert choose(large, threads=1000).threads == MOST_THREADS
    assert choose(small, threads=1, sharers=8).height == choose(small, threads=2, sharers=8).height


def test_a_plan_is_remembered_for_what_is_alike():
    """The same shapes and numbers have one plan; another weight, bias or type of number has its own."""
    first, second = convcli.Kernel([[1, 2], [3, 4]]), convcli.Kernel([[1, 2], [3, 5]])
    assert _planned(first) is _planned(convcli.Kernel([[1, 2], [3, 4]]))
    assert _planned(first) is not _planned(second)
    assert _planned(first) is not _planned(convcli.Kernel([[1, 2], [3, 4]], bias=1))
    assert _planned(first) is not _planned(convcli.Kernel([[1, 2], [3, 4]], scale=0.123456789))


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.float64])
def test_a_remembered_plan_does_not_see_what_becomes_of_an_array(dtype: type):
    """Weights that are changed after a call change nothing for later calls with the old ones."""
    pixels = np.random.default_rng(0).integers(0, 255, (9, 9)).astype(np.uint8)
    weights = (np.arange(9).reshape(3, 3) / (1 if dtype == np.int64 else 7)).astype(dtype)
    kept = weights.copy()
    first = convcli.conv(pixels, weights)
    weights[:] = 7
    assert np.array_equal(convcli.conv(pixels, kept), first)


def _planned(kernel: convcli.Kernel) -> Plan:
    return choose(problem((1000, 1000), kernel, "u1"))
