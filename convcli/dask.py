"""Convolution of Dask arrays, chunk by chunk, and of labeled arrays of xarray: `conv`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, TypeVar, cast

from numpy.typing import ArrayLike

from convcli.arrays.arguments import PaddingLike, named
from convcli.arrays.preparing import Request
from convcli.chunked import labels
from convcli.core.errors import ArgumentError, cut
from convcli.kernels.kernel import Kernel

ArrayT = TypeVar("ArrayT")
"""A Dask array or a DataArray."""


@named
def conv(  # noqa: PLR0913 - the signature of a layer
    x: ArrayT,
    weights: ArrayLike | Kernel | str,
    *,
    dims: str | Sequence[str] | None = None,
    layer: bool = False,
    bias: ArrayLike | None = None,
    stride: int | Sequence[int] | None = None,
    padding: PaddingLike | None = None,
    dilation: int | Sequence[int] | None = None,
    groups: int | None = None,
    flip: bool = False,
    fill: str | float = "zero",
    channels: str | None = None,
    transposed: bool = False,
    output_padding: int | Sequence[int] | None = None,
    dtype: Any = None,
    method: str = "auto",
    threads: int | None = None,
) -> ArrayT:
    """Return the cross-correlation of ``x`` with ``weights``, lazily: `convcli.conv` for arrays in chunks.

    Computed, the result has the bytes of ``convcli.conv(x.compute(), …, steady=True)``, however ``x`` is
    chunked: chunks may be smaller than the kernel, of one pixel, or uneven. Where sums are exact, as for
    integers of up to 32 bits and rational weights, these are the bytes of any method.

    There is one task for each chunk of the result, which reads the chunks of ``x`` that its windows reach.
    Chunks of the result begin where those of ``x`` do, divided by the stride.

    A number type is chosen by the type of ``x``, not by its values. Therefore 64-bit integers are summed in
    float64, even if they are small; `convcli.conv` looks at them first. Both agree where weights are rational
    and sums are below 2⁵³; otherwise convert ``x`` to a narrower type.

    Args:
        x: a Dask array of NumPy arrays, or a DataArray of xarray. A DataArray that is not in chunks is
            computed at once.
        weights: as for `convcli.conv`, in memory. For a DataArray with ``channels``, an array has the order
            (out, in / groups, k…) if the dimension of channels comes before those that are filtered.
        dims: of a DataArray, the names of the dimensions that are filtered, in the order of the kernel's
            axes. None takes all but the channels. Along all others, everything is filtered alike.
        layer: as for `convcli.conv`.
        bias: as for `convcli.conv`.
        stride: as for `convcli.conv`.
        padding: as for `convcli.conv`.
        dilation: as for `convcli.conv`.
        groups: as for `convcli.conv`.
        flip: as for `convcli.conv`.
        fill: as for `convcli.conv`.
        channels: as for `convcli.conv`; of a DataArray, the name of the dimension of channels. Maps that sum
            channels read all of them, in as many chunks as there are, and are one chunk together.
        transposed: as for `convcli.conv`.
        output_padding: as for `convcli.conv`.
        dtype: as for `convcli.conv`.
        method: ``"auto"``, or the name of a method; one whose rounding depends on position is refused where
            sums are rounded.
        threads: largest number of threads of each task. None means 1, since Dask computes several at once,
            and one per CPU for an array that is computed at once.

    Returns:
        A Dask array, or a DataArray with the name and the dimensions of ``x``. The coordinates of a value are
        those of its window's center, interpolated where it lies between pixels and continued beyond the
        edges. Coordinates that cannot be interpolated, which are those of several dimensions and those that
        are neither numbers nor times, are dropped with a warning. Attributes are kept, except those that
        state ranges or flags of the values.

    Raises:
        ArgumentError: chunks of unknown sizes, or an argument that is not allowed; the message names it.
        KernelError: as for `convcli.conv`.
    """

    def asked(weights: Any, channels: str | None, threads: int) -> Request:
        shaped = bias, stride, padding, dilation, groups, flip, fill, channels, transposed, output_padding
        return Request.of(array.dtype, weights, layer, (*shaped, dtype, method, True, threads))

    array: Any = x
    _check_in_memory(weights=weights, bias=bias)
    if _is(x, "xarray", "DataArray"):
        return cast(ArrayT, labels.convolved(array, weights, dims, channels, threads, asked))
    if not _is(x, "dask.array", "Array"):
        raise ArgumentError(
            f"x is of type {cut(type(x).__name__, 60)} (allowed: a Dask array, or a DataArray of xarray); "
            "use ds[NAME] for a Dataset, convcli.conv for arrays in memory"
        )
    if dims is not None:
        raise ArgumentError("dims names dimensions of a DataArray, but x is a Dask array; leave it out")
    from convcli.chunked.graph import convolved

    return cast(ArrayT, convolved(array, weights, channels, threads or 1, asked))


def _is(value: Any, module: str, name: str) -> bool:
    """Whether a value is of a class, whose module is imported if it is."""
    return module in sys.modules and isinstance(value, getattr(sys.modules[module], name))


def _check_in_memory(**values: Any) -> None:
    """Refuse weights that would have to be computed for the plan."""
    for name, value in values.items():
        if hasattr(value, "__dask_graph__") and value.__dask_graph__() is not None:
            raise ArgumentError(
                f"{name} is a Dask array, but the plan depends on its values; pass {name}.compute()"
            )
