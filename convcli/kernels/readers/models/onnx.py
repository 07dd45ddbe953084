"""ONNX: the weights of Conv and ConvTranspose nodes, stored as initializers or constants.

With them go the nodes' attributes, and the nodes that follow a convolution and nothing else:
BatchNormalization and activations.
"""

from __future__ import annotations

from math import inf, prod
from pathlib import Path
from typing import Any, Final

import numpy as np

from convcli.core.errors import KernelError, one_line, quoted
from convcli.core.frozen import replace
from convcli.kernels.kernel import Kernel
from convcli.kernels.readers.base import KernelFile
from convcli.kernels.readers.members import choose
from convcli.kernels.readers.models.base import (
    CHANNELS_FIRST,
    TRANSPOSED_FIRST,
    LayerAttributes,
    check_size,
    layer_kernel,
    numeric,
    required,
)
from convcli.kernels.readers.models.external import external_bytes
from convcli.kernels.readers.models.following import (
    MOST,
    ONNX_PLAIN,
    ONNX_UNSUPPORTED,
    Following,
    clip,
    leaky,
    normalization,
)
from convcli.kernels.readers.models.onnx_parsing import parsed

_LARGEST_FILE: Final = 2**31  # bytes, the limit of protocol buffers
_SUPPORTED: Final = {"Conv": CHANNELS_FIRST, "ConvTranspose": TRANSPOSED_FIRST}
"""Convolutions, with the order of their weights' axes."""
_UNSUPPORTED: Final = ("ConvInteger", "QLinearConv")
"""Convolutions whose weights have another meaning."""
_DEEPEST: Final = 8  # nodes between a constant and the Conv that uses it
_AUTOMATIC: Final = {"VALID": "valid", "SAME_UPPER": "same", "SAME_LOWER": "same-lower"}


def read(file: KernelFile, member: str | None) -> Kernel:
    """The weights of that name, or those of the Conv node of that name.

    Raises:
        KernelError: not an ONNX model, no such weights, or the onnx package is missing.
    """
    place = file.place
    onnx = required("onnx", place)
    if file.path.stat().st_size > _LARGEST_FILE:
        raise KernelError(f"{place}: larger than {_LARGEST_FILE} bytes, the limit for ONNX files")
    try:
        model = parsed(onnx, file.path.read_bytes())
    except OSError:
        raise
    except Exception as error:  # protobuf's errors have no common class
        raise KernelError(f"{place}: not an ONNX model") from error
    return _Graph(onnx, model.graph, file.path).kernel(member)


class _Graph:
    """The nodes of a model, and the tensors that are known without running it."""

    def __init__(self, onnx: Any, graph: Any, path: Path) -> None:
        self.onnx, self.path, self.place = onnx, path, one_line(str(path))
        self.producers = {name: node for node in graph.node for name in node.output}
        self.tensors = {tensor.name: tensor for tensor in graph.initializer}
        for name, node in self.producers.items():
            if node.op_type == "Constant" and (tensor := self._attributes(node).get("value")) is not None:
                self.tensors[name] = tensor
        self.results = {value.name for value in graph.output}
        self.consumers: dict[str, list[Any]] = {}
        for node in graph.node:
            for name in dict.fromkeys(node.input):
                self.consumers.setdefault(name, []).append(node)
        self.nodes = [node for node in graph.node if node.op_type in _SUPPORTED and len(node.input) > 1]
        self.unsupported = sorted({node.op_type for node in graph.node if node.op_type in _UNSUPPORTED})

    def kernel(self, member: str | None) -> Kernel:
        named = {node.name: node.input[1] for node in self.nodes if node.name}
        convolutions = list(dict.fromkeys(node.input[1] for node in self.nodes))
        if not convolutions and member is None and self.unsupported:
            raise KernelError(
                f"{self.place} contains no Conv node; {', '.join(self.unsupported)} is not supported"
            )
        if member is None:
            name = choose(convolutions, None, self.place, "convolution")
        else:
            known = list(dict.fromkeys([*self.tensors, *convolutions]))
            name = named.get(member) or choose(known, member, self.place, "tensor")
        weights = self._value(name, name, 0)
        users = [node for node in self.nodes if node.input[1] == name]
        node = next((node for node in users if node.name == member), users[0] if users else None)
        layer = LayerAttributes(CHANNELS_FIRST) if node is None else self._layer(node, name)
        return layer_kernel(weights, layer, name, self.place)

    def _attributes(self, node: Any) -> dict[str, Any]:
        """The attributes of a node; bytes as text."""
        attributes = {entry.name: self.onnx.helper.get_attribute_value(entry) for entry in node.attribute}
        return {
            key: value.decode("utf-8", "replace") if isinstance(value, bytes) else value
            for key, value in attributes.items()
        }

    def _layer(self, node: Any, name: str) -> LayerAttributes:
        attributes, bias = self._attributes(node), node.input[2] if len(node.input) > 2 else ""
        following = self._following(node, name)
        return LayerAttributes(
            _SUPPORTED[node.op_type],
            window=attributes.get("kernel_shape"),
            strides=attributes.get("strides"),
            dilations=attributes.get("dilations"),
            groups=attributes.get("group"),
            padding=self._padding(attributes, name),
            output_padding=self._output_padding(attributes, name),
            bias=self._value(bias, name, 0) if bias else None,
            through=self._through(name),
            factors=following.factors,
            offsets=following.offsets,
            activation=following.activation,
            unsupported=one_line(following.unsupported),
            states_activation=True,
        )

    def _following(self, node: Any, weights: str) -> Following:
        """What follows a Conv, as long as each result has a single consumer."""
        following, name = Following(), node.output[0]
        for _ in range(MOST):
            users = [] if name in self.results else self.consumers.get(name, [])
            if len(users) != 1 or following.unsupported:
                return replace(following, unsupported=following.unsupported or self._gate(name, users))
            after = self._with(following, users[0], name, weights)
            if after is None:
                return following
            following, name = after, users[0].output[0]
        return following

    def _with(self, following: Following, node: Any, name: str, weights: str) -> Following | None:
        """What follows up to this node, which takes the result ``name``; None for another layer's node."""
        kind = node.op_type
        if kind in ONNX_PLAIN and node.input[0] == name:
            return following.activated(ONNX_PLAIN[kind], kind)
        if kind == "LeakyRelu":
            return following.activated(leaky(self._attributes(node).get("alpha", 0.01)), kind)
        if kind == "Clip":
            return following.activated(self._clip(node, weights), kind)
        if kind == "BatchNormalization":
            return self._normalized(following, node, weights)
        if kind in ONNX_UNSUPPORTED:
            return following.activated(None, kind)
        return None

    def _clip(self, node: Any, weights: str) -> tuple[str, ...] | None:
        """The limits are attributes in old models, and inputs in others."""
        attributes = self._attributes(node)
        limits = [attributes.get("min", -inf), attributes.get("max", inf)]
        for index, name in enumerate(node.input[1:3]):
            if name:
                limits[index] = float(numeric(self._value(name, weights, 0), self.place).reshape(()))
        return clip(*limits)

    def _normalized(self, following: Following, node: Any, weights: str) -> Following:
        attributes = self._attributes(node)
        if attributes.get("training_mode", 0) or len(node.input) != 5:
            return replace(following, unsupported="BatchNormalization in training mode")
        where = f"{self.place}:{one_line(weights)}"
        values = [numeric(self._value(name, weights, 0), where) for name in node.input[1:]]
        if len({value.shape for value in values}) != 1 or values[0].ndim != 1:
            shapes = ", ".join(str(value.shape) for value in values)
            raise KernelError(f"{where}: damaged: BatchNormalization with values of shapes {shapes}")
        factors, offsets = normalization(values, attributes.get("epsilon", 1e-5))
        return following.scaled(factors, offsets, node.op_type)

    def _gate(self, name: str, users: list[Any]) -> str:
        """The nodes of an activation that multiplies a result by a function of it, as SiLU; or nothing."""
        for first in users if len(users) == 2 else ():
            kinds, node = [], first
            for _ in range(MOST):
                kinds.append(node.op_type)
                users_of_it = self.consumers.get(node.output[0], [])
                if node.op_type == "Mul" and name in node.input and len(kinds) > 1:
                    return " and ".join(kinds)
                if len(users_of_it) != 1:
                    break
                node = users_of_it[0]
        return ""

    def _padding(self, attributes: dict[str, Any], name: str) -> Any:
        """A word, or numbers: the starts of all axes, then their ends."""
        automatic = attributes.get("auto_pad", "NOTSET")
        if automatic in _AUTOMATIC:
            return _AUTOMATIC[automatic]
        if automatic != "NOTSET":
            allowed = ", ".join(("NOTSET", *_AUTOMATIC))
            raise KernelError(
                f"{self.place}:{one_line(name)}: auto_pad {quoted(automatic)}; allowed: {allowed}"
            )
        return attributes.get("pads", "valid")

    def _output_padding(self, attributes: dict[str, Any], name: str) -> Any:
        """That of a ConvTranspose, 0 if it states none; None if its ``auto_pad`` chooses the size."""
        where, stated = f"{self.place}:{one_line(name)}", attributes.get("output_padding", 0)
        if attributes.get("output_shape"):
            raise KernelError(
                f"{where}: output_shape is not supported: the padding depends on the size of the input; "
                "export the node with pads and output_padding"
            )
        if not attributes.get("auto_pad", "").startswith("SAME"):
            return stated
        if np.any(stated):
            automatic = attributes["auto_pad"]
            raise KernelError(f"{where}: output_padding with auto_pad {automatic} is not supported")
        return None

    def _through(self, name: str) -> tuple[str, ...]:
        """The nodes that weights pass through from a constant to the layer, the last first."""
        nodes: list[str] = []
        while name not in self.tensors and name in self.producers and len(nodes) < _DEEPEST:
            nodes.append(self.producers[name].op_type)
            name = self.producers[name].input[0]
        return tuple(nodes)

    def _value(self, name: str, weights: str, depth: int) -> Any:
        """The array of that name, computed from constants; messages name the ``weights`` that need it."""
        if name in self.tensors:
            return self._array(self.tensors[name])
        where = f"{self.place}:{one_line(weights)}"
        node = self.producers.get(name)
        if node is None:
            raise KernelError(f"{where}: {quoted(name)} is an input of the model, not a constant")
        if node.op_type not in _FOLDED or depth > _DEEPEST:
            raise KernelError(f"{where}: computed by a {one_line(node.op_type)} node, which is not supported")
        inputs = [self._value(entry, weights, depth + 1) for entry in node.input if entry]
        return _FOLDED[node.op_type](self, inputs, self._attributes(node), where)

    def _array(self, tensor: Any) -> Any:
        where = f"{self.place}:{one_line(tensor.name)}"
        if any(size < 0 for size in tensor.dims):
            raise KernelError(f"{where}: damaged: axes of sizes {list(tensor.dims)}")
        check_size(tensor.dims, where)
        if tensor.external_data or tensor.data_location == self.onnx.TensorProto.EXTERNAL:
            tensor = self._loaded(tensor, where)
        try:
            return self.onnx.numpy_helper.to_array(tensor)
        except (ValueError, TypeError, KeyError) as error:
            raise KernelError(f"{where}: damaged: {one_line(str(error))}") from error

    def _loaded(self, tensor: Any, where: str) -> Any:
        """A tensor that is stored in another file, with its values."""
        try:
            kind = np.dtype(self.onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))
        except (KeyError, ValueError, TypeError) as error:
            raise KernelError(f"{where}: damaged: no type {tensor.data_type}") from error
        entries = {entry.key: entry.value for entry in tensor.external_data}
        data = external_bytes(self.path.parent, entries, prod(tensor.dims) * kind.itemsize, where)
        return self.onnx.TensorProto(
            name=tensor.name, dims=tensor.dims, data_type=tensor.data_type, raw_data=data
        )

    def identity(self, inputs: list[Any], attributes: dict[str, Any], where: str) -> Any:
        return inputs[0]

    def cast(self, inputs: list[Any], attributes: dict[str, Any], where: str) -> Any:
        wanted = self.onnx.helper.tensor_dtype_to_np_dtype(attributes["to"])
        return numeric(inputs[0].astype(wanted), where)

    def dequantized(self, inputs: list[Any], attributes: dict[str, Any], where: str) -> Any:
        """Scale · (q − zero point), with one scale, or one for each slice along ``axis`` or each block."""
        values, scale, *zero = (numeric(array, where).astype(np.float32) for array in inputs)
        scale, *zero = (self._spread(factors, values.shape, attributes, where) for factors in (scale, *zero))
        return ((values - zero[0] if zero else values) * scale).astype(np.float32)

    def _spread(self, factors: Any, shape: tuple[int, ...], attributes: dict[str, Any], where: str) -> Any:
        """Factors in a shape that broadcasts to ``shape``."""
        if factors.size == 1:
            return factors.reshape(())
        axis, block = attributes.get("axis", 1), attributes.get("block_size", 0)
        if not -len(shape) <= axis < len(shape):
            raise KernelError(f"{where}: axis {axis} of weights of shape {shape}")
        if block > 0:
            factors = np.repeat(factors, block, axis).take(range(shape[axis]), axis)
        if factors.ndim == 1:
            factors = factors.reshape(
                [-1 if index == axis % len(shape) else 1 for index in range(len(shape))]
            )
        return factors


_FOLDED: Final = {
    "Identity": _Graph.identity,
    "Cast": _Graph.cast,
    "DequantizeLinear": _Graph.dequantized,
}
"""Nodes that are computed if weights pass through them."""
