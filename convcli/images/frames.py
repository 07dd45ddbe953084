"""Pictures that can only be decoded in order, kept for as long as they are needed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from threading import Lock

from convcli.dtypes import Array
from convcli.errors import ImageError
from convcli.images.base import Reader
from convcli.values import frozen


class Frames:
    """Rows of frames; who asks for one that is gone begins anew.

    Args:
        decode: gives every frame in order.
        kept: how many are kept, of those that were decoded last.
    """

    def __init__(self, decode: Callable[[], Iterator[Array]], kept: int) -> None:
        self.decode, self.most = decode, kept
        self.lock = Lock()
        self.kept: OrderedDict[int, Array] = OrderedDict()
        self.coming, self.next = decode(), 0

    def rows(self, frame: int, first: int, last: int) -> Array:
        """Rows of a frame, (rows, columns, channels).

        Raises:
            ImageError: the file is damaged, or has fewer frames than it says.
        """
        with self.lock:
            if frame < self.next and frame not in self.kept:
                self.coming, self.next = self.decode(), 0
            while self.next <= frame:
                self._decode_next()
            return self.kept[frame][first:last]

    def _decode_next(self) -> None:
        try:
            picture = next(self.coming)
        except StopIteration:
            raise ImageError(f"damaged: it ends behind frame {self.next}") from None
        self.kept[self.next] = picture
        self.next += 1
        while len(self.kept) > self.most:
            self.kept.popitem(last=False)


@frozen(eq=False)
class Later:
    """The frames of a reader from ``first`` on."""

    reader: Reader
    first: int

    def rows(self, frame: int, first: int, last: int) -> Array:
        return self.reader.rows(self.first + frame, first, last)
