"""The sampled Gaussian that several families are made of."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import numpy as np

from convcli.core.rational import FloatArray
from convcli.kernels.families.base import LARGEST_SIDE, Parameter, number, whole

TRUNCATE: Final = Fraction(4)
"""Standard deviations up to which Gaussians are sampled by default, as in scipy.ndimage."""
SIGMA: Final = Parameter("sigma", number("sigma", "0.01", "500"))
SIZE: Final = Parameter("size", whole("size", 1, LARGEST_SIDE, odd=True), "")


def sampled(sigma: float, radius: int) -> tuple[FloatArray, FloatArray]:
    """The integers from −radius to radius, and exp(−t² / 2σ²) at each of them, divided by its sum."""
    steps = np.arange(-radius, radius + 1).astype(np.float64)
    bell = np.exp(-(steps**2) / (2 * sigma**2))
    return steps, bell / bell.sum()


def radius_of(sigma: Fraction, size: int | None, truncate: Fraction = TRUNCATE) -> int:
    """⌊truncate·σ + 0.5⌋, as in scipy.ndimage, or half of ``size`` if it is given.

    Raises:
        ValueError: more than half of the largest side.
    """
    radius = int(truncate * sigma + Fraction(1, 2)) if size is None else size // 2
    if radius > LARGEST_SIDE // 2:
        raise ValueError(f"radius {radius} is not between 0 and {LARGEST_SIDE // 2}")
    return radius
