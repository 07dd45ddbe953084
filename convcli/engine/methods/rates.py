"""What one pass over a strip costs, in nanoseconds a value, measured by ``python benchmarks/rates.py``.

The figures are of one machine (AMD EPYC with AVX-512, NumPy 2.4), those of 4 and 8 bytes raised to
what whole strips showed in ``benchmarks/planner.py``; the planner needs their ratios only.
"""

from __future__ import annotations

from typing import Final

from convcli.core.dtypes import DType

ADD: Final = {1: 0.03, 2: 0.065, 4: 0.24, 8: 0.45}
"""Adding two arrays of a strip into a third, by item size in bytes."""

IN_PLACE: Final = 0.7
"""The share of that for adding or multiplying in place, which moves two streams instead of three."""

LOAD: Final = {1: 0.03, 2: 0.04, 4: 0.09, 8: 0.19}
"""Converting 8-bit pixels to the sums' type, by its item size."""

FLOPS: Final = {4: 90.0, 8: 43.0}
"""Multiplications and additions in a nanosecond in a product of small matrices, by item size."""

TRANSFORM: Final = {4: 6.5, 8: 9.5}
"""A forward and an inverse real transform of a tile, for each of its values, by item size."""


def add(dtype: DType) -> float:
    """One pass that adds two arrays."""
    return ADD[dtype.itemsize]


def flops(dtype: DType) -> float:
    """Operations in a nanosecond."""
    return FLOPS[dtype.itemsize]
