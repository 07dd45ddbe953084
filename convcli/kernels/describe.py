"""Kernels as text: the weights in aligned columns, and their properties in words."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Final

import numpy as np

from convcli.core.numerals import number_text, report_text, with_minus
from convcli.core.rational import FloatArray, Number
from convcli.kernels.kernel import ROUNDING, TYPED, Kernel, Layer

MOST_SHOWN: Final = 15  # rows and columns of a matrix
_LONGEST_FACTOR: Final = 7  # numbers of a factor in the properties
_LONGEST_VECTOR: Final = 63  # numbers of a factor shown in place of a large matrix
_LINE_LENGTH: Final = 9  # numbers of a line of a factor
_MOST_SUMS: Final = 8
_SMALLEST_DECIMAL, _LARGEST_DECIMAL = 0.001, 1e6  # weights of a matrix in decimals
_MOST_PLANES: Final = 4  # maps, inputs and frames that are shown
_FREQUENCIES: Final = np.linspace(0, 0.5, 17)  # cycles per pixel
_BARS: Final = "▁▂▃▄▅▆▇█"


def map_name(kernel: Kernel, index: int) -> tuple[str, str]:
    """(name, suffix) of a feature map: the kernel that makes it, and a number that distinguishes it.

    The name is that of a set's member, else the kernel's, or its size if it was typed as numbers.
    """
    members = kernel.about.members
    if kernel.combine is None and kernel.maps == len(members):
        return members[index], ""
    return title(kernel), "" if kernel.combine or kernel.maps == 1 else f", map {index}"


def title(kernel: Kernel) -> str:
    """The name of a kernel, or its size if it was typed as numbers."""
    return f"a kernel of {' × '.join(map(str, kernel.size))}" if kernel.name == TYPED else kernel.name


def matrices(
    kernel: Kernel, most: int = MOST_SHOWN, planes: int | None = None
) -> list[tuple[str, list[str]]]:
    """(title, lines) for each plane of weights; exact ones as integers, the common factor in the title.

    Args:
        most: rows and columns; a larger plane is shown as its factors if it is separable, else not at all.
        planes: of each axis; the last title states how many more there are.
    """
    raw: Any = kernel.exact.numerators if kernel.exact else kernel.weights
    factor = f"1/{kernel.exact.denominator} ×" if kernel.exact and kernel.exact.denominator != 1 else ""
    if raw.ndim < 3:
        return _factors(kernel, most) or [(factor, _aligned(raw.reshape(kernel.size), most))]
    shown = planes or _MOST_PLANES
    stacked = raw.reshape(kernel.depth, *kernel.size, *kernel.tensor_shape[-2:])
    depths, _, _, inputs, maps = stacked.shape
    titled = []
    for index, channel, depth in np.ndindex(*(min(count, shown) for count in (maps, inputs, depths))):
        name, number = map_name(kernel.combined(None), index)
        parts = [f"map {index}"] * (maps > 1) + [name] * (maps > 1 and not number)
        parts += [f"input {channel}"] * (inputs > 1) + [f"frame {depth}"] * (depths > 1)
        title = f"{', '.join(parts)} {factor}".strip()
        titled.append((title, _aligned(stacked[depth, :, :, channel, index], most)))
    counts = ((maps, "map"), (inputs, "input"), (depths, "frame"))
    left_out = [
        f"{count - shown} more {noun}{'s' * (count > shown + 1)}" for count, noun in counts if count > shown
    ]
    return [*titled, (f"and {', '.join(left_out)}", [])] if left_out else titled


def _aligned(matrix: Any, most: int) -> list[str]:
    """The rows of a matrix in aligned columns."""
    rows, columns = matrix.shape
    if rows > most or columns > most:
        return [f"({rows}×{columns} weights, not shown)"]
    text_of = _decimals if _fits_decimals(matrix) else _digits
    cells = [[text_of(value) for value in row] for row in matrix]
    width = max(len(cell) for row in cells for cell in row)
    return ["  ".join(cell.rjust(width) for cell in row) for row in cells]


def _factors(kernel: Kernel, most: int) -> list[tuple[str, list[str]]]:
    """A separable kernel too large to be shown, as the product of a column and a row."""
    if not most < max(kernel.size) <= _LONGEST_VECTOR or min(kernel.size) == 1 or kernel.factors is None:
        return []
    rows, columns = kernel.size
    if kernel.exact and (kernel.weights == kernel.weights[0, 0]).all():
        return [
            (
                "",
                [f"({rows}×{columns} weights, all {with_minus(number_text(kernel.sum / (rows * columns)))})"],
            )
        ]
    factor, column, row = _simplified(*kernel.factors)
    title = f"{rows}×{columns} weights = {factor}"
    if column == row:
        return [(f"{title}vᵀ × v, where v is", _lines(row))]
    return [(f"{title}uᵀ × v, where u is", _lines(column)), ("and v is", _lines(row))]


def _simplified(column: list[Number], row: list[Number]) -> tuple[str, list[str], list[str]]:
    """A common factor, the column and the row; the same list twice if each is a multiple of the other."""
    if any(isinstance(value, float) for value in (*column, *row)):
        rows, columns = np.array(column, float), np.array(row, float)
        ratio = columns[int(np.abs(rows).argmax())] if len(rows) == len(columns) else 0.0
        if ratio > 0 and np.allclose(rows * ratio, columns, rtol=1e-9, atol=0):
            rows = columns = columns / np.sqrt(ratio)
        return "", _texts(rows.tolist()), _texts(columns.tolist())
    factor, integers = _common(column)
    return f"{factor}× " if factor else "", integers.split(), _texts(row)


def _lines(texts: list[str]) -> list[str]:
    """Numbers in aligned columns."""
    width = max(map(len, texts))
    padded = [text.rjust(width) for text in texts]
    return ["  ".join(padded[at : at + _LINE_LENGTH]) for at in range(0, len(texts), _LINE_LENGTH)]


def _fits_decimals(matrix: Any) -> bool:
    """Whether four decimals suffice: no weight is too wide for a column, and the largest is not 0.0000."""
    largest = float(np.abs(matrix).max(initial=0))
    return matrix.dtype.kind != "f" or largest == 0 or _SMALLEST_DECIMAL <= largest < _LARGEST_DECIMAL


def _decimals(value: Any) -> str:
    if not isinstance(value, float):
        return with_minus(str(value))
    text = f"{value:.4f}"
    return with_minus(text) if float(text) else "0"


def _digits(value: float) -> str:
    return with_minus(f"{value:.4g}")


def facts(kernel: Kernel) -> list[tuple[str, str]]:
    """(label, text) of each property, for ``kernels show``."""
    low, high = kernel.bounds
    about = kernel.about
    rows = [
        (
            "size",
            f"{kernel.size[0]}×{kernel.size[1]}, weights {kernel.tensor_shape} (rows, columns, in, out)",
        ),
        ("sum", sum_text(kernel)),
        (
            "range",
            f"{_value(low)} … {_value(high)} for pixels 0 … 1, "
            f"{_value(low * 255)} … {_value(high * 255)} for 8 bits",
        ),
        ("separable", _separable(kernel)),
        *((("symmetry", _symmetry(kernel)),) if kernel.weights.ndim == 2 else ()),
        ("exact", "yes: integers over a common denominator" if kernel.exact else "no: floats"),
    ]
    if any(kernel.biases):
        rows.append(("bias", bias_text(kernel)))
    if kernel.layer:
        rows.append(("layer", layer_text(kernel.layer)))
    if kernel.combine:
        rows.append(("combine", f"{kernel.combine} of {kernel.maps} maps"))
    if about.gain:
        rows.append(("gain", f"{with_minus(number_text(about.gain))} (divide by it to get the derivative)"))
    rows += [("note", note) for note in about.notes]
    rows += [("source", about.source)] if about.source else []
    rows += [("tags", ", ".join(about.tags))] if about.tags else []
    rows += [("aliases", ", ".join(about.aliases))] if about.aliases else []
    return rows


def _symmetry(kernel: Kernel) -> str:
    """The symmetries of the weights: even if they stay the same, odd if they change their sign."""
    if kernel.weights.ndim != 2:
        return ""
    weights, symmetries = kernel.weights, []
    changes = {
        "left to right": weights[:, ::-1],
        "top to bottom": weights[::-1],
        "under 180° rotation": weights[::-1, ::-1],
        "transposed": weights.T,
        "under 90° rotation": np.rot90(weights),
    }
    near = 1e-12 * float(np.abs(weights).max())
    for change, changed in changes.items():
        if changed.shape != weights.shape:
            continue
        for kind, expected in (("even", changed), ("odd", -changed)):
            if np.abs(weights - expected).max() <= near:
                symmetries.append(f"{kind} {change}")
                break
    return ", ".join(symmetries) or "none"


def response(kernel: Kernel) -> list[tuple[str, str]]:
    """(label, text) of the response to waves along x, y and the diagonal, up to 1/2 cycle per pixel."""
    if kernel.weights.ndim != 2:
        return []
    weights = kernel.weights.astype(np.float64, copy=False)
    rows, columns = kernel.size
    diagonals = np.zeros(rows + columns - 1)
    for at, row in enumerate(weights):
        diagonals[at : at + columns] += row
    sums = (
        ("freq → x", weights.sum(axis=0)),
        ("freq ↓ y", weights.sum(axis=1)),
        ("freq ↘", diagonals),
    )
    responses = [(label, _gains(profile)) for label, profile in sums]
    largest = max(float(gains.max()) for _, gains in responses) or 1.0
    return [(label, _bars(gains, largest)) for label, gains in responses]


def _gains(weights: FloatArray) -> FloatArray:
    """The factors by which waves of each frequency are multiplied; ``weights`` are summed across the wave."""
    waves = [np.exp(-2j * np.pi * frequency * np.arange(len(weights))) for frequency in _FREQUENCIES]
    return np.array([abs(weights @ wave) for wave in waves])


def _bars(gains: FloatArray, largest: float) -> str:
    """A bar for each frequency, and three of the numbers."""
    bars = "".join(_BARS[round(float(gain) / largest * (len(_BARS) - 1))] for gain in gains)
    first, middle, last = (_value(_tidy(float(gains[at]), largest)) for at in (0, len(gains) // 2, -1))
    return f"{bars}  {first} at 0, {middle} at 1/4, {last} at 1/2 cycles per pixel"


def _tidy(value: float, largest: float) -> float:
    """The value, or 0 if it is no more than rounding."""
    return 0.0 if value < 1e-12 * largest else value


def bias_text(kernel: Kernel) -> str:
    """One bias, or the range of several."""
    if isinstance(kernel.bias, tuple):
        return f"{_value(float(min(kernel.bias)))} … {_value(float(max(kernel.bias)))}, one per map"
    return with_minus(number_text(kernel.bias))


def layer_text(layer: Layer) -> str:
    """The stride, padding and so on of a layer, as far as its file states them."""
    unknown = [] if layer.padding else ["stride", "padding"]
    unknown += [] if layer.states_activation else ["activation"]
    parts = [f"{_joined(unknown)} not specified"] if unknown else []
    if layer.padding:
        parts = [f"stride {layer.stride[0]},{layer.stride[1]}", f"padding {layer.padding}"]
    parts = ["transposed", *parts] if layer.transposed else parts
    if layer.output_padding not in (None, (0, 0)):
        parts.append(f"output padding {layer.output_padding[0]},{layer.output_padding[1]}")
    if layer.dilation != (1, 1):
        parts.append(f"dilation {layer.dilation[0]},{layer.dilation[1]}")
    if layer.groups != 1:
        parts.append(f"{layer.groups} groups")
    bias = "a bias" if len(layer.bias) == 1 else f"a bias for each of {len(layer.bias)} maps"
    parts.append(bias if layer.bias else "no bias")
    parts += ["batch normalization"] if layer.normalization else []
    parts += [f"activation {_joined(layer.activation)}"] if layer.activation else []
    parts += [f"activation {layer.unsupported} (not supported)"] if layer.unsupported else []
    return ", ".join(parts)


def _joined(words: Sequence[str]) -> str:
    """Words as a sentence lists them."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def sum_text(kernel: Kernel) -> str:
    """The sum of the weights, 0 if it is no more than rounding; the sum of each of several maps."""
    if kernel.maps == 1:
        near = ROUNDING * float(np.abs(kernel.weights).sum())
        return "0" if abs(float(kernel.sum)) <= near else with_minus(number_text(kernel.sum))
    magnitudes = np.abs(kernel.weights.reshape(-1, kernel.maps)).sum(axis=0)
    near = ROUNDING * float(magnitudes.max())
    totals = [_value(total if abs(total) > near else 0.0) for total in kernel.map_sums]
    if len(set(totals)) == 1:
        return f"{totals[0]} (each of {len(totals)} maps)"
    left_out = len(totals) - _MOST_SUMS
    return (
        ", ".join(totals[:_MOST_SUMS]) + (f" and {left_out} more" if left_out > 0 else "") + " (one per map)"
    )


def _value(value: float) -> str:
    return report_text(value) if value != 0 else "0"


def _separable(kernel: Kernel) -> str:
    if kernel.weights.ndim != 2:
        return f"each of the {kernel.maps} maps separately; see its members" if kernel.combine else "a bank"
    if 1 in kernel.size:
        return "already a single row or column"
    factors = kernel.factors
    if factors is None:
        return "no (rank above 1)"
    if max(kernel.size) > _LONGEST_FACTOR:
        return "yes: a column times a row"
    scale, column = _common(factors[0])
    return f"yes: {scale}[{column}]ᵀ × [{_listed(factors[1])}]"


def _common(values: list[Number]) -> tuple[str, str]:
    """The common factor of exact values, and the integers that remain."""
    denominators = {value.denominator for value in values if isinstance(value, Fraction)}
    largest = max(denominators, default=1)
    if largest == 1 or not all(isinstance(value, Fraction) for value in values):
        return "", _listed(values)
    return f"1/{largest} ", _listed([value * largest for value in values])


def _listed(values: list[Number]) -> str:
    return " ".join(_texts(values))


def _texts(values: list[Number]) -> list[str]:
    return [with_minus(f"{v:.4g}" if isinstance(v, float) else str(v)) for v in values]
