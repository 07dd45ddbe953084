"""Combines the maps of a strip: to a norm, a direction, the largest or smallest value, or its index."""

from __future__ import annotations

from math import sqrt
from typing import Final

import numpy as np

from convcli.core.dtypes import Array, DType, accumulator
from convcli.core.rational import exact_number
from convcli.core.rounding import Affine
from convcli.engine.filter import FULL_TURN
from convcli.engine.plan import Arithmetic, Outcome

_ROOTS: Final = 2**21
"""The root of a whole number n is about 1/(8·√n) or more from any half, and in float32 within √n·2⁻²⁴ of the
truth: below this, a root that is then rounded to a whole number is as good as rounded once."""

NORMS: Final = ("l2", "l1", "linf")

POLAR: Final = "polar"
"""Both ``l2`` and ``angle``, one behind the other as lanes; for pictures of both, not for kernels."""

UNSCALED: Final = ("argmax", "angle")
"""Ways whose results do not depend on the scale of the weights: an index, and degrees."""


def outcome(arithmetic: Arithmetic, double: bool) -> Outcome:
    """The type, bounds and meaning of the sums after the filter's maps are combined.

    Args:
        double: whether norms and angles are given in float64.
    """
    filter_, exact, dtype = arithmetic.filter, arithmetic.exact, arithmetic.dtype
    affines, how = filter_.affine, "l2" if filter_.combine == POLAR else filter_.combine
    if how is None:
        return Outcome(dtype, arithmetic.bounds, affines, exact)
    if how == "argmax":
        index = Affine.of(exact_number(1), exact_number(0))
        return Outcome(np.dtype(np.int32), ((0, filter_.maps - 1),), (index,), exact=True)
    if how == "angle":
        wide = double or (arithmetic.dtype == np.float64 and not exact)
        degrees = np.dtype(np.float64 if wide else np.float32)
        return Outcome(degrees, ((0.0, FULL_TURN),), (Affine(1.0, 0.0),), exact=False)
    if how not in NORMS:
        pick = max if how == "max" else min
        lows, highs = zip(*arithmetic.bounds, strict=True)
        return Outcome(dtype, ((pick(lows), pick(highs)),), affines[:1], exact)
    most = [max(map(abs, bounds)) for bounds in arithmetic.bounds]
    high = {"l2": sqrt(sum(m * m for m in most)), "l1": sum(most), "linf": max(most)}[how]
    dtype = _dtype(how, arithmetic, most, double)
    if how == "l2" or not exact:
        affine = affines[0] if exact else affines[0].as_floats()
        return Outcome(dtype, ((0.0, high * (1 + 1e-6)),), (affine,), exact=False)
    return Outcome(dtype, ((0, int(high)),), affines[:1], exact)


def _dtype(how: str, arithmetic: Arithmetic, most: list[float], double: bool) -> DType:
    if how == "l2":
        squares, plain = sum(m * m for m in most), arithmetic.filter.affine[0] == Affine()
        rounded_once = not arithmetic.exact or (plain and squares < _ROOTS and not double)
        wide = arithmetic.dtype == np.float64 or not rounded_once
        return np.dtype(np.float64 if wide else np.float32)
    if arithmetic.dtype.kind == "f":
        return arithmetic.dtype
    total = int(sum(most)) if how == "l1" else int(max(most))
    signed = -total if arithmetic.dtype.kind == "i" else 0
    return accumulator(signed, total) or np.dtype(np.int64)


def combine(sums: Array, how: str, dtype: DType) -> Array:
    """The sums (maps, rows, columns, lanes) combined to one map of ``dtype``, (1, rows, columns, lanes).

    `POLAR` gives twice as many lanes.

    The squares of ``l2`` are exact up to 2⁵³ where the sums are, so that its root in float64 is rounded once
    and no value comes to lie on the wrong side of a tie. Of equal sums, ``argmax`` takes the first.
    """
    if how == "argmax":
        index: Array = sums.argmax(axis=0).astype(dtype)[None]
        return index
    if how == POLAR:
        parts = [combine(sums, one, dtype) for one in ("l2", "angle")]
        return np.concatenate(parts, axis=-1)
    if how == "angle":
        return direction(sums[0], sums[1], dtype)[None]
    if how not in NORMS:
        picked: Array = (np.maximum if how == "max" else np.minimum).reduce(sums)[None]
        return picked
    total = sums[0].astype(dtype)
    _magnitude(total, how)
    for one in sums[1:]:
        other = one.astype(dtype)
        _magnitude(other, how)
        (np.maximum if how == "linf" else np.add)(total, other, out=total)
    if how == "l2":
        np.sqrt(total, out=total)
    combined: Array = total[None]
    return combined


def _magnitude(values: Array, how: str) -> None:
    if how == "l2":
        np.multiply(values, values, out=values)
    elif values.dtype.kind != "u":
        np.abs(values, out=values)


def direction(right: Array, down: Array, dtype: DType) -> Array:
    """The direction of the gradient in degrees, from 0 to below 360; 0 where there is no gradient.

    0° is brightness that increases to the right, 90° upward, 180° to the left and 270° downward: the angle
    of mathematics, for rows that count downward. Multiples of 45° are exact, because only the angle within
    an eighth of the circle is computed.

    Args:
        right, down: slopes along the columns and along the rows.
        dtype: float type of the result; an angle that it would round to 360 becomes 0.
    """
    x, y = right.astype(np.float64), -down.astype(np.float64)
    wide, high = np.abs(x), np.abs(y)
    smaller, larger = np.minimum(wide, high), np.maximum(wide, high)
    angle: Array = np.degrees(np.arctan2(smaller, larger))
    angle[(smaller == larger) & (larger > 0)] = 45
    np.subtract(90, angle, out=angle, where=high > wide)
    np.subtract(180, angle, out=angle, where=x < 0)
    np.subtract(FULL_TURN, angle, out=angle, where=(y < 0) & (angle > 0))
    rounded: Array = angle.astype(dtype)
    rounded[rounded >= FULL_TURN] = 0
    return rounded
