"""safetensors: a length, a JSON header with the place of each tensor, and the bytes. PyTorch's axis order."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from convcli.core.errors import KernelError, one_line, quoted
from convcli.kernels.kernel import Kernel
from convcli.kernels.readers.models.base import (
    CHANNELS_FIRST,
    CHANNELS_LAST,
    LARGEST_TEXT,
    NARROW,
    Stated,
    check_size,
    is_convolution,
    is_row,
    is_volume,
    layer_kernel,
    widened,
)
from convcli.kernels.readers.npy import choose, order_note, ordered

_TYPES: Final = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", **NARROW,
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip


def read(path: Path, member: str | None) -> Kernel:
    """A tensor of a safetensors file, with the bias beside it (``conv1.weight``, ``conv1.bias``).

    Raises:
        KernelError: not such a file, no tensor of that name, or one that is no convolution.
    """
    place = one_line(str(path))
    with path.open("rb") as file:
        tensors, begin = _header(file, place)
        member, order = ordered(member, tensors)
        name = _named(tensors, member, place)
        weights = _tensor(file, tensors[name], begin, f"{place}:{one_line(name)}")
        bias = None
        beside = name.removesuffix("weight") + "bias"
        if beside != name and beside in tensors:
            bias = _tensor(file, tensors[beside], begin, f"{place}:{one_line(beside)}")
    first = order != "hwio"
    notes = () if order else order_note(weights.shape, first, f"{place}:{one_line(name)}")
    stated = Stated(CHANNELS_FIRST if first else CHANNELS_LAST, bias=bias, notes=notes)
    return layer_kernel(weights, stated, name, place)


def _named(tensors: dict[str, Any], member: str | None, place: str) -> str:
    """The tensor that is meant: the only convolution over images, or else over rows, where none is named."""
    if member is not None:
        return choose(list(tensors), member, place, "tensor")
    shapes = {name: entry["shape"] for name, entry in tensors.items()}
    names = [name for name, shape in shapes.items() if is_convolution(shape)]
    names = names or [name for name, shape in shapes.items() if is_row(shape)]
    names = names or [name for name, shape in shapes.items() if is_volume(shape)]  # refused by its shape
    return choose(names, None, place, "convolution")


def _header(file: BinaryIO, place: str) -> tuple[dict[str, Any], int]:
    """The tensors by their names, and where their bytes begin."""
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= LARGEST_TEXT:
        raise KernelError(
            f"{place}: not a safetensors file: a header of {length} bytes; allowed: up to {LARGEST_TEXT}"
        )
    try:
        found = json.loads(file.read(length))
    except (ValueError, RecursionError) as error:
        raise KernelError(f"{place}: not a safetensors file: its header is not JSON") from error
    if not isinstance(found, dict):
        raise KernelError(f"{place}: not a safetensors file: its header is no table")
    found.pop("__metadata__", None)
    for name, entry in found.items():
        if not _sound(entry):
            raise KernelError(f"{place}:{one_line(name)}: damaged: {quoted(entry)} describes no tensor")
    return found, 8 + length


def _sound(entry: Any) -> bool:
    """Whether an entry has a type, a shape and the place of as many bytes as they take."""
    if not isinstance(entry, dict) or not isinstance(entry.get("dtype"), str):
        return False
    shape, ends = entry.get("shape"), entry.get("data_offsets")
    if not isinstance(shape, list) or not isinstance(ends, list) or len(ends) != 2:
        return False
    return all(type(value) is int and 0 <= value < 2**63 for value in (*shape, *ends)) and ends[0] <= ends[1]


def _tensor(file: BinaryIO, entry: dict[str, Any], begin: int, where: str) -> Any:
    kind, shape, (first, last) = entry["dtype"], entry["shape"], entry["data_offsets"]
    if kind not in _TYPES:
        raise KernelError(f"{where}: type {quoted(kind)} is not one of {', '.join(_TYPES)}")
    check_size(shape, where)
    raw = np.dtype(_TYPES[kind])
    if last - first != prod(shape) * raw.itemsize:
        raise KernelError(f"{where}: damaged: {prod(shape)} values in {last - first} bytes")
    file.seek(begin + first)
    data = file.read(last - first)
    if len(data) != last - first:
        raise KernelError(f"{where}: the file ends before the tensor does")
    values = np.frombuffer(data, raw)
    return (widened(values, kind) if kind in NARROW else values).reshape(shape)
