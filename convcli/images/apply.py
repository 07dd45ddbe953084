"""`apply`: an image and a kernel become feature maps."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Unpack, overload

from convcli.core.errors import ArgumentError
from convcli.images.calls import all_settings, is_several, network_settings
from convcli.images.inputs import as_image, is_lazy
from convcli.images.keywords import KernelLike, Options, with_options
from convcli.images.lazy import LazyResult, lazy_result
from convcli.images.results import Result, Results
from convcli.kernels.kernel import Kernel


@overload
def apply(
    image: Any, kernel: str | os.PathLike[str] | Kernel, *, dims: Any = None, **options: Unpack[Options]
) -> Result: ...
@overload
def apply(
    image: Any,
    kernel: Sequence[str] | Sequence[Kernel] | Sequence[str | Kernel],
    *,
    dims: Any = None,
    **options: Unpack[Options],
) -> Results: ...
@overload
def apply(
    image: Any,
    *,
    model: str | os.PathLike[str],
    until: str | None = None,
    dims: Any = None,
    **options: Unpack[Options],
) -> Result: ...
@overload
def apply(image: Any, kernel: KernelLike, *, dims: Any = None, **options: Unpack[Options]) -> Result: ...
@with_options
def apply(
    image: Any,
    kernel: Any = None,
    *,
    model: str | os.PathLike[str] | None = None,
    until: str | None = None,
    dims: Any = None,
    **options: Unpack[Options],
) -> Result | Results | LazyResult:
    """Return the feature maps of an image, as ``convcli apply`` computes them.

    Args:
        image: a path or URL, the bytes of a file, an open binary file, a PIL image, a DataArray of xarray, or
            an array of NumPy, PyTorch, CuPy or any other library: (rows, columns), (rows, columns, channels)
            or (frames, rows, columns, channels). As in image files, the second of 2 and the fourth of 4
            channels is alpha, unless the image is a DataArray.
        kernel: a name, a file, a `Kernel` or weights, (rows, columns[, in, out]); or a list of names and
            kernels, for several results.
        model: the file of a whole ONNX network, instead of a kernel.
        until: the node of the network whose maps are returned; None for its output.
        dims: names of a DataArray's dimensions of rows and columns, if they cannot be told.
        options: the options of the command line; `Options` lists them.

    Returns:
        A `Result`; for a list of kernels `Results`, which is a sequence of them. For a Dask array, or a
        DataArray in chunks, a `LazyResult`, whose maps are computed by Dask.

    Raises:
        ArgumentError: an argument that is not allowed; the message names it.
        KernelError: an unknown kernel, or weights that cannot be used.
        ImageError: an image that cannot be read.
    """
    if is_lazy(image) and model is None and not is_several(kernel):
        return lazy_result(image, kernel, dims, options)
    taken = as_image(image, dims)
    if until is not None and model is None:
        raise ArgumentError("until goes with model, the file of a network")
    if model is not None:
        return Result(taken, network_settings(model, until, kernel, dict(options)))
    settings = all_settings(taken, kernel, dict(options))
    results = [Result(taken, each) for each in settings]
    return Results(results) if is_several(kernel) else results[0]
