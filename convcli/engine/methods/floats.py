"""Float arithmetic for methods that need floats: rounded, or holding exact integers.

A float of p bits adds and multiplies integers without rounding while every partial sum stays within 2^p,
whatever the order; the sum of the magnitudes of all products bounds them all.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from convcli.core.dtypes import DType
from convcli.core.frozen import replace
from convcli.engine.plan import Arithmetic, Problem

_EXACT: Final[tuple[tuple[DType, int], ...]] = (
    (np.dtype(np.float32), 2**24),
    (np.dtype(np.float64), 2**53),
)


def in_floats(problem: Problem, narrow: Arithmetic) -> Arithmetic | str:
    """``narrow`` in the narrowest float type that is as exact, or why none is."""
    if not narrow.exact:
        return narrow
    largest = magnitude(problem, narrow)
    for dtype, limit in _EXACT:
        if largest <= limit:
            reason = f"products add up to at most {largest:.3g}, which {dtype} holds exactly"
            return replace(narrow, dtype=dtype, reason=reason)
    return f"products add up to as much as {largest:.3g}, more than float64 holds exactly"


def magnitude(problem: Problem, narrow: Arithmetic) -> int:
    """An upper bound for the sum of the magnitudes of a window's products."""
    most = max(map(abs, problem.span))
    weights = np.abs(narrow.filter.weights.astype(np.float64)).reshape(-1, narrow.filter.maps).sum(axis=0)
    return int(weights.max()) * most
