"""What one pass over a strip costs, in nanoseconds a value, measured by ``python benchmarks/rates.py``.

The figures are of one machine (AMD EPYC with AVX-512, NumPy 2.4); the planner needs their ratios only.
"""

from __future__ import annotations

from typing import Final

from convcli.dtypes import DType

ADD: Final = {1: 0.03, 2: 0.06, 4: 0.12, 8: 0.25}
"""Adding two arrays in cache, by item size in bytes; multiplying by a constant costs three quarters."""

MULTIPLY: Final = 0.75

LOAD: Final = {1: 0.03, 2: 0.04, 4: 0.09, 8: 0.19}
"""Converting 8-bit pixels to the sums' type, by its item size."""

CALL: Final = 1500.0
"""Nanoseconds for one NumPy call from Python."""


def add(dtype: DType) -> float:
    return ADD[dtype.itemsize]


def multiply(dtype: DType) -> float:
    return MULTIPLY * ADD[dtype.itemsize]
