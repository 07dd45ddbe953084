"""Chunks of an array, found in their objects and decoded one by one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import ImageError, one_line
from convcli.formats.zarr.documents import key_in
from convcli.formats.zarr.facts import ArrayFacts
from convcli.formats.zarr.objects import Objects

_ABSENT: Final = 2**64 - 1
"""The offset and the size of a chunk that a shard does not hold."""

_INDEXES: Final = 64
"""Indexes of shards that are kept."""

_MOST_INDEX_BYTES: Final = 2**25

Numbers = tuple[int, ...]
"""The number of a chunk along each axis."""


class Chunks:
    """The chunks of one array; any thread may read them."""

    def __init__(self, objects: Objects, path: str, facts: ArrayFacts) -> None:
        self.objects, self.path, self.facts = objects, path, facts
        self.chain = facts.chain()
        self.index_chain = facts.index_chain() if facts.shards else None
        self.indexes: OrderedDict[Numbers, Array | None] = OrderedDict()
        self.changing = Lock()
        self.dtype = facts.dtype.newbyteorder("=")

    def key(self, numbers: Sequence[int]) -> str:
        """The key of an object."""
        return key_in(self.path, self.facts.keys.key(numbers))

    def read(self, numbers: Numbers) -> Array | None:
        """The values of a chunk, of the shape of every chunk; None where it is missing, so that all are fill.

        Raises:
            ImageError: naming the object of a chunk that is damaged.
        """
        home = tuple(number // each for number, each in zip(numbers, self.facts.per_shard, strict=True))
        key = self.key(home)
        try:
            data = self._data(numbers, home, key)
            if data is None:
                return None
            return self.chain.decode(data)
        except ImageError as error:
            inner = f" (chunk {numbers})" if self.facts.shards else ""
            raise ImageError(f"chunk {one_line(key)}{inner}: {error}") from error

    def _data(self, numbers: Numbers, home: Numbers, key: str) -> bytes | None:
        if self.index_chain is None:
            return self.objects.read(key)
        index = self._index(home, key)
        if index is None:
            return None
        inner = tuple(number % each for number, each in zip(numbers, self.facts.per_shard, strict=True))
        offset, count = (int(value) for value in index[inner])
        if offset == count == _ABSENT:
            return None
        if max(offset, count) >= 2**63:
            raise ImageError(f"damaged index: {count} bytes at {offset}")
        data = self.objects.read(key, offset, count)
        if data is None or len(data) < count:
            raise ImageError(f"damaged index: {count} bytes at {offset}, where {len(data or b'')} are")
        return data

    def _index(self, home: Numbers, key: str) -> Array | None:
        """(offset, bytes) of each chunk of a shard; None where there is no shard."""
        with self.changing:
            if home in self.indexes:
                self.indexes.move_to_end(home)
                return self.indexes[home]
        index = self._read_index(key)
        with self.changing:
            self.indexes[home] = index
            most = max(min(_INDEXES, _MOST_INDEX_BYTES // max(self.index_bytes, 1)), 1)
            while len(self.indexes) > most:
                self.indexes.popitem(last=False)
        return index

    @property
    def index_bytes(self) -> int:
        """Bytes of the index of a shard in memory."""
        return self.index_chain.size if self.index_chain else 0

    def _read_index(self, key: str) -> Array | None:
        assert self.index_chain
        size = self.index_chain.size + 4 * len(self.facts.index_codecs)
        first = 0 if self.facts.index_first else -size
        data = self.objects.read(key, first, size)
        if data is None:
            return None
        if len(data) < size:
            raise ImageError(f"damaged: it ends within its index, at {len(data)} of {size} bytes")
        return self.index_chain.decode(data)

    def filled(self, shape: Sequence[int]) -> Array:
        """Values of missing chunks."""
        return np.full(shape, self.facts.fill, self.dtype)
