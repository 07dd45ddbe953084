"""From the weights and attributes of a layer, as model files hold them, to a checked Kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from math import prod
from typing import Any, Final

import numpy as np

from convcli.core.errors import KernelError, one_line, quoted
from convcli.core.frozen import frozen
from convcli.core.rational import Number, exact_number
from convcli.geometry.axes import LARGEST
from convcli.kernels.channels import transposed_channels
from convcli.kernels.kernel import LARGEST_BIAS, LARGEST_KERNEL, About, Kernel, Layer

CHANNELS_FIRST: Final = "out, in, rows, columns"
"""The order of axes in PyTorch and ONNX."""
CHANNELS_LAST: Final = "rows, columns, in, out"
"""The order of axes in Keras."""
TRANSPOSED_FIRST: Final = "in, out, rows, columns"
"""The order of axes of transposed convolutions in PyTorch and ONNX."""
TRANSPOSED_LAST: Final = "rows, columns, out, in"
"""The order of axes of transposed convolutions in Keras."""
_TRANSPOSED: Final = TRANSPOSED_FIRST, TRANSPOSED_LAST
LARGEST_TEXT: Final = 2**24  # bytes of JSON that describe a model
VOLUME_ADVICE: Final = "for volumes, save its weights as .npy with axes (depth, rows, columns, in, out)"
_FLOAT_TYPES: Final = tuple(map(np.dtype, ("f2", "f4", "f8")))
_WORDS: Final = ("valid", "same", "same-lower", "causal")


@frozen(eq=False)
class LayerAttributes:
    """The attributes of a layer as its file states them, unchecked; None if it does not state them.

    Attributes:
        order: of the weights' axes, `CHANNELS_FIRST` or `CHANNELS_LAST`; `TRANSPOSED_FIRST` or
            `TRANSPOSED_LAST` says that the convolution is transposed.
        window: sizes of the kernel.
        strides, dilations: one number, or one for each spatial axis.
        padding: a word of ``--padding``, ``causal``, or numbers: before each axis, then after each.
        output_padding: of a transposed convolution, like ``strides``.
        bias: an array with one value for each map.
        through: nodes between the stored weights and the layer, already applied.
        notes: what users should know about how the weights were read.
        factors, offsets, activation, unsupported: what follows, as in `Following`.
        states_activation: whether the file says what follows the convolution.
    """

    order: str
    window: Any = None
    strides: Any = None
    dilations: Any = None
    groups: Any = None
    padding: Any = None
    output_padding: Any = None
    bias: Any = None
    through: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    factors: Any = None
    offsets: Any = None
    activation: tuple[str, ...] = ()
    unsupported: str = ""
    states_activation: bool = False


def required(module: str, place: str) -> Any:
    """An optional library.

    Raises:
        KernelError: it is not installed; with the command that installs it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise KernelError(
            f"{place}: reading this file needs {module}; install it with: pip install 'convcli[models]'"
        ) from error


def layer_kernel(weights: Any, attributes: LayerAttributes, name: str, place: str) -> Kernel:
    """The kernel (rows, columns, in, out) of a layer's weights, with the layer.

    The kernel of a one-dimensional convolution has one row. Weights of two axes are (rows, columns) already.

    Args:
        weights: in the order of ``attributes.order``.

    Raises:
        KernelError: other axes, values that are not finite numbers, or attributes that no layer can have.
    """
    where = f"{place}:{one_line(name)}"
    check_size(weights.shape, where)
    is_first = attributes.order in (CHANNELS_FIRST, TRANSPOSED_FIRST)
    ordered = _channels_last(numeric(weights, where), is_first)
    if ordered is None:
        raise KernelError(
            f"{where} has shape {weights.shape}; a convolution over images has 4 axes ({attributes.order})"
            + (f"; {VOLUME_ADVICE}" if is_volume(weights.shape) else "")
        )
    if attributes.order in _TRANSPOSED and ordered.ndim == 4:
        ordered = _transposed(ordered, _groups(attributes, where), where)
    layer = _layer(attributes, ordered, weights.ndim - 2, where)
    source = f"{where}, stored as ({attributes.order})"
    source += f", through {', '.join(map(one_line, attributes.through))}" if attributes.through else ""
    about = About("Weights of a trained layer", source, ("layer",), notes=attributes.notes)
    try:
        return Kernel(ordered, name=name, layer=layer, about=about)
    except KernelError as error:
        raise KernelError(f"{where}: {error}") from error


def check_size(shape: Sequence[int], where: str) -> None:
    """Refuse more weights than a kernel may have, before they are read."""
    if prod(shape) > LARGEST_KERNEL:
        raise KernelError(f"{where}: {prod(shape)} weights; allowed: up to {LARGEST_KERNEL}")


def numeric(values: Any, where: str) -> Any:
    """An array of numbers; bfloat16 and other types that NumPy lacks as float32.

    Raises:
        KernelError: not numbers.
    """
    if values.dtype.kind in "biu" or values.dtype in _FLOAT_TYPES:
        return values
    try:
        return values.astype(np.float32)
    except (TypeError, ValueError) as error:
        raise KernelError(f"{where}: contains values of type {values.dtype}; allowed: numbers") from error


def is_convolution(shape: Sequence[int]) -> bool:
    """Whether weights of this shape can slide over an image."""
    return len(shape) == 4


def is_row(shape: Sequence[int]) -> bool:
    """Whether weights of this shape can be those of a one-dimensional convolution."""
    return len(shape) == 3


def is_volume(shape: Sequence[int]) -> bool:
    """Whether weights of this shape are those of a convolution over volumes, which model readers refuse."""
    return len(shape) == 5


def _channels_last(weights: Any, channels_first: bool) -> Any:
    """Weights as (rows, columns, in, out) or (rows, columns); None if they have other axes."""
    match weights.ndim:
        case 2:
            return weights
        case 3:
            return (weights.transpose(2, 1, 0) if channels_first else weights)[None]
        case 4:
            return weights.transpose(2, 3, 1, 0) if channels_first else weights
    return None


def _transposed(weights: Any, groups: int, where: str) -> Any:
    """Weights (rows, columns, out / groups, in) as (rows, columns, in / groups, out)."""
    inputs = weights.shape[3]
    if inputs % groups:
        raise KernelError(f"{where}: groups {groups} does not divide its {inputs} input channels")
    return transposed_channels(weights, groups)


def _groups(attributes: LayerAttributes, where: str) -> int:
    (groups,) = _numbers("groups", 1 if attributes.groups is None else attributes.groups, 1, 1, where)
    return groups


def _layer(attributes: LayerAttributes, weights: Any, axes: int, where: str) -> Layer:
    """The layer of weights (rows, columns, in, out) with ``axes`` spatial axes."""
    if axes < 1:
        return Layer(attributes.order, states_activation=False)
    sizes, maps = weights.shape[2 - axes : 2], weights.shape[3]
    if attributes.window is not None and _numbers("kernel size", attributes.window, axes, 1, where) != sizes:
        raise KernelError(
            f"{where}: kernel size {quoted(attributes.window)} does not match its weights, {sizes}"
        )
    dilations = _steps("dilation", attributes.dilations, axes, where)
    groups = _groups(attributes, where)
    if maps % groups:
        raise KernelError(f"{where}: groups {groups} does not divide its {maps} maps")
    return Layer(
        attributes.order,
        stride=_steps("stride", attributes.strides, axes, where),
        padding=_padding(attributes.padding, axes, sizes, dilations, where),
        dilation=dilations,
        groups=groups,
        transposed=attributes.order in _TRANSPOSED,
        output_padding=_output_padding(attributes, axes, where),
        bias=_bias(attributes.bias, maps, where),
        normalization=_normalization(attributes, maps, where),
        activation=tuple(attributes.activation),
        unsupported=attributes.unsupported,
        states_activation=attributes.states_activation,
    )


def _output_padding(attributes: LayerAttributes, axes: int, where: str) -> tuple[int, int] | None:
    """The output padding as (rows, columns); None if the file states none."""
    if attributes.output_padding is None or attributes.order not in _TRANSPOSED:
        return None
    numbers = _numbers("output padding", attributes.output_padding, axes, 0, where)
    return (numbers[0], numbers[1]) if axes == 2 else (0, numbers[0])


def _steps(name: str, value: Any, axes: int, where: str) -> tuple[int, int]:
    """A stride or dilation as (rows, columns)."""
    numbers = _numbers(name, 1 if value is None else value, axes, 1, where)
    return (numbers[0], numbers[1]) if axes == 2 else (1, numbers[0])


def _numbers(name: str, value: Any, count: int, least: int, where: str) -> tuple[int, ...]:
    """``count`` integers; a single one is repeated."""
    values = list(value) if isinstance(value, (list, tuple, np.ndarray)) else [value] * count
    if len(values) != count:
        raise KernelError(f"{where}: {name} has {len(values)} values; allowed: {count}")
    for entry in values:
        integer = isinstance(entry, (int, np.integer)) and not isinstance(entry, bool)
        if not integer or not least <= entry <= LARGEST:
            raise KernelError(f"{where}: {name} {quoted(value)}; allowed: integers from {least}")
    return tuple(int(entry) for entry in values)


def _padding(value: Any, axes: int, sizes: Sequence[int], dilations: Sequence[int], where: str) -> str:
    """The padding as ``--padding`` takes it; empty if the file does not state it."""
    if value is None:
        return ""
    if isinstance(value, str):
        if value not in _WORDS or (value == "causal" and axes != 1):
            raise KernelError(f"{where}: padding {quoted(value)}; allowed: {', '.join(_WORDS)} or numbers")
        return value if value != "causal" else f"0,0,{dilations[1] * (sizes[0] - 1)},0"
    pads = _numbers("padding", value, 2 * axes, 0, where)
    top, left, bottom, right = pads if axes == 2 else (0, pads[0], 0, pads[1])
    return f"{top},{bottom},{left},{right}" if any(pads) else "valid"


def _bias(values: Any, maps: int, where: str) -> tuple[Number, ...]:
    """One number for each map; empty without a bias."""
    if values is None:
        return ()
    array = numeric(values, f"{where}: its bias")
    if array.shape != (maps,):
        raise KernelError(f"{where}: a bias of shape {array.shape} for {maps} maps; damaged, or transposed")
    if not bool(np.all(np.abs(array.astype(np.float64)) <= LARGEST_BIAS)):  # NaN fails as well
        raise KernelError(f"{where}: its bias contains values that are not numbers up to {LARGEST_BIAS:g}")
    return tuple(exact_number(value) for value in array.tolist())


def _normalization(attributes: LayerAttributes, maps: int, where: str) -> tuple[tuple[float, float], ...]:
    """(factor, offset) for each map; empty without batch normalization."""
    if attributes.factors is None:
        return ()
    pairs = np.array([attributes.factors, attributes.offsets], np.float64)
    if pairs.shape != (2, maps):
        raise KernelError(f"{where}: batch normalization of {pairs.shape[-1]} channels for {maps} maps")
    if not bool(np.all(np.abs(pairs) <= LARGEST_BIAS)):  # NaN fails as well
        raise KernelError(
            f"{where}: its batch normalization contains values that are not numbers up to {LARGEST_BIAS:g}"
        )
    return tuple(zip(*pairs.tolist(), strict=True))


def narrow_floats(bits: Any, exponent: int, mantissa: int, infinite: bool) -> Any:
    """The values of 8-bit floats as float32.

    Args:
        bits: uint8.
        exponent, mantissa: their numbers of bits.
        infinite: whether the highest exponent means infinity and NaN, as in IEEE 754 (float8_e5m2); else only
            the last pattern is NaN (float8_e4m3fn).
    """
    code = np.arange(256)
    high, low = code >> mantissa & (1 << exponent) - 1, code & (1 << mantissa) - 1
    shift = (1 << exponent - 1) - 1
    value = np.where(high > 0, 1 + low / 2.0**mantissa, low / 2.0**mantissa) * 2.0 ** (
        np.maximum(high, 1) - shift
    )
    if infinite:
        value = np.where(high == (1 << exponent) - 1, np.where(low == 0, np.inf, np.nan), value)
    else:
        value = np.where(code & 127 == 127, np.nan, value)
    return np.where(code & 128, -value, value).astype(np.float32)[bits]


def widened(values: Any, kind: str) -> Any:
    """Raw bits of a narrow float type as float32: ``BF16``, ``F8_E4M3`` or ``F8_E5M2``."""
    if kind == "BF16":  # the upper half of a float32
        return (values.astype("<u4") << 16).view("<f4")
    return narrow_floats(values, **_FLOATS[kind])


_FLOATS: Final[Mapping[str, Any]] = {
    "F8_E4M3": {"exponent": 4, "mantissa": 3, "infinite": False},
    "F8_E5M2": {"exponent": 5, "mantissa": 2, "infinite": True},
}
NARROW: Final = {"BF16": "<u2", **dict.fromkeys(_FLOATS, "|u1")}
"""The types that `widened` takes, with the NumPy types of their bits."""
