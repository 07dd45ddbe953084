"""ONNX models as files: parsed, checked and given the size of an image, without loading any weights."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from math import prod
from pathlib import Path
from typing import Any, Final

from convcli.core.errors import cut, one_line, quoted, reason_of
from convcli.core.numerals import axes_text, counted
from convcli.geometry.axes import LARGEST
from convcli.kernels.readers.models.external import external_file
from convcli.kernels.readers.models.onnx_parsing import parsed
from convcli.networks.graph import NetworkError, Sizes

_LARGEST_FILE: Final = 2**31  # bytes, the limit of protocol buffers
_MOST_NODES: Final = 50_000
_MOST_VALUES: Final = 2**40  # of one tensor
STANDARD: Final = ("", "ai.onnx")
"""Names of the domain of the standard operators."""
SMALL: Final = 1024
"""Most values of a tensor that may be a list of sizes or paddings."""
_LEAST: Final = {
    **dict.fromkeys(("strides", "dilations", "kernel_shape", "blocksize", "group", "block_size"), 1),
    **dict.fromkeys(("pads", "output_padding"), 0),
}
"""The least value of attributes."""
_CONTENTS: Final = (
    "raw_data",
    "float_data",
    "int32_data",
    "int64_data",
    "double_data",
    "uint64_data",
    "string_data",
)


def required(module: str, place: str) -> Any:
    """An optional library of the extra ``net``.

    Raises:
        NetworkError: it is not installed; with the command that installs it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise NetworkError(
            f"{place}: reading this network needs {module}; install it with: pip install 'convcli[net]'"
        ) from error


def load(path: Path) -> Any:
    """The model of a file, with its functions inlined; weights in other files are not loaded.

    Raises:
        NetworkError: not an ONNX model, of a version that is not known, or with weights in wrong places.
    """
    place = one_line(str(path))
    onnx = required("onnx", place)
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= _LARGEST_FILE else b""
    except OSError as error:
        raise NetworkError(f"{place}: {error.strerror}") from error
    if size > _LARGEST_FILE:
        raise NetworkError(f"{place}: larger than {_LARGEST_FILE} bytes, the limit for ONNX files")
    try:
        model = parsed(onnx, data)
    except Exception as error:  # protobuf's errors have no common class
        raise NetworkError(f"{place}: not an ONNX model, or damaged") from error
    _check_versions(onnx, model, place)
    if model.functions:
        model = _inlined(model, place)
    if not model.graph.node:
        raise NetworkError(f"{place}: not an ONNX model, or damaged: it has no nodes")
    if len(model.graph.node) > _MOST_NODES:
        raise NetworkError(f"{place}: {len(model.graph.node)} nodes; allowed: up to {_MOST_NODES}")
    for tensor in tensors(model.graph):
        _check_tensor(onnx, tensor, path, place)
    for node in nodes(model.graph):
        _check_attributes(node, place)
    return model


def _check_versions(onnx: Any, model: Any, place: str) -> None:
    if model.ir_version > onnx.IR_VERSION:
        raise NetworkError(
            f"{place}: IR version {model.ir_version}; onnx {onnx.__version__} reads up to {onnx.IR_VERSION}; "
            "update it with: pip install -U onnx"
        )
    newest = onnx.defs.onnx_opset_version()
    for entry in model.opset_import:
        if entry.domain in STANDARD and not 1 <= entry.version <= newest:
            raise NetworkError(
                f"{place}: opset {entry.version}; onnx {onnx.__version__} reads 1 to {newest}; "
                "update it with: pip install -U onnx"
            )


def _inlined(model: Any, place: str) -> Any:
    inliner = required("onnx.inliner", place)
    try:
        return inliner.inline_local_functions(model)
    except Exception as error:
        raise NetworkError(f"{place}: its functions cannot be inlined: {reason_of(error)}") from error


def nested_graphs(attribute: Any) -> list[Any]:
    """The graphs inside an attribute."""
    return ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs)


def tensors(graph: Any) -> Iterator[Any]:
    """The tensors stored in a graph, those of constants and nested graphs included."""
    yield from graph.initializer
    yield from (part for tensor in graph.sparse_initializer for part in (tensor.values, tensor.indices))
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for nested in nested_graphs(attribute):
                yield from tensors(nested)


def nodes(graph: Any) -> Iterator[Any]:
    """The nodes of a graph, those of nested graphs included."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for nested in nested_graphs(attribute):
                yield from nodes(nested)


def _check_attributes(node: Any, place: str) -> None:
    """Refuse sizes and steps that onnx divides by or multiplies without a check in some versions."""
    for attribute in node.attribute:
        least = _LEAST.get(attribute.name) if node.op_type != "Pad" else None
        numbers = list(attribute.ints) or [attribute.i]
        if least is not None and not all(least <= number <= LARGEST for number in numbers):
            name = node.name or next(iter(node.output), node.op_type)
            raise NetworkError(
                f"{place}: node {quoted(name)}: {attribute.name} {quoted(numbers)}; "
                f"allowed: integers from {least} to {LARGEST}"
            )


def _check_tensor(onnx: Any, tensor: Any, path: Path, place: str) -> None:
    """Refuse sizes that no tensor has, and weights in a file outside the model's folder."""
    where = f"{place}:{one_line(tensor.name)}"
    if any(size < 0 for size in tensor.dims) or prod(tensor.dims) > _MOST_VALUES:
        raise NetworkError(f"{where}: damaged: axes of sizes {quoted(list(tensor.dims))}")
    if tensor.data_type not in onnx.TensorProto.DataType.values():
        raise NetworkError(f"{where}: damaged: no type {tensor.data_type}")
    if tensor.data_location != onnx.TensorProto.EXTERNAL and not tensor.external_data:
        return
    location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
    external_file(path.absolute().parent, location, where)


def image_input(model: Any, place: str) -> Any:
    """The one input of a model that is not a constant, with four axes.

    Raises:
        NetworkError: it has several, or one that is not an image.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [entry for entry in model.graph.input if entry.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(one_line(entry.name) for entry in inputs[:8])
        raise NetworkError(
            f"{place}: has {counted(len(inputs), 'input')}{f' ({names})' if names else ''}; "
            "only networks of one image are read"
        )
    (entry,) = inputs
    kind = entry.type.tensor_type
    if not kind.HasField("shape"):
        raise NetworkError(f"{place}: its input {quoted(entry.name)} does not state how many axes it has")
    if len(kind.shape.dim) != 4:
        sizes = ", ".join(map(_size_text, kind.shape.dim))
        raise NetworkError(
            f"{place}: its input {quoted(entry.name)} has {axes_text(len(kind.shape.dim))} ({sizes}); "
            "an image has 4 (batch, channels, rows, columns)"
        )
    return entry


def _size_text(dim: Any) -> str:
    return str(dim.dim_value) if dim.HasField("dim_value") else one_line(dim.dim_param) or "?"


def stated_sizes(entry: Any) -> tuple[int | None, ...]:
    """The sizes of an input's axes; None for those that may change."""
    dims = entry.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in dims)


def sized(onnx: Any, model: Any, entry: Any, sizes: Sizes, place: str) -> Any:
    """The model for an input of these sizes, without large weights and with the shapes of its tensors.

    Args:
        model: is changed.

    Raises:
        NetworkError: shapes contradict each other.
    """
    for dim, size in zip(entry.type.tensor_type.shape.dim, sizes, strict=True):
        if size is not None:
            dim.dim_value = size
        elif dim.HasField("dim_value"):
            dim.ClearField("dim_value")
    for tensor in tensors(model.graph):
        if prod(tensor.dims) > SMALL or tensor.external_data:
            for field in _CONTENTS:
                tensor.ClearField(field)
    return inferred(onnx, model, place)


def inferred(onnx: Any, model: Any, place: str) -> Any:
    """The model with the shapes of its tensors, given that of its input; arguments as in `sized`."""
    del model.graph.value_info[:]  # may be those of another size
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    try:
        return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except Exception as error:
        raise NetworkError(f"{place}: {inference_failure(error)}") from error


_FAILURE: Final = re.compile(r"node name: ([^)]*)\): \[\w+\] (.*?)(?= \(op_type:|$)")
"""The first node that onnx names, and what it says about it."""


def inference_failure(error: Exception) -> str:
    """The message of onnx about shapes that do not fit, in one line."""
    text = " ".join(str(error).split())
    matched = _FAILURE.search(text)
    name, reason = matched.groups() if matched else ("", text.rpartition("Error] ")[2])
    where = f"node {quoted(name)}: " if name else ""
    return f"{where}shapes do not fit: {cut(one_line(reason.strip()))}"
