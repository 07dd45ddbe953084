"""Normalized convolution: weighted sums of values divided by the same sums of the values' own weights.

A pixel that is left out has weight 0, so its neighbors take over its share of the kernel (Knutsson and
Westin, "Normalized and differential convolution", 1993). Where all weights are 1, the result is the plain
convolution.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen, replace
from convcli.core.rational import exact_number
from convcli.core.rounding import Affine
from convcli.engine.consumer import StripTask
from convcli.engine.filter import UNIT, Filter
from convcli.engine.methods.registry import method_named
from convcli.engine.plan import Outcome, Plan
from convcli.engine.planner import choose
from convcli.engine.run import run
from convcli.engine.source import ArraySource


def unnormalizable(filter_: Filter) -> str:
    """Why the sums of a filter cannot be divided by those of weights from 0 to 1; empty if they can.

    With weights of both signs, the divisor could be anything near 0, and the result any number.
    """
    if filter_.combine:
        return f"its maps are combined by {filter_.combine}"
    if min(abs(total) for total in filter_.totals) < UNIT * filter_.largest / filter_.denominator:
        return "its weights sum to 0, so there is nothing to divide by"
    if filter_.weights.min() < 0:
        return "it has negative weights, so that sums over part of a window could be near 0"
    return ""


def whole_sums(filter_: Filter) -> tuple[Any, ...]:
    """Per map, the sum of all weights: an integer over the denominator for an exact filter, else a float."""
    flat = filter_.weights.reshape(-1, filter_.maps)
    if filter_.exact:
        return tuple(int(total) for total in flat.astype(object).sum(axis=0))
    return tuple(flat.astype(np.float64).sum(axis=0).tolist())


def normalized(sums: Array, weights: Array, whole: float, least: float) -> Array:
    """``whole · sums / weights`` in float64, NaN where no weight is above ``least``.

    Integers below 2⁵³ are exact, and their quotient is rounded once.

    Args:
        sums: (…, lanes), of values times their weights.
        weights: (…, 1), of the weights.
        whole: what the weights sum to where nothing is left out.
        least: sums of weights up to this are rounding errors.
    """
    wide = sums.astype(np.float64)
    if whole != 1:
        wide *= whole
    with np.errstate(divide="ignore", invalid="ignore"):
        np.divide(wide, weights, out=wide)
    undefined = weights <= least
    if undefined.any():
        np.copyto(wide, np.nan, where=undefined)
    return wide


def normalized_outcome(plan: Plan) -> Outcome:
    """What the results of `normalized` mean: over the denominator, and with the maps' biases."""
    filter_ = plan.problem.filter
    share: Any = exact_number(1) / filter_.denominator if filter_.exact else 1 / filter_.denominator
    affines = tuple(Affine.of(share, bias) for bias in filter_.bias)
    return Outcome(np.dtype(np.float64), ((-np.inf, np.inf),) * len(affines), affines, exact=False)


def least_weights(plan: Plan, unit: float) -> tuple[float, ...]:
    """Per map, the largest sum of weights that may be nothing but rounding errors.

    Args:
        unit: the weight of a value that counts in full.
    """
    if plan.exact or not any(method_named(name).mixes for name in plan.methods):
        return (0.0,) * plan.outcome.maps
    return tuple(noise * plan.problem.filter.denominator * unit for noise in plan.roundoff)


def inner_weights(plan: Plan) -> tuple[Array, tuple[float, ...]]:
    """The sums of the weights inside the input, on the scale of a plan's sums.

    Returns:
        (depth, rows, columns, maps), and per map the largest sum that may be nothing but rounding errors.
    """
    problem = replace(plan.problem, batch=1, lanes=1, dtype=np.dtype(np.uint8), outside=())
    by = choose(problem, threads=plan.threads, steady=plan.steady)
    sizes = (axis.size for axis in problem.axes)
    ones = np.broadcast_to(np.uint8(1), (1, *sizes, problem.channels, 1))
    sums = np.empty((*(axis.output for axis in problem.axes), by.outcome.maps), by.outcome.dtype)
    run(by, ArraySource(ones), lambda: _Keeping(sums))
    scale = plan.problem.filter.denominator / by.problem.filter.denominator
    least = tuple(scale * noise for noise in least_weights(by, 1))
    return (sums if scale == 1 else sums * scale), least


@frozen(eq=False)
class _Keeping:
    """A consumer that keeps the sums of the only lane of the only batch entry."""

    sums: Array

    def destination(self, task: StripTask) -> None:
        return None

    def take(self, task: StripTask, sums: Array) -> None:
        (top, bottom), (left, right) = task.strip.rows, task.strip.columns
        self.sums[task.depth, top:bottom, left:right] = sums[..., 0].transpose(1, 2, 0)
