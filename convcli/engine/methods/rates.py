"""Costs of one pass over a strip, in nanoseconds per value, measured by ``python benchmarks/rates.py``.

They come from one machine (AMD EPYC with AVX-512, NumPy 2.4); those of 4 and 8 bytes are raised to what whole
strips took in ``benchmarks/planner.py``. The planner only needs their ratios.
"""

from __future__ import annotations

from typing import Final

from convcli.core.dtypes import DType

ADD: Final = {1: 0.03, 2: 0.065, 4: 0.24, 8: 0.45}
"""Adding two arrays of a strip into a third, by item size in bytes."""

IN_PLACE: Final = 0.7
"""Cost of adding or multiplying in place, relative to `ADD`: two streams are moved instead of three."""

LOAD: Final = {1: 0.03, 2: 0.04, 4: 0.09, 8: 0.19}
"""Converting 8-bit pixels to the sums' type, by its item size."""

FLOPS: Final = {4: 90.0, 8: 43.0}
"""Multiplications and additions per nanosecond in products of small matrices, by item size."""

CALL: Final = 2_200, 650
"""Nanoseconds of a NumPy call besides its values: with the views that it needs, and where they are kept."""

KEPT: Final = 2**18
"""Bytes of values and sums, up to which strips probably keep their views."""

TRANSFORM: Final = {4: 6.5, 8: 9.5}
"""A forward and an inverse real transform of a tile, per value, by item size."""


TAP: Final = {2: 0.01, 4: 0.02, 8: 0.04}
"""A product and its addition in the extension, by item size in bytes."""


RUNNING: Final = {2: 0.03, 4: 0.06, 8: 0.12}
"""An addition of running sums in the extension, by item size in bytes."""


def tap(dtype: DType) -> float:
    """Nanoseconds per value for a tap in the extension."""
    return TAP[dtype.itemsize]


def add(dtype: DType) -> float:
    """Nanoseconds per value for adding two arrays."""
    return ADD[dtype.itemsize]


def flops(dtype: DType) -> float:
    """Operations per nanosecond in matrix products."""
    return FLOPS[dtype.itemsize]
