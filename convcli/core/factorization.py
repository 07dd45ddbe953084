"""Matrices of rank 1 as a column times a row, exactly or to rounding."""

from __future__ import annotations

from math import gcd

import numpy as np

from convcli.core.rational import FloatArray, IntArray


def integer_factors(matrix: IntArray) -> tuple[IntArray, IntArray] | None:
    """Integer vectors ``u``, ``v`` with ``matrix == outer(u, v)``, or None if its rank is not 1.

    ``v`` is the first non-zero row in lowest terms; every row of a rank-1 integer matrix is a whole
    multiple of it (Gauss's lemma).
    """
    rows = [row for row in matrix if row.any()]
    if not rows:
        return None
    shared = gcd(*map(int, rows[0]))
    direction = rows[0] // shared
    pivot = int(np.flatnonzero(direction)[0])
    heights = matrix[:, pivot] // direction[pivot]
    if not np.array_equal(np.multiply.outer(heights, direction), matrix):
        return None
    return heights, direction


def float_factors(matrix: FloatArray) -> tuple[FloatArray, FloatArray] | None:
    """Float vectors whose outer product is ``matrix`` to within 4 ulp of its largest weight, or None."""
    row, column = divmod(int(np.argmax(np.abs(matrix))), matrix.shape[1])
    if matrix[row, column] == 0:
        return None
    heights, direction = matrix[:, column] / matrix[row, column], matrix[row].copy()
    worst = np.abs(np.multiply.outer(heights, direction) - matrix).max()
    return (heights, direction) if worst <= 4 * np.finfo(np.float64).eps * np.abs(matrix).max() else None
