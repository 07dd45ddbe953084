"""Activations as stages: functions of single values, exact where the result is rational."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import exp, isfinite, lcm, tanh
from threading import Event
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array, accumulator
from convcli.core.frozen import frozen, replace
from convcli.core.rational import Number
from convcli.engine.arithmetic import LARGEST_SINGLE, SMALLEST_SINGLE
from convcli.engine.chain.stage import PlannedStage, StageComputer, StageOptions, one_to_one, plain_outcome
from convcli.engine.chain.values import Values
from convcli.engine.filter import OTHER, PIXELS, ValueKind
from convcli.engine.plan import Outcome
from convcli.engine.source import Source
from convcli.engine.strips import SharedProgram
from convcli.geometry.axes import Axis
from convcli.geometry.padding import Pair
from convcli.layers.stages import ActivationStage

_COST: Final = 0.5
"""Nanoseconds of a value."""

_FAR: Final = 700.0
"""An argument at which sigmoid and tanh have reached their limits, and exp does not overflow."""


@frozen(eq=False)
class Formula:
    """An activation of some values.

    Attributes:
        gain: what numbers are multiplied by first, in the type of the result.
        apply: changes such numbers in place.
        output: the resulting values.
    """

    gain: float
    apply: Callable[[Array], Any]
    output: Values


@frozen(eq=False)
class PlannedActivation(PlannedStage):
    """An activation of all values."""

    spec: ActivationStage
    formula: Formula

    @property
    def axes(self) -> tuple[Axis, Axis]:  # type: ignore[override]
        return one_to_one(self.output.sizes)

    @property
    def output(self) -> Values:  # type: ignore[override]
        return self.formula.output

    @property
    def cost(self) -> float:  # type: ignore[override]
        rows, columns = self.output.sizes
        return _COST * self.output.batch * rows * columns * self.output.channels

    @property
    def outcome(self) -> Outcome:
        return plain_outcome(self.output)

    def row_bytes(self) -> int:
        return self.output.channels * self.output.sizes[1] * self.output.dtype.itemsize

    def computer(self, rows: int, halt: Event, shared: SharedProgram) -> StageComputer:
        return _Computer(self.formula)


def planned(spec: ActivationStage, values: Values, options: StageOptions) -> PlannedActivation:
    """The activation of the output of the stage before."""
    return PlannedActivation(spec, _FORMULAS[spec.function](values, *spec.arguments))


class _Computer(StageComputer):
    """Applies a formula to the rows of a source."""

    def __init__(self, formula: Formula) -> None:
        self.formula = formula
        self.results: Array = np.empty(0)

    def numbers(self, source: Source, batch: int, rows: Pair) -> Array:
        block = source.rows(batch, *rows)[0].transpose(2, 0, 1, 3)
        dtype, gain = self.formula.output.dtype, self.formula.gain
        if self.results.shape != block.shape:
            self.results = np.empty(block.shape, dtype)
        if gain == 1:
            np.copyto(self.results, block, casting="unsafe")
        else:
            np.multiply(block, gain, out=self.results, dtype=dtype, casting="unsafe")
        self.formula.apply(self.results)
        return self.results


def _kind(values: Values) -> ValueKind:
    """The kind after a function that leaves the values of images as they are."""
    return PIXELS if values.kind == PIXELS else OTHER


def _over(values: Values, *numbers: Number) -> tuple[Values, float, list[Any]]:
    """Values in a type for arithmetic with some numbers, their gain, and these numbers in the same terms.

    Exact values stay exact if the numbers are fractions and 64 bits hold everything; else they become floats.
    """
    if values.exact and all(isinstance(number, Fraction) for number in numbers):
        denominator = lcm(values.denominator, *(Fraction(number).denominator for number in numbers))
        factor = denominator // values.denominator
        scaled = [int(Fraction(number) * denominator) for number in numbers]
        low, high = int(values.low) * factor, int(values.high) * factor
        ends = low, high, -low, -high, *scaled
        if dtype := accumulator(min(ends), max(ends)):
            own = values.dtype if factor == 1 and np.can_cast(dtype, values.dtype) else dtype
            return replace(values, dtype=own, low=low, high=high, denominator=denominator), factor, scaled
    factors = [float(number) for number in numbers]
    if not all(number == 0 or SMALLEST_SINGLE <= abs(number) <= LARGEST_SINGLE for number in factors):
        values = replace(values, double=True)
    return as_floats(values), 1 / values.denominator, factors


def as_floats(values: Values) -> Values:
    """The values themselves, as floats."""
    if not values.exact and values.denominator == 1:
        return replace(values, dtype=values.float_type)
    low, high = (end / values.denominator for end in (values.low, values.high))
    floats = replace(values, dtype=values.float_type, low=low, high=high, denominator=1, exact=False)
    return rounded(floats)


def rounded(values: Values) -> Values:
    """Floats after one more rounding."""
    if values.error is None or not isfinite(values.magnitude):
        return replace(values, error=None)
    return replace(values, error=values.error + float(np.finfo(values.dtype).eps) * values.magnitude)


def _relu(values: Values) -> Formula:
    output = replace(values, low=max(values.low, 0), high=max(values.high, 0), kind=_kind(values))
    return Formula(1, lambda x: np.maximum(x, 0, out=x), output)


def _abs(values: Values) -> Formula:
    values, gain, _ = _over(values)
    low, high = max(values.low, -values.high, 0), max(-values.low, values.high)
    return Formula(gain, lambda x: np.abs(x, out=x), replace(values, low=low, high=high, kind=_kind(values)))


def _clip(values: Values, low: Number, high: Number) -> Formula:
    values, gain, (first, last) = _over(values, low, high)
    ends = [min(max(end, first), last) for end in (values.low, values.high)]
    output = replace(values, low=ends[0], high=ends[1], kind=_kind(values))
    return Formula(gain, lambda x: np.clip(x, first, last, out=x), output)


def _leaky_relu(values: Values, slope: Number) -> Formula:
    if values.low >= 0:
        return Formula(1, lambda x: None, replace(values, kind=_kind(values)))
    if values.exact and isinstance(slope, Fraction):
        lowest = Fraction(int(values.low), values.denominator) * slope
        finest = Fraction(1, values.denominator * slope.denominator)
        values, gain, scaled = _over(values, finest, lowest)
        if values.exact:
            return _exact_leaky_relu(values, gain, slope, scaled[1])
    else:
        values, gain, _ = _over(values, float(slope))
    factor = float(slope)
    ends = [max(values.low, 0), values.high, *([values.low * factor] if values.low < 0 else [])]
    error = None if values.error is None else values.error * max(1.0, abs(factor))
    output = rounded(replace(values, low=min(ends), high=max(ends), kind=_kind(values), error=error))
    return Formula(gain, lambda x: np.multiply(x, x.dtype.type(factor), out=x, where=x < 0), output)


def _exact_leaky_relu(values: Values, gain: float, slope: Fraction, lowest: int) -> Formula:
    """Numbers become multiples of the slope's denominator, so that its products are integers."""
    ends = [max(values.low, 0), max(values.high, 0), *([lowest] if values.low < 0 else [])]

    def apply(x: Array) -> None:
        negative = x < 0
        np.floor_divide(x, slope.denominator, out=x, where=negative)
        np.multiply(x, slope.numerator, out=x, where=negative)

    return Formula(gain, apply, replace(values, low=min(ends), high=max(ends), kind=_kind(values)))


def _threshold(values: Values, low: Number, high: Number | None = None) -> Formula:
    values, gain, limits = _over(values, low, *([] if high is None else [high]))
    kind = ValueKind("other", Fraction(0), Fraction(1))
    error = 0.0 if values.error == 0 else None
    output = replace(values, low=0, high=1, denominator=1, kind=kind, error=error)

    def apply(x: Array) -> None:
        inside = x >= limits[0]
        if high is not None:
            inside &= x <= limits[1]
        np.copyto(x, inside, casting="unsafe")

    return Formula(gain, apply, output)


def _sigmoid(values: Values) -> Formula:
    kind = ValueKind("other", Fraction(0), Fraction(1))
    return _smooth(values, lambda x: 1 / (1 + exp(-x)), _write_sigmoid, 0.25, kind)


def _tanh(values: Values) -> Formula:
    kind = ValueKind("signed", Fraction(-1), Fraction(1))
    return _smooth(values, tanh, lambda x: np.tanh(x, out=x), 1.0, kind)


def _write_sigmoid(x: Array) -> None:
    """1 / (1 + exp(−x)); an overflow of exp gives the limit, 0."""
    np.negative(x, out=x)
    with np.errstate(over="ignore"):
        np.exp(x, out=x)
    np.add(x, 1, out=x)
    np.reciprocal(x, out=x)


def _smooth(
    values: Values,
    exact: Callable[[float], float],
    apply: Callable[[Array], Any],
    slope: float,
    kind: ValueKind,
) -> Formula:
    """A function of floats that grows with its argument, at most ``slope`` times as fast."""
    floats = as_floats(values)
    gain = 1 / values.denominator
    rounding = 4 * float(np.finfo(floats.dtype).eps)
    error = None if values.error is None else values.error * slope + rounding
    low, high = (exact(min(max(end, -_FAR), _FAR)) for end in (floats.low, floats.high))
    return Formula(gain, apply, replace(floats, low=low, high=high, kind=kind, error=error))


_FORMULAS: Final[dict[str, Callable[..., Formula]]] = {
    "relu": _relu,
    "leaky-relu": _leaky_relu,
    "clip": _clip,
    "abs": _abs,
    "threshold": _threshold,
    "sigmoid": _sigmoid,
    "tanh": _tanh,
}
"""The arithmetic of each activation of `layers.activations`, from values and its parameters."""
