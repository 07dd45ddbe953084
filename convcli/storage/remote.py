"""One object at a URL: read whole or at random, and written whole or not at all."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, BinaryIO, Final, cast

from convcli.storage.failures import StorageError, refusals
from convcli.storage.stores import Store, check_writable, open_store

BLOCK: Final = 2**20  # bytes that a handle requests at least
_MOST_BLOCKS: Final = 2**5  # that a handle keeps
_LARGEST_REQUEST: Final = 2**4  # blocks
_READ, _WRITE = "cannot be read", "cannot be written"
_CHANGED: Final = "changed while it was being read"
_TIMES: Final = ("LastModified", "last_modified", "updated", "mtime", "created")
_STAMPS: Final = ("ETag", "etag", "generation", *_TIMES)


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
        self._data: bytes | None = None
        self._lock = Lock()
        with refusals(url, _READ):
            info = _info(url)
        self.stamp = _stamp(info)
        size = info.get("size")
        if size is None or info.get("partial") is False:
            self._data = self.read()
        self.size = len(self._data) if self._data is not None else int(size or 0)

    def part(self, offset: int, count: int) -> bytes:
        """``count`` bytes from ``offset`` on, fewer where the object ends."""
        stop = min(offset + count, self.size)
        if stop <= offset:
            return b""
        if self._data is not None:
            return self._data[offset:stop]
        with refusals(self.url, _READ):
            store, path = open_store(self.url)
            data = store.part(path, offset, stop)
        if len(data) == self.size != stop - offset:  # the server sent all of it
            self._data = data
            return data[offset:stop]
        if len(data) != stop - offset:
            raise StorageError(self.url, "", _CHANGED)
        return data

    def parts(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """What `part` returns for each offset and count, requested at the same time."""
        ends = [(offset, min(offset + count, self.size)) for offset, count in ranges]
        if self._data is not None or any(stop <= start for start, stop in ends):
            return [self.part(*each) for each in ranges]
        with refusals(self.url, _READ):
            store, path = open_store(self.url)
            found = store.parts(path, ends)
        if any(len(data) != stop - start for data, (start, stop) in zip(found, ends, strict=True)):
            return [self.part(*each) for each in ranges]
        return found

    def read(self) -> bytes:
        """All bytes.

        Raises:
            StorageError: they are more than ``largest``.
        """
        with self._lock:
            if self._data is not None:
                return self._data
            with refusals(self.url, _READ):
                store, path = open_store(self.url)
                return store.read(path, self.largest)

    def handle(self) -> BinaryIO:
        """A file object at its beginning, for libraries that need one; it keeps the latest blocks."""
        return cast("BinaryIO", io.BufferedReader(_Blocks(self), BLOCK // 4))

    @property
    def is_unchanged(self) -> bool:
        """Whether the object is still the one that was opened, as far as the store says."""
        with refusals(self.url, _READ):
            return _stamp(_info(self.url)) == self.stamp


def _info(url: str) -> dict[str, Any]:
    store, path = open_store(url)
    info = store.info(path)
    if info.get("type") == "directory":
        raise IsADirectoryError(url)
    return info


def _stamp(info: dict[str, Any]) -> tuple[str, ...]:
    """What tells one state of an object from another: its size, and its ETag or time."""
    return str(info.get("size")), *(str(info[name]) for name in _STAMPS if info.get(name))


class _Blocks(io.RawIOBase):
    """An object as a file that keeps the latest blocks; reading on from block to block asks for more."""

    def __init__(self, source: RemoteFile) -> None:
        self.source, self.offset, self.ahead, self.last = source, 0, 1, -1
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
