"""The matrix of libvips: a line of width, height, scale and offset, then the rows."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

import numpy as np

from convcli.core.errors import KernelError, quoted
from convcli.core.numerals import counted
from convcli.kernels.kernel import Kernel
from convcli.kernels.readers.base import KernelFile
from convcli.kernels.readers.rows import LARGEST_TABLE, parse_cell

_HEADER: Final = "the first line is WIDTH HEIGHT [SCALE [OFFSET]], such as 3 3 9 0"
_Line = tuple[str, list[str]]
"""The place of a line, and its words."""


def read(file: KernelFile, member: str | None) -> Kernel:
    """The matrix as a kernel: weights / scale, with the offset as bias.

    Raises:
        KernelError: a MATLAB file, a first line that is not a header, or rows of another count or length.
    """
    if file.data.startswith(b"MATLAB"):
        raise KernelError(f"{file.place}: a MATLAB file, not a libvips matrix; save the kernel as CSV")
    lines = _lines(file.text, file.place)
    if not lines:
        raise KernelError(f"{file.place}: contains no numbers")
    (where, header), *rows = lines
    width, height, scale, offset = _header(header, where)
    for where, cells in rows:
        if len(cells) != width:
            raise KernelError(
                f"{where}: row has {counted(len(cells), 'number')}, expected {width}; {_HEADER}"
            )
    if len(rows) != height:
        raise KernelError(
            f"{file.place}: {len(rows)} rows of numbers, but the first line says {height}; {_HEADER}"
        )
    values = [
        [parse_cell(cell, f"{where}: column {column}") for column, cell in enumerate(cells, 1)]
        for where, cells in rows
    ]
    return Kernel(np.array(values, object), scale=1 / scale, bias=offset, name=file.name)


def _lines(text: str, place: str) -> list[_Line]:
    """The lines that are neither blank nor comments."""
    return [
        (f"{place}:{number}", re.findall(r"[^\s,;]+", line))
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]


def _header(words: list[str], where: str) -> tuple[int, int, Fraction, Fraction]:
    """Width, height, scale and offset."""
    size = [int(word) for word in words[:2] if re.fullmatch(r"\d{1,6}", word)]
    if not 2 <= len(words) <= 4 or len(size) != 2 or not 1 <= size[0] * size[1] <= LARGEST_TABLE:
        raise KernelError(f"{where}: {quoted(' '.join(words))} is not a size; {_HEADER}")
    numbers = [parse_cell(word, f"{where}: column {column}") for column, word in enumerate(words[2:], 3)]
    scale, offset = (*numbers, *(Fraction(1), Fraction(0))[len(numbers) :])
    if scale == 0:
        raise KernelError(f"{where}: the scale is zero")
    return size[0], size[1], scale, offset
