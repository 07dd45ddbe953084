"""All that is found out about a convolution of an array before a value is looked at."""

from __future__ import annotations

from functools import lru_cache
from itertools import groupby
from typing import Any, Final, Self

import numpy as np

from convcli.arrays.arguments import (
    Options,
    as_padding,
    channel_order,
    check_transposed,
    group_count,
    result_type,
    truth,
)
from convcli.arrays.layers import Layer, Layout, layer_of, layout_of
from convcli.core.dtypes import Array, DType
from convcli.core.errors import ArgumentError
from convcli.core.frozen import frozen
from convcli.core.rounding import Affine, Finish
from convcli.engine import native
from convcli.engine.consumer import Finishes, MapFinish
from convcli.engine.normalized import normalized_outcome, unnormalizable
from convcli.engine.plan import Outcome, Plan, Problem
from convcli.engine.planner import choose
from convcli.geometry.axes import Axis, Geometry, geometry
from convcli.geometry.padding import Fill
from convcli.kernels.kernel import Kernel
from convcli.kernels.library import load_kernel
from convcli.layers.stages import ActivationStage
from convcli.layers.trained import LayerSettings, activated, whole_layer

_HASHED: Final = {type(None), bool, int, float, str, type}
"""Types of arguments by which calls are compared."""
_LARGEST_STORED: Final = 2**16
"""Bytes of weights, up to which a call is remembered."""
Stored = tuple[Kernel, Any] | tuple[tuple[int, ...], DType, bytes]
"""Weights that can be compared: a kernel and its layer, or the shape, the type and the bytes of an array."""


_PLAIN: Final = LayerSettings()


@frozen(eq=False)
class Request:
    """A call of `conv`, in which a trained layer's settings have taken the places that were left open.

    Attributes:
        weights: a kernel, or an array.
        arguments: those of `conv` after the weights, in its order.
        source: type of the input.
        stages: activations of the result.
        result: its type after them.
    """

    weights: Any
    arguments: tuple[Any, ...]
    source: DType
    stages: tuple[ActivationStage, ...]
    result: DType

    @classmethod
    def of(cls, source: DType, weights: Any, layer: Any, arguments: tuple[Any, ...]) -> Self:
        """The request of a call.

        Args:
            source: type of the input.
            layer: the argument of that name.
            arguments: the others after the weights, in the order of `conv`.
        """
        bias, stride, padding, dilation, groups, flip, fill, channels, *others = arguments
        transposed, output_padding, dtype, method, steady, threads = others
        known = load_kernel(weights) if isinstance(weights, str) else weights
        stages: tuple[ActivationStage, ...] = ()
        own, result = _PLAIN, result_type(dtype, source)
        if truth("layer", layer):
            known, own, stages = whole_layer(known, stride is not None and padding is not None)
            transposed, output_padding = own.transposed or transposed, output_padding or own.output_padding
            if stages and result.kind != "f":
                dtype = np.float64  # rounded after the activation
        stride = own.stride if stride is None else stride
        padding = own.padding if padding is None else padding
        dilation = own.dilation if dilation is None else dilation
        groups = own.groups if groups is None else groups
        shaped = bias, stride, padding, dilation, groups, flip, fill, channels, transposed, output_padding
        return cls(known, (*shaped, dtype, method, steady, threads), source, stages, result)

    def prepared(self, sizes: tuple[int, ...], values: DType) -> Prepared:
        """The convolution of an input of a shape whose values have a type, which may be narrower."""
        stored = _stored(self.weights)
        if stored is not None and all(type(value) in _HASHED for value in self.arguments):
            return remembered(sizes, values, self.source, stored, *self.arguments)
        return prepared(sizes, values, self.source, self.weights, self.arguments)

    def finished(self, values: Array) -> Array:
        """The result after the activations."""
        return activated(values, self.stages, self.result) if self.stages else values


@frozen(eq=False)
class Prepared:
    """All that `conv` finds out before it looks at a value.

    Attributes:
        finishes: from sums to results, for runs of maps.
        idle: whether the sums are the results.
        renormalizes: whether sums are divided by those of the weights inside the image.
        output: spatial sizes of the result.
    """

    plan: Plan
    finishes: Finishes
    idle: bool
    renormalizes: bool
    layout: Layout
    output: tuple[int, ...]
    channels: str | None
    target: DType


def prepared(
    sizes: tuple[int, ...], values: DType, source: DType, weights: Any, arguments: tuple[Any, ...]
) -> Prepared:
    """Check the arguments of `conv` and plan it.

    Args:
        sizes: shape of the input.
        values: its type, narrowed.
        source: its type.
        arguments: those of `conv` after the weights, in its order.
    """
    bias, stride, padding, dilation, groups, flip, fill, channels, *others = arguments
    transposed, output_padding, dtype, method, steady, threads = others
    options = Options(
        stride=stride,
        padding=as_padding(padding, fill),
        dilation=dilation,
        groups=group_count(groups),
        flip=truth("flip", flip),
        channels=channel_order(channels),
        transposed=truth("transposed", transposed),
        target=result_type(dtype, source),
    )
    check_transposed(options, output_padding)
    layer = layer_of(weights, bias, options)
    layout = layout_of(sizes, layer, options)
    spatial = layout.shape[4 - layer.spatial : 4]
    window, as_transposed = layer.filter.kernel[3 - layer.spatial :], (options.transposed, output_padding)
    shape = geometry(spatial, window, stride, options.padding, dilation, False, *as_transposed)
    renormalizes = options.padding.fill.mode == "ignore"
    if renormalizes and (obstacle := unnormalizable(layer.filter)):
        raise ArgumentError(f"fill 'ignore' cannot be used with this kernel: {obstacle}; use another fill")
    problem = _problem(layout.shape, values, layer, shape, options)
    steady = truth("steady", steady)
    plan = choose(problem, method, threads, whole=True, steady=steady)
    outcome = normalized_outcome(plan) if renormalizes else plan.outcome
    finishes = finishes_of(outcome, options.target)
    if not native.writes(finishes, plan):
        plan = choose(problem, method, threads, steady=steady)
    idle = all(part.idle for part in finishes) and not renormalizes
    order, target = options.channels, options.target
    return Prepared(plan, finishes, idle, renormalizes, layout, shape.output, order, target)


def _problem(
    sizes: tuple[int, ...], dtype: DType, layer: Layer, shape: Geometry, options: Options
) -> Problem:
    """What to compute from values of a shape, (batch, depth, rows, columns, channels, lanes), and a type."""
    depth, rows, columns = (Axis(1, 1),) * (3 - layer.spatial) + shape.axes
    batch, *_, channels, lanes = sizes
    return Problem(
        axes=(depth, rows, columns),
        filter=layer.filter,
        dtype=dtype,
        fill=Fill() if options.padding.fill.mode == "ignore" else options.padding.fill,
        batch=max(batch, 1),
        channels=channels,
        lanes=max(lanes, 1),
        groups=options.groups,
        double=options.target == np.float64,
    )


def finishes_of(outcome: Outcome, target: DType) -> Finishes:
    """From sums to results: runs of maps that are alike, or all maps of float sums."""
    distinct = {id(affine): affine for affine in outcome.affines}.values()
    alike = {(affine.gain, affine.denominator, affine.magnitude) for affine in distinct}
    if not outcome.exact and outcome.maps > 1 and len(alike) == len({*outcome.bounds}) == 1:
        return (_float_finish(outcome, target),)
    runs: list[MapFinish] = []
    maps = zip(outcome.bounds, outcome.affines, strict=True)
    for _, members in groupby(maps, key=lambda entry: (entry[0], id(entry[1]))):
        (bounds, affine), *others = members
        start = runs[-1].maps.stop if runs else 0
        finish = Finish(outcome.dtype, *bounds, affine, target, outcome.exact)
        runs.append(MapFinish(slice(start, start + 1 + len(others)), finish))
    return tuple(runs)


def _float_finish(outcome: Outcome, target: DType) -> MapFinish:
    """The finish of float sums of several maps, which differ in their biases at most."""
    offsets = np.array([affine.offset for affine in outcome.affines], np.float64)
    (low, high), first = outcome.bounds[0], outcome.affines[0]
    reach = low + float(offsets.min()) / first.gain, high + float(offsets.max()) / first.gain
    whole = Affine(first.gain, 0, first.denominator, first.magnitude)
    finish = Finish(outcome.dtype, *reach, whole, target, exact=False)
    return MapFinish(slice(0, outcome.maps), finish, offsets if offsets.any() else None)


def _stored(weights: Any) -> Stored | None:
    """Small weights in a form that can be compared; None for others."""
    if type(weights) is np.ndarray and weights.nbytes <= _LARGEST_STORED and weights.dtype.kind in "biuf":
        return weights.shape, weights.dtype, weights.tobytes()
    if isinstance(weights, Kernel) and weights.weights.nbytes <= _LARGEST_STORED:
        return weights, weights.layer
    return None


@lru_cache(16, typed=True)
def remembered(
    sizes: tuple[int, ...], values: DType, source: DType, stored: Stored, *arguments: Any
) -> Prepared:
    """`prepared` for calls that are like an earlier one, which takes longer than a small convolution."""
    weights = stored[0] if len(stored) == 2 else np.frombuffer(stored[2], stored[1]).reshape(stored[0])
    return prepared(sizes, values, source, weights, arguments)


def forget() -> None:
    """Forget what was prepared for earlier calls, for tests that change which methods are available."""
    remembered.cache_clear()
