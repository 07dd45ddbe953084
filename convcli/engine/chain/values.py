"""What is known of the values between two stages of a chain."""

from __future__ import annotations

from math import isfinite

import numpy as np

from convcli.core.dtypes import DType
from convcli.core.frozen import frozen
from convcli.core.numerals import report_text
from convcli.core.rational import Number, exact_number
from convcli.engine.filter import ValueKind
from convcli.geometry.padding import Pair


@frozen(eq=False)
class Values:
    """The output of a stage: numbers of ``dtype``, each of which means ``number / denominator``.

    Attributes:
        sizes: (rows, columns) of each map.
        maps, lanes: a stage's array is (maps, rows, columns, lanes).
        low, high: bounds of the numbers; infinite where nothing is known.
        exact: whether the numbers are integers without any rounding.
        error: how far values may be from exact ones; None where the values are not bounded.
        double: whether numbers that become floats become float64.
    """

    batch: int
    sizes: Pair
    maps: int
    lanes: int
    dtype: DType
    low: float
    high: float
    denominator: int
    exact: bool
    kind: ValueKind
    error: float | None = 0.0
    double: bool = False

    @property
    def channels(self) -> int:
        """Maps and lanes together, the channels that the next stage sees."""
        return self.maps * self.lanes

    @property
    def limits(self) -> tuple[float, float] | None:
        """Lowest and highest number, where they are known; integers if numbers are."""
        if self.exact:
            return int(self.low), int(self.high)
        return (self.low, self.high) if isfinite(self.low) and isfinite(self.high) else None

    @property
    def range(self) -> tuple[Number, Number] | None:
        """Lowest and highest value that is possible; None if there are no bounds."""
        if not (isfinite(self.low) and isfinite(self.high)):
            return None
        if self.exact:
            share = exact_number(1) / self.denominator
            return int(self.low) * share, int(self.high) * share
        return float(self.low) / self.denominator, float(self.high) / self.denominator

    @property
    def magnitude(self) -> float:
        """The largest magnitude of a value that is possible; may be infinite."""
        return max(abs(self.low), abs(self.high)) / self.denominator

    @property
    def float_type(self) -> DType:
        """The type of functions that have no exact values: float64 where it is wanted or numbers need it."""
        is_large = self.exact and max(abs(self.low), abs(self.high)) > 2**24
        wide = self.double or self.dtype == np.float64 or is_large
        return np.dtype(np.float64 if wide else np.float32)

    def range_text(self) -> str:
        """The possible range in words."""
        limits = self.range
        return f"{report_text(limits[0])} … {report_text(limits[1])}" if limits else "not bounded"
