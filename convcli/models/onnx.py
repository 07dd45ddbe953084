"""ONNX: the weights of Conv nodes, kept as initialisers or as constants, with what the nodes say."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from convcli.errors import KernelError, one_line
from convcli.kernel import Kernel, Layer
from convcli.kernelarrays import choose
from convcli.models.base import CHANNELS_FIRST, biases, by_axis, layer_kernel, needed
from convcli.rational import Number

LARGEST_FILE: Final = 2**31  # bytes, the limit of protocol buffers


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
    tensors = _tensors(model.graph)
    nodes = [node for node in model.graph.node if node.op_type == "Conv" and node.input[1] in tensors]
    named = {node.name: node.input[1] for node in nodes if node.name}
    convolutions = list(dict.fromkeys(node.input[1] for node in nodes))
    if member is None:
        name = choose(convolutions, None, place, "convolution")
    else:
        name = named.get(member) or choose(list(tensors), member, place, "tensor")
    node = next((node for node in nodes if node.input[1] == name), None)
    weights = _array(onnx, tensors[name], place)
    layer = Layer(CHANNELS_FIRST) if node is None else _layer(onnx, node, tensors, place)
    return layer_kernel(weights, layer, name, place)


def _tensors(graph: Any) -> dict[str, Any]:
    """Initialisers and constants by their names."""
    found = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value":
                    found[node.output[0]] = attribute.t
    return found


def _array(onnx: Any, tensor: Any, place: str) -> Any:
    if tensor.external_data:
        raise KernelError(f"{place}:{one_line(tensor.name)}: kept in another file, which is not followed")
    try:
        return onnx.numpy_helper.to_array(tensor)
    except (ValueError, TypeError) as error:
        raise KernelError(f"{place}:{one_line(tensor.name)}: damaged: {one_line(str(error))}") from error


def _layer(onnx: Any, node: Any, tensors: dict[str, Any], place: str) -> Layer:
    said = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
    bias: tuple[Number, ...] = ()
    if len(node.input) > 2 and node.input[2] in tensors:
        bias = biases(_array(onnx, tensors[node.input[2]], place))
    return Layer(
        CHANNELS_FIRST,
        stride=by_axis(said.get("strides")),
        padding=_padding(said.get("auto_pad", b"NOTSET").decode(), list(said.get("pads", []))),
        dilation=by_axis(said.get("dilations")),
        groups=int(said.get("group", 1)),
        bias=bias,
    )


def _padding(automatic: str, pads: list[int]) -> str:
    """The padding as ``--padding`` writes it: ONNX counts the beginnings of all axes, then their ends."""
    if automatic.startswith("SAME"):
        return "same" if automatic == "SAME_UPPER" else "same-lower"
    if automatic == "VALID" or not any(pads):
        return "valid"
    if len(pads) == 2:
        pads = [0, pads[0], 0, pads[1]]
    top, left, bottom, right = pads
    return f"{top},{bottom},{left},{right}"
