"""CSV and other text: a matrix of numbers as an image of floats, or a signal.

Numbers in a single column, one per line, or in a single row are a signal, an image of one row. Cells are
split as in kernel files (`convcli.core.cells`); numbers are read as float64 and written with the fewest
digits that read back as the same value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import inf
from typing import BinaryIO, Final

import numpy as np

from convcli.core.cells import Row, Text, row_length
from convcli.core.dtypes import Array, DType
from convcli.core.errors import ImageError, quoted
from convcli.core.frozen import frozen
from convcli.core.rational import FloatArray, parse_number
from convcli.files.input import Input
from convcli.formats.base import StreamedFormat
from convcli.formats.encoders import Encoder
from convcli.formats.header import LINES, ROW, Header, Layout, Metadata
from convcli.formats.readers import InMemoryReader, Reader

_START: Final = re.compile(
    rb"(\xef\xbb\xbf)?\s*(#|sep=|[\"']?([-+]?\.?\d|\xe2\x88\x92\.?\d|[-+]?(nan|inf)\b|"
    rb"[a-z_][\w .()\"'-]{,25}[,;\t]))",
    re.IGNORECASE,
)
"""A comment, a separator, a number, or a word and a separator, as a line of headings begins."""
_BINARY: Final = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")
_UNUSUAL: Final = re.compile(r"[\"#_/=]")
_NUMBER_FIRST: Final = re.compile(r"[\"']?[+−-]?(\.?\d|nan|inf)|sep=|[,;]", re.IGNORECASE)
_MOST_NUMBERS: Final = 2**24
_DECIMAL: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE | re.ASCII)
_NOT_FINITE: Final = re.compile(r"[+-]?(nan|inf(inity)?)", re.IGNORECASE)
_LARGEST_EXACT: Final = 2.0**53


class Csv(StreamedFormat):
    """Rows of numbers in UTF-8, written with commas."""

    suggested = False
    decoder_overhead = 80  # texts of numbers

    def sniff(self, head: bytes) -> bool:
        return _START.match(head) is not None and _BINARY.search(head) is None

    def header(self, data: bytes) -> Header:
        return self._header(*_parsed(data))

    def decode(self, data: bytes, header: Header) -> Array:
        return _parsed(data)[0]

    def open(self, source: Input) -> list[tuple[Header, Reader | None]]:
        pixels, signal = _parsed(source.read())
        return [(self._header(pixels, signal), InMemoryReader([pixels]))]

    def _header(self, pixels: Array, signal: str) -> Header:
        notes: tuple[str, ...] = ()
        if np.abs(pixels).max() >= _LARGEST_EXACT:
            notes = ("numbers from 2⁵³ on are read as the nearest floats",)
        rows, columns, channels = pixels.shape
        metadata = Metadata(signal=signal)
        return Header(self.name, rows, columns, channels, pixels.dtype, metadata=metadata, notes=notes)

    def holds(self, dtype: DType, channels: int, frames: int = 1) -> bool:
        return channels == 1 and frames == 1

    def encoder(self, layout: Layout, metadata: Metadata) -> _RowsEncoder:
        by_lines = layout.rows == 1 and metadata.signal == LINES
        return _RowsEncoder("\n" if by_lines else ",")


@frozen
class _RowsEncoder(Encoder):
    """Writes rows as text.

    Attributes:
        separator: of the numbers in a row.
    """

    separator: str

    def strip(self, first: int, pixels: Array) -> bytes:
        """The lines of the rows."""
        lines = [self.separator.join(_texts(row)) for row in pixels[:, :, 0]]
        return "".join(f"{line}\n" for line in lines).encode("ascii")

    def write(self, file: BinaryIO, pieces: Iterable[bytes]) -> None:
        """The whole file."""
        file.writelines(pieces)


def _texts(row: Array) -> list[str]:
    """Each number with the fewest digits that are read back, as float64, as the same value."""
    return [str(value).removesuffix(".0") for value in row.tolist()]


def _parsed(data: bytes) -> tuple[FloatArray, str]:
    """The numbers, (rows, columns, 1), and how a signal was written; empty for a matrix.

    Raises:
        ImageError: with the line and the column of what is wrong.
    """
    content = _text(data)
    rows = _plain_rows(content)
    if rows is None:
        _check_numbers(content)
        text = Text(content, "", lambda number: f"line {number}", ImageError, _MOST_NUMBERS)
        rows = _numbers(text.rows())
    values = np.array(rows, np.float64)
    if values.shape[1] == 1:
        return values.reshape(1, -1, 1), LINES
    return values[:, :, None], ROW if len(values) == 1 else ""


def _check_numbers(content: str) -> None:
    """Refuse text of another kind, such as Markdown with its headings, which look like comments."""
    lines = [line for line in map(str.strip, content.splitlines()) if line and line[0] != "#"]
    if lines and not any(map(_NUMBER_FIRST.match, lines[:2])):
        raise ImageError("not an image in a known format, and not rows of numbers")


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ImageError(f"line {line}: byte {data[error.start]:#04x} is not UTF-8 text") from error


def _plain_rows(content: str) -> list[list[float]] | None:
    """The numbers of a text that needs none of the rules for special cases, which take time; else None."""
    separator = next((mark for mark in (";", "\t", ",") if mark in content), None)
    if _UNUSUAL.search(content) or (separator != "," and "," in content):
        return None
    lines = [line for line in content.splitlines() if not line.isspace() and line]
    try:
        rows = [list(map(float, line.split(separator))) for line in lines]
    except ValueError:
        return None
    if any(inf in row or -inf in row for row in rows):
        return None  # it may be a number out of range
    lengths = set(map(len, rows))
    is_rectangle = len(lengths) == 1 and not (separator == "," and lengths == {2})  # may be decimal commas
    return rows if is_rectangle and len(rows) * len(rows[0]) <= _MOST_NUMBERS else None


def _numbers(rows: list[Row]) -> list[list[float]]:
    first, *others = rows
    if (
        others
        and first.cells[0][:1].isalpha()
        and not _is_number(first.cells[0])
        and all(map(_is_number, others[0].cells))
    ):
        raise ImageError(f"{first.where}: {quoted(first.cells[0])} is not a number; put # before a header")
    values = []
    for row in rows:
        values.append([_number(cell, f"{row.where}: column {at}") for at, cell in enumerate(row.cells, 1)])
        if len(row.cells) != len(first.cells):
            raise ImageError(f"{row.where}: {row_length(len(row.cells), len(first.cells))}")
    return values


def _is_number(cell: str) -> bool:
    try:
        _number(cell, "")
    except ImageError:
        return False
    return True


def _number(cell: str, where: str) -> float:
    if _NOT_FINITE.fullmatch(cell):
        return float(cell)
    if _DECIMAL.fullmatch(cell):
        value = float(cell)
        if abs(value) == inf:
            raise ImageError(f"{where}: {quoted(cell)} is out of range (allowed: up to 1.8e308)")
        return value
    try:
        return float(parse_number(cell))
    except ValueError as error:
        raise ImageError(f"{where}: {error}") from error
