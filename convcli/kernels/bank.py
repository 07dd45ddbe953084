"""Several kernels as one: sets, banks, the ways their maps become one; and kernels that are turned."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from convcli.core.errors import KernelError
from convcli.core.frozen import frozen, replace
from convcli.core.rational import exact_number
from convcli.kernels.kernel import COMBINES, About, Kernel

WAYS: Final = (*COMBINES, "sum", "stack")
"""What ``--combine`` takes: `COMBINES`, and what a kernel with other weights or an output of its own does."""


@frozen
class KernelSet:
    """A preset made of others: their names, how their maps become one, and the folder of its file."""

    name: str
    members: tuple[str, ...]
    combine: str | None
    about: About
    folder: str = ""


def bank(kernels: Sequence[Kernel], name: str, combine: str | None, about: About | None = None) -> Kernel:
    """Kernels of (rows, columns) as one of (rows, columns, 1, out), centerd in the largest window."""
    rows = max(kernel.size[0] for kernel in kernels)
    columns = max(kernel.size[1] for kernel in kernels)
    stacked = np.zeros((rows, columns, 1, len(kernels)), object)
    for index, kernel in enumerate(kernels):
        if kernel.weights.ndim != 2:
            raise KernelError(f"{kernel.name} is a bank itself; a set is made of (rows, columns) kernels")
        height, width = kernel.size
        top, left = (rows - 1) // 2 - (height - 1) // 2, (columns - 1) // 2 - (width - 1) // 2
        stacked[top : top + height, left : left + width, 0, index] = _fractions(kernel)
    biases = [bias for kernel in kernels for bias in kernel.biases]
    notes = dict.fromkeys(note for kernel in kernels for note in kernel.about.notes)
    about = replace(about or About(), members=tuple(kernel.name for kernel in kernels), notes=tuple(notes))
    return combined(Kernel(stacked, bias=biases, name=name, about=about), combine)


def joined(kernels: Sequence[Kernel]) -> Kernel:
    """The maps of several kernels as one bank, in their order; those of sets apart.

    Raises:
        KernelError: a kernel of several input channels, or of more axes than rows and columns.
    """
    name = "+".join(kernel.name for kernel in kernels)
    return bank([plane for kernel in kernels for plane in planes(kernel)], name, None)


def planes(kernel: Kernel) -> list[Kernel]:
    """A (rows, columns) kernel for each feature map, under the kernel's name and the map's number.

    Raises:
        KernelError: as for `joined`.
    """
    if kernel.spatial == 3 or kernel.tensor_shape[-2] > 1:
        raise KernelError(f"{kernel.name} has weights {kernel.tensor_shape}, which are no bank of planes")
    if kernel.weights.ndim == 2:
        return [kernel]
    single = kernel.maps == 1
    names = [kernel.name if single else f"{kernel.name} {index}" for index in range(kernel.maps)]
    return [
        kernel.reshaped(partial(_plane, kernel, index), bias=bias, combine=None, name=name, layer=None)
        for index, (bias, name) in enumerate(zip(kernel.biases, names, strict=True))
    ]


def _plane(kernel: Kernel, index: int, raw: Any) -> Any:
    return raw.reshape(kernel.tensor_shape)[:, :, 0, index]


def combined(kernel: Kernel, how: str | None) -> Kernel:
    """A bank whose maps become one, or stay apart for None; ``sum`` is one kernel, of the summed weights.

    Raises:
        KernelError: a kernel of one map.
    """
    if how is None or how == "stack":
        return kernel.combined(None)
    if kernel.maps == 1:
        raise KernelError(f"kernel {kernel.name} gives one feature map; {how} needs several")
    if how != "sum":
        return kernel.combined(how)
    bias = sum(kernel.biases)
    axes, keep = ((-2, -1), False) if kernel.tensor_shape[-2] == 1 else ((-1,), True)
    about = replace(kernel.about, members=())
    return kernel.reshaped(
        lambda raw: raw.sum(axis=axes, keepdims=keep), bias=bias, combine=None, about=about, layer=None
    )


def rotated(kernel: Kernel, degrees: int, name: str) -> Kernel:
    """The kernel turned counter-clockwise by a multiple of 45°.

    Odd multiples turn each ring of cells around the center by an eighth of its length, as compass kernels do.

    Raises:
        KernelError: another angle, or one that needs an odd square.
    """
    rows, columns = kernel.size
    if degrees % 45:
        raise KernelError(f"{name}: {degrees}° is no multiple of 45°")
    quarters, odd = divmod(degrees % 360, 90)
    if odd and (rows != columns or rows % 2 == 0):
        raise KernelError(
            f"{name}: {rows}×{columns} weights turn by multiples of 90°, odd squares alone by 45°"
        )

    first = kernel.spatial - 2

    def change(raw: Any) -> Any:
        rows_first = np.moveaxis(np.rot90(raw, quarters, (first, first + 1)), (first, first + 1), (0, 1))
        changed = _by_rings(rows_first) if odd else rows_first
        return np.moveaxis(changed, (0, 1), (first, first + 1))

    found = kernel.reshaped(change, name=name)
    same = found.shape == kernel.shape and bool(np.array_equal(found.weights, kernel.weights))
    return found if same else found.named(name, _turned(kernel, degrees))


def _turned(kernel: Kernel, degrees: int) -> About:
    """What is still true of a kernel that was turned: directions are not, a gain only by quarter turns."""
    about = kernel.about
    way = "counter-clockwise" if degrees % 360 <= 180 else "clockwise"
    angle = min(degrees % 360, -degrees % 360)
    words = f"{kernel.name} turned by {angle}°" + (f" {way}" if angle != 180 else "")
    members = tuple(f"{member}@{degrees}" for member in about.members)
    return About(
        words,
        about.source,
        about.tags,
        gain=None if angle % 90 else about.gain,
        members=members,
        notes=about.notes,
    )


def flipped(kernel: Kernel) -> Kernel:
    """The kernel turned by 180°: from the order of true convolution to that of cross-correlation."""
    axes = tuple(range(kernel.spatial))
    return kernel.reshaped(lambda raw: np.flip(raw, axes))


def anchored(kernel: Kernel, anchor: tuple[int, int]) -> Kernel:
    """The kernel whose cell (row, column) lies on the output's pixel: zeros around it make that its center.

    Both sides are odd then, so the anchor turns with the weights, as for `cv2.flip` of a kernel whose new
    anchor is (columns − 1 − x, rows − 1 − y).

    Raises:
        KernelError: the cell lies outside.
    """
    if kernel.spatial == 3:
        raise KernelError("an anchor is that of (rows, columns), not of a volume")
    rows, columns = kernel.size
    row, column = anchor
    if not (0 <= row < rows and 0 <= column < columns):
        raise KernelError(
            f"anchor {row},{column} lies outside {rows}×{columns} weights; rows and columns count from 0"
        )
    pads = [
        (max(size - 1 - 2 * at, 0), max(2 * at - size + 1, 0))
        for size, at in ((rows, row), (columns, column))
    ]
    if not np.any(pads):
        return kernel
    return kernel.reshaped(lambda raw: np.pad(raw, [*pads, *((0, 0),) * (raw.ndim - 2)]))


def _by_rings(raw: Any) -> Any:
    """Each ring of an odd square moved counter-clockwise by an eighth of its length."""
    result, middle = raw.copy(), len(raw) // 2
    for radius in range(1, middle + 1):
        ring = _ring(middle, radius)
        for (row, column), (from_row, from_column) in zip(ring, ring[radius:] + ring[:radius], strict=True):
            result[row, column] = raw[from_row, from_column]
    return result


def _ring(middle: int, radius: int) -> list[tuple[int, int]]:
    """The cells of a ring, clockwise from its upper left corner."""
    low, high = middle - radius, middle + radius
    there, back = range(low, high), range(high, low, -1)
    return [
        *((low, column) for column in there),
        *((row, high) for row in there),
        *((high, column) for column in back),
        *((row, low) for row in back),
    ]


def _fractions(kernel: Kernel) -> Any:
    if kernel.exact is None:
        return kernel.weights
    one = exact_number(1)
    return kernel.exact.numerators.astype(object) * (one / kernel.exact.denominator)
