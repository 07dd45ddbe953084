"""Arrays that are written by several workers, each of which writes whole objects.

An object, a shard of several chunks or a single chunk, has exactly one writer, so that no writer has to read
what another one wrote. It appears complete or not at all, and every one is written, even if all its values
are 0; so an object that is missing was not computed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise, product
from math import prod
from threading import Lock
from typing import Any, Final, Self

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import ImageError, OutputError, one_line
from convcli.formats.zarr.chunks import Numbers
from convcli.formats.zarr.documents import Node, key_in, node_at
from convcli.formats.zarr.facts import object_numbers
from convcli.formats.zarr.objects import Objects, opened_objects
from convcli.formats.zarr.spec import ArraySpec
from convcli.geometry.padding import Pair

_ABSENT: Final = 2**64 - 1
_STATE: Final = "convcli"
"""The attribute that says whether an array is complete."""
_PARTIAL: Final = ".partial"


class ZarrTarget:
    """An array that exists and is being written; any thread may write.

    Attributes:
        written: bytes of the objects that this instance wrote.
    """

    def __init__(self, place: str, spec: ArraySpec) -> None:
        self.place, self.spec = place, spec
        self.objects: Objects = opened_objects(place)
        self.facts, self.axes = spec.facts(), spec.axes()
        self.chain = self.facts.chain()
        self.index_chain = self.facts.index_chain() if self.facts.shards else None
        self.written = 0
        self.counting = Lock()

    @classmethod
    def create(cls, place: str, spec: ArraySpec, force: bool = False) -> Self:
        """Make an array without values.

        Args:
            place: the folder or URL of the store.
            spec: what it is to be.
            force: whether an array that is there may be deleted.

        Raises:
            OutputError: something is there already, or it cannot be made.
        """
        target = cls(place, spec)
        if force:
            target._clear()
        target._make({**spec.attributes, _STATE: {"complete": False}})
        return target

    @classmethod
    def open(cls, place: str, spec: ArraySpec) -> Self:
        """The array that `create` made.

        Raises:
            OutputError: it is not there, or another one is.
        """
        target = cls(place, spec)
        node = target._node()
        if node is None:
            raise OutputError(f"{one_line(place)}: there is no such array; it must be created first")
        document = {key: value for key, value in node.document.items() if key != "attributes"}
        if document != json.loads(json.dumps(dict(spec.array))):
            raise OutputError(f"{one_line(place)}: another array than expected; it was replaced meanwhile")
        return target

    def _node(self) -> Node | None:
        try:
            return node_at(self.objects, self.spec.path)
        except ImageError as error:
            raise OutputError(f"{one_line(self.place)}: {error}") from error

    def _documents(self, attributes: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
        """(key, document) of all metadata, that of the root first."""
        spec, documents = self.spec, list[tuple[str, Mapping[str, Any]]]()
        if spec.path and spec.group is not None:
            if spec.zarr_format == 3:
                group = {"zarr_format": 3, "node_type": "group", "attributes": spec.group}
                documents.append(("zarr.json", group))
            else:
                documents += [(".zgroup", {"zarr_format": 2}), (".zattrs", spec.group)]
        if spec.zarr_format == 3:
            return [*documents, (key_in(spec.path, "zarr.json"), {**spec.array, "attributes": attributes})]
        array = key_in(spec.path, ".zarray")
        return [*documents, (array, spec.array), (key_in(spec.path, ".zattrs"), attributes)]

    def _make(self, attributes: Mapping[str, Any]) -> None:
        """Write all metadata; that of the root decides who made the array."""
        for first, (key, document) in enumerate(self._documents(attributes)):
            data = _json(document)
            if first == 0:
                if not self.objects.create(key, data):
                    raise OutputError(f"{one_line(self.place)}: exists already; replace it with --force")
            else:
                self.objects.write(key, data)

    def _clear(self) -> None:
        """Delete what is there, if it is Zarr."""
        found = list(self.objects.listed())
        markers = [key for key in found if key.rpartition("/")[2] in ("zarr.json", ".zarray", ".zgroup")]
        if found and not markers:
            raise OutputError(f"{one_line(self.place)}: not a Zarr, and not replaced; choose another place")
        for key in [*(key for key in found if key not in markers), *markers]:
            self.objects.delete(key)

    @property
    def shard(self) -> tuple[int, int, int]:
        """(frames, rows, columns) of what one writer must write at once."""
        rows, columns = self.facts.objects[self.axes.rows_at], self.facts.objects[self.axes.columns_at]
        return self._deep[1], rows, columns

    @property
    def group(self) -> int:
        """Frames after which blocks of frames begin anew; the last block of a group may be shorter."""
        return self._deep[0]

    @property
    def _deep(self) -> Pair:
        """(frames of a group, frames of a block).

        Frames of one object need not follow each other where several axes of frames have chunks; all frames
        between them belong to the block.
        """
        for place, axis in enumerate(self.axes.frames_at):
            if self.facts.objects[axis] > 1:
                inner = prod(self.axes.frame_sizes[place + 1 :])
                size = self.axes.sizes[axis]
                return inner * size, inner * min(self.facts.objects[axis], size)
        return self.axes.frames, 1

    def frame_block(self, frame: int) -> Pair:
        """The frames (first, past the last) that must be written together with one."""
        group, block = self._deep
        begin = frame // group * group
        first = begin + (frame - begin) // block * block
        return first, min(first + block, begin + group)

    def write(self, frames: Pair, rows: Pair, columns: Pair, pixels: Array) -> int:
        """Write whole objects; writing them again changes nothing.

        Args:
            frames, rows, columns: (first, past the last), at edges of objects.
            pixels: (frames, rows, columns, channels) of the type of the array.

        Returns:
            The bytes that the objects take.

        Raises:
            OutputError: the region is not one of whole objects, or writing failed.
        """
        self._check_region(frames, rows, columns, pixels)
        _, high, wide = self.shard
        written = 0
        deep = (
            self.axes.channels if self.axes.channels_at is None else self.facts.objects[self.axes.channels_at]
        )
        corners = list(product(range(*rows, high), range(*columns, wide), range(0, self.axes.channels, deep)))
        for home, group in groupby(sorted(range(*frames), key=self._home), key=self._home):
            planes = pixels[_selection([frame - frames[0] for frame in group])]
            for top, left, channel in corners:
                part = planes[:, top - rows[0] :, left - columns[0] :, channel : channel + deep][
                    :, :high, :wide
                ]
                written += self._write_object(home, (top, left, channel), part)
        with self.counting:
            self.written += written
        return written

    def _home(self, frame: int) -> Numbers:
        """The numbers of the object of a frame along the axes of frames."""
        indices = self.axes.indices(frame)
        return tuple(indices[axis] // self.facts.objects[axis] for axis in self.axes.frames_at)

    def _check_region(self, frames: Pair, rows: Pair, columns: Pair, pixels: Array) -> None:
        axes = self.axes
        shape = (*(last - first for first, last in (frames, rows, columns)), axes.channels)
        whole = (
            _is_whole(rows, self.shard[1], axes.rows)
            and _is_whole(columns, self.shard[2], axes.columns)
            and self.frame_block(frames[0])[0] == frames[0]
            and self.frame_block(frames[1] - 1)[1] == frames[1]
        )
        if not whole or pixels.shape != shape or pixels.dtype != self.chain.dtype.newbyteorder("="):
            region = f"frames {frames}, rows {rows}, columns {columns} of {pixels.dtype} {pixels.shape}"
            raise OutputError(f"{one_line(self.place)}: {region} are not whole objects of {self.shard}")

    def _write_object(self, home: Numbers, corner: tuple[int, int, int], part: Array) -> int:
        """Encode and write one object; returns its bytes.

        Args:
            home: its numbers along the axes of frames.
            corner: its first row, column and channel.
            part: (frames, rows, columns, channels), less at the edges of the array.
        """
        axes, numbers = self.axes, [0] * len(self.axes.sizes)
        for axis, number in zip(axes.frames_at, home, strict=True):
            numbers[axis] = number
        placed = [
            axes.rows_at,
            axes.columns_at,
            *([axes.channels_at] if axes.channels_at is not None else []),
        ]
        for axis, first in zip(placed, corner, strict=False):
            numbers[axis] = first // self.facts.objects[axis]
        data = self.encoded(self._arranged(numbers, part))
        key = key_in(self.spec.path, self.facts.keys.key(numbers))
        self.objects.write(key, data)
        return len(data)

    def _arranged(self, numbers: Sequence[int], part: Array) -> Array:
        """The part with the axes of the array."""
        axes = self.axes
        order = [*axes.frames_at, axes.rows_at, axes.columns_at]
        order += [] if axes.channels_at is None else [axes.channels_at]
        spans = [
            min(each, size - number * each)
            for number, each, size in zip(numbers, self.facts.objects, axes.sizes, strict=True)
        ]
        return part.reshape([spans[axis] for axis in order]).transpose(np.argsort(order))

    def encoded(self, values: Array) -> bytes:
        """The bytes of an object; less than its shape is filled up."""
        if self.index_chain is None:
            return self.chain.encode(self._padded(values))
        return self._encoded_shard(values)

    def _padded(self, values: Array) -> Array:
        if values.shape == self.facts.chunks:
            return values
        padded = np.full(self.facts.chunks, self.facts.fill, values.dtype)
        padded[tuple(slice(size) for size in values.shape)] = values
        return padded

    def _encoded_shard(self, values: Array) -> bytes:
        """Chunks one after the other, then their index; chunks of fill values are left out."""
        assert self.index_chain
        facts = self.facts
        index = np.full((*facts.per_shard, 2), _ABSENT, np.uint64)
        parts: list[bytes] = []
        offset = 0
        for number in object_numbers(facts.per_shard):
            part = values[
                tuple(
                    slice(at * each, (at + 1) * each) for at, each in zip(number, facts.chunks, strict=True)
                )
            ]
            if not part.size or not (part != facts.fill).any():
                continue
            data = self.chain.encode(self._padded(part))
            index[number] = offset, len(data)
            parts.append(data)
            offset += len(data)
        return b"".join([*parts, self.index_chain.encode(index)])

    def missing(self) -> Iterator[str]:
        """The keys of the objects that are not there, in order."""
        there = np.zeros(self.facts.grid, np.bool_)
        keys, prefix = self.facts.keys, self.spec.path
        for key in self.objects.listed(prefix):
            numbers = self._numbers(key.removeprefix(f"{prefix}/") if prefix else key)
            if numbers is not None:
                there[numbers] = True
        for place in np.argwhere(~there):
            yield key_in(prefix, keys.key(place.tolist()))

    def _numbers(self, key: str) -> Numbers | None:
        """The numbers of the object of a key, or None for another one."""
        keys, grid = self.facts.keys, self.facts.grid
        words = key.split(keys.separator)
        if keys.prefix and words[0] == keys.prefix:
            words = words[1:]
        elif keys.prefix:
            return None
        if len(words) != len(grid) or not all(word.isdecimal() and len(word) < 16 for word in words):
            return None
        numbers = tuple(int(word) for word in words)
        return numbers if all(at < count for at, count in zip(numbers, grid, strict=True)) else None

    def sweep(self) -> int:
        """Delete what killed writers left behind, while nobody writes.

        Returns:
            How many objects were deleted.
        """
        left = [key for key in self.objects.listed() if key.endswith(_PARTIAL)]
        for key in left:
            self.objects.delete(key)
        return len(left)

    def complete(self, attributes: Mapping[str, Any] | None = None) -> None:
        """State that every object is there, after `missing` found none.

        Args:
            attributes: further attributes of the array.
        """
        stated = {**self.spec.attributes, **(attributes or {}), _STATE: {"complete": True}}
        key, document = self._documents(stated)[-1]
        self.objects.write(key, _json(document))

    @property
    def is_complete(self) -> bool:
        """Whether `complete` was called."""
        node = self._node()
        return node is not None and is_complete(node.attributes)


def is_complete(attributes: Mapping[str, Any]) -> bool:
    """Whether the attributes of an array do not say that it is still being written."""
    state = attributes.get(_STATE)
    return not isinstance(state, Mapping) or state.get("complete") is not False


def _is_whole(span: Pair, each: int, size: int) -> bool:
    """Whether a span covers whole objects along an axis."""
    first, last = span
    return 0 <= first < last <= size and first % each == 0 and (last % each == 0 or last == size)


def _selection(places: Sequence[int]) -> slice | list[int]:
    """A slice, which copies nothing, where places are evenly spaced."""
    steps = {later - earlier for earlier, later in pairwise(places)}
    if len(steps) > 1:
        return list(places)
    return slice(places[0], places[-1] + 1, *steps)


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=2).encode()
