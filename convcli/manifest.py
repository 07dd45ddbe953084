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
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from convcli.drafts import Ledger, write, write_stream
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
        if self.path is not None:
            Ledger().claim(self.path, force=True)
            if self.path.exists() and not self.path.is_file():
                raise OutputError(f"{self.shown}: is no file")
        self.force = force
        self.handle = -1

    def earlier(self, settings: str) -> dict[str, Kept]:
        """What the file says of each input that was done, as these settings would do it again.

        Raises:
            ArgumentError: the file is no manifest, or one of other settings, and is not to be replaced.
            OutputError: it cannot be read.
        """
        if self.path is None or not self.path.exists():
            return {}
        try:
            text = self.path.read_text("utf-8", "surrogateescape")
        except OSError as error:
            raise OutputError(f"{self.shown}: {error.strerror}") from error
        whole = [line for line in text.split("\n")[:-1] if line]  # the last may be cut
        rows: dict[str, list[_Said]] = {}
        for said in _PARSERS[self.kind](whole):
            rows.setdefault(said.input, []).append(said)
        if not self.force:
            self._check_earlier(text, whole, rows, settings)
        return {
            name: Kept([said.line for said in found], _is_done(name, found, settings))
            for name, found in rows.items()
        }

    def _check_earlier(
        self, text: str, whole: list[str], rows: dict[str, list[_Said]], settings: str
    ) -> None:
        """Refuse a file that this run would replace without going on with it."""
        begun = (text if self.kind == "csv" else text[:1]) if not whole else ""
        is_head = self.kind == "csv" and bool(whole) and set(_NAMES) <= set(_cells(whole[0]))
        if text and not rows and not is_head and not (begun and (self._head or "{").startswith(begun)):
            raise ArgumentError(f"{self.shown}: is no manifest of a batch, and is left as it is")
        if rows and all(said.settings != settings for found in rows.values() for said in found):
            raise ArgumentError(
                f"{self.shown}: was written by other settings, or another version; "
                "with --force everything is done again"
            )

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
            found = sorted(_PARSERS[self.kind](text.split("\n")), key=lambda said: order(said.input))
            lines = [said.line for said in found]
            write(self.path, (self._head + "".join(lines)).encode("utf-8", "surrogateescape"), force=True)
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1


@frozen
class _Said:
    """A row as a file has it: its line in our columns, and what it says of the input and the output."""

    line: str
    input: str
    settings: str
    failed: bool
    part: int = 0
    parts: int = 0
    states: tuple[tuple[str, State], ...] = ()

    @classmethod
    def of(cls, line: str, facts: dict[str, Any]) -> _Said:
        """What these facts mean.

        Raises:
            ValueError, TypeError, KeyError, OverflowError: they are none of a row.
        """
        name, settings = str(facts["input"]), str(facts["settings"])
        if facts.get("error"):
            return cls(line, name, settings, failed=True)
        states = ((name, _state(facts, "input")), (str(facts["output"]), _state(facts, "output")))
        return cls(line, name, settings, False, int(facts["part"]), int(facts["parts"]), states)


def _state(facts: dict[str, Any], which: str) -> State:
    return State(int(facts[f"{which}_bytes"]), int(facts[f"{which}_mtime_ns"]), str(facts[f"{which}_sha256"]))


def _is_done(name: str, rows: list[_Said], settings: str) -> bool:
    """Whether an input and all that was made of it are as their rows say, by these settings."""
    if any(row.failed or row.settings != settings or row.parts != rows[0].parts for row in rows):
        return False
    if sorted({row.part for row in rows}) != list(range(min(rows[0].parts, len(rows) + 1))):
        return False
    return all(state.holds(path) for path, state in {state for row in rows for state in row.states})


_BROKEN: Final = (ValueError, KeyError, TypeError, OverflowError, RecursionError, csv.Error)
"""What a line raises that somebody else wrote, or that was damaged; it counts for none."""


def _of_json(lines: list[str]) -> Iterator[_Said]:
    for line in lines:
        with suppress(*_BROKEN):
            row = json.loads(line)
            facts = {**row["batch"], "input": row["input"]["name"]}
            if "output" in row:
                facts["output"] = row["output"]["name"]
            yield _Said.of(line + "\n", facts)


def _of_csv(lines: list[str]) -> Iterator[_Said]:
    """The rows; those of a file with other columns are put into ours."""
    head = _cells(lines[0]) if lines else []
    for line in lines[1:]:
        with suppress(*_BROKEN):
            row = dict(zip(head, _cells(line), strict=True))
            names = {key.removesuffix("_name"): json.loads(row[key]) for key in _NAMES}
            ours = line + "\n" if head == list(_HEAD) else _csv_line(row.get(column) for column in _HEAD)
            yield _Said.of(ours, {**row, **names})


def _cells(line: str) -> list[str]:
    """Those of one line of CSV; none where it cannot be read."""
    with suppress(csv.Error):
        return next(csv.reader([line]), [])
    return []


_PARSERS: Final = {"jsonl": _of_json, "csv": _of_csv}
