"""Passes of the engine over one image, in which every worker counts for itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self, TypeVar

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.frozen import frozen
from convcli.engine.combine import POLAR
from convcli.engine.computers import Computation
from convcli.engine.consumer import Consumer, StripTask
from convcli.engine.normalized import least_weights, normalized, normalized_outcome, whole_sums
from convcli.engine.plan import Outcome, Plan
from convcli.engine.run import run
from convcli.engine.source import BatchHolder, Source
from convcli.formats.readers import Reader
from convcli.pipeline.color import unpremultiplied, unpremultiplied_outcome
from convcli.pipeline.color_handling import ColorHandling
from convcli.pipeline.maps.centers import CenterGaps
from convcli.pipeline.maps.holes import HoleFinder, MapHoles, Values
from convcli.pipeline.maps.image_source import ImageSource, volume_source


class Accumulator(Protocol):
    """Statistics of one map's values, collected by each worker and merged."""

    def empty(self) -> Self:
        """One of the same kind, for a worker to fill."""

    def note(self, values: Array, /) -> None:
        """Take values of any shape."""

    def merge(self, other: Any, /) -> None:
        """Add what another worker has collected."""


T = TypeVar("T", bound=Accumulator)


@frozen(eq=False)
class SumColors:
    """The colors that sums of one map stand for: colors first, then alpha if it is filtered, then weights.

    Attributes:
        premultiplied: whether colors are multiplied by alpha.
        weighted: whether everything is multiplied by weights.
        polar: whether directions follow the magnitudes, as a lane of their own.
        threshold: the least sum of alpha above which a color is visible, and so counted.
        whole: the sum of all weights of the kernel.
        least: sums of weights up to this are rounding errors.
    """

    premultiplied: bool
    weighted: bool
    polar: bool
    threshold: float
    whole: float = 1
    least: float = 0

    def colors(self, sums: Array) -> Array:
        """(rows, columns, colors) of (rows, columns, lanes) sums; NaN where no pixel counts."""
        if self.polar:
            return sums[..., :1]
        if not self.weighted:
            return unpremultiplied(sums) if self.premultiplied else sums
        if not self.premultiplied:
            return normalized(sums[..., :-1], sums[..., -1:], self.whole, self.least)
        colors = unpremultiplied(sums[..., :-1])
        colors[self.undefined(sums)] = np.nan
        return colors

    def alpha(self, sums: Array) -> Array:
        """The filtered alpha, (rows, columns); NaN where no pixel counts."""
        if not self.weighted:
            alpha: Array = sums[..., -1]
            return alpha
        return normalized(sums[..., -2:-1], sums[..., -1:], 1, self.least)[..., 0]

    def undefined(self, sums: Array) -> Array:
        """Where no pixel of the window counts, (rows, columns) of bool."""
        if not self.weighted:
            return np.zeros(sums.shape[:2], bool)
        missing: Array = sums[..., -1] <= self.least
        return missing

    def counted(self, sums: Array, colors: Array, values: Values | None = None) -> tuple[Array, ...]:
        """The colors of visible pixels that have a result, in one or two parts."""
        if values is not None:
            return values.full, values.quotients
        if self.premultiplied:
            return (colors[self.alpha(sums) > self.threshold],)
        missing = self.undefined(sums) if self.weighted else None
        return (colors if missing is None or not missing.any() else colors[~missing],)

    @classmethod
    def of(cls, plan: Computation, handling: ColorHandling) -> tuple[SumColors, ...]:
        """Those of each map."""
        premultiplied, weighted = handling.alpha == "filter", handling.weighted
        threshold = 0.0
        if handling.values.kind != "f":
            threshold = 1 / 2 if weighted else plan.unit / 2
        if not weighted:
            polar = isinstance(plan, Plan) and plan.problem.filter.combine == POLAR
            return (cls(premultiplied, False, polar, threshold),) * plan.outcome.maps
        assert isinstance(plan, Plan)
        sizes = zip(whole_sums(plan.problem.filter), least_weights(plan, handling.full), strict=True)
        return tuple(cls(premultiplied, True, False, threshold, whole, least) for whole, least in sizes)


def colors_outcome(plan: Computation, handling: ColorHandling) -> Outcome:
    """What the colors of the sums mean."""
    if handling.alpha == "filter":
        return unpremultiplied_outcome(plan)
    return normalized_outcome(plan) if handling.weighted and isinstance(plan, Plan) else plan.outcome


@frozen(eq=False)
class Passes:
    """What every pass over an image needs.

    Attributes:
        stored: a reader of the image's own pixels, or of its alpha alone if it is a volume.
        holder: keeps frames while they are read, where they are expensive to decode again.
        sum_colors: of each map.
        gaps: the pixels of the result that stay undefined, because the input's are left out.
        outcome: what the colors of the sums mean.
        holes: finds windows over pixels without data, if there can be any.
    """

    plan: Computation
    handling: ColorHandling
    source: Source
    stored: Reader
    holder: BatchHolder | None
    sum_colors: tuple[SumColors, ...]
    outcome: Outcome
    gaps: CenterGaps | None = None
    holes: HoleFinder | None = None

    @classmethod
    def over(cls, plan: Computation, reader: Reader, handling: ColorHandling) -> Passes:
        """The passes of a plan over the pixels of a reader."""
        source: Source = ImageSource(handling.reader(reader), plan)
        holder: BatchHolder | None = reader
        gaps = CenterGaps(plan, reader, handling) if handling.ignore and handling.ignore.keep else None
        holes = None
        if handling.missing is not None:
            assert isinstance(plan, Plan)
            holes = HoleFinder(plan, reader, handling)
        if plan.problem.depth.size > 1:
            source, reader = volume_source(source, reader, plan.problem, handling.alpha == "keep")
            holder = None
        sum_colors = SumColors.of(plan, handling)
        outcome = colors_outcome(plan, handling)
        return cls(plan, handling, source, reader, holder, sum_colors, outcome, gaps, holes)

    def run(self, totals: Sequence[T], consumer: Callable[[list[T]], Consumer]) -> None:
        """One pass.

        Args:
            totals: an accumulator for each map, to which those of all workers are added.
            consumer: makes a worker's consumer, which fills accumulators of its own.
        """
        workers: list[list[T]] = []

        def worker() -> Consumer:
            workers.append([total.empty() for total in totals])
            made = consumer(workers[-1])
            return made if self.gaps is None else _WithGaps(made, self.gaps)

        run(self.plan, self.source, worker, self.holder)
        for accumulators in workers:
            for total, accumulator in zip(totals, accumulators, strict=True):
                total.merge(accumulator)

    def count(self, totals: Sequence[Accumulator]) -> None:
        """One pass that only counts."""
        self.run(totals, lambda accumulators: _Counting(accumulators, self))

    @property
    def counted_dtype(self) -> DType:
        """Type of the values that are counted: quotients are floats."""
        return np.dtype(np.float64) if self.holes is not None else self.outcome.dtype

    def map_holes(self, task: StripTask, sums: Array) -> Sequence[MapHoles | None]:
        """For each map, what pixels without data leave of the windows of a strip."""
        found = None
        if self.holes is not None:
            found = self.holes.found(task, 1 if self.sum_colors[0].polar else sums.shape[-1])
        return [None] * len(sums) if found is None else found


@frozen(eq=False)
class _WithGaps:
    """A consumer of another one's sums, whose pixels without a center have no weight."""

    consumer: Consumer
    gaps: CenterGaps

    def destination(self, task: StripTask) -> None:
        return None

    def take(self, task: StripTask, sums: Array) -> None:
        """Hand over a strip after the weights at its gaps are set to 0."""
        np.copyto(sums[..., -1], 0, where=self.gaps.found(task.batch + task.depth, task.strip))
        self.consumer.take(task, sums)


@frozen(eq=False)
class _Counting:
    """An engine's consumer that hands the values of each map to an accumulator."""

    accumulators: Sequence[Accumulator]
    passes: Passes

    def destination(self, task: StripTask) -> None:
        return None

    def take(self, task: StripTask, sums: Array) -> None:
        holes = self.passes.map_holes(task, sums)
        maps = zip(self.accumulators, sums, self.passes.sum_colors, holes, strict=True)
        for accumulator, values, meaning, own in maps:
            colors = meaning.colors(values)
            for counted in meaning.counted(values, colors, None if own is None else own.values(colors)):
                if self.passes.holes is not None:
                    accumulator.note(counted.astype(self.passes.counted_dtype, copy=False))
                else:
                    accumulator.note(counted)
