"""Kernels as other programs write them: ImageMagick's ``3x3+1+1: 1,2,3 …`` and libvips' matrices."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any, Final

import numpy as np

from convcli.core.errors import KernelError, quoted
from convcli.core.numerals import float_text, number_text
from convcli.core.rational import SMALLEST, FloatArray, Number, Rational, exact_number
from convcli.kernels.bank import anchored, bank, planes
from convcli.kernels.kernel import Kernel
from convcli.kernels.readers.rows import LARGEST_TABLE, parse_cell

_IMAGEMAGICK: Final = re.compile(
    r"\s*(\d{1,6})(?:x(\d{1,6}))?(?:([+-]\d{1,6})([+-]\d{1,6}))?([@<>^]*)\s*:(.*)", re.DOTALL
)
MOST_PARTS: Final = 1024
_LEFT_OUT: Final = ("-", "nan")
_HEADER: Final = "the first line is WIDTH HEIGHT [SCALE [OFFSET]], such as 3 3 9 0"


def is_imagemagick(text: str) -> bool:
    """Whether ``text`` begins as ImageMagick's kernels do: ``3x3:``, ``3x3+1+1:`` or ``5:``."""
    return bool(_IMAGEMAGICK.match(text))


def parse_imagemagick(text: str, place: str, name: str) -> Kernel:
    """``WIDTHxHEIGHT+X+Y: numbers``; several, split by ``;``, are a bank.

    Cells of ``nan`` or ``-`` are no part of the kernel, and weigh nothing. The numbers are taken in the order
    in which they stand, as ImageMagick's Correlate does.

    Raises:
        KernelError: another count of numbers than the size says, or flags of turned sets.
    """
    parts = [part for part in text.strip().split(";") if part.strip()]
    if len(parts) > MOST_PARTS:
        raise KernelError(f"{place}: {len(parts)} kernels; allowed: up to {MOST_PARTS}")
    kernels = [_one(part, place, name) for part in parts]
    return kernels[0] if len(kernels) == 1 else bank(kernels, name, None)


def _one(text: str, place: str, name: str) -> Kernel:
    match = _IMAGEMAGICK.match(text)
    if match is None:
        raise KernelError(f"{place}: {quoted(text)} has no size; allowed: 3x3: and then 9 numbers")
    width, height = int(match[1]), int(match[2] or match[1])
    if match[5]:
        raise KernelError(
            f"{place}: {quoted(match[5])} behind the size asks for a set of turned kernels; use NAME@45"
        )
    if not 1 <= width * height <= LARGEST_TABLE:
        raise KernelError(f"{place}: {width}x{height} is no size of a kernel")
    cells = re.findall(r"[^\s,]+", match[6])
    if len(cells) != width * height:
        raise KernelError(f"{place}: {width}x{height} takes {width * height} numbers, got {len(cells)}")
    numbers = [
        Fraction(0) if cell.casefold() in _LEFT_OUT else parse_cell(cell, f"{place}: cell {index}")
        for index, cell in enumerate(cells, 1)
    ]
    kernel = Kernel(np.array(numbers, object).reshape(height, width), name=name)
    try:
        return anchored(kernel, (int(match[4]), int(match[3]))) if match[3] else kernel
    except KernelError as error:
        raise KernelError(f"{place}: {error}") from error


def parse_vips(text: str, place: str, name: str) -> Kernel:
    """The matrix of libvips: a line of width, height, scale and offset, then the rows; sum / scale + offset.

    Raises:
        KernelError: no such first line, or other rows than it says.
    """
    lines = [
        (number, re.findall(r"[^\s,;]+", line))
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not lines:
        raise KernelError(f"{place}: holds no numbers")
    (number, head), *rows = lines
    width, height, scale, offset = _header(head, f"{place}:{number}")
    for number, cells in rows:
        if len(cells) != width:
            raise KernelError(f"{place}:{number}: row has {len(cells)} of {width} numbers; {_HEADER}")
    if len(rows) != height:
        raise KernelError(f"{place}: {len(rows)} rows of numbers, the first line says {height}; {_HEADER}")
    values = [
        [parse_cell(cell, f"{place}:{number}: column {column}") for column, cell in enumerate(cells, 1)]
        for number, cells in rows
    ]
    return Kernel(np.array(values, object), scale=1 / scale, bias=offset, name=name)


def _header(head: list[str], where: str) -> tuple[int, int, Fraction, Fraction]:
    whole = [int(cell) for cell in head[:2] if re.fullmatch(r"\d{1,6}", cell)]
    if not 2 <= len(head) <= 4 or len(whole) != 2 or not 1 <= whole[0] * whole[1] <= LARGEST_TABLE:
        raise KernelError(f"{where}: {quoted(' '.join(head))} is no size; {_HEADER}")
    numbers = [parse_cell(cell, f"{where}: column {column}") for column, cell in enumerate(head[2:], 3)]
    scale, offset = (*numbers, *(Fraction(1), Fraction(0))[len(numbers) :])
    if scale == 0:
        raise KernelError(f"{where}: the scale is zero")
    return whole[0], whole[1], scale, offset


def to_imagemagick(kernel: Kernel) -> str:
    """ImageMagick's text; fractions such as 1/9 to 17 digits, as it knows decimals alone.

    The origin of odd sizes is stated. Even sizes state none: both programs then take the upper left of the
    middle, and a stated one would be an anchor, which turns with the kernel.
    """
    if kernel.weights.ndim != 2:
        return "; ".join(map(to_imagemagick, planes(kernel))).replace("\n;", ";")
    rows, columns = kernel.size
    texts = (
        [map(decimal, row) for row in fractions_of(kernel.exact)]
        if kernel.exact
        else texts_of(kernel.weights)
    )
    lines = [",".join(row) for row in texts]
    origin = f"+{columns // 2}+{rows // 2}" if rows % 2 and columns % 2 else ""
    return f"{columns}x{rows}{origin}: {' '.join(lines)}\n"


def to_vips(kernel: Kernel) -> str:
    """The matrix of libvips: whole numbers and their divisor where the weights are fractions."""
    rows, columns = kernel.size
    divisor = kernel.exact.denominator if kernel.exact else 1
    values = kernel.exact.numerators.tolist() if kernel.exact else texts_of(kernel.weights)
    lines = [" ".join(map(str, row)) for row in values]
    return "\n".join([f"{columns} {rows} {divisor} {decimal(kernel.biases[0])}", *lines]) + "\n"


def fractions_of(exact: Rational) -> list[list[Fraction]]:
    """Rows of exact weights."""
    share = Fraction(1, exact.denominator)
    return [[int(value) * share for value in row] for row in exact.numerators]


def texts_of(weights: FloatArray) -> Any:
    """Weights that are floats as nested texts, which read back as floats.

    One that is no short fraction keeps all from being read as fractions; there is one, or they were exact.
    What is too small to be read is 0.
    """
    texts = [_text(value) for value in weights.ravel().tolist()]
    return np.array(texts, object).reshape(weights.shape).tolist()


def _text(value: float) -> str:
    if isinstance(exact_number(value), Fraction):
        return repr(value)
    return float_text(value) if abs(value) >= SMALLEST else "0.0"


def decimal(value: Number) -> str:
    """A number without a fraction bar: whole where it is, else as floats are written."""
    if isinstance(value, float):
        return float_text(value)
    return number_text(value) if value.denominator == 1 else repr(float(value))
