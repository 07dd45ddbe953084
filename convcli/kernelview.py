"""A kernel as people read it: the matrix in aligned columns, and its facts in words."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

import numpy as np

from convcli.kernel import Kernel
from convcli.picture import short
from convcli.rational import Number, text_of

MOST_SHOWN: Final = 15  # rows and columns of a matrix
MOST_FACTORS: Final = 7  # numbers of a factor


def matrices(kernel: Kernel, most: int = MOST_SHOWN) -> list[tuple[str, list[str]]]:
    """(title, lines) for each plane of weights; rational ones as integers behind their common factor.

    A plane of more than ``most`` rows or columns is only named.
    """
    raw: Any = kernel.exact.numerators if kernel.exact else kernel.weights
    factor = f"1/{kernel.exact.denominator} ×" if kernel.exact and kernel.exact.denominator != 1 else ""
    if raw.ndim < 3:
        return [(factor, _aligned(raw.reshape(kernel.size), most))]
    planes = raw.reshape(kernel.depth, *kernel.size, *kernel.tensor_shape[-2:])
    depths, _, _, inputs, maps = planes.shape
    found = []
    for index, channel, depth in np.ndindex(min(maps, 4), min(inputs, 4), min(depths, 4)):
        words = [f"map {index}, input {channel}"] * (raw.ndim > 3) + [f"frame {depth}"] * (
            kernel.spatial == 3
        )
        title = f"{', '.join(words)} {factor}".rstrip()
        found.append((title, _aligned(planes[depth, :, :, channel, index], most)))
    return found


def _aligned(matrix: Any, most: int) -> list[str]:
    rows, columns = matrix.shape
    if rows > most or columns > most:
        return [f"({rows}×{columns} weights, not shown)"]
    cells = [[_cell(value) for value in row] for row in matrix]
    width = max(len(cell) for row in cells for cell in row)
    return ["  ".join(cell.rjust(width) for cell in row) for row in cells]


def _cell(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def facts(kernel: Kernel) -> list[tuple[str, str]]:
    """(label, words) for ``kernels show``."""
    low, high = kernel.bounds
    about = kernel.about
    found = [
        (
            "size",
            f"{kernel.size[0]}×{kernel.size[1]}, weights {kernel.tensor_shape} (rows, columns, in, out)",
        ),
        ("sum", _sum(kernel)),
        (
            "range",
            f"{_value(low)} … {_value(high)} for pixels 0 … 1, "
            f"{_value(low * 255)} … {_value(high * 255)} for 8 bits",
        ),
        ("separable", _separable(kernel)),
        ("exact", "yes: integers over one denominator" if kernel.exact else "no: floats"),
    ]
    if kernel.bias:
        found.append(("bias", text_of(kernel.bias)))
    if kernel.combine:
        found.append(("combine", f"{kernel.combine} of {kernel.maps} maps"))
    if about.gain:
        found.append(("gain", f"{text_of(about.gain)} (divide by it for the derivative itself)"))
    found += [("source", about.source)] if about.source else []
    found += [("tags", ", ".join(about.tags))] if about.tags else []
    found += [("aliases", ", ".join(about.aliases))] if about.aliases else []
    return found


def _sum(kernel: Kernel) -> str:
    if kernel.maps == 1:
        return text_of(kernel.sum)
    return ", ".join(_value(total) for total in kernel.map_sums[:8]) + " (one a map)"


def _value(value: float) -> str:
    return short(value) if value != 0 else "0"


def _separable(kernel: Kernel) -> str:
    if kernel.weights.ndim != 2:
        return f"each of the {kernel.maps} maps by itself; see its members" if kernel.combine else "a bank"
    if 1 in kernel.size:
        return "one row or column already"
    factors = kernel.factors
    if factors is None:
        return "no (rank above 1)"
    if max(kernel.size) > MOST_FACTORS:
        return "yes"
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
    return " ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in values)
