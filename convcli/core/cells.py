"""Rows of cells as text: CSV and its relatives, with the separators and commas that spreadsheets write.

Every reader of numbers as text splits lines here, so that a file means the same as a kernel and as an image.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from convcli.core.errors import ConvcliError, quoted
from convcli.core.frozen import frozen
from convcli.core.numerals import counted
from convcli.core.patterns import pattern

_COMMENT: Final = pattern(r"#.*")
_CELL: Final = pattern(r"[^\s,;]+(?:\s*/\s*[^\s,;]+)?")
_DECIMAL_COMMA: Final = pattern(r"[+−-]?\d*,\d+([eE][+−-]?\d+)?")
_THOUSANDS: Final = pattern(r"[+−-]?[1-9]\d{0,2}(,\d{3})+")
_DECIMAL_POINT: Final = pattern(r"[+−-]?\d*\.\d+([eE][+−-]?\d+)?")
_FRACTIONAL_DIGITS: Final = pattern(r"0\d+")
_ALLOWED: Final = "write numbers as 1000 and 0.5"


@frozen
class Row:
    """The cells of a line, with decimal points, and its place for messages."""

    where: str
    cells: list[str]


@frozen(eq=False)
class Text:
    """A text of rows, and what its reader calls its places.

    Attributes:
        place: of the whole text.
        where: the place of a line, by its number from 1.
        error: the class of what is raised.
        most: the largest number of cells.
        noun: what cells are called if there are more.
    """

    content: str
    place: str
    where: Callable[[int], str]
    error: type[ConvcliError]
    most: int
    noun: str = "numbers"

    def rows(self) -> list[Row]:
        """Rows of cells separated by commas, semicolons, tabs or spaces; ``#`` starts a comment.

        A first line ``sep=;`` names the separator; cells may be quoted. Empty columns at the right and empty
        rows at the end, as spreadsheets write them, are left out. Rows may have different lengths.

        Raises:
            ConvcliError: of the class ``error``: no cells, too many, or commas with more than one meaning.
        """
        rows = _trimmed([Row(self.where(number), cells) for number, cells in self._split()])
        if not rows:
            raise self.error(f"{self.place}: contains no numbers" if self.place else "contains no numbers")
        if not self._has_decimal_commas(rows):
            return rows
        return [Row(row.where, [cell.replace(",", ".") for cell in row.cells]) for row in rows]

    def _split(self) -> Iterator[tuple[int, list[str]]]:
        """The number and the cells of each line that is not empty."""
        numbered = enumerate(self.content.splitlines(), 1)
        lines = [(number, _COMMENT.sub("", line).strip()) for number, line in numbered]
        lines = [(number, line) for number, line in lines if line]
        named = re.fullmatch(r"sep=(.)", lines[0][1], re.IGNORECASE) if lines else None
        separator = named[1] if named else self._separator([line for _, line in lines])
        count = 0
        for number, line in lines[1:] if named else lines:
            cells = _cells(line, separator)
            if separator == "," and not named and len(cells) == 2 and _FRACTIONAL_DIGITS.fullmatch(cells[1]):
                raise self.error(
                    f"{self.where(number)}: {quoted(line)}: is the comma a decimal comma? "
                    "Write decimal points"
                )
            count += len(cells)
            if count > self.most:
                raise self.error(
                    f"{self.where(number)}: more than {self.most} {self.noun}, the limit for text files"
                )
            yield number, cells

    def _separator(self, lines: list[str]) -> str:
        """What separates the cells of all lines: the first of ``;``, tab and comma found outside quotes."""
        unquoted = [re.sub(r'"[^"]*"', "", line) for line in lines]
        for separator in (";", "\t", ","):
            if any(separator in line for line in unquoted):
                if separator == ";" and len(lines) == 1 and _may_be_rows(unquoted[0]):
                    raise self.error(
                        f"{self.place or self.where(1)}: commas and semicolons in one line: is the comma a "
                        "decimal comma? Write decimal points, or a row on each line"
                    )
                return separator
        return ""

    def _has_decimal_commas(self, rows: list[Row]) -> bool:
        """Whether commas inside cells are decimal commas.

        Raises:
            ConvcliError: commas that may as well group digits, or that are mixed with decimal points.
        """
        cells = [(f"{row.where}: column {i}", cell) for row in rows for i, cell in _with_commas(row)]
        if not cells:
            return False
        for where, cell in cells:
            if not _DECIMAL_COMMA.fullmatch(cell):
                raise self.error(f"{where}: {quoted(cell)}: commas group or end digits; {_ALLOWED}")
        where, cell = cells[0]
        if any(_DECIMAL_POINT.fullmatch(text) for row in rows for text in row.cells):
            raise self.error(f"{where}: {quoted(cell)} has a decimal comma, other cells a point; {_ALLOWED}")
        if all(_THOUSANDS.fullmatch(text) for _, text in cells):
            raise self.error(f"{where}: {quoted(cell)} may be thousands or have a decimal comma; {_ALLOWED}")
        return True


def row_length(count: int, expected: int) -> str:
    """What is wrong with a row of ``count`` numbers if the first row has ``expected``."""
    if count < expected:
        return f"row has {counted(count, 'number')}, expected {expected}"
    return f"row has {count} numbers, but the first row has {expected}"


def _with_commas(row: Row) -> list[tuple[int, str]]:
    """The column, from 1, and the text of each cell with a comma."""
    return [(column, cell) for column, cell in enumerate(row.cells, 1) if "," in cell]


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


def _trimmed(rows: list[Row]) -> list[Row]:
    """Rows without empty rows at the end, and without the empty cells that all rows end in."""
    while rows and len(rows[-1].cells) > 1 and not any(rows[-1].cells):
        rows = rows[:-1]
    while rows and all(len(row.cells) > 1 and not row.cells[-1] for row in rows):
        rows = [Row(row.where, row.cells[:-1]) for row in rows]
    return rows
