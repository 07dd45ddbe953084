"""How the settings of a model state which tensors its layers read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def layer_name(layer: Mapping[str, Any]) -> str:
    """The name of a layer in its model."""
    return str(layer.get("name") or layer["config"]["name"])


def result_of(tensors: Sequence[str], index: int) -> str:
    """One of the results of a layer; those of layers that are not known stand for each other."""
    return tensors[min(index, len(tensors) - 1)]


def references(value: Any) -> list[tuple[str, int, int]]:
    """Tensors as [layer, node, index], one or several."""
    entries = [value] if value and isinstance(value[0], str) else value
    return [(str(name), int(node), int(index)) for name, node, index, *_ in entries]


def read_tensors(call: Any) -> Iterator[tuple[str, int, int]]:
    """The tensors that a call of a layer reads, in order, as Keras 3 or Keras 2 states them."""
    if isinstance(call, dict):
        history = call.get("config", {}).get("keras_history") if "class_name" in call else None
        if history is not None:
            yield str(history[0]), int(history[1]), int(history[2])
        else:
            for value in (call.get("args"), call.get("kwargs"), *([] if "args" in call else call.values())):
                if isinstance(value, (dict, list)):
                    yield from read_tensors(value)
    elif isinstance(call, list):
        if len(call) in (3, 4) and isinstance(call[0], str) and isinstance(call[1], int):
            yield str(call[0]), int(call[1]), int(call[2])
        else:
            for value in call:
                if isinstance(value, (dict, list)):
                    yield from read_tensors(value)
