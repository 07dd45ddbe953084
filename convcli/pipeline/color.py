"""Light, transparency and pixels that are left out around the convolution: what the engine reads of pixels.

Averages of colors must be weighted by alpha, or the hidden colors of transparent pixels leak out (Porter and
Duff, "Compositing digital images", 1984). So colors are multiplied by alpha, filtered together with it, and
divided by the filtered alpha. Pixels that are left out are handled alike, with weights of their own
(`convcli.engine.normalized`).
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Final

import numpy as np

from convcli.core.dtypes import Array, DType, accumulator, span
from convcli.core.frozen import frozen
from convcli.core.rational import exact_number
from convcli.core.rounding import Affine
from convcli.engine.computers import Computation
from convcli.engine.plan import Outcome
from convcli.formats.readers import Reader

_WIDEST: Final = 4
"""Bytes of the widest integers that the engine sums exactly."""

Weights = Callable[[int, int, int], Array]
"""From a frame and its first and last row to the weights of their pixels, (rows, columns)."""


def white(dtype: DType) -> int:
    """The value that means white or opaque: the highest integer, 1 for floats."""
    return span(dtype)[1] if dtype.kind in "iu" else 1


def product_dtype(dtype: DType, factor: int) -> DType | None:
    """The type of values times integers up to ``factor``, or None if no integers of 32 bits hold them."""
    if dtype.kind == "f":
        return np.dtype(np.float64 if dtype.itemsize == 8 else np.float32)
    if factor == 1:
        return dtype
    low, high = (end * factor for end in span(dtype))
    narrowest = accumulator(low, high)
    return narrowest if narrowest and narrowest.itemsize <= _WIDEST else None


@frozen(eq=False)
class LinearReader(Reader):
    """A `Reader` of linear light, float32 from 0 to 1, instead of sRGB (IEC 61966-2-1).

    Attributes:
        alpha: whether the last channel is alpha, which is scaled to the same range and not decoded.
    """

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
    """The light of every value of an 8-bit or 16-bit type, indexed by its bits as an unsigned integer."""
    low, high = span(dtype)
    values = np.arange(low, high + 1)
    return np.roll(srgb_to_light(values / white(dtype)), low).astype(np.float32)


def srgb_to_light(values: Array) -> Array:
    """Linear light, float, of sRGB values from 0 to 1 (IEC 61966-2-1)."""
    bright = ((np.maximum(values, 0.04045) + 0.055) / 1.055) ** 2.4
    light: Array = np.where(values <= 0.04045, values / 12.92, bright)
    return light


def light_to_srgb(light: Array) -> Array:
    """SRGB values, float, of linear light from 0 to 1 (IEC 61966-2-1)."""
    bright = 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055
    values: Array = np.where(light <= 0.0031308, light * 12.92, bright)
    return values


@frozen(eq=False)
class WeightedReader(Reader):
    """A `Reader` of colors times their weights, followed by the weights: alpha, those of pixels, or both.

    Attributes:
        reader: of the colors, and of alpha behind them.
        colors: number of colors.
        alpha: whether colors are multiplied by alpha, which follows them.
        weights: by which all of this is multiplied, and which come last; None for no such weights.
        dtype: holds the products.
    """

    reader: Reader
    colors: int
    alpha: bool
    weights: Weights | None
    dtype: DType

    def rows(self, frame: int, first: int, last: int) -> Array:
        pixels = self.reader.rows(frame, first, last)[..., : self.colors + self.alpha]
        lanes = pixels.shape[2] + (self.weights is not None)
        weighted = np.empty((*pixels.shape[:2], lanes), self.dtype)
        products = weighted[..., : pixels.shape[2]]
        np.copyto(products, pixels, casting="unsafe")
        if self.alpha:
            products[..., :-1] *= products[..., -1:]
        if self.weights is not None:
            weights = self.weights(frame, first, last)
            weighted[..., -1] = weights
            products *= weighted[..., -1:]
            np.copyto(products, 0, where=(weights == 0)[..., None])  # NaN and infinity times 0 are NaN
        return weighted


@frozen(eq=False)
class FilledReader(Reader):
    """A `Reader` of values in which missing ones are 0.

    Attributes:
        reader: of the values.
        stored: of the pixels as stored.
        colors: number of channels that are not alpha.
        missing: from stored colors to where data is missing, (rows, columns, channels or 1).
    """

    reader: Reader
    stored: Reader
    colors: int
    missing: Callable[[Array], Array]

    def rows(self, frame: int, first: int, last: int) -> Array:
        values = self.reader.rows(frame, first, last)
        stored = values if self.stored is self.reader else self.stored.rows(frame, first, last)
        missing = self.missing(stored[..., : self.colors])
        if not missing.any():
            return values
        filled = np.array(values, order="C")
        np.copyto(filled[..., : self.colors], 0, where=missing)
        return filled


def unpremultiplied(sums: Array) -> Array:
    """Colors divided by alpha, 0 where alpha is not above 0.

    Sums below 2⁵³ are exact and a quotient of integers is rounded once, so a value that is not halfway
    between two integers never becomes so: it is farther from there than that rounding.

    Args:
        sums: (rows, columns, colors + 1), alpha last.

    Returns:
        (rows, columns, colors) of float64.
    """
    wide = sums.astype(np.float64)
    alpha = wide[..., -1:]
    colors: Array = np.divide(wide[..., :-1], alpha, out=np.zeros_like(wide[..., :-1]), where=alpha > 0)
    return colors


def unpremultiplied_outcome(plan: Computation) -> Outcome:
    """The outcome of `unpremultiplied`: colors as float64, with the maps' biases."""
    biases = [Affine(1.0, float(bias)) for bias in plan.biases]
    limits = ((-np.inf, np.inf),) * len(biases)
    return Outcome(np.dtype(np.float64), limits, tuple(biases), exact=False)


def alpha_affine(plan: Computation, gain: Fraction) -> Affine:
    """The affine function from sums of alpha to alpha in the result's units, without a bias."""
    return Affine.of(exact_number(1) / plan.unit * gain, Fraction(0))
