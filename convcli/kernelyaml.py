"""Kernels as YAML: keys for the weights, their scale and bias, and what the kernel is."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final

import numpy as np

from convcli.errors import KernelError, one_line, shown, suggest
from convcli.kernel import COMBINES, About, Kernel, KernelSet
from convcli.kerneltable import parse_cell, parse_table
from convcli.yamlnodes import Node, load, word, words

_ABOUT_KEYS: Final = ("name", "description", "source", "tags", "aliases", "gain")
_NUMBER_KEYS: Final = ("weights", "rows", "columns", "scale", "divisor", "bias")
MOST_PRODUCTS: Final = 2**18
_KEYS: Final = (*_ABOUT_KEYS, *_NUMBER_KEYS, "members", "combine")


def parse_yaml(text: str, place: str, name: str) -> Kernel | KernelSet:
    """A kernel from YAML text; ``name`` serves where the text gives none."""
    root = load(text, place)
    if isinstance(root.value, list):
        return Kernel(_weights(root), name=name)
    if not isinstance(root.value, dict):
        raise KernelError(f"{root.where}: got a single value; allowed: a table of keys, or rows of numbers")
    entries = {key: node for key, (_, node) in root.value.items()}
    for key, (key_node, _) in root.value.items():
        if key not in _KEYS:
            allowed = suggest(key, _KEYS) or f"; allowed: {', '.join(_KEYS)}"
            raise KernelError(f"{key_node.where}: unknown key {shown(key)}{allowed}")
    name = one_line(word(entries["name"])) if "name" in entries else name
    about = _about(entries)
    combine = word(entries["combine"]) if "combine" in entries else None
    if combine not in (None, *COMBINES):
        raise KernelError(f"{entries['combine'].where}: combine is not one of {', '.join(COMBINES)}")
    if "members" in entries:
        _only(entries, "members", _NUMBER_KEYS)
        members = tuple(words(entries["members"]))
        if not members:
            raise KernelError(f"{entries['members'].where}: got an empty list; allowed: kernels")
        return KernelSet(name, members, combine, about)
    weights = _kernel_weights(entries, root.where)
    bias = _number(entries["bias"]) if "bias" in entries else Fraction(0)
    try:
        return Kernel(weights, scale=_scale(entries), bias=bias, name=name, combine=combine, about=about)
    except KernelError as error:
        raise KernelError(f"{place}: {error}") from error


def _only(entries: dict[str, Node], key: str, others: tuple[str, ...]) -> None:
    for other in others:
        if other in entries:
            raise KernelError(f"{entries[other].where}: {other} cannot stand beside {key}")


def _kernel_weights(entries: dict[str, Node], where: str) -> np.ndarray[Any, Any]:
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


def _about(entries: dict[str, Node]) -> About:
    return About(
        description=one_line(word(entries["description"])) if "description" in entries else "",
        source=word(entries["source"]) if "source" in entries else "",
        tags=tuple(words(entries["tags"])) if "tags" in entries else (),
        aliases=tuple(words(entries["aliases"])) if "aliases" in entries else (),
        gain=_number(entries["gain"]) if "gain" in entries else None,
    )


def _scale(entries: dict[str, Node]) -> Fraction:
    scale = _number(entries["scale"]) if "scale" in entries else Fraction(1)
    if "divisor" in entries:
        divisor = _number(entries["divisor"])
        if divisor == 0:
            raise KernelError(f"{entries['divisor'].where}: divisor is zero")
        scale /= divisor
    return scale


def _number(node: Node) -> Fraction:
    return parse_cell(word(node), node.where)


def _vector(node: Node) -> np.ndarray[Any, Any]:
    items = _items(node)
    return np.array([_number(item) for item in items], object)


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
    if len(shape) not in (2, 4):
        raise KernelError(
            f"{node.where}: weights have {len(shape)} axes; "
            "allowed: (rows, columns) or (rows, columns, in, out)"
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
        raise KernelError(f"{node.where}: row has {len(items)} numbers, the first row has {expected}")
    shape[len(path)] = expected
    for index, item in enumerate(items):
        yield from _flat(item, depth, [*path, index], shape)
