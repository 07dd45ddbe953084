"""What follows a convolution in its network: batch normalization, and activations as stages of ``--then``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf
from numbers import Real
from typing import Any, Final

import numpy as np

from convcli.core.frozen import frozen, replace

MOST: Final = 8
"""Most nodes or layers after a convolution that are looked at."""


@frozen(eq=False)
class Following:
    """The operations after a convolution, up to the first that belongs to another layer.

    Attributes:
        factors, offsets: of batch normalization, one for each map: factor · value + offset.
        activation: stages, in order.
        unsupported: the first operation that no stage computes; empty without one.
    """

    factors: Any = None
    offsets: Any = None
    activation: tuple[str, ...] = ()
    unsupported: str = ""

    def scaled(self, factors: Any, offsets: Any, name: str) -> Following:
        """With one more operation factor · value + offset, which an activation before it rules out."""
        if self.activation:
            return replace(self, unsupported=f"{name} after {' and '.join(self.activation)}")
        if self.factors is None:
            return replace(self, factors=factors, offsets=offsets)
        return replace(self, factors=self.factors * factors, offsets=self.offsets * factors + offsets)

    def activated(self, stages: tuple[str, ...] | None, name: str) -> Following:
        """With one more activation; None is one that no stage computes."""
        if stages is None:
            return replace(self, unsupported=name)
        return replace(self, activation=(*self.activation, *stages))


def normalization(values: Sequence[Any], epsilon: float) -> tuple[Any, Any]:
    """Factors and offsets of batch normalization in inference (Ioffe and Szegedy, 2015), as float64.

    Args:
        values: gamma (1 if None), beta (0 if None), mean and variance, of one axis.
    """
    gamma, beta, mean, variance = values
    with np.errstate(all="ignore"):  # values that are not numbers are refused with the layer
        factors = 1 / np.sqrt(variance.astype(np.float64) + epsilon)
        factors = factors if gamma is None else gamma * factors
        offsets = -mean * factors
        return factors, offsets if beta is None else beta + offsets


def clip(low: float, high: float) -> tuple[str, ...] | None:
    """The stages of a clip; an infinite limit is none."""
    if (low, high) in _CLIPS:
        return _CLIPS[low, high]
    if not (abs(low) < inf and abs(high) < inf and low <= high):
        return None
    return (f"clip:{number(low)},{number(high)}",)


def leaky(slope: float) -> tuple[str, ...] | None:
    """The stages of a rectifier with a slope below 0."""
    if not abs(slope) < inf:
        return None
    return (f"leaky-relu:{number(slope)}",) if slope else ("relu",)


def number(value: float) -> str:
    """A float32 of a file with the digits that it needs: 0.1, not 0.10000000149."""
    text = str(np.float32(value))
    return text.removesuffix(".0")


def as_number(value: Any, default: float) -> float | None:
    """A number in a model's settings; None for anything else."""
    value = default if value is None else value
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) else None


_CLIPS: Final[dict[tuple[float, float], tuple[str, ...]]] = {
    (0, 6): ("relu6",),
    (0, inf): ("relu",),
    (-inf, inf): (),
}


def _rectifier(settings: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Keras's ReLU, with a largest value or a slope."""
    high = as_number(settings.get("max_value"), inf)
    slope = as_number(settings.get("negative_slope"), 0)
    if high is None or slope is None or as_number(settings.get("threshold"), 0) != 0:
        return None
    if slope:
        return leaky(slope) if high == inf else None
    return clip(0, high)


def _leaky_rectifier(settings: Mapping[str, Any]) -> tuple[str, ...] | None:
    slope = as_number(settings.get("negative_slope", settings.get("alpha")), 0.3)
    return None if slope is None else leaky(slope)


KERAS_FUNCTIONS: Final[dict[str, tuple[str, ...]]] = {
    "linear": (),
    "relu": ("relu",),
    "relu6": ("relu6",),
    "leaky_relu": ("leaky-relu:0.2",),
    "sigmoid": ("sigmoid",),
    "tanh": ("tanh",),
    "hard_tanh": ("clip:-1,1",),
}
"""Activations of Keras that are named by a word, with its default arguments."""

KERAS_LAYERS: Final[dict[str, Callable[[Mapping[str, Any]], tuple[str, ...] | None]]] = {
    "ReLU": _rectifier,
    "LeakyReLU": _leaky_rectifier,
}
"""Activations of Keras that are layers with settings."""

ONNX_PLAIN: Final[dict[str, tuple[str, ...]]] = {
    "Relu": ("relu",),
    "Sigmoid": ("sigmoid",),
    "Tanh": ("tanh",),
    "Abs": ("abs",),
    "Identity": (),
    "Dropout": (),
}
"""Nodes that are stages of their own, or do nothing in inference."""

ONNX_UNSUPPORTED: Final = frozenset(
    (
        "Celu", "Elu", "Gelu", "GroupNormalization", "HardSigmoid", "HardSwish", "Hardmax",
        "InstanceNormalization", "LRN", "LayerNormalization", "LogSoftmax", "LpNormalization", "Mish",
        "PRelu", "Selu", "Shrink", "Softmax", "Softplus", "Softsign", "Swish", "ThresholdedRelu",
    )
)  # fmt: skip
"""Activations and normalizations that no stage computes."""
