"""The feature maps of an image: computed, mapped to pixels and painted, strip by strip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen
from convcli.core.rational import Number
from convcli.engine.computers import Computation
from convcli.engine.plan import Outcome
from convcli.formats.readers import Reader
from convcli.pipeline.color_handling import ColorHandling
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.maps.painting import PaintingConsumer, map_painters
from convcli.pipeline.maps.passes import Passes
from convcli.pipeline.maps.pixel_count import CountingReader, PixelCount
from convcli.pipeline.maps.ranges import RangeCounter, mappings_with_ranges
from convcli.pipeline.maps.sinks import PixelSink


@frozen(eq=False)
class FeatureMap:
    """What is known of one map after it was painted.

    Attributes:
        low, high: the range of its finite values before the mapping, NaN where none is finite.
        below, above: values that were cut off, by the mapping or by the result's number type.
        mapping: with the range that it used.
        nan, infinite: values before the mapping that are not finite.
        undefined: pixels whose window has no pixel that counts.
        nan_pixels, ignored_pixels: pixels of the input with NaN in any color, and those that are left out.
        taken: pixels of the map that have the value of pixels without data, although their windows have data.
    """

    low: Number
    high: Number
    below: int
    above: int
    mapping: Mapping
    nan: int = 0
    infinite: int = 0
    undefined: int = 0
    nan_pixels: int = 0
    ignored_pixels: int = 0
    taken: int = 0

    @classmethod
    def of(
        cls,
        outcome: Outcome,
        index: int,
        ranges: RangeCounter,
        painted: RangeCounter,
        mapping: Mapping,
        pixels: tuple[int, int],
    ) -> Self:
        """What counters know of map ``index``.

        Args:
            outcome: what the colors of the sums mean.
            ranges: has counted the values before the mapping.
            painted: has counted the pixels.
            mapping: with the range that it used.
            pixels: ``nan_pixels`` and ``ignored_pixels``.
        """
        low, high = ranges.values(outcome, index)
        return cls(
            low,
            high,
            painted.below,
            painted.above,
            mapping,
            ranges.nan,
            ranges.infinite,
            painted.undefined,
            *pixels,
            painted.taken,
        )


def feature_maps(
    plan: Computation,
    reader: Reader,
    handling: ColorHandling,
    mapping: Mapping,
    sinks: Sequence[PixelSink],
    table: Array | None = None,
) -> list[FeatureMap]:
    """Convolve an image and paint every feature map.

    Args:
        reader: the image's stored pixels.
        sinks: one for each map; maps may share one, as its channels.
        table: colors for maps of one channel, as `MapPainter` takes them.

    Raises:
        ConvcliError: the image is damaged, or the mapping needs a range and no value is finite.
    """
    count = PixelCount(plan, handling)
    passes = Passes.over(plan, CountingReader(reader, count) if count.is_needed else reader, handling)
    counters = [RangeCounter() for _ in sinks]
    mappings = mappings_with_ranges(passes, mapping, counters)
    painters = map_painters(passes, mappings, sinks, table)
    counts_range = not mapping.needs_range
    passes.run(counters, lambda own: PaintingConsumer(own, painters, passes, counts_range=counts_range))
    return [
        FeatureMap.of(passes.outcome, index, counter, counter, used, (count.nan, count.ignored))
        for index, (counter, used) in enumerate(zip(counters, mappings, strict=True))
    ]
