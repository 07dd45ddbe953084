"""Several kernels as one: sets and banks, and the ways to combine their feature maps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from convcli.core.errors import KernelError
from convcli.core.frozen import frozen, replace
from convcli.core.rational import exact_number
from convcli.kernels.kernel import COMBINES, About, Kernel

COMBINE_CHOICES: Final = (*COMBINES, "sum", "stack")
"""Values of ``--combine``: `COMBINES`, ``sum`` (one kernel of summed weights), ``stack`` (separate maps)."""


@frozen
class KernelSet:
    """A preset made of other kernels.

    Attributes:
        members: their names.
        combine: how their feature maps become one, or None.
        folder: of the set's own file, in which members that are files are looked up.
    """

    name: str
    members: tuple[str, ...]
    combine: str | None
    about: About
    folder: str = ""


def bank(kernels: Sequence[Kernel], name: str, combine: str | None, about: About | None = None) -> Kernel:
    """Kernels of (rows, columns) as one of (rows, columns, 1, out), centered in the largest window.

    Raises:
        KernelError: a kernel of more axes.
    """
    rows = max(kernel.size[0] for kernel in kernels)
    columns = max(kernel.size[1] for kernel in kernels)
    stacked = np.zeros((rows, columns, 1, len(kernels)), object)
    for index, kernel in enumerate(kernels):
        if kernel.weights.ndim != 2:
            raise KernelError(
                f"{kernel.name} is a bank itself; the members of a set must be (rows, columns) kernels"
            )
        height, width = kernel.size
        top, left = (rows - 1) // 2 - (height - 1) // 2, (columns - 1) // 2 - (width - 1) // 2
        stacked[top : top + height, left : left + width, 0, index] = _fractions(kernel)
    biases = [bias for kernel in kernels for bias in kernel.biases]
    notes = dict.fromkeys(note for kernel in kernels for note in kernel.about.notes)
    about = replace(about or About(), members=tuple(kernel.name for kernel in kernels), notes=tuple(notes))
    return combined(Kernel(stacked, bias=biases, name=name, about=about), combine)


def joined(kernels: Sequence[Kernel]) -> Kernel:
    """The feature maps of several kernels as one bank, in order; each map of a bank by itself.

    Raises:
        KernelError: as for `planes`.
    """
    name = "+".join(kernel.name for kernel in kernels)
    return bank([plane for kernel in kernels for plane in planes(kernel)], name, None)


def planes(kernel: Kernel) -> list[Kernel]:
    """A (rows, columns) kernel for each feature map, named after the kernel and the map's number.

    Raises:
        KernelError: a volume, or a kernel of several input channels.
    """
    if kernel.spatial == 3 or kernel.tensor_shape[-2] > 1:
        raise KernelError(
            f"{kernel.name} has weights of shape {kernel.tensor_shape}, not (rows, columns) kernels"
        )
    if kernel.weights.ndim == 2:
        return [kernel]
    names = [kernel.name if kernel.maps == 1 else f"{kernel.name} {index}" for index in range(kernel.maps)]
    return [
        kernel.reshaped(partial(_plane, kernel, index), bias=bias, combine=None, name=name, layer=None)
        for index, (bias, name) in enumerate(zip(kernel.biases, names, strict=True))
    ]


def _plane(kernel: Kernel, index: int, raw: Any) -> Any:
    return raw.reshape(kernel.tensor_shape)[:, :, 0, index]


def combined(kernel: Kernel, how: str | None) -> Kernel:
    """The kernel with its feature maps combined in another way.

    Args:
        how: one of `COMBINE_CHOICES`; None is ``stack``.

    Raises:
        KernelError: a kernel of one map.
    """
    if how is None or how == "stack":
        return kernel.combined(None)
    if kernel.maps == 1 and how != "angle":
        raise KernelError(
            f"kernel {kernel.name} has only one feature map; combining by {how} needs at least two"
        )
    if how != "sum":
        return kernel.combined(how)
    bias = sum(kernel.biases)
    axes, keep = ((-2, -1), False) if kernel.tensor_shape[-2] == 1 else ((-1,), True)
    about = replace(kernel.about, members=())
    return kernel.reshaped(
        lambda raw: raw.sum(axis=axes, keepdims=keep), bias=bias, combine=None, about=about, layer=None
    )


def _fractions(kernel: Kernel) -> Any:
    """The weights as an array of fractions, or of floats if the kernel is not exact."""
    if kernel.exact is None:
        return kernel.weights
    one = exact_number(1)
    return kernel.exact.numerators.astype(object) * (one / kernel.exact.denominator)
