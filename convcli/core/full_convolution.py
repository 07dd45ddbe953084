"""The full convolution of two arrays of weights, exact for integers."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Any, Final

import numpy as np

INT64: Final = 2**62
Weights = np.ndarray[Any, Any]


def full_convolution(left: Weights, right: Weights) -> Weights:
    """The full convolution along all axes but the last two, over which shapes are broadcast.

    The smaller array is the one whose weights are gone through.

    Returns:
        m + n − 1 weights along each axis: int64, Python's integers where 64 bits could overflow, or float64.
    """
    few, many = sorted((left, right), key=lambda array: prod(array.shape[:-2]))
    window = tuple(one + other - 1 for one, other in zip(left.shape[:-2], right.shape[:-2], strict=True))
    channels = np.broadcast_shapes(left.shape[-2:], right.shape[-2:])
    few, many = _wide_enough(few, many)
    result = np.zeros((*window, *channels), few.dtype)
    for place in product(*map(range, few.shape[:-2])):
        weight = few[place]
        if weight.any():
            result[slices(place, many.shape[:-2])] += weight * many
    return result


def largest_magnitude(array: Weights) -> int:
    """The largest magnitude of an array of integers."""
    return max(int(array.max()), -int(array.min()))


def _wide_enough(left: Weights, right: Weights) -> tuple[Weights, Weights]:
    """Both as a type that holds sums of their products: int64, Python's integers, or float64."""
    if left.dtype.kind != "i" or right.dtype.kind != "i":
        return left.astype(np.float64), right.astype(np.float64)
    bound = float(np.abs(left.astype(np.float64)).sum()) * largest_magnitude(right)
    return (left, right) if bound < INT64 else (left.astype(object), right.astype(object))


def slices(starts: Any, sizes: tuple[int, ...]) -> tuple[slice, ...]:
    """The part of an array that begins at ``starts``."""
    return tuple(slice(start, start + size) for start, size in zip(starts, sizes, strict=True))
