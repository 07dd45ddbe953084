"""Operators that depend on all values along some axes: reductions, softmax and normalization."""

from __future__ import annotations

from convcli.networks.effects import Elementwise, Mixing, Reducing
from convcli.networks.onnx.operator import Described, Operator


def reduction(operator: Operator) -> Described:
    """One value, such as the sum, of all along some axes."""
    axes = operator.axes(operator.listed("axes", 1, range(len(operator.input))))
    if not axes and operator.number("noop_with_empty_axes", 0):
        return Elementwise(), ""
    axes = axes or frozenset(range(len(operator.input)))
    return Reducing(axes, bool(operator.number("keepdims", 1))), f"axes {', '.join(map(str, sorted(axes)))}"


def largest(operator: Operator) -> Described:
    """The position of the largest or smallest value along one axis."""
    axes = operator.axes([operator.number("axis", 0)])
    return Reducing(axes, bool(operator.number("keepdims", 1))), ""


def softmax(operator: Operator) -> Described:
    """Softmax along one axis; before version 13, along all from one on."""
    if operator.version >= 13:
        return Mixing(operator.axes([operator.number("axis", -1)])), ""
    first = operator.number("axis", 1) % max(len(operator.input), 1)
    return Mixing(frozenset(range(first, len(operator.input)))), ""


def along_axis(operator: Operator) -> Described:
    """Any function of all values along one axis that keeps their number."""
    return Mixing(operator.axes([operator.number("axis", -1)])), ""


def along_axes(operator: Operator) -> Described:
    """Normalization by the mean and deviation along several axes."""
    return Mixing(operator.axes(operator.numbers("axes", (0, 2, 3)))), ""


def instance_normalization(operator: Operator) -> Described:
    """Normalization of each channel."""
    return Mixing(frozenset(range(2, len(operator.input)))), ""


def group_normalization(operator: Operator) -> Described:
    """Normalization of groups of channels."""
    return Mixing(frozenset(range(1, len(operator.input)))), ""


def layer_normalization(operator: Operator) -> Described:
    """Normalization along all axes from one on."""
    count = len(operator.input)
    return Mixing(frozenset(range(operator.number("axis", -1) % max(count, 1), count))), ""
