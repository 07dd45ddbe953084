"""From a layer's weights in a library's own order to a Kernel."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

import numpy as np

from convcli.errors import KernelError, one_line
from convcli.kernel import LARGEST_KERNEL, About, Kernel, Layer
from convcli.rational import Number, exact_number
from convcli.values import replace

CHANNELS_FIRST: Final = "out, in, rows, columns"
"""The order of PyTorch and ONNX."""
CHANNELS_LAST: Final = "rows, columns, in, out"
"""The order of Keras."""


def needed(module: str, place: str) -> Any:
    """A library that reads a format, or the command that installs it.

    Raises:
        KernelError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise KernelError(
            f"{place}: reading it takes {module}; install it with: pip install 'convcli[models]'"
        ) from error


def layer_kernel(weights: Any, layer: Layer, name: str, place: str) -> Kernel:
    """Weights in the order that ``layer`` states as a kernel of (rows, columns, in, out).

    One-dimensional convolutions lose their row axis: they are one row high. Weights of two axes are
    (rows, columns) themselves.

    Raises:
        KernelError: other axes, or values that are not finite numbers.
    """
    where = f"{place}:{one_line(name)}"
    if weights.size > LARGEST_KERNEL:
        raise KernelError(f"{where}: {weights.size} weights; allowed: up to {LARGEST_KERNEL}")
    turned = _turned(weights, layer.order == CHANNELS_FIRST)
    if turned is None:
        raise KernelError(
            f"{where} has shape {weights.shape}; a convolution over pictures has 4 axes ({layer.order})"
        )
    maps = turned.shape[-1] if turned.ndim == 4 else 1
    if layer.bias and len(layer.bias) != maps:
        layer = replace(layer, bias=())
    source = f"{where}, kept as ({layer.order})"
    try:
        return Kernel(
            turned, name=name, layer=layer, about=About("Weights of a trained layer", source, ("layer",))
        )
    except KernelError as error:
        raise KernelError(f"{where}: {error}") from error


def _turned(weights: Any, first: bool) -> Any:
    match weights.ndim:
        case 2:
            return weights
        case 3:
            return (weights.transpose(2, 1, 0) if first else weights)[None]
        case 4:
            return weights.transpose(2, 3, 1, 0) if first else weights
    return None


def biases(values: Any) -> tuple[Number, ...]:
    """A bias vector as numbers."""
    flat = np.asarray(values).ravel()
    return tuple(exact_number(value) for value in flat.tolist()) if flat.dtype.kind in "iuf" else ()


def by_axis(values: Any) -> tuple[int, int]:
    """A layer's stride or dilation as (rows, columns): 1 where it says none or has no rows."""
    numbers = [int(value) for value in values or (1, 1)]
    return (1, numbers[0]) if len(numbers) == 1 else (numbers[0], numbers[1])


def is_convolution(shape: tuple[int, ...]) -> bool:
    """Whether weights of this shape can slide over a picture."""
    return len(shape) == 4
