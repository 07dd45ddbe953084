"""The nodes of an ONNX graph: their names, what each reads, and their order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from convcli.core.errors import quoted
from convcli.networks.graph import NetworkError, ordered
from convcli.networks.onnx.file import nested_graphs


def unique_names(nodes: Any) -> list[str]:
    """A name for each node: its own, or that of its first output if another node has it too."""
    own = [node.name for node in nodes]
    counts = {name: own.count(name) for name in set(own)} if len(own) != len(set(own)) else {}
    return [
        node.name
        if node.name and counts.get(node.name, 1) == 1
        else next(filter(None, node.output), f"node {index}")
        for index, node in enumerate(nodes)
    ]


def sort_nodes(graph: Any, place: str) -> None:
    """Put nodes after those that they read.

    Raises:
        NetworkError: they form a cycle, or read or compute tensors that they cannot.
    """
    nodes = list(graph.node)
    earlier = _nodes_read(graph, nodes, place)
    if all(index > other for index, others in earlier.items() for other in others):
        return
    order = ordered(earlier, lambda index: _label(nodes[index]), "nodes", place)
    copies = [type(nodes[index]).FromString(nodes[index].SerializeToString()) for index in order]
    del graph.node[:]
    graph.node.extend(copies)


def _nodes_read(graph: Any, nodes: list[Any], place: str) -> dict[int, list[int]]:
    """The nodes that each node reads, by their indices."""
    stored = {entry.name for entry in (*graph.input, *graph.initializer)}
    stored |= {entry.values.name for entry in graph.sparse_initializer}
    producers, earlier = _producers(nodes, stored, place), dict[int, list[int]]()
    for index, node in enumerate(nodes):
        names = [name for name in dict.fromkeys(read_names(node)) if name not in stored]
        missing = next((name for name in names if name not in producers), None)
        if missing is not None:
            where = f"{place}: damaged: node {quoted(_label(node))}"
            raise NetworkError(f"{where} reads {quoted(missing)}, which nothing computes")
        earlier[index] = [producers[name] for name in names]
    return earlier


def _producers(nodes: list[Any], stored: set[str], place: str) -> dict[str, int]:
    """The index of the node that computes each tensor."""
    producers: dict[str, int] = {}
    for index, node in enumerate(nodes):
        for name in filter(None, node.output):
            if name in stored or name in producers:
                tensor = quoted(name)
                raise NetworkError(f"{place}: damaged: tensor {tensor} is computed twice, or is an input")
            producers[name] = index
    return producers


def _label(node: Any) -> str:
    return str(node.name or next(filter(None, node.output), node.op_type))


def read_names(node: Any) -> Iterable[str]:
    """The names of the tensors that a node reads, in its nested graphs too."""
    yield from filter(None, node.input)
    for attribute in node.attribute:
        for graph in nested_graphs(attribute):
            yield from _used(graph)


def _used(graph: Any) -> Iterable[str]:
    """The names of tensors outside a nested graph that it reads."""
    own = {entry.name for entry in (*graph.input, *graph.initializer)}
    own |= {name for node in graph.node for name in node.output}
    for node in graph.node:
        yield from (name for name in node.input if name and name not in own)
        for attribute in node.attribute:
            for nested in nested_graphs(attribute):
                yield from (name for name in _used(nested) if name not in own)
