"""A kernel as people read it: the matrix in aligned columns, and its facts in words."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

import numpy as np

from convcli.core.numerals import number_text, report_text, with_minus
from convcli.core.rational import FloatArray, Number
from convcli.kernels.kernel import ROUNDING, TYPED, Kernel, Layer

MOST_SHOWN: Final = 15  # rows and columns of a matrix
MOST_FACTORS: Final = 7  # numbers of a factor
_LONGEST: Final = 63  # numbers of a factor of a kernel that is not shown
_ABREAST: Final = 9  # numbers of a line
_SUMS: Final = 8
_LEAST_SHOWN, _MOST_SHOWN = 0.001, 1e6  # weights of a matrix in decimals
_PLANES: Final = 4  # maps, inputs and frames that are shown
_FREQUENCIES: Final = np.linspace(0, 0.5, 17)  # cycles a pixel
_BARS: Final = "▁▂▃▄▅▆▇█"


def map_name(kernel: Kernel, index: int) -> tuple[str, str]:
    """What made a feature map, and what tells it from others of that name.

    A member of a set by its name, other kernels as people typed them or by their size; numbers where a bank's
    planes have no names.
    """
    members = kernel.about.members
    if kernel.combine is None and kernel.maps == len(members):
        return members[index], ""
    name = f"a kernel of {' × '.join(map(str, kernel.size))}" if kernel.name == TYPED else kernel.name
    return name, "" if kernel.combine or kernel.maps == 1 else f", map {index}"


def matrices(
    kernel: Kernel, most: int = MOST_SHOWN, planes: int | None = None
) -> list[tuple[str, list[str]]]:
    """(title, lines) for each plane of weights; rational ones as integers behind their common factor.

    A plane of more than ``most`` rows or columns is its factors where it is separable, else only named; of
    many planes, more than ``planes`` of an axis, the last title says how many are left out.
    """
    raw: Any = kernel.exact.numerators if kernel.exact else kernel.weights
    factor = f"1/{kernel.exact.denominator} ×" if kernel.exact and kernel.exact.denominator != 1 else ""
    if raw.ndim < 3:
        return _factors(kernel, most) or [(factor, _aligned(raw.reshape(kernel.size), most))]
    shown = planes or _PLANES
    stacked = raw.reshape(kernel.depth, *kernel.size, *kernel.tensor_shape[-2:])
    depths, _, _, inputs, maps = stacked.shape
    found = []
    for index, channel, depth in np.ndindex(*(min(count, shown) for count in (maps, inputs, depths))):
        name, number = map_name(kernel.combined(None), index)
        words = [f"map {index}"] * (maps > 1) + [name] * (maps > 1 and not number)
        words += [f"input {channel}"] * (inputs > 1) + [f"frame {depth}"] * (depths > 1)
        title = f"{', '.join(words)} {factor}".strip()
        found.append((title, _aligned(stacked[depth, :, :, channel, index], most)))
    counts = ((maps, "map"), (inputs, "input"), (depths, "frame"))
    left = [
        f"{count - shown} more {noun}{'s' * (count > shown + 1)}" for count, noun in counts if count > shown
    ]
    return [*found, (f"and {', '.join(left)}", [])] if left else found


def _aligned(matrix: Any, most: int) -> list[str]:
    rows, columns = matrix.shape
    if rows > most or columns > most:
        return [f"({rows}×{columns} weights, not shown)"]
    written = _decimals if _are_short(matrix) else _digits
    cells = [[written(value) for value in row] for row in matrix]
    width = max(len(cell) for row in cells for cell in row)
    return ["  ".join(cell.rjust(width) for cell in row) for row in cells]


def _factors(kernel: Kernel, most: int) -> list[tuple[str, list[str]]]:
    """A separable kernel that is too large to be shown as the product of a column and a row."""
    if not most < max(kernel.size) <= _LONGEST or min(kernel.size) == 1 or kernel.factors is None:
        return []
    rows, columns = kernel.size
    if kernel.exact and (kernel.weights == kernel.weights[0, 0]).all():
        return [
            (
                "",
                [f"({rows}×{columns} weights, all {with_minus(number_text(kernel.sum / (rows * columns)))})"],
            )
        ]
    factor, column, row = _alike(*kernel.factors)
    title = f"{rows}×{columns} weights = {factor}"
    if column == row:
        return [(f"{title}vᵀ × v, where v is", _lines(row))]
    return [(f"{title}uᵀ × v, where u is", _lines(column)), ("and v is", _lines(row))]


def _alike(column: list[Number], row: list[Number]) -> tuple[str, list[str], list[str]]:
    """A common factor, the column and the row; one list twice where each is a multiple of the other."""
    if any(isinstance(value, float) for value in (*column, *row)):
        down, along = np.array(column, float), np.array(row, float)
        ratio = along[int(np.abs(down).argmax())] if len(down) == len(along) else 0.0
        if ratio > 0 and np.allclose(down * ratio, along, rtol=1e-9, atol=0):
            down = along = along / np.sqrt(ratio)
        return "", _words(down.tolist()), _words(along.tolist())
    factor, whole = _common(column)
    return f"{factor}× " if factor else "", whole.split(), _words(row)


def _lines(words: list[str]) -> list[str]:
    """Numbers in aligned columns."""
    wide = max(map(len, words))
    padded = [word.rjust(wide) for word in words]
    return ["  ".join(padded[at : at + _ABREAST]) for at in range(0, len(words), _ABREAST)]


def _are_short(matrix: Any) -> bool:
    """Whether four decimals show weights: none is too large for a column, and the largest is no 0."""
    largest = float(np.abs(matrix).max(initial=0))
    return matrix.dtype.kind != "f" or largest == 0 or _LEAST_SHOWN <= largest < _MOST_SHOWN


def _decimals(value: Any) -> str:
    if not isinstance(value, float):
        return with_minus(str(value))
    text = f"{value:.4f}"
    return with_minus(text) if float(text) else "0"


def _digits(value: float) -> str:
    return with_minus(f"{value:.4g}")


def facts(kernel: Kernel) -> list[tuple[str, str]]:
    """(label, words) for ``kernels show``."""
    low, high = kernel.bounds
    about = kernel.about
    found = [
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
        ("exact", "yes: integers over one denominator" if kernel.exact else "no: floats"),
    ]
    if any(kernel.biases):
        found.append(("bias", bias_text(kernel)))
    if kernel.layer:
        found.append(("layer", layer_text(kernel.layer)))
    if kernel.combine:
        found.append(("combine", f"{kernel.combine} of {kernel.maps} maps"))
    if about.gain:
        found.append(
            ("gain", f"{with_minus(number_text(about.gain))} (divide by it for the derivative itself)")
        )
    found += [("note", note) for note in about.notes]
    found += [("source", about.source)] if about.source else []
    found += [("tags", ", ".join(about.tags))] if about.tags else []
    found += [("aliases", ", ".join(about.aliases))] if about.aliases else []
    return found


def _symmetry(kernel: Kernel) -> str:
    """How the weights answer to mirrors and turns: even where they stay, odd where they change their sign."""
    if kernel.weights.ndim != 2:
        return ""
    weights, found = kernel.weights, []
    changes = {
        "left to right": weights[:, ::-1],
        "top to bottom": weights[::-1],
        "by half a turn": weights[::-1, ::-1],
        "transposed": weights.T,
        "by a quarter turn": np.rot90(weights),
    }
    near = 1e-12 * float(np.abs(weights).max())
    for words, changed in changes.items():
        if changed.shape != weights.shape:
            continue
        for kind, other in (("even", changed), ("odd", -changed)):
            if np.abs(weights - other).max() <= near:
                found.append(f"{kind} {words}")
                break
    return ", ".join(found) or "none"


def response(kernel: Kernel) -> list[tuple[str, str]]:
    """What waves along x, along y and along the diagonal are multiplied by, from 0 to 1/2 cycle a pixel."""
    if kernel.weights.ndim != 2:
        return []
    weights = kernel.weights.astype(np.float64, copy=False)
    rows, columns = kernel.size
    diagonals = np.zeros(rows + columns - 1)
    for at, row in enumerate(weights):
        diagonals[at : at + columns] += row
    sums = (("waves → x", weights.sum(axis=0)), ("waves ↓ y", weights.sum(axis=1)), ("waves ↘", diagonals))
    found = [(label, _gains(along)) for label, along in sums]
    most = max(float(gains.max()) for _, gains in found) or 1.0
    return [(label, _bars(gains, most)) for label, gains in found]


def _gains(weights: FloatArray) -> FloatArray:
    """What waves are multiplied by, from the sums of weights at each phase."""
    turns = [np.exp(-2j * np.pi * frequency * np.arange(len(weights))) for frequency in _FREQUENCIES]
    return np.array([abs(weights @ turn) for turn in turns])


def _bars(gains: FloatArray, most: float) -> str:
    """Bars for all frequencies, and the numbers of three."""
    bars = "".join(_BARS[round(float(gain) / most * (len(_BARS) - 1))] for gain in gains)
    first, middle, last = (_value(_tidy(float(gains[at]), most)) for at in (0, len(gains) // 2, -1))
    return f"{bars}  {first} at 0, {middle} at 1/4, {last} at 1/2 cycles a pixel"


def _tidy(value: float, most: float) -> float:
    """0 for what is no more than rounding."""
    return 0.0 if value < 1e-12 * most else value


def bias_text(kernel: Kernel) -> str:
    """One bias, or the range of several."""
    if isinstance(kernel.bias, tuple):
        return f"{_value(float(min(kernel.bias)))} … {_value(float(max(kernel.bias)))}, one a map"
    return with_minus(number_text(kernel.bias))


def layer_text(layer: Layer) -> str:
    """What a layer does beside its weights, as far as its file says it."""
    words = ["stride and padding not stated"]
    if layer.padding:
        words = [f"stride {layer.stride[0]},{layer.stride[1]}", f"padding {layer.padding}"]
    if layer.dilation != (1, 1):
        words.append(f"dilation {layer.dilation[0]},{layer.dilation[1]}")
    if layer.groups != 1:
        words.append(f"{layer.groups} groups")
    words.append(f"a bias for each of {len(layer.bias)} maps" if layer.bias else "no bias")
    return ", ".join(words)


def sum_text(kernel: Kernel) -> str:
    """The sum of the weights, 0 where it is no more than rounding; of several maps, that of each."""
    if kernel.maps == 1:
        near = ROUNDING * float(np.abs(kernel.weights).sum())
        return "0" if abs(float(kernel.sum)) <= near else with_minus(number_text(kernel.sum))
    magnitudes = np.abs(kernel.weights.reshape(-1, kernel.maps)).sum(axis=0)
    near = ROUNDING * float(magnitudes.max())
    totals = [_value(total if abs(total) > near else 0.0) for total in kernel.map_sums]
    if len(set(totals)) == 1:
        return f"{totals[0]} (each of {len(totals)} maps)"
    left = len(totals) - _SUMS
    return ", ".join(totals[:_SUMS]) + (f" and {left} more" if left > 0 else "") + " (one a map)"


def _value(value: float) -> str:
    return report_text(value) if value != 0 else "0"


def _separable(kernel: Kernel) -> str:
    if kernel.weights.ndim != 2:
        return f"each of the {kernel.maps} maps by itself; see its members" if kernel.combine else "a bank"
    if 1 in kernel.size:
        return "one row or column already"
    factors = kernel.factors
    if factors is None:
        return "no (rank above 1)"
    if max(kernel.size) > MOST_FACTORS:
        return "yes: a column times a row"
    scale, down = _common(factors[0])
    return f"yes: {scale}[{down}]ᵀ × [{_listed(factors[1])}]"


def _common(values: list[Number]) -> tuple[str, str]:
    """The common factor of exact values, and the integers that are left."""
    denominators = {value.denominator for value in values if isinstance(value, Fraction)}
    largest = max(denominators, default=1)
    if largest == 1 or not all(isinstance(value, Fraction) for value in values):
        return "", _listed(values)
    return f"1/{largest} ", _listed([value * largest for value in values])


def _listed(values: list[Number]) -> str:
    return " ".join(_words(values))


def _words(values: list[Number]) -> list[str]:
    return [with_minus(f"{v:.4g}" if isinstance(v, float) else str(v)) for v in values]
