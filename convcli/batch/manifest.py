"""The manifest of a batch: what each result was made of, so that a later run can tell what to do again.

The first line of the JSON form says what is the same for all rows of the same settings. Then there is a row
for each feature map and each failure: a report, the states of the input and the output, and a sum of the
settings. Rows are only appended while a run goes on, so the last row about a file is the one that counts.
"""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import unquote_to_bytes

from convcli import __version__
from convcli.core.errors import ArgumentError, OutputError, one_line
from convcli.core.frozen import frozen
from convcli.core.tables import tame, to_json
from convcli.files.atomic import AtomicFile
from convcli.files.input import STREAM, checksum
from convcli.files.ledger import OutputLedger
from convcli.files.stdout import write_stream
from convcli.pipeline.report import COLUMNS, Report

KINDS: Final = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}
"""Forms of a manifest by the suffix of its name."""

SCHEMA: Final = 2
"""Version of the JSON form: 1 had no first line, and repeated in each row what it says."""

LONGEST_LINE: Final = 2**24
"""Bytes of a line; longer ones are no rows."""

LARGEST: Final = 2**32
"""Bytes of a manifest that can be resumed."""

_SIDES: Final = ("input", "output")
_STATE: Final = ("bytes", "mtime_ns", "ctime_ns", "sha256")
_FACTS: Final = tuple(f"{side}_{key}" for side in _SIDES for key in _STATE)
_MORE: Final = (*_FACTS, "part", "parts", "settings", "error")
"""What a row says besides its report; ``part`` of ``parts`` rows about one input and one sum of settings."""

_NAMES: Final = ("input_name", "output_name")
"""Columns of the CSV form alone: names that can be read back, because other cells are made harmless."""
_HEAD: Final = (*COLUMNS, *_MORE, *_NAMES)


@frozen
class State:
    """A regular file as it was: bytes, nanoseconds of its last changes, and SHA-256."""

    bytes: int
    mtime_ns: int
    ctime_ns: int
    sha256: str

    @classmethod
    def of(cls, path: str) -> State:
        """The state of a file.

        Raises:
            OSError: it cannot be read, or is not a regular file.
        """
        digest, facts = checksum(path)
        return cls(facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, digest)

    def holds(self, path: str) -> bool:
        """Whether a file is still so: by its size and both of its times, or else by its bytes."""
        with suppress(OSError, ValueError):
            facts = os.stat(path)  # noqa: PTH116 - names may be bytes that are no text
            times = facts.st_mtime_ns, facts.st_ctime_ns
            if facts.st_size == self.bytes:
                return times == (self.mtime_ns, self.ctime_ns) or checksum(path)[0] == self.sha256
        return False


@frozen
class Row:
    """One line of a manifest; a failure has an ``error`` and no report."""

    input: str
    report: dict[str, Any]
    cells: dict[str, Any]
    facts: dict[str, Any]

    @classmethod
    def made(
        cls, source: str, states: tuple[State, State], report: Report, part: int, parts: int, settings: str
    ) -> Row:
        """The row of a feature map that was written, with the states of the input and the output."""
        values = [getattr(state, key) for state in states for key in _STATE]
        facts = {**dict(zip(_FACTS, values, strict=True)), "part": part, "parts": parts}
        return cls(source, report.as_row(), report.csv_row(), {**facts, "settings": settings, "error": None})

    @classmethod
    def failed(cls, source: str, error: str) -> Row:
        """The row of an input of which nothing, or not everything, was made."""
        facts = {**dict.fromkeys(_MORE), "error": error}
        return cls(source, {"input": {"name": source}}, {"input": source}, facts)

    def text(self, kind: str) -> str:
        """As a line of JSON or CSV."""
        if kind == "jsonl":
            return to_json({**self.report, "batch": self.facts}) + "\n"
        output = self.report.get("output", {}).get("name")
        names = dict(zip(_NAMES, (escaped(self.input), escaped(output or "")), strict=True))
        values = {**{key: tame(cell) for key, cell in {**self.cells, **self.facts}.items()}, **names}
        return _csv_line(values.get(column, "") for column in _HEAD)


def escaped(name: str) -> str:
    """A file name as a cell that every program takes for text; `unescaped` takes it back.

    What is not a letter, a digit or one of ``/._~ -`` is percent-encoded by its bytes, as in URLs (RFC 3986).
    """
    return re.sub(r"^[^\w/.]|[^\w/.~ -]", _percent, name)


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogateescape"))


def unescaped(cell: str) -> str:
    """The name in a cell; earlier versions wrote JSON.

    Raises:
        ValueError: it is neither.
    """
    return str(json.loads(cell)) if cell[:1] == '"' else os.fsdecode(unquote_to_bytes(os.fsencode(cell)))


def _csv_line(cells: Iterable[Any]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(["" if cell is None else cell for cell in cells])
    return buffer.getvalue()


@frozen
class Said:
    """A row as a file has it: where its line is, and what it says of the input and the output.

    Attributes:
        place: bytes before the line.
        settings: empty where the input failed.
        frame: of an output that holds one frame of several.
    """

    place: int
    input: str
    settings: str = ""
    output: str = ""
    map: int = 0
    frame: int = 0
    part: int = 0
    parts: int = 0
    states: tuple[State, State] | None = None

    @classmethod
    def of(cls, place: int, facts: Mapping[str, Any]) -> Said:
        """What these facts mean.

        Raises:
            ValueError, TypeError, KeyError, OverflowError: they are none of a row.
        """
        name = _name(facts["input"])
        if facts.get("error"):
            return cls(place, name)
        index, frame, part = (int(facts.get(key) or 0) for key in ("map", "frame", "part"))
        states = _state(facts, "input"), _state(facts, "output")
        settings, output, parts = str(facts["settings"]), _name(facts["output"]), int(facts["parts"])
        if not 0 <= part < parts:
            raise ValueError("a part of nothing")
        return cls(place, name, settings, output, index, frame, part, parts, states)


def _name(value: Any) -> str:
    """A file's name.

    Raises:
        ValueError: no file can have it.
    """
    os.fsencode(value)
    if "\0" in value:
        raise ValueError("a NUL in a name")
    return str(value)


def _state(facts: Mapping[str, Any], which: str) -> State:
    size, changed = int(facts[f"{which}_bytes"]), int(facts[f"{which}_mtime_ns"])
    return State(size, changed, int(facts.get(f"{which}_ctime_ns") or 0), str(facts[f"{which}_sha256"]))


class Earlier:
    """What a manifest says: the last rows about each file, and each failure that nothing followed.

    Attributes:
        outputs: the rows of each output, by its absolute name.
        shared: what the first line says of each sum of settings.
        known: whether there is a row or a first line at all.
    """

    def __init__(self, said: Iterable[Said], shared: Mapping[str, Any], known: bool = False) -> None:
        self.outputs: dict[str, list[Said]] = {}
        self.failures: dict[str, Said] = {}
        self.shared = shared
        for row in said:
            known = True
            self._add(row)
        self.known = known

    def _add(self, row: Said) -> None:
        name = absolute(row.input)
        self.failures.pop(name, None)
        if row.states is None:
            self.failures[name] = row
            return
        rows = self.outputs.setdefault(absolute(row.output), [])
        rows[:] = [other for other in rows if _go_together(other, row)]
        rows.append(row)

    @cached_property
    def inputs(self) -> dict[str, list[Said]]:
        """The rows of the outputs that were made of each input, by its absolute name."""
        found: dict[str, list[Said]] = {}
        for rows in self.outputs.values():
            for row in rows:
                found.setdefault(absolute(row.input), []).append(row)
        return found

    @property
    def rows(self) -> list[Said]:
        """All of them, in the order of the file."""
        found = [*self.failures.values(), *(row for rows in self.outputs.values() for row in rows)]
        return sorted(found, key=lambda row: row.place)


def _go_together(one: Said, other: Said) -> bool:
    """Whether two rows, one behind the other, are about the maps of one output."""
    same = (one.input, one.settings, one.parts, one.states) == (
        other.input,
        other.settings,
        other.parts,
        other.states,
    )
    return same and one.part < other.part


def absolute(name: str) -> str:
    """A name from the root on; where the working directory was deleted, as it is."""
    with suppress(OSError):
        return os.path.abspath(name)  # noqa: PTH100
    return name


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
            raise OutputError(f"{self.shown}: already exists (--resume goes on, --force replaces it)")
        if self.path is not None:
            OutputLedger().claim(self.path, force=True)
            if self.path.exists() and not self.path.is_file():
                raise OutputError(f"{self.shown}: is no file")
        self.force = force
        self.recipes: dict[str, Any] = {}
        self.handle = -1

    def earlier(self, lock: bool = True) -> Earlier:
        """What the file says; nobody else writes it until `close`.

        Raises:
            ArgumentError: the file is no manifest, or larger than `LARGEST`, and is not to be replaced.
            OutputError: it cannot be read, or another run is writing it.
        """
        if self.path is None or not self.path.exists():
            return Earlier((), {})
        with self._refusals():
            if lock:
                self._lock()
            try:
                with self.path.open("rb") as file:
                    return self._read(file)
            except BaseException:
                self._unlock()
                raise

    def _read(self, file: BinaryIO) -> Earlier:
        size = os.fstat(file.fileno()).st_size
        if size > LARGEST and not self.force:
            raise ArgumentError(f"{self.shown}: has {size} bytes; a manifest has up to {LARGEST}")
        first = file.readline(LONGEST_LINE)
        file.seek(0)
        shared = _shared(first) if self.kind == "jsonl" else {}
        is_head = self.kind == "csv" and set(_NAMES) <= set(_cells(_decoded(first)))
        found = Earlier(_PARSERS[self.kind](file) if size <= LARGEST else (), shared, bool(shared) or is_head)
        if not (self.force or found.known or self._is_begun(first)):
            raise ArgumentError(f"{self.shown}: is not the manifest of a batch, and is left as it is")
        return found

    def _is_begun(self, line: bytes) -> bool:
        """Whether a file was left, by whatever stopped the run, before its first line was whole."""
        if line.endswith(b"\n") or len(line) == LONGEST_LINE:
            return False
        return self._head({}).startswith(_decoded(line)) if self.kind == "csv" else line[:1] in (b"", b"{")

    def begin(self, recipes: Mapping[str, Any], earlier: Earlier | None = None) -> None:
        """Start the file with what is the same for all rows, and with the rows of earlier runs."""
        rows = earlier.rows if earlier is not None else []
        old = earlier.shared if earlier is not None else {}
        self.recipes = {**{row.settings: old[row.settings] for row in rows if row.settings in old}, **recipes}
        if self.path is None:
            self._send(self._head(self.recipes))
            return
        with self._refusals():
            if self.handle < 0 and self.path.exists():
                self._lock()
            self._rewrite(self.path, rows)
            self._unlock()
            self._lock()

    def _rewrite(self, path: Path, rows: Iterable[Said]) -> None:
        """Put the file's own rows, in this order, behind what is the same for all of them."""
        with AtomicFile(path, force=True) as draft:
            with draft.refusals():
                draft.file.write(_encoded(self._head(self.recipes)))
                if path.exists():
                    with path.open("rb") as file:
                        convert = _converter(self.kind, file)
                        for row in rows:
                            file.seek(row.place)
                            draft.file.write(convert(file.readline(LONGEST_LINE + 1)))
            draft.commit()

    def _head(self, recipes: Mapping[str, Any]) -> str:
        if self.kind == "csv":
            return _csv_line(_HEAD)
        return (
            to_json({"schema": SCHEMA, "manifest": {"version": __version__, "settings": dict(recipes)}})
            + "\n"
        )

    def _lock(self) -> None:
        assert self.path is not None
        self.handle = os.open(self.path, os.O_RDWR | os.O_APPEND)
        try:
            fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(f"{self.shown}: another run is writing it") from error
        except OSError:  # a file system without locks
            return

    def _unlock(self) -> None:
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """Turn the system's refusals into an `OutputError` that names the manifest."""
        try:
            yield
        except OSError as error:
            raise OutputError(f"{self.shown}: {error.strerror}") from error

    def add(self, rows: Iterable[Row]) -> None:
        """Write some rows, so that they are there whatever comes next.

        Raises:
            OutputError: the disk is full, or standard output is.
        """
        text = "".join(row.text(self.kind) for row in rows)
        if self.path is None:
            self._send(text)
            return
        data = _encoded(text)
        with self._refusals():
            while data:
                data = data[os.write(self.handle, data) :]

    def _send(self, text: str) -> None:
        write_stream(_encoded(text))

    def close(self, order: Callable[[Said], Any] | None = None, done: Collection[str] = ()) -> None:
        """End the file.

        Args:
            order: a key by which the rows of a run that was resumed are sorted; then those that later ones
                replaced are dropped.
            done: absolute names of inputs whose earlier failures are over.
        """
        if self.path is None:
            return
        if order is not None:
            with self._refusals():
                with self.path.open("rb") as file:
                    rows = Earlier(_PARSERS[self.kind](file), {}).rows
                kept = [row for row in rows if row.states is not None or absolute(row.input) not in done]
                self._rewrite(self.path, sorted(kept, key=order))
        self._unlock()


_BROKEN: Final = (ValueError, KeyError, TypeError, OverflowError, RecursionError, AttributeError, csv.Error)
"""What a line raises that somebody else wrote, or that was damaged; it counts for none."""


def _lines(file: BinaryIO) -> Iterator[tuple[int, str]]:
    """The whole lines of a file that are no longer than a row can be, and the bytes before each."""
    place = 0
    while line := file.readline(LONGEST_LINE + 1):
        begun, ended = place, len(line) <= LONGEST_LINE
        place += len(line)
        while not line.endswith(b"\n") and (line := file.readline(LONGEST_LINE)):
            ended, place = False, place + len(line)
        if ended and line:
            yield begun, _decoded(line)


def _decoded(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _shared(line: bytes) -> dict[str, Any]:
    """What a first line says of each sum of settings."""
    with suppress(*_BROKEN):
        found = json.loads(_decoded(line))["manifest"]["settings"]
        return {key: entry for key, entry in found.items() if isinstance(entry, dict)}
    return {}


def _of_json(file: BinaryIO) -> Iterator[Said]:
    for place, line in _lines(file):
        with suppress(*_BROKEN):
            row = json.loads(line)
            output = row.get("output", {})
            names = {"input": row["input"]["name"], "output": output.get("name")}
            yield Said.of(
                place, {**row["batch"], **names, "map": output.get("map"), "frame": output.get("frame")}
            )


def _of_csv(file: BinaryIO) -> Iterator[Said]:
    head: list[str] = []
    for place, line in _lines(file):
        if not place:
            head = _cells(line)
            continue
        with suppress(*_BROKEN):
            row = dict(zip(head, _cells(line), strict=True))
            names = {key.removesuffix("_name"): unescaped(row[key]) for key in _NAMES}
            yield Said.of(place, {**row, **names})


def _converter(kind: str, file: BinaryIO) -> Callable[[bytes], bytes]:
    """What puts a line of a file under the columns of this version."""
    head = _cells(_decoded(file.readline(LONGEST_LINE))) if kind == "csv" else []
    if kind != "csv" or head == list(_HEAD):
        return lambda line: line

    def convert(line: bytes) -> bytes:
        row = dict(zip(head, _cells(_decoded(line)), strict=True))
        row |= {key: escaped(unescaped(row[key])) for key in _NAMES}
        return _encoded(_csv_line(row.get(column) for column in _HEAD))

    return convert


def _cells(line: str) -> list[str]:
    """Those of one line of CSV; none where it cannot be read."""
    with suppress(csv.Error):
        return next(csv.reader([line]), [])
    return []


_PARSERS: Final = {"jsonl": _of_json, "csv": _of_csv}
