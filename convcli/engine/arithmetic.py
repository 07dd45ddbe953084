"""The number type of the sums: the narrowest integers that hold them exactly, or floats."""

from __future__ import annotations

from math import inf
from typing import Final

import numpy as np

from convcli.core.dtypes import DType, accumulator
from convcli.core.frozen import replace
from convcli.core.numerals import with_minus
from convcli.engine.plan import Arithmetic, Problem

LARGEST_SINGLE: Final = 1e15
"""Weights and fills above this are computed in float64, because float32 ends at 3.4e38."""

SMALLEST_SINGLE: Final = 1e-30
"""If all weights are below this, float32 could lose their digits: it has fewer of them below 1.2e-38."""

_FLOAT_SLACK: Final = 1e-4
"""Share by which the bounds of float sums are widened for their rounding."""

_LARGEST_WHOLE: Final = 2**24
"""Up to this, float32 holds every integer."""

_MOST_BYTES: Final = 4
"""Largest size of integer sums in place of float ones; wider ones take longer."""


def choose_arithmetic(problem: Problem) -> Arithmetic:
    """The narrowest integer type that provably holds every sum; a float type if there is none."""
    refusal = _inexact(problem)
    if not refusal and not problem.filter.exact:
        refusal = "the weights are not rationals with a small common denominator"
    integers = refusal or _integers(problem)
    if isinstance(integers, Arithmetic):
        return integers
    dtype = _float_type(problem)
    reason = f"{dtype}: {integers}"
    return Arithmetic(dtype, problem.filter.as_floats(), _float_bounds(problem), False, reason)


def near_arithmetic(problem: Problem) -> Arithmetic | None:
    """Integers for float weights that are fractions as far as the float type of the sums can tell.

    Each weight is moved by no more than that type's roundoff, and nothing else is rounded before the end, so
    the result is as near to the exact one as that of float sums may be.

    Returns:
        None if the weights are no such fractions, or if their sums need more than 32 bits.
    """
    if problem.filter.exact or _inexact(problem):
        return None
    filter_ = problem.filter.near_fractions(float(np.finfo(_float_type(problem)).eps) / 2)
    arithmetic = _integers(replace(problem, filter=filter_)) if filter_ else ""
    if filter_ is None or isinstance(arithmetic, str) or arithmetic.dtype.itemsize > _MOST_BYTES:
        return None
    return arithmetic


def _integers(problem: Problem) -> Arithmetic | str:
    """The narrowest integers for an exact filter, or why 64 bits do not hold them."""
    bounds = problem.filter.bounds(*problem.span)
    ends = min(low for low, _ in bounds), max(high for _, high in bounds)
    dtype = accumulator(int(ends[0]), int(ends[1])) if max(map(abs, ends)) < 2**62 else None
    if dtype is None:
        return f"sums reach {float(max(map(abs, ends))):.3g}, which 64 bits cannot hold"
    sums = with_minus(f"{int(ends[0])} … {int(ends[1])}")
    reason = f"sums lie in {sums}, which {dtype} holds exactly"
    return Arithmetic(dtype, problem.filter, tuple(bounds), True, reason)


def _float_type(problem: Problem) -> DType:
    """The type of float sums."""
    return np.dtype(np.float64 if _needs_double(problem) else np.float32)


def _needs_double(problem: Problem) -> bool:
    """Whether float32 would lose more than its rounding: wide or exact inputs, or numbers near its limit."""
    integer = problem.dtype.kind != "f"
    wide = problem.dtype == np.float64 or (integer and (_is_wide(problem) or problem.filter.exact))
    largest = max(problem.filter.largest, abs(problem.fill.value))
    is_tiny = 0 < problem.filter.largest < SMALLEST_SINGLE
    return problem.double or wide or largest > LARGEST_SINGLE or is_tiny


def _is_wide(problem: Problem) -> bool:
    """Whether float32 does not hold every integer of the input."""
    return max(map(abs, problem.span)) > _LARGEST_WHOLE


def _inexact(problem: Problem) -> str:
    """Why the sums cannot be exact integers, whatever the weights; empty if they can."""
    if problem.dtype.kind == "f":
        return f"the input is {problem.dtype}"
    if problem.dtype.itemsize == 8 and problem.limits is None:
        return f"{problem.dtype} values may overflow when multiplied"
    if not float(problem.fill.value).is_integer():
        return f"the fill {problem.fill} is not an integer"
    return ""


def _float_bounds(problem: Problem) -> tuple[tuple[float, float], ...]:
    """Bounds of float sums, widened for their rounding."""
    limits = problem.value_range
    if limits is None:
        return ((-inf, inf),) * problem.filter.maps
    bounds = problem.filter.as_floats().bounds(*limits)
    slack = [_FLOAT_SLACK * max(abs(low), abs(high)) for low, high in bounds]
    return tuple((low - s, high + s) for (low, high), s in zip(bounds, slack, strict=True))


def result_dtype(dtype: DType) -> DType:
    """The default type of a feature map: float64 for float64 and integers from 32 bits on, else float32."""
    wide = dtype.itemsize == 8 or (dtype.kind in "iu" and dtype.itemsize >= 4)
    return np.dtype(np.float64 if wide else np.float32)
