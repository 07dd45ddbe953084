"""What the extension's transforms are given: sizes, roots of unity, spectra in the order of its passes."""

from __future__ import annotations

from functools import lru_cache
from math import pi
from typing import Final

import numpy as np
import numpy.typing as npt

from convcli.core.dtypes import Array, DType

TOGETHER: Final = 16
"""Columns of a spectrum that lie together; sizes are multiples of it."""

SIZES: Final = np.array(sorted(odd << twos for twos in range(4, 12) for odd in (1, 3) if odd << twos <= 2048))
"""Rows or columns of a tile: one pass of radix 3 at most, then those of radix 4, then one of radix 2."""


def radices(size: int) -> list[int]:
    """The radices of the passes over ``size`` values, in their order."""
    found = [3] if size % 3 == 0 else []
    left = size // 3 if found else size
    while left >= 4:
        found.append(4)
        left //= 4
    return found + ([2] if left == 2 else [])


@lru_cache(maxsize=16)
def roots(size: int, dtype: DType) -> Array:
    """The factors of all passes: exp(−2πi·j·k / block) for j and k = 1 … radix − 1, real and imaginary."""
    found, block = [], size
    for radix in radices(size):
        powers = np.multiply.outer(np.arange(block // radix), np.arange(1, radix))
        found.append(_unit(powers, block).ravel())
        block //= radix
    return np.concatenate(found).astype(dtype)


def spectrum(plane: Array, rows: int, columns: int, dtype: DType) -> Array:
    """The conjugate spectrum of a plane of weights in a tile, divided by the tile's size.

    It is computed in float64, half of it from the other half, and has one axis, in the order of the passes.
    """
    scaled = plane.astype(np.float64) / (rows * columns)
    half = np.fft.fft(np.fft.rfft(scaled, n=columns, axis=1), n=rows, axis=0)
    values = np.empty((rows, columns), np.complex128)
    np.conj(half, out=values[:, : columns // 2 + 1])
    values[0, columns // 2 + 1 :] = half[0, columns // 2 - 1 : 0 : -1]
    values[1:, columns // 2 + 1 :] = half[:0:-1, columns // 2 - 1 : 0 : -1]
    ordered = values[np.ix_(_order(rows), _order(columns))].reshape(rows, -1, TOGETHER).swapaxes(0, 1)
    parts: Array = np.stack((ordered.real, ordered.imag), axis=2, dtype=dtype, casting="same_kind")
    return parts.ravel()


def _order(size: int) -> npt.NDArray[np.intp]:
    """The frequencies as forward passes leave them: their digits reversed."""
    order = np.zeros(1, np.intp)
    for radix in reversed(radices(size)):
        order = np.concatenate([radix * order + k for k in range(radix)])
    return order


def _unit(powers: npt.NDArray[np.intp], size: int) -> Array:
    """exp(−2πi·power / size), real and imaginary parts on a last axis.

    Sines and cosines are taken of at most an eighth of a turn, where the rounded angle costs least.
    """
    quarter, rest = np.divmod(4 * powers, size)
    beyond = 2 * rest > size
    angle = np.where(beyond, size - rest, rest) / size * (pi / 2)
    one, other = np.cos(angle), np.sin(angle)
    cosine, sine = np.where(beyond, other, one), np.where(beyond, one, other)
    turned = np.stack((cosine, -sine, -cosine, sine))
    real = np.choose(quarter, turned)
    imaginary = np.choose((quarter + 1) % 4, turned)
    return np.stack((real, imaginary), axis=-1)
