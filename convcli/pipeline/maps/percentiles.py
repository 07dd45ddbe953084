"""Exact percentiles of values that pass strip by strip, in any number of workers.

A radix search: each pass over the values counts 16 more bits of their order, so 32-bit values take two
passes. Counts are whole numbers that add up, so the result does not depend on how the work was cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array, DType

_BITS: Final = 16  # bits that one pass distinguishes


class DigitCounter:
    """How often each digit follows each prefix, as one worker counts in one pass.

    Args:
        prefixes: the digits that are known already, of each percentile.
        shift: bits below the digit that is counted.
    """

    def __init__(self, prefixes: Sequence[int], shift: int) -> None:
        self.prefixes, self.shift = sorted(set(prefixes)), shift
        self.counts = np.zeros((len(self.prefixes), 1 << _BITS), np.int64)

    def empty(self) -> DigitCounter:
        """A counter for a worker to fill."""
        return DigitCounter(self.prefixes, self.shift)

    def note(self, values: Array) -> None:
        """Count finite values of any shape."""
        if values.dtype.kind == "f":
            values = values[np.isfinite(values)]
        keys = _keys(values).ravel()
        above = self.shift + _BITS
        for index, prefix in enumerate(self.prefixes):
            chosen = keys if above >= _width(keys.dtype) else keys[keys >> _like(above, keys) == prefix]
            digits = chosen >> _like(self.shift, keys) & _like(
                (1 << min(_BITS, _width(keys.dtype))) - 1, keys
            )
            self.counts[index] += np.bincount(digits.astype(np.intp), minlength=1 << _BITS)

    def merge(self, other: DigitCounter) -> None:
        """Add what another worker has counted."""
        self.counts += other.counts


class PercentileSearch:
    """A search for several percentiles of one set of values.

    The percentile p of n values in ascending order is the one at rank ⌈p · n / 100⌉, at least 1 (the
    nearest-rank method), so it is always one of the values. NaN and infinities do not count.

    Args:
        dtype: type of the values, integers or floats of up to 64 bits.
        percents: from 0 to 100.
    """

    def __init__(self, dtype: DType, percents: Sequence[Fraction]) -> None:
        self.dtype, self.percents = dtype, percents
        self.shift = max(_width(dtype) - _BITS, 0)
        self.prefixes = [0] * len(percents)
        self.ranks: list[int] = []
        self.is_done = not percents

    def counter(self) -> DigitCounter:
        """An empty counter for the next pass."""
        return DigitCounter(self.prefixes, self.shift)

    def advance(self, counter: DigitCounter) -> None:
        """Take the merged counts of a pass over all values."""
        total = int(counter.counts.sum()) if not self.ranks else 0
        self.ranks = self.ranks or [max(ceil(p * total / 100), 1) for p in self.percents]
        for index, (prefix, rank) in enumerate(zip(self.prefixes, self.ranks, strict=True)):
            sums = np.cumsum(counter.counts[counter.prefixes.index(prefix)])
            digit = min(int(np.searchsorted(sums, rank)), (1 << _BITS) - 1)
            self.ranks[index] = rank - (int(sums[digit - 1]) if digit else 0)
            self.prefixes[index] = prefix << _BITS | digit
        self.is_done = self.shift == 0
        self.shift = max(self.shift - _BITS, 0)

    def values(self) -> list[Any]:
        """The percentiles, as Python numbers, once the search is done."""
        keys = np.array(self.prefixes, _unsigned(self.dtype))
        return [value.item() for value in _values(keys, self.dtype)]


def _unsigned(dtype: DType) -> DType:
    return np.dtype(f"u{dtype.itemsize}")


def _width(dtype: DType) -> int:
    return 8 * dtype.itemsize


def _like(value: int, keys: Array) -> Array:
    """A number in the keys' type, so that no array is widened."""
    return np.array(value, keys.dtype)


def _top(dtype: DType) -> Array:
    return np.array(1 << (_width(dtype) - 1), _unsigned(dtype))


def _keys(values: Array) -> Array:
    """Unsigned integers of the same width whose order is that of the values."""
    bits = np.ascontiguousarray(values).view(_unsigned(values.dtype))
    match values.dtype.kind:
        case "u":
            return bits
        case "i":
            return bits ^ _top(values.dtype)
    top = _top(values.dtype)
    return np.where(bits & top, ~bits, bits | top)


def _values(keys: Array, dtype: DType) -> Array:
    """The values of which `_keys` made these keys."""
    top = _top(dtype)
    match dtype.kind:
        case "u":
            return keys.view(dtype)
        case "i":
            return (keys ^ top).view(dtype)
    return np.where(keys & top, keys ^ top, ~keys).view(dtype)
