"""A convolution of a Dask array as a Dask array: one task for each chunk of the result."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product
from math import isnan
from typing import Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from convcli import __version__
from convcli.arrays.arguments import SOURCES, channel_order
from convcli.arrays.preparing import Prepared, Request
from convcli.chunked.block import ChunkedConvolution
from convcli.chunked.grid import Share, filtered, kept_apart, together
from convcli.chunked.roles import Roles
from convcli.core.errors import ArgumentError, cut
from convcli.core.frozen import contents

Chunks = tuple[int, ...]


def convolved(
    x: da.Array, weights: Any, channels: Any, threads: int, asked: Callable[[Any, Any, int], Request]
) -> da.Array:
    """The result of a call for a Dask array that is laid out as `conv` takes it.

    Args:
        asked: from the weights, the argument ``channels`` and a number of threads to the call's request.

    Raises:
        ArgumentError: as `check_array`, or an argument that is not allowed.
    """
    check_array(x)
    request = asked(weights, channels, threads)
    prepared = request.prepared(x.shape, x.dtype)
    roles = Roles.of(x.ndim, channel_order(channels), prepared.layout.is_batch)
    return chunked(x, request, prepared, roles)


def chunked(x: da.Array, request: Request, prepared: Prepared, roles: Roles) -> da.Array:
    """The result of a request for a Dask array, in chunks that follow those of the array.

    Args:
        x: that passed `check_array`.
        prepared: the convolution of the whole array, whose sums are steady.
        roles: of the axes of ``x``.
    """
    chunks, shares = _divided(x, prepared, roles)
    convolution = ChunkedConvolution(prepared, request.stages, request.result, x.dtype, roles, shares)
    token = _token(x, convolution)
    name, shared = f"conv-{token}", f"conv-plan-{token}"
    graph: dict[Any, Any] = {shared: convolution}
    for place in product(*(range(len(lengths)) for lengths in chunks)):
        blocks = [(x.name, *block) for block in convolution.reads(place)]
        graph[name, *place] = partial(compute, place), shared, *blocks
    layers = HighLevelGraph.from_collections(name, graph, dependencies=[x])
    meta = np.empty((0,) * x.ndim, request.result)
    return da.Array(layers, name, chunks, meta=meta)


def compute(place: tuple[int, ...], convolution: ChunkedConvolution, *blocks: Any) -> Any:
    """The task of a chunk."""
    return convolution.chunk(place, *blocks)


def check_array(x: da.Array) -> None:
    """Refuse an array that cannot be convolved chunk by chunk.

    Raises:
        ArgumentError: chunks of unknown sizes, or that are not NumPy's arrays of numbers.
    """
    if any(isnan(size) for size in x.shape):
        raise ArgumentError(
            "x has chunks of unknown sizes; call x.compute_chunk_sizes() first, or rebuild it with known ones"
        )
    if not isinstance(x._meta, np.ndarray):
        kind = f"{type(x._meta).__module__}.{type(x._meta).__name__}"
        raise ArgumentError(f"x has chunks of type {cut(kind, 60)}; allowed: NumPy arrays")
    if x.dtype.kind not in "biuf" or x.dtype.itemsize > 8:
        raise ArgumentError(f"x has type {cut(str(x.dtype), 60)}; allowed: {SOURCES}")


def _divided(
    x: da.Array, prepared: Prepared, roles: Roles
) -> tuple[tuple[Chunks, ...], tuple[tuple[Share, ...], ...]]:
    """For each axis of an array, the result's chunks and what they read."""
    axes = prepared.plan.problem.axes[3 - len(roles.spatial) :]
    found: dict[int, tuple[Chunks, tuple[Share, ...]]] = {
        axis: (x.chunks[axis], kept_apart(x.chunks[axis])) for axis in roles.batch
    }
    for number, axis in zip(roles.spatial, axes, strict=True):
        found[number] = filtered(axis, prepared.plan.problem.fill, x.chunks[number])
    if roles.channel is not None:
        found[roles.channel] = _channels(x.chunks[roles.channel], prepared)
    chunks, shares = zip(*(found[axis] for axis in range(x.ndim)), strict=True)
    return chunks, shares


def _channels(chunks: Chunks, prepared: Prepared) -> tuple[Chunks, tuple[Share, ...]]:
    """The same for the channel axis: maps read all channels, unless each is filtered by itself."""
    *_, lanes = prepared.layout.shape
    if lanes > 1:
        return chunks, kept_apart(chunks)
    return (prepared.plan.outcome.maps * lanes,), (together(chunks),)


def _token(x: da.Array, convolution: ChunkedConvolution) -> str:
    """A name for a result: the same for the same array and the same convolution of it, in any process."""
    plan, filter_ = convolution.prepared.plan, convolution.prepared.plan.problem.filter
    weights = filter_.weights, filter_.denominator, repr(filter_.bias), filter_.combine
    problem = [value for name, value in contents(plan.problem).items() if name != "filter"]
    result = convolution.prepared.target, convolution.stages, convolution.result
    others = sorted(plan.methods), convolution.prepared.renormalizes, convolution.roles, __version__
    return str(tokenize(x.name, weights, repr(problem), repr(result), repr(others)))
