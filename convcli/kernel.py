"""The kernel: weights with a name, exact where they are rational, and the facts that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any, Final

import numpy as np

from convcli.errors import KernelError
from convcli.rational import (
    FloatArray,
    Number,
    Rational,
    exact_number,
    float_factors,
    integer_factors,
    parse_number,
    text_of,
)

COMBINES: Final = ("l2", "l1", "max")
LARGEST_KERNEL: Final = 2**26  # weights
LARGEST_BIAS: Final = 1e30  # pixel values


@dataclass(frozen=True, slots=True)
class About:
    """What a kernel's file says of it besides numbers."""

    description: str = ""
    source: str = ""
    tags: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    gain: Number | None = None


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Kernel:
    """Weights that slide over a picture.

    Args:
        weights: numbers of shape (rows, columns) or, as in Keras, (rows, columns, in, out); 1 to 5 axes
            for arrays that are no pictures. Integers, fractions, texts such as ``"1/9"`` and floats with
            few fractional bits stay exact.
        scale: multiplies every weight; a Fraction or integer keeps them exact.
        bias: added to every value of the feature map, in pixel values.
        combine: how several maps (the out axis) become one: ``l2`` (the root of the sum of squares),
            ``l1`` (the sum of absolute values), ``max`` (the largest absolute value), or None.

    Attributes:
        weights: float64, read-only, scale included.
        exact: the same as integers over one denominator, or None.

    Raises:
        KernelError: no weights, ragged rows, a weight that is not a finite number, or too many axes.
    """

    weights: FloatArray
    exact: Rational | None
    name: str
    bias: Number
    combine: str | None
    about: About = field(default=About())

    def __init__(
        self,
        weights: Any,
        *,
        scale: Any = 1,
        bias: Any = 0,
        name: str = "kernel",
        combine: str | None = None,
        about: About | None = None,
    ) -> None:
        array = _as_array(weights)
        factor = _as_number("scale", scale)
        try:
            exact = Rational.of(array, factor)
            with np.errstate(over="ignore", invalid="ignore"):
                floats = exact.floats() if exact else array.astype(np.float64) * float(factor)
        except OverflowError as error:
            raise KernelError("kernel has a weight that is out of range (allowed: up to 1e300)") from error
        if not np.all(np.isfinite(floats)):
            raise KernelError("kernel has a weight that is not a finite number")
        if not -LARGEST_BIAS <= _as_number("bias", bias) <= LARGEST_BIAS:
            raise KernelError(f"bias {bias} is not between -{LARGEST_BIAS:g} and {LARGEST_BIAS:g}")
        if combine not in (None, *COMBINES):
            raise KernelError(f"combine {combine!r} is not one of {', '.join(COMBINES)}")
        floats.setflags(write=False)
        values = {
            "weights": floats,
            "exact": exact,
            "name": name,
            "bias": _as_number("bias", bias),
            "combine": combine,
            "about": about or About(),
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)

    def __eq__(self, other: object) -> bool:
        """Whether the weights, the bias, the way to combine and the name are the same."""
        if not isinstance(other, Kernel):
            return NotImplemented
        facts = (self.name, self.bias, self.combine, self.shape)
        return facts == (other.name, other.bias, other.combine, other.shape) and bool(
            np.array_equal(self.weights, other.weights)
        )

    def __hash__(self) -> int:
        return hash((self.name, self.combine, self.weights.tobytes()))

    def __repr__(self) -> str:
        raw = self.exact.numerators if self.exact else self.weights
        parts = [str(raw.tolist())]
        if self.exact and self.exact.denominator != 1:
            parts.append(f"scale='1/{self.exact.denominator}'")
        if self.bias:
            parts.append(f"bias={text_of(self.bias)!r}")
        parts.append(f"name={self.name!r}")
        if self.combine:
            parts.append(f"combine={self.combine!r}")
        return f"Kernel({', '.join(parts)})"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.weights.shape

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns) of the window."""
        if self.spatial == 3:
            return self.shape[1], self.shape[2]
        return (1, self.shape[0]) if self.weights.ndim == 1 else (self.shape[0], self.shape[1])

    @property
    def spatial(self) -> int:
        """Axes that it slides over as a picture's kernel: 2, or 3 with frames or pages first."""
        return 3 if self.weights.ndim in (3, 5) else 2

    @property
    def depth(self) -> int:
        """Frames or pages of the window."""
        return self.shape[0] if self.spatial == 3 else 1

    @property
    def tensor_shape(self) -> tuple[int, ...]:
        """([depth,] rows, columns, in, out), as Keras keeps a layer's weights."""
        if self.weights.ndim > 3:
            return self.shape
        return (*self.shape, 1, 1) if self.spatial == 3 else (*self.size, 1, 1)

    @property
    def maps(self) -> int:
        """Feature maps that the kernel gives, before they are combined."""
        return self.tensor_shape[-1]

    @cached_property
    def sum(self) -> Number:
        return self.exact.total() if self.exact else float(self.weights.sum())

    @cached_property
    def map_sums(self) -> tuple[float, ...]:
        """The sum of the weights of each feature map."""
        return tuple(self.weights.reshape(-1, self.maps).sum(axis=0).tolist())

    @property
    def is_identity(self) -> bool:
        """Whether every map is the centre pixel itself."""
        window = self.tensor_shape[:-2]
        centre = self.weights.reshape(self.tensor_shape)[tuple((size - 1) // 2 for size in window)]
        return bool((centre == 1).all()) and np.count_nonzero(self.weights) == centre.size

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest value of a feature map whose input lies between 0 and 1."""
        flat = self.weights.reshape(-1, self.maps)
        low = np.minimum(flat, 0).sum(axis=0).min() + float(self.bias)
        high = np.maximum(flat, 0).sum(axis=0).max() + float(self.bias)
        return float(low), float(high)

    @cached_property
    def factors(self) -> tuple[list[Number], list[Number]] | None:
        """(column of rows, row of columns) whose outer product is a (rows, columns) kernel, or None."""
        if self.weights.ndim != 2:
            return None
        if self.exact:
            integers = integer_factors(self.exact.numerators)
            if integers is None:
                return None
            scale = exact_number(1) / self.exact.denominator
            return [int(v) * scale for v in integers[0]], [exact_number(v) for v in integers[1]]
        floats = float_factors(self.weights)
        return None if floats is None else (floats[0].tolist(), floats[1].tolist())

    def scaled(self, scale: Number) -> Kernel:
        """The same kernel with every weight multiplied."""
        return self._rebuilt(scale)

    def normalised(self, by: str) -> Kernel:
        """The same kernel divided by its ``sum``, or that of its magnitudes (``abs``), unless that is 0."""
        if self.exact:
            numerators = self.exact.numerators if by == "sum" else np.abs(self.exact.numerators)
            total: Number = Rational(numerators, self.exact.denominator).total()
        else:
            total = float((self.weights if by == "sum" else np.abs(self.weights)).sum())
        return self if total == 0 else self._rebuilt(1 / total)

    def biased(self, bias: Number) -> Kernel:
        """The same kernel with another bias."""
        return self._rebuilt(bias=bias)

    def named(self, name: str, about: About | None = None) -> Kernel:
        """The same kernel under another name."""
        return self._rebuilt(name=name, about=about or self.about)

    def _rebuilt(self, scale: Number = Fraction(1), **changes: Any) -> Kernel:
        raw: Any = self.weights
        if self.exact:
            raw, scale = self.exact.numerators, scale / self.exact.denominator
        kept = {"bias": self.bias, "name": self.name, "combine": self.combine, "about": self.about}
        return Kernel(raw, scale=scale, **{**kept, **changes})


@dataclass(frozen=True, slots=True)
class KernelSet:
    """A preset made of others: their names, and how their maps become one."""

    name: str
    members: tuple[str, ...]
    combine: str | None
    about: About


def bank(kernels: Sequence[Kernel], name: str, combine: str | None, about: About | None = None) -> Kernel:
    """Kernels of (rows, columns) as one of (rows, columns, 1, out), centred in the largest window."""
    rows = max(kernel.size[0] for kernel in kernels)
    columns = max(kernel.size[1] for kernel in kernels)
    stacked = np.zeros((rows, columns, 1, len(kernels)), object)
    for index, kernel in enumerate(kernels):
        if kernel.weights.ndim != 2:
            raise KernelError(f"{kernel.name} is a bank itself; a set is made of (rows, columns) kernels")
        height, width = kernel.size
        top, left = (rows - height) // 2, (columns - width) // 2
        stacked[top : top + height, left : left + width, 0, index] = _fractions(kernel)
    return Kernel(stacked, name=name, combine=combine, about=about)


def _fractions(kernel: Kernel) -> Any:
    if kernel.exact is None:
        return kernel.weights
    one = exact_number(1)
    return kernel.exact.numerators.astype(object) * (one / kernel.exact.denominator)


def _as_array(weights: Any) -> np.ndarray[Any, Any]:
    if isinstance(weights, (list, tuple)) and _has_text(weights):
        weights = _parsed(weights)
    try:
        array = np.asarray(weights)
    except ValueError as error:
        raise KernelError("kernel has rows of different lengths") from error
    if array.dtype.kind == "O":
        _check_numbers(array)
    elif array.dtype.kind not in "iubf":
        raise KernelError(f"kernel has weights of type {array.dtype}; allowed: numbers")
    if array.size == 0:
        raise KernelError(f"kernel of shape {array.shape} has no weights")
    if array.size > LARGEST_KERNEL:
        raise KernelError(f"kernel has {array.size} weights; allowed: up to {LARGEST_KERNEL}")
    if not 1 <= array.ndim <= 5:
        raise KernelError(f"kernel has {array.ndim} axes; allowed: 1 to 5")
    return array


def _check_numbers(array: np.ndarray[Any, Any]) -> None:
    for value in array.ravel():
        try:
            finite = abs(float(value)) < float("inf")
        except OverflowError:
            finite = False
        except (TypeError, ValueError) as error:
            what = "rows of different lengths" if isinstance(value, (list, tuple)) else f"weight {value!r}"
            raise KernelError(f"kernel has {what}; allowed: a full table of numbers") from error
        if not finite:
            raise KernelError("kernel has a weight that is not a finite number")


def _has_text(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_has_text, value))
    return isinstance(value, str)


def _parsed(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_parsed(item) for item in value]
    return _as_number("weight", value)


def _as_number(what: str, value: Any) -> Number:
    try:
        number = parse_number(value) if isinstance(value, str) else exact_number(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise KernelError(f"{what} {value!r} is not a number: {error}") from error
    if isinstance(number, float) and not abs(number) < float("inf"):
        raise KernelError(f"{what} {value!r} is not a finite number")
    return number
