"""Costs of one pass over a strip, in nanoseconds per value, measured by ``python benchmarks/rates.py``.

They come from one machine (AMD EPYC with AVX-512, NumPy 2.4); those of 4 and 8 bytes are raised to what whole
strips took in ``benchmarks/planner.py``. The planner only needs their ratios.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from convcli.core.dtypes import Array, DType

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

TRANSFORM: Final = {4: 4.7, 8: 7.5}
"""A forward and an inverse real transform of a tile by NumPy, per value, by item size."""

PAIRED: Final = {4: 0.75, 8: 1.4}
"""The same by the extension, which transforms two small tiles as one."""

SPECTRUM: Final = {False: 5.0, True: 20.0}
"""The spectrum of a plane of weights, per value of a tile: in NumPy's order, or in the extension's."""

CACHES: Final = ((2**16, 0.03), (2**20, 0.2))
"""Bytes of a pair of tiles with its spectrum, and the share of `PAIRED` that each doubling above adds."""

TAP: Final = {2: 0.010, 4: 0.013, 8: 0.027}
"""A product and its addition in the extension, by item size in bytes."""

SHARED_TAP: Final = 0.9
"""The same where several maps share what they read, relative to `TAP`."""

SEPARABLE_TAP: Final = 1.1
"""The same down the columns or along the rows, relative to `TAP`: each pass goes through memory."""

RUNNING: Final = {2: 0.012, 4: 0.015, 8: 0.03}
"""An addition of running sums in the extension, by item size in bytes."""

FINISH: Final = 0.1
"""From a sum to a result in the extension."""


def add(dtype: DType) -> float:
    """Nanoseconds per value for adding two arrays."""
    return ADD[dtype.itemsize]


def flops(dtype: DType) -> float:
    """Operations per nanosecond in matrix products."""
    return FLOPS[dtype.itemsize]


def paired(dtype: DType, values: Array) -> Array:
    """Nanoseconds per value for transforming two tiles of so many values as one, forward and back."""
    size = 4 * dtype.itemsize * values
    growth = np.ones(values.shape)
    for cache, more in CACHES:
        growth += more * np.maximum(np.frexp(size / cache)[1], 0)
    return PAIRED[dtype.itemsize] * growth
