"""Receptive fields along one axis, exactly: the first and the last input that each output depends on.

Neighboring outputs of a convolution read windows that lie one jump apart. After a transposed convolution the
jump is a fraction, and the windows of neighbors differ in size; they repeat after a period. So a field is a
table of one period, and the distance from one period to the next. Inputs beyond the edges count as if the
image went on, so that a field does not depend on where its output lies.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import ceil, floor, gcd, lcm
from typing import Final

from convcli.core.frozen import frozen
from convcli.networks.effects import Scaling, Taps

Span = tuple[int, int]
"""First and last input."""
_LONGEST: Final = 4096  # outputs of one period


class NoFieldError(ValueError):
    """A field cannot be stated; the text says why."""


@frozen
class Lattice:
    """The fields of all outputs along an axis.

    Attributes:
        shift: inputs from one period to the next.
        spans: of the outputs of one period; None for an output that depends on no input.
    """

    shift: int = 1
    spans: tuple[Span | None, ...] = ((0, 0),)

    @property
    def jump(self) -> Fraction:
        """Inputs between the fields of neighboring outputs, on average."""
        return Fraction(self.shift, len(self.spans))

    @property
    def size(self) -> int:
        """Inputs that the output with the largest field depends on."""
        return max((last - first + 1 for first, last in filter(None, self.spans)), default=0)

    @property
    def center(self) -> Fraction:
        """The middle of the first output's field, in inputs."""
        first, last = self.span(0) or self._near(0, 1) or (0, 0)
        return Fraction(first + last, 2)

    def span(self, output: int) -> Span | None:
        """The field of one output, which may lie beyond the edges."""
        periods, place = divmod(output, len(self.spans))
        span = self.spans[place]
        return None if span is None else (span[0] + periods * self.shift, span[1] + periods * self.shift)

    def _near(self, output: int, step: int) -> Span | None:
        """The field of the first output from ``output`` on, in steps of ``step``, that has one."""
        candidates = range(output, output + step * len(self.spans), step)
        return next(filter(None, map(self.span, candidates)), None)

    def union(self, outputs: range) -> Span | None:
        """The hull of the fields of some outputs, given that fields grow with their outputs."""
        if not outputs:
            return None
        period, step = len(self.spans), outputs.step
        first = next(filter(None, map(self.span, outputs[:period])), None)
        last = next(filter(None, map(self.span, outputs[: -period - 1 : -1])), None)
        assert step > 0
        return None if first is None or last is None else (first[0], last[1])

    def after(self, taps: Taps | Scaling) -> Lattice:
        """The fields after a window or a resampling along the axis.

        Raises:
            NoFieldError: its period is too long.
        """
        return self._resampled(taps) if isinstance(taps, Scaling) else self._windowed(taps)

    def _windowed(self, taps: Taps) -> Lattice:
        """Outputs step through a grid with ``up`` places for each of this axis' outputs."""
        fine = len(self.spans) * taps.up
        period = fine // gcd(fine, taps.stride)
        shift = self.shift * period * taps.stride // fine

        def field(output: int) -> Span | None:
            start = output * taps.stride - taps.before
            cycle = taps.up // gcd(taps.up, taps.dilation)  # taps from one input to the next
            places = (start + tap * taps.dilation for tap in range(cycle))
            skipped = next((tap for tap, at in enumerate(places) if at % taps.up == 0), taps.kernel)
            first = (start + skipped * taps.dilation) // taps.up
            count = -(-(taps.kernel - skipped) // cycle)
            step = cycle * taps.dilation // taps.up
            return self.union(range(first, first + count * step, step)) if count > 0 else None

        return _tabulated(period, shift, field)

    def _resampled(self, scaling: Scaling) -> Lattice:
        """Outputs read around o · step + first."""
        period = _periods(len(self.spans), scaling.step)
        inputs = period * scaling.step
        assert inputs.denominator == 1
        shift = self.shift * int(inputs) // len(self.spans)

        def field(output: int) -> Span | None:
            at = output * scaling.step + scaling.first
            if scaling.reach == 0 or at.denominator == 1:
                return self.span(floor(at))
            return self.union(range(ceil(at) - scaling.reach, floor(at) + scaling.reach + 1))

        return _tabulated(period, shift, field)

    def joined(self, other: Lattice) -> Lattice:
        """The fields of values that depend on both.

        Raises:
            NoFieldError: their jumps differ.
        """
        if self.jump != other.jump:
            raise NoFieldError(f"its inputs have jumps of {self.jump} and {other.jump} pixels")
        period = lcm(len(self.spans), len(other.spans))
        shift = int(self.jump * period)
        return _tabulated(period, shift, lambda output: hull(self.span(output), other.span(output)))


def _periods(period: int, step: Fraction) -> int:
    """The least number of outputs whose steps add up to whole periods."""
    whole = period * step.denominator
    return whole // gcd(step.numerator, whole)


def _tabulated(period: int, shift: int, field: Callable[[int], Span | None]) -> Lattice:
    if period > _LONGEST:
        raise NoFieldError(f"fields repeat only after {period} values")
    return Lattice(shift, tuple(map(field, range(period))))


def hull(one: Span | None, other: Span | None) -> Span | None:
    """From the first input of two spans to the last."""
    if one is None or other is None:
        return one or other
    return min(one[0], other[0]), max(one[1], other[1])
