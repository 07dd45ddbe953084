"""Windows over pixels without data: what is left of each, and which results are undefined.

Sums are computed by the plan of the whole image, over values in which missing ones are 0. Only for strips
whose windows read such pixels, the weights of the others are summed too. So a window with all its data has
the result that it has without this, and strips without such pixels cost one comparison per pixel.
"""

from __future__ import annotations

from fractions import Fraction

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
from convcli.geometry.padding import Fill
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

    def estimated(self, sums: Array) -> Array:
        """The results of the windows that are partial, float64: each a quotient that is rounded once."""
        values = sums[self.partial].astype(np.float64)
        if self.shares is not None:
            whole, weights = self.shares
            if whole != 1:
                values *= whole
            values /= weights
        return values


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
        self.taps = _taps(filter_)
        self.weights = None if self.missing.strict else _summed(filter_)
        self.fill = Fill(value=float(self.missing.outside))

    def found(self, task: StripTask, lanes: int) -> list[MapHoles] | None:
        """What missing pixels leave of each map's windows; None where they leave all.

        Args:
            lanes: of the results, without directions.
        """
        depth, rows, columns = self.plan.problem.axes
        fill = self.plan.problem.fill
        outputs = (task.depth, task.depth + 1), task.strip.rows, task.strip.columns
        regions = [
            region(axis, fill, pair) for axis, pair in zip((depth, rows, columns), outputs, strict=True)
        ]
        present = self._present(task.batch, regions)
        if present.all() and self.missing.outside:
            return None
        axes = tuple(one.axis for one in regions)
        counts = self._sums(self.taps, axes, present)
        whole = whole_sums(self.taps)
        full = np.stack([counts[index] == most for index, most in enumerate(whole)])
        full &= _centers(axes, present)
        if full.all():
            return None
        return self._holes(axes, present, counts, full, lanes)

    def _holes(
        self, axes: tuple[Axis, ...], present: Array, counts: Array, full: Array, lanes: int
    ) -> list[MapHoles]:
        maps, shape = self.plan.outcome.maps, (*full.shape[1:3], lanes)
        if self.weights is None:
            return [
                MapHoles(broadcast, np.zeros(shape, bool), None)
                for broadcast in (np.broadcast_to(full[index % len(full)], shape) for index in range(maps))
            ]
        partial = ~full & (counts > 0) & _centers(axes, present)
        weights = self._sums(self.weights, axes, present)
        by = self._plan(self.weights, axes, present.shape[-1])
        holes = []
        for index, whole in enumerate(whole_sums(by.problem.filter)):
            chosen = np.broadcast_to(partial[index], shape)
            shares = np.broadcast_to(weights[index], shape)[chosen].astype(np.float64)
            holes.append(MapHoles(np.broadcast_to(full[index], shape), chosen, (float(whole), shares)))
        return holes

    def _present(self, batch: int, regions: list[Region]) -> Array:
        """Where there are data, (depth, rows, columns, lanes) of the regions' pixels."""
        depth, rows, columns = regions
        frames = [batch + frame for first, last in depth.runs for frame in range(first, last)]
        planes = np.stack([self._plane(frame, rows) for frame in frames])
        whole: Array = rows.arranged(depth.arranged(planes, 0), 1)
        if not columns.is_plain or columns.axis.size != whole.shape[2]:
            whole = columns.arranged(_taken(whole, columns), 2)
        return whole

    def _plane(self, frame: int, rows: Region) -> Array:
        """Where there are data in the rows that are read of a frame."""
        parts = [self.reader.rows(frame, first, last)[..., : self.colors] for first, last in rows.runs]
        found = [~self.missing.found(part) for part in parts]
        return found[0] if len(found) == 1 else np.concatenate(found)

    def _plan(self, filter_: Filter, axes: tuple[Axis, ...], lanes: int) -> Plan:
        depth, rows, columns = axes
        problem = Problem(
            (depth, rows, columns), filter_, np.dtype(np.uint8), self.fill, lanes=lanes, limits=(0, 1)
        )
        return choose(problem, threads=1, steady=True)  # the same sums wherever a strip begins

    def _sums(self, filter_: Filter, axes: tuple[Axis, ...], present: Array) -> Array:
        """The sums of the weights of pixels with data, (maps, rows, columns, lanes)."""
        plan = self._plan(filter_, axes, present.shape[-1])
        rows, columns = axes[1].output, axes[2].output
        sums = np.empty((plan.outcome.maps, rows, columns, present.shape[-1]), plan.outcome.dtype)
        source = ArraySource(present.view(np.uint8)[None, ..., None, :])
        run(plan, source, lambda: _Keeping(sums))
        return sums


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
    found = present
    for along, axis in enumerate(axes):
        places = np.arange(axis.output) * axis.stride + (axis.extent - 1) // 2 - axis.before
        inside = (places >= 0) & (places < axis.size)
        found = found.take(places.clip(0, axis.size - 1), axis=along)
        found |= ~inside.reshape([-1 if place == along else 1 for place in range(4)])
    centers: Array = found[0]
    return centers


@frozen(eq=False)
class _Keeping:
    """A consumer that keeps the sums of the only batch entry."""

    sums: Array

    def destination(self, task: StripTask) -> None:
        return None

    def take(self, task: StripTask, sums: Array) -> None:
        (top, bottom), (left, right) = task.strip.rows, task.strip.columns
        self.sums[:, top:bottom, left:right] = sums
