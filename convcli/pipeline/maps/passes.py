"""Passes of the engine over one image, in which every worker counts for itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self, TypeVar

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen
from convcli.engine.computers import Computation
from convcli.engine.consumer import Consumer, StripTask
from convcli.engine.plan import Outcome
from convcli.engine.run import run
from convcli.engine.source import BatchHolder, Source
from convcli.formats.readers import Reader
from convcli.pipeline.color import is_visible, unpremultiplied, unpremultiplied_outcome
from convcli.pipeline.color_handling import ColorHandling
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
    """The colors that sums stand for.

    Attributes:
        premultiplied: whether the last lane is alpha, by which the others are multiplied.
        threshold: the least sum of alpha above which a color is visible, and so counted.
    """

    premultiplied: bool
    threshold: float

    def colors(self, sums: Array) -> Array:
        """(rows, columns, colors) of (rows, columns, lanes) sums."""
        return unpremultiplied(sums) if self.premultiplied else sums

    def counted(self, sums: Array, colors: Array) -> Array:
        """The colors of visible pixels."""
        return colors[is_visible(sums, self.threshold)] if self.premultiplied else colors


@frozen(eq=False)
class Passes:
    """What every pass over an image needs.

    Attributes:
        stored: a reader of the image's own pixels, or of its alpha alone if it is a volume.
        holder: keeps frames while they are read, where they are expensive to decode again.
        outcome: what the colors of the sums mean.
    """

    plan: Computation
    handling: ColorHandling
    source: Source
    stored: Reader
    holder: BatchHolder | None
    sum_colors: SumColors
    outcome: Outcome

    @classmethod
    def over(cls, plan: Computation, reader: Reader, handling: ColorHandling) -> Passes:
        """The passes of a plan over the pixels of a reader."""
        source: Source = ImageSource(handling.reader(reader), plan)
        holder: BatchHolder | None = reader
        if plan.problem.depth.size > 1:
            source, reader = volume_source(source, reader, plan.problem, handling.alpha == "keep")
            holder = None
        premultiplied = handling.alpha == "filter"
        threshold = plan.unit / 2 if handling.values.kind != "f" else 0
        outcome = unpremultiplied_outcome(plan) if premultiplied else plan.outcome
        return cls(plan, handling, source, reader, holder, SumColors(premultiplied, threshold), outcome)

    def run(self, totals: Sequence[T], consumer: Callable[[list[T]], Consumer]) -> None:
        """One pass.

        Args:
            totals: an accumulator for each map, to which those of all workers are added.
            consumer: makes a worker's consumer, which fills accumulators of its own.
        """
        workers: list[list[T]] = []

        def worker() -> Consumer:
            workers.append([total.empty() for total in totals])
            return consumer(workers[-1])

        run(self.plan, self.source, worker, self.holder)
        for accumulators in workers:
            for total, accumulator in zip(totals, accumulators, strict=True):
                total.merge(accumulator)

    def count(self, totals: Sequence[Accumulator]) -> None:
        """One pass that only counts."""
        self.run(totals, lambda accumulators: _Counting(accumulators, self.sum_colors))


@frozen(eq=False)
class _Counting:
    """An engine's consumer that hands the values of each map to an accumulator."""

    accumulators: Sequence[Accumulator]
    sum_colors: SumColors

    def destination(self, task: StripTask) -> None:
        return None

    def take(self, task: StripTask, sums: Array) -> None:
        for accumulator, values in zip(self.accumulators, sums, strict=True):
            accumulator.note(self.sum_colors.counted(values, self.sum_colors.colors(values)))
