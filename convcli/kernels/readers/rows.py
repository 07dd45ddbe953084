"""Rows of numbers as text: CSV and its relatives, and kernels typed on the command line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final

import numpy as np

from convcli.core.errors import KernelError, cut, quoted
from convcli.core.frozen import frozen
from convcli.core.numerals import counted
from convcli.core.patterns import pattern
from convcli.core.rational import parse_number
from convcli.kernels.kernel import TYPED, Kernel

LARGEST_TABLE: Final = 2**18  # weights of a text
_LONGEST_HINT: Final = 60  # characters of a suggested text
_COMMENT: Final = pattern(r"#.*")
_NUMERIC: Final = pattern(r"[+−-]?(\d|\.\d)[\d.eE+−/-]*|[+-]?(nan|inf(inity)?)", re.IGNORECASE)
_SIZE: Final = pattern(r"\d+(\s*[x×,]\s*\d+)*", re.IGNORECASE)
_CELL: Final = pattern(r"[^\s,;]+(?:\s*/\s*[^\s,;]+)?")
_BRACKETS: Final = pattern(r"\[\s*(\[[^\[\]]*\]\s*[,;]?\s*)+\]|\[[^\[\]]*\]")
_DECIMAL_COMMA: Final = pattern(r"[+−-]?\d*,\d+([eE][+−-]?\d+)?")
_THOUSANDS: Final = pattern(r"[+−-]?[1-9]\d{0,2}(,\d{3})+")
_DECIMAL_POINT: Final = pattern(r"[+−-]?\d*\.\d+([eE][+−-]?\d+)?")
_FRACTIONAL_DIGITS: Final = pattern(r"0\d+")
_QUOTES: Final = pattern(r"[\"'“”„‟‘’‚‛«»`]")
_ALLOWED: Final = "write numbers as 1000 and 0.5"


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
    rows = _trimmed(
        [
            _Row(f"{place}: {line_word}{number}" if line_word else f"{place}:{number}", cells)
            for number, cells in _split(text, place)
        ]
    )
    if not rows:
        raise KernelError(f"{place}: contains no numbers")
    decimal_commas = _has_decimal_commas(rows)
    values = []
    for row in rows:
        cells = [cell.replace(",", ".") for cell in row.cells] if decimal_commas else row.cells
        values.append([parse_cell(cell, f"{row.where}: column {i}") for i, cell in enumerate(cells, 1)])
        if len(cells) != len(rows[0].cells):
            raise KernelError(f"{row.where}: {row_length(len(cells), len(rows[0].cells))}")
    return np.array(values, object)


@frozen
class _Row:
    """The cells of a line, and its place."""

    where: str
    cells: list[str]


def _split(text: str, place: str) -> Iterator[tuple[int, list[str]]]:
    """The number and the cells of each line that is not empty."""
    lines = [(number, _COMMENT.sub("", line).strip()) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, line) for number, line in lines if line]
    named = re.fullmatch(r"sep=(.)", lines[0][1], re.IGNORECASE) if lines else None
    separator = named[1] if named else _separator([line for _, line in lines], place)
    count = 0
    for number, line in lines[1:] if named else lines:
        cells = _cells(line, separator)
        if separator == "," and not named and len(cells) == 2 and _FRACTIONAL_DIGITS.fullmatch(cells[1]):
            raise KernelError(
                f"{place}:{number}: {quoted(line)}: is the comma a decimal comma? Write decimal points"
            )
        count += len(cells)
        if count > LARGEST_TABLE:
            raise KernelError(
                f"{place}:{number}: more than {LARGEST_TABLE} weights, the limit for text files"
            )
        yield number, cells


def _separator(lines: list[str], place: str) -> str:
    """What separates the cells of all lines: the first of ``;``, tab and comma found outside quotes."""
    unquoted = [re.sub(r'"[^"]*"', "", line) for line in lines]
    for separator in (";", "\t", ","):
        if any(separator in line for line in unquoted):
            if separator == ";" and len(lines) == 1 and _may_be_rows(unquoted[0]):
                raise KernelError(
                    f"{place}: commas and semicolons in one line: is the comma a decimal comma? "
                    "Write decimal points, or a row on each line"
                )
            return separator
    return ""


def _may_be_rows(line: str) -> bool:
    """Whether a line separated by ``;`` may as well be rows of cells separated by commas."""
    counts = {part.count(",") for part in line.split(";")}
    return len(counts) == 1 and counts != {0}


def _cells(line: str, separator: str) -> list[str]:
    """The cells of a row without their quotes; empty cells between two separators stay."""
    by_spaces = not separator or separator not in line
    if '"' not in line and by_spaces:
        joined = _CELL.findall(line)
        spaced = any(map(re.compile(r"\s").search, joined)) and not all("/" in cell for cell in joined)
        return re.findall(r"[^\s,;]+", line) if spaced else joined  # "1 1 1 / 9" may mean all of them
    if '"' not in line:
        return [cell.strip() for cell in line.split(separator)]
    import csv  # only quotes need it

    try:
        cells = next(csv.reader([line], delimiter=" " if by_spaces else separator, skipinitialspace=True))
    except csv.Error:  # a cell too long to be a number
        cells = [line]
    return [cell.strip() for cell in cells if cell or not by_spaces] or [""]


def _trimmed(rows: list[_Row]) -> list[_Row]:
    """Rows without empty rows at the end, and without the empty cells that all rows end in."""
    while rows and len(rows[-1].cells) > 1 and not any(rows[-1].cells):
        rows = rows[:-1]
    while rows and all(len(row.cells) > 1 and not row.cells[-1] for row in rows):
        rows = [_Row(row.where, row.cells[:-1]) for row in rows]
    return rows


def _has_decimal_commas(rows: list[_Row]) -> bool:
    """Whether commas inside cells are decimal commas.

    Raises:
        KernelError: commas that may as well group digits, or that are mixed with decimal points.
    """
    cells = [(f"{row.where}: column {i}", cell) for row in rows for i, cell in enumerate(row.cells, 1)]
    with_commas = [(where, cell) for where, cell in cells if "," in cell]
    if not with_commas:
        return False
    for where, cell in with_commas:
        if not _DECIMAL_COMMA.fullmatch(cell):
            raise KernelError(f"{where}: {quoted(cell)}: commas group or end digits; {_ALLOWED}")
    where, cell = with_commas[0]
    if any(_DECIMAL_POINT.fullmatch(text) for _, text in cells):
        raise KernelError(f"{where}: {quoted(cell)} has a decimal comma, other cells a point; {_ALLOWED}")
    if all(_THOUSANDS.fullmatch(text) for _, text in with_commas):
        raise KernelError(f"{where}: {quoted(cell)} may be thousands or have a decimal comma; {_ALLOWED}")
    return True


def row_length(count: int, expected: int) -> str:
    """What is wrong with a row of ``count`` numbers if the first row has ``expected``."""
    if count < expected:
        return f"row has {counted(count, 'number')}, expected {expected}"
    return f"row has {count} numbers, but the first row has {expected}"


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
