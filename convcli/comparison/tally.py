"""Statistics of differences, strip by strip; sums of integers are exact."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np

from convcli.comparison.differences import differences, equal
from convcli.comparison.histogram import Histogram
from convcli.comparison.result import Difference, NotFinite, Statistics
from convcli.comparison.strips import StripPair
from convcli.core.dtypes import Array

_HELD = 2**62  # sums below it fit in 64 bits


class Tally:
    """What two images differ in, of the strips so far.

    Args:
        spans: whether the range of the values is wanted.
    """

    def __init__(self, spans: bool = False) -> None:
        self.spans = spans
        self.low, self.high = np.inf, -np.inf
        self.values = self.finite = self.unequal = 0
        self.total: float = 0
        self.magnitudes: float = 0
        self.squares: float = 0
        self.ends: list[float] = [0, 0]
        self.largest: Difference | None = None
        self.histogram = Histogram()
        self.nan, self.infinite = [0, 0], [0, 0]
        self.mismatched = 0
        self.first: Difference | None = None

    def add(self, strip: StripPair) -> None:
        """Take the values of a strip."""
        self.values += strip.a.size
        usable = self._usable(strip)
        if self.spans:
            self._span(strip.a)
            self._span(strip.b)
        if equal(strip.a, strip.b):
            self.finite += strip.a.size if usable is None else int(np.count_nonzero(usable))
            return
        found = differences(strip.a, strip.b)
        if usable is not None:
            self._add_mismatches(strip, usable)
            found = np.where(usable, found, 0)
            self.finite += int(np.count_nonzero(usable))
        else:
            self.finite += found.size
        changed = found[found != 0]
        if changed.size:
            self._add_differences(strip, found, changed)

    def _usable(self, strip: StripPair) -> Array | None:
        """Where both values are finite; None for everywhere. Counts the others."""
        if "f" not in (strip.a.dtype.kind, strip.b.dtype.kind):
            return None
        finite = [np.isfinite(values) for values in (strip.a, strip.b)]
        if all(map(np.all, finite)):
            return None
        for index, values in enumerate((strip.a, strip.b)):
            nan = int(np.count_nonzero(np.isnan(values)))
            self.nan[index] += nan
            self.infinite[index] += values.size - int(np.count_nonzero(finite[index])) - nan
        usable: Array = finite[0] & finite[1]
        return usable

    def _span(self, values: Array) -> None:
        if values.dtype.kind == "f":
            values = values[np.isfinite(values)]
        if values.size:
            self.low, self.high = min(self.low, values.min().item()), max(self.high, values.max().item())

    def _add_mismatches(self, strip: StripPair, usable: Array) -> None:
        same = (strip.a == strip.b) | (np.isnan(strip.a) & np.isnan(strip.b))
        wrong = ~usable & ~same
        count = int(np.count_nonzero(wrong))
        if count and self.first is None:
            self.first = strip.difference(int(np.argmax(wrong)), float("nan"))
        self.mismatched += count

    def _add_differences(self, strip: StripPair, found: Array, changed: Array) -> None:
        self.unequal += changed.size
        low, high = _item(changed.min()), _item(changed.max())
        self.ends = [min(self.ends[0], low), max(self.ends[1], high)]
        magnitude = max(-low, high)
        if self.largest is None or magnitude > abs(self.largest.difference):
            places = [np.argmin(found)] * (-low == magnitude) + [np.argmax(found)] * (high == magnitude)
            place = int(min(places))
            self.largest = strip.difference(place, _item(found.reshape(-1)[place]))
        self._add_sums(changed, magnitude)
        self.histogram.add(changed)

    def _add_sums(self, changed: Array, magnitude: float) -> None:
        if changed.dtype.kind == "f":
            with np.errstate(over="ignore", invalid="ignore"):
                self.total += float(changed.sum())
                self.magnitudes += float(np.abs(changed).sum())
                self.squares += float(np.square(changed).sum())
            return
        wide = magnitude**2 * changed.size >= _HELD
        values = changed.astype(object) if wide else changed.astype(np.int64)
        self.total += int(values.sum())
        self.magnitudes += int(np.abs(values).sum())
        self.squares += int((values * values).sum())

    @property
    def differing(self) -> int:
        """Pairs that are not equal."""
        return self.unequal + self.mismatched

    def statistics(self) -> Statistics:
        """The statistics of all strips."""
        if not self.finite:
            return Statistics()
        return Statistics(
            values=self.finite,
            largest=self.largest,
            mean=self.total / self.finite,
            mean_absolute=self.magnitudes / self.finite,
            mean_square=self.squares / self.finite,
            histogram=self.histogram.bins(),
            low=self.ends[0],
            high=self.ends[1],
        )

    def not_finite(self) -> NotFinite:
        """The counts of NaN and infinity of all strips."""
        return NotFinite(
            self.nan[0],
            self.nan[1],
            self.infinite[0],
            self.infinite[1],
            unequal=self.mismatched,
            first=self.first,
        )

    def data_range(self) -> float | None:
        """The range of the values, for images whose type does not state it: 1 if all are within 0 to 1."""
        if self.low > self.high:
            return None
        span = 1.0 if self.low >= 0 and self.high <= 1 else float(self.high) - float(self.low)
        return span if isfinite(span) and span > 0 else None


def _item(value: Any) -> float:
    return value.item() if isinstance(value, np.generic) else value  # type: ignore[no-any-return]
