"""Inputs made of numbers, for ``convcli animate 4x4``."""

from __future__ import annotations

import io
import re
from math import prod
from typing import Any, Final

import numpy as np

from convcli.core.errors import ArgumentError
from convcli.files.input import Input
from convcli.geometry.axes import parse_sizes

LARGEST: Final = 256  # rows or columns
DIGITS: Final = 10  # random numbers are below this


def parse_shape(text: str) -> tuple[int, ...] | None:
    """Rows and columns of ``4x4``, and channels of ``4x4x3``; None for other text.

    Raises:
        ArgumentError: a side of 0, or above `LARGEST`.
    """
    if not re.fullmatch(r"\d{1,9}([x×]\d{1,9}){1,2}", text.strip().casefold()):
        return None
    shape = parse_sizes("shape", text.strip(), (2, 3), "x")
    if max(shape) > LARGEST:
        largest = "x".join([str(LARGEST)] * len(shape))
        raise ArgumentError(f"shapes larger than {largest} cannot be animated")
    return shape


def number_image(shape: tuple[int, ...], seed: int | None) -> Input:
    """An NPY file of integers: random from 0 to 9, or 0, 1, 2, … in reading order without a seed.

    Channels follow each other, so that the first has the numbers of an image without channels. Random numbers
    are the 64-bit words of PCG64, modulo 10, so that they are the same on every machine.
    """
    count = prod(shape)
    values: Any = np.arange(count, dtype=np.uint32 if count > 2**16 else np.uint16)
    if seed is not None:
        values = (np.random.PCG64(seed).random_raw(count) % DIGITS).astype(np.uint8)
    rows, columns, *channels = shape
    pixels = values.reshape(*channels, rows, columns)
    if channels:
        pixels = np.moveaxis(pixels, 0, -1)[None]
    buffer = io.BytesIO()
    np.save(buffer, pixels)
    return Input(data=buffer.getvalue())


def largest_number(shape: tuple[int, ...], seed: int | None) -> int:
    """The number that is drawn as white: the largest that `number_image` may hold."""
    return DIGITS - 1 if seed is not None else max(prod(shape) - 1, 1)


def shape_title(shape: tuple[int, ...], seed: int | None) -> str:
    """What the numbers are called in an animation."""
    sizes = f"{' × '.join(map(str, shape))} integers"
    return f"{sizes} in order" if seed is None else f"{sizes}, seed {seed}"
