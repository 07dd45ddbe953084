"""The shapes of a chain of layers as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import prod
from typing import Any, Final

from convcli.core.numerals import counted, grouped
from convcli.core.tables import SCHEMA, table
from convcli.geometry.describe import (
    axes_dict,
    cost_text,
    geometry_lines,
    layouts,
    operation_word,
    receptive_text,
    to_nchw,
)
from convcli.layers.chain import Shape
from convcli.layers.code import Code, codes, names

NAMES: Final = {"keras": "Keras", "torch": "PyTorch", "scipy": "SciPy", "opencv": "OpenCV"}
_TITLES: Final = {
    "conv": "convolution",
    "each": "per-channel convolution",
    "depthwise": "depthwise convolution",
    "maxpool": "max pool",
    "avgpool": "average pool",
}


def as_text(shapes: Sequence[Shape], paddings: Sequence[str], others: str = "") -> str:
    """Each layer's formula, shapes, cost and code; for several layers, their overview and totals.

    Args:
        paddings: the text of each layer's padding.
        others: the first layer's output sizes with other paddings, as text; empty to leave them out.
    """
    blocks = []
    for place, (shape, padding) in enumerate(zip(shapes, paddings, strict=True), 1):
        title = f"layer {place}: {_title(shape)}\n" if len(shapes) > 1 else ""
        lines = _lines(shape, padding) + ([("paddings", others)] if others and place == 1 else [])
        blocks.append(f"{title}{table(lines)}\n{_code_text(shape)}")
    if len(shapes) > 1:
        blocks.append(f"total\n{_overview(shapes)}\n{table(_together(shapes))}")
    return "\n".join(blocks)


def _overview(shapes: Sequence[Shape]) -> str:
    """A line for each layer, in aligned columns."""
    rows = [("", "layer", "output, NHWC", "receptive", "parameters")]
    rows += [
        (
            str(place),
            _title(shape),
            str(shape.output),
            " × ".join(map(str, shape.receptive)),
            grouped(shape.parameters),
        )
        for place, shape in enumerate(shapes, 1)
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(f"{cell:{side}{width}}" for cell, width, side in zip(row, widths, "><<>>", strict=True))
        for row in rows
    ]
    return "".join(f"  {line}\n" for line in lines)


def _title(shape: Shape) -> str:
    layer, (channels, maps) = shape.layer, shape.channels
    if layer.activation:
        return f"{layer.name}, {counted(channels, 'channel')}"
    size = "×".join(map(str, layer.kernel))
    kind = "transposed convolution" if layer.transposed else _TITLES[layer.kind]
    return f"{' '.join(filter(None, [kind, layer.name, size]))}, {channels} → {maps} channels"


def _lines(shape: Shape, padding: str) -> list[tuple[str, str]]:
    if shape.layer.activation:
        return [
            ("output", f"{layouts(shape.output)}, as the input"),
            ("receptive", receptive_text(shape.receptive, shape.jump)),
            ("parameters", _parameters(shape)),
        ]
    window = " × ".join(str(axis.kernel) for axis in shape.geometry.axes)
    covers = " × ".join(str(axis.extent) for axis in shape.geometry.axes)
    return [
        ("input", layouts(shape.input)),
        ("kernel", f"{window}, covers {covers}"),
        *([("like", f"{shape.like}: {_operation(shape)}")] if shape.like else []),
        *geometry_lines(shape.geometry, _pooled(shape, padding)),
        ("output", layouts(shape.output)),
        ("receptive", receptive_text(shape.receptive, shape.jump)),
        ("parameters", _parameters(shape)),
        ("multiply-adds", _multiply_adds(shape)),
    ]


def _pooled(shape: Shape, padding: str) -> str:
    """The padding of a pool; a max pool pads with −∞, which is never the largest value of a window."""
    return f"{padding.split(':', maxsplit=1)[0]}:−∞" if shape.layer.kind == "maxpool" else padding


def _operation(shape: Shape) -> str:
    operation = shape.convention.operation
    if shape.layer.is_pool:
        return f"a pool as in {NAMES.get(shape.like or '', 'ONNX')}"
    return f"{operation}, which {'flips the kernel' if shape.flip else 'does not flip the kernel'}"


def _parameters(shape: Shape) -> str:
    if not shape.weights:
        return "none"
    product = " · ".join(map(str, _factors(shape, shape.weights)))
    biases = f" + {shape.biases}" if shape.biases else ""
    return f"{product}{biases} = {grouped(shape.parameters)}"


def _factors(shape: Shape, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Sizes of the weights, after the number of kernels if several are combined."""
    kernels = shape.layer.combined
    return ((kernels,) if kernels > 1 else ()) + sizes


def _multiply_adds(shape: Shape) -> str:
    if not shape.weights:
        return "none"
    values = " · ".join(map(str, shape.multiplied[1:]))
    weights = " · ".join(map(str, _factors(shape, shape.weights[:-1])))
    return f"{values} values · {weights} = {grouped(shape.multiply_adds)}"


def _code_text(shape: Shape) -> str:
    lines = [
        f"  {NAMES[name] if not index else '':<8} {line}\n"
        for name, lines in codes(shape).items()
        for index, line in enumerate(lines)
    ]
    return "".join(lines) + (f"  {'':<8} {names(shape)}\n" if names(shape) else "")


def _together(shapes: Sequence[Shape]) -> list[tuple[str, str]]:
    first, last = shapes[0], shapes[-1]
    return [
        ("input", layouts(first.input)),
        ("output", layouts(last.output)),
        ("receptive", receptive_text(last.receptive, last.jump)),
        ("cost", cost_text(sum(s.parameters for s in shapes), sum(s.multiply_adds for s in shapes))),
        ("values", f"{grouped(sum(prod(s.output) for s in shapes))} in all feature maps"),
    ]


def as_dict(shapes: Sequence[Shape]) -> dict[str, Any]:
    """The shapes as JSON types: one layer as an object, several as the list ``layers`` of such objects."""
    if len(shapes) == 1:
        return {"schema": SCHEMA, **_layer_dict(shapes[0])}
    return {
        "schema": SCHEMA,
        "input": _tensor(shapes[0].input),
        "layers": [_layer_dict(shape) for shape in shapes],
        "output": _tensor(shapes[-1].output),
        "receptive_field": list(shapes[-1].receptive),
        "jump": _numbers(shapes[-1].jump),
        "parameters": sum(shape.parameters for shape in shapes),
        "multiply_adds": sum(shape.multiply_adds for shape in shapes),
    }


def _layer_dict(shape: Shape) -> dict[str, Any]:
    return {
        "kind": shape.layer.kind,
        "name": shape.layer.name or None,
        "like": shape.like,
        "operation": operation_word(shape.flip, shape.layer.transposed) if shape.weights else None,
        "padding": str(shape.padding),
        "axes": axes_dict(shape.geometry),
        "uncovered": shape.geometry.uncovered,
        "input": _tensor(shape.input),
        "output": _tensor(shape.output),
        "weights": list(shape.weights),
        "groups": shape.groups,
        "receptive_field": list(shape.receptive),
        "jump": _numbers(shape.jump),
        "parameters": shape.parameters,
        "multiply_adds": shape.multiply_adds,
        "code": {name: _runnable(lines) for name, lines in codes(shape).items()},
    }


def _runnable(lines: Code) -> str | None:
    return None if lines[0].startswith("#") else "\n".join(lines)


def _numbers(values: Sequence[int | Fraction]) -> list[float]:
    """Fractions as floats."""
    return [value if isinstance(value, int) else float(value) for value in values]


def _tensor(shape: tuple[int, ...]) -> dict[str, Any]:
    return {"nhwc": list(shape), "nchw": list(to_nchw(shape))}
