"""The network of a Keras model, from its settings alone: Keras is not imported, and no weights are read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from convcli.core.errors import one_line, quoted
from convcli.kernels.readers.models.keras import model_settings
from convcli.networks.effects import Elementwise, Opaque
from convcli.networks.graph import Network, NetworkError, Node, Sizes, no_values, ordered
from convcli.networks.keras.calls import layer_name, read_tensors, references, result_of
from convcli.networks.keras.layer import Made, Settings
from convcli.networks.keras.registry import LAYERS
from convcli.networks.sizing import input_sizes

_MODELS: Final = ("Functional", "Sequential", "Model")
_MOST_NODES: Final = 50_000


def read(path: Path, image: tuple[int, int, int] | None) -> Network:
    """The network of a ``.keras`` or ``.h5`` file for an image of (rows, columns, channels).

    Args:
        image: None for the sizes that the model states, which may be unknown.

    Raises:
        NetworkError: settings that are damaged, or an image that does not fit.
        KernelError: not a Keras file.
    """
    place = one_line(str(path))
    if not path.exists():
        raise NetworkError(f"{place}: No such file or directory")
    text = model_settings(path)
    try:
        reader = _Reader(place, image)
        outputs = reader.model(json.loads(text), "", None)
    except NetworkError:
        raise
    except RecursionError as error:
        raise NetworkError(f"{place}: damaged: models are nested too deeply") from error
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise NetworkError(f"{place}: damaged, or the settings of another version of Keras") from error
    if not reader.nodes:
        raise NetworkError(f"{place}: damaged: it has no layers")
    return Network(place, reader.input, reader.layout, tuple(reader.nodes), reader.sizes, tuple(outputs))


class _Reader:
    """Reads a model and those inside it."""

    def __init__(self, place: str, image: tuple[int, int, int] | None) -> None:
        self.place, self.image = place, image
        self.input, self.layout = "", "NHWC"
        self.nodes: list[Node] = []
        self.sizes: dict[str, Sizes | None] = {}
        self.names: dict[str, int] = {}

    def model(self, settings: Mapping[str, Any], prefix: str, inputs: list[str] | None) -> list[str]:
        """Add the nodes of a model.

        Args:
            prefix: of the names of its layers.
            inputs: tensors that it is applied to; None for the outermost model.

        Returns:
            Its output tensors.
        """
        config = settings["config"]
        layers = config["layers"] if isinstance(config, dict) else config
        if settings["class_name"] == "Sequential":
            return self._sequence(layers, prefix, inputs)
        return self._graph(config, layers, prefix, inputs)

    def _sequence(
        self, layers: Sequence[Mapping[str, Any]], prefix: str, inputs: list[str] | None
    ) -> list[str]:
        tensors = inputs
        for layer in layers:
            if layer["class_name"] == "InputLayer":
                tensors = tensors or [self._input(layer, prefix)]
                continue
            if tensors is None:
                first = layer["config"].get("batch_input_shape") or layer["config"].get("batch_shape")
                tensors = [self._image("input", first)]
            tensors = self._layer(layer, prefix, tensors)
        return tensors or []

    def _graph(
        self,
        config: Mapping[str, Any],
        layers: Sequence[Mapping[str, Any]],
        prefix: str,
        inputs: list[str] | None,
    ) -> list[str]:
        """A model whose layers name those that they read."""
        tensors: dict[tuple[str, int], list[str]] = {}
        names = [name for name, *_ in references(config["input_layers"])]
        given = dict(zip(names, inputs or [], strict=False))
        calls = {
            (layer_name(layer), index): (layer, list(read_tensors(call)))
            for layer in layers
            for index, call in enumerate(layer.get("inbound_nodes") or [])
        }
        for layer in layers:
            if layer["class_name"] == "InputLayer":
                name = layer_name(layer)
                tensors[name, 0] = [given[name] if inputs is not None else self._input(layer, prefix)]
        for key in self._order(calls, tensors):
            layer, reads = calls[key]
            used = [result_of(tensors[name, node], index) for name, node, index in reads]
            tensors[key] = self._layer(layer, prefix, used)
        outputs = references(config["output_layers"])
        return [result_of(tensors[name, node], index) for name, node, index in outputs]

    def _order(self, calls: Mapping[tuple[str, int], Any], ready: Mapping[tuple[str, int], Any]) -> list[Any]:
        needed = {
            key: [(name, node) for name, node, _ in reads if (name, node) not in ready]
            for key, (_, reads) in calls.items()
            if key not in ready
        }
        order = ordered(needed, lambda key: str(key[0]), "layers", self.place)
        missing = next((name for name, node in order if (name, node) not in calls), None)
        if missing is not None:
            raise NetworkError(f"{self.place}: damaged: layer {quoted(missing)} is read, and does not exist")
        return order

    def _input(self, layer: Mapping[str, Any], prefix: str) -> str:
        config = layer["config"]
        stated = config.get("batch_shape") or config.get("batch_input_shape")
        return self._image(prefix + layer_name(layer), stated)

    def _image(self, name: str, stated: Sequence[int | None] | None) -> str:
        """The input of the outermost model."""
        if self.input:
            raise NetworkError(f"{self.place}: has several inputs; only networks of one image are read")
        if stated is None or len(stated) != 4:
            raise NetworkError(
                f"{self.place}: its input has sizes {quoted(stated)}; an image has 4 (batch, rows, columns, "
                "channels)"
            )
        sizes = tuple(size if isinstance(size, int) and size > 0 else None for size in stated)
        self.sizes[name], self.layout = input_sizes(sizes, self.image, self.place)
        self.input = name
        return name

    def _layer(self, layer: Mapping[str, Any], prefix: str, inputs: list[str]) -> list[str]:
        """Add a layer, or the layers of a model; the tensors that it computes."""
        kind, own = str(layer["class_name"]), prefix + layer_name(layer)
        if kind in _MODELS and isinstance(layer["config"], (dict, list)) and "layers" in layer["config"]:
            return self.model(layer, f"{own}/", inputs)
        if len(self.nodes) >= _MOST_NODES:
            raise NetworkError(f"{self.place}: more than {_MOST_NODES} layers")
        name = self._unique(own)
        config, sizes = layer["config"], [self.sizes[entry] for entry in inputs]
        made = _made(kind, config, sizes)
        result = made.sizes
        if result is not None and any(size is not None and size < 1 for size in result):
            raise no_values(f"layer {quoted(name)}", kind, sizes[0] or (), self.place)
        self.sizes[name] = result
        parameters = {f"{own}/{key}": count for key, count in made.parameters.items()}
        details = " ".join(filter(None, (made.details, _activation(config))))
        plain = isinstance(made.effect, Elementwise) and len(inputs) == 1 and not parameters
        products = made.multiply_adds
        self.nodes.append(
            Node(name, kind, tuple(inputs), (name,), made.effect, details, parameters, products, plain)
        )
        return [name]

    def _unique(self, name: str) -> str:
        """The name; with a number from the second use of a layer on."""
        self.names[name] = count = self.names.get(name, 0) + 1
        return name if count == 1 else f"{name}:{count}"


def _activation(config: Mapping[str, Any]) -> str:
    """The activation of a layer with weights, as text."""
    value = config.get("activation") if isinstance(config, dict) else None
    if isinstance(value, dict):
        value = value.get("config") if isinstance(value.get("config"), str) else value.get("class_name")
    return "" if value in (None, "linear") else f"+ {one_line(str(value))}"


def _made(kind: str, config: Mapping[str, Any], inputs: list[Sizes | None]) -> Made:
    """What a layer does; an unknown one, or one with settings that are not understood, is opaque."""
    make = LAYERS.get(kind)
    if make is None or not inputs or not isinstance(config, dict):
        return Made(Opaque(), None, multiply_adds=None if make else 0)
    try:
        return make(Settings(config), [sizes for sizes in inputs if sizes is not None] or [()])
    except (ValueError, KeyError, TypeError, IndexError, ZeroDivisionError):
        return Made(Opaque(), None, multiply_adds=None)
