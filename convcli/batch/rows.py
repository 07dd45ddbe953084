"""A row of a batch's manifest: its facts, and its text as JSON or CSV.

A row is a report with the states of the input and the output and the fingerprint of the settings, or the
failure of an input.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from convcli.core.errors import MissingError
from convcli.core.frozen import frozen
from convcli.core.redaction import public_name
from convcli.core.tables import tame, to_json
from convcli.files.input import checksum, object_state
from convcli.files.stores import is_store
from convcli.pipeline.reports.csv_form import COLUMNS, csv_row
from convcli.pipeline.reports.json_form import manifest_row
from convcli.pipeline.reports.report import Report
from convcli.storage.urls import canonical, is_remote, is_url, local

_SIDES: Final = ("input", "output")
_STATE_KEYS: Final = ("bytes", "mtime_ns", "ctime_ns", "sha256")
_STATE_COLUMNS: Final = tuple(f"{side}_{key}" for side in _SIDES for key in _STATE_KEYS)
_BATCH_COLUMNS: Final = (*_STATE_COLUMNS, "part", "parts", "settings", "error")
"""The keys of ``batch`` in the JSON form: row ``part`` of the ``parts`` of one input and one fingerprint."""

NAME_COLUMNS: Final = ("input_name", "output_name")
"""Columns of the CSV form: the names again, encoded so that they can be read back."""
CSV_COLUMNS: Final = (*COLUMNS, *_BATCH_COLUMNS, *NAME_COLUMNS, "exact")


@frozen
class FileState:
    """A regular file as it was: its size, the times of its last changes in nanoseconds, and its SHA-256.

    An object at a URL has an ETag in place of the SHA-256, with ``etag:`` before it, and one time.
    """

    bytes: int
    mtime_ns: int
    ctime_ns: int
    sha256: str

    @classmethod
    def read(cls, path: str) -> FileState:
        """The present state of a file.

        Raises:
            OSError: it cannot be read, or is not a regular file.
            StorageError: an object cannot be read.
        """
        if is_store(path):
            return cls.of_store(path)
        if is_remote(path):
            size, time, tag = object_state(path)
            return cls(size, time, time, tag)
        digest, status = checksum(local(path))
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, digest)

    @classmethod
    def of_store(cls, path: str) -> FileState:
        """The present state of all objects of a store, as a listing tells it; times are 0.

        Raises:
            StorageError: they cannot be listed.
        """
        import hashlib  # which loads OpenSSL

        from convcli.storage.folder import open_folder

        digest, size = hashlib.sha256(), 0
        for name, stamp in open_folder(path).stamped_names():
            digest.update(f"{name} {stamp}\n".encode(errors="surrogateescape"))
            stated = stamp.split(maxsplit=1)[0]
            size += int(stated) if stated.isdecimal() else 0
        return cls(size, 0, 0, f"listing:{digest.hexdigest()}")

    def matches(self, path: str) -> bool:
        """Whether a file is still the same: by its size and both times, or else by its bytes."""
        if is_store(path):
            return self == FileState.of_store(path)
        if is_remote(path):
            with suppress(MissingError):
                size, _, tag = object_state(path)
                return bool(tag) and (size, tag) == (self.bytes, self.sha256)
            return False
        path = local(path)
        with suppress(OSError, ValueError):
            status = os.stat(path)  # noqa: PTH116 - names may be bytes that are not text
            if status.st_size == self.bytes:
                times = status.st_mtime_ns, status.st_ctime_ns
                return times == (self.mtime_ns, self.ctime_ns) or checksum(path)[0] == self.sha256
        return False


@frozen
class ManifestRow:
    """A row to be written.

    Attributes:
        input: name of the image.
        report: the JSON form of the report; of a failure, only the input's name.
        cells: the CSV form of the report; of a failure, only the input's name.
        facts: values for the keys of ``batch``.
        is_exact: whether the sums are exact, so that the result does not depend on the method.
    """

    input: str
    report: dict[str, Any]
    cells: dict[str, Any]
    facts: dict[str, Any]
    is_exact: bool = False

    @classmethod
    def for_result(
        cls,
        source: str,
        states: tuple[FileState, FileState],
        report: Report,
        part: int,
        parts: int,
        fingerprint: str,
    ) -> ManifestRow:
        """The row of a feature map that was written.

        Args:
            states: of the input and the output.
            part, parts: the row's number among those of this input and fingerprint, and how many there are.
        """
        values = [getattr(state, key) for state in states for key in _STATE_KEYS]
        facts = {
            **dict(zip(_STATE_COLUMNS, values, strict=True)),
            "part": part,
            "parts": parts,
            "settings": fingerprint,
            "error": None,
        }
        return cls(public_name(source), manifest_row(report), csv_row(report), facts, report.plan.exact)

    @classmethod
    def for_failure(cls, source: str, error: str) -> ManifestRow:
        """The row of an input with missing results."""
        facts = {**dict.fromkeys(_BATCH_COLUMNS), "error": error}
        name = public_name(source)
        return cls(name, {"input": {"name": name}}, {"input": name}, facts)

    def line(self, form: str) -> str:
        """The row as a line of ``jsonl`` or ``csv``."""
        if form == "jsonl":
            return to_json({**self.report, "batch": self.facts}) + "\n"
        cells = {key: tame(cell) for key, cell in {**self.cells, **self.facts}.items()}
        output = self.report.get("output", {}).get("name")
        names = map(encode_name, (self.input, output or ""))
        exact = {"exact": self.is_exact} if output else {}
        values = {**cells, **dict(zip(NAME_COLUMNS, names, strict=True)), **exact}
        return csv_line(values.get(column, "") for column in CSV_COLUMNS)


def csv_line(cells: Iterable[Any]) -> str:
    """A line of CSV; None is an empty cell."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(["" if cell is None else cell for cell in cells])
    return buffer.getvalue()


def encode_name(name: str) -> str:
    """A file name as a cell that every program treats as plain text.

    Everything but letters, digits and ``/._~ -`` is percent-encoded by its bytes, as in URLs (RFC 3986).
    """
    return re.sub(r"^[^\w/.]|[^\w/.~ -]", _percent_encode, name)


def _percent_encode(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogateescape"))


def decode_name(cell: str) -> str:
    """The name in a cell of `encode_name`, or in JSON as earlier versions wrote it.

    Raises:
        ValueError: it is neither.
    """
    return str(json.loads(cell)) if cell[:1] == '"' else os.fsdecode(unquote_to_bytes(os.fsencode(cell)))


def absolute(name: str) -> str:
    """An absolute path, or a canonical URL; the name itself if the working directory was deleted."""
    if is_url(name):
        return canonical(public_name(name))
    with suppress(OSError):
        return os.path.abspath(name)  # noqa: PTH100
    return name
