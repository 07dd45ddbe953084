"""One object at a URL: read whole or at random, and written whole or not at all."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, BinaryIO, Final, cast

from convcli.core.errors import StorageError
from convcli.storage.failures import NoPartsError, refusals
from convcli.storage.stores import Store, check_writable, open_store, stamp_of, too_large

WHOLE: Final = 2**21  # bytes of an object that is read by one request
BLOCK: Final = 2**20  # bytes that a handle requests at least
_REQUEST, _REQUESTS_AT_ONCE = 2**24, 4  # bytes, and how many, where all of an object is read
_MOST_BLOCKS: Final = 2**5  # that a handle keeps
_LARGEST_REQUEST: Final = 2**4  # blocks
_READ, _WRITE = "cannot be read", "cannot be written"
_CHANGED: Final = "changed while it was being read"


class RemoteFile:
    """An object that can be read at any offset, by any thread.

    A server that cannot send parts sends all, which are kept.

    Args:
        url: of the object.
        largest: bytes of the largest object that is kept whole.

    Raises:
        StorageError: there is none, or it cannot be read.
    """

    def __init__(self, url: str, largest: int) -> None:
        self.url, self.largest = url, largest
        with refusals(url, _READ):
            info = _info(url)
        self.stamp, size = stamp_of(info), info.get("size")
        self.has_parts = size is not None and info.get("partial") is not False
        self._data = None if self.has_parts else self._whole(size)
        self.size = int(size or 0) if self._data is None else len(self._data)

    def part(self, offset: int, count: int) -> bytes:
        """``count`` bytes from ``offset`` on, fewer where the object ends."""
        return self.parts([(offset, count)])[0]

    def parts(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """What `part` returns for each offset and count, requested at the same time."""
        ends = [(offset, max(min(offset + count, self.size), offset)) for offset, count in ranges]
        data = self._data
        if data is None and self.size <= WHOLE and any(start < stop for start, stop in ends):
            (data,) = self._requested([(0, self.size)])
            self._data = data
        if data is not None:
            return [data[start:stop] for start, stop in ends]
        wanted = [(start, stop) for start, stop in ends if start < stop]
        try:
            found = iter(self._requested(wanted) if wanted else [])
        except NoPartsError:
            self.has_parts, self._data = False, self._whole(self.size)
            return self.parts(ranges)
        return [next(found) if start < stop else b"" for start, stop in ends]

    def _requested(self, ranges: list[tuple[int, int]]) -> list[bytes]:
        """The bytes from each start to before each stop; none of them is empty."""
        store, path = open_store(self.url)
        with refusals(self.url, _READ):
            found = [store.part(path, *ranges[0])] if len(ranges) == 1 else store.parts(path, ranges)
        if [len(data) for data in found] != [stop - start for start, stop in ranges]:
            raise StorageError(self.url, _CHANGED)
        return found

    def read(self) -> bytes:
        """All bytes.

        Raises:
            StorageError: they are more than ``largest``.
        """
        if self._data is not None:
            return self._data
        if self.size > self.largest:
            raise StorageError(self.url, too_large(self.largest))
        whole = bytearray(self.size)
        starts = range(0, self.size, _REQUEST)
        for first in range(0, len(starts), _REQUESTS_AT_ONCE):
            ranges = [(start, _REQUEST) for start in starts[first : first + _REQUESTS_AT_ONCE]]
            for (start, _), data in zip(ranges, self.parts(ranges), strict=True):
                whole[start : start + len(data)] = data
        return bytes(whole) if len(starts) > 1 else self._data or bytes(whole)

    def _whole(self, size: int | None) -> bytes:
        """All bytes, by one request.

        Args:
            size: as the server says; None if it does not.
        """
        if size is not None and size > self.largest:
            raise StorageError(self.url, too_large(self.largest))
        with refusals(self.url, _READ):
            store, path = open_store(self.url)
            return store.read(path, self.largest)

    def handle(self) -> BinaryIO:
        """A file object at its beginning, for libraries that need one; it keeps the latest blocks."""
        return cast("BinaryIO", io.BufferedReader(_Blocks(self), BLOCK // 4))

    def forget(self) -> None:
        """Drop the bytes that are kept, where they can be requested again."""
        if self.has_parts:
            self._data = None

    def close(self) -> None:
        """Nothing stays open."""

    @property
    def identity(self) -> str:
        """The size, and what the store says of the version."""
        return "-".join([str(self.size), *self.stamp])

    @property
    def is_unchanged(self) -> bool:
        """Whether the object is still the one that was opened, as far as the store says."""
        with refusals(self.url, _READ):
            return stamp_of(_info(self.url)) == self.stamp


def _info(url: str) -> dict[str, Any]:
    store, path = open_store(url)
    info = store.info(path)
    if info.get("type") == "directory":
        raise StorageError(url, "is a folder; choose an image in it, or use convcli batch")
    return info


def state_of(url: str) -> tuple[int, int, str]:
    """The size of an object, the time of its last change in nanoseconds (0 if unknown), and its ETag or time.

    Raises:
        StorageError: there is none, or it cannot be read.
    """
    with refusals(url, _READ):
        info = _info(url)
    changed = next((time for time in info.values() if isinstance(time, datetime)), None)
    nanoseconds = round(changed.timestamp()) * 10**9 if changed is not None else 0
    _, *stamps = stamp_of(info)
    return int(info.get("size") or 0), nanoseconds, f"etag:{stamps[0]}" if stamps else ""


class _Blocks(io.RawIOBase):
    """An object as a file that keeps the latest blocks; reading on from block to block asks for more."""

    def __init__(self, source: RemoteFile) -> None:
        self.source, self.offset, self.ahead, self.last = source, 0, 1, -2
        self.blocks: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.offset

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self.offset, io.SEEK_END: self.source.size}[whence]
        if start + offset < 0:
            raise OSError("negative seek position")
        self.offset = start + offset
        return self.offset

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        block, start = divmod(self.offset, BLOCK)
        if self.offset >= self.source.size or not len(view):
            return 0
        data = self._block(block, -(-(start + len(view)) // BLOCK))[start : start + len(view)]
        view[: len(data)] = data
        self.offset += len(data)
        return len(data)

    def _block(self, block: int, wanted: int) -> bytes:
        """A block; of those that follow, as many as are ``wanted`` or likely to be are fetched with it."""
        if block not in self.blocks:
            self.ahead = min(2 * self.ahead, _LARGEST_REQUEST) if block == self.last + 1 else 1
            count = max(self.ahead, min(wanted, _LARGEST_REQUEST))
            data = self.source.part(block * BLOCK, count * BLOCK)
            for number in range(-(-len(data) // BLOCK)):
                self.blocks[block + number] = data[number * BLOCK : (number + 1) * BLOCK]
                self.last = block + number
            while len(self.blocks) > _MOST_BLOCKS:
                self.blocks.popitem(last=False)
        self.blocks.move_to_end(block)
        return self.blocks[block]


def write_object(url: str, data: bytes, exclusive: bool) -> None:
    """Write an object, whole or not at all.

    Args:
        exclusive: replace none.

    Raises:
        FileExistsError: there is one, and ``exclusive`` is on.
        StorageError: the store refuses.
    """
    _write(url, lambda store, path: store.write(path, data, exclusive))


def upload(url: str, local: str, exclusive: bool) -> None:
    """Write an object from a local file, as `write_object` does; a large one by several parts."""
    _write(url, lambda store, path: store.upload(path, local, exclusive))


def _write(url: str, write: Callable[[Store, str], None]) -> None:
    check_writable(url)
    existing: FileExistsError | None = None
    with refusals(url, _WRITE):
        store, path = open_store(url)
        try:
            write(store, path)
        except FileExistsError as error:
            existing = error
    if existing is not None:
        raise existing
