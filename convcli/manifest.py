"""The manifest of a batch: a row for each feature map and each failure, by which a run can be resumed.

Rows are reports with what a resumed run needs to know: the sums of the input, the output and the settings.
"""

from __future__ import annotations

import csv
import fcntl
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from convcli.drafts import write, write_stream
from convcli.errors import ArgumentError, OutputError, one_line
from convcli.files import PIECE, STREAM
from convcli.report import COLUMNS, Report, tame, to_json
from convcli.values import frozen

KINDS: Final = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}
"""Forms of a manifest by the suffix of its name."""

_FACTS: Final = (
    "input_bytes",
    "input_mtime_ns",
    "input_sha256",
    "output_bytes",
    "output_mtime_ns",
    "output_sha256",
)
_MORE: Final = (*_FACTS, "part", "parts", "settings", "error")
"""What a row says beside its report; ``part`` of ``parts`` rows about one input."""


_NAMES: Final = ("input_name", "output_name")
"""Columns of the CSV form alone, as JSON, because the other cells are made harmless for spreadsheets."""
_HEAD: Final = (*COLUMNS, *_MORE, *_NAMES)


@frozen
class State:
    """A file as it was: bytes, nanoseconds of its last change, and SHA-256."""

    bytes: int
    mtime_ns: int
    sha256: str

    @classmethod
    def of(cls, path: str) -> State:
        """The state of a file.

        Raises:
            OSError: it cannot be read.
        """
        digest = hashlib.sha256()
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - names may be bytes that are no text
            while piece := file.read(PIECE):
                digest.update(piece)
            facts = os.fstat(file.fileno())
        return cls(facts.st_size, facts.st_mtime_ns, digest.hexdigest())

    def holds(self, path: str) -> bool:
        """Whether a file is still so: by its time and size, or else by its bytes."""
        with suppress(OSError):
            facts = os.stat(path)  # noqa: PTH116
            if (facts.st_size, facts.st_mtime_ns) == (self.bytes, self.mtime_ns):
                return True
            return facts.st_size == self.bytes and State.of(path).sha256 == self.sha256
        return False


@frozen
class Row:
    """One line of a manifest; a failure has an ``error`` and no report."""

    input: str
    report: dict[str, Any]
    cells: dict[str, Any]
    facts: dict[str, Any]

    @classmethod
    def made(cls, source: str, read: State, report: Report, part: int, parts: int, settings: str) -> Row:
        """The row of a feature map that was written, of an input as it was ``read``.

        Raises:
            OSError: the output cannot be read again.
        """
        states = read, State.of(report.target.name)
        values = [value for state in states for value in (state.bytes, state.mtime_ns, state.sha256)]
        facts = {**dict(zip(_FACTS, values, strict=True)), "part": part, "parts": parts}
        return cls(source, report.as_dict(), report.csv_row(), {**facts, "settings": settings, "error": None})

    @classmethod
    def failed(cls, source: str, error: str, settings: str) -> Row:
        """The row of an input of which nothing, or not everything, was made."""
        facts = {**dict.fromkeys(_MORE), "settings": settings, "error": error}
        return cls(source, {"input": {"name": source}}, {"input": source}, facts)

    def text(self, kind: str) -> str:
        """As a line of JSON or CSV."""
        if kind == "jsonl":
            return to_json({**self.report, "batch": self.facts}) + "\n"
        names = {"input_name": self.input, "output_name": self.report.get("output", {}).get("name")}
        values = {**self.cells, **self.facts, **{key: json.dumps(name) for key, name in names.items()}}
        return _csv_line([tame(values.get(column, "")) for column in _HEAD])


def _csv_line(cells: Iterable[Any]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(["" if cell is None else cell for cell in cells])
    return buffer.getvalue()


@frozen
class Kept:
    """What an earlier manifest says of an input: its lines, and whether all of it was made."""

    lines: list[str]
    done: bool


class Manifest:
    """Where the rows go, as they come, in the order of the inputs.

    Args:
        target: a file whose suffix says the form, or ``-`` for JSON lines on standard output.
        resume: go on with the file that is there.
        force: replace it.

    Raises:
        ArgumentError: a suffix that says no form, or nothing to resume.
        OutputError: the file is there, cannot be written, or another run writes it.
    """

    def __init__(self, target: str, resume: bool = False, force: bool = False) -> None:
        self.path = None if target == STREAM else Path(target)
        self.kind = "jsonl" if self.path is None else KINDS.get(self.path.suffix.casefold(), "")
        self.shown = one_line(target)
        if not self.kind:
            raise ArgumentError(f"{self.shown}: the suffix of a manifest is one of {', '.join(KINDS)}")
        if self.path is None and resume:
            raise ArgumentError("--resume needs the manifest of the earlier run: --report FILE")
        if self.path is not None and os.path.lexists(self.path) and not (resume or force):
            raise OutputError(f"{self.shown}: exists already (--resume goes on, --force replaces it)")
        self.handle = -1

    def earlier(self, settings: str) -> dict[str, Kept]:
        """What the file says of each input that was done, as these settings would do it again."""
        if self.path is None or not self.path.exists():
            return {}
        try:
            text = self.path.read_text("utf-8", "surrogateescape")
        except OSError as error:
            raise OutputError(f"{self.shown}: {error.strerror}") from error
        lines = [
            line for line in text.splitlines(keepends=True) if line.endswith("\n")
        ]  # the last may be cut
        rows: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        for line, facts in _PARSERS[self.kind](lines):
            rows.setdefault(facts.get("input", ""), []).append((line, facts))
        return {
            name: Kept([line for line, _ in found], _is_done(name, [facts for _, facts in found], settings))
            for name, found in rows.items()
        }

    def begin(self, kept: Sequence[str]) -> None:
        """Start the file with some lines; nobody else writes it until `close`."""
        if self.path is None:
            self._send("".join(kept))
            return
        try:
            if self.path.exists():
                self._lock()
            write(self.path, (self._head + "".join(kept)).encode("utf-8", "surrogateescape"), force=True)
            if self.handle >= 0:
                os.close(self.handle)
            self._lock()
        except OSError as error:
            raise OutputError(f"{self.shown}: {error.strerror}") from error

    @property
    def _head(self) -> str:
        return _csv_line(_HEAD) if self.kind == "csv" else ""

    def _lock(self) -> None:
        assert self.path is not None
        self.handle = os.open(self.path, os.O_RDWR | os.O_APPEND)
        try:
            fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(f"{self.shown}: another run is writing it") from error
        except OSError:  # a file system without locks
            return

    def add(self, rows: Iterable[Row]) -> None:
        """Write some rows, so that they are there whatever comes next.

        Raises:
            OutputError: the disk is full, or standard output is.
        """
        text = "".join(row.text(self.kind) for row in rows)
        if self.path is None:
            self._send(text)
            return
        data = text.encode("utf-8", "surrogateescape")
        try:
            while data:
                data = data[os.write(self.handle, data) :]
        except OSError as error:
            raise OutputError(f"{self.shown}: {error.strerror}") from error

    def _send(self, text: str) -> None:
        write_stream(text.encode("utf-8", "surrogateescape"))

    def close(self, order: Callable[[str], int] | None = None) -> None:
        """End the file, its rows put in the order of the inputs' numbers where one is given."""
        if self.path is None:
            return
        if order is not None:
            text = self.path.read_text("utf-8", "surrogateescape")
            found = list(_PARSERS[self.kind](text.splitlines(keepends=True)))
            lines = [line for line, facts in sorted(found, key=lambda row: order(row[1]["input"]))]
            write(self.path, (self._head + "".join(lines)).encode("utf-8", "surrogateescape"), force=True)
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1


def _is_done(name: str, rows: list[dict[str, Any]], settings: str) -> bool:
    """Whether an input and all that was made of it are as their rows say, by these settings."""
    if any(row.get("error") or row.get("settings") != settings for row in rows):
        return False
    parts = {int(row["part"]) for row in rows}
    if parts != set(range(int(rows[0]["parts"]))):
        return False
    inputs = {_state(row, "input") for row in rows}
    outputs = {(str(row["output"]), _state(row, "output")) for row in rows}
    return all(state.holds(name) for state in inputs) and all(state.holds(file) for file, state in outputs)


def _state(row: dict[str, Any], which: str) -> State:
    return State(int(row[f"{which}_bytes"]), int(row[f"{which}_mtime_ns"]), str(row[f"{which}_sha256"]))


def _of_json(lines: list[str]) -> Iterable[tuple[str, dict[str, Any]]]:
    for line in lines:
        with suppress(ValueError, KeyError, TypeError):
            row = json.loads(line)
            facts = {**row["batch"], "input": row["input"]["name"]}
            if "output" in row:
                facts["output"] = row["output"]["name"]
            yield line, facts


def _of_csv(lines: list[str]) -> Iterable[tuple[str, dict[str, Any]]]:
    """The rows; those of a file with other columns are put into ours."""
    ours = lines[:1] == [_csv_line(_HEAD)]
    for line, row in zip(lines[1:], csv.DictReader(lines), strict=False):
        with suppress(ValueError, TypeError, KeyError):
            facts: dict[str, Any] = {name: value for name, value in row.items() if value}
            names = {key.removesuffix("_name"): json.loads(row[key]) for key in _NAMES}
            yield line if ours else _csv_line(row.get(column) for column in _HEAD), {**facts, **names}


_PARSERS: Final = {"jsonl": _of_json, "csv": _of_csv}
