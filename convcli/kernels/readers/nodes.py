"""The values of a YAML or JSON text with their places; every scalar stays text."""

from __future__ import annotations

from typing import Any, Final

from convcli.core.errors import KernelError
from convcli.core.frozen import frozen

DEEPEST: Final = 8
"""Levels of nested brackets."""
MOST_VALUES: Final = 2**18 + 2**10
"""Scalars of a file: a kernel's weights, and the other keys."""


@frozen
class Node:
    """A value and its place.

    Attributes:
        value: a text, a list of nodes, or a dict from text to (node of the key, node of the value).
        where: ``FILE:LINE:COLUMN``.
    """

    value: Any
    where: str


def node_of(value: Any, where: str) -> Node:
    """Texts, lists and dicts as nodes that share one place."""
    if isinstance(value, dict):
        return Node({key: (Node(key, where), node_of(item, where)) for key, item in value.items()}, where)
    return Node([node_of(item, where) for item in value] if isinstance(value, list) else value, where)


def text_of(node: Node) -> str:
    """The text of a scalar.

    Raises:
        KernelError: a list or a mapping.
    """
    if not isinstance(node.value, str):
        raise KernelError(f"{node.where}: got a list or mapping; allowed: one value")
    return node.value


def texts_of(node: Node) -> list[str]:
    """The texts of a list of scalars, or of a single one."""
    return [text_of(item) for item in node.value] if isinstance(node.value, list) else [text_of(node)]
