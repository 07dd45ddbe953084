"""Kernels as rows of numbers: CSV and its kin, and text typed on the command line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final

import numpy as np

from convcli.core.errors import KernelError, cut, quoted
from convcli.core.frozen import frozen
from convcli.core.rational import parse_number
from convcli.kernels.kernel import TYPED, Kernel

LARGEST_TABLE: Final = 2**18  # weights of a text
_LONGEST_HINT: Final = 60  # characters of a suggested text
_COMMENT: Final = re.compile(r"#.*")
_NUMERIC: Final = re.compile(r"[+−-]?(\d|\.\d)[\d.eE+−/-]*|[+-]?(nan|inf(inity)?)", re.IGNORECASE)
_SIZE: Final = re.compile(r"\d+(\s*[x×,]\s*\d+)*", re.IGNORECASE)
_CELL: Final = re.compile(r"[^\s,;]+(?:\s*/\s*[^\s,;]+)?")
_BRACKETS: Final = re.compile(r"\[\s*(\[[^\[\]]*\]\s*[,;]?\s*)+\]|\[[^\[\]]*\]")
_DECIMAL_COMMA: Final = re.compile(r"[+−-]?\d*,\d+([eE][+−-]?\d+)?")
_GROUPED: Final = re.compile(r"[+−-]?[1-9]\d{0,2}(,\d{3})+")
_POINTED: Final = re.compile(r"[+−-]?\d*\.\d+([eE][+−-]?\d+)?")
_ALLOWED: Final = "write numbers as 1000 and 0.5"


def parse_text(text: str) -> Kernel:
    """A kernel typed on the command line: ``1 0 -1; 2 0 -2; 1 0 -1`` or ``[[1, 0, -1], [2, 0, -2]]``."""
    place = f"kernel {quoted(text)}"
    rows = text
    if text.lstrip().startswith("["):
        if not _BRACKETS.fullmatch(text.strip()):
            raise KernelError(f"{place}: brackets hold rows of numbers, such as [[1, 2], [3, 4]]")
        rows = re.sub(r"\]\s*[,;]?\s*\[", "\n", text.strip()).strip("[] \t\n")
    return Kernel(parse_table(rows.replace(";", "\n"), place, "row "), name=TYPED)


def is_table(text: str) -> bool:
    """Whether ``text`` is meant as numbers: in brackets, several words, or one that is no size."""
    stripped = text.strip()
    if stripped.startswith("["):
        return True
    first = re.split(r"[\s,;]+", stripped)[0]
    apart = re.search(r"[\s;]", re.sub(r"\s*([,/])\s*", r"\1", stripped))
    return bool(_NUMERIC.fullmatch(first)) and (bool(apart) or (stripped == first and not is_size(text)))


def size_hint(text: str) -> str:
    """What to write instead of a size, or of numbers split by commas alone, where a kernel is due."""
    word = cut(text.strip(), _LONGEST_HINT)
    if is_size(text):
        sides = "x".join(re.findall(r"\d+", word))
        return (
            f" is a size; weights need a space, a semicolon or brackets ([{word}]), box:{sides} is an average"
        )
    words = text.strip().split(",")
    numbers = len(words) > 1 and all(map(_NUMERIC.fullmatch, map(str.strip, words)))
    return f"; weights need a space, a semicolon or brackets: [{word}]" if numbers else ""


def is_size(text: str) -> bool:
    """Whether ``text`` is a size: ``3``, ``3x3`` or ``3,3``."""
    return bool(_SIZE.fullmatch(text.strip()))


def parse_table(text: str, place: str, line_word: str = "") -> np.ndarray[Any, Any]:
    """Rows of numbers, split by commas, semicolons, tabs or spaces; ``#`` starts a comment.

    A first line ``sep=;`` names what splits the cells, which may be quoted. ``place`` and the line's number,
    behind ``line_word``, stand before what is wrong.

    Returns:
        Fractions of shape (rows, columns).
    """
    rows = _even(
        [
            _Row(f"{place}: {line_word}{number}" if line_word else f"{place}:{number}", cells)
            for number, cells in _split(text, place)
        ]
    )
    if not rows:
        raise KernelError(f"{place}: holds no numbers")
    commas = _decimal_commas(rows)
    values = []
    for row in rows:
        cells = [cell.replace(",", ".") for cell in row.cells] if commas else row.cells
        values.append([parse_cell(cell, f"{row.where}: column {i}") for i, cell in enumerate(cells, 1)])
        if len(cells) != len(rows[0].cells):
            raise KernelError(f"{row.where}: {row_length(len(cells), len(rows[0].cells))}")
    return np.array(values, object)


@frozen
class _Row:
    """The cells of a line, behind its place."""

    where: str
    cells: list[str]


def _split(text: str, place: str) -> Iterator[tuple[int, list[str]]]:
    """The cells of each line that has some, with its number."""
    lines = [(number, _COMMENT.sub("", line).strip()) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, line) for number, line in lines if line]
    named = re.fullmatch(r"sep=(.)", lines[0][1], re.IGNORECASE) if lines else None
    separator = named[1] if named else _separator([line for _, line in lines], place)
    count = 0
    for number, line in lines[1:] if named else lines:
        cells = _cells(line, separator)
        count += len(cells)
        if count > LARGEST_TABLE:
            raise KernelError(f"{place}:{number}: more than {LARGEST_TABLE} weights, which no text may hold")
        yield number, cells


def _separator(lines: list[str], place: str) -> str:
    """What splits the cells of all lines: the first of ``;``, tab and comma that stands outside quotes."""
    bare = [re.sub(r'"[^"]*"', "", line) for line in lines]
    for separator in (";", "\t", ","):
        if any(separator in line for line in bare):
            if separator == ";" and len(lines) == 1 and _may_be_rows(bare[0]):
                raise KernelError(
                    f"{place}: commas and semicolons in one line: is the comma a decimal comma? "
                    "Write decimal points, or a row on each line"
                )
            return separator
    return ""


def _may_be_rows(line: str) -> bool:
    """Whether a line split by ``;`` may as well be rows of cells split by commas."""
    counts = {part.count(",") for part in line.split(";")}
    return len(counts) == 1 and counts != {0}


def _cells(line: str, separator: str) -> list[str]:
    """The cells of a row without their quotes; an empty one between two separators stays, to be refused."""
    spaced = not separator or separator not in line
    if '"' not in line and spaced:
        joined = _CELL.findall(line)
        apart = any(map(re.compile(r"\s").search, joined)) and not all("/" in cell for cell in joined)
        return re.findall(r"[^\s,;]+", line) if apart else joined  # "1 1 1 / 9" may mean all of them
    if '"' not in line:
        return [cell.strip() for cell in line.split(separator)]
    import csv  # only quotes need it

    try:
        found = next(csv.reader([line], delimiter=" " if spaced else separator, skipinitialspace=True))
    except csv.Error:  # a cell too long to be a number
        found = [line]
    return [cell.strip() for cell in found if cell or not spaced] or [""]


def _even(rows: list[_Row]) -> list[_Row]:
    """Rows without the empty cells that all of them end in, as spreadsheets write them."""
    while rows and all(len(row.cells) > 1 and not row.cells[-1] for row in rows):
        rows = [_Row(row.where, row.cells[:-1]) for row in rows]
    return rows


def _decimal_commas(rows: list[_Row]) -> bool:
    """Whether commas inside cells are decimal commas.

    Raises:
        KernelError: a comma in a number that may as well group its digits, or beside decimal points.
    """
    cells = [(f"{row.where}: column {i}", cell) for row in rows for i, cell in enumerate(row.cells, 1)]
    commas = [(where, cell) for where, cell in cells if "," in cell]
    if not commas:
        return False
    for where, cell in commas:
        if not _DECIMAL_COMMA.fullmatch(cell):
            raise KernelError(f"{where}: {quoted(cell)}: commas group or end digits; {_ALLOWED}")
    where, cell = commas[0]
    if any(_POINTED.fullmatch(other) for _, other in cells):
        raise KernelError(f"{where}: {quoted(cell)} has a decimal comma, other cells a point; {_ALLOWED}")
    if all(_GROUPED.fullmatch(cell) for _, cell in commas):
        raise KernelError(f"{where}: {quoted(cell)} may be a thousand or have a decimal comma; {_ALLOWED}")
    return True


def row_length(got: int, due: int) -> str:
    """What is wrong with a row of ``got`` numbers below one of ``due``."""
    return (
        f"row has {got} of {due} numbers" if got < due else f"row has {got} numbers, the first row has {due}"
    )


def parse_cell(text: str, where: str) -> Fraction:
    """One number; ``where`` stands before what is wrong with it."""
    try:
        return parse_number(text)
    except ValueError as error:
        if text.startswith("/") or text.endswith("/"):
            raise KernelError(
                f"{where}: {quoted(text)}: a fraction between spaces has none inside, as 1/9; "
                "for all weights, --scale 1/9"
            ) from error
        if re.search(r"\d\s+[\d.+−-]", text):
            raise KernelError(
                f"{where}: {quoted(text)}: commas and spaces both split here; {_ALLOWED}"
            ) from error
        raise KernelError(f"{where}: {quoted(text)}: {error}") from error
