"""Kernels as YAML or JSON: keys for the weights, their scale and bias, and what the kernel is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, Final

import numpy as np

from convcli.core.errors import KernelError, one_line, quoted, suggest
from convcli.core.rational import Number
from convcli.kernels.bank import WAYS, KernelSet, anchored, combined, flipped
from convcli.kernels.kernel import About, Kernel
from convcli.kernels.readers.nodes import Node, word, words
from convcli.kernels.readers.rows import parse_cell, parse_table, row_length

Entries = dict[str, Node]

_ABOUT_KEYS: Final = ("name", "description", "source", "tags", "aliases", "gain")
_NUMBER_KEYS: Final = ("weights", "rows", "columns", "scale", "divisor", "bias", "anchor", "flip")
KEYS: Final = (*_ABOUT_KEYS, *_NUMBER_KEYS, "members", "combine")
FILE_WAYS: Final = tuple(way for way in WAYS if way != "stack")
"""What ``combine`` says in a file; maps stay apart where it is left out."""
MOST_PRODUCTS: Final = 2**18
MOST_MEMBERS: Final = 1024
_FILE_KEYS: Final = ("kernels", "$schema")
_TRUTHS: Final = {"true": True, "yes": True, "false": False, "no": False}


def parse(root: Node, place: str, name: str) -> dict[str, Kernel | KernelSet]:
    """The kernels of a file by their names; ``name`` serves where the file gives none.

    Raises:
        KernelError: with the place of what is wrong.
    """
    if isinstance(root.value, dict) and "kernels" in root.value:
        _known(root, _FILE_KEYS)
        return _several(root.value["kernels"][1], place)
    found = _one(root, place, name)
    return {found.name: found}


def _several(node: Node, place: str) -> dict[str, Kernel | KernelSet]:
    """A table of names to kernels, or a list of kernels with names."""
    found: dict[str, Kernel | KernelSet] = {}
    if isinstance(node.value, dict):
        for name, (_, entry) in node.value.items():
            found[name] = _one(entry, place, one_line(name))
    elif isinstance(node.value, list):
        for entry in node.value:
            if not isinstance(entry.value, dict) or "name" not in entry.value:
                raise KernelError(f"{entry.where}: a kernel of a list needs a name")
            kernel = _one(entry, place, "")
            if kernel.name in found:
                raise KernelError(f"{entry.where}: the name {quoted(kernel.name)} stands twice")
            found[kernel.name] = kernel
    if not found:
        raise KernelError(
            f"{node.where}: kernels is a table of names to kernels, or a list of kernels with names"
        )
    return found


def _one(root: Node, place: str, name: str) -> Kernel | KernelSet:
    if isinstance(root.value, list):
        return _placed(place, lambda: Kernel(_weights(root), name=name))
    if not isinstance(root.value, dict):
        raise KernelError(f"{root.where}: got a single value; allowed: a table of keys, or rows of numbers")
    _known(root, (*KEYS, "$schema"))
    entries = {key: node for key, (_, node) in root.value.items()}
    name = one_line(word(entries["name"])) if "name" in entries else name
    combine = word(entries["combine"]) if "combine" in entries else None
    if combine not in (None, *FILE_WAYS):
        raise KernelError(f"{entries['combine'].where}: combine is not one of {', '.join(FILE_WAYS)}")
    if "members" in entries:
        return _set(entries, name, combine)
    return _placed(place, lambda: combined(_kernel(entries, root.where, name), combine))


def _placed(place: str, make: Callable[[], Kernel]) -> Kernel:
    """A kernel, or what is wrong with it behind the file's name."""
    try:
        return make()
    except KernelError as error:
        raise error if str(error).startswith(place) else KernelError(f"{place}: {error}") from error


def _known(root: Node, allowed: tuple[str, ...]) -> None:
    for key, (key_node, _) in root.value.items():
        if key not in allowed:
            hint = suggest(key, allowed) or f"; allowed: {', '.join(allowed)}"
            raise KernelError(f"{key_node.where}: unknown key {quoted(key)}{hint}")


def _set(entries: Entries, name: str, combine: str | None) -> KernelSet:
    _only(entries, "members", _NUMBER_KEYS)
    members = tuple(words(entries["members"]))
    if not 1 <= len(members) <= MOST_MEMBERS:
        got = f"{len(members)} members" if members else "an empty list"
        raise KernelError(f"{entries['members'].where}: got {got}; allowed: 1 to {MOST_MEMBERS} kernels")
    return KernelSet(name, members, combine, _about(entries))


def _kernel(entries: Entries, where: str, name: str) -> Kernel:
    kernel = Kernel(
        _kernel_weights(entries, where),
        scale=_scale(entries),
        bias=_bias(entries["bias"]) if "bias" in entries else 0,
        name=name,
        about=_about(entries),
    )
    if "anchor" in entries:
        kernel = _anchored(kernel, entries["anchor"])
    return flipped(kernel) if "flip" in entries and _truth(entries["flip"]) else kernel


def _anchored(kernel: Kernel, node: Node) -> Kernel:
    numbers = [_number(item) for item in _items(node)]
    if len(numbers) != 2 or any(number.denominator != 1 for number in numbers):
        raise KernelError(f"{node.where}: anchor is [row, column] of a cell, from 0")
    try:
        return anchored(kernel, (int(numbers[0]), int(numbers[1])))
    except KernelError as error:
        raise KernelError(f"{node.where}: {error}") from error


def _only(entries: Entries, key: str, others: tuple[str, ...]) -> None:
    for other in others:
        if other in entries:
            raise KernelError(f"{entries[other].where}: {other} cannot stand beside {key}")


def _kernel_weights(entries: Entries, where: str) -> np.ndarray[Any, Any]:
    if "weights" in entries:
        _only(entries, "weights", ("rows", "columns"))
        return _weights(entries["weights"])
    if "rows" in entries and "columns" in entries:
        down, across = (_vector(entries[key]) for key in ("rows", "columns"))
        if len(down) * len(across) > MOST_PRODUCTS:
            raise KernelError(f"{where}: {len(down)} × {len(across)} weights; allowed: up to {MOST_PRODUCTS}")
        outer: np.ndarray[Any, Any] = np.multiply.outer(down, across)
        return outer
    raise KernelError(f"{where}: no weights; allowed: weights, or rows and columns, or members")


def _about(entries: Entries) -> About:
    return About(
        description=one_line(word(entries["description"])) if "description" in entries else "",
        source=one_line(word(entries["source"])) if "source" in entries else "",
        tags=tuple(words(entries["tags"])) if "tags" in entries else (),
        aliases=tuple(words(entries["aliases"])) if "aliases" in entries else (),
        gain=_not_zero(entries, "gain") if "gain" in entries else None,
    )


def _scale(entries: Entries) -> Fraction:
    scale = _number(entries["scale"]) if "scale" in entries else Fraction(1)
    return scale / _not_zero(entries, "divisor") if "divisor" in entries else scale


def _not_zero(entries: Entries, key: str) -> Fraction:
    number = _number(entries[key])
    if number == 0:
        raise KernelError(f"{entries[key].where}: {key} is zero")
    return number


def _bias(node: Node) -> Number | list[Fraction]:
    return [_number(item) for item in node.value] if isinstance(node.value, list) else _number(node)


def _truth(node: Node) -> bool:
    text = word(node).casefold()
    if text not in _TRUTHS:
        raise KernelError(f"{node.where}: {quoted(text)} is not true or false")
    return _TRUTHS[text]


def _number(node: Node) -> Fraction:
    return parse_cell(word(node), node.where)


def _vector(node: Node) -> np.ndarray[Any, Any]:
    return np.array([_number(item) for item in _items(node)], object)


def _items(node: Node) -> list[Node]:
    if not isinstance(node.value, list) or not node.value:
        got = "an empty list" if node.value == [] else "a single value or table"
        raise KernelError(f"{node.where}: got {got}; allowed: a list of numbers or rows")
    return node.value


def _weights(node: Node) -> np.ndarray[Any, Any]:
    """Nested lists as an array; text with line breaks as a table."""
    if isinstance(node.value, str):
        return parse_table(node.value.replace(";", "\n"), node.where)
    shape, first = [], node
    while isinstance(first.value, list):
        first = _items(first)[0]
        shape.append(0)
    array = np.array(list(_flat(node, len(shape), [], shape)), object)
    if len(shape) == 1:
        shape = [1, *shape]
    if len(shape) > 5:
        raise KernelError(
            f"{node.where}: weights have {len(shape)} axes; "
            "allowed: (rows, columns) or (rows, columns, in, out), with depth first for volumes"
        )
    return array.reshape(shape)


def _flat(node: Node, depth: int, path: list[int], shape: list[int]) -> Iterator[Fraction]:
    """The numbers in order; ``shape`` is filled from the first row met and holds the others to it."""
    if len(path) == depth:
        yield _number(node)
        return
    items = _items(node)
    expected = shape[len(path)] or len(items)
    if len(items) != expected:
        raise KernelError(f"{node.where}: {row_length(len(items), expected)}")
    shape[len(path)] = expected
    for index, item in enumerate(items):
        yield from _flat(item, depth, [*path, index], shape)
