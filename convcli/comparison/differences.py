"""The differences of two strips of values, exact where both are integers."""

from __future__ import annotations

from typing import Final

import numpy as np

from convcli.core.dtypes import Array, DType, span

_SIGNED: Final = tuple(map(np.dtype, (np.int16, np.int32, np.int64)))


def differences(a: Array, b: Array) -> Array:
    """``b − a`` of two arrays of one shape.

    Returns:
        Of integers and bool, the exact differences: int16, int32 or int64, or an array of Python integers
        where 64 bits do not hold them. Otherwise float64.
    """
    if a.dtype.kind not in "biu" or b.dtype.kind not in "biu":
        with np.errstate(over="ignore", invalid="ignore"):
            return np.subtract(b, a, dtype=np.float64)
    kind = difference_type(a.dtype, b.dtype)
    if kind is not None:
        return np.subtract(b, a, dtype=kind)
    if a.size and _fit(int(b.min()) - int(a.max()), int(b.max()) - int(a.min()), np.dtype(np.int64)):
        return b.astype(np.int64) - a.astype(np.int64)  # wraps back: the difference itself fits
    return np.asarray(b.astype(object) - a.astype(object))


def difference_type(a: DType, b: DType) -> DType | None:
    """The signed type of at least 16 bits that holds every difference of integers of these types, or None."""
    (least, most), (first, last) = span(a), span(b)
    return next((kind for kind in _SIGNED if _fit(first - most, last - least, kind)), None)


def _fit(low: int, high: int, kind: DType) -> bool:
    least, most = span(kind)
    return least <= low and high <= most


def equal(a: Array, b: Array) -> bool:
    """Whether two arrays of one shape have the same values, NaN being equal to NaN."""
    if np.array_equal(a, b):
        return True
    return "f" in (a.dtype.kind, b.dtype.kind) and np.array_equal(a, b, equal_nan=True)
