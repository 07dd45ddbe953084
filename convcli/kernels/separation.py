"""Kernels as sums of separable ones: the best for their number, from the singular value decomposition."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

import numpy as np

from convcli.core.errors import KernelError
from convcli.core.frozen import frozen
from convcli.core.numerals import as_float, counted, number_text, with_minus
from convcli.core.rational import FloatArray, Number
from convcli.core.tables import SCHEMA
from convcli.kernels.kernel import About, Kernel

_LARGEST: Final = 2**20  # weights
_PIXEL: Final = 255
_MOST_SHOWN: Final = 31  # numbers of a vector


@frozen
class Term:
    """A separable kernel: the outer product of a column and a row."""

    column: tuple[Number, ...]
    row: tuple[Number, ...]


@frozen(eq=False)
class Separation:
    """A kernel as a sum of separable ones.

    Attributes:
        original, kernel: the kernel, and the sum.
        rank: of the original; floats count up to rounding.
        relative_error: the Frobenius norm of the difference, divided by that of the original.
        largest_error: of a feature map, for pixels from 0 to 255.
    """

    original: Kernel
    kernel: Kernel
    terms: tuple[Term, ...]
    rank: int
    relative_error: float
    largest_error: float

    @property
    def is_exact(self) -> bool:
        """Whether the sum is the kernel itself, in fractions."""
        return self.original.exact is not None and self.kernel.exact is not None and not self.relative_error

    @property
    def multiply_adds(self) -> tuple[int, int]:
        """For each value of a map: with the terms, and with the kernel."""
        rows, columns = self.original.size
        return len(self.terms) * (rows + columns), rows * columns


def separated(kernel: Kernel, count: int) -> Separation:
    """The best sum of ``count`` separable kernels, or of as many as the rank, in the Frobenius norm.

    By the theorem of Eckart and Young (1936) it is the first terms of the singular value decomposition. If
    that many terms give an exact kernel exactly, they are fractions: those of Gaussian elimination.

    Raises:
        KernelError: a kernel that is not (rows, columns), or too large.
    """
    if kernel.weights.ndim != 2:
        raise KernelError(
            f"{kernel.name} has weights of shape {kernel.tensor_shape}; only (rows, columns) kernels can be "
            "separated, such as one member of a set"
        )
    if kernel.weights.size > _LARGEST:
        raise KernelError(f"{kernel.name} has {kernel.weights.size} weights; allowed: up to {_LARGEST}")
    left, singular, right = np.linalg.svd(kernel.weights, full_matrices=False)
    noise = float(singular[0]) * max(kernel.size) * np.finfo(np.float64).eps
    rank = max(int((singular > noise).sum()), 1)
    count = min(count, rank)
    terms = _exact_terms(kernel, count) if kernel.exact and count == rank else None
    if terms is None:
        terms = tuple(_term(left[:, at], float(singular[at]), right[at]) for at in range(count))
        total = sum(np.multiply.outer(np.array(term.column), np.array(term.row)) for term in terms)
        about = _about(kernel, count)
        sum_kernel = Kernel(total, bias=kernel.bias, name=_name(kernel, count), about=about)
    else:
        sum_kernel = kernel.named(_name(kernel, count), _about(kernel, count))
    difference = sum_kernel.weights - kernel.weights
    unit = float(np.abs(kernel.weights).max()) or 1.0  # squares of large or tiny weights leave the range
    norm = float(np.linalg.norm(kernel.weights / unit))
    relative = float(np.linalg.norm(difference / unit)) / norm if norm else 0.0
    largest = _PIXEL * max(float(difference.clip(0).sum()), float((-difference).clip(0).sum()))
    return Separation(kernel, sum_kernel, terms, rank, relative, largest)


def _name(kernel: Kernel, count: int) -> str:
    return f"{kernel.name}-rank{count}"


def _about(kernel: Kernel, count: int) -> About:
    return About(f"{kernel.name} as the sum of {counted(count, 'separable kernel')}", kernel.about.source)


def _term(column: FloatArray, singular: float, row: FloatArray) -> Term:
    """A term whose vectors have the same norm, and whose largest element of the row is positive."""
    sign = 1.0 if row[np.abs(row).argmax()] >= 0 else -1.0
    root = sign * singular**0.5
    return Term(tuple((column * root).tolist()), tuple((row * root).tolist()))


def _exact_terms(kernel: Kernel, count: int) -> tuple[Term, ...] | None:
    """Fractions whose outer products sum to the kernel, or None if so many are too few."""
    if count == 1:
        factors = kernel.factors
        return (Term(tuple(factors[0]), tuple(factors[1])),) if factors else None
    assert kernel.exact is not None
    rest = kernel.exact.numerators.astype(object)
    unit, terms = Fraction(1, kernel.exact.denominator), []
    for _ in range(count):
        at = divmod(int(np.abs(rest).argmax()), rest.shape[1])
        pivot = rest[at]
        if pivot == 0:
            break
        column, row = rest[:, at[1]] * Fraction(1, pivot), rest[at[0]].copy()
        rest = rest - np.multiply.outer(column, row)
        terms.append(Term(tuple(map(Fraction, column)), tuple(value * unit for value in row)))
    return None if rest.any() else tuple(terms)


def title(separation: Separation) -> str:
    """The kernel's size and rank, and what was computed."""
    (rows, columns), count = separation.original.size, len(separation.terms)
    if count < separation.rank:
        way = f"approximated by {counted(count, 'separable kernel')}"
    else:
        way = "separable" if count == 1 else f"the sum of {count} separable kernels"
    return f"{separation.original.name}: {rows}×{columns}, rank {separation.rank}, {way}"


def as_rows(separation: Separation) -> list[tuple[str, str]]:
    """(label, text) of the vectors, the error and the cost."""
    rows = []
    for place, term in enumerate(separation.terms, 1):
        number = f" {place}" if len(separation.terms) > 1 else ""
        rows += [(f"column{number}", _vector(term.column)), (f"row{number}", _vector(term.row))]
    return [*rows, ("error", _error_text(separation)), ("cost", _cost_text(separation))]


def _vector(values: tuple[Number, ...]) -> str:
    shown = [
        _digits(value) if isinstance(value, float) else with_minus(number_text(value)) for value in values
    ]
    more = f" … ({len(values)} numbers)" if len(values) > _MOST_SHOWN else ""
    return "  ".join(shown[:_MOST_SHOWN]) + more


def _digits(value: float) -> str:
    return with_minus(f"{value:.4g}")


def _error_text(separation: Separation) -> str:
    if separation.is_exact:
        return "none: the sum is exact"
    if len(separation.terms) == separation.rank:
        return "none beyond rounding"
    return (
        f"{_digits(100 * separation.relative_error)}% of the kernel (Frobenius norm); in a map up to "
        f"{_digits(separation.largest_error)} for pixels 0 … {_PIXEL}"
    )


def _cost_text(separation: Separation) -> str:
    ours, theirs = separation.multiply_adds
    return f"{ours} multiply-adds per value; {theirs} with the whole kernel"


def as_dict(separation: Separation) -> dict[str, Any]:
    """The separation as JSON types."""
    return {
        "schema": SCHEMA,
        "kernel": separation.original.name,
        "size": list(separation.original.size),
        "rank": separation.rank,
        "terms": [
            {"column": list(map(as_float, term.column)), "row": list(map(as_float, term.row))}
            for term in separation.terms
        ],
        "exact": separation.is_exact,
        "relative_error": separation.relative_error,
        "largest_error": separation.largest_error,
        "multiply_adds": list(separation.multiply_adds),
    }
