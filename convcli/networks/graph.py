"""A network as its file describes it: its nodes in order, what each reads, and what it does to axes.

Readers translate the operators of a file format into the few effects of `convcli.networks.effects`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import TypeVar

from convcli.core.errors import ConvcliError, one_line
from convcli.core.frozen import frozen
from convcli.networks.effects import Effect

Sizes = tuple[int | None, ...]
"""The sizes of a tensor's axes, the batch first; None where a size is unknown."""
_Key = TypeVar("_Key")


class NetworkError(ConvcliError, ValueError):
    """A model file cannot be used."""


@frozen(eq=False)
class Node:
    """One operator of a network.

    Attributes:
        name: unique in the network.
        operator: as its file format calls it.
        inputs: names of the tensors that it reads, without constants.
        outputs: names of the tensors that it computes.
        effect: on the axes of its first input, or of all inputs.
        details: its window, stride and so on, as text.
        parameters: the sizes of the trained tensors that it uses, by name.
        multiply_adds: products of convolutions and matrix products, for one image; None where unknown.
        plain: whether it is an activation or another function of single values, without parameters.
        sign: ``positive`` if its values are never below 0, ``kept`` if they are not where its inputs are not,
            else ``any``.
    """

    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    effect: Effect
    details: str = ""
    parameters: Mapping[str, int] = {}
    multiply_adds: int | None = 0
    plain: bool = False
    sign: str = "any"

    @property
    def parameter_count(self) -> int:
        """The number of trained values that the node uses."""
        return sum(self.parameters.values())


@frozen(eq=False)
class Network:
    """A network for images of one size, or of any size if none was given.

    Attributes:
        place: the file, as messages name it.
        input: the name of its input.
        layout: ``NCHW`` or ``NHWC``, the order of the input's axes.
        nodes: each after those that it reads.
        sizes: of every tensor, by name; None if even the number of axes is unknown.
        outputs: names of the network's outputs.
        notes: what users should know about how the file was read.
    """

    place: str
    input: str
    layout: str
    nodes: tuple[Node, ...]
    sizes: Mapping[str, Sizes | None]
    outputs: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def spatial(self) -> tuple[int, int]:
        """Which axes of the input are rows and columns."""
        return (2, 3) if self.layout == "NCHW" else (1, 2)

    @property
    def channel_axis(self) -> int:
        """Which axis of the input has the channels."""
        return 1 if self.layout == "NCHW" else 3

    @property
    def image_size(self) -> tuple[int | None, int | None, int | None]:
        """(rows, columns, channels) of the input; None where any size fits."""
        sizes = self.sizes[self.input] or (None,) * 4
        rows, columns, channels = (sizes[axis] for axis in (*self.spatial, self.channel_axis))
        return rows, columns, channels

    @property
    def is_sized(self) -> bool:
        """Whether the sizes of all results are known."""
        sizes = [self.sizes[name] for node in self.nodes for name in node.outputs[:1]]
        return all(shape is not None and None not in shape for shape in sizes)

    def before(self, tensor: str) -> list[Node]:
        """The nodes that a tensor depends on, in order."""
        needed, chosen = {tensor}, list[Node]()
        for node in reversed(self.nodes):
            if not needed.isdisjoint(node.outputs):
                needed.update(node.inputs)
                chosen.append(node)
        return chosen[::-1]

    def is_positive(self, tensor: str) -> bool:
        """Whether no value of a tensor is below 0, as after a Relu."""
        positive = dict[str, bool]()
        for node in self.nodes:
            kept = node.sign == "kept" and all(positive.get(name, False) for name in node.inputs)
            positive |= dict.fromkeys(node.outputs, kept or node.sign == "positive")
        return positive.get(tensor, False)


def product(sizes: Iterable[int | None]) -> int | None:
    """The product of all sizes; None if any is unknown."""
    total = 1
    for size in sizes:
        if size is None:
            return None
        total *= size
    return total


def ordered(
    needed: Mapping[_Key, Iterable[_Key]], name: Callable[[_Key], str], things: str, place: str
) -> list[_Key]:
    """Keys in an order in which each is after those that it needs.

    Args:
        name: of a key, for messages.
        things: what the keys stand for: ``nodes`` or ``layers``.
        place: the file, for messages.

    Raises:
        NetworkError: they form a cycle.
    """
    try:
        return list(TopologicalSorter(needed).static_order())
    except CycleError as error:
        cycle = " → ".join(one_line(name(key)) for key in error.args[1][:5])
        raise NetworkError(f"{place}: {things} form a cycle: {cycle}") from error


def no_values(node: str, kind: str, sizes: Sizes, place: str) -> NetworkError:
    """The error that a node, such as ``layer 'a'``, has an input of these sizes that is too small for it."""
    shape = "×".join(map(str, sizes))
    return NetworkError(
        f"{place}: {node} ({one_line(kind)}) makes no values of its {shape} input; use a larger image"
    )
