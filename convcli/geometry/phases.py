"""The phases of an axis with zeros between its pixels: outputs that multiply pixels with the same taps.

Only every ``spread``-th position holds a pixel, so neighboring outputs multiply pixels with different taps of
the kernel. The outputs ``first``, ``first + spread``, … share theirs: they are an ordinary convolution with
stride 1 by every (spread / g)-th tap, ``dilation`` / g apart, where g is the common divisor of spread and
dilation. No product with a zero between pixels is left.
"""

from __future__ import annotations

from math import gcd

from convcli.core.frozen import frozen
from convcli.geometry.axes import Axis
from convcli.geometry.padding import Pair


@frozen
class AxisPhase:
    """The outputs ``first``, ``first + step``, … of an axis.

    Attributes:
        axis: from the input to these outputs.
        tap, tap_step: the first of their taps, and the distance between them.
    """

    first: int
    step: int
    axis: Axis
    tap: int
    tap_step: int

    @property
    def taps(self) -> slice:
        """Their taps, as a slice of the kernel."""
        return slice(self.tap, None, self.tap_step)

    def own(self, outputs: Pair) -> Pair:
        """Which of these outputs lie among the outputs [first, last) of the axis, as [first, last)."""
        first, last = (-(-(output - self.first) // self.step) for output in outputs)
        return first, last

    def within(self, outputs: Pair) -> slice:
        """Where they lie among the outputs [first, last) of the axis."""
        return slice((self.first - outputs[0]) % self.step, None, self.step)


def axis_phases(axis: Axis) -> list[AxisPhase]:
    """The phases of an axis that have outputs and taps; other outputs are 0.

    Tap k of output o reads position o − before + k·dilation, which holds a pixel if ``spread`` divides it.
    """
    if axis.spread == 1:
        return [AxisPhase(0, 1, axis, 0, 1)]
    common = gcd(axis.spread, axis.dilation)
    taps = axis.spread // common
    firsts = {(axis.before - tap * axis.dilation) % axis.spread: tap for tap in range(min(taps, axis.kernel))}
    found = [
        AxisPhase(first, axis.spread, _phase_axis(axis, first, tap), tap, taps)
        for first, tap in sorted(firsts.items())
        if first < axis.output
    ]
    return found or [AxisPhase(0, axis.spread, _outside(axis), 0, axis.kernel)]


def _phase_axis(axis: Axis, first: int, tap: int) -> Axis:
    """From the input to the outputs ``first``, ``first + spread``, …, whose first tap is ``tap``."""
    common = gcd(axis.spread, axis.dilation)
    step, taps = axis.dilation // common, axis.spread // common
    count = -(-(axis.kernel - tap) // taps)
    outputs = -(-(axis.output - first) // axis.spread)
    before = (axis.before - first - tap * axis.dilation) // axis.spread
    return Axis(
        axis.size,
        count,
        dilation=step,
        before=before,
        after=outputs + step * (count - 1) - axis.size - before,
    )


def _outside(axis: Axis) -> Axis:
    """From the input to the outputs 0, ``spread``, … where none has a tap: they read padding."""
    outputs = -(-axis.output // axis.spread)
    return Axis(axis.size, 1, before=outputs, after=-axis.size)
