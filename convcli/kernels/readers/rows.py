"""Rows of numbers as text: CSV and its relatives, and kernels typed on the command line."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any, Final

import numpy as np

from convcli.core.cells import Text, row_length
from convcli.core.errors import KernelError, cut, quoted
from convcli.core.patterns import pattern
from convcli.core.rational import parse_number
from convcli.kernels.kernel import TYPED, Kernel

LARGEST_TABLE: Final = 2**18  # weights of a text
_LONGEST_HINT: Final = 60  # characters of a suggested text
_NUMERIC: Final = pattern(r"[+−-]?(\d|\.\d)[\d.eE+−/-]*|[+-]?(nan|inf(inity)?)", re.IGNORECASE)
_SIZE: Final = pattern(r"\d+(\s*[x×,]\s*\d+)*", re.IGNORECASE)
_BRACKETS: Final = pattern(r"\[\s*(\[[^\[\]]*\]\s*[,;]?\s*)+\]|\[[^\[\]]*\]")
_QUOTES: Final = pattern(r"[\"'“”„‟‘’‚‛«»`]")


def parse_text(text: str) -> Kernel:
    """The kernel typed on the command line: ``1 0 -1; 2 0 -2; 1 0 -1`` or ``[[1, 0, -1], [2, 0, -2]]``.

    Raises:
        KernelError: brackets that do not match, or as for `parse_table`.
    """
    place = f"kernel {quoted(text)}"
    rows = text
    if text.lstrip().startswith("["):
        if not _BRACKETS.fullmatch(text.strip()):
            raise KernelError(f"{place}: brackets must contain rows of numbers, such as [[1, 2], [3, 4]]")
        rows = re.sub(r"\]\s*[,;]?\s*\[", "\n", text.strip()).strip("[] \t\n")
    return Kernel(parse_table(rows.replace(";", "\n"), place, "row "), name=TYPED)


def is_table(text: str) -> bool:
    """Whether ``text`` is meant as numbers: in brackets, several words, or one word that is not a size."""
    stripped = text.strip()
    if stripped.startswith("["):
        return True
    first = re.split(r"[\s,;]+", stripped)[0]
    if not _NUMERIC.fullmatch(first):
        return False
    several = re.search(r"[\s;]", re.sub(r"\s*([,/])\s*", r"\1", stripped))
    return bool(several) or (stripped == first and not is_size(text))


def size_hint(text: str) -> str:
    """What to write instead of a size, or of numbers separated by commas alone; empty for other texts."""
    typed = cut(text.strip(), _LONGEST_HINT)
    if is_size(text):
        sides = re.findall(r"\d+", typed)
        return f" is a size; for a mean, use box:{'x'.join(sides)}; for weights, write [{', '.join(sides)}]"
    cells = text.strip().split(",")
    are_numbers = len(cells) > 1 and all(map(_NUMERIC.fullmatch, map(str.strip, cells)))
    return f": weights need a space, a semicolon or brackets: [{typed}]" if are_numbers else ""


def is_size(text: str) -> bool:
    """Whether ``text`` is a size: ``3``, ``3x3`` or ``3,3``."""
    return bool(_SIZE.fullmatch(text.strip()))


def parse_table(text: str, place: str, line_word: str = "") -> np.ndarray[Any, Any]:
    """Rows of numbers separated by commas, semicolons, tabs or spaces; ``#`` starts a comment.

    A first line ``sep=;`` names the separator; cells may be quoted. Empty columns at the right and empty rows
    at the end, as spreadsheets write them, are left out.

    Args:
        place: of the text, for messages.
        line_word: what messages write before a line's number, instead of a colon.

    Returns:
        Fractions of shape (rows, columns).

    Raises:
        KernelError: with the place of the first cell that is not a number, or row of another length.
    """

    def where(number: int) -> str:
        return f"{place}: {line_word}{number}" if line_word else f"{place}:{number}"

    values = []
    rows = Text(text, place, where, KernelError, LARGEST_TABLE, "weights").rows()
    for row in rows:
        values.append([parse_cell(cell, f"{row.where}: column {i}") for i, cell in enumerate(row.cells, 1)])
        if len(row.cells) != len(rows[0].cells):
            raise KernelError(f"{row.where}: {row_length(len(row.cells), len(rows[0].cells))}")
    return np.array(values, object)


def parse_cell(text: str, where: str) -> Fraction:
    """One number.

    Raises:
        KernelError: not a number; the message begins with ``where``.
    """
    try:
        return parse_number(text)
    except ValueError as error:
        advice = _advice(text)
        raise KernelError(f"{where}: {f'{quoted(text)}: {advice}' if advice else error}") from error


def _advice(text: str) -> str:
    """What to do about common mistakes in a cell."""
    if text.startswith("/") or text.endswith("/"):
        return (
            "a fraction between spaces has no spaces inside, as in 1/9; to divide all weights, "
            "use --scale 1/9"
        )
    if re.search(r"\d\s+[\d.+−-]", text):
        return "spaces and another separator are mixed; use one separator, and decimal points"
    if re.search(r"\d", text) and _QUOTES.search(text):
        return 'quotes are part of this cell; write the number without quotes, or in one pair of "'
    return ""
