"""Two convolutions of a chain as one, where that gives the same values at lower cost.

Applying w and then v without a stride in between is applying their full convolution: a tap of ``w`` at a and
one of ``v`` at b meet at a + b. At the border this holds if the second convolution has no padding, or if the
continuation of the image commutes with the first: ``wrap`` always does, and ``reflect`` and ``symmetric`` do
for weights that are symmetric themselves.
"""

from __future__ import annotations

from math import prod
from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import replace
from convcli.core.full_convolution import INT64, full_convolution
from convcli.core.rounding import Affine
from convcli.engine.chain.convolution import PlannedConvolution, replanned
from convcli.engine.chain.stage import PlannedStage, StageOptions
from convcli.engine.filter import Filter
from convcli.engine.plan import Problem
from convcli.geometry.axes import Axis

LARGEST: Final = 2**12
"""Taps of a composed kernel; larger ones never paid."""


def composition(
    first: PlannedStage, second: PlannedStage, options: StageOptions
) -> PlannedConvolution | None:
    """Both stages as one convolution; None if it would give other values, or take longer."""
    if not isinstance(first, PlannedConvolution) or not isinstance(second, PlannedConvolution):
        return None
    problems = first.plan.problem, second.plan.problem
    if not (_is_linear(first) and second.output.exact and _commutes(*problems)):
        return None
    problem = _composed(*problems)
    if problem is None:
        return None
    name = f"{first.spec.name}*{second.spec.name}"
    spec = replace(second.spec, kernel=second.spec.kernel.named(name))
    joined = replanned(first, spec, problem, options, second.output.kind)
    return joined if joined.output.exact and joined.cost < first.cost + second.cost else None


def _is_linear(first: PlannedConvolution) -> bool:
    """Whether the numbers of a stage are its exact sums, one for each input pixel."""
    problem = first.plan.problem
    is_plain = problem.filter.combine is None and all(step == Affine() for step in first.steps)
    return first.output.exact and is_plain and all(axis.stride == axis.spread == 1 for axis in problem.axes)


def _commutes(first: Problem, second: Problem) -> bool:
    """Whether the border of the second convolution may be taken from the image itself."""
    is_spread = any(axis.spread > 1 for axis in second.axes)
    if second.channels > 1 or second.filter.combine is not None or is_spread:
        return False
    axes = [(a, b, index) for index, (a, b) in enumerate(zip(first.axes, second.axes, strict=True))]
    return all(_commutes_along(first, second, index) for a, b, index in axes if b.before or b.after)


def _commutes_along(first: Problem, second: Problem, index: int) -> bool:
    axis, mode = first.axes[index], first.fill.mode
    if mode != second.fill.mode or mode not in ("wrap", "reflect", "symmetric") or axis.output != axis.size:
        return False
    is_centered = axis.before == axis.after
    return mode == "wrap" or (is_centered and np.array_equal(first.filter.weights, _flipped(first, index)))


def _flipped(problem: Problem, index: int) -> Array:
    flipped: Array = np.flip(problem.filter.weights, index)
    return flipped


def _composed(first: Problem, second: Problem) -> Problem | None:
    """The problem of both; None if its weights are too many, or too large."""
    axes = tuple(map(_joined_axis, first.axes, second.axes))
    weights = _full_convolution(first, second)
    if weights is None:
        return None
    filter_ = Filter(weights, second.filter.denominator, second.filter.bias * first.filter.maps)
    fill = first.fill if first.has_padding else second.fill
    return replace(first, axes=axes, filter=filter_, fill=fill)


def _joined_axis(first: Axis, second: Axis) -> Axis:
    extent = first.extent + second.extent - 1
    return Axis(
        first.size, extent, second.stride, 1, first.before + second.before, first.after + second.after
    )


def _full_convolution(first: Problem, second: Problem) -> Array | None:
    """The numerators of the composed weights, (depth, rows, columns, in, maps of first × maps of second)."""
    size = [_joined_axis(*axes).extent for axes in zip(first.axes, second.axes, strict=True)]
    if prod(size) > LARGEST:
        return None
    a, b = _dense(first), _dense(second)
    largest = float(np.abs(a).max()) * float(np.abs(b.astype(np.float64)).sum())
    if largest >= INT64:
        return None
    each = np.repeat(a, b.shape[4], axis=4), np.tile(b, a.shape[4])
    return full_convolution(*each).astype(np.int64)


def _dense(problem: Problem) -> Array:
    """The numerators with zeros where dilation leaves gaps."""
    weights = problem.filter.weights
    sizes = [axis.dilation * (n - 1) + 1 for axis, n in zip(problem.axes, weights.shape, strict=False)]
    dense = np.zeros((*sizes, *weights.shape[3:]), np.int64)
    steps = tuple(slice(None, None, axis.dilation) for axis in problem.axes)
    dense[steps] = weights
    return dense
