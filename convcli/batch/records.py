"""What a manifest records of earlier runs: its lines as rows, and which of them still count."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any, BinaryIO, Final

from convcli.batch.rows import (
    CSV_COLUMNS,
    NAME_COLUMNS,
    FileState,
    absolute,
    csv_line,
    decode_name,
    encode_name,
)
from convcli.core.frozen import frozen

LONGEST_LINE: Final = 2**24
"""Bytes of a line; longer ones are not rows."""

_DAMAGED: Final = (
    ValueError,
    KeyError,
    TypeError,
    OverflowError,
    RecursionError,
    AttributeError,
    csv.Error,
)
"""What parsing raises for lines that are damaged or are not rows; they are ignored."""


@frozen
class RecordedRow:
    """A row that was read from a manifest.

    Attributes:
        offset: bytes of the file before its line.
        fingerprint: of the settings; empty for a failure.
        map: number of the feature map.
        frame: number of the frame, where each has its own file.
        part, parts: the row's number among those of its input and fingerprint, and how many there are.
        input_state, output_state: the files as they were; None for a failure.
        method: how the result was computed.
        is_exact: whether that makes no difference.
    """

    offset: int
    input: str
    fingerprint: str = ""
    output: str = ""
    map: int = 0
    frame: int = 0
    part: int = 0
    parts: int = 0
    input_state: FileState | None = None
    output_state: FileState | None = None
    method: str = ""
    is_exact: bool = False

    @classmethod
    def parse(cls, offset: int, facts: Mapping[str, Any]) -> RecordedRow:
        """A row from its values.

        Raises:
            ValueError, TypeError, KeyError, OverflowError: they are not those of a row.
        """
        name = _checked_name(facts["input"])
        if facts.get("error"):
            return cls(offset, name)
        part, parts = int(facts.get("part") or 0), int(facts["parts"])
        if not 0 <= part < parts:
            raise ValueError("a part beyond the last one")
        return cls(
            offset,
            name,
            fingerprint=str(facts["settings"]),
            output=_checked_name(facts["output"]),
            map=int(facts.get("map") or 0),
            frame=int(facts.get("frame") or 0),
            part=part,
            parts=parts,
            input_state=_file_state(facts, "input"),
            output_state=_file_state(facts, "output"),
            method=str(facts.get("method")),
            is_exact=facts.get("exact") in (True, "True"),
        )

    @property
    def is_failure(self) -> bool:
        """Whether the input failed, so that there is no result."""
        return self.output_state is None

    def precedes(self, row: RecordedRow) -> bool:
        """Whether ``row`` is about a later feature map in the same output."""
        return self.part < row.part and self._result == row._result

    @property
    def _result(self) -> tuple[Any, ...]:
        return self.input, self.fingerprint, self.parts, self.input_state, self.output_state


def _checked_name(value: Any) -> str:
    """A file's name.

    Raises:
        ValueError: no file can have it.
    """
    os.fsencode(value)
    if "\0" in value:
        raise ValueError("a NUL in a name")
    return str(value)


def _file_state(facts: Mapping[str, Any], side: str) -> FileState:
    size, mtime_ns = int(facts[f"{side}_bytes"]), int(facts[f"{side}_mtime_ns"])
    return FileState(size, mtime_ns, int(facts.get(f"{side}_ctime_ns") or 0), str(facts[f"{side}_sha256"]))


class EarlierRuns:
    """The rows of a manifest that still count: the last ones about each file, and the latest failures.

    Args:
        rows: all rows, in the order of the file.
        recipes: what the first line says of the settings, by their fingerprints.
        is_known: whether the file is known to be a manifest even if it has no row.

    Attributes:
        outputs: the rows of each output, by its absolute name.
        failures: the failure of each input that nothing later is about, by its absolute name.
    """

    def __init__(
        self,
        rows: Iterable[RecordedRow] = (),
        recipes: Mapping[str, Any] | None = None,
        is_known: bool = False,
    ) -> None:
        self.outputs: dict[str, list[RecordedRow]] = {}
        self.failures: dict[str, RecordedRow] = {}
        self.recipes = recipes or {}
        for row in rows:
            is_known = True
            self._add(row)
        self.is_known = is_known

    def _add(self, row: RecordedRow) -> None:
        name = absolute(row.input)
        self.failures.pop(name, None)
        if row.is_failure:
            self.failures[name] = row
            return
        rows = self.outputs.setdefault(absolute(row.output), [])
        rows[:] = [earlier for earlier in rows if earlier.precedes(row)]
        rows.append(row)

    @cached_property
    def inputs(self) -> dict[str, list[RecordedRow]]:
        """The rows of the outputs that were made of each input, by its absolute name."""
        inputs: dict[str, list[RecordedRow]] = {}
        for rows in self.outputs.values():
            for row in rows:
                inputs.setdefault(absolute(row.input), []).append(row)
        return inputs

    @property
    def rows(self) -> list[RecordedRow]:
        """All of them, in the order of the file."""
        rows = [*self.failures.values(), *(row for rows in self.outputs.values() for row in rows)]
        return sorted(rows, key=lambda row: row.offset)


def read_rows(form: str, file: BinaryIO) -> Iterator[RecordedRow]:
    """The rows of a file from its beginning; ``form`` is ``jsonl`` or ``csv``."""
    return _parse_csv(file) if form == "csv" else _parse_json(file)


def read_recipes(line: bytes) -> dict[str, Any]:
    """What the first line of the JSON form says about each fingerprint; empty if it is not such a line."""
    with suppress(*_DAMAGED):
        recipes = json.loads(decode(line))["manifest"]["settings"]
        return {key: recipe for key, recipe in recipes.items() if isinstance(recipe, dict)}
    return {}


def csv_cells(line: bytes) -> list[str]:
    """The cells of a line; empty where it is not CSV."""
    with suppress(csv.Error):
        return next(csv.reader([decode(line)]), [])
    return []


def line_converter(form: str, file: BinaryIO) -> Callable[[bytes], bytes]:
    """A function that arranges a line of this file under the columns of this version."""
    header = csv_cells(file.readline(LONGEST_LINE)) if form == "csv" else []
    if form != "csv" or header == list(CSV_COLUMNS):
        return lambda line: line

    def convert(line: bytes) -> bytes:
        row = dict(zip(header, csv_cells(line), strict=True))
        row |= {key: encode_name(decode_name(row[key])) for key in NAME_COLUMNS}
        return encode(csv_line(row.get(column) for column in CSV_COLUMNS))

    return convert


def decode(line: bytes) -> str:
    """The text of a manifest's bytes, whatever bytes file names have."""
    return line.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    """The bytes of a manifest's text."""
    return text.encode("utf-8", "surrogateescape")


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The complete lines that are no longer than a row can be, each with the bytes before it."""
    offset = 0
    while line := file.readline(LONGEST_LINE + 1):
        start, is_row = offset, len(line) <= LONGEST_LINE
        offset += len(line)
        while not line.endswith(b"\n") and (line := file.readline(LONGEST_LINE)):
            is_row, offset = False, offset + len(line)
        if is_row and line:
            yield start, line


def _parse_json(file: BinaryIO) -> Iterator[RecordedRow]:
    for offset, line in _lines(file):
        with suppress(*_DAMAGED):
            row = json.loads(decode(line))
            output, plan = row.get("output", {}), row.get("plan", {})
            facts = {
                **row["batch"],
                "input": row["input"]["name"],
                "output": output.get("name"),
                "map": output.get("map"),
                "frame": output.get("frame"),
                "method": plan.get("method"),
                "exact": plan.get("exact"),
            }
            yield RecordedRow.parse(offset, facts)


def _parse_csv(file: BinaryIO) -> Iterator[RecordedRow]:
    header: list[str] = []
    for offset, line in _lines(file):
        if not offset:
            header = csv_cells(line)
            continue
        with suppress(*_DAMAGED):
            row = dict(zip(header, csv_cells(line), strict=True))
            names = {key.removesuffix("_name"): decode_name(row[key]) for key in NAME_COLUMNS}
            yield RecordedRow.parse(offset, {**row, **names})
