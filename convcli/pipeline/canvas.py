"""A file in the making: strips arrive from workers in any order, a writer takes them in their own.

A band is all that lies beside each other in a frame: one strip, or several where the plan cuts across.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from threading import Condition
from typing import Any, BinaryIO, Final, Protocol

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import Halted
from convcli.formats.base import Encoder
from convcli.formats.header import Layout
from convcli.geometry.axes import Strip

MOST_WAITING: Final = 16
"""Pieces that wait for an earlier one, before their workers do."""


@dataclass(slots=True)
class _Band:
    """Rows of pixels, how many columns are still to come, and the scratch that they lie in, if any."""

    pixels: Array
    missing: int
    scratch: Array | None = None


class Surface(Protocol):
    """What strips of pixels are painted on."""

    layout: Layout

    def place(self, frame: int, strip: Strip) -> Array:
        """Where the pixels of a strip go, (rows, columns, channels)."""

    def done(self, frame: int, strip: Strip) -> None:
        """They are there."""


class InMemory:
    """A surface that stays in memory: ``pictures``, (frames, rows, columns, channels)."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.pictures: Array = np.empty((layout.frames, *layout.shape), layout.dtype)

    def place(self, frame: int, strip: Strip) -> Array:
        """Where the pixels of a strip go, (rows, columns, channels)."""
        part: Array = self.pictures[frame, slice(*strip.rows), slice(*strip.columns)]
        return part

    def done(self, frame: int, strip: Strip) -> None:
        """They are there."""


class Canvas:
    """A surface that becomes a file.

    Args:
        layout: of the picture, or of each of several frames.
        encoder: turns bands into pieces of a file.
        height: rows of a band; the last of a frame may have fewer.
        most: pieces that may wait for an earlier one.
    """

    def __init__(self, layout: Layout, encoder: Encoder, height: int, most: float = MOST_WAITING) -> None:
        self.layout, self.encoder, self.height, self.most = layout, encoder, height, most
        self.bands: dict[tuple[int, int], _Band] = {}
        self.spare: list[Array] = []
        self.pieces: dict[int, Any] = {}
        self.next = 0
        self.broken = False
        self.changed = Condition()

    @property
    def each(self) -> int:
        """Bands of a frame."""
        return -(-self.layout.rows // self.height)

    @property
    def count(self) -> int:
        """Bands of all frames."""
        return self.layout.frames * self.each

    def place(self, frame: int, strip: Strip) -> Array:
        """Where the pixels of a strip go, (rows, columns, channels); `done` says that they are there."""
        (top, bottom), (left, right) = strip.rows, strip.columns
        with self.changed:
            band = self.bands.get((frame, top))
            if band is None:
                band = self.bands[frame, top] = self._band(frame, top, bottom)
        return band.pixels[:, left:right]

    def _band(self, frame: int, top: int, bottom: int) -> _Band:
        room = self.encoder.room(frame, top, bottom)
        if room is not None:
            return _Band(room, self.layout.columns)
        shape = self.height, self.layout.columns, self.layout.channels
        scratch = self.spare.pop() if self.spare else np.empty(shape, self.layout.dtype)
        return _Band(scratch[: bottom - top], self.layout.columns, scratch)

    def done(self, frame: int, strip: Strip) -> None:
        """Encode the band that this strip completes, and hand it on.

        Raises:
            Halted: nobody takes it any more.
        """
        top = strip.rows[0]
        with self.changed:
            band = self.bands[frame, top]
            band.missing -= strip.columns[1] - strip.columns[0]
            if band.missing:
                return
            del self.bands[frame, top]
        piece = self.encoder.strip(top, band.pixels)
        index = frame * self.each + top // self.height
        with self.changed:
            if band.scratch is not None:
                self.spare.append(band.scratch)
            self.changed.wait_for(lambda: self.broken or index == self.next or len(self.pieces) < self.most)
            self.pieces[index] = piece
            self._check()
            self.changed.notify_all()

    def write(self, file: BinaryIO) -> None:
        """Write the file as its bands come; a failure, here or in a worker, ends the others' waiting."""
        try:
            self.encoder.write(file, self._ordered())
        except BaseException:
            self.halt()
            raise

    def _ordered(self) -> Iterator[Any]:
        while self.next < self.count:
            with self.changed:
                self.changed.wait_for(lambda: self.broken or self.next in self.pieces)
                self._check()
                piece = self.pieces.pop(self.next)
                self.next += 1
                self.changed.notify_all()
            yield piece

    def halt(self) -> None:
        """End the waiting of the workers and the writer."""
        with self.changed:
            self.broken = True
            self.changed.notify_all()

    def _check(self) -> None:
        if self.broken:
            raise Halted("the picture is given up")
