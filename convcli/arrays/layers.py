"""Weights and inputs as the engine takes them: a filter, and the axes of an array in the engine's order."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from convcli.arrays.arguments import Options, as_array
from convcli.core.dtypes import Array
from convcli.core.errors import ArgumentError, literal, quoted
from convcli.core.frozen import frozen
from convcli.core.numerals import axes_text, counted
from convcli.core.rational import Number, exact_number
from convcli.engine.filter import Filter
from convcli.kernels.channels import transposed_channels
from convcli.kernels.kernel import LARGEST_BIAS, Kernel, with_numbers
from convcli.kernels.library import load_kernel


@frozen(eq=False)
class Layer:
    """Prepared weights.

    Attributes:
        spatial: number of spatial axes.
        per_channel: whether every channel is filtered on its own, by the same weights.
    """

    filter: Filter
    spatial: int
    per_channel: bool


@frozen(eq=False)
class Layout:
    """How an input is seen as values, (batch, depth, rows, columns, channels to sum, lanes to keep apart).

    Attributes:
        first: whether channels come before the spatial axes of the input.
        is_batch: whether the input has a batch axis.
    """

    shape: tuple[int, ...]
    first: bool
    is_batch: bool

    def applied(self, x: Array) -> Array:
        """The values of an input."""
        if self.first:
            x = np.moveaxis(x, 1 if self.is_batch else 0, -1)
        return x.reshape(self.shape)


def known_kernel(weights: Any) -> Kernel | None:
    """The `Kernel` that was passed or named; None for an array."""
    if isinstance(weights, str):
        return load_kernel(weights)
    return weights if isinstance(weights, Kernel) else None


def layer_of(weights: Any, bias: Any, options: Options) -> Layer:
    known = known_kernel(weights)
    kernel, spatial = (known, len(known.window)) if known else _of_array(weights, options)
    plain = len(kernel.shape) == spatial
    per_channel = plain or kernel.combine is not None
    if options.channels is None and not per_channel and kernel.tensor_shape[-2:] != (1, 1):
        raise ArgumentError(
            f"weights have {axes_text(len(kernel.shape))}, (k…, in, out); "
            "x needs a channel axis and channels='last' or 'first'"
        )
    added = _bias(bias, 1 if plain else kernel.shape[-1], kernel.exact is not None)
    if added is None and kernel.layer is not None:
        added = kernel.own_bias
    prepared = Filter.of(kernel, spatial=spatial, flip=options.flip != options.transposed, bias=added)
    return Layer(prepared, spatial, per_channel and options.groups == 1)


def _of_array(weights: Any, options: Options) -> tuple[Kernel, int]:
    """An array as a Kernel of (k…), or (k…, in, out) if it has channels, and its spatial axes."""
    channels = options.channels
    raw = as_array("weights", with_numbers(weights))
    layered = raw.ndim > 2 and channels is not None
    spatial = raw.ndim - 2 if layered else raw.ndim
    if not 1 <= spatial <= 3:
        allowed = "1 to 5" if channels else "1 to 3, or up to 5 with channels='last' or 'first'"
        raise ArgumentError(f"weights have {axes_text(raw.ndim)}; allowed: {allowed}")
    if layered and channels == "first":
        raw = np.moveaxis(raw, (0, 1), (-1, -2))
    if layered and options.transposed:
        raw = transposed_channels(raw, options.groups)
    return Kernel(raw, copy=False), spatial


def plain_kernel(weights: Any) -> Kernel:
    """Weights as a kernel: an array with an axis for each that is filtered, and none for channels.

    Raises:
        ArgumentError: an array with another number of axes than 1 to 3.
        KernelError: as for `conv`.
    """
    known = known_kernel(weights)
    if known is not None:
        return known
    raw = as_array("weights", with_numbers(weights))
    if not 1 <= raw.ndim <= 3:
        raise ArgumentError(f"weights have {axes_text(raw.ndim)}; allowed without channels: 1 to 3")
    return Kernel(raw, copy=False)


def _bias(bias: Any, maps: int, exact: bool) -> tuple[Number, ...] | None:
    """One number per map; floats for a kernel of floats, which take less time."""
    if bias is None:
        return None
    array = as_array("bias", bias)
    values = array.ravel().tolist()
    if array.dtype.kind not in "iubfO" or not all(isinstance(value, Real) for value in values):
        raise ArgumentError(f"bias {quoted(bias)} is not a number, or one per map")
    if len(values) not in (1, maps):
        allowed = "1" if maps == 1 else f"1, or one for each of {maps} maps"
        raise ArgumentError(f"bias has {len(values)} values; allowed: {allowed}")
    if not all(abs(value) <= LARGEST_BIAS for value in values):
        raise ArgumentError(f"bias has a value that is not a number up to {LARGEST_BIAS:g}")
    numbers = tuple(map(exact_number if exact else float, values))
    return numbers * maps if len(numbers) == 1 else numbers


def layout_of(sizes: tuple[int, ...], layer: Layer, options: Options) -> Layout:
    """The layout of an input of this shape."""
    (batch, *spatial, inputs), is_batch = _channels_last(sizes, layer.spatial, options.channels)
    channels, lanes = (1, inputs) if layer.per_channel else (inputs, 1)
    _check_groups(channels, layer.filter, options.groups)
    missing = (1,) * (3 - layer.spatial)
    shape = (batch, *missing, *spatial, channels, lanes)
    return Layout(shape, options.channels == "first", is_batch)


def _channels_last(
    sizes: tuple[int, ...], spatial: int, channels: str | None
) -> tuple[tuple[int, ...], bool]:
    """The shape (batch, spatial…, in), and whether there is a batch axis."""
    count = len(sizes)
    if channels is None:
        if count != spatial:
            raise ArgumentError(
                f"x has {axes_text(count)}, but weights have {spatial}; "
                "they must match, unless channels='last' or 'first' names a channel axis of x"
            )
        return (1, *sizes, 1), False
    if count not in (spatial + 1, spatial + 2):
        raise ArgumentError(
            f"x has {axes_text(count)}; allowed with {spatial} spatial and a channel axis: "
            f"{spatial + 1}, or {spatial + 2} with a batch axis"
        )
    is_batch = count == spatial + 2
    batch, *others = sizes if is_batch else (1, *sizes)
    if channels == "first":
        others = [*others[1:], others[0]]
    return (batch, *others), is_batch


def _check_groups(channels: int, filter_: Filter, groups: int) -> None:
    if channels % groups or filter_.maps % groups:
        inputs = counted(channels, "input channel")
        raise ArgumentError(
            f"groups {literal(groups)} does not divide {inputs} and {counted(filter_.maps, 'map')}"
        )
    if channels // groups != filter_.inputs:
        raise ArgumentError(
            f"weights take {counted(filter_.inputs, 'input channel')}; "
            f"x has {channels} in {literal(groups)} group{'s' * (groups != 1)}"
        )
