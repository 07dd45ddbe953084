"""Kernels from NumPy arrays, as `.npy` and `.npz` files hold them."""

from __future__ import annotations

import io
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.lib import format as npy

from convcli.core.errors import KernelError, one_line, quoted
from convcli.kernels.kernel import About, Kernel
from convcli.kernels.readers.axis_order import WeightsOrder, order_of


def kernel_of_npy(data: bytes, place: str, name: str, order: WeightsOrder) -> Kernel:
    """The array of a ``.npy`` file as a kernel.

    Args:
        order: of four axes, which by default are (rows, columns, in, out).

    Raises:
        KernelError: a pickle, no array, or values that are not finite numbers.
    """
    try:
        array = npy.read_array(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OverflowError, MemoryError, SyntaxError, TypeError, TokenError) as error:
        reason = one_line(str(error).splitlines()[0] if str(error) else type(error).__name__)
        raise KernelError(f"{place}: not a NumPy array: {reason}") from error
    return _kernel(array, place, name, order)


def _kernel(array: Any, place: str, name: str, order: WeightsOrder) -> Kernel:
    """The kernel of an array: a row, (rows, columns) or (rows, columns, in, out), depth first for volumes."""
    if array.dtype.kind not in "biuf":
        raise KernelError(f"{place}: contains values of type {quoted(array.dtype)}; allowed: numbers")
    if not 1 <= array.ndim <= 5 or (order.requested == "oihw" and array.ndim < 3):
        raise KernelError(
            f"{place}: array of shape {array.shape}; allowed: (rows, columns) or (rows, columns, in, out), "
            "with depth first for volumes"
        )
    chosen, notes = order_of(array.shape, order, "hwio", place)
    if chosen == "oihw":
        array = np.moveaxis(array, (0, 1), (-1, -2))
        array = array[None] if array.ndim == 3 else array
    try:
        return Kernel(np.atleast_2d(array), name=name, about=About(notes=notes))
    except KernelError as error:
        raise KernelError(f"{place}: {error}") from error
