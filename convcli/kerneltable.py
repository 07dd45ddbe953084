"""Kernels as rows of numbers: CSV and its kin, and text typed on the command line."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any, Final

import numpy as np

from convcli.errors import KernelError, shown
from convcli.kernel import LARGEST_KERNEL, TYPED, Kernel
from convcli.rational import parse_number

_COMMENT: Final = re.compile(r"#.*")
_NUMERIC: Final = re.compile(r"[+−-]?(\d|\.\d)[\d.eE+−/-]*|[+-]?(nan|inf(inity)?)", re.IGNORECASE)
_CELL: Final = re.compile(r"[^\s,;]+(?:\s*/\s*[^\s,;]+)?")


def parse_text(text: str) -> Kernel:
    """A kernel typed on the command line: ``1 0 -1; 2 0 -2; 1 0 -1``."""
    return Kernel(parse_table(text.replace(";", "\n"), f"kernel {shown(text)}", "row "), name=TYPED)


def is_table(text: str) -> bool:
    """Whether ``text`` is meant as numbers: one number, or several words of which the first is one."""
    words = re.split(r"[\s,;]+", text.strip())
    return bool(_NUMERIC.fullmatch(words[0])) and (len(words) > 1 or text.strip() == words[0])


def parse_table(text: str, place: str, line_word: str = "") -> np.ndarray[Any, Any]:
    """Rows of numbers, split by commas, semicolons, tabs or spaces; ``#`` starts a comment.

    ``place`` and the line's number, behind ``line_word``, stand before what is wrong.

    Returns:
        Fractions of shape (rows, columns).
    """
    rows: list[list[Fraction]] = []
    for number, line in enumerate(text.splitlines(), 1):
        content = _COMMENT.sub("", line).strip()
        if not content:
            continue
        where = f"{place}: {line_word}{number}" if line_word else f"{place}:{number}"
        row = [parse_cell(cell, f"{where}: column {i}") for i, cell in enumerate(_cells(content), 1)]
        if rows and len(row) != len(rows[0]):
            raise KernelError(f"{where}: {row_length(len(row), len(rows[0]))}")
        rows.append(row)
        if len(rows) * len(row) > LARGEST_KERNEL:
            raise KernelError(f"{where}: more than {LARGEST_KERNEL} weights")
    if not rows:
        raise KernelError(f"{place}: holds no numbers")
    return np.array(rows, object)


def row_length(got: int, due: int) -> str:
    """What is wrong with a row of ``got`` numbers below one of ``due``."""
    return (
        f"row has {got} of {due} numbers" if got < due else f"row has {got} numbers, the first row has {due}"
    )


def _cells(line: str) -> list[str]:
    """The cells of a row; an empty one between two separators stays, to be refused."""
    for separator in (",", ";", "\t"):
        if separator in line:
            cells = [cell.strip().strip('"') for cell in line.split(separator)]
            return cells[:-1] if len(cells) > 1 and not cells[-1] else cells
    return _CELL.findall(line)


def parse_cell(text: str, where: str) -> Fraction:
    """One number; ``where`` stands before what is wrong with it."""
    try:
        return parse_number(text)
    except ValueError as error:
        raise KernelError(f"{where}: {shown(text)}: {error}") from error
