"""The manifest of a batch, from which a later run can tell what is left to do.

In the JSON form, the first line says what all rows with the same settings have in common; in the CSV form, it
names the columns. Then there is a row for each feature map and each failure. A run only appends rows, so the
last row about a file is the one that counts; a resumed run sorts them when it ends.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

from convcli import __version__
from convcli.batch import records
from convcli.batch.records import EarlierRuns, RecordedRow, csv_cells, encode, line_converter, read_rows
from convcli.batch.rows import CSV_COLUMNS, NAME_COLUMNS, ManifestRow, absolute, csv_line
from convcli.core.errors import ArgumentError, OutputError, shown
from convcli.core.handles import APPEND, can_rename_open
from convcli.core.locks import lock
from convcli.core.tables import to_json
from convcli.files.atomic import AtomicFile
from convcli.files.input import STREAM
from convcli.files.ledger import OutputLedger
from convcli.files.stdout import write_stream
from convcli.storage.urls import is_remote, local

FORMS: Final = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}
"""Forms of a manifest by the suffix of its name."""

SCHEMA: Final = 2
"""Version of the JSON form. In 1, each row repeated what the first line now says."""

LARGEST: Final = 2**32
"""Bytes of a manifest that can be resumed."""


class Manifest:
    """A file that rows are appended to, in the order of the inputs. A symbolic link to one is followed.

    Args:
        target: a file whose suffix gives the form, or ``-`` for JSON lines on standard output.
        resume: continue an existing file.
        force: replace an existing file.

    Raises:
        ArgumentError: an unknown suffix, or standard output, which cannot be resumed.
        OutputError: the file exists, or cannot be written.
    """

    def __init__(self, target: str, resume: bool = False, force: bool = False) -> None:
        if is_remote(target):
            raise ArgumentError(
                f"{shown(target)}: a manifest grows by rows, which objects do not; choose a local file"
            )
        target = local(target)
        self.path = None if target == STREAM else _resolved(Path(target))
        self.form = "jsonl" if self.path is None else FORMS.get(Path(target).suffix.casefold(), "")
        self.shown = shown(target)
        if not self.form:
            raise ArgumentError(f"{self.shown}: unknown manifest suffix; allowed: {', '.join(FORMS)}")
        if self.path is None and resume:
            raise ArgumentError("--resume needs the manifest of the earlier run: --report FILE")
        if self.path is not None:
            self._check_target(self.path, resume or force)
        self.force = force
        self.recipes: dict[str, Any] = {}
        self.handle = -1

    def _check_target(self, path: Path, may_exist: bool) -> None:
        if os.path.lexists(path) and not may_exist:
            raise OutputError(f"{self.shown}: already exists (--resume continues it, --force replaces it)")
        OutputLedger().claim(path, force=True)
        if path.exists() and not path.is_file():
            raise OutputError(f"{self.shown}: is not a regular file")

    def earlier(self, lock: bool = True) -> EarlierRuns:
        """The rows of earlier runs.

        Args:
            lock: keep other runs from writing to the file until `close`.

        Raises:
            ArgumentError: the file is not a manifest, or larger than `LARGEST`, and is not to be replaced.
            OutputError: it cannot be read, or another run is writing to it.
        """
        if self.path is None or not self.path.exists():
            return EarlierRuns()
        with self._refusals():
            if lock:
                self._lock()
            try:
                with self.path.open("rb") as file:
                    return self._read(file)
            except BaseException:
                self._unlock()
                raise

    def _read(self, file: BinaryIO) -> EarlierRuns:
        size = os.fstat(file.fileno()).st_size
        if size > LARGEST and not self.force:
            raise ArgumentError(f"{self.shown}: too large for a manifest ({size} bytes; allowed: {LARGEST})")
        first_line = file.readline(records.LONGEST_LINE)
        file.seek(0)
        recipes = records.read_recipes(first_line) if self.form == "jsonl" else {}
        is_header = self.form == "csv" and set(NAME_COLUMNS) <= set(csv_cells(first_line))
        rows = read_rows(self.form, file) if size <= LARGEST else ()
        earlier = EarlierRuns(rows, recipes, bool(recipes) or is_header)
        if not (self.force or earlier.is_known or self._is_cut_header(first_line)):
            raise ArgumentError(f"{self.shown}: is not a batch manifest; nothing was changed")
        return earlier

    def _is_cut_header(self, line: bytes) -> bool:
        """Whether a run ended before the first line was complete."""
        if line.endswith(b"\n") or len(line) == records.LONGEST_LINE:
            return False
        return (
            encode(header_line(self.form, {})).startswith(line)
            if self.form == "csv"
            else line[:1] in (b"", b"{")
        )

    def begin(self, recipes: Mapping[str, Any], earlier: EarlierRuns | None = None) -> None:
        """Start the file.

        Args:
            recipes: what rows have in common, by the fingerprint of their settings.
            earlier: rows to keep.

        Raises:
            OutputError: the file cannot be written, or another run is writing to it.
        """
        rows, old_recipes = (earlier.rows, earlier.recipes) if earlier is not None else ([], {})
        used = {row.fingerprint: None for row in rows if row.fingerprint in old_recipes}
        self.recipes = {**{name: old_recipes[name] for name in used}, **recipes}
        if self.path is None:
            write_stream(encode(header_line(self.form, self.recipes)))
            return
        with self._refusals():
            if self.handle < 0 and self.path.exists():
                self._lock()
            self._rewrite(self.path, rows)
            self._unlock()
            self._lock()

    def add(self, rows: Iterable[ManifestRow]) -> None:
        """Append rows immediately, so that they survive whatever happens next.

        Raises:
            OutputError: they cannot be written.
        """
        data = encode("".join(row.line(self.form) for row in rows))
        if self.path is None:
            write_stream(data)
            return
        with self._refusals():
            while data:
                data = data[os.write(self.handle, data) :]

    def close(self, order: Callable[[RecordedRow], Any] | None = None, done: Collection[str] = ()) -> None:
        """Finish the file.

        Args:
            order: the sort key of the rows of a resumed run; rows that later ones supersede are dropped.
            done: absolute names of inputs whose earlier failures are over.

        Raises:
            OutputError: the file cannot be written.
        """
        if self.path is None:
            return
        if order is not None:
            with self._refusals():
                with self.path.open("rb") as file:
                    rows = EarlierRuns(read_rows(self.form, file)).rows
                rows = [row for row in rows if not (row.is_failure and absolute(row.input) in done)]
                self._rewrite(self.path, sorted(rows, key=order))
        self._unlock()

    def _rewrite(self, path: Path, rows: Iterable[RecordedRow]) -> None:
        """Replace the file by the first line and these of its rows, in this order."""
        with AtomicFile(path, force=True) as draft:
            with draft.refusals():
                draft.file.write(encode(header_line(self.form, self.recipes)))
                if path.exists():
                    with path.open("rb") as file:
                        convert = line_converter(self.form, file)
                        for row in rows:
                            file.seek(row.offset)
                            draft.file.write(convert(file.readline(records.LONGEST_LINE + 1)))
            if not can_rename_open():  # while anybody else has it open, the system refuses to replace it
                self._unlock()
            draft.commit()

    def _lock(self) -> None:
        assert self.path is not None
        self.handle = os.open(self.path, APPEND)
        try:
            lock(self.handle)
        except BlockingIOError as error:
            raise OutputError(f"{self.shown}: another run is writing to it") from error

    def _unlock(self) -> None:
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """Turn an OSError into an `OutputError` that names the manifest."""
        try:
            yield
        except OSError as error:
            raise OutputError(f"{self.shown}: {error.strerror}") from error


def header_line(form: str, recipes: Mapping[str, Any]) -> str:
    """The first line of a manifest.

    Args:
        recipes: what rows have in common, by the fingerprint of their settings.
    """
    if form == "csv":
        return csv_line(CSV_COLUMNS)
    header = {"schema": SCHEMA, "manifest": {"version": __version__, "settings": dict(recipes)}}
    return to_json(header) + "\n"


def _resolved(path: Path) -> Path:
    """The file that a symbolic link leads to, so that the link stays; any other path as it is."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path
