"""A small image as a kernel: a template, whose response is largest where it lies on its like."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

import numpy as np

from convcli.core.errors import ImageError, KernelError, quoted
from convcli.files import input as files
from convcli.formats import opening
from convcli.kernels.kernel import About, Kernel
from convcli.kernels.readers.base import KernelFile

_ZERO_MEAN: Final = "zero-mean"
_LARGEST: Final = 2**18  # pixels


def read(file: KernelFile, member: str | None) -> Kernel:
    """The values of an image as weights, white being 1; minus their mean if ``member`` is ``zero-mean``.

    Gray images give (rows, columns), color images (rows, columns, 3, 1), summed over the channels.

    Raises:
        KernelError: not an image, an image with alpha, or one that is too large.
    """
    if member not in (None, _ZERO_MEAN):
        raise KernelError(
            f"{file.place}: unknown template option {quoted(member)}; allowed: {_ZERO_MEAN}, or none"
        )
    try:
        with files.Input.open(str(file.path)) as source:
            opened = opening.open_input(source, _LARGEST)[0]
            pixels = opened.pixels()
    except ImageError as error:
        text = str(error)
        raise KernelError(text if text.startswith(file.place) else f"{file.place}: {text}") from error
    if opened.header.alpha:
        raise KernelError(f"{file.place}: a template cannot have an alpha channel; flatten the image first")
    return _kernel(pixels, member == _ZERO_MEAN, file)


def _kernel(pixels: Any, zero_mean: bool, file: KernelFile) -> Kernel:
    """The kernel of pixels (rows, columns, channels); the mean is taken from each channel, exactly."""
    rows, columns, channels = pixels.shape
    scale, count = Fraction(1), rows * columns
    if pixels.dtype.kind in "iu":
        scale = Fraction(1, int(np.iinfo(pixels.dtype).max))
        pixels = pixels.astype(np.int64)
    if zero_mean:
        mean = pixels.sum(axis=(0, 1), keepdims=True)
        pixels, scale = pixels * count - mean, scale / count
    shape = (rows, columns) if channels == 1 else (rows, columns, channels, 1)
    values = "mean removed" if zero_mean else "white is 1"
    about = About(f"Template from an image, {values}", file.place, ("template",))
    try:
        return Kernel(pixels.reshape(shape), scale=scale, name=file.path.stem, about=about)
    except KernelError as error:
        raise KernelError(f"{file.place}: {error}") from error
