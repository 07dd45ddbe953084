"""The reference: convolution by its definition, one value at a time, in plain Python.

Nothing here is shared with the package: borders, sizes and sums are implemented independently.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np


def border_index(mode: str, size: int, position: int) -> int | None:
    """Where a position of an axis is read; None for a constant. Found by walking, not by formula."""
    if 0 <= position < size:
        return position
    if mode == "constant":
        return None
    if mode == "edge":
        return 0 if position < 0 else size - 1
    if mode == "wrap":
        while position < 0:
            position += size
        while position >= size:
            position -= size
        return position
    if size == 1:
        return 0
    while not 0 <= position < size:
        if mode == "symmetric":
            position = -1 - position if position < 0 else 2 * size - 1 - position
        else:
            position = -position if position < 0 else 2 * (size - 1) - position
    return position


def correlate(
    x: np.ndarray,
    weights: np.ndarray,
    stride: Sequence[int],
    pads: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    mode: str = "constant",
    fill: Any = 0,
) -> np.ndarray:
    """Cross-correlation of an array with weights of as many axes; an object array of exact values."""
    values = _exact(x)
    taps = [
        (index, Fraction(_plain(weights[index]))) for index in np.ndindex(weights.shape) if weights[index]
    ]
    sizes = [
        (size + before + after - d * (k - 1) - 1) // s + 1
        for size, k, s, (before, after), d in zip(x.shape, weights.shape, stride, pads, dilation, strict=True)
    ]
    out = np.empty(sizes, object)
    for place in itertools.product(*map(range, sizes)):
        total = Fraction(0)
        for index, weight in taps:
            total += weight * _read(values, place, index, stride, pads, dilation, mode, Fraction(fill))
        out[place] = total
    return out


def _read(
    values: np.ndarray,
    place: tuple[int, ...],
    index: tuple[int, ...],
    stride: Sequence[int],
    pads: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    mode: str,
    fill: Fraction,
) -> Fraction:
    at = []
    for axis, size in enumerate(values.shape):
        position = place[axis] * stride[axis] - pads[axis][0] + index[axis] * dilation[axis]
        found = border_index(mode, size, position)
        if found is None:
            return fill
        at.append(found)
    return values[tuple(at)]


def transposed(
    x: np.ndarray,
    weights: np.ndarray,
    stride: Sequence[int],
    removed: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    extra: Sequence[int],
) -> np.ndarray:
    """The transpose of `correlate`: every value adds the kernel, times itself; an object array."""
    values = _exact(x)
    full = [
        (size - 1) * s + d * (k - 1) + 1
        for size, k, s, d in zip(x.shape, weights.shape, stride, dilation, strict=True)
    ]
    out = np.full([size + more for size, more in zip(full, extra, strict=True)], Fraction(0), object)
    for place in np.ndindex(x.shape):
        for index in np.ndindex(weights.shape):
            at = tuple(p * s + i * d for p, s, i, d in zip(place, stride, index, dilation, strict=True))
            out[at] += values[place] * Fraction(_plain(weights[index]))
    return out[
        tuple(slice(before, size - after) for (before, after), size in zip(removed, out.shape, strict=True))
    ]


def layer(
    x: np.ndarray,
    weights: np.ndarray,
    bias: Sequence[Any],
    stride: Sequence[int],
    pads: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    groups: int,
) -> np.ndarray:
    """A layer: x (batch, spatial…, in), weights (k…, in / groups, out), as float64."""
    batch, channels = x.shape[0], x.shape[-1]
    inputs, maps = weights.shape[-2:]
    results = []
    for entry in range(batch):
        planes = []
        for index in range(maps):
            first = index // (maps // groups) * inputs
            total: Any = 0
            for channel in range(inputs):
                plane = x[entry, ..., first + channel]
                total = total + correlate(plane, weights[..., channel, index], stride, pads, dilation)
            planes.append(total + Fraction(_plain(bias[index])))
        results.append(np.stack(planes, -1))
    assert inputs * groups == channels
    return np.stack(results).astype(np.float64)


def rounded(values: np.ndarray, dtype: Any) -> np.ndarray:
    """Exact values to the nearest of an integer type, ties to even, saturated."""
    info = np.iinfo(dtype)
    flat = [min(max(round(value), int(info.min)), int(info.max)) for value in values.ravel()]
    return np.array(flat, dtype).reshape(values.shape)


def _exact(x: np.ndarray) -> np.ndarray:
    flat = [Fraction(_plain(value)) for value in x.ravel()]
    return np.array(flat, object).reshape(x.shape)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
