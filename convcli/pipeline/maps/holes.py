"""Windows over pixels without data: what is left of each, and which results are undefined.

Sums are computed by the plan of the whole image, over values in which missing ones are 0. Only for strips
whose windows read such pixels, the weights of the others are summed too. So a window with all its data has
the result that it has without this, and strips without such pixels cost one comparison per pixel.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen
from convcli.engine.consumer import StripTask
from convcli.engine.filter import Filter
from convcli.engine.normalized import whole_sums
from convcli.engine.plan import Plan, Problem
from convcli.engine.planner import choose
from convcli.engine.run import run
from convcli.engine.source import ArraySource
from convcli.formats.readers import Reader
from convcli.geometry.axes import Axis
from convcli.geometry.padding import Fill, Pair
from convcli.geometry.region import Region, region
from convcli.pipeline.color_handling import ColorHandling


@frozen(eq=False)
class MapHoles:
    """What missing pixels leave of the windows of a strip, for one map; (rows, columns, lanes) each.

    Attributes:
        full: windows that read no missing pixel, not even at a center with the weight 0.
        partial: windows that read some, and have a result.
        shares: for these windows in order, what their sums are multiplied with and divided by.
    """

    full: Array
    partial: Array
    shares: tuple[float, Array] | None

    @property
    def empty(self) -> Array:
        """Where there is no result."""
        return ~(self.full | self.partial)

    def values(self, sums: Array) -> Values:
        """The results of a strip whose sums are (rows, columns, lanes), each quotient rounded once."""
        quotients = sums[self.partial].astype(np.float64)
        if self.shares is not None:
            whole, weights = self.shares
            if whole != 1:
                quotients *= whole
            quotients /= weights
        return Values(self, sums[self.full], quotients)


@frozen(eq=False)
class Values:
    """The results of a map in a strip.

    Attributes:
        full: of windows that have all their data, as the engine sums them.
        quotients: of partial windows, float64.
    """

    holes: MapHoles
    full: Array
    quotients: Array


class HoleFinder:
    """Finds the windows of a plan that read missing pixels.

    Args:
        reader: the image's stored pixels.
    """

    def __init__(self, plan: Plan, reader: Reader, handling: ColorHandling) -> None:
        assert handling.missing is not None
        self.plan, self.reader, self.missing = plan, reader, handling.missing
        self.colors = handling.colors
        filter_ = plan.problem.filter
        self.weights = None if self.missing.strict else _summed(filter_)
        is_exact = self.weights is not None and self.weights.exact
        self.counts = self.weights if self.weights is not None and is_exact else _taps(filter_)
        self.fill = Fill(value=float(self.missing.outside))
        self.regions: list[tuple[Pair, Region] | None] = [None] * 3

    def found(self, task: StripTask, lanes: int) -> list[MapHoles] | None:
        """What missing pixels leave of each map's windows; None where they leave all.

        Args:
            lanes: of the results, without directions.
        """
        outputs = (task.depth, task.depth + 1), task.strip.rows, task.strip.columns
        regions = [self._region(number, pair) for number, pair in enumerate(outputs)]
        present = self._present(task.batch, regions)
        if present is None:
            return None
        axes = tuple(one.axis for one in regions)
        counts, wholes = self._sums(self.counts, axes, present)
        centers = _centers(axes, present)
        full = np.stack([counts[index] == whole for index, whole in enumerate(wholes)]) & centers
        if full.all():
            return None
        if self.weights is None:
            return self._strict(full, lanes)
        weights, wholes = (
            (counts, wholes) if self.counts is self.weights else self._sums(self.weights, axes, present)
        )
        partial = ~full & (counts > 0) & centers
        shape = (*full.shape[1:3], lanes)
        holes = []
        for index, whole in enumerate(wholes):
            chosen = np.broadcast_to(partial[index], shape)
            shares = np.broadcast_to(weights[index], shape)[chosen].astype(np.float64)
            holes.append(MapHoles(np.broadcast_to(full[index], shape), chosen, (float(whole), shares)))
        return holes

    def _strict(self, full: Array, lanes: int) -> list[MapHoles]:
        """Where only full windows have a result; maps that are combined share their windows."""
        shape = (*full.shape[1:3], lanes)
        nowhere = np.zeros(shape, bool)
        maps = (full[index % len(full)] for index in range(self.plan.outcome.maps))
        return [MapHoles(np.broadcast_to(own, shape), nowhere, None) for own in maps]

    def _region(self, number: int, outputs: Pair) -> Region:
        """What some outputs along an axis read; strips side by side share rows, and most have all columns."""
        known = self.regions[number]
        if known is None or known[0] != outputs:
            axis, fill = self.plan.problem.axes[number], self.plan.problem.fill
            known = self.regions[number] = outputs, region(axis, fill, outputs)
        return known[1]

    def _present(self, batch: int, regions: list[Region]) -> Array | None:
        """Where there are data, (depth, rows, columns, lanes) of the regions' pixels; None for everywhere."""
        depth, rows, columns = regions
        frames = [batch + frame for first, last in depth.runs for frame in range(first, last)]
        found = [self._plane(frame, rows) for frame in frames]
        if self.missing.outside and not any(plane.any() for plane in found):
            return None
        whole: Array = rows.arranged(depth.arranged(~np.stack(found), 0), 1)
        if not columns.is_plain or columns.axis.size != whole.shape[2]:
            whole = columns.arranged(_taken(whole, columns), 2)
        return whole

    def _plane(self, frame: int, rows: Region) -> Array:
        """Where data is missing in the rows that are read of a frame."""
        parts = [self.reader.rows(frame, first, last)[..., : self.colors] for first, last in rows.runs]
        found = [self.missing.found(part) for part in parts]
        return found[0] if len(found) == 1 else np.concatenate(found)

    def _sums(self, filter_: Filter, axes: tuple[Axis, ...], present: Array) -> tuple[Array, tuple[Any, ...]]:
        """The sums of the weights of pixels with data, (maps, rows, columns, lanes), and those of all."""
        depth, rows, columns = axes
        lanes = present.shape[-1]
        problem = Problem(
            (depth, rows, columns), filter_, np.dtype(np.uint8), self.fill, lanes=lanes, limits=(0, 1)
        )
        plan = choose(problem, threads=1, steady=True)  # the same sums wherever a strip begins
        sums = np.empty((plan.outcome.maps, rows.output, columns.output, lanes), plan.outcome.dtype)
        source = ArraySource(present.view(np.uint8)[None, ..., None, :])
        run(plan, source, lambda: _Keeping(sums))
        return sums, whole_sums(plan.problem.filter)


def _taps(filter_: Filter) -> Filter:
    """1 for every weight that is not 0 for some input, per map; of maps that are combined, together."""
    used = (filter_.weights != 0).any(axis=3, keepdims=True)
    if filter_.combine:
        used = used.any(axis=4, keepdims=True)
    return Filter(used.astype(np.int64), 1, (Fraction(0),) * used.shape[4])


def _summed(filter_: Filter) -> Filter:
    """The weights of each map, summed over its inputs, without biases."""
    weights = filter_.weights.sum(axis=3, keepdims=True)
    return Filter(weights, filter_.denominator, (Fraction(0),) * filter_.maps)


def _taken(whole: Array, columns: Region) -> Array:
    """The columns of all runs, one after the other."""
    parts = [whole[:, :, first:last] for first, last in columns.runs]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)


def _centers(axes: tuple[Axis, ...], present: Array) -> Array:
    """Whether there are data at the centers of windows, (rows, columns, lanes); padding has some."""
    centers = np.ones((*(axis.output for axis in axes), present.shape[-1]), bool)
    inner, read = [], []
    for axis in axes:
        start, step = (axis.extent - 1) // 2 - axis.before, axis.stride
        first = min(max(-(start // step), 0), axis.output)  # the first at or after pixel 0
        last = min(max((axis.size - 1 - start) // step + 1, first), axis.output)
        inner.append(slice(first, last))
        read.append(slice(start + first * step, start + last * step, step) if first < last else slice(0))
    centers[tuple(inner)] = present[tuple(read)]
    found: Array = centers[0]
    return found


@frozen(eq=False)
class _Keeping:
    """A consumer that keeps the sums of the only batch entry."""

    sums: Array

    def destination(self, task: StripTask) -> None:
        return None

    def take(self, task: StripTask, sums: Array) -> None:
        (top, bottom), (left, right) = task.strip.rows, task.strip.columns
        self.sums[:, top:bottom, left:right] = sums
