"""From values to results: what the engine sums, rounded into an array in memory."""

from __future__ import annotations

from typing import Final, Self

import numpy as np

from convcli.arrays.preparing import Prepared
from convcli.core.dtypes import Array
from convcli.core.errors import ArgumentError
from convcli.core.frozen import frozen
from convcli.engine.consumer import Consumer, Destination, Finishes, StripTask
from convcli.engine.normalized import inner_weights, normalized, whole_sums
from convcli.engine.plan import Plan
from convcli.engine.run import run
from convcli.engine.source import ArraySource

LARGEST_RESULT: Final = 2**36


def computed(prepared: Prepared, values: Array) -> Array:
    """The result, laid out as the input is.

    Raises:
        ArgumentError: a result that is larger than any memory.
    """
    plan, layout = prepared.plan, prepared.layout
    sizes = [axis.output for axis in plan.problem.axes]
    batch, maps, lanes = len(values), plan.outcome.maps, values.shape[-1]
    count = maps * lanes
    if plan.problem.values > LARGEST_RESULT:
        raise ArgumentError(
            f"the result would have {plan.problem.values} values; allowed: up to {LARGEST_RESULT}"
        )
    result = np.empty((batch, count, *sizes) if layout.first else (batch, *sizes, count), prepared.target)
    if result.size:
        last = np.moveaxis(result, 1, -1) if layout.first else result
        place = last.reshape(*last.shape[:4], maps, lanes)
        consumer: Consumer = _ArrayConsumer(place, prepared.finishes, prepared.idle)
        if prepared.renormalizes:
            consumer = _NormalizingConsumer.of(plan, place, prepared.finishes)
        run(plan, ArraySource(values), lambda: consumer)
    channels = () if prepared.channels is None else (count,)
    axes = (*channels, *prepared.output) if layout.first else (*prepared.output, *channels)
    return result.reshape((batch, *axes) if layout.is_batch else axes)


@frozen(eq=False)
class _ArrayConsumer:
    """Rounds sums into their place.

    Attributes:
        result: (batch, depth, rows, columns, maps, lanes).
        finishes: of all maps.
        idle: whether sums are results.
    """

    result: Array
    finishes: Finishes
    idle: bool

    def destination(self, task: StripTask) -> Destination:
        return Destination(self._place(task), self.finishes, self.idle)

    def take(self, task: StripTask, sums: Array) -> None:
        place = self._place(task)
        for part in self.finishes:
            part.write(sums, place)

    def _place(self, task: StripTask) -> Array:
        """(maps, rows, columns, lanes)."""
        (top, bottom), (left, right) = task.strip.rows, task.strip.columns
        return self.result[task.batch, task.depth, top:bottom, left:right].transpose(2, 0, 1, 3)


@frozen(eq=False)
class _NormalizingConsumer:
    """Divides sums by those of the weights inside the image, and rounds the quotients into their place.

    Attributes:
        result: (batch, depth, rows, columns, maps, lanes).
        finishes: of all maps.
        weights: (depth, rows, columns, maps).
        whole, least: of each map, as `normalized` takes them.
    """

    result: Array
    finishes: Finishes
    weights: Array
    whole: tuple[float, ...]
    least: tuple[float, ...]

    @classmethod
    def of(cls, plan: Plan, result: Array, finishes: Finishes) -> Self:
        """The consumer for the sums of a plan."""
        weights, least = inner_weights(plan)
        return cls(result, finishes, weights, whole_sums(plan.problem.filter), least)

    def destination(self, task: StripTask) -> None:
        return None

    def take(self, task: StripTask, sums: Array) -> None:
        (top, bottom), (left, right) = task.strip.rows, task.strip.columns
        weights = self.weights[task.depth, top:bottom, left:right]
        parts = [
            normalized(values, weights[..., index, None], self.whole[index], self.least[index])
            for index, values in enumerate(sums)
        ]
        place = self.result[task.batch, task.depth, top:bottom, left:right].transpose(2, 0, 1, 3)
        for part in self.finishes:
            part.write(np.stack(parts), place)
