"""Values of a YAML or JSON text with their places; every scalar stays the text that it is."""

from __future__ import annotations

from typing import Any, Final

from convcli.core.errors import KernelError
from convcli.core.frozen import frozen

DEEPEST: Final = 8  # brackets
MOST_VALUES: Final = 2**18 + 2**10
"""Of a file: a kernel's weights, and what is said of them."""


@frozen
class Node:
    """A value with its place: a text, a list of nodes, or a dict of text to (key, node)."""

    value: Any
    where: str


def word(node: Node) -> str:
    if not isinstance(node.value, str):
        raise KernelError(f"{node.where}: got a list or table; allowed: one value")
    return node.value


def words(node: Node) -> list[str]:
    return [word(item) for item in node.value] if isinstance(node.value, list) else [word(node)]
