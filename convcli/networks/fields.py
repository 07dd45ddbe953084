"""Receptive fields of every tensor of a network: which pixels of the image its values depend on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import reduce

from convcli.core.frozen import frozen, replace
from convcli.geometry.axes import LARGEST
from convcli.networks.axis_field import AxisField
from convcli.networks.effects import (
    Effect,
    Elementwise,
    Joining,
    Mixing,
    Opaque,
    Permuting,
    Reducing,
    Reshaping,
    Scaling,
    Sliding,
    Taps,
)
from convcli.networks.graph import Network, Node, Sizes, product
from convcli.networks.lattice import Lattice, NoFieldError, hull


@frozen
class Field:
    """What the values of a tensor depend on along both axes of the image, or why that is unknown."""

    axes: tuple[AxisField, ...]
    unknown: str = ""

    @property
    def size(self) -> tuple[int, ...] | None:
        """The receptive field: (rows, columns); None if unknown."""
        return None if self.unknown else tuple(axis.size for axis in self.axes)

    @property
    def jump(self) -> tuple[Fraction, ...] | None:
        """(rows, columns); None if unknown, or if the tensor does not have both axes."""
        jumps = tuple(axis.jump for axis in self.axes if axis.jump is not None)
        return jumps if not self.unknown and len(jumps) == len(self.axes) else None

    @property
    def offset(self) -> tuple[Fraction, ...] | None:
        """(rows, columns), like `jump`."""
        offsets = tuple(axis.offset for axis in self.axes if axis.offset is not None)
        return offsets if not self.unknown and len(offsets) == len(self.axes) else None


def receptive_fields(network: Network) -> dict[str, Field]:
    """The field of every tensor by name. One that depends on an unknown operator is unknown, and says so."""
    sides = zip(network.image_size[:2], network.spatial, strict=True)
    axes = tuple(AxisField(length or LARGEST, place, Lattice()) for length, place in sides)
    fields = {network.input: Field(axes)}
    for node in network.nodes:
        field = _field(node, fields, network.sizes)
        fields |= dict.fromkeys(node.outputs, field)
    return fields


def _field(node: Node, fields: Mapping[str, Field], sizes: Mapping[str, Sizes | None]) -> Field:
    """The field of a node's outputs."""
    inputs = [fields[name] for name in node.inputs]
    unknown = next((field.unknown for field in inputs if field.unknown), "")
    if unknown:
        return Field((), unknown)
    try:
        if isinstance(node.effect, Opaque):
            raise NoFieldError(f"{node.operator} is not known")
        shapes = [_known(sizes[name]) for name in node.inputs]
        result = _known(sizes[node.outputs[0]])
        return Field(_after(node.effect, [field.axes for field in inputs], shapes, result))
    except NoFieldError as error:
        return Field((), f"{node.name}: {error}")
    except (ValueError, IndexError):  # axes that the tensor does not have
        return Field((), f"{node.name}: its attributes do not fit its input")


def _known(sizes: Sizes | None) -> Sizes:
    if sizes is None:
        raise NoFieldError("the number of axes of a tensor is unknown")
    return sizes


Axes = tuple[AxisField, ...]


def _after(effect: Effect, inputs: list[Axes], shapes: list[Sizes], result: Sizes) -> Axes:
    match effect:
        case Elementwise():
            aligned = [
                tuple(_broadcast(field, shape, result) for field in axes)
                for axes, shape in zip(inputs, shapes, strict=True)
            ]
            return _joined(aligned, result)
        case Joining(places):
            return _joined(
                [
                    _each(axes, shape, lambda field, count: field.gathered(count), *places)
                    for axes, shape in zip(inputs, shapes, strict=True)
                ],
                result,
            )
    (axes,), (shape,) = inputs[:1], shapes[:1]
    match effect:
        case Sliding(taps, mixed):
            axes = _each(axes, shape, lambda field, count: field.gathered(count), *mixed)
            return tuple(_slid(field, taps) for field in axes)
        case Mixing(mixed):
            return _each(axes, shape, lambda field, count: field.mixed(count), *mixed)
        case Reducing(reduced, keeps):
            axes = _each(axes, shape, lambda field, count: field.gathered(count), *reduced)
            gone = frozenset() if keeps else reduced
            return _moved(axes, lambda place: place - sum(axis < place for axis in gone))
        case Permuting(order):
            return _moved(axes, order.index)
        case Reshaping():
            return _reshaped(axes, shape, result)
    raise NoFieldError("not known")


def _slid(field: AxisField, taps: Mapping[int, Taps | Scaling]) -> AxisField:
    """The field after the window along its axis, if there is one."""
    if field.lattice is None or field.place is None or field.place not in taps:
        return field
    return replace(field, lattice=field.lattice.after(taps[field.place]))


def _each(
    axes: Axes, shape: Sizes, change: Callable[[AxisField, int | None], AxisField], *places: int
) -> Axes:
    """The fields with a change of those that lie along some axes of the tensor."""
    return tuple(
        change(field, shape[field.place]) if field.place is not None and field.place in places else field
        for field in axes
    )


def _moved(axes: Axes, place: Callable[[int], int]) -> Axes:
    """The fields along other axes of the tensor."""
    return tuple(field if field.place is None else replace(field, place=place(field.place)) for field in axes)


def _broadcast(field: AxisField, shape: Sizes, result: Sizes) -> AxisField:
    """The field after a tensor was broadcast: axes are aligned at the end, and a single value is repeated."""
    if field.place is None:
        return field
    place = field.place + len(result) - len(shape)
    if shape[field.place] == 1 and result[place] != 1:
        return field.gathered(1)
    return replace(field, place=place)


def _joined(inputs: list[Axes], result: Sizes) -> Axes:
    """The fields of values that depend on all inputs."""
    return tuple(
        reduce(lambda one, other: _union(one, other, result), fields) for fields in zip(*inputs, strict=True)
    )


def _union(one: AxisField, other: AxisField, result: Sizes) -> AxisField:
    place = one.place if one.place is not None else other.place
    span = hull(one.span, other.span)
    if one.lattice is None or other.lattice is None:
        return AxisField(one.length, place, one.lattice or other.lattice, span)
    if one.place != other.place:
        raise NoFieldError("its inputs have rows and columns along different axes")
    if one.lattice.jump != other.lattice.jump and place is not None and result[place] == 1:
        return _union(one.gathered(1), other.gathered(1), result)
    return AxisField(one.length, place, one.lattice.joined(other.lattice), span)


def _reshaped(axes: Axes, shape: Sizes, result: Sizes) -> Axes:
    """The fields after a reshape, which keeps an axis with the same size and as many values before it."""

    def moved(field: AxisField) -> AxisField:
        if field.place is None:
            return field
        kept = _kept_axis(shape, result, field.place)
        return field.gathered(shape[field.place]) if kept is None else replace(field, place=kept)

    changed = tuple(map(moved, axes))
    if any(field.place is None for field in changed):  # rows and columns are one axis
        return tuple(field if field.place is None else field.gathered(shape[field.place]) for field in axes)
    return changed


def _kept_axis(shape: Sizes, result: Sizes, place: int) -> int | None:
    """Which axis of a reshaped tensor is axis ``place`` of the tensor, or None."""
    wanted = product(shape[:place])
    if wanted is None or shape[place] is None:
        return None
    return next(
        (
            axis
            for axis, size in enumerate(result)
            if size == shape[place] and product(result[:axis]) == wanted
        ),
        None,
    )
