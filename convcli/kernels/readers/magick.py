"""Kernels as ImageMagick writes them: ``3x3+1+1: 1,2,3 …``."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

import numpy as np

from convcli.core.errors import KernelError, quoted
from convcli.kernels.bank import bank
from convcli.kernels.kernel import Kernel
from convcli.kernels.readers.base import KernelFile
from convcli.kernels.readers.rows import LARGEST_TABLE, parse_cell
from convcli.kernels.transform import anchored

_KERNEL: Final = re.compile(
    r"\s*(\d{1,6})(?:x(\d{1,6}))?(?:([+-]\d{1,6})([+-]\d{1,6}))?([@<>^]*)\s*:(.*)", re.DOTALL
)
_MOST_KERNELS: Final = 1024
_HOLES: Final = ("-", "nan")
"""Cells that are not part of the kernel."""


def recognizes(file: KernelFile) -> bool:
    """Whether it begins with a size and a colon."""
    return is_magick(file.start)


def read(file: KernelFile, member: str | None) -> Kernel:
    """The kernel of the text, or the bank of several.

    Raises:
        KernelError: as for `parse`.
    """
    return parse(file.text, file.place, file.name)


def is_magick(text: str) -> bool:
    """Whether ``text`` begins as ImageMagick's kernels do: ``3x3:``, ``3x3+1+1:`` or ``5:``."""
    return bool(_KERNEL.match(text))


def parse(text: str, place: str, name: str) -> Kernel:
    """``WIDTHxHEIGHT+X+Y: numbers``; several kernels, separated by ``;``, are a bank.

    Cells of ``nan`` or ``-`` have weight 0. Numbers are taken in the order of ImageMagick's Correlate.

    Raises:
        KernelError: another count of numbers than the size says, or flags that ask for rotated kernels.
    """
    parts = [part for part in text.strip().split(";") if part.strip()]
    if len(parts) > _MOST_KERNELS:
        raise KernelError(f"{place}: {len(parts)} kernels; allowed: up to {_MOST_KERNELS}")
    kernels = [_one(part, place, name) for part in parts]
    return kernels[0] if len(kernels) == 1 else bank(kernels, name, None)


def _one(text: str, place: str, name: str) -> Kernel:
    match = _KERNEL.match(text)
    if match is None:
        raise KernelError(f"{place}: {quoted(text)} has no size; allowed: 3x3: and then 9 numbers")
    width, height = int(match[1]), int(match[2] or match[1])
    if match[5]:
        raise KernelError(
            f"{place}: {quoted(match[5])} after the size asks for rotated kernels; use NAME@45 instead"
        )
    if not 1 <= width * height <= LARGEST_TABLE:
        raise KernelError(f"{place}: {width}x{height} is not a kernel size")
    cells = re.findall(r"[^\s,]+", match[6])
    if len(cells) != width * height:
        raise KernelError(f"{place}: {width}x{height} takes {width * height} numbers, got {len(cells)}")
    numbers = [
        Fraction(0) if cell.casefold() in _HOLES else parse_cell(cell, f"{place}: cell {index}")
        for index, cell in enumerate(cells, 1)
    ]
    kernel = Kernel(np.array(numbers, object).reshape(height, width), name=name)
    try:
        return anchored(kernel, (int(match[4]), int(match[3]))) if match[3] else kernel
    except KernelError as error:
        raise KernelError(f"{place}: {error}") from error
