"""A file that is being written: strips arrive from workers in any order, and a writer takes them in sequence.

A band is all strips beside each other in a frame: one, or several where the plan cuts across. Each becomes
a piece of the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from threading import Condition
from typing import Any, BinaryIO, Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import Halted
from convcli.formats.encoders import Encoder
from convcli.formats.header import Layout
from convcli.geometry.axes import Strip

MOST_WAITING: Final = 16
"""Pieces that may wait for an earlier one; with more, workers wait."""


class _Band:
    """A band that is being filled.

    Args:
        pixels: (rows, columns, channels).
        missing: columns that are not filled yet.
        buffer: the memory of the pixels if it is to be used again.
    """

    def __init__(self, pixels: Array, missing: int, buffer: Array | None = None) -> None:
        self.pixels, self.missing, self.buffer = pixels, missing, buffer


class Canvas:
    """A `PixelSink` that becomes a file.

    Args:
        layout: of the image, or of each of several frames.
        encoder: turns bands into pieces of the file.
        height: rows of a band; the last of a frame may have fewer.
        max_waiting: pieces that may wait for an earlier one.
    """

    def __init__(
        self, layout: Layout, encoder: Encoder, height: int, max_waiting: float = MOST_WAITING
    ) -> None:
        self.layout, self.encoder, self.height, self.max_waiting = layout, encoder, height, max_waiting
        self.bands: dict[tuple[int, int], _Band] = {}
        self.free_buffers: list[Array] = []
        self.pieces: dict[int, Any] = {}
        self.next_index = 0
        self.is_halted = False
        self.changed = Condition()

    @property
    def bands_per_frame(self) -> int:
        """Bands of a frame."""
        return -(-self.layout.rows // self.height)

    @property
    def band_count(self) -> int:
        """Bands of all frames."""
        return self.layout.frames * self.bands_per_frame

    def place(self, frame: int, strip: Strip) -> Array:
        """Memory for the pixels of a strip, (rows, columns, channels)."""
        (top, bottom), (left, right) = strip.rows, strip.columns
        with self.changed:
            band = self.bands.get((frame, top))
            if band is None:
                band = self.bands[frame, top] = self._new_band(frame, top, bottom)
        return band.pixels[:, left:right]

    def _new_band(self, frame: int, top: int, bottom: int) -> _Band:
        pixels = self.encoder.destination(frame, top, bottom)
        if pixels is not None:
            return _Band(pixels, self.layout.columns)
        shape = self.height, self.layout.columns, self.layout.channels
        buffer = self.free_buffers.pop() if self.free_buffers else np.empty(shape, self.layout.dtype)
        return _Band(buffer[: bottom - top], self.layout.columns, buffer)

    def done(self, frame: int, strip: Strip) -> None:
        """Encode the band that this strip completes; wait while too many pieces are ahead of the writer.

        Raises:
            Halted: the file was given up.
        """
        top = strip.rows[0]
        with self.changed:
            band = self.bands[frame, top]
            band.missing -= strip.columns[1] - strip.columns[0]
            if band.missing:
                return
            del self.bands[frame, top]
        piece = self.encoder.strip(top, band.pixels)
        self._add(frame * self.bands_per_frame + top // self.height, piece, band.buffer)

    def _add(self, index: int, piece: Any, buffer: Array | None) -> None:
        with self.changed:
            if buffer is not None:
                self.free_buffers.append(buffer)
            self.changed.wait_for(
                lambda: self.is_halted or index == self.next_index or len(self.pieces) < self.max_waiting
            )
            self.pieces[index] = piece
            self._check()
            self.changed.notify_all()

    def write(self, file: BinaryIO) -> None:
        """Write the file as its bands come; a failure ends the waiting of the workers.

        Raises:
            Halted: a worker failed.
        """
        try:
            self.encoder.write(file, self._ordered())
        except BaseException:
            self.halt()
            raise

    def _ordered(self) -> Iterator[Any]:
        """The pieces in the order of the file, each as soon as it is there."""
        while self.next_index < self.band_count:
            with self.changed:
                self.changed.wait_for(lambda: self.is_halted or self.next_index in self.pieces)
                self._check()
                piece = self.pieces.pop(self.next_index)
                self.next_index += 1
                self.changed.notify_all()
            yield piece

    def halt(self) -> None:
        """End the waiting of workers and writer."""
        with self.changed:
            self.is_halted = True
            self.changed.notify_all()

    def _check(self) -> None:
        if self.is_halted:
            raise Halted("the file is given up")
