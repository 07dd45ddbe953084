"""Layers that normalize, and softmax."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from convcli.networks.effects import Elementwise, Mixing
from convcli.networks.graph import Sizes
from convcli.networks.keras.layer import Made, Settings


def batch_normalization(settings: Settings, inputs: list[Sizes]) -> Made:
    """``BatchNormalization``, by the mean and variance of training."""
    sizes, axis = inputs[0], settings.get("axis", -1)
    count = sizes[axis[0] if isinstance(axis, list) else axis] or 0
    parameters = {**_scale_and_shift(settings, count), "moving_mean": count, "moving_variance": count}
    return Made(Elementwise(), sizes, "", parameters)


def layer_normalization(settings: Settings, inputs: list[Sizes]) -> Made:
    """``LayerNormalization``."""
    axes = settings.axes(inputs[0])
    count = prod(inputs[0][axis] or 0 for axis in axes)
    return Made(Mixing(frozenset(axes)), inputs[0], "", _scale_and_shift(settings, count))


def normalization(settings: Settings, inputs: list[Sizes]) -> Made:
    """``Normalization``, by the mean and variance that it was adapted to."""
    count = inputs[0][settings.get("axis", -1)] or 0
    return Made(Elementwise(), inputs[0], "", {"mean": count, "variance": count, "count": 1})


def softmax(settings: Settings, inputs: list[Sizes]) -> Made:
    """``Softmax``."""
    return Made(Mixing(frozenset(settings.axes(inputs[0]))), inputs[0])


def _scale_and_shift(settings: Settings, count: int) -> Mapping[str, int]:
    used = {"gamma": settings.get("scale", True), "beta": settings.get("center", True)}
    return {name: count for name, is_used in used.items() if is_used}
