"""Who works on a target: an object in the folder of its journal, which is renewed while the work goes on."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from threading import Event, Thread
from typing import Any, Final

from convcli.core.errors import ConvcliError, OutputError, StorageError, one_line, shown
from convcli.core.processes import is_running
from convcli.storage.folder import Folder
from convcli.storage.urls import name_of

NAME: Final = "lock.json"
"""Of the object."""

HEARTBEAT: Final = 20.0
"""Seconds after which whoever holds a lock renews it."""

PATIENCE: Final = 90.0
"""Seconds without a renewal after which a lock is that of a dead process."""

_SETTLING: Final = 0.5
"""Seconds after which a lock that was taken from the dead is looked at again: others may take it, too."""


class Lock:
    """The lock of a target.

    Args:
        folder: where it is.
        target: for messages.

    Attributes:
        token: what distinguishes this lock from all others while it is held; empty while it is not.
    """

    def __init__(self, folder: Folder, target: str) -> None:
        self.folder, self.target, self.token = folder, target, ""

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock, and renew it.

        Raises:
            OutputError: somebody else holds it.
        """
        self._take()
        ended = Event()
        beat = Thread(target=self._renew, args=(ended,), daemon=True)
        beat.start()
        try:
            yield
        finally:
            ended.set()
            beat.join()
            if self._is_own():
                self.folder.delete(NAME)
            self.token = ""

    def check_free(self) -> None:
        """Refuse to go on while somebody else holds the lock.

        Raises:
            OutputError: somebody does.
        """
        with self._explained():
            holder = _parsed(self.folder.read(NAME))
        if holder is not None and not _is_dead(holder):
            age = time.time() - float(holder["time"])
            raise OutputError(
                f"{shown(self.target)}: process {holder['process']} on {one_line(str(holder['host']))} "
                f"works on this target (it holds {self._name}, last renewed {age:.0f} s ago); if it "
                f"has died, try again in {max(PATIENCE - age, 1):.0f} s"
            )

    def check_held(self) -> None:
        """Refuse to go on if another process has taken the lock, as of one that was stopped for long.

        Raises:
            OutputError: it has.
        """
        if self.token and not self._is_own():
            raise OutputError(
                f"{shown(self.target)}: another process works on this target now, since this one "
                "was not seen for too long; this one ends"
            )

    def _take(self) -> None:
        self.token = os.urandom(8).hex()
        with self._explained():
            is_free = self.folder.create(NAME, self._document())
        if not is_free:
            self.check_free()
            self.folder.write(NAME, self._document())
            time.sleep(_SETTLING)
            self.check_held()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Let errors name the target, and say what the lock is."""
        try:
            yield
        except StorageError as error:
            what = f"its lock {self._name}, which says what process works on it, {error.reason}"
            raise StorageError(self.target, what) from error

    @property
    def _name(self) -> str:
        """Of the object, below the folder of the target."""
        return one_line(f"{name_of(self.folder.place)}/{NAME}")

    def _is_own(self) -> bool:
        """Whether the lock is that of this process, or nobody's."""
        holder = _parsed(self.folder.read(NAME))
        return holder is None or holder["token"] == self.token

    def _renew(self, ended: Event) -> None:
        while not ended.wait(HEARTBEAT):
            try:
                if not self._is_own():
                    return
                self.folder.write(NAME, self._document())
            except ConvcliError:  # the next renewal, or a piece, will meet the same failure
                continue

    def _document(self) -> bytes:
        holder = {"host": socket.gethostname(), "process": os.getpid(), "time": time.time()}
        return json.dumps({**holder, "token": self.token}).encode()


def _parsed(data: bytes | None) -> dict[str, Any] | None:
    """What a lock says, or None for one that is damaged or gone."""
    try:
        holder = json.loads(data or b"")
        when, process = float(holder["time"]), int(holder["process"])
        fields = {"time": when, "process": process, "host": holder["host"], "token": holder.get("token")}
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return fields if isfinite(when) and process > 0 else None


def _is_dead(holder: dict[str, Any]) -> bool:
    """Whether whoever took a lock is known to have ended, or has not renewed it for long."""
    if abs(time.time() - holder["time"]) > PATIENCE:
        return True
    if holder["host"] != socket.gethostname():
        return False
    return bool(holder["process"] == os.getpid()) or not is_running(holder["process"])
