"""Lists of images that are made ahead in a thread and wait in a temporary file, so that memory stays flat.

Listing is faster than filtering, so the number of images is soon known.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from threading import Condition, Thread
from types import TracebackType
from typing import Final, Self

from convcli.batch.inputs import InputFile
from convcli.batch.work_lists import WorkList

_PATIENCE: Final = 5.0  # seconds in which the thread ends


class Spool:
    """Takes lists from an iterable in a thread; as a context, it ends the thread.

    Attributes:
        images: number of images so far.
        is_complete: whether there will be no more.
    """

    def __init__(self, lists: Iterable[WorkList]) -> None:
        self.lists, self.images, self.is_complete = lists, 0, False
        self._file = tempfile.TemporaryFile("w+b")  # noqa: SIM115 - closed at the end of the context
        self._changed, self._ends = Condition(), False
        self._written = self._read = 0
        self._error: BaseException | None = None
        self._thread = Thread(target=self._fill, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
        self._thread.join(_PATIENCE)
        with suppress(OSError):
            self._file.close()

    def stop(self) -> None:
        """List no further images."""
        self._ends = True

    def __iter__(self) -> Iterator[WorkList]:
        """The lists in order; waits for each.

        Raises:
            Exception: what ended the listing.
        """
        while (line := self._next()) is not None:
            yield _list_of(line)

    def _fill(self) -> None:
        try:
            for work in self.lists:
                if self._ends:
                    break
                self._put(_line_of(work), len(work.images))
        except Exception as error:
            self._error = error
        with self._changed:
            self.is_complete = True
            self._changed.notify_all()

    def _put(self, line: bytes, images: int) -> None:
        with self._changed:
            self._file.seek(self._written)
            self._file.write(line)
            self._written += len(line)
            self.images += images
            self._changed.notify_all()

    def _next(self) -> bytes | None:
        with self._changed:
            while self._read == self._written and not self.is_complete:
                self._changed.wait(1)
            if self._read < self._written:
                self._file.seek(self._read)
                line = self._file.readline()
                self._read += len(line)
                return line
        if self._error is not None:
            raise self._error
        return None


def _line_of(work: WorkList) -> bytes:
    images = [[image.path, image.folder] for image in work.images]
    return json.dumps([work.label, images, work.key, work.state, work.before]).encode() + b"\n"


def _list_of(line: bytes) -> WorkList:
    label, images, key, state, before = json.loads(line)
    inputs = tuple(InputFile(*pair) for pair in images)
    return WorkList(tuple(label), inputs, key, state, tuple(map(tuple, before)))
