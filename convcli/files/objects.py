"""Results at URLs: objects, which stores make appear complete or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from typing import Final, Self

from convcli.core.errors import shown
from convcli.files import pending
from convcli.files.draft import Draft
from convcli.files.input import PIECE, Input, object_state
from convcli.storage.urls import Url

_IN_MEMORY: Final = 2**24
"""Bytes of a result that is sent from memory; a larger one is sent in parts from its temporary file."""

_OPEN_FILES: Final = "/dev/fd"
"""Where a file without a name can be opened again."""


class ObjectDraft(Draft):
    """An object that is sent to its store when it is complete; until then it is an unnamed temporary file.

    An existing object that has the same bytes is accepted.

    Args:
        target: where it goes.
        force: replace an existing object.
        stale: the ETag, as `object_state` gives it, of an existing object that may be replaced because an
            earlier run wrote it.
    """

    def __init__(self, target: Url, force: bool, stale: str = "") -> None:
        self.target, self.force, self.stale = target, force, stale
        self.shown = shown(str(target))

    def __enter__(self) -> Self:
        with self.refusals():
            with tempfile.TemporaryFile() as unnamed:
                handle = os.dup(unnamed.fileno())
            self.file = open(self.shown, "w+b", opener=lambda *_: handle)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self.file.close()

    def commit(self, sync_folder: bool = True) -> int:
        with self.refusals():
            size = self.file.seek(0, os.SEEK_END)
            self.file.flush()
            try:
                self._send(size, exclusive=not self.force)
            except FileExistsError:  # perhaps this object, if the answer to an earlier try was lost
                if not self._has_same_bytes(size):
                    if not self.stale or object_state(str(self.target))[2] != self.stale:
                        raise
                    self._send(size, exclusive=False)
        pending.record_result()
        return size

    def _send(self, size: int, exclusive: bool) -> None:
        from convcli.storage.remote import upload, write_object  # only for URLs

        self.file.seek(0)
        if size <= _IN_MEMORY:
            write_object(str(self.target), self.file.read(), exclusive)
        else:
            upload(str(self.target), f"{_OPEN_FILES}/{self.file.fileno()}", exclusive)

    def _has_same_bytes(self, size: int) -> bool:
        with Input.open(str(self.target)) as existing:
            if existing.size != size:
                return False
            self.file.seek(0)
            starts = range(0, size, PIECE)
            return all(existing.part(start, PIECE) == self.file.read(PIECE) for start in starts)
