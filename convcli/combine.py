"""Several feature maps of one strip as one: the root of the sum of squares, the sum or the largest."""

from __future__ import annotations

from math import sqrt
from typing import Final

import numpy as np

from convcli.dtypes import Array, DType, accumulator
from convcli.plan import Arithmetic, Outcome

_FLOAT32_EXACT: Final = 2**24


def outcome(arithmetic: Arithmetic) -> Outcome:
    """The type, bounds and meaning of the sums once the filter's maps are combined."""
    filter_ = arithmetic.filter
    affines = filter_.affine
    if filter_.combine is None:
        return Outcome(arithmetic.dtype, arithmetic.bounds, affines, arithmetic.exact)
    most = [max(map(abs, bounds)) for bounds in arithmetic.bounds]
    high = {"l2": sqrt(sum(m * m for m in most)), "l1": sum(most), "max": max(most)}[filter_.combine]
    dtype = _dtype(filter_.combine, arithmetic, most)
    if filter_.combine == "l2" or not arithmetic.exact:
        bounds = (0.0, high * (1 + 1e-6))
        return Outcome(dtype, (bounds,), (affines[0].as_floats(),), exact=False)
    return Outcome(dtype, ((0, int(high)),), affines[:1], arithmetic.exact)


def _dtype(how: str, arithmetic: Arithmetic, most: list[float]) -> DType:
    if how == "l2":
        squares = sum(m * m for m in most)
        exact = arithmetic.exact and squares < _FLOAT32_EXACT
        wide = arithmetic.dtype == np.float64 or (arithmetic.exact and not exact)
        return np.dtype(np.float64 if wide else np.float32)
    if arithmetic.dtype.kind == "f":
        return arithmetic.dtype
    total = int(sum(most)) if how == "l1" else int(max(most))
    signed = -total if arithmetic.dtype.kind == "i" else 0
    return accumulator(signed, total) or np.dtype(np.int64)


def combine(sums: Array, how: str, dtype: DType) -> Array:
    """(maps, rows, columns, lanes) sums as one map of ``dtype``.

    The squares of ``l2`` are summed without rounding wherever `outcome` chose its type for exact sums.
    """
    total = sums[0].astype(dtype)
    _magnitude(total, how)
    for one in sums[1:]:
        other = one.astype(dtype)
        _magnitude(other, how)
        (np.maximum if how == "max" else np.add)(total, other, out=total)
    if how == "l2":
        np.sqrt(total, out=total)
    combined: Array = total[None]
    return combined


def _magnitude(values: Array, how: str) -> None:
    if how == "l2":
        np.multiply(values, values, out=values)
    elif values.dtype.kind != "u":
        np.abs(values, out=values)
