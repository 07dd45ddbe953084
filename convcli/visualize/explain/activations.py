"""Activations of one value, with their formulas."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import exp, isnan, tanh
from typing import Any, Final

from convcli.core.numerals import as_float, formula_text
from convcli.core.rational import Number
from convcli.layers.stages import ActivationStage
from convcli.visualize.explain.arithmetic import Step, exact_number, magnitude

_FAR: Final = 700.0  # beyond it, exp overflows and a sigmoid is 0 or 1


def activation_step(stage: ActivationStage, value: Number) -> Step:
    """The step from a value to its activation; NaN stays NaN, except that no threshold holds for it."""
    formula, result = _FORMULAS[stage.function](value, *stage.arguments)
    keeps = isinstance(value, float) and isnan(value) and stage.function != "threshold"
    return Step(stage.function, formula, value if keeps else result)


def _relu(value: Number) -> tuple[str, Number]:
    return f"max(0, {formula_text(value)})", max(value, Fraction(0))


def _leaky_relu(value: Number, slope: Number) -> tuple[str, Number]:
    if value < 0:
        return f"{formula_text(slope)} · ({formula_text(value)})", slope * value
    return f"{formula_text(value)}, not negative", value


def _clip(value: Number, low: Number, high: Number) -> tuple[str, Number]:
    limits = f"{formula_text(low)} … {formula_text(high)}"
    return f"{formula_text(value)}, limited to {limits}", min(max(value, low), high)


def _abs(value: Number) -> tuple[str, Number]:
    return f"|{formula_text(value)}|", magnitude(value)


def _threshold(value: Number, low: Number, high: Number | None = None) -> tuple[str, Number]:
    inside = low <= value and (high is None or value <= high)
    ends = f"from {formula_text(low)}" + ("" if high is None else f" to {formula_text(high)}")
    return f"{formula_text(value)} is {'' if inside else 'not '}{ends}", Fraction(inside)


def _sigmoid(value: Number) -> tuple[str, Number]:
    argument = min(max(as_float(value), -_FAR), _FAR)
    return f"1 / (1 + exp(−({formula_text(value)})))", exact_number(1 / (1 + exp(-argument)))


def _tanh(value: Number) -> tuple[str, Number]:
    return f"tanh({formula_text(value)})", exact_number(tanh(as_float(value)))


_FORMULAS: Final[dict[str, Callable[..., Any]]] = {
    "relu": _relu,
    "leaky-relu": _leaky_relu,
    "clip": _clip,
    "abs": _abs,
    "threshold": _threshold,
    "sigmoid": _sigmoid,
    "tanh": _tanh,
}
"""Formula and result of each activation of `layers.activations`."""
