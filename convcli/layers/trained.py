"""A trained layer as a whole, for arrays: the settings and the activation of the layer of a `Kernel`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array, DType, span
from convcli.core.errors import ArgumentError, quoted
from convcli.core.frozen import frozen
from convcli.kernels.kernel import Kernel
from convcli.layers.activations import parse_activation
from convcli.layers.stages import ActivationStage


@frozen
class LayerSettings:
    """The settings of a convolution, by default those of `conv`."""

    stride: int | tuple[int, ...] = 1
    padding: str = "valid"
    dilation: int | tuple[int, ...] = 1
    groups: int = 1
    transposed: bool = False
    output_padding: tuple[int, ...] | None = None


def whole_layer(weights: Any, is_sized: bool) -> tuple[Kernel, LayerSettings, tuple[ActivationStage, ...]]:
    """The kernel of a layer with its bias and batch normalization, its settings, and its activation.

    Args:
        is_sized: whether stride and padding are given by the caller.

    Raises:
        ArgumentError: weights without a layer, a layer whose file states neither stride nor padding, or an
            activation that is not supported.
    """
    layer = weights.layer if isinstance(weights, Kernel) else None
    if layer is None:
        raise ArgumentError(
            "layer=True needs the Kernel of a trained layer, as load_kernel('model.onnx:NAME') gives it"
        )
    name = quoted(weights.name)
    if not layer.padding and not is_sized:
        raise ArgumentError(
            f"the file of kernel {name} does not specify stride or padding; pass stride=… and padding=…"
        )
    if layer.unsupported:
        raise ArgumentError(
            f"the layer of kernel {name} is followed by {layer.unsupported}, which convcli does not compute; "
            "leave out layer=True and pass the layer's settings"
        )
    settings = LayerSettings(
        stride=layer.stride,
        padding=layer.padding or "valid",
        dilation=layer.dilation,
        groups=layer.groups,
        transposed=layer.transposed,
        output_padding=layer.output_padding if layer.transposed else None,
    )
    return weights.as_layer(), settings, tuple(map(parse_activation, layer.activation))


def activated(values: Array, stages: Sequence[ActivationStage], target: DType) -> Array:
    """Float values after activations, in the type ``target``; rounded if that is an integer type."""
    for stage in stages:
        values = _FUNCTIONS[stage.function](values, *map(float, stage.arguments))
    if target.kind == "f":
        return values.astype(target, copy=False)
    low, high = span(target)
    with np.errstate(invalid="ignore"):
        rounded: Array = np.clip(np.rint(np.nan_to_num(values, nan=0.0)), low, high).astype(target)
    return rounded


def _sigmoid(x: Array) -> Array:
    decay = np.exp(-np.abs(x))
    result: Array = np.where(x >= 0, 1, decay) / (1 + decay)
    return result


_FUNCTIONS: Final[dict[str, Callable[..., Array]]] = {
    "relu": lambda x: np.maximum(x, 0),
    "abs": np.abs,
    "clip": np.clip,
    "leaky-relu": lambda x, slope: np.where(x < 0, x * x.dtype.type(slope), x),
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
}
"""The activations that model files state."""
