"""Light and transparency around the convolution: the sRGB curve, and colors multiplied by their alpha.

A picture's colors count by how much of them is seen: a filter of average colors must weigh them by their
alpha, or the hidden colors of transparent pixels leak out (Porter and Duff, "Compositing digital images",
1984). So colors are multiplied by alpha, filtered together with it, and divided by what became of it.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Final

import numpy as np

from convcli.core.dtypes import Array, DType, span
from convcli.core.frozen import frozen
from convcli.core.rational import exact_number
from convcli.core.rounding import Affine
from convcli.engine.plan import Outcome, Plan
from convcli.formats.base import Reader

_PRODUCTS: Final[dict[int, DType]] = {1: np.dtype(np.uint16), 2: np.dtype(np.uint32)}
"""What holds the product of two values, by their bytes."""


def white(dtype: DType) -> int:
    """The value that means white, or opaque: the highest integer, 1 for floats."""
    return span(dtype)[1] if dtype.kind in "iu" else 1


def product_dtype(dtype: DType) -> DType | None:
    """The type of color times alpha, or None where no type of the engine's holds it exactly."""
    if dtype.kind == "f":
        return np.dtype(np.float64 if dtype.itemsize == 8 else np.float32)
    return _PRODUCTS.get(dtype.itemsize) if dtype.kind == "u" else None


@frozen(eq=False)
class LinearReader:
    """A picture's light: the sRGB curve (IEC 61966-2-1) undone, as float32 from 0 to 1; alpha as it is."""

    reader: Reader
    alpha: bool

    def rows(self, frame: int, first: int, last: int) -> Array:
        stored = self.reader.rows(frame, first, last)
        if stored.dtype.kind == "f" or stored.dtype.itemsize > 2:
            wide = np.promote_types(stored.dtype, np.float32)
            light = srgb_to_light(stored.astype(wide) / white(stored.dtype)).astype(np.float32)
        else:
            light = _table(stored.dtype).take(stored.view(stored.dtype.str.replace("i", "u")))
        if self.alpha:
            light[..., -1] = stored[..., -1] / np.float32(white(stored.dtype))
        return light


@lru_cache(maxsize=2)
def _table(dtype: DType) -> Array:
    """The light of every value of an 8-bit or 16-bit type, by its bits."""
    low, high = span(dtype)
    values = np.arange(low, high + 1)
    return np.roll(srgb_to_light(values / white(dtype)), low).astype(np.float32)


def srgb_to_light(values: Array) -> Array:
    """SRGB values, 0 to 1, as light."""
    bright = ((np.maximum(values, 0.04045) + 0.055) / 1.055) ** 2.4
    light: Array = np.where(values <= 0.04045, values / 12.92, bright)
    return light


def light_to_srgb(light: Array) -> Array:
    """Light as sRGB values."""
    bright = 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055
    values: Array = np.where(light <= 0.0031308, light * 12.92, bright)
    return values


@frozen(eq=False)
class PremultipliedReader:
    """Colors times alpha, and alpha last, in a type that holds the products."""

    reader: Reader
    dtype: DType

    def rows(self, frame: int, first: int, last: int) -> Array:
        pixels = self.reader.rows(frame, first, last).astype(self.dtype)
        pixels[..., :-1] *= pixels[..., -1:]
        return pixels


def unpremultiplied(sums: Array) -> Array:
    """The colors of (rows, columns, colors and alpha) sums: divided by alpha, 0 where nothing is seen."""
    wide = sums.astype(np.float64)
    alpha = wide[..., -1:]
    colors: Array = np.divide(wide[..., :-1], alpha, out=np.zeros_like(wide[..., :-1]), where=alpha > 0)
    return colors


def is_visible(sums: Array, half: float) -> Array:
    """Where alpha, the last lane of the sums, is more than ``half`` a level: (rows, columns)."""
    found: Array = sums[..., -1] > half
    return found


def unpremultiplied_outcome(plan: Plan) -> Outcome:
    """What `seen` gives: colors as float64, with the maps' biases.

    Sums below 2⁵³ are exact, and a quotient of integers is rounded once: a value that is no tie between two
    integers is further from it than that rounding.
    """
    biases = [Affine(1.0, float(bias)) for bias in plan.problem.filter.bias]
    limits = ((-np.inf, np.inf),) * len(biases)
    return Outcome(np.dtype(np.float64), limits, tuple(biases), exact=False)


def alpha_affine(plan: Plan, gain: Fraction) -> Affine:
    """From the sums of alpha to alpha in the result's units: no bias."""
    return Affine.of(exact_number(1) / plan.problem.filter.denominator * gain, Fraction(0))
