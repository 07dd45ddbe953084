"""Operators that resample rows and columns."""

from __future__ import annotations

from fractions import Fraction
from math import lcm

import numpy as np

from convcli.networks.effects import Scaling, Sliding
from convcli.networks.onnx.operator import Described, Operator, Unclear


def resize(operator: Operator) -> Described:
    """A tensor of another size, by factors or by sizes."""
    mode = operator.text("mode", "nearest")
    reach = {"nearest": 0, "linear": 1, "bilinear": 1, "cubic": 2}.get(mode)
    if reach is None or operator.number("antialias", 0) or operator.number("exclude_outside", 0):
        raise Unclear
    taps, factors = dict[int, Scaling](), []
    scales = _scales(operator)
    for axis, (size, made) in enumerate(zip(operator.input, operator.result, strict=True)):
        if size is None or made is None:
            raise Unclear
        step = 1 / scales[axis] if scales else Fraction(size, made)
        factors.append(1 / step)
        if step != 1 or size != made:
            taps[axis] = _resampling(operator, reach, step, size, made)
    shown = "×".join(f"{float(factor):.3g}" for factor in factors[2:])
    return Sliding(taps, frozenset()), f"{mode} {shown}"


def _scales(operator: Operator) -> list[Fraction]:
    """The stated factors, one for each axis; empty where sizes are stated."""
    position = 1 if operator.kind == "Upsample" or operator.version < 11 else 2
    stated = operator.attributes.get("scales", operator.values.get(position))
    if stated is None:
        return []
    factors = [Fraction(float(value)).limit_denominator(10_000) for value in np.ravel(stated)]
    return factors if len(factors) == len(operator.input) and all(factor > 0 for factor in factors) else []


def _resampling(operator: Operator, reach: int, step: Fraction, size: int, made: int) -> Scaling:
    """From the place of an output to that of its input, as the operator's coordinates say."""
    old = operator.kind == "Upsample" or operator.version < 11
    coordinates = "asymmetric" if old else operator.text("coordinate_transformation_mode", "half_pixel")
    match coordinates:
        case "asymmetric":
            first = Fraction(0)
        case "align_corners":
            step, first = Fraction(size - 1, made - 1) if made > 1 else Fraction(0), Fraction(0)
        case "half_pixel" | "pytorch_half_pixel" | "half_pixel_symmetric":
            first = step / 2 - Fraction(1, 2)
        case _:
            raise Unclear
    if not step:
        raise Unclear
    rounding = "floor" if old else operator.text("nearest_mode", "round_prefer_floor")
    if reach == 0:
        first += {"round_prefer_floor": Fraction(-1, 2), "round_prefer_ceil": Fraction(1, 2)}.get(rounding, 0)
        if rounding in ("round_prefer_floor", "ceil"):  # ⌈x⌉ = ⌊x + 1 − 1/d⌋ for places in steps of 1/d
            first += 1 - Fraction(1, lcm(step.denominator, first.denominator))
    return Scaling(step, first, reach)
