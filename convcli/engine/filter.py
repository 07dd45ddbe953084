"""A kernel prepared for computing: rotated if requested, with five axes, and as integers if it is exact.

This is the only place where a kernel is rotated by 180°; everything below computes cross-correlation.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property
from itertools import groupby
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import ArgumentError
from convcli.core.factorization import float_factors, integer_factors
from convcli.core.frozen import frozen
from convcli.core.numerals import axes_text
from convcli.core.rational import Number, Rational, exact_number
from convcli.core.rounding import Affine
from convcli.kernels.kernel import Kernel

UNIT: Final = 1e-6
"""Largest distance of a sum of weights from 1 that still counts as 1."""

FULL_TURN: Final = 360
"""Degrees, of which an angle has fewer."""

COUNTED: Final = 2**16
"""Weights up to which those that are not 0 are counted."""

Factors = tuple[Array, Array]


@frozen
class ValueKind:
    """How the values of a feature map relate to those of the input.

    Attributes:
        name: ``pixels`` (on the input's scale), ``signed`` (differences around 0) or ``other``.
        low, high: the range of values, if it does not depend on the input.
    """

    name: str
    low: Number | None = None
    high: Number | None = None


PIXELS: Final = ValueKind("pixels")
SIGNED: Final = ValueKind("signed")
OTHER: Final = ValueKind("other")


@frozen
class Filter:
    """The weights that the engine multiplies with. Filters are equal if all numbers are, in type and bits.

    Attributes:
        weights: (depth, rows, columns, in, out); int64 numerators if ``exact``, else float32 or float64.
        denominator: of every numerator; 1 for floats.
        bias: one value per map.
        combine: how the maps are combined to one, or None; see `Kernel`.
    """

    weights: Array
    denominator: int
    bias: tuple[Number, ...]
    combine: str | None = None

    @classmethod
    def of(
        cls, kernel: Kernel, *, spatial: int = 2, flip: bool = False, bias: tuple[Number, ...] | None = None
    ) -> Filter:
        """The filter of a kernel.

        Args:
            kernel: its weights are (k…) or (k…, in, out).
            spatial: number of axes of k….
            flip: whether to rotate the kernel by 180°.
            bias: one value per map; None takes the kernel's own.

        Raises:
            ArgumentError: the kernel has neither ``spatial`` nor ``spatial + 2`` axes.
        """
        raw: Any = kernel.exact.numerators if kernel.exact else kernel.inexact
        if raw.ndim == spatial:
            raw = raw[..., None, None]
        if raw.ndim != spatial + 2:
            raise ArgumentError(
                f"weights of shape {kernel.shape} have {axes_text(len(kernel.shape))}; "
                f"allowed: {spatial}, or {spatial + 2} with (in, out) last"
            )
        if flip:
            raw = np.flip(raw, tuple(range(spatial)))
        weights = raw.reshape((1,) * (3 - spatial) + raw.shape)
        denominator = kernel.exact.denominator if kernel.exact else 1
        own = kernel.bias if isinstance(kernel.bias, tuple) else (kernel.bias,) * weights.shape[4]
        return cls(weights, denominator, bias or own, kernel.combine)

    def per_input(self, shares: tuple[Number, ...]) -> Filter:
        """The filter that sums several channels: the same weights for each, times the channel's share."""
        exact = Rational.of(np.array(shares, object), exact_number(1)) if self.exact else None
        factors = exact.numerators if exact else np.array(shares, np.float64)
        weights = np.repeat(self.weights, len(shares), axis=3) * factors[:, None]
        if exact is None:
            weights = weights / self.denominator
        denominator = self.denominator * exact.denominator if exact else 1
        return Filter(weights, denominator, self.bias, self.combine)

    @cached_property
    def _facts(self) -> tuple[Any, ...]:
        weights = self.weights
        stored = weights.shape, weights.dtype, weights.tobytes()
        return *stored, self.denominator, repr(self.bias), self.combine

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Filter) and self._facts == other._facts

    def __hash__(self) -> int:
        return hash(self._facts)

    def with_own_weights(self) -> Filter:
        """An equal filter that shares no memory."""
        shape, dtype, values = self._facts[:3]
        weights = np.frombuffer(values, dtype).reshape(shape)
        return Filter(weights, self.denominator, self.bias, self.combine)

    @property
    def exact(self) -> bool:
        """Whether the weights are integers over the denominator."""
        return self.weights.dtype.kind == "i"

    @property
    def kernel(self) -> tuple[int, int, int]:
        """Size of the window, (depth, rows, columns)."""
        depth, rows, columns = self.weights.shape[:3]
        return depth, rows, columns

    @property
    def inputs(self) -> int:
        """Number of input channels of a group."""
        return int(self.weights.shape[3])

    @property
    def maps(self) -> int:
        """Number of output channels, before they are combined."""
        return int(self.weights.shape[4])

    @property
    def affine(self) -> tuple[Affine, ...]:
        """For each map, from its sums to its values, by denominator and bias."""
        share = exact_number(1) / self.denominator if self.exact or self.denominator != 1 else 1.0
        affines: list[Affine] = []
        for _, maps in groupby(self.bias, key=id):  # comparing fractions would take longer
            bias, *others = maps
            affines += [Affine.of(share, bias)] * (1 + len(others))
        return tuple(affines)

    @cached_property
    def taps(self) -> float:
        """Weights of a map that are not 0, on average; of large filters, all weights."""
        flat = self.weights.ravel(order="K")
        return (flat.size if flat.size > COUNTED else int(np.count_nonzero(flat))) / self.maps

    @cached_property
    def largest(self) -> float:
        """The largest magnitude of a weight."""
        return max(float(self.weights.max()), -float(self.weights.min()))

    @property
    def totals(self) -> tuple[float, ...]:
        """The sum of the weights of each map."""
        flat = self.weights.reshape(-1, self.maps).astype(np.float64)
        return tuple((flat.sum(axis=0) / self.denominator).tolist())

    @property
    def magnitude(self) -> float:
        """The sum of the magnitudes of all weights."""
        return float(np.abs(self.weights.astype(np.float64)).sum()) / self.denominator

    @property
    def is_average(self) -> bool:
        """Whether the weights of every map sum to 1."""
        return all(abs(total - 1) < UNIT for total in self.totals)

    @property
    def kind(self) -> ValueKind:
        """What the weights make of pixels: averages, differences, or something else."""
        if self.combine == "argmax":
            return ValueKind("other", Fraction(0), Fraction(self.maps - 1))
        if self.combine == "angle":
            return ValueKind("other", Fraction(0), Fraction(FULL_TURN))
        if self.combine is not None:
            return OTHER
        if self.is_average:
            return PIXELS
        if all(abs(total) <= UNIT * min(self.magnitude, 1) for total in self.totals):
            return PIXELS if any(self.bias) else SIGNED
        return OTHER

    def as_floats(self) -> Filter:
        """The same filter in floats; exact weights, in float64, stay integers over their denominator."""
        if not self.exact:
            return self
        return Filter(self.weights.astype(np.float64), self.denominator, self.bias, self.combine)

    def near_fractions(self, roundoff: float) -> Filter | None:
        """An exact filter, each weight within ``roundoff`` × this one's; None if there is none."""
        near = Rational.near(self.weights, roundoff)
        if near is None:
            return None
        bias = tuple(map(exact_number, self.bias))
        return Filter(near.numerators, near.denominator, bias, self.combine)

    def bounds(self, low: float, high: float) -> list[tuple[float, float]]:
        """Per map, the range of the sums over inputs from ``low`` to ``high``.

        Integers for an exact filter over integer inputs; computed without overflow.
        """
        weights = self.weights if self.exact else self.weights.astype(np.float64)
        flat = weights.reshape(-1, self.maps)
        summed: Any = _integer_sums if self.exact else _float_sums
        positive, negative = summed(np.maximum(flat, 0)), summed(np.minimum(flat, 0))
        return [(p * low + n * high, p * high + n * low) for p, n in zip(positive, negative, strict=True)]

    @cached_property
    def factors(self) -> dict[tuple[int, int, int], Factors | None]:
        """Column and row vectors of each non-zero plane (depth, in, out); None if its rank is above 1."""
        are_whole = self.exact or bool(np.all(self.weights == np.rint(self.weights)))
        are_whole = are_whole and self.largest < 2**53
        factors = {}
        for depth, channel, index in np.ndindex(self.kernel[0], self.inputs, self.maps):
            plane = self.weights[depth, :, :, channel, index]
            if plane.any():
                factors[depth, channel, index] = (
                    integer_factors(plane.astype(np.int64))
                    if are_whole
                    else float_factors(plane.astype(np.float64))
                )
        return factors


def _integer_sums(columns: Array) -> list[int]:
    if float(np.abs(columns.astype(np.float64)).sum(axis=0).max()) < 2**62:
        return [int(value) for value in columns.sum(axis=0)]
    return [sum(map(int, column)) for column in columns.T]


def _float_sums(columns: Array) -> list[float]:
    return [float(value) for value in columns.sum(axis=0)]
