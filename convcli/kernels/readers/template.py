"""A small picture as a kernel: a template, which matches where it lies over its like."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np

from convcli.core.errors import ImageError, KernelError, one_line, quoted
from convcli.files import input as files
from convcli.formats import registry
from convcli.kernels.kernel import About, Kernel

ZERO_MEAN: Final = "zero-mean"
LARGEST: Final = 2**18
"""Pixels of a template; larger ones are not small pictures."""


def read(path: Path, member: str | None) -> Kernel:
    """A picture's values as weights, white being 1; less their mean where ``member`` is ``zero-mean``.

    Gray gives (rows, columns), colors (rows, columns, 3, 1), to be summed over the picture's.

    Raises:
        KernelError: not a picture, with transparency, or too large.
    """
    place = one_line(str(path))
    if member not in (None, ZERO_MEAN):
        raise KernelError(f"{place}: {quoted(member)} is not {ZERO_MEAN}, which is all that a picture takes")
    try:
        with files.Input.open(str(path)) as source:
            opened = registry.open_input(source, LARGEST)[0]
            pixels = opened.pixels()
    except ImageError as error:
        text = str(error)
        raise KernelError(text if text.startswith(place) else f"{place}: {text}") from error
    if opened.header.alpha:
        raise KernelError(f"{place}: a template has no transparency; flatten it first")
    return _kernel(pixels, member == ZERO_MEAN, path.stem, place)


def _kernel(pixels: Any, centerd: bool, name: str, place: str) -> Kernel:
    rows, columns, channels = pixels.shape
    scale, count = Fraction(1), rows * columns
    if pixels.dtype.kind in "iu":
        scale = Fraction(1, int(np.iinfo(pixels.dtype).max))
        pixels = pixels.astype(np.int64)
    if centerd:
        mean = pixels.sum(axis=(0, 1), keepdims=True)
        pixels, scale = pixels * count - mean, scale / count
    shape = (rows, columns) if channels == 1 else (rows, columns, channels, 1)
    words = "its mean removed" if centerd else "white is 1"
    about = About(f"Template from a picture, {words}", place, ("template",))
    try:
        return Kernel(pixels.reshape(shape), scale=scale, name=name, about=about)
    except KernelError as error:
        raise KernelError(f"{place}: {error}") from error
