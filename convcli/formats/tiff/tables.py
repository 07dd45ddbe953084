"""Where the strips and tiles of a page lie: its tables of offsets and sizes, the long ones read as needed.

A page of a million rows and columns can have four million tiles. As Python numbers their tables take 300 MB
and a second, in every process; a panel needs the entries of its own tiles only.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, BinaryIO, Final, cast, overload

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import ImageError
from convcli.files.input import Input

LONG: Final = 2**15
"""Entries of a table that is not read whole."""

_BLOCK: Final = 2**13  # entries that are read at once
_BLOCKS: Final = 2**6  # that are kept
OFFSETS: Final = (324, 273)  # tags, of tiles before strips
COUNTS: Final = (325, 279)
_TYPES: Final = {3: "u2", 4: "u4", 16: "u8"}
_MOST_PAGES: Final = 64
"""Pages whose tables are looked at; files with more have short ones."""

_MOST_TAGS: Final = 4096


class Table(Sequence[int]):
    """A long table in a file, of which the latest entries are kept; any thread may read it.

    Args:
        place: its offset in the file.
        kind: type of its entries.
        length: number of entries.
    """

    def __init__(self, source: Input, place: int, kind: str, length: int) -> None:
        self.source, self.place, self.kind, self.length = source, place, np.dtype(kind), length
        self.block = lru_cache(_BLOCKS)(self._read)

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, key: int) -> int: ...
    @overload
    def __getitem__(self, key: slice) -> Sequence[int]: ...
    def __getitem__(self, key: int | slice) -> int | Sequence[int]:
        if isinstance(key, slice):
            return [self[index] for index in range(*key.indices(self.length))]
        if not 0 <= key < self.length:
            raise IndexError(key)
        block, index = divmod(key, _BLOCK)
        return int(self.block(block)[index])

    def _read(self, block: int) -> Array:
        first, size = block * _BLOCK, self.kind.itemsize
        count = min(_BLOCK, self.length - first)
        data = self.source.part(self.place + first * size, count * size)
        if len(data) < count * size:
            raise ImageError("damaged tiff: it ends within a table of its strips or tiles")
        return np.frombuffer(data, self.kind)


class Tables:
    """The long tables of the first pages of a file, by the offset of the page and the tag.

    Damage is left for the reader of the pages to find.
    """

    def __init__(self, source: Input) -> None:
        self.source, self.handle = source, source.handle()
        self.found: dict[int, dict[int, Table]] = {}
        self.patches: dict[int, bytes] = {}
        head = self.handle.read(16)
        self.order = "<" if head[:2] == b"II" else ">"
        self.is_big = head[2:4] in (b"+\0", b"\0+")
        self._walk(self._number(head[8:16] if self.is_big else head[4:8]))

    def _number(self, data: bytes) -> int:
        return int.from_bytes(data, "little" if self.order == "<" else "big")

    def _walk(self, place: int) -> None:
        """Look at one page after another."""
        before, wide, field = (8, 20, 8) if self.is_big else (2, 12, 4)
        seen = set[int]()
        while place and place not in seen and len(seen) < _MOST_PAGES:
            seen.add(place)
            self.handle.seek(place)
            count = min(self._number(self.handle.read(before)), _MOST_TAGS)
            data = self.handle.read(count * wide + field)
            for start in range(0, len(data) - field - wide + 1, wide):
                self._note(place, place + before + start, data[start : start + wide])
            place = self._number(data[count * wide :])

    def _note(self, page: int, place: int, entry: bytes) -> None:
        """Remember a tag if it is a long table."""
        field = 8 if self.is_big else 4
        tag, kind, count = (self._number(entry[start:end]) for start, end in ((0, 2), (2, 4), (4, 4 + field)))
        if count < LONG or tag not in (*OFFSETS, *COUNTS) or kind not in _TYPES:
            return
        where = self._number(entry[4 + field :])
        self.found.setdefault(page, {})[tag] = Table(self.source, where, self.order + _TYPES[kind], count)
        self.patches[place + 4] = (1).to_bytes(field, "little" if self.order == "<" else "big")

    def file(self) -> BinaryIO:
        """The file as a library may read it, whose long tables seem to have a single entry."""
        self.handle.seek(0)
        return cast("BinaryIO", _Patched(self.handle, self.patches)) if self.patches else self.handle

    def apply(self, pages: Iterable[Any]) -> None:
        """Give pages that were read from `file` their long tables."""
        for page in pages:
            long = self.found.get(page.offset, {})
            page.dataoffsets = next((long[tag] for tag in OFFSETS if tag in long), page.dataoffsets)
            page.databytecounts = next((long[tag] for tag in COUNTS if tag in long), page.databytecounts)


class _Patched(io.RawIOBase):
    """A file, some bytes of which are replaced."""

    def __init__(self, file: BinaryIO, patches: Mapping[int, bytes]) -> None:
        self.under, self.patches = file, patches

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self.under.seek(offset, whence)

    def tell(self) -> int:
        return self.under.tell()

    def readinto(self, buffer: Any) -> int:
        start, view = self.under.tell(), memoryview(buffer).cast("B")
        data = self.under.read(len(view))
        view[: len(data)] = data
        for place, patch in self.patches.items():
            first, last = max(place, start), min(place + len(patch), start + len(data))
            if first < last:
                view[first - start : last - start] = patch[first - place : last - place]
        return len(data)
