"""Kernels rotated, flipped and anchored."""

from __future__ import annotations

from typing import Any

import numpy as np

from convcli.core.errors import KernelError
from convcli.kernels.kernel import About, Kernel


def rotated(kernel: Kernel, degrees: int, name: str) -> Kernel:
    """The kernel rotated counterclockwise by a multiple of 45°, under a new name.

    Odd multiples move each ring of weights around the center by an eighth of its length, as the masks of
    compass operators do.

    Raises:
        KernelError: another angle, or 45° for weights that are not an odd square.
    """
    rows, columns = kernel.size
    if degrees % 45:
        raise KernelError(f"{name}: {degrees}° is not a multiple of 45°")
    quarters, odd = divmod(degrees % 360, 90)
    if odd and (rows != columns or rows % 2 == 0):
        raise KernelError(
            f"{name}: {rows}×{columns} weights rotate by multiples of 90°; only odd squares rotate by 45°"
        )

    first = kernel.spatial - 2

    def rotate(raw: Any) -> Any:
        rows_first = np.moveaxis(np.rot90(raw, quarters, (first, first + 1)), (first, first + 1), (0, 1))
        changed = _with_rotated_rings(rows_first) if odd else rows_first
        return np.moveaxis(changed, (0, 1), (first, first + 1))

    result = kernel.reshaped(rotate, name=name)
    unchanged = result.shape == kernel.shape and bool(np.array_equal(result.weights, kernel.weights))
    return result if unchanged else result.named(name, _about_rotated(kernel, degrees))


def _about_rotated(kernel: Kernel, degrees: int) -> About:
    """What stays true of a rotated kernel: not its directions, and its gain only by quarter turns."""
    about = kernel.about
    direction = "counterclockwise" if degrees % 360 <= 180 else "clockwise"
    angle = min(degrees % 360, -degrees % 360)
    description = f"{kernel.name} rotated by {angle}°" + (f" {direction}" if angle != 180 else "")
    members = tuple(f"{member}@{degrees}" for member in about.members)
    return About(
        description,
        about.source,
        about.tags,
        gain=None if angle % 90 else about.gain,
        members=members,
        notes=about.notes,
    )


def flipped(kernel: Kernel) -> Kernel:
    """The kernel rotated by 180°: from true convolution's order of weights to cross-correlation's."""
    axes = tuple(range(kernel.spatial))
    return kernel.reshaped(lambda raw: np.flip(raw, axes))


def anchored(kernel: Kernel, anchor: tuple[int, int]) -> Kernel:
    """The kernel padded with zeros so that the weight at ``anchor``, (row, column), is its center.

    Both sides are odd then, so the anchor moves with the weights when they are flipped, as
    ``cv2.filter2D`` needs it: (columns − 1 − x, rows − 1 − y).

    Raises:
        KernelError: a volume, or an anchor outside the weights.
    """
    if kernel.spatial == 3:
        raise KernelError("an anchor needs (rows, columns) weights, not a volume")
    rows, columns = kernel.size
    row, column = anchor
    if not (0 <= row < rows and 0 <= column < columns):
        raise KernelError(
            f"anchor {row},{column} is outside {rows}×{columns} weights; rows and columns count from 0"
        )
    pads = [
        (max(size - 1 - 2 * at, 0), max(2 * at - size + 1, 0))
        for size, at in ((rows, row), (columns, column))
    ]
    if not np.any(pads):
        return kernel
    return kernel.reshaped(lambda raw: np.pad(raw, [*pads, *((0, 0),) * (raw.ndim - 2)]))


def _with_rotated_rings(raw: Any) -> Any:
    """Each ring of an odd square moved counterclockwise by an eighth of its length."""
    result, middle = raw.copy(), len(raw) // 2
    for radius in range(1, middle + 1):
        ring = _ring(middle, radius)
        for (row, column), (from_row, from_column) in zip(ring, ring[radius:] + ring[:radius], strict=True):
            result[row, column] = raw[from_row, from_column]
    return result


def _ring(middle: int, radius: int) -> list[tuple[int, int]]:
    """The cells of a ring, clockwise from its upper left corner."""
    low, high = middle - radius, middle + radius
    ascending, descending = range(low, high), range(high, low, -1)
    return [
        *((low, column) for column in ascending),
        *((row, high) for row in ascending),
        *((high, column) for column in descending),
        *((row, low) for row in descending),
    ]
