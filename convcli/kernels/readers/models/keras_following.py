"""What follows a layer in a Keras model: batch normalization and activations that have no other input."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any, Final

from convcli.core.frozen import frozen, replace
from convcli.kernels.readers.models.following import (
    KERAS_FUNCTIONS,
    KERAS_LAYERS,
    MOST,
    Following,
    as_number,
    normalization,
)

_IDLE: Final = ("Dropout", "SpatialDropout2D", "GaussianDropout", "GaussianNoise", "ActivityRegularization")
"""Layers that do nothing in inference."""
_UNSUPPORTED: Final = (
    "ELU", "GroupNormalization", "LayerNormalization", "PReLU", "Softmax", "UnitNormalization",
)  # fmt: skip
_LAST_AXES: Final = (-1, 3, [-1], [3])
_PARTS: Final = ("gamma", "beta", "moving_mean", "moving_variance")
Values = Callable[[str, str], Any]
"""The values of a layer's variable, by the layer's name and the variable's name or number; or None."""


@frozen(eq=False)
class Placed:
    """A layer with the layers that follow it alone, in order, as their classes and settings."""

    settings: Mapping[str, Any]
    after: tuple[tuple[str, Mapping[str, Any]], ...] = ()


def following(placed: Placed, values: Values) -> Following:
    """What is computed after a convolution: its own activation first.

    Args:
        values: of the variables of the model's layers.
    """
    done = _activated(Following(), placed.settings.get("activation"))
    for kind, settings in placed.after:
        after = None if done.unsupported else _with(done, kind, settings, values)
        if after is None:
            break
        done = after
    return done


def _with(done: Following, kind: str, settings: Mapping[str, Any], values: Values) -> Following | None:
    """What is computed up to this layer; None for one that is no part of the layer before it."""
    if kind in _IDLE:
        return done
    if kind == "Activation":
        return _activated(done, settings.get("activation"))
    if kind in KERAS_LAYERS:
        return done.activated(KERAS_LAYERS[kind](settings), kind)
    if kind == "BatchNormalization":
        return _normalized(done, settings, values)
    return replace(done, unsupported=kind) if kind in _UNSUPPORTED else None


def _activated(done: Following, activation: Any) -> Following:
    """With an activation: a word, or a function or layer that Keras has serialized."""
    if isinstance(activation, dict):
        kind, settings = str(activation.get("class_name")), activation.get("config")
        if kind in KERAS_LAYERS and isinstance(settings, dict):
            return done.activated(KERAS_LAYERS[kind](settings), kind)
        activation = settings if isinstance(settings, str) else kind
    if activation is None:
        return done
    return done.activated(KERAS_FUNCTIONS.get(str(activation)), str(activation))


def _normalized(done: Following, settings: Mapping[str, Any], values: Values) -> Following:
    epsilon = as_number(settings.get("epsilon"), 1e-3)
    if settings.get("axis", -1) not in _LAST_AXES or epsilon is None:
        return replace(done, unsupported="BatchNormalization over another axis than the channels")
    used = [settings.get("scale", True), settings.get("center", True), True, True]
    name, number, parts = str(settings.get("name")), 0, []
    for part, is_used in zip(_PARTS, used, strict=True):
        value = None
        if is_used:
            value = values(name, part)
            value = values(name, str(number)) if value is None else value
            number += 1
        parts.append(value)
    if any(value is None for value, is_used in zip(parts, used, strict=True) if is_used):
        return replace(done, unsupported="BatchNormalization whose values are not in the file")
    if len({value.shape for value in parts if value is not None}) != 1:
        return replace(done, unsupported="BatchNormalization with values of different shapes")
    factors, offsets = normalization(parts, epsilon)
    return done.scaled(factors, offsets, "BatchNormalization")


def placed_layers(config: Any) -> dict[str, Placed]:
    """Every convolution of a model's settings by name, nested models included.

    The settings have one more key, ``class``.
    """
    found: dict[str, Placed] = {}
    pending = [config]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            settings = value.get("config")
            if isinstance(settings, dict):
                if "kernel_size" in settings:
                    found.setdefault(str(settings.get("name")), Placed(_classed(value)))
                if isinstance(settings.get("layers"), list):
                    found |= _in_model(str(value.get("class_name")), settings)
            pending += value.values()
        elif isinstance(value, list):
            pending += value
    return found


def _classed(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    settings = entry.get("config")
    return {**(settings if isinstance(settings, dict) else {}), "class": str(entry.get("class_name"))}


def _in_model(kind: str, config: Mapping[str, Any]) -> dict[str, Placed]:
    """The convolutions of a model, each with the layers that follow it alone."""
    entries = [entry for entry in config["layers"] if isinstance(entry, dict)]
    layers = [_classed(entry) for entry in entries]
    names = [str(settings.get("name")) for settings in layers]
    if kind == "Sequential":
        next_of = dict(pairwise(names))
    else:
        next_of = _only_consumers(entries, names, config.get("output_layers"))
    by_name = dict(zip(names, layers, strict=True))
    return {
        name: Placed(settings, tuple(_chain(name, next_of, by_name)))
        for name, settings in by_name.items()
        if "kernel_size" in settings
    }


def _chain(
    name: str, next_of: Mapping[str, str], by_name: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for _ in range(MOST):
        if name not in next_of:
            return
        name = next_of[name]
        yield by_name[name]["class"], by_name[name]


def _only_consumers(entries: list[dict[str, Any]], names: list[str], outputs: Any) -> dict[str, str]:
    """The layer that follows each layer, where it is called once and its result is used once."""
    consumers: dict[str, list[str]] = {name: [] for name in names}
    called = {}
    for name, entry in zip(names, entries, strict=True):
        nodes = entry.get("inbound_nodes")
        called[name] = len(nodes) if isinstance(nodes, list) else 0
        for source in _sources(nodes):
            consumers.setdefault(source, []).append(name)
    for source in _sources(outputs):
        consumers.setdefault(source, []).append("")
    return {
        name: after[0]
        for name, after in consumers.items()
        if len(after) == 1 and after[0] and called.get(name) == 1 == called[after[0]]
    }


def _sources(value: Any) -> Iterator[str]:
    """The names of layers in references, which are lists of a name and at least two numbers."""
    if isinstance(value, list):
        if len(value) > 2 and isinstance(value[0], str) and all(type(item) is int for item in value[1:3]):
            yield value[0]
            return
        for item in value:
            yield from _sources(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _sources(item)
