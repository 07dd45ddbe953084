"""Readers of an open file's frames: from memory, or decoded in order and kept while they are held."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from threading import Lock

from convcli.core.dtypes import Array
from convcli.core.errors import ImageError
from convcli.core.frozen import frozen
from convcli.geometry.padding import Pair


class Reader(ABC):
    """The frames of an open file, read in parts by several threads."""

    @property
    def memory(self) -> int:
        """Bytes of decoded rows that the reader keeps, approximately."""
        return 0

    @abstractmethod
    def rows(self, frame: int, first: int, last: int) -> Array:
        """Rows ``first`` to ``last`` of a frame, (rows, columns, channels); callers do not write to them.

        Raises:
            ImageError: the file is damaged, or became shorter.
        """

    def window(self, frame: int, rows: Pair, columns: Pair) -> Array:
        """A rectangle of a frame, (rows, columns, channels), of which only what it covers is decoded.

        By default whole rows are decoded.

        Args:
            rows, columns: (first, past the last).

        Raises:
            ImageError: the file is damaged, or became shorter.
        """
        part: Array = self.rows(frame, *rows)[:, slice(*columns)]
        return part

    @property
    def block(self) -> Pair | None:
        """(rows, columns) of what is decoded at once, such as a tile; None where it is whole rows."""
        return None

    @property
    def objects_read(self) -> Pair:
        """(found, absent): how often an object that holds pixels was read, and how often there was none.

        Only for images in many objects, whose absent ones consist of a fill value.
        """
        return 0, 0

    def hold(self, frame: int) -> None:  # noqa: B027 - most readers have nothing to keep
        """Keep a frame that is expensive to decode again, until it is released as often as it was held."""

    def release(self, frame: int) -> None:  # noqa: B027
        """Give up one hold on a frame."""


@frozen(eq=False)
class InMemoryReader(Reader):
    """Decoded frames, (rows, columns, channels) each."""

    frames: Sequence[Array]

    def rows(self, frame: int, first: int, last: int) -> Array:
        part: Array = self.frames[frame][first:last]
        return part


class SequentialReader(Reader):
    """Frames that can only be decoded in order; asking for one that was dropped starts over.

    Args:
        decode: yields every frame in order.
        spare: how many frames are kept that nobody holds, the latest ones.
    """

    def __init__(self, decode: Callable[[], Iterator[Array]], spare: int) -> None:
        self.decode, self.spare = decode, spare
        self.decoding, self.changing = Lock(), Lock()
        self.held: Counter[int] = Counter()
        self.decoded: dict[int, Array] = {}
        self.upcoming, self.next = decode(), 0

    def hold(self, frame: int) -> None:
        with self.changing:
            self.held[frame] += 1

    def release(self, frame: int) -> None:
        with self.changing:
            self.held[frame] -= 1
            if not self.held[frame]:
                del self.held[frame]
            self._drop()

    def rows(self, frame: int, first: int, last: int) -> Array:
        pixels = self.decoded.get(frame)
        if pixels is None:
            with self.decoding:
                pixels = self._frame(frame)
        return pixels[first:last]

    def _frame(self, frame: int) -> Array:
        """A frame, decoded unless another thread has done so in the meantime."""
        pixels = self.decoded.get(frame)
        if pixels is not None:
            return pixels
        if frame < self.next:
            self.upcoming, self.next = self.decode(), 0
        for _ in range(self.next, frame):
            self._decode_next()
        return self._decode_next()

    def _decode_next(self) -> Array:
        try:
            pixels = next(self.upcoming)
        except StopIteration:
            raise ImageError(f"damaged: it ends after frame {self.next}") from None
        with self.changing:
            self.decoded[self.next] = pixels
            self.next += 1
            self._drop()
        return pixels

    def _drop(self) -> None:
        """Drop the oldest frames that nobody holds, down to the spare ones."""
        while len(self.decoded) - sum(frame in self.decoded for frame in self.held) > self.spare:
            del self.decoded[next(frame for frame in self.decoded if frame not in self.held)]


@frozen(eq=False)
class OffsetReader(Reader):
    """The frames of another reader from ``offset`` on."""

    reader: Reader
    offset: int

    def rows(self, frame: int, first: int, last: int) -> Array:
        return self.reader.rows(self.offset + frame, first, last)

    def window(self, frame: int, rows: Pair, columns: Pair) -> Array:
        return self.reader.window(self.offset + frame, rows, columns)

    @property
    def block(self) -> Pair | None:
        return self.reader.block

    def hold(self, frame: int) -> None:
        self.reader.hold(self.offset + frame)

    def release(self, frame: int) -> None:
        self.reader.release(self.offset + frame)
