"""Exact arithmetic from products to a pixel, step by step, each step with its formula as text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from math import isfinite, isnan
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array, DType, span
from convcli.core.frozen import frozen
from convcli.core.numerals import as_float, formula_text
from convcli.core.rational import Number
from convcli.core.rounding import Affine
from convcli.engine.combine import direction
from convcli.pipeline.mapping import Mapping, black_and_white

LONGEST_SUM: Final = 84  # characters of a sum whose terms are written out
LARGEST_WEIGHT: Final = 9999  # kernels of larger integers over a denominator are shown as fractions


@frozen
class Step:
    """One step from products to the pixel.

    Attributes:
        how: the formula, or what the step does.
        value: its result.
    """

    name: str
    how: str
    value: Number


def exact_number(value: Any) -> Number:
    """The value as an exact fraction; NaN and infinity stay floats."""
    plain = value.item() if isinstance(value, np.generic) else value
    return Fraction(plain) if not isinstance(plain, float) or isfinite(plain) else plain


def exact_numbers(values: Array) -> Array:
    """The array with every value as an exact `number`, dtype object."""
    cells = [exact_number(value) for value in values.ravel().tolist()]
    return np.array(cells, object).reshape(values.shape)


def cell_products(weights: Array, patch: Array) -> Array:
    """The product of every cell; with a weight of 0 it is 0, even for NaN and infinity."""
    used = patch.copy()
    used[weights == 0] = Fraction(0)
    products: Array = weights * used
    return products


def magnitude(value: Number) -> Number:
    return value if value >= 0 else -value


def total(values: Iterable[Number]) -> Number:
    return sum(values, start=Fraction(0))


def sum_text(terms: Sequence[Number], names: Sequence[str] = ()) -> str:
    """A sum as text: its terms with their names if that is short, else their number."""
    named = zip(terms, names or [""] * len(terms), strict=True)
    used = [(term, name) for term, name in named if term or name]
    if not used:
        return "every product is 0"
    text = added(used)
    if len(text) <= LONGEST_SUM:
        return text
    if names:
        return f"of {len(terms)} channels"
    zeros = len(terms) - len(used)
    return f"of {len(used)} products" + (
        f"; the other {zeros} {'is' if zeros == 1 else 'are'} 0" if zeros else ""
    )


def added(terms: Sequence[tuple[Number, str]], text: Callable[[Number], str] = formula_text) -> str:
    """Terms and their names, if they have any, as a sum: ``3 (red) − 2 (green)``."""
    words = []
    for index, (term, name) in enumerate(terms):
        sign = ("− " if index else "−") if term < 0 else "+ " if index else ""
        words.append(f"{sign}{text(magnitude(term))}" + (f" ({name})" if name else ""))
    return " ".join(words)


def combination_step(how: str, totals: Sequence[Number]) -> Step:
    """Combine the sums of several maps into one value."""
    sizes = [magnitude(value) for value in totals]
    if how == "l2":
        squares = " + ".join(
            f"({formula_text(value)})²" if value < 0 else f"{formula_text(value)}²" for value in totals
        )
        root = as_float(total(size * size for size in sizes)) ** 0.5
        return Step("combined", f"√({squares})", exact_number(root))
    if how == "angle":
        right, down = (np.array([as_float(value)]) for value in totals)
        text = f"direction of {formula_text(totals[0])} to the right and {formula_text(totals[1])} downward"
        text += "" if right or down else "; no gradient, so 0"
        return Step("combined", text, exact_number(direction(right, down, right.dtype).item()))
    bars = [f"|{formula_text(value)}|" for value in totals]
    if how == "l1":
        return Step("combined", " + ".join(bars), total(sizes))
    if how == "linf":
        return Step("combined", f"the largest of {', '.join(bars)}", max(sizes))
    words = ", ".join(map(formula_text, totals))
    if how == "argmax":
        return Step("combined", f"index of the largest of {words}", Fraction(totals.index(max(totals))))
    largest = how == "max"
    return Step("combined", f"the {how}imum of {words}", max(totals) if largest else min(totals))


def mapping_step(value: Number, affine: Affine, how: str) -> Step:
    """The step that applies the affine function of a mapping."""
    if isinstance(value, Fraction) and affine.is_exact:
        result: Number = (int(affine.gain) * value + int(affine.offset)) / affine.denominator
    else:
        result = exact_number((affine.gain * as_float(value) + affine.offset) / affine.denominator)
    return Step("mapping", how, magnitude(result) if affine.magnitude else result)


def mapping_text(mapping: Mapping, target: DType, own: int) -> str:
    """The mapping's formula with its numbers, where v is the value.

    Args:
        target: dtype of the pixel.
        own: white on the scale of the values.
    """
    black, top = black_and_white(target)
    if mapping.kind in ("clip", "abs"):
        scaled = "" if own == top else f" × {formula_text(Fraction(top, own))}"
        return f"{mapping.kind}: {'|v|' if mapping.kind == 'abs' else 'v'}{scaled}"
    low, high = mapping.low or Fraction(0), mapping.high or Fraction(0)
    if mapping.kind == "signed":
        middle = Fraction((black + top + 1) // 2) if target.kind in "iu" else Fraction(1, 2)
        return f"signed: {formula_text(middle)} + {formula_text(top - middle)} · v / {_factor(high)}"
    less = "v" if low == 0 else f"(v − {formula_text(low)})" if low > 0 else f"(v + {formula_text(-low)})"
    return f"stretch: {f'{black} + ' if black else ''}{top - black} · {less} / {_factor(high - low)}"


def _factor(value: Number) -> str:
    """A divisor as text; a fraction is put in parentheses."""
    text = formula_text(value)
    return f"({text})" if "/" in text else text


def pixel_steps(value: Number, target: DType) -> tuple[Number, list[Step]]:
    """The pixel of a mapped value, and the rounding and saturation steps that led to it."""
    if target.kind == "f":
        return exact_number(target.type(as_float(value))), []
    steps = []
    nearest = value
    if isinstance(value, Fraction):
        nearest = Fraction(round(value))
        tie = " (a tie, so to even)" if value.denominator == 2 else ""
        steps += [Step("rounded", f"to the nearest integer{tie}", nearest)] if nearest != value else []
    elif isnan(value):
        nearest = Fraction(0)
        steps.append(Step("rounded", "NaN becomes 0", nearest))
    low, high = span(target)
    pixel = min(max(nearest, Fraction(low)), Fraction(high))
    if pixel != nearest:
        end = "largest" if pixel == high else "smallest"
        steps.append(Step("saturated", f"{pixel} is the {end} {target.itemsize * 8}-bit value", pixel))
    return pixel, steps


def equal(first: Number, second: Number) -> bool:
    """Whether two pixels are equal; NaN equals NaN."""
    return first == second or (isnan(first) and isnan(second))
