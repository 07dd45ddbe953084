"""The kernel: weights with a name, exact if they are rational, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from convcli.core.errors import KernelError, cut, literal
from convcli.core.factorization import float_factors, integer_factors
from convcli.core.foreign import in_memory
from convcli.core.frozen import frozen, replace
from convcli.core.numerals import axes_text, counted, number_text
from convcli.core.rational import FloatArray, Number, Rational, exact_number, fitting, masked, parse_number

COMBINES: Final = ("l2", "l1", "linf", "max", "min", "argmax", "angle")
LARGEST_KERNEL: Final = 2**25  # weights
ROUNDING: Final = 1e-6
"""A sum of float weights below this share of their magnitudes counts as 0."""
LARGEST_BIAS: Final = 1e30  # pixel values
TYPED: Final = "inline"
"""The name of kernels typed as numbers."""


@frozen
class About:
    """What describes a kernel besides its numbers.

    Attributes:
        source: a publication, a program or a formula.
        gain: of a derivative: the response to a slope of 1.
        members: of a set: the names of the kernels of its maps, in order.
        notes: what users should know about how the file was read.
    """

    description: str = ""
    source: str = ""
    tags: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    gain: Number | None = None
    members: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@frozen
class Layer:
    """The layer of a trained network that weights were taken from.

    Attributes:
        order: of the axes in the file, such as ``out, in, rows, columns``.
        stride, dilation: (rows, columns).
        padding: as ``--padding`` takes it; empty if the file does not state it.
        groups: of channels; weights are (rows, columns, in / groups, out).
        transposed: whether the layer is the transpose of a convolution with this stride and padding.
        output_padding: of a transposed one, (rows, columns); None if the file states none.
        bias: one value for each map, or empty.
        normalization: the batch normalization that follows, as (factor, offset) for each map; or empty.
        activation: the stages that follow, in the words of ``--then``.
        unsupported: the first operation after the convolution that no stage computes, or empty.
        states_activation: whether the file says what follows the convolution.
    """

    order: str
    stride: tuple[int, int] = (1, 1)
    padding: str = ""
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    transposed: bool = False
    output_padding: tuple[int, int] | None = None
    bias: tuple[Number, ...] = ()
    normalization: tuple[tuple[float, float], ...] = ()
    activation: tuple[str, ...] = ()
    unsupported: str = ""
    states_activation: bool = True


@frozen(eq=False)
class Kernel:
    """The weights of a convolution.

    Args:
        weights: numbers of shape (rows, columns) or, as in Keras, (rows, columns, in, out), with depth first
            for volumes; one axis for signals. Integers, fractions, texts such as ``"1/9"`` and floats with
            few fractional bits stay exact.
        scale: multiplies every weight; a Fraction or an integer keeps them exact.
        bias: added to every value of the feature map, in pixel values; one for all maps, or one for each.
        combine: how several feature maps (the out axis) become one: ``l2`` (root of the sum of squares),
            ``l1`` (sum of magnitudes), ``linf`` (largest magnitude), ``max``, ``min``, ``argmax`` (index of
            the map with the largest value), ``angle`` (direction of the gradient of which the two maps are
            the slopes to the right and downward, in degrees), or None. To sum maps, sum the weights over
            their last axis.
        layer: the layer of a network that the weights belong to.
        copy: False shares the memory of float weights, which must not change as long as the kernel is used.

    Attributes:
        exact: the weights as integers over a common denominator, or None.
        inexact: the weights as float32 or float64, read-only, scale included; None if they are exact.

    Raises:
        KernelError: no weights, rows of different lengths, a weight that is not a finite number, or too many
            axes.
    """

    exact: Rational | None
    inexact: NDArray[Any] | None
    name: str
    bias: Number | tuple[Number, ...]
    combine: str | None
    about: About
    layer: Layer | None

    def __init__(
        self,
        weights: Any,
        *,
        scale: Any = 1,
        bias: Any = 0,
        name: str = "kernel",
        combine: str | None = None,
        about: About | None = None,
        layer: Layer | None = None,
        copy: bool = True,
    ) -> None:
        _check_types(combine, about, layer)
        array = _as_array(weights)
        factor = _as_number("scale", scale)
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                exact, inexact = _forms(array, factor, copy)
        except OverflowError as error:
            raise KernelError("kernel has a weight that is out of range (allowed: up to 1e300)") from error
        if inexact is not None and not (np.isfinite(inexact.min()) and np.isfinite(inexact.max())):
            raise KernelError("kernel has a weight that is not a finite number")
        values = {
            "exact": exact,
            "inexact": inexact,
            "name": name,
            "bias": _as_bias(bias, array.shape[-1] if array.ndim > 3 else 1),
            "combine": combine,
            "about": about or About(),
            "layer": layer,
        }
        if combine and isinstance(values["bias"], tuple):
            raise KernelError(f"maps with separate biases cannot be combined by {combine}")
        if combine == "angle":
            _check_slopes(name, array.shape[-1] if array.ndim > 3 else 1, values["bias"])
        for key, value in values.items():
            object.__setattr__(self, key, value)

    def __eq__(self, other: object) -> bool:
        """Whether weights, exactness, bias, ``combine`` and name are the same."""
        if not isinstance(other, Kernel):
            return NotImplemented
        return self._facts == other._facts and bool(np.array_equal(self._raw, other._raw))

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((*self._facts, (self._raw + 0).tobytes()))  # -0.0 equals 0.0

    @property
    def _facts(self) -> tuple[Any, ...]:
        """What equal kernels share besides their numbers."""
        denominator = self.exact.denominator if self.exact else None
        return self.name, self.bias, self.combine, self.shape, denominator

    @property
    def _raw(self) -> Any:
        """The numerators of exact weights, else the weights."""
        return self.exact.numerators if self.exact else self.weights

    def __repr__(self) -> str:
        parts = [str(self._raw.tolist())]
        if self.exact and self.exact.denominator != 1:
            parts.append(f"scale='1/{self.exact.denominator}'")
        if isinstance(self.bias, tuple):
            parts.append(f"bias={list(map(_typed, self.bias))}")
        elif self.bias:
            parts.append(f"bias={_typed(self.bias)!r}")
        parts.append(f"name={self.name!r}")
        if self.combine:
            parts.append(f"combine={self.combine!r}")
        return f"Kernel({', '.join(parts)})"

    def _repr_html_(self) -> str:
        from convcli.kernels.markup import kernel_html  # only for notebooks

        return kernel_html(self)

    @cached_property
    def weights(self) -> FloatArray:
        """The weights as float64, read-only, scale included."""
        floats = self.exact.floats() if self.exact else np.asarray(self.inexact, np.float64)
        floats.setflags(write=False)
        return floats

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """The shape of `weights`."""
        form = self.exact.numerators if self.exact else self.inexact
        assert form is not None
        return form.shape

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns) of the window."""
        if self.spatial == 3:
            return self.shape[1], self.shape[2]
        return (1, self.shape[0]) if len(self.shape) == 1 else (self.shape[0], self.shape[1])

    @property
    def window(self) -> tuple[int, ...]:
        """The axes that slide over an array: (length,), (rows, columns) or (depth, rows, columns)."""
        return self.shape[: min(len(self.shape), self.spatial)]

    @property
    def spatial(self) -> int:
        """Axes that it slides over in an image: 2, or 3 with frames or pages first."""
        return 3 if len(self.shape) in (3, 5) else 2

    @property
    def depth(self) -> int:
        """Frames or pages of the window."""
        return self.shape[0] if self.spatial == 3 else 1

    @property
    def tensor_shape(self) -> tuple[int, ...]:
        """([depth,] rows, columns, in, out), the shape of a layer's weights in Keras."""
        if len(self.shape) > 3:
            return self.shape
        return (*self.shape, 1, 1) if self.spatial == 3 else (*self.size, 1, 1)

    @property
    def maps(self) -> int:
        """The number of feature maps, before they are combined."""
        return self.tensor_shape[-1]

    @property
    def biases(self) -> tuple[Number, ...]:
        """The bias of each feature map."""
        return self.bias if isinstance(self.bias, tuple) else (self.bias,) * self.maps

    @property
    def own_bias(self) -> tuple[Number, ...]:
        """The bias of each map: the layer's if it has one, else the kernel's.

        Raises:
            KernelError: maps are combined into one, but the layer has a bias for each.
        """
        trained = self.layer.bias if self.layer else ()
        if trained and self.combine:
            raise KernelError(f"maps with separate biases cannot be combined by {self.combine}")
        return trained or self.biases

    @cached_property
    def sum(self) -> Number:
        """The sum of all weights."""
        return self.exact.total() if self.exact else float(self.weights.sum())

    @cached_property
    def map_sums(self) -> tuple[float, ...]:
        """The sum of the weights of each feature map."""
        return tuple(self.weights.reshape(-1, self.maps).sum(axis=0).tolist())

    @property
    def is_identity(self) -> bool:
        """Whether every map is the center pixel itself."""
        window = self.tensor_shape[:-2]
        center = self.weights.reshape(self.tensor_shape)[tuple((size - 1) // 2 for size in window)]
        return bool((center == 1).all()) and np.count_nonzero(self.weights) == center.size

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """The lowest and highest value of a feature map for inputs between 0 and 1."""
        flat = self.weights.reshape(-1, self.maps)
        biases = np.array([float(bias) for bias in self.biases])
        low = (np.minimum(flat, 0).sum(axis=0) + biases).min()
        high = (np.maximum(flat, 0).sum(axis=0) + biases).max()
        return float(low), float(high)

    @cached_property
    def factors(self) -> tuple[list[Number], list[Number]] | None:
        """(column, row) whose outer product is this (rows, columns) kernel; None if not separable."""
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

    def normalized(self, by: str) -> Kernel:
        """The same kernel divided by the sum of its weights (``sum``) or of their magnitudes (``abs``).

        It is unchanged if that sum is 0, or no more than rounding for floats.
        """
        if self.exact:
            numerators = self.exact.numerators if by == "sum" else np.abs(self.exact.numerators)
            total: Number = Rational(numerators, self.exact.denominator).total()
            return self if total == 0 else self._rebuilt(1 / total)
        magnitude = float(np.abs(self.weights).sum())
        total = float(self.weights.sum()) if by == "sum" else magnitude
        return self if abs(total) <= ROUNDING * magnitude else self._rebuilt(1 / total)

    def per_gain(self) -> Kernel:
        """The same kernel divided by its gain, which is then 1; unchanged if it states none."""
        gain = self.about.gain
        return self._rebuilt(1 / gain, about=replace(self.about, gain=Fraction(1))) if gain else self

    def biased(self, bias: Number | tuple[Number, ...]) -> Kernel:
        """The same kernel with another bias, which replaces that of its layer too."""
        layer = replace(self.layer, bias=()) if self.layer else None
        return self._rebuilt(bias=bias, layer=layer)

    def as_layer(self) -> Kernel:
        """The kernel with the bias and the batch normalization of its layer; without the activation.

        Raises:
            KernelError: maps are combined into one, but the layer has a bias for each; or a number is out of
                range.
        """
        if self.layer is None:
            return self
        if not self.layer.normalization:
            return self.biased(self.own_bias)
        factors, offsets = np.array(self.layer.normalization, np.float64).T
        bias = np.array([float(value) for value in self.own_bias]) * factors + offsets
        weights = self.weights.reshape(self.tensor_shape) * factors
        kind = np.float64 if self.inexact is None else self.inexact.dtype
        layer = replace(self.layer, bias=(), normalization=())
        fields = {key: getattr(self, key) for key in ("name", "combine", "about")}
        return Kernel(weights.astype(kind), bias=bias, layer=layer, **fields)

    def named(self, name: str, about: About | None = None) -> Kernel:
        """The same kernel under another name."""
        return self._rebuilt(name=name, about=about or self.about)

    def combined(self, how: str | None) -> Kernel:
        """The same kernel with its maps combined in another way, or separate (None)."""
        return self._rebuilt(combine=how)

    def reshaped(self, change: Callable[[Any], Any], scale: Number = Fraction(1), **changes: Any) -> Kernel:
        """The kernel with its weights changed by ``change``, times ``scale``; exact if this one is.

        Args:
            change: from an array of integers or floats to another one.
            changes: other arguments of the new kernel.
        """
        scale = scale / self.exact.denominator if self.exact else scale
        fields = {key: getattr(self, key) for key in ("bias", "name", "combine", "about", "layer")}
        return Kernel(change(self._raw), scale=scale, **{**fields, **changes})

    def _rebuilt(self, scale: Number = Fraction(1), **changes: Any) -> Kernel:
        return self.reshaped(lambda raw: raw, scale, **changes)


def _forms(
    array: np.ndarray[Any, Any], scale: Number, copy: bool
) -> tuple[Rational | None, NDArray[Any] | None]:
    """``array`` × ``scale`` as fractions if it can be, else as read-only floats."""
    exact = Rational.of(array, scale)
    if exact:
        return exact, None
    if array.dtype in (np.float32, np.float64) and scale == 1:
        floats = array.copy(order="K") if copy else array.view()
    else:
        floats = array.astype(np.float64) * float(scale)
        exact = Rational.of(floats, Fraction(1))
    floats.setflags(write=False)
    return exact, None if exact else floats


def _check_types(combine: Any, about: Any, layer: Any) -> None:
    if combine is not None and not (isinstance(combine, str) and combine in COMBINES):
        hint = "; to sum maps, sum the weights over their last axis" if literal(combine) == "'sum'" else ""
        raise KernelError(f"unknown combine {literal(combine)}; allowed: {', '.join(COMBINES)}{hint}")
    for name, value, kind in (("about", about, About), ("layer", layer, Layer)):
        if value is not None and not isinstance(value, kind):
            raise KernelError(f"{name} {literal(value)} is not a {kind.__name__}")


def _check_slopes(name: str, maps: int, bias: Any) -> None:
    """Refuse to combine anything but two maps without a bias to the direction of a gradient."""
    if maps != 2:
        raise KernelError(
            f"kernel {name} has {counted(maps, 'feature map')}; combining by angle needs two, "
            "the slopes to the right and downward, such as those of sobel"
        )
    if bias:
        raise KernelError(f"kernel {name} has a bias, which would change the direction; angle needs bias 0")


def _as_array(weights: Any) -> np.ndarray[Any, Any]:
    if reason := masked(weights):
        raise KernelError(f"kernel {reason}")
    weights = with_numbers(weights)
    try:
        array = in_memory(weights)
    except MemoryError:
        raise
    except Exception as error:  # any error that a foreign class raises
        what = (
            "rows of different lengths"
            if isinstance(weights, (list, tuple))
            else "weights that are not an array"
        )
        raise KernelError(f"kernel has {what}") from error
    if array.dtype.kind == "O":
        _check_numbers(array)
    elif array.dtype.kind not in "iubf":
        raise KernelError(f"kernel has weights of type {cut(str(array.dtype), 60)}; allowed: numbers")
    if array.size == 0:
        raise KernelError(f"kernel of shape {array.shape} has no weights")
    if array.size > LARGEST_KERNEL:
        raise KernelError(f"kernel has {array.size} weights; allowed: up to {LARGEST_KERNEL}")
    if not 1 <= array.ndim <= 5:
        raise KernelError(f"kernel has {axes_text(array.ndim)}; allowed: 1 to 5")
    return array


def _check_numbers(array: np.ndarray[Any, Any]) -> None:
    for value in array.ravel():
        try:
            finite = abs(float(value)) < float("inf")
        except OverflowError:
            finite = False
        except (TypeError, ValueError) as error:
            ragged = isinstance(value, (list, tuple))
            what = "rows of different lengths" if ragged else f"weight {literal(value)}"
            raise KernelError(f"kernel has {what}; allowed: a full table of numbers") from error
        if not finite:
            raise KernelError("kernel has a weight that is not a finite number")


def with_numbers(weights: Any) -> Any:
    """Nested lists with texts such as ``1/9`` as lists of numbers; anything else unchanged."""
    nested = isinstance(weights, (list, tuple)) and _has_text(weights)
    return _parsed(weights) if nested else weights


def _has_text(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_has_text, value))
    return isinstance(value, str)


def _parsed(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_parsed(item) for item in value]
    return _as_number("weight", value)


def _as_bias(value: Any, maps: int) -> Number | tuple[Number, ...]:
    """One bias for all maps, or a tuple of one for each if they differ."""
    if reason := masked(value):
        raise KernelError(f"bias {reason}")
    value = value.tolist() if isinstance(value, np.ndarray) else value
    values = list(value) if isinstance(value, (list, tuple)) else [value]
    try:
        numbers = tuple(fitting(_as_number("bias", entry)) for entry in values)
    except OverflowError as error:
        raise KernelError(f"bias is out of range (allowed: up to {LARGEST_BIAS:g})") from error
    if len(numbers) not in (1, maps):
        allowed = "1" if maps == 1 else f"1, or one for each of {maps} maps"
        raise KernelError(f"bias has {len(numbers)} values; allowed: {allowed}")
    for number in numbers:
        if not -LARGEST_BIAS <= number <= LARGEST_BIAS:
            raise KernelError(f"bias {number} is not between -{LARGEST_BIAS:g} and {LARGEST_BIAS:g}")
    return numbers[0] if len(set(numbers)) == 1 else numbers


def _typed(value: Number) -> str | float:
    """A number as `Kernel` takes it back: a float, or the text of a fraction."""
    return value if isinstance(value, float) else number_text(value)


def _reason(value: Any, error: Exception) -> str:
    """The parser's reason for a text; a plain one for other values, where Python's own words do not help."""
    return cut(str(error)) if isinstance(value, str) else f"{literal(value)} is not a number"


def _as_number(what: str, value: Any) -> Number:
    if reason := masked(value):
        raise KernelError(f"{what} {reason}")
    try:
        number = parse_number(value) if isinstance(value, str) else exact_number(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise KernelError(f"{what} {_reason(value, error)}") from error
    if isinstance(number, float) and not abs(number) < float("inf"):
        raise KernelError(f"{what} {literal(value)} is not a finite number")
    return number
