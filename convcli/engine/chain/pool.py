"""Pools as stages: the largest value or the average of each window."""

from __future__ import annotations

from math import inf, lcm
from threading import Event
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array, accumulator
from convcli.core.errors import ArgumentError
from convcli.core.frozen import frozen, replace
from convcli.engine.chain.stage import PlannedStage, StageComputer, StageOptions, plain_outcome
from convcli.engine.chain.values import Values
from convcli.engine.plan import Outcome
from convcli.engine.source import Source
from convcli.engine.strips import SharedProgram
from convcli.geometry.axes import Axis, geometry
from convcli.geometry.padding import Pair
from convcli.layers.stages import PoolStage

_COST: Final = 0.6
"""Nanoseconds of a value of a window."""


@frozen(eq=False)
class PlannedPool(PlannedStage):
    """A pool of every channel.

    Attributes:
        divisors: for an average, how many positions windows count along rows and columns.
        unit: what the sum of a window is multiplied by before it is divided by its count, so that the
            quotient is an integer; 1 for floats.
    """

    spec: PoolStage
    axes: tuple[Axis, Axis]
    output: Values
    divisors: tuple[Array, Array] | None = None
    unit: int = 1

    @property
    def cost(self) -> float:  # type: ignore[override]
        taps = sum(self.spec.window)
        rows, columns = self.axes[0].size, self.output.sizes[1]
        return _COST * taps * self.output.batch * rows * columns * self.output.channels

    @property
    def outcome(self) -> Outcome:
        return plain_outcome(self.output)

    def row_bytes(self) -> int:
        columns = self.axes[1].size * min(self.axes[0].stride, self.axes[0].size) + self.output.sizes[1]
        return self.output.channels * columns * self.output.dtype.itemsize

    def computer(self, rows: int, halt: Event, shared: SharedProgram) -> StageComputer:
        return _Computer(self)


def planned(spec: PoolStage, values: Values, options: StageOptions) -> PlannedPool:
    """The pool of the output of the stage before.

    Raises:
        ArgumentError: the window is larger than the padded maps, or some window lies in the padding only.
    """
    shape = geometry(values.sizes, spec.window, spec.stride, spec.padding, spec.dilation, spec.ceiling)
    rows, columns = shape.axes
    for axis in shape.axes:
        if max(axis.before, axis.after) >= axis.extent or (axis.dilation > 1 and axis.size < axis.dilation):
            raise ArgumentError(
                f"padding {max(axis.before, axis.after)} of a window of {axis.extent}: "
                "some window would hold no value"
            )
    output = replace(values, sizes=shape.output)
    if spec.function == "maxpool":
        return PlannedPool(spec, (rows, columns), output)
    divisors = _counts(rows, spec), _counts(columns, spec)
    return _average(spec, (rows, columns), values, output, divisors)


def _counts(axis: Axis, spec: PoolStage) -> Array:
    """How many positions each window counts along an axis.

    As PyTorch does, numeric padding counts, and what a cut-off window has beyond the padding does not. As
    Keras does, padding ``same`` does not count.
    """
    starts = np.arange(axis.output) * axis.stride - axis.before
    stops = starts + axis.kernel
    if spec.padding.amount == "same":
        return np.minimum(stops, axis.size) - np.maximum(starts, 0)
    return np.minimum(stops, axis.size + axis.after) - starts


def _average(
    spec: PoolStage, axes: tuple[Axis, Axis], values: Values, output: Values, divisors: tuple[Array, Array]
) -> PlannedPool:
    """An average pool: sums over a denominator that all counts divide, if 64 bits hold them."""
    counts = {int(r) * int(c) for r in np.unique(divisors[0]) for c in np.unique(divisors[1])}
    unit, window = lcm(*counts), spec.window[0] * spec.window[1]
    if values.exact:
        ends = [min(values.low, 0) * unit * window, max(values.high, 0) * unit * window]
        if dtype := accumulator(int(ends[0]), int(ends[1])):
            low, high = min(values.low * unit, 0), max(values.high * unit, 0)
            if spec.padding.amount == "same" or not any(axis.before or axis.after for axis in axes):
                low, high = values.low * unit, values.high * unit
            exact = replace(output, dtype=dtype, low=low, high=high, denominator=values.denominator * unit)
            return PlannedPool(spec, axes, exact, divisors, unit)
    wide = values.float_type if values.exact else values.dtype
    error = None
    if values.error is not None and values.magnitude < inf:
        error = values.error + window * float(np.finfo(wide).eps) * values.magnitude
    floats = replace(
        output,
        dtype=wide,
        exact=False,
        low=min(values.low, 0),
        high=max(values.high, 0),
        error=error,
    )
    return PlannedPool(spec, axes, floats, divisors)


class _Computer(StageComputer):
    """Reduces windows along rows, then along columns."""

    def __init__(self, planned: PlannedPool) -> None:
        self.planned = planned
        self.is_max = planned.spec.function == "maxpool"
        self.join: Any = np.maximum if self.is_max else np.add

    def numbers(self, source: Source, batch: int, rows: Pair) -> Array:
        planned = self.planned
        vertical, horizontal = planned.axes
        first, last = vertical.reach(rows)
        start, stop = max(first, 0), min(last, vertical.size)
        block = source.rows(batch, start, stop)[0].transpose(2, 0, 1, 3)
        if block.dtype != planned.output.dtype:
            block = block.astype(planned.output.dtype)
        columns = horizontal.window(0)[0], horizontal.window(horizontal.output - 1)[1]
        block = self._padded(block, (start - first, last - stop), 1)
        block = self._reduced(block, vertical, rows[1] - rows[0], 1)
        outside = max(-columns[0], 0), max(columns[1] - horizontal.size, 0)
        block = self._padded(block, outside, 2)
        block = self._reduced(block[:, :, max(columns[0], 0) :], horizontal, horizontal.output, 2)
        return block if planned.divisors is None else self._averages(block, rows, planned.divisors)

    def _padded(self, block: Array, amount: Pair, axis: int) -> Array:
        """The block with padding along an axis: 0 for sums, what is never the largest for maxima."""
        if not any(amount):
            return block
        widths = [(0, 0)] * block.ndim
        widths[axis] = amount
        fill: Any = 0
        if self.is_max:
            fill = -np.inf if block.dtype.kind == "f" else np.iinfo(block.dtype).min
        return np.pad(block, widths, constant_values=fill)

    def _reduced(self, block: Array, axis: Axis, outputs: int, along: int) -> Array:
        """The windows of an axis joined tap by tap."""
        starts = range(0, axis.extent, axis.dilation)
        taps = [self._tap(block, start, axis.stride, outputs, along) for start in starts]
        if len(taps) == 1:
            return taps[0].copy()
        joined = self.join(taps[0], taps[1])
        for tap in taps[2:]:
            self.join(joined, tap, out=joined)
        return np.asarray(joined)

    @staticmethod
    def _tap(block: Array, start: int, stride: int, outputs: int, along: int) -> Array:
        part = slice(start, start + (outputs - 1) * stride + 1, stride)
        return block[:, part] if along == 1 else block[:, :, part]

    def _averages(self, sums: Array, rows: Pair, divisors: tuple[Array, Array]) -> Array:
        """Sums divided by the counts of their windows."""
        counts = divisors[0][slice(*rows), None, None] * divisors[1][:, None]
        if not self.planned.output.exact:
            np.divide(sums, counts.astype(sums.dtype), out=sums)
        elif counts.min() < self.planned.unit:
            np.multiply(sums, (self.planned.unit // counts).astype(sums.dtype), out=sums)
        return sums
