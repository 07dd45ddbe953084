"""safetensors: a length, a JSON header with the place of each tensor, and the bytes. PyTorch's axis order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from convcli.errors import KernelError, one_line, shown
from convcli.kernel import LARGEST_KERNEL, Kernel, Layer
from convcli.kernelarrays import choose
from convcli.models.base import CHANNELS_FIRST, biases, is_convolution, layer_kernel

LARGEST_HEADER: Final = 100_000_000  # bytes, as the format itself limits it
_TYPES: Final = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2",
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
        names = list(tensors)
        if member is None:
            names = [name for name in names if is_convolution(tuple(tensors[name]["shape"]))]
        name = choose(names, member, place, "convolution" if member is None else "tensor")
        weights = _tensor(file, tensors[name], begin, f"{place}:{one_line(name)}")
        beside = name.removesuffix("weight") + "bias"
        bias: tuple[Any, ...] = ()
        if beside != name and beside in tensors:
            bias = biases(_tensor(file, tensors[beside], begin, f"{place}:{one_line(beside)}"))
    return layer_kernel(weights, Layer(CHANNELS_FIRST, bias=bias), name, place)


def _header(file: BinaryIO, place: str) -> tuple[dict[str, Any], int]:
    """The tensors by their names, and where their bytes begin."""
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= LARGEST_HEADER:
        raise KernelError(f"{place}: not a safetensors file: a header of {length} bytes")
    try:
        found = json.loads(file.read(length))
    except (ValueError, RecursionError) as error:
        raise KernelError(f"{place}: not a safetensors file: its header is not JSON") from error
    if not isinstance(found, dict):
        raise KernelError(f"{place}: not a safetensors file: its header is no table")
    found.pop("__metadata__", None)
    for name, entry in found.items():
        if not _sound(entry):
            raise KernelError(f"{place}:{one_line(name)}: damaged: {shown(entry)} describes no tensor")
    return found, 8 + length


def _sound(entry: Any) -> bool:
    """Whether an entry has a type, a shape and the place of as many bytes as they take."""
    if not isinstance(entry, dict) or not isinstance(entry.get("dtype"), str):
        return False
    shape, ends = entry.get("shape"), entry.get("data_offsets")
    if not isinstance(shape, list) or not isinstance(ends, list) or len(ends) != 2:
        return False
    return all(isinstance(value, int) and value >= 0 for value in (*shape, *ends)) and ends[0] <= ends[1]


def _tensor(file: BinaryIO, entry: dict[str, Any], begin: int, where: str) -> Any:
    if entry["dtype"] not in _TYPES:
        raise KernelError(f"{where}: type {shown(entry['dtype'])} is not one of {', '.join(_TYPES)}")
    kind, (first, last) = np.dtype(_TYPES[entry["dtype"]]), entry["data_offsets"]
    count = int(np.prod(entry["shape"], dtype=object))
    if count > LARGEST_KERNEL or last - first != count * kind.itemsize:
        raise KernelError(f"{where}: {count} values in {last - first} bytes; damaged, or no kernel")
    file.seek(begin + first)
    data = file.read(last - first)
    if len(data) != last - first:
        raise KernelError(f"{where}: the file ends before the tensor does")
    values = np.frombuffer(data, kind)
    if entry["dtype"] == "BF16":  # the upper half of a float32
        values = (values.astype("<u4") << 16).view("<f4")
    return values.reshape(entry["shape"])
