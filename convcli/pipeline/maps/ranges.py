"""The range of a feature map's values: counted, searched for percentiles, and put into a mapping."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import inf, isfinite, nan

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import ImageError
from convcli.core.frozen import replace
from convcli.core.rational import Number
from convcli.engine.computers import Computation
from convcli.engine.plan import Outcome
from convcli.pipeline.color_handling import ColorHandling
from convcli.pipeline.mapping import WHOLE_RANGE, Mapping
from convcli.pipeline.maps.passes import Passes
from convcli.pipeline.maps.percentiles import PercentileSearch


class RangeCounter:
    """Statistics of one map's sums.

    Attributes:
        low, high: the range of the finite sums; ``low > high`` where there are none.
        below, above: values that were cut off.
        nan, infinite: sums that are not finite.
        undefined: pixels whose window has no pixel that counts; none of the above.
        taken: results that are the value of pixels without data, by chance.
    """

    def __init__(self) -> None:
        self.low, self.high = inf, -inf
        self.below = self.above = self.nan = self.infinite = self.undefined = self.taken = 0

    def empty(self) -> RangeCounter:
        """A counter for a worker to fill."""
        return RangeCounter()

    def note(self, sums: Array) -> None:
        """Widen the range by the finite sums, and count the others."""
        if not sums.size:
            return
        low, high = sums.min().item(), sums.max().item()
        if not (isfinite(low) and isfinite(high)):
            finite, nan = sums[np.isfinite(sums)], int(np.count_nonzero(np.isnan(sums)))
            self.nan += nan
            self.infinite += sums.size - finite.size - nan
            low, high = (finite.min().item(), finite.max().item()) if finite.size else (inf, -inf)
        self.low, self.high = min(self.low, low), max(self.high, high)

    def merge(self, other: RangeCounter) -> None:
        """Add what another worker has counted."""
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.below += other.below
        self.above += other.above
        self.nan += other.nan
        self.infinite += other.infinite
        self.undefined += other.undefined
        self.taken += other.taken

    def values(self, outcome: Outcome, index: int) -> tuple[Number, Number]:
        """The lowest and highest value of map ``index``, NaN where none is finite."""
        if self.low > self.high:
            return nan, nan
        return _value(outcome, index, self.low), _value(outcome, index, self.high)


def _value(outcome: Outcome, index: int, x: float) -> Number:
    """The value of a sum: exact ones are integers, whatever type holds them, but quotients need not be."""
    whole = outcome.exact and float(x).is_integer()
    return outcome.affines[index].value(int(x) if whole else x)


def mappings_with_ranges(passes: Passes, mapping: Mapping, counters: list[RangeCounter]) -> list[Mapping]:
    """The mapping of each map, with its range filled in by passes that only count, where it needs one.

    Computing twice is faster than keeping a full-size map.

    Args:
        counters: one for each map, filled in if there is such a pass.

    Raises:
        ImageError: no value is finite.
    """
    if not mapping.needs_range:
        return [mapping] * len(counters)
    passes.count(counters)
    searches = [PercentileSearch(passes.counted_dtype, mapping.searched_percents) for _ in counters]
    _run_searches(searches, passes)
    return [
        ranged(passes.plan, passes.outcome, passes.handling, index, mapping, counter, search)
        for index, (counter, search) in enumerate(zip(counters, searches, strict=True))
    ]


def _run_searches(searches: Sequence[PercentileSearch], passes: Passes) -> None:
    """Find the percentiles of every map, in as many passes as the number type takes."""
    while not searches[0].is_done:
        counters = [search.counter() for search in searches]
        passes.count(counters)
        for search, counter in zip(searches, counters, strict=True):
            search.advance(counter)


def ranged(
    plan: Computation,
    outcome: Outcome,
    handling: ColorHandling,
    index: int,
    mapping: Mapping,
    counter: RangeCounter,
    search: PercentileSearch | None = None,
) -> Mapping:
    """The mapping of map ``index`` with its range; nothing but rounding errors becomes a single value.

    Percentiles that are equal, as where nearly all values are 0, give way to the whole range.

    Args:
        outcome: what the colors of the sums mean.
        counter: has counted all values.
        search: has found the mapping's percentiles, if it has any.

    Raises:
        ImageError: no value is finite.
    """
    if counter.low > counter.high:
        raise ImageError("no value of the feature map is finite, so it has no range to map; use --map raw")
    noise = _rounding_noise(plan, index, handling)
    low, high = _ends(outcome, index, mapping, counter, search)
    if mapping.searched_percents and _is_flat(mapping, low, high, noise):
        mapping = replace(mapping, percents=WHOLE_RANGE)
        low, high = counter.values(outcome, index)
    if _is_flat(mapping, low, high, noise):
        low, high = (Fraction(0),) * 2 if mapping.kind == "signed" else (low, low)
    return mapping.with_range(low, high)


def _is_flat(mapping: Mapping, low: Number, high: Number, noise: float) -> bool:
    """Whether a range is no more than rounding errors."""
    return -noise <= low and high <= noise if mapping.kind == "signed" else high - low <= noise


def _ends(
    outcome: Outcome, index: int, mapping: Mapping, counter: RangeCounter, search: PercentileSearch | None
) -> tuple[Number, Number]:
    """The values at the mapping's percentiles; those of the whole range for ends that are numbers."""
    low, high = counter.values(outcome, index)
    if search is None or not mapping.searched_percents:
        return low, high
    percentiles = {
        percent: _value(outcome, index, value)
        for percent, value in zip(mapping.searched_percents, search.values(), strict=True)
    }
    first, last = mapping.percents
    return (percentiles.get(first, low) if first else low), (percentiles.get(last, high) if last else high)


def _rounding_noise(plan: Computation, index: int, handling: ColorHandling) -> float:
    """How far float sums over an image of known range may be from exact ones; 0 for exact sums."""
    return 0.0 if plan.outcome.exact else plan.roundoff[index] * handling.magnitude
