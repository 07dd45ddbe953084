"""The graph of a Keras model, from its settings alone: Keras is not imported, and no weights are read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from graphlib import CycleError, TopologicalSorter
from math import prod
from pathlib import Path
from typing import Any, Final

from convcli.core.errors import one_line, quoted
from convcli.core.frozen import frozen
from convcli.kernels.readers.models.keras import model_settings
from convcli.networks.graph import (
    Effect,
    Elementwise,
    Joining,
    Mixing,
    Network,
    NetworkError,
    Node,
    Opaque,
    Permuting,
    Reducing,
    Reshaping,
    Scaling,
    Sizes,
    Sliding,
    Taps,
    window_text,
)
from convcli.networks.sizing import input_sizes

_MODELS: Final = ("Functional", "Sequential", "Model")
_MOST_NODES: Final = 50_000
_LARGEST: Final = 2**40
"""The largest size, stride or number of maps."""


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


@frozen(eq=False)
class _Made:
    """What a layer does to the sizes of its inputs.

    Attributes:
        parameters: numbers of trained values by the name of the variable.
    """

    effect: Effect
    sizes: Sizes | None
    details: str = ""
    parameters: Mapping[str, int] = {}
    multiply_adds: int | None = 0


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
        names = [name for name, *_ in _references(config["input_layers"])]
        given = dict(zip(names, inputs or [], strict=False))
        calls = {
            (_name(layer), index): (layer, list(_read(call)))
            for layer in layers
            for index, call in enumerate(layer.get("inbound_nodes") or [])
        }
        for layer in layers:
            if layer["class_name"] == "InputLayer":
                name = _name(layer)
                tensors[name, 0] = [given[name] if inputs is not None else self._input(layer, prefix)]
        for key in self._order(calls, tensors):
            layer, reads = calls[key]
            used = [_result(tensors[name, node], index) for name, node, index in reads]
            tensors[key] = self._layer(layer, prefix, used)
        outputs = _references(config["output_layers"])
        return [_result(tensors[name, node], index) for name, node, index in outputs]

    def _order(self, calls: Mapping[tuple[str, int], Any], ready: Mapping[tuple[str, int], Any]) -> list[Any]:
        needed = {
            key: {(name, node) for name, node, _ in reads} - ready.keys()
            for key, (_, reads) in calls.items()
            if key not in ready
        }
        try:
            order = list(TopologicalSorter(needed).static_order())
        except CycleError as error:
            cycle = " → ".join(one_line(str(name)) for name, _ in error.args[1][:5])
            raise NetworkError(f"{self.place}: layers form a cycle: {cycle}") from error
        missing = next((name for name, node in order if (name, node) not in calls), None)
        if missing is not None:
            raise NetworkError(f"{self.place}: damaged: layer {quoted(missing)} is read, and does not exist")
        return order

    def _input(self, layer: Mapping[str, Any], prefix: str) -> str:
        config = layer["config"]
        stated = config.get("batch_shape") or config.get("batch_input_shape")
        return self._image(prefix + _name(layer), stated)

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
        kind, own = str(layer["class_name"]), prefix + _name(layer)
        if kind in _MODELS and isinstance(layer["config"], (dict, list)) and "layers" in layer["config"]:
            return self.model(layer, f"{own}/", inputs)
        if len(self.nodes) >= _MOST_NODES:
            raise NetworkError(f"{self.place}: more than {_MOST_NODES} layers")
        name = self._unique(own)
        config, sizes = layer["config"], [self.sizes[entry] for entry in inputs]
        made = _made(kind, config, sizes)
        result = made.sizes
        if result is not None and any(size is not None and size < 1 for size in result):
            shape = "×".join(map(str, sizes[0] or ()))
            where = f"{self.place}: layer {quoted(name)} ({one_line(kind)})"
            raise NetworkError(f"{where} makes no values of its {shape} input; use a larger image")
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


def _name(layer: Mapping[str, Any]) -> str:
    return str(layer.get("name") or layer["config"]["name"])


def _result(tensors: Sequence[str], index: int) -> str:
    """One of the results of a layer; those of layers that are not known stand for each other."""
    return tensors[min(index, len(tensors) - 1)]


def _references(value: Any) -> list[tuple[str, int, int]]:
    """Tensors as [layer, node, index], one or several."""
    entries = [value] if value and isinstance(value[0], str) else value
    return [(str(name), int(node), int(index)) for name, node, index, *_ in entries]


def _read(call: Any) -> Iterator[tuple[str, int, int]]:
    """The tensors that a call of a layer reads, in order, as Keras 3 or Keras 2 states them."""
    if isinstance(call, dict):
        history = call.get("config", {}).get("keras_history") if "class_name" in call else None
        if history is not None:
            yield str(history[0]), int(history[1]), int(history[2])
        else:
            for value in (call.get("args"), call.get("kwargs"), *([] if "args" in call else call.values())):
                if isinstance(value, (dict, list)):
                    yield from _read(value)
    elif isinstance(call, list):
        if len(call) in (3, 4) and isinstance(call[0], str) and isinstance(call[1], int):
            yield str(call[0]), int(call[1]), int(call[2])
        else:
            for value in call:
                if isinstance(value, (dict, list)):
                    yield from _read(value)


def _activation(config: Mapping[str, Any]) -> str:
    """The activation of a layer with weights, as text."""
    value = config.get("activation") if isinstance(config, dict) else None
    if isinstance(value, dict):
        value = value.get("config") if isinstance(value.get("config"), str) else value.get("class_name")
    return "" if value in (None, "linear") else f"+ {one_line(str(value))}"


def _made(kind: str, config: Mapping[str, Any], inputs: list[Sizes | None]) -> _Made:
    """What a layer does; an unknown one, or one with settings that are not understood, is opaque."""
    make = _LAYERS.get(kind)
    if make is None or not inputs or not isinstance(config, dict):
        return _Made(Opaque(), None, multiply_adds=None if make else 0)
    try:
        return make(_Settings(config), [sizes for sizes in inputs if sizes is not None] or [()])
    except (ValueError, KeyError, TypeError, IndexError, ZeroDivisionError):
        return _Made(Opaque(), None, multiply_adds=None)


@frozen(eq=False)
class _Settings:
    """The settings of a layer over images."""

    values: Mapping[str, Any]

    def get(self, name: str, default: Any = None) -> Any:
        value = self.values.get(name, default)
        return default if value is None else value

    def pair(self, name: str, default: Any = None) -> tuple[int, int]:
        """Two positive numbers; one counts for both."""
        value = self.get(name, default)
        rows, columns = (value, value) if isinstance(value, int) else value
        if not (1 <= rows <= _LARGEST and 1 <= columns <= _LARGEST):
            raise ValueError(name)
        return int(rows), int(columns)

    def count(self, name: str) -> int:
        value = self.values[name]
        if not isinstance(value, int) or not 1 <= value <= _LARGEST:
            raise ValueError(name)
        return value

    @property
    def is_first(self) -> bool:
        """Whether channels come before rows and columns."""
        return bool(self.get("data_format") == "channels_first")

    @property
    def spatial(self) -> tuple[int, int]:
        return (2, 3) if self.is_first else (1, 2)

    @property
    def channel(self) -> int:
        return 1 if self.is_first else 3

    def resized(self, sizes: Sizes, spatial: Sequence[int | None], channels: int | None) -> Sizes:
        """The sizes of a tensor with other rows, columns and channels."""
        changed = list(sizes)
        for axis, size in zip((*self.spatial, self.channel), (*spatial, channels), strict=True):
            changed[axis] = size
        return tuple(changed)


def _windows(settings: _Settings, sizes: Sizes, window: tuple[int, int], strides: tuple[int, int]) -> Any:
    """The taps and the sizes of rows and columns after windows with the padding of the settings."""
    dilations, same = settings.pair("dilation_rate", 1), settings.get("padding", "valid")
    if same not in ("same", "valid"):
        raise ValueError(same)
    taps, made = dict[int, Taps | Scaling](), list[int | None]()
    for axis, kernel, stride, dilation in zip(settings.spatial, window, strides, dilations, strict=True):
        size, extent, before = sizes[axis], (kernel - 1) * dilation + 1, 0
        if size is None:
            made.append(None)
        elif same == "same":
            made.append(-(-size // stride))
            before = max((-(-size // stride) - 1) * stride + extent - size, 0) // 2
        else:
            made.append((size - extent) // stride + 1)
        taps[axis] = Taps(kernel, stride, dilation, before)
    return taps, made, window_text(window, strides, dilations, settings.get("groups", 1))


def _product(*counts: int | None) -> int | None:
    known = [count for count in counts if count is not None]
    return prod(known) if len(known) == len(counts) else None


def _conv(settings: _Settings, inputs: list[Sizes]) -> _Made:
    sizes, maps, groups = inputs[0], settings.count("filters"), settings.get("groups", 1)
    window, strides = settings.pair("kernel_size"), settings.pair("strides", 1)
    taps, spatial, details = _windows(settings, sizes, window, strides)
    channels = sizes[settings.channel] or 0
    kernel = prod(window) * (channels // groups) * maps
    parameters = {"kernel": kernel, **({"bias": maps} if settings.get("use_bias", True) else {})}
    effect, products = Sliding(taps, frozenset({settings.channel})), _product(*spatial, kernel)
    return _Made(effect, settings.resized(sizes, spatial, maps), details, parameters, products)


def _depthwise(settings: _Settings, inputs: list[Sizes]) -> _Made:
    sizes = inputs[0]
    window, strides = settings.pair("kernel_size"), settings.pair("strides", 1)
    taps, spatial, details = _windows(settings, sizes, window, strides)
    channels = (sizes[settings.channel] or 0) * settings.get("depth_multiplier", 1)
    kernel = prod(window) * channels
    parameters = {"kernel": kernel, **({"bias": channels} if settings.get("use_bias", True) else {})}
    effect = Sliding(taps, frozenset({settings.channel}))
    return _Made(
        effect, settings.resized(sizes, spatial, channels), details, parameters, _product(*spatial, kernel)
    )


def _separable(settings: _Settings, inputs: list[Sizes]) -> _Made:
    sizes, maps = inputs[0], settings.count("filters")
    window, strides = settings.pair("kernel_size"), settings.pair("strides", 1)
    taps, spatial, details = _windows(settings, sizes, window, strides)
    channels = (sizes[settings.channel] or 0) * settings.get("depth_multiplier", 1)
    kernels = {"depthwise_kernel": prod(window) * channels, "pointwise_kernel": channels * maps}
    parameters = {**kernels, **({"bias": maps} if settings.get("use_bias", True) else {})}
    products = _product(*spatial, sum(kernels.values()))
    effect = Sliding(taps, frozenset({settings.channel}))
    return _Made(effect, settings.resized(sizes, spatial, maps), details, parameters, products)


def _transposed(settings: _Settings, inputs: list[Sizes]) -> _Made:
    sizes, maps = inputs[0], settings.count("filters")
    window, strides = settings.pair("kernel_size"), settings.pair("strides", 1)
    dilations, extra = settings.pair("dilation_rate", 1), settings.get("output_padding")
    extras = (extra, extra) if extra is None or isinstance(extra, int) else tuple(extra)
    taps, spatial = dict[int, Taps | Scaling](), list[int | None]()
    same = settings.get("padding", "valid") == "same"
    axes = zip(settings.spatial, window, strides, dilations, extras, strict=True)
    for axis, kernel, stride, dilation, more in axes:
        extent, same, size = (
            (kernel - 1) * dilation + 1,
            settings.get("padding", "valid") == "same",
            sizes[axis],
        )
        if size is None:
            made, before = None, max(extent - stride, 0) // 2 if same else 0
        elif more is None:
            made = size * stride if same else size * stride + max(extent - stride, 0)
            before = max((size - 1) * stride + extent - made, 0) // 2 if same else 0
        else:
            before = kernel // 2 if same else 0
            made = (size - 1) * stride + extent - 2 * before + more
        spatial.append(made)
        taps[axis] = Taps(kernel, 1, dilation, extent - 1 - before, up=stride)
    kernel = prod(window) * (sizes[settings.channel] or 0) * maps
    parameters = {"kernel": kernel, **({"bias": maps} if settings.get("use_bias", True) else {})}
    products = _product(*(sizes[axis] for axis in settings.spatial), kernel)
    effect = Sliding(taps, frozenset({settings.channel}))
    details = window_text(window, strides, dilations, up=True)
    return _Made(effect, settings.resized(sizes, spatial, maps), details, parameters, products)


def _pool(settings: _Settings, inputs: list[Sizes]) -> _Made:
    sizes, window = inputs[0], settings.pair("pool_size", 2)
    taps, spatial, details = _windows(settings, sizes, window, settings.pair("strides", window))
    return _Made(
        Sliding(taps, frozenset()), settings.resized(sizes, spatial, sizes[settings.channel]), details
    )


def _global(settings: _Settings, inputs: list[Sizes]) -> _Made:
    sizes, keeps = inputs[0], bool(settings.get("keepdims", False))
    channels = sizes[settings.channel]
    made = settings.resized(sizes, (1, 1), channels) if keeps else (sizes[0], channels)
    return _Made(Reducing(frozenset(settings.spatial), keeps), made)


def _dense(settings: _Settings, inputs: list[Sizes]) -> _Made:
    sizes, units = inputs[0], settings.count("units")
    kernel = (sizes[-1] or 0) * units
    parameters = {"kernel": kernel, **({"bias": units} if settings.get("use_bias", True) else {})}
    effect = Sliding({}, frozenset({len(sizes) - 1}))
    return _Made(effect, (*sizes[:-1], units), "", parameters, _product(*sizes[1:-1], kernel))


def _elementwise(settings: _Settings, inputs: list[Sizes]) -> _Made:
    longest = max(map(len, inputs))
    aligned = [(1,) * (longest - len(sizes)) + tuple(sizes) for sizes in inputs]
    return _Made(Elementwise(), tuple(map(_broadcast, zip(*aligned, strict=True))))


def _broadcast(sizes: Sequence[int | None]) -> int | None:
    others = {size for size in sizes if size != 1}
    if len(others) > 1 and None not in others:
        raise ValueError(sizes)
    return 1 if not others else next((size for size in others if size is not None), None)


def _batch_norm(settings: _Settings, inputs: list[Sizes]) -> _Made:
    sizes, axis = inputs[0], settings.get("axis", -1)
    count = sizes[axis[0] if isinstance(axis, list) else axis] or 0
    used = {"gamma": settings.get("scale", True), "beta": settings.get("center", True)}
    parameters = {name: count for name, is_used in used.items() if is_used}
    return _Made(Elementwise(), sizes, "", {**parameters, "moving_mean": count, "moving_variance": count})


def _layer_norm(settings: _Settings, inputs: list[Sizes]) -> _Made:
    sizes, axis = inputs[0], settings.get("axis", -1)
    axes = [entry % len(sizes) for entry in (axis if isinstance(axis, list) else [axis])]
    count = prod(sizes[entry] or 0 for entry in axes)
    used = {"gamma": settings.get("scale", True), "beta": settings.get("center", True)}
    parameters = {name: count for name, is_used in used.items() if is_used}
    return _Made(Mixing(frozenset(axes)), sizes, "", parameters)


def _normalization(settings: _Settings, inputs: list[Sizes]) -> _Made:
    count = inputs[0][settings.get("axis", -1)] or 0
    return _Made(Elementwise(), inputs[0], "", {"mean": count, "variance": count, "count": 1})


def _softmax(settings: _Settings, inputs: list[Sizes]) -> _Made:
    axis = settings.get("axis", -1)
    axes = axis if isinstance(axis, list) else [axis]
    return _Made(Mixing(frozenset(entry % len(inputs[0]) for entry in axes)), inputs[0])


def _prelu(settings: _Settings, inputs: list[Sizes]) -> _Made:
    shared = [axis % len(inputs[0]) for axis in settings.get("shared_axes", [])]
    sizes = [size or 0 for axis, size in enumerate(inputs[0]) if axis not in (0, *shared)]
    return _Made(Elementwise(), inputs[0], "", {"alpha": prod(sizes)})


def _concatenate(settings: _Settings, inputs: list[Sizes]) -> _Made:
    axis, sizes = settings.get("axis", -1) % len(inputs[0]), list(inputs[0])
    parts = [entry[axis] for entry in inputs]
    sizes[axis] = None if None in parts else sum(part for part in parts if part is not None)
    return _Made(Joining(frozenset({axis})), tuple(sizes))


def _flatten(settings: _Settings, inputs: list[Sizes]) -> _Made:
    return _Made(Reshaping(), (inputs[0][0], _product(*inputs[0][1:])))


def _reshape(settings: _Settings, inputs: list[Sizes]) -> _Made:
    target, total = list(settings.get("target_shape")), _product(*inputs[0][1:])
    known = prod(size for size in target if size != -1)
    rest = None if total is None else total // known
    return _Made(Reshaping(), (inputs[0][0], *(rest if size == -1 else size for size in target)))


def _permute(settings: _Settings, inputs: list[Sizes]) -> _Made:
    order = (0, *settings.get("dims"))
    return _Made(Permuting(order), tuple(inputs[0][axis] for axis in order))


def _upsampling(settings: _Settings, inputs: list[Sizes]) -> _Made:

    sizes, factors, mode = inputs[0], settings.pair("size", 2), settings.get("interpolation", "nearest")
    reach = {"nearest": 0, "bilinear": 1, "bicubic": 2}[mode]
    taps: dict[int, Taps | Scaling] = {
        axis: Taps(factor, before=factor - 1, up=factor)
        if reach == 0
        else Scaling(Fraction(1, factor), Fraction(1 - factor, 2 * factor), reach)
        for axis, factor in zip(settings.spatial, factors, strict=True)
    }
    spatial = [_product(sizes[axis], factor) for axis, factor in zip(settings.spatial, factors, strict=True)]
    made = settings.resized(sizes, spatial, sizes[settings.channel])
    return _Made(Sliding(taps, frozenset()), made, f"{mode} {'×'.join(map(str, factors))}")


def _sides(settings: _Settings, name: str) -> list[tuple[int, int]]:
    """Amounts (before, after) along rows and columns."""
    value = settings.get(name, 1)
    pairs = [value, value] if isinstance(value, int) else value
    return [(pair, pair) if isinstance(pair, int) else (int(pair[0]), int(pair[1])) for pair in pairs]


def _padding(settings: _Settings, inputs: list[Sizes]) -> _Made:
    return _moved(settings, inputs[0], _sides(settings, "padding"), 1)


def _cropping(settings: _Settings, inputs: list[Sizes]) -> _Made:
    return _moved(settings, inputs[0], _sides(settings, "cropping"), -1)


def _moved(settings: _Settings, sizes: Sizes, sides: list[tuple[int, int]], sign: int) -> _Made:
    pairs = list(zip(settings.spatial, sides, strict=True))
    taps: dict[int, Taps | Scaling] = {axis: Taps(before=sign * before) for axis, (before, _) in pairs}
    spatial = [None if sizes[axis] is None else (sizes[axis] or 0) + sign * sum(side) for axis, side in pairs]
    return _Made(Sliding(taps, frozenset()), settings.resized(sizes, spatial, sizes[settings.channel]))


_PLAIN: Final = (
    *("Activation", "ReLU", "LeakyReLU", "ELU", "ThresholdedReLU", "ActivityRegularization", "Identity"),
    *("Dropout", "SpatialDropout2D", "GaussianDropout", "GaussianNoise", "AlphaDropout", "Rescaling"),
    *("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"),
    *("RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation", "RandomContrast"),
)
_LAYERS: Final[Mapping[str, Callable[[_Settings, list[Sizes]], _Made]]] = {
    **dict.fromkeys(_PLAIN, _elementwise),
    **dict.fromkeys(("Conv2D", "Convolution2D"), _conv),
    "DepthwiseConv2D": _depthwise,
    "SeparableConv2D": _separable,
    "Conv2DTranspose": _transposed,
    **dict.fromkeys(("MaxPooling2D", "AveragePooling2D"), _pool),
    **dict.fromkeys(("GlobalMaxPooling2D", "GlobalAveragePooling2D"), _global),
    "Dense": _dense,
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm,
    "Normalization": _normalization,
    "Softmax": _softmax,
    "PReLU": _prelu,
    "Concatenate": _concatenate,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Permute": _permute,
    "UpSampling2D": _upsampling,
    "ZeroPadding2D": _padding,
    "Cropping2D": _cropping,
}
"""What each layer does; others are named in the table, and nothing after them is guessed."""
