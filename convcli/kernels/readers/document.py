"""Kernels from the keys and values of a YAML or JSON text: weights, scale, bias, and what describes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, Final

import numpy as np

from convcli.core.cells import row_length
from convcli.core.errors import KernelError, one_line, quoted, suggest
from convcli.core.frozen import replace
from convcli.core.patterns import pattern
from convcli.core.rational import Number
from convcli.kernels.bank import COMBINE_CHOICES, KernelSet, combined
from convcli.kernels.kernel import About, Kernel
from convcli.kernels.readers.base import KernelFile
from convcli.kernels.readers.nodes import Node, text_of, texts_of
from convcli.kernels.readers.rows import parse_cell, parse_table
from convcli.kernels.transform import anchored, flipped

_Entries = dict[str, Node]
"""The values of a mapping, by their keys."""
_ABOUT_KEYS: Final = ("name", "description", "source", "tags", "aliases", "gain")
_NUMBER_KEYS: Final = ("weights", "rows", "columns", "scale", "divisor", "bias", "anchor", "flip")
KEYS: Final = (*_ABOUT_KEYS, *_NUMBER_KEYS, "members", "combine")
FILE_COMBINES: Final = tuple(choice for choice in COMBINE_CHOICES if choice != "stack")
"""Values of ``combine`` in a file; without it, maps stay apart."""
_MOST_PRODUCTS: Final = 2**18  # weights of rows × columns
_MOST_MEMBERS: Final = 1024
_FILE_KEYS: Final = ("kernels", "$schema")
_BOOLEANS: Final = {"true": True, "yes": True, "false": False, "no": False}
_SPACED_NUMBERS: Final = pattern(r"[+−-]?[\d.]+\s+[+−\d.-].*", re.DOTALL)


def kernels_of(root: Node, file: KernelFile) -> dict[str, Kernel | KernelSet]:
    """The kernels of a file by name; members of sets are looked up in the file's folder.

    Raises:
        KernelError: as for `parse`.
    """
    folder = str(file.path.parent)
    return {
        name: replace(kernel, folder=folder) if isinstance(kernel, KernelSet) else kernel
        for name, kernel in parse(root, file.place, file.name).items()
    }


def parse(root: Node, place: str, name: str) -> dict[str, Kernel | KernelSet]:
    """The kernels of a text by name.

    Args:
        name: of a kernel that the text does not name.

    Raises:
        KernelError: with the place of what is wrong.
    """
    if isinstance(root.value, dict) and "kernels" in root.value:
        _check_keys(root, _FILE_KEYS)
        return _several(root.value["kernels"][1], place)
    kernel = _one(root, place, name)
    return {kernel.name: kernel}


def _several(node: Node, place: str) -> dict[str, Kernel | KernelSet]:
    """A mapping of names to kernels, or a list of kernels with names."""
    kernels: dict[str, Kernel | KernelSet] = {}
    if isinstance(node.value, dict):
        for name, (_, entry) in node.value.items():
            kernels[name] = _one(entry, place, one_line(name))
    elif isinstance(node.value, list):
        for entry in node.value:
            if not isinstance(entry.value, dict) or "name" not in entry.value:
                raise KernelError(f"{entry.where}: a kernel in a list needs a name")
            kernel = _one(entry, place, "")
            if kernel.name in kernels:
                raise KernelError(f"{entry.where}: the name {quoted(kernel.name)} is given twice")
            kernels[kernel.name] = kernel
    if not kernels:
        raise KernelError(
            f"{node.where}: kernels must be a mapping of names to kernels, or a list of kernels with names"
        )
    return kernels


def _one(root: Node, place: str, name: str) -> Kernel | KernelSet:
    if isinstance(root.value, list):
        return _placed(place, lambda: Kernel(_weights(root), name=name))
    if not isinstance(root.value, dict):
        raise KernelError(f"{root.where}: got a single value; allowed: a mapping of keys, or rows of numbers")
    _check_keys(root, (*KEYS, "$schema"))
    entries = {key: node for key, (_, node) in root.value.items()}
    name = one_line(text_of(entries["name"])) if "name" in entries else name
    combine = text_of(entries["combine"]) if "combine" in entries else None
    if combine not in (None, *FILE_COMBINES):
        where, allowed = entries["combine"].where, ", ".join(FILE_COMBINES)
        raise KernelError(f"{where}: unknown combine {quoted(combine)}; allowed: {allowed}")
    if "members" in entries:
        return _set(entries, name, combine)
    return _placed(place, lambda: combined(_kernel(entries, root.where, name), combine))


def _placed(place: str, make: Callable[[], Kernel]) -> Kernel:
    """What ``make`` returns; its errors begin with the file's name."""
    try:
        return make()
    except KernelError as error:
        raise error if str(error).startswith(place) else KernelError(f"{place}: {error}") from error


def _check_keys(root: Node, allowed: tuple[str, ...]) -> None:
    for key, (key_node, _) in root.value.items():
        if key not in allowed:
            hint = suggest(key, allowed) or f"; allowed: {', '.join(allowed)}"
            raise KernelError(f"{key_node.where}: unknown key {quoted(key)}{hint}")


def _set(entries: _Entries, name: str, combine: str | None) -> KernelSet:
    _refuse(entries, _NUMBER_KEYS, "members")
    members = tuple(texts_of(entries["members"]))
    if not 1 <= len(members) <= _MOST_MEMBERS:
        got = f"{len(members)} members" if members else "an empty list"
        raise KernelError(f"{entries['members'].where}: got {got}; allowed: 1 to {_MOST_MEMBERS} kernels")
    return KernelSet(name, members, combine, _about(entries))


def _kernel(entries: _Entries, where: str, name: str) -> Kernel:
    kernel = Kernel(
        _kernel_weights(entries, where),
        scale=_scale(entries),
        bias=_bias(entries["bias"]) if "bias" in entries else 0,
        name=name,
        about=_about(entries),
    )
    if "anchor" in entries:
        kernel = _anchored(kernel, entries["anchor"])
    return flipped(kernel) if "flip" in entries and _boolean(entries["flip"]) else kernel


def _anchored(kernel: Kernel, node: Node) -> Kernel:
    numbers = [_number(item) for item in _items(node)]
    if len(numbers) != 2 or any(number.denominator != 1 for number in numbers):
        raise KernelError(f"{node.where}: anchor must be [row, column] of a weight, counted from 0")
    try:
        return anchored(kernel, (int(numbers[0]), int(numbers[1])))
    except KernelError as error:
        raise KernelError(f"{node.where}: {error}") from error


def _refuse(entries: _Entries, keys: tuple[str, ...], beside: str) -> None:
    """Refuse keys that cannot be combined with the key ``beside``."""
    for key in keys:
        if key in entries:
            raise KernelError(f"{entries[key].where}: {key} cannot be combined with {beside}")


def _kernel_weights(entries: _Entries, where: str) -> np.ndarray[Any, Any]:
    """The array of ``weights``, or the outer product of ``rows`` and ``columns``."""
    if "weights" in entries:
        _refuse(entries, ("rows", "columns"), "weights")
        return _weights(entries["weights"])
    if "rows" in entries and "columns" in entries:
        column, row = (_vector(entries[key]) for key in ("rows", "columns"))
        if len(column) * len(row) > _MOST_PRODUCTS:
            raise KernelError(f"{where}: {len(column)} × {len(row)} weights; allowed: up to {_MOST_PRODUCTS}")
        outer: np.ndarray[Any, Any] = np.multiply.outer(column, row)
        return outer
    raise KernelError(f"{where}: no weights; give weights, or rows and columns, or members")


def _about(entries: _Entries) -> About:
    return About(
        description=one_line(text_of(entries["description"])) if "description" in entries else "",
        source=one_line(text_of(entries["source"])) if "source" in entries else "",
        tags=tuple(texts_of(entries["tags"])) if "tags" in entries else (),
        aliases=tuple(texts_of(entries["aliases"])) if "aliases" in entries else (),
        gain=_nonzero(entries, "gain") if "gain" in entries else None,
    )


def _scale(entries: _Entries) -> Fraction:
    scale = _number(entries["scale"]) if "scale" in entries else Fraction(1)
    return scale / _nonzero(entries, "divisor") if "divisor" in entries else scale


def _nonzero(entries: _Entries, key: str) -> Fraction:
    number = _number(entries[key])
    if number == 0:
        raise KernelError(f"{entries[key].where}: {key} is zero")
    return number


def _bias(node: Node) -> Number | list[Fraction]:
    return [_number(item) for item in node.value] if isinstance(node.value, list) else _number(node)


def _boolean(node: Node) -> bool:
    text = text_of(node).casefold()
    if text not in _BOOLEANS:
        raise KernelError(f"{node.where}: {quoted(text)} is not true or false")
    return _BOOLEANS[text]


def _number(node: Node) -> Fraction:
    text = text_of(node)
    if _SPACED_NUMBERS.fullmatch(text):
        raise KernelError(
            f"{node.where}: {quoted(text)} is a single string, not a row; write [{', '.join(text.split())}]"
        )
    return parse_cell(text, node.where)


def _vector(node: Node) -> np.ndarray[Any, Any]:
    return np.array([_number(item) for item in _items(node)], object)


def _items(node: Node) -> list[Node]:
    if not isinstance(node.value, list) or not node.value:
        got = "an empty list" if node.value == [] else "a single value or mapping"
        raise KernelError(f"{node.where}: got {got}; allowed: a list of numbers or rows")
    return node.value


def _weights(node: Node) -> np.ndarray[Any, Any]:
    """Nested lists as an array of fractions; a text of several lines as a table."""
    if isinstance(node.value, str):
        return parse_table(node.value.replace(";", "\n"), node.where)
    shape, first = [], node
    while isinstance(first.value, list):
        first = _items(first)[0]
        shape.append(0)
    array = np.array(list(_flat(node, len(shape), 0, shape)), object)
    if len(shape) == 1:
        shape = [1, *shape]
    if len(shape) > 5:
        raise KernelError(
            f"{node.where}: weights have {len(shape)} axes; "
            "allowed: (rows, columns) or (rows, columns, in, out), with depth first for volumes"
        )
    return array.reshape(shape)


def _flat(node: Node, axes: int, axis: int, shape: list[int]) -> Iterator[Fraction]:
    """The numbers in order; the first list of each axis sets its size in ``shape``, the others must agree."""
    if axis == axes:
        yield _number(node)
        return
    items = _items(node)
    expected = shape[axis] or len(items)
    if len(items) != expected:
        raise KernelError(f"{node.where}: {row_length(len(items), expected)}")
    shape[axis] = expected
    for item in items:
        yield from _flat(item, axes, axis + 1, shape)
