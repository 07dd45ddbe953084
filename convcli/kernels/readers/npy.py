"""A ``.npy`` file: one NumPy array."""

from __future__ import annotations

from typing import Final

from convcli.core.errors import KernelError, one_line
from convcli.core.frozen import replace
from convcli.kernels.kernel import Kernel
from convcli.kernels.readers.arrays import kernel_of_npy
from convcli.kernels.readers.axis_order import ORDERS
from convcli.kernels.readers.base import KernelFile

_MAGIC: Final = b"\x93NUMPY"


def recognizes(file: KernelFile) -> bool:
    """Whether it begins as every ``.npy`` file does."""
    return file.data.startswith(_MAGIC)


def read(file: KernelFile, member: str | None) -> Kernel:
    """The array as a kernel; ``member`` is the order of its axes, a key of `ORDERS`, or None for the file's.

    Raises:
        KernelError: another member, a pickle, no array, or values that are not finite numbers.
    """
    if member not in (None, *ORDERS):
        raise KernelError(f"{file.place} contains one kernel; leave out :{one_line(member or '')}")
    order = replace(file.order, requested=member or file.order.requested)
    return kernel_of_npy(file.data, file.place, file.name, order)
