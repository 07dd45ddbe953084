"""A network as its file describes it: its nodes in order, what each reads, and what it does to axes.

Readers translate the operators of a file format into the few effects below, which say all that receptive
fields depend on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

from convcli.core.errors import ConvcliError
from convcli.core.frozen import frozen

Sizes = tuple[int | None, ...]
"""The sizes of a tensor's axes, the batch first; None where a size is unknown."""


class NetworkError(ConvcliError, ValueError):
    """A model file cannot be used."""


@frozen
class Taps:
    """A window that slides along one axis: tap k of output o reads input o · stride − before + k · dilation.

    With ``up``, the input lies on every ``up``-th place of an axis of zeros, as in a transposed convolution
    or nearest-neighbor enlargement: the place that is read is the input's if ``up`` divides it.
    """

    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    before: int = 0
    up: int = 1


@frozen
class Scaling:
    """Resampling along one axis: output o reads inputs around o · step + first, ``reach`` to each side.

    With ``reach`` 0 it reads the one that is rounded down (nearest neighbor).
    """

    step: Fraction
    first: Fraction
    reach: int = 0


@frozen
class Elementwise:
    """Each value depends on those at the same place of every input, which are broadcast."""


@frozen
class Sliding:
    """Each value depends on a window of the input.

    Attributes:
        axes: what happens along each axis that is not kept as it is.
        mixed: axes whose values are all read.
    """

    axes: Mapping[int, Taps | Scaling]
    mixed: frozenset[int] = frozenset({1})


@frozen
class Mixing:
    """Each value depends on all values along some axes of the input, whose sizes are kept."""

    axes: frozenset[int]


@frozen
class Reducing:
    """Some axes become one value, and stay as axes of size 1 if ``keeps`` is true."""

    axes: frozenset[int]
    keeps: bool


@frozen
class Permuting:
    """Axis i of the result is axis ``order[i]`` of the input."""

    order: tuple[int, ...]


@frozen
class Joining:
    """Each value depends on values anywhere along some axes of any input; other axes are kept."""

    axes: frozenset[int]


@frozen
class Reshaping:
    """The same values in another shape."""


@frozen
class Opaque:
    """An operator that is not known; nothing is said of what its values depend on."""


Effect = Elementwise | Sliding | Mixing | Reducing | Permuting | Joining | Reshaping | Opaque


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


def window_text(
    window: Iterable[int], strides: Iterable[int], dilations: Iterable[int], groups: int = 1, up: bool = False
) -> str:
    """``3×3 s2 d2 g32``: the window, its stride, dilation and groups where they are not 1."""
    parts = ["×".join(map(str, window))]
    for letter, numbers in (("s", tuple(strides)), ("d", tuple(dilations)), ("g", (groups,))):
        if max(numbers) > 1:
            mark = "↑" if up and letter == "s" else letter
            parts.append(mark + "×".join(map(str, numbers[:1] if len(set(numbers)) == 1 else numbers)))
    return " ".join(parts)
