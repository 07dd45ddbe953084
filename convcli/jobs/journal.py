"""What is known of a job's progress: objects in a folder beside its target, which `--resume` goes on from.

``job.json`` is the job, ``lock.json`` says who works on it, ``mappings.json`` has the ranges that a first
pass has found, ``stamps.bin`` what pieces read when the latest run began (`Digests`), and ``PASS.NAME.jsonl``
the facts of pieces, a line each. Objects appear whole; a line that is torn nevertheless counts for nothing.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import numpy as np

from convcli.core.errors import OutputError, one_line, shown
from convcli.jobs.facts import MAP, RANGE, Facts
from convcli.jobs.job import SUFFIX, Job, digest_of
from convcli.jobs.lock import Lock
from convcli.jobs.settings_json import mapping_of_json, mapping_to_json
from convcli.jobs.source import Digests
from convcli.pipeline.mapping import Mapping
from convcli.storage.folder import open_folder
from convcli.storage.urls import name_of

_JOB, _MAPPINGS, _STAMPS = "job.json", "mappings.json", "stamps.bin"

_PROBE: Final = "probe-"
"""What the names of files begin with by which workers show that they see the journal."""

_SECONDS: Final = 1.0  # between two objects of facts, unless many wait
_WAITING: Final = 16  # facts that wait for an object at most


class Journal:
    """The journal of a job.

    Args:
        place: the folder, as `Job.journal` names it.
    """

    def __init__(self, place: str) -> None:
        self.place, self.folder = place, open_folder(place)
        self.lock = Lock(self.folder, place.removesuffix(SUFFIX))
        self.waiting: dict[str, list[Facts]] = {}
        self.written = time.monotonic()
        self.objects = 0
        self.digest = ""

    def job(self) -> Job | None:
        """The job that was begun, or None.

        Raises:
            ConvcliError: it is damaged, or of another version.
        """
        data = self.folder.read(_JOB)
        return None if data is None else Job.of_text(data.decode("utf-8", "replace"), self.place)

    def begin(self, job: Job) -> None:
        """Write the job.

        Raises:
            OutputError: there is one already.
        """
        if not self.folder.create(_JOB, job.to_text().encode()):
            raise self.unfinished()

    def bind(self, job: Job) -> None:
        """Write facts of this job only, which another one may replace at any time."""
        self.digest = job.digest

    def check_bound(self) -> None:
        """Refuse to go on once the job has ended, or another one has taken its place; by one request.

        Raises:
            OutputError: so it is.
        """
        data = self.folder.read(_JOB) if self.digest else None
        if self.digest and (data is None or digest_of(data) != self.digest):
            reason = "this job has ended" if data is None else "another job has taken the place of this one"
            raise OutputError(f"{shown(self.place)}: {reason}; nothing more is written")

    def unfinished(self) -> OutputError:
        """The error where a job is in the way."""
        return OutputError(
            f"{shown(self.place.removesuffix(SUFFIX))}: {one_line(name_of(self.place))} beside it holds an "
            "unfinished job; --resume continues it, --force starts over"
        )

    def facts(self, phase: str) -> Iterator[Facts]:
        """The facts of the pieces that are done in one pass, some perhaps twice.

        Args:
            phase: `convcli.jobs.facts.RANGE` or `MAP`.
        """
        for name in self.folder.names(f"{phase}."):
            for line in (self.folder.read(name) or b"").splitlines():
                facts = _parsed(line)
                if facts is not None:
                    yield facts

    def add(self, phase: str, facts: Facts) -> None:
        """Note a piece that is done; it is written soon, at the latest by `flush`."""
        waiting = self.waiting.setdefault(phase, [])
        waiting.append(facts)
        if len(waiting) >= _WAITING or time.monotonic() - self.written > _SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what waits.

        Raises:
            OutputError: it cannot be written, another process has taken the lock, or the job was replaced.
        """
        self.lock.check_held()
        if any(self.waiting.values()):
            self.check_bound()
        for phase, waiting in self.waiting.items():
            if waiting:
                lines = "".join(json.dumps(facts.to_json()) + "\n" for facts in waiting)
                self.folder.write(f"{phase}.{_unique()}-{self.objects:07}.jsonl", lines.encode())
                self.objects += 1
                waiting.clear()
        self.written = time.monotonic()

    def mappings(self) -> list[Mapping] | None:
        """The mapping of each map with the range that a first pass found, or None."""
        try:
            return [mapping_of_json(parts) for parts in json.loads(self.folder.read(_MAPPINGS) or b"")]
        except (ValueError, TypeError, ArithmeticError, RecursionError):  # none, or torn: found again
            return None

    def set_mappings(self, mappings: Sequence[Mapping]) -> None:
        """Write the mappings."""
        self.folder.write(_MAPPINGS, json.dumps([*map(mapping_to_json, mappings)]).encode())

    def refresh(self, digests: Digests | None) -> int:
        """Note what pieces read now, and forget those that were made of something else.

        Args:
            digests: of each piece; None where they are not known, so that nothing is forgotten.

        Returns:
            How many pieces are forgotten. If one of them counts for a range, this is searched again.
        """
        if digests is None:
            return 0
        before = np.frombuffer(self.folder.read(_STAMPS) or b"", "<u8")
        forgotten = set[int]()
        if len(before) == len(digests):
            changed = {*np.flatnonzero(before != digests).tolist()}
            forgotten = self._forget(RANGE, changed)
            if forgotten:
                self.folder.delete(_MAPPINGS)
            forgotten |= self._forget(MAP, None if forgotten else changed)
        self.folder.write(_STAMPS, digests.astype("<u8").tobytes())
        return len(forgotten)

    def _forget(self, phase: str, pieces: set[int] | None) -> set[int]:
        """Remove the facts of pieces, or all, and return whose there were."""
        if pieces is not None and not pieces:
            return set()
        names = [*self.folder.names(f"{phase}.")]
        facts = {each.piece: each for each in self.facts(phase)}
        gone = {piece for piece in facts if pieces is None or piece in pieces}
        if gone:
            for piece in facts.keys() - gone:
                self.waiting.setdefault(phase, []).append(facts[piece])
            self.flush()
            for name in names:
                self.folder.delete(name)
        return gone

    def clear(self) -> None:
        """Remove everything but the lock."""
        for name in filter(_is_own, [*self.folder.names()]):
            self.folder.delete(name)

    def remove(self) -> None:
        """Remove the journal of a job that is complete; its folder goes when nothing else is there."""
        self.clear()
        if not self.folder.exists:
            self.folder.remove()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock.

        Raises:
            OutputError: somebody else holds it.
        """
        try:
            with self.lock.held():
                yield
        finally:
            if not self.folder.exists:
                self.folder.remove()

    def check_unlocked(self) -> None:
        """Refuse to go on while somebody else holds the lock.

        Raises:
            OutputError: somebody does.
        """
        self.lock.check_free()


def _is_own(name: str) -> bool:
    """Whether a file is one of a journal, rather than one that somebody else has put there."""
    is_known = name in (_JOB, _MAPPINGS, _STAMPS) or name.startswith(_PROBE) or name.endswith(".jsonl")
    return is_known and "/" not in name


def _parsed(line: bytes) -> Facts | None:
    """The facts of a line, or None if it is torn."""
    try:
        return Facts.of_json(json.loads(line))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def _unique() -> str:
    """A name that no other process of the job has."""
    return f"{int(time.time()):x}-{os.urandom(4).hex()}"
