"""Images that can only be decoded in order: decoded once, and kept while somebody reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from threading import Lock

from convcli.core.dtypes import Array
from convcli.core.errors import ImageError
from convcli.core.frozen import frozen
from convcli.formats.base import Held, Reader


class Frames:
    """Rows of frames that are decoded in order; asking for one that is gone starts over.

    Args:
        decode: yields every frame in order.
        spare: how many frames are kept that nobody holds, those decoded last.
    """

    def __init__(self, decode: Callable[[], Iterator[Array]], spare: int) -> None:
        self.decode, self.spare = decode, spare
        self.decoding, self.changing = Lock(), Lock()
        self.held: Counter[int] = Counter()
        self.kept: dict[int, Array] = {}
        self.coming, self.next = decode(), 0

    def hold(self, frame: int) -> None:
        """Keep a frame, from when it is decoded until it is released as often as it was held."""
        with self.changing:
            self.held[frame] += 1

    def release(self, frame: int) -> None:
        """Give up one hold on a frame."""
        with self.changing:
            self.held[frame] -= 1
            if not self.held[frame]:
                del self.held[frame]
            self._drop()

    def rows(self, frame: int, first: int, last: int) -> Array:
        """Rows of a frame, (rows, columns, channels).

        Raises:
            ImageError: the file is damaged, or has fewer frames than it says.
        """
        found = self.kept.get(frame)
        if found is None:
            with self.decoding:
                found = self._found(frame)
        return found[first:last]

    def _found(self, frame: int) -> Array:
        """A frame, decoded unless another thread did so meanwhile."""
        found = self.kept.get(frame)
        if found is not None:
            return found
        if frame < self.next:
            self.coming, self.next = self.decode(), 0
        for _ in range(self.next, frame):
            self._decoded()
        return self._decoded()

    def _decoded(self) -> Array:
        """The next frame."""
        try:
            picture = next(self.coming)
        except StopIteration:
            raise ImageError(f"damaged: it ends behind frame {self.next}") from None
        with self.changing:
            self.kept[self.next] = picture
            self.next += 1
            self._drop()
        return picture

    def _drop(self) -> None:
        """Forget the oldest frames that nobody holds, beyond those to spare."""
        while len(self.kept) - sum(frame in self.kept for frame in self.held) > self.spare:
            del self.kept[next(frame for frame in self.kept if frame not in self.held)]


@frozen(eq=False)
class Later:
    """The frames of a reader from ``first`` on."""

    reader: Reader
    first: int

    def rows(self, frame: int, first: int, last: int) -> Array:
        return self.reader.rows(self.first + frame, first, last)

    def hold(self, frame: int) -> None:
        if isinstance(self.reader, Held):
            self.reader.hold(self.first + frame)

    def release(self, frame: int) -> None:
        if isinstance(self.reader, Held):
            self.reader.release(self.first + frame)
