"""The slow judge of chains: each stage by its definition over fractions, one value at a time.

Nothing here is shared with the package but the stages as requested.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from tests.reference import correlate


def computed(stage: Any, maps: list[np.ndarray]) -> list[np.ndarray]:
    """The maps after a stage, arrays (rows, columns) of fractions; floats after smooth functions."""
    if stage.kind == "convolution":
        return _convolved(stage, maps)
    if stage.kind == "pool":
        return [_pooled(stage, one) for one in maps]
    apply = _ACTIVATIONS[stage.function]
    return [np.frompyfunc(lambda x: apply(x, *stage.arguments), 1, 1)(one) for one in maps]


def pads_of(amount: Any, sizes: Any, window: Any, stride: Any, dilation: Any) -> list[tuple[int, int]]:
    """Padding before and after each axis."""
    if not isinstance(amount, str):
        pairs = [tuple(pair) for pair in amount]
        return pairs * 2 if len(pairs) == 1 else pairs
    extents = [step * (size - 1) + 1 for size, step in zip(window, dilation, strict=True)]
    if amount == "valid":
        return [(0, 0)] * len(extents)
    if amount == "full":
        return [(extent - 1, extent - 1) for extent in extents]
    pads = []
    for size, extent, step in zip(sizes, extents, stride, strict=True):
        total = max((math.ceil(Fraction(size, step)) - 1) * step + extent - size, 0)
        pads.append((total // 2, total - total // 2))
    return pads


def _convolved(stage: Any, maps: list[np.ndarray]) -> list[np.ndarray]:
    kernel = stage.kernel
    weights = kernel.exact.numerators.reshape(kernel.tensor_shape).astype(object)
    weights = weights * Fraction(1, kernel.exact.denominator)
    if stage.flip:
        weights = weights[::-1, ::-1]
    inputs, outputs = weights.shape[2:]
    groups = [[one] for one in maps] if inputs == 1 and stage.groups == 1 else [maps]
    return [
        sum(_one(stage, one, weights[:, :, channel, index]) for channel, one in enumerate(group))
        + Fraction(kernel.biases[index])
        for group in groups
        for index in range(outputs)
    ]


def _one(stage: Any, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    fill = stage.padding.fill
    pads = pads_of(stage.padding.amount, values.shape, weights.shape, stage.stride, stage.dilation)
    return correlate(values, weights, stage.stride, pads, stage.dilation, fill.mode, Fraction(fill.value))


def _pooled(stage: Any, values: np.ndarray) -> np.ndarray:
    """Windows one by one; an average counts padding as PyTorch does, or as Keras does if it is ``same``."""
    pads = pads_of(stage.padding.amount, values.shape, stage.window, stage.stride, (1, 1))
    outputs = [
        _pool_outputs(*sizes, stage.ceiling)
        for sizes in zip(values.shape, stage.window, stage.stride, pads, strict=True)
    ]
    result = np.empty(outputs, object)
    for place in np.ndindex(*outputs):
        starts = [at * step - before for at, step, (before, _) in zip(place, stage.stride, pads, strict=True)]
        stops = [start + size for start, size in zip(starts, stage.window, strict=True)]
        inside = values[tuple(slice(max(a, 0), b) for a, b in zip(starts, stops, strict=True))].ravel()
        if stage.function == "maxpool":
            result[place] = max(inside)
            continue
        if stage.padding.amount == "same":
            count = len(inside)
        else:
            ends = [min(b, n + after) for b, n, (_, after) in zip(stops, values.shape, pads, strict=True)]
            count = math.prod(end - start for start, end in zip(starts, ends, strict=True))
        result[place] = sum(inside) / count
    return result


def _pool_outputs(size: int, window: int, step: int, pads: tuple[int, int], ceiling: bool) -> int:
    """PyTorch's rule: in ceil mode, a last window counts if it starts before the padding at the end."""
    room = size + sum(pads) - window
    count = (math.ceil(Fraction(room, step)) if ceiling else room // step) + 1
    return count - 1 if ceiling and (count - 1) * step >= size + pads[0] else count


def _leaky(x: Any, slope: Any) -> Any:
    return x if x >= 0 else x * slope


def _threshold(x: Any, low: Any, high: Any = None) -> Any:
    return Fraction(int(x >= low and (high is None or x <= high)))


_ACTIVATIONS = {
    "relu": lambda x: max(x, Fraction(0)),
    "abs": abs,
    "clip": lambda x, low, high: min(max(x, low), high),
    "leaky-relu": _leaky,
    "threshold": _threshold,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)) if x > -700 else 0.0,
    "tanh": math.tanh,
}
