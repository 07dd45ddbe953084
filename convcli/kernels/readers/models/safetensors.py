"""safetensors: a length, a JSON header with the place of each tensor, and the bytes; PyTorch's axis order."""

from __future__ import annotations

import json
from math import prod
from typing import Any, BinaryIO, Final

import numpy as np

from convcli.core.errors import KernelError, one_line, quoted
from convcli.core.frozen import replace
from convcli.kernels.kernel import Kernel
from convcli.kernels.readers.axis_order import order_of, split_order
from convcli.kernels.readers.base import KernelFile
from convcli.kernels.readers.members import choose
from convcli.kernels.readers.models.base import (
    CHANNELS_FIRST,
    CHANNELS_LAST,
    LARGEST_TEXT,
    NARROW,
    LayerAttributes,
    check_size,
    is_convolution,
    is_row,
    is_volume,
    layer_kernel,
    widened,
)

_TYPES: Final = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", **NARROW,
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip


def read(file: KernelFile, member: str | None) -> Kernel:
    """A tensor of a safetensors file, with its bias (``conv1.weight``, ``conv1.bias``).

    Args:
        member: ``NAME``, ``NAME:hwio``, or ``hwio`` for Keras's order of axes.

    Raises:
        KernelError: not a safetensors file, no tensor of that name, or not the weights of a convolution.
    """
    place = file.place
    with file.path.open("rb") as stream:
        tensors, start = _header(stream, place)
        member, order = split_order(member, tensors)
        name = _chosen(tensors, member, place)
        weights = _tensor(stream, tensors[name], start, f"{place}:{one_line(name)}")
        bias = None
        bias_name = name.removesuffix("weight") + "bias"
        if bias_name != name and bias_name in tensors:
            bias = _tensor(stream, tensors[bias_name], start, f"{place}:{one_line(bias_name)}")
    known = replace(file.order, requested=order or file.order.requested)
    maps = None if bias is None or bias.ndim != 1 else len(bias)
    chosen, notes = order_of(weights.shape, known, "oihw", f"{place}:{one_line(name)}", maps)
    axes = CHANNELS_FIRST if chosen == "oihw" else CHANNELS_LAST
    attributes = LayerAttributes(axes, bias=bias, notes=notes)
    return layer_kernel(weights, attributes, name, place)


def _chosen(tensors: dict[str, Any], member: str | None, place: str) -> str:
    """The tensor of that name; without a name, the only convolution over images, or else over rows."""
    if member is not None:
        return choose(list(tensors), member, place, "tensor")
    shapes = {name: entry["shape"] for name, entry in tensors.items()}
    names = [name for name, shape in shapes.items() if is_convolution(shape)]
    names = names or [name for name, shape in shapes.items() if is_row(shape)]
    names = names or [name for name, shape in shapes.items() if is_volume(shape)]  # refused later
    return choose(names, None, place, "convolution")


def _header(stream: BinaryIO, place: str) -> tuple[dict[str, Any], int]:
    """The tensors by name, and the offset of their bytes."""
    length = int.from_bytes(stream.read(8), "little")
    if not 2 <= length <= LARGEST_TEXT:
        raise KernelError(
            f"{place}: not a safetensors file: a header of {length} bytes; allowed: up to {LARGEST_TEXT}"
        )
    try:
        header = json.loads(stream.read(length))
    except (ValueError, RecursionError) as error:
        raise KernelError(f"{place}: not a safetensors file: its header is not JSON") from error
    if not isinstance(header, dict):
        raise KernelError(f"{place}: not a safetensors file: its header is not an object")
    header.pop("__metadata__", None)
    for name, entry in header.items():
        if not _is_tensor(entry):
            raise KernelError(
                f"{place}:{one_line(name)}: damaged: {quoted(entry)} does not describe a tensor"
            )
    return header, 8 + length


def _is_tensor(entry: Any) -> bool:
    """Whether an entry has a type, a shape and offsets."""
    if not isinstance(entry, dict) or not isinstance(entry.get("dtype"), str):
        return False
    shape, offsets = entry.get("shape"), entry.get("data_offsets")
    if not isinstance(shape, list) or not isinstance(offsets, list) or len(offsets) != 2:
        return False
    return (
        all(type(value) is int and 0 <= value < 2**63 for value in (*shape, *offsets))
        and offsets[0] <= offsets[1]
    )


def _tensor(stream: BinaryIO, entry: dict[str, Any], start: int, where: str) -> Any:
    kind, shape, (first, last) = entry["dtype"], entry["shape"], entry["data_offsets"]
    if kind not in _TYPES:
        raise KernelError(f"{where}: unknown type {quoted(kind)}; allowed: {', '.join(_TYPES)}")
    check_size(shape, where)
    raw = np.dtype(_TYPES[kind])
    if last - first != prod(shape) * raw.itemsize:
        raise KernelError(f"{where}: damaged: {prod(shape)} values in {last - first} bytes")
    stream.seek(start + first)
    data = stream.read(last - first)
    if len(data) != last - first:
        raise KernelError(f"{where}: damaged: the file ends before the tensor does")
    values = np.frombuffer(data, raw)
    return (widened(values, kind) if kind in NARROW else values).reshape(shape)
