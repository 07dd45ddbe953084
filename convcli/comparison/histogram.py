"""Histograms of differences by magnitude: powers of two of integers, powers of ten of floats.

The bins do not depend on the values, so one pass is enough and two histograms can be compared.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from math import floor, log10
from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen

_SMALLEST_POWER, _LARGEST_POWER = -323, 308  # of ten, of float64 that is not 0
_TENS: Final = tuple(float(f"1e{power}") for power in range(_SMALLEST_POWER, _LARGEST_POWER + 1))
_LARGEST: Final = float(np.finfo(np.float64).max)


@frozen
class Bin:
    """The differences whose magnitude is at least ``low`` and less than ``high``.

    Attributes:
        below: how many are negative, where B is less than A.
        above: how many are positive.
    """

    low: float
    high: float
    below: int
    above: int


class Histogram:
    """Counts of differences that are not 0, by sign and magnitude."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[bool, int, bool]] = Counter()

    def add(self, values: Array) -> None:
        """Count differences, none of them 0 or NaN."""
        is_float = values.dtype.kind == "f"
        powers = _decades(np.abs(values)) if is_float else _bit_lengths(values)
        first = int(powers.min())
        counts = np.bincount(2 * (powers - first) + (values > 0).astype(np.intp))
        for key, count in enumerate(counts.tolist()):
            if count:
                self.counts[is_float, first + key // 2, key % 2 == 1] += count

    def bins(self) -> tuple[Bin, ...]:
        """The bins that are not empty, from the smallest differences to the largest."""
        kinds = sorted({(is_float, power) for is_float, power, _ in self.counts}, key=_order)
        return tuple(
            Bin(*_ends(*kind), self.counts[(*kind, False)], self.counts[(*kind, True)]) for kind in kinds
        )


def _decades(magnitudes: Array) -> Array:
    """Which power of ten each magnitude reaches."""
    magnitudes = np.minimum(magnitudes, _LARGEST)
    first = max(floor(log10(float(magnitudes.min()))) - 1, _SMALLEST_POWER)
    last = min(floor(log10(float(magnitudes.max()))) + 1, _LARGEST_POWER)
    edges = _TENS[first - _SMALLEST_POWER : last - _SMALLEST_POWER + 1]
    powers: Array = np.maximum(np.searchsorted(edges, magnitudes, "right") - 1 + first, first)
    return powers


def _bit_lengths(values: Array) -> Array:
    """The bits of the magnitude of each integer."""
    if values.dtype.kind == "O":
        return np.array([abs(value).bit_length() for value in values.tolist()])
    magnitudes = np.abs(values).astype(np.uint64)  # the magnitude of the lowest int64 wraps twice
    edges = [1 << power for power in range(int(magnitudes.max()).bit_length())]
    bits: Array = np.searchsorted(np.array(edges, np.uint64), magnitudes, "right")
    return bits


def _ends(is_float: bool, power: int) -> tuple[float, float]:
    if is_float:
        return float(f"1e{power}"), float(f"1e{power + 1}")
    return 1 << (power - 1), 1 << power


def _order(kind: tuple[bool, int]) -> Fraction | float:
    return Fraction(_ends(*kind)[0])
