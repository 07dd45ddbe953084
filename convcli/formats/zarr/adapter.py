"""Objects of a store as zarr reads and writes them. This module imports zarr."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from math import prod
from threading import Lock
from typing import Any, Final

import numpy as np
import zarr.abc.store

from convcli.core.dtypes import Array
from convcli.core.errors import ConvcliError, ImageError
from convcli.formats.zarr.facts import ArrayFacts
from convcli.formats.zarr.objects import Objects

_ABSENT: Final = np.uint64(2**64 - 1)
"""The offset and the size of a chunk that a shard does not hold."""

_INDEXES: Final = 64
"""Indexes of shards that are kept, since every window reads those of its shards."""


_REQUESTS: Final = 8
"""Requests for parts of shards at once."""

_LARGEST_REQUEST: Final = 2**24
"""Bytes of a request for chunks that follow each other."""


class ObjectStore(zarr.abc.store.Store):  # type: ignore[misc]
    """A store of one array, whose metadata documents are given.

    Args:
        objects: of the store.
        documents: that zarr sees, by key.
        most: bytes of an object of chunks.
        facts: of the array.
        writes: whether chunks are only written; none is then read, so that a shard replaces what is there.

    Attributes:
        written: bytes that were written.
        found, absent: how often an object of chunks was read, and how often it was not there.
    """

    supports_writes = True
    supports_deletes = False
    supports_listing = False

    def __init__(
        self,
        objects: Objects,
        documents: Mapping[str, bytes],
        most: int,
        facts: ArrayFacts,
        writes: bool = False,
    ) -> None:
        super().__init__(read_only=not writes)
        self.objects, self.documents, self.most, self.facts = objects, documents, most, facts
        self.writes, self.written = writes, 0
        self.found = self.absent = 0
        self.indexes: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self.ahead: dict[tuple[str, int, int], bytes] = {}
        self.changing = Lock()

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def with_read_only(self, read_only: bool = False) -> ObjectStore:
        return ObjectStore(self.objects, self.documents, self.most, self.facts, not read_only)

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        """Bytes of an object; None where there is none."""
        data = self.documents.get(key)
        if data is None and not (self.writes or key.rpartition("/")[2].startswith((".z", "zarr.json"))):
            data = await asyncio.to_thread(self._read, key, byte_range)
            with self.changing:
                self.found, self.absent = self.found + (data is not None), self.absent + (data is None)
        return None if data is None else prototype.buffer.from_bytes(data)

    def _read(self, key: str, wanted: Any) -> bytes | None:
        match wanted:
            case None:
                data = self.objects.read(key, self.most)
                if data is not None and self.facts.shards:
                    check_index(data, self.facts)
                return data
            case zarr.abc.store.SuffixByteRequest(suffix=count):
                return self._part(key, -count, count)
            case zarr.abc.store.OffsetByteRequest(offset=first):
                return self._part(key, first, self.most)
            case _:
                return self._part(key, wanted.start, wanted.end - wanted.start)

    def _part(self, key: str, first: int, count: int) -> bytes | None:
        """Part of an object, at most as much as a whole one can have; indexes are kept."""
        is_index = count == self.facts.index_size and first in (0, -count)
        with self.changing:
            if is_index and (key, first) in self.indexes:
                self.indexes.move_to_end((key, first))
                return self.indexes[key, first]
            ahead = self.ahead.get((key, first, count))
        if ahead is not None:
            return ahead
        data = self.objects.part(key, first, min(count, self.most))
        if is_index and data is not None:
            with self.changing:
                self.indexes[key, first] = data
                while len(self.indexes) > _INDEXES:
                    self.indexes.popitem(last=False)
        if data is not None and not is_index and len(data) < count:
            raise ImageError(f"damaged: its index states {count} bytes at {first}, where {len(data)} are")
        return data

    @contextmanager
    def prefetched(self, wanted: Mapping[str, Sequence[int]]) -> Iterator[None]:
        """Request the chunks of shards that zarr is about to read one after the other, several at once.

        Whatever goes wrong here happens again when zarr asks, and is reported then.

        Args:
            wanted: of each shard, by its key, the places of chunks in its index; fewer than all.
        """
        if sum(map(len, wanted.values())) < 2:
            yield
            return
        ranges = list[tuple[str, int, int, list[tuple[int, int]]]]()
        with ThreadPoolExecutor(_REQUESTS) as pool:
            for key, found in zip(wanted, pool.map(self._index, wanted), strict=True):
                ranges += [(key, *one) for one in _joined(found, wanted[key], self.most)]
            kept = [place for places in pool.map(self._fetched, ranges) for place in places]
        try:
            yield
        finally:
            with self.changing:
                for place in kept:
                    self.ahead.pop(place, None)

    def _index(self, key: str) -> Array | None:
        """The offsets and sizes of the chunks of a shard, (chunks, 2); None where there is none."""
        size, count = self.facts.index_size, prod(self.facts.per_shard)
        try:
            data = self._part(key, 0 if self.facts.index_first else -size, size)
        except ConvcliError:
            return None
        is_whole = data is not None and len(data) == size
        return np.frombuffer(data or b"", "<u8", 2 * count).reshape(-1, 2) if is_whole else None

    def _fetched(self, range_: tuple[str, int, int, list[tuple[int, int]]]) -> list[tuple[str, int, int]]:
        """Request neighboring chunks, keep them, and return their places."""
        key, first, count, chunks = range_
        try:
            data = self.objects.part(key, first, count)
        except ConvcliError:
            data = None
        if data is None or len(data) != count:
            return []
        places = [(key, start, size) for start, size in chunks]
        with self.changing:
            for place in places:
                begin = place[1] - first
                self.ahead[place] = data[begin : begin + place[2]]
        return places

    async def get_partial_values(self, prototype: Any, key_ranges: Iterable[tuple[str, Any]]) -> list[Any]:
        return [await self.get(key, prototype, wanted) for key, wanted in key_ranges]

    async def exists(self, key: str) -> bool:
        return key in self.documents

    async def set(self, key: str, value: Any) -> None:
        """Write an object, by one request."""
        data = value.to_bytes()
        await asyncio.to_thread(self.objects.folder.write, key, data)
        with self.changing:
            self.written += len(data)

    async def delete(self, key: str) -> None:
        raise NotImplementedError

    async def list(self) -> AsyncIterator[str]:
        for key in self.documents:
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        for key in self.documents:
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        async for key in self.list_prefix(prefix):
            yield key


def _joined(
    index: Array | None, wanted: Sequence[int], most: int
) -> Iterator[tuple[int, int, list[tuple[int, int]]]]:
    """(first byte, bytes, (first byte, bytes) of each chunk) of chunks of a shard that follow each other."""
    if index is None:
        return
    places = sorted((int(start), int(size)) for start, size in index[list(wanted)] if 0 < size < most)
    joined = list[tuple[int, int]]()
    for start, size in places:
        end = sum(joined[-1]) if joined else -1
        if joined and (start != end or end + size - joined[0][0] > _LARGEST_REQUEST):
            yield joined[0][0], end - joined[0][0], joined
            joined = []
        joined.append((start, size))
    if joined:
        yield joined[0][0], sum(joined[-1]) - joined[0][0], joined


def check_index(shard: bytes, facts: ArrayFacts) -> None:
    """Refuse a shard whose index leads out of it, where zarr would find fill values.

    Raises:
        ImageError: it does.
    """
    size, count = facts.index_size, prod(facts.per_shard)
    if len(shard) < size:
        raise ImageError(f"damaged: {len(shard)} bytes, but its index has {size}")
    index = np.frombuffer(shard, "<u8", 2 * count, 0 if facts.index_first else len(shard) - size)
    offsets, sizes = index[::2], index[1::2]
    there = (offsets != _ABSENT) | (sizes != _ABSENT)
    most = np.uint64(len(shard))
    if bool((there & ((offsets > most) | (sizes > most - np.minimum(offsets, most)))).any()):
        raise ImageError(f"damaged: its index states chunks beyond its {len(shard)} bytes")
