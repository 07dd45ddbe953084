"""Sizes, formulas and layouts as text and as JSON values."""

from __future__ import annotations

from typing import Any, Final

from convcli.core.numerals import counted, grouped
from convcli.geometry.axes import Axis, Geometry

_SUBJECT: Final = ("frames", "rows", "columns")


_SIDES: Final = ("first", "last"), ("top", "bottom"), ("left", "right")


def geometry_lines(geometry: Geometry, padding: str) -> list[tuple[str, str]]:
    """Rows (label, text): padding, stride and dilation, the formula of each axis, and unread pixels."""
    count = len(geometry.axes)
    subjects = _SUBJECT[-count:]
    pads = ", ".join(
        f"{name} {amount}"
        for names, pair in zip(_SIDES[-count:], geometry.pairs, strict=True)
        for name, amount in zip(names, pair, strict=True)
    )
    strides = ", ".join(str(axis.stride) for axis in geometry.axes)
    dilations = ", ".join(str(axis.dilation) for axis in geometry.axes)
    lines = [
        ("padding", f"{padding}: {pads}"),
        ("stride", f"({strides}), dilation ({dilations})"),
    ]
    for name, axis in zip(subjects, geometry.axes, strict=True):
        lines.append((name, f"{axis.formula()}, remainder {axis.remainder}"))
    uncovered = geometry.uncovered
    parts = [
        counted(axis.uncovered, name.removesuffix("s"))
        for name, axis in zip(subjects, geometry.axes, strict=True)
        if axis.uncovered
    ]
    where = f" ({' and '.join(parts)})" if parts else ""
    lines.append(("uncovered", f"{counted(uncovered, 'input pixel')} that no window reads{where}"))
    return lines


def receptive_text(size: tuple[int, ...], jump: tuple[int, ...] | None = None) -> str:
    """The receptive field of an output value, and the distance between those of neighbors."""
    apart = f", neighbors {' × '.join(map(str, jump))} apart" if jump and max(jump) > 1 else ""
    return f"{' × '.join(map(str, size))} pixels per value{apart}"


def cost_text(parameters: int, multiply_adds: int) -> str:
    """Numbers of parameters and of multiply-adds."""
    return f"{grouped(parameters)} parameters, {grouped(multiply_adds)} multiply-adds"


def to_nchw(shape: tuple[int, ...]) -> tuple[int, ...]:
    """(batch, spatial…, channels) as (batch, channels, spatial…)."""
    return shape[0], shape[-1], *shape[1:-1]


def layouts(shape: tuple[int, ...]) -> str:
    """(batch, [depth,] rows, columns, channels) in both orders, with their names NHWC and NCHW."""
    depth = "D" if len(shape) == 5 else ""
    return f"{shape} N{depth}HWC, {to_nchw(shape)} NC{depth}HW"


def axes_dict(geometry: Geometry) -> dict[str, Any]:
    """The numbers of each axis, by its name."""
    axes = geometry.axes
    return {name: _axis_dict(axis) for name, axis in zip(_SUBJECT[-len(axes) :], axes, strict=True)}


def _axis_dict(axis: Axis) -> dict[str, Any]:
    return {
        "input": axis.size,
        "kernel": axis.kernel,
        "stride": axis.stride,
        "dilation": axis.dilation,
        "before": axis.before,
        "after": axis.after,
        "output": axis.output,
        "remainder": axis.remainder,
        "uncovered": axis.uncovered,
        "formula": axis.formula(),
    }
