"""Operators that move values: to other places, other axes and other shapes."""

from __future__ import annotations

from convcli.networks.effects import Joining, Permuting, Reducing, Reshaping, Sliding, Taps, repeated_taps
from convcli.networks.onnx.operator import Described, Operator, Unclear


def concat(operator: Operator) -> Described:
    """Tensors put together along one axis."""
    return Joining(operator.axes([operator.number("axis", 1)])), ""


def reshape(operator: Operator) -> Described:
    """The same values in another shape."""
    return Reshaping(), ""


def transpose(operator: Operator) -> Described:
    """Axes in another order."""
    order = operator.numbers("perm", reversed(range(len(operator.input))))
    return Permuting(tuple(order)), ", ".join(map(str, order))


def pad(operator: Operator) -> Described:
    """Values before and after those of some axes, or less of these."""
    if "paddings" in operator.attributes:
        pads = operator.numbers("paddings", ())
    else:
        pads = operator.listed("pads", 1)
    count = len(pads) // 2
    axes = operator.listed("axes", 3, range(count))
    before = {axis % len(operator.input): Taps(before=pads[index]) for index, axis in enumerate(axes)}
    return Sliding(before, frozenset()), ""


def slices(operator: Operator) -> Described:
    """A part of some axes, in steps."""
    starts = operator.listed("starts", 1)
    axes = operator.listed("axes", 3, range(len(starts)))
    steps = operator.listed("steps", 4, [1] * len(starts))
    taps = dict[int, Taps]()
    for start, axis, step in zip(starts, axes, steps, strict=True):
        size = operator.input[axis % len(operator.input)]
        if size is None or step < 1:
            raise Unclear
        first = min(max(start + size, 0) if start < 0 else start, size)
        taps[axis % len(operator.input)] = Taps(stride=step, before=-first)
    return Sliding(taps, frozenset()), ""


def split(operator: Operator) -> Described:
    """Parts of one axis, of which any result may be one."""
    return Sliding({}, operator.axes([operator.number("axis", 0)])), ""


def gather(operator: Operator) -> Described:
    """Some entries of one axis."""
    if 1 not in operator.weights or operator.shared > 1:
        raise Unclear
    axes = operator.axes([operator.number("axis", 0)])
    if operator.weights[1] == ():
        return Reducing(axes, keeps=False), ""
    if len(operator.weights[1]) == 1:
        return Sliding({}, axes), ""
    raise Unclear


def depth_to_space(operator: Operator) -> Described:
    """Channels that become the pixels of blocks."""
    size = operator.number("blocksize", 1)
    return Sliding(dict.fromkeys(operator.spatial, repeated_taps(size))), f"{size}×{size}"


def space_to_depth(operator: Operator) -> Described:
    """The pixels of blocks, which become channels."""
    size = operator.number("blocksize", 1)
    return Sliding(dict.fromkeys(operator.spatial, Taps(size, size))), f"{size}×{size}"
