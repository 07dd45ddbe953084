"""ONNX: the weights of Conv nodes, kept as initializers or as constants, with what the nodes say."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from convcli.core.errors import KernelError, one_line, quoted
from convcli.kernels.kernel import Kernel
from convcli.kernels.readers.models.base import (
    CHANNELS_FIRST,
    Stated,
    check_size,
    layer_kernel,
    needed,
    plain,
)
from convcli.kernels.readers.npy import choose

LARGEST_FILE: Final = 2**31  # bytes, the limit of protocol buffers
_UNREAD: Final = ("ConvTranspose", "ConvInteger", "QLinearConv")
"""Convolutions whose weights mean something else."""
_DEEPEST: Final = 8  # nodes between a constant and the Conv that it serves
_AUTOMATIC: Final = {"VALID": "valid", "SAME_UPPER": "same", "SAME_LOWER": "same-lower"}


def read(path: Path, member: str | None) -> Kernel:
    """The weights of that name, or those of the Conv node of that name.

    Raises:
        KernelError: not an ONNX model, no such weights, or the onnx package is missing.
    """
    place = one_line(str(path))
    onnx = needed("onnx", place)
    if path.stat().st_size > LARGEST_FILE:
        raise KernelError(f"{place}: larger than {LARGEST_FILE} bytes, which no ONNX file is")
    try:
        model = onnx.load_model(str(path), load_external_data=False)
    except Exception as error:  # protobuf's errors have no family of their own
        raise KernelError(f"{place}: not an ONNX model") from error
    return _Graph(onnx, model.graph, place).kernel(member)


class _Graph:
    """The nodes of a model, and the values that are known without running it."""

    def __init__(self, onnx: Any, graph: Any, place: str) -> None:
        self.onnx, self.place = onnx, place
        self.makers = {name: node for node in graph.node for name in node.output}
        self.tensors = {tensor.name: tensor for tensor in graph.initializer}
        for name, node in self.makers.items():
            if node.op_type == "Constant" and (tensor := self._said(node).get("value")) is not None:
                self.tensors[name] = tensor
        self.nodes = [node for node in graph.node if node.op_type == "Conv" and len(node.input) > 1]
        self.unread = sorted({node.op_type for node in graph.node if node.op_type in _UNREAD})

    def kernel(self, member: str | None) -> Kernel:
        named = {node.name: node.input[1] for node in self.nodes if node.name}
        convolutions = list(dict.fromkeys(node.input[1] for node in self.nodes))
        if not convolutions and member is None and self.unread:
            raise KernelError(f"{self.place} holds no Conv; {', '.join(self.unread)} is not read")
        if member is None:
            name = choose(convolutions, None, self.place, "convolution")
        else:
            known = list(dict.fromkeys([*self.tensors, *convolutions]))
            name = named.get(member) or choose(known, member, self.place, "tensor")
        found = self._value(name, name, 0)
        node = next((node for node in self.nodes if node.input[1] == name), None)
        stated = Stated(CHANNELS_FIRST) if node is None else self._stated(node, name)
        return layer_kernel(found, stated, name, self.place)

    def _said(self, node: Any) -> dict[str, Any]:
        """A node's attributes; texts as texts."""
        said = {entry.name: self.onnx.helper.get_attribute_value(entry) for entry in node.attribute}
        return {
            key: value.decode("utf-8", "replace") if isinstance(value, bytes) else value
            for key, value in said.items()
        }

    def _stated(self, node: Any, name: str) -> Stated:
        said, bias = self._said(node), node.input[2] if len(node.input) > 2 else ""
        return Stated(
            CHANNELS_FIRST,
            window=said.get("kernel_shape"),
            strides=said.get("strides"),
            dilations=said.get("dilations"),
            groups=said.get("group"),
            padding=self._padding(said, name),
            bias=self._value(bias, name, 0) if bias else None,
            through=self._through(name),
        )

    def _padding(self, said: dict[str, Any], name: str) -> Any:
        """A word, or numbers: the starts of all axes, then their ends."""
        automatic = said.get("auto_pad", "NOTSET")
        if automatic in _AUTOMATIC:
            return _AUTOMATIC[automatic]
        if automatic != "NOTSET":
            allowed = ", ".join(("NOTSET", *_AUTOMATIC))
            raise KernelError(
                f"{self.place}:{one_line(name)}: auto_pad {quoted(automatic)}; allowed: {allowed}"
            )
        return said.get("pads", "valid")

    def _through(self, name: str) -> tuple[str, ...]:
        """The nodes that weights pass through on their way from a constant, the last first."""
        way: list[str] = []
        while name not in self.tensors and name in self.makers and len(way) < _DEEPEST:
            way.append(self.makers[name].op_type)
            name = self.makers[name].input[0]
        return tuple(way)

    def _value(self, name: str, asked: str, depth: int) -> Any:
        """The array of that name, if nothing but constants makes it; ``asked`` is whose value needs it."""
        if name in self.tensors:
            return self._array(self.tensors[name])
        where = f"{self.place}:{one_line(asked)}"
        node = self.makers.get(name)
        if node is None:
            raise KernelError(f"{where}: {quoted(name)} is an input of the model, not a constant")
        if node.op_type not in _FOLDED or depth > _DEEPEST:
            raise KernelError(f"{where}: comes out of a {one_line(node.op_type)} node, which is not followed")
        inputs = [self._value(entry, asked, depth + 1) for entry in node.input if entry]
        return _FOLDED[node.op_type](self, inputs, self._said(node), where)

    def _array(self, tensor: Any) -> Any:
        where = f"{self.place}:{one_line(tensor.name)}"
        if tensor.external_data or tensor.data_location == self.onnx.TensorProto.EXTERNAL:
            raise KernelError(f"{where}: kept in another file, which is not followed")
        if any(size < 0 for size in tensor.dims):
            raise KernelError(f"{where}: damaged: axes of sizes {list(tensor.dims)}")
        check_size(tensor.dims, where)
        try:
            return self.onnx.numpy_helper.to_array(tensor)
        except (ValueError, TypeError) as error:
            raise KernelError(f"{where}: damaged: {one_line(str(error))}") from error

    def identity(self, inputs: list[Any], said: dict[str, Any], where: str) -> Any:
        return inputs[0]

    def cast(self, inputs: list[Any], said: dict[str, Any], where: str) -> Any:
        wanted = self.onnx.helper.tensor_dtype_to_np_dtype(said["to"])
        return plain(inputs[0].astype(wanted), where)

    def dequantized(self, inputs: list[Any], said: dict[str, Any], where: str) -> Any:
        """Scale · (q − zero point), the scale of the whole, of each slice along ``axis``, or of blocks."""
        values, scale, *zero = (plain(each, where).astype(np.float32) for each in inputs)
        scale, *zero = (self._spread(each, values.shape, said, where) for each in (scale, *zero))
        return ((values - zero[0] if zero else values) * scale).astype(np.float32)

    def _spread(self, factors: Any, shape: tuple[int, ...], said: dict[str, Any], where: str) -> Any:
        """Factors so that they multiply values of ``shape``."""
        if factors.size == 1:
            return factors.reshape(())
        axis, block = said.get("axis", 1), said.get("block_size", 0)
        if not -len(shape) <= axis < len(shape):
            raise KernelError(f"{where}: axis {axis} of weights of shape {shape}")
        if block > 0:
            factors = np.repeat(factors, block, axis).take(range(shape[axis]), axis)
        if factors.ndim == 1:
            factors = factors.reshape([-1 if each == axis % len(shape) else 1 for each in range(len(shape))])
        return factors


_FOLDED: Final = {
    "Identity": _Graph.identity,
    "Cast": _Graph.cast,
    "DequantizeLinear": _Graph.dequantized,
}
"""Nodes that are computed when weights pass through them."""
