"""Sizes, formulas and layouts as text and as JSON values."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Final

from convcli.core.numerals import counted, grouped, with_minus
from convcli.geometry.axes import Axis, Geometry
from convcli.geometry.padding import Pair, amount_text
from convcli.geometry.transposed import TransposedAxis

_SUBJECT: Final = ("frames", "rows", "columns")


_SIDES: Final = ("first", "last"), ("top", "bottom"), ("left", "right")
_ENDS: Final = (("before", "after"),)


def _subjects(count: int) -> tuple[str, ...]:
    """What the axes count."""
    return _SUBJECT[-count:] if count > 1 else ("length",)


def operation_word(flip: bool, transposed: bool = False) -> str:
    """What is computed, or what that is the transpose of."""
    return ("transposed " if transposed else "") + ("convolution" if flip else "cross-correlation")


def operation_text(flip: bool, transposed: bool = False) -> str:
    """What is computed, and the direction of the kernel if it is not its own."""
    if transposed:
        return "transposed convolution" + (" (kernel rotated by 180°)" if flip else "")
    return "convolution (kernel rotated by 180°)" if flip else "cross-correlation"


def geometry_lines(geometry: Geometry, padding: str) -> list[tuple[str, str]]:
    """Rows (label, text): padding, stride and dilation, the formula of each axis, and unread pixels."""
    subjects = _subjects(len(geometry.axes))
    pads, steps = _sides_text(geometry.pairs), _steps_text(geometry)
    if geometry.transposed:
        lines = [
            ("padding", f"{padding.removesuffix(':zero')} removes {pads}"),
            ("stride", steps),
            *zip(subjects, (axis.formula() for axis in geometry.transposed), strict=True),
            ("equivalent", equivalent_text(geometry)),
        ]
    else:
        lines = [("padding", f"{padding}: {pads}"), ("stride", steps)]
        for name, axis in zip(subjects, geometry.axes, strict=True):
            lines.append((name, f"{axis.formula()}, remainder {axis.remainder}"))
    uncovered = geometry.uncovered
    parts = [
        counted(axis.uncovered, name.removesuffix("s"))
        for name, axis in zip(subjects, geometry.axes, strict=True)
        if axis.uncovered
    ]
    where = f" ({' and '.join(parts)})" if parts and len(subjects) > 1 else ""
    lines.append(("uncovered", f"{counted(uncovered, 'input pixel')} that no window reads{where}"))
    return lines


def _sides_text(pairs: Sequence[Pair]) -> str:
    """``top 1, bottom 1, left 0, right 0``."""
    return ", ".join(
        f"{name} {amount}"
        for names, pair in zip(_SIDES[-len(pairs) :] if len(pairs) > 1 else _ENDS, pairs, strict=True)
        for name, amount in zip(names, pair, strict=True)
    )


def _steps_text(geometry: Geometry) -> str:
    """Stride, dilation and output padding of each axis."""
    strides, dilations = (
        ", ".join(str(getattr(axis, name)) for axis in geometry.layer) for name in ("stride", "dilation")
    )
    text = f"({strides}), dilation ({dilations})"
    if geometry.transposed:
        text += f", output padding ({', '.join(str(axis.output_padding) for axis in geometry.transposed)})"
    elif any(axis.spread > 1 for axis in geometry.axes):
        text += f", ({', '.join(str(axis.spread - 1) for axis in geometry.axes)}) zeros between pixels"
    return text


def equivalent_text(geometry: Geometry) -> str:
    """The ordinary convolution that computes a transposed one."""
    axes = geometry.axes
    zeros = ", ".join(str(axis.spread - 1) for axis in axes)
    pads = with_minus(amount_text(tuple((axis.before, axis.after) for axis in axes)))
    size = " × ".join(str(axis.span) for axis in axes)
    return f"rotated kernel over {size} positions, ({zeros}) zeros between pixels, padding {pads}"


def receptive_text(size: tuple[int, ...], jump: Sequence[int | Fraction] | None = None) -> str:
    """The receptive field of an output value, and the distance between those of neighbors."""
    apart = (
        f", neighbors {' × '.join(map(str, jump))} apart" if jump and any(step != 1 for step in jump) else ""
    )
    return f"{' × '.join(map(str, size))} pixels per value{apart}"


def cost_text(parameters: int, multiply_adds: int | None) -> str:
    """Numbers of parameters and of multiply-adds, which may be unknown."""
    products = "an unknown number of" if multiply_adds is None else grouped(multiply_adds)
    return f"{grouped(parameters)} parameters, {products} multiply-adds"


def to_nchw(shape: tuple[int, ...]) -> tuple[int, ...]:
    """(batch, spatial…, channels) as (batch, channels, spatial…)."""
    return shape[0], shape[-1], *shape[1:-1]


def layouts(shape: tuple[int, ...]) -> str:
    """(batch, spatial…, channels) in both orders, with their names: NWC, NHWC or NDHWC, and NCW and so on."""
    axes = "DHW"[-(len(shape) - 2) :]
    return f"{shape} N{axes}C, {to_nchw(shape)} NC{axes}"


def axes_dict(geometry: Geometry) -> dict[str, Any]:
    """The numbers of each axis, by its name."""
    names = _subjects(len(geometry.axes))
    if geometry.transposed:
        pairs = zip(geometry.transposed, geometry.axes, strict=True)
        return {name: _transposed_dict(*pair) for name, pair in zip(names, pairs, strict=True)}
    return {name: _axis_dict(axis) for name, axis in zip(names, geometry.axes, strict=True)}


def _transposed_dict(layer: TransposedAxis, axis: Axis) -> dict[str, Any]:
    return {
        "input": layer.size,
        "kernel": layer.kernel,
        "stride": layer.stride,
        "dilation": layer.dilation,
        "before": layer.before,
        "after": layer.after,
        "output_padding": layer.output_padding,
        "output": layer.output,
        "remainder": 0,
        "uncovered": axis.uncovered,
        "formula": layer.formula(),
    }


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
