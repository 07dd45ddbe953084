"""Arrays that are written by several workers, each of which writes whole objects.

An object, a shard of several chunks or a single chunk, has exactly one writer, so that no writer has to read
what another one wrote. It appears complete or not at all, and every one is written, even if all its values
are 0; so an object that is missing was not computed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from math import prod
from threading import Lock, local
from typing import Any, Final, Self

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import ConvcliError, ImageError, OutputError, one_line, reason_of
from convcli.files.stores import MARKERS
from convcli.formats.zarr.documents import STATE, Node, is_complete, node_at
from convcli.formats.zarr.library import check_installed, opened_array, path_key
from convcli.formats.zarr.objects import Objects
from convcli.formats.zarr.spec import ArraySpec
from convcli.geometry.padding import Pair
from convcli.storage.urls import is_url

_AT_ONCE: Final = 2**26
"""Bytes of values that are handed to zarr at once, which encodes and sends several objects side by side."""

Numbers = tuple[int, ...]
"""The number of an object along each axis."""


class ZarrTarget:
    """An array that exists and is being written; any thread may write.

    Attributes:
        written: bytes of the objects that this instance wrote.
    """

    def __init__(self, place: str, spec: ArraySpec) -> None:
        self.place, self.spec = place, spec
        self.objects = Objects(place)
        self.facts, self.axes = spec.facts(), spec.axes()
        self.dtype = self.facts.dtype.newbyteorder("=")
        self.written = 0
        self.counting = Lock()
        self.arrays = local()

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
        check_installed()
        target = cls(place, spec)
        if force:
            target._clear()
        target._make({**spec.attributes, STATE: {"complete": False}})
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

    @classmethod
    def found(cls, place: str, spec: ArraySpec) -> Self | None:
        """The array that `create` made, or None where nothing or another array is."""
        try:
            return cls.open(place, spec)
        except OutputError:
            return None

    def remove(self) -> None:
        """Delete the array, with the store that holds it."""
        self.objects.folder.remove()

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
            return [*documents, (path_key(spec.path, "zarr.json"), {**spec.array, "attributes": attributes})]
        array = path_key(spec.path, ".zarray")
        return [*documents, (array, spec.array), (path_key(spec.path, ".zattrs"), attributes)]

    def _make(self, attributes: Mapping[str, Any]) -> None:
        """Write all metadata; that of the root decides who made the array."""
        for first, (key, document) in enumerate(self._documents(attributes)):
            data = _json(document)
            if first == 0:
                if not self.objects.folder.create(key, data):
                    raise OutputError(f"{one_line(self.place)}: exists already; replace it with --force")
            else:
                self.objects.folder.write(key, data)

    def _clear(self) -> None:
        """Delete what is there, if it is Zarr."""
        folder = self.objects.folder
        if _is_other(folder.place):
            raise OutputError(
                f"{one_line(self.place)}: a file or a link, so that it is not replaced; choose another place"
            )
        if any(folder.part(marker, 0, 1) is not None for marker in MARKERS):
            folder.remove()
        elif folder.exists:
            raise OutputError(
                f"{one_line(self.place)}: not Zarr, so that it is not replaced; choose another place"
            )

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
        written = 0
        for _, group in groupby(sorted(range(*frames), key=self._home), key=self._home):
            chosen = list(group)
            planes = pixels[_selection([frame - frames[0] for frame in chosen])]
            for left in range(*columns, self._wide(len(chosen) * (rows[1] - rows[0]))):
                span = left, min(left + self._wide(len(chosen) * (rows[1] - rows[0])), columns[1])
                part = planes[:, :, span[0] - columns[0] : span[1] - columns[0]]
                written += self._put(self._region(chosen, rows, span), part)
        with self.counting:
            self.written += written
        return written

    def _wide(self, rows: int) -> int:
        """Columns of whole objects that are written at once."""
        wide = self.facts.objects[self.axes.columns_at]
        each = rows * wide * self.axes.channels * self.dtype.itemsize
        return wide * max(_AT_ONCE // each, 1)

    def _region(self, frames: Sequence[int], rows: Pair, columns: Pair) -> list[Pair]:
        """What frames of one block cover along each axis of the array."""
        spans = list(self.axes.picked)
        low, high = self.axes.indices(frames[0]), self.axes.indices(frames[-1])
        for axis in self.axes.frames_at:
            spans[axis] = low[axis], high[axis] + 1
        spans[self.axes.rows_at], spans[self.axes.columns_at] = rows, columns
        return spans

    def _put(self, spans: Sequence[Pair], part: Array) -> int:
        """Write a region of whole objects, and return their bytes.

        Args:
            spans: along each axis of the array.
            part: (frames, rows, columns, channels).
        """
        axes = self.axes
        order = [*axes.frames_at, axes.rows_at, axes.columns_at]
        order += [] if axes.channels_at is None else [axes.channels_at]
        sizes = [spans[axis][1] - spans[axis][0] for axis in order]
        array, store = self._array()
        before = store.written
        try:
            array[tuple(slice(*span) for span in spans)] = part.reshape(sizes).transpose(np.argsort(order))
        except ConvcliError:
            raise
        except MemoryError:
            raise
        except Exception as error:  # of any kind
            raise OutputError(f"{one_line(self.place)}: cannot be written: {reason_of(error)}") from error
        return int(store.written - before)

    def _array(self) -> tuple[Any, Any]:
        """The array of zarr for the calling thread, and its store, which counts what it writes."""
        if not hasattr(self.arrays, "opened"):
            self.arrays.opened = opened_array(
                self.objects, self.spec.path, self.spec.array, self.facts, writes=True
            )
        opened: tuple[Any, Any] = self.arrays.opened
        return opened

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
        if not whole or pixels.shape != shape or pixels.dtype != self.dtype:
            region = f"frames {frames}, rows {rows}, columns {columns} of {pixels.dtype} {pixels.shape}"
            raise OutputError(f"{one_line(self.place)}: {region} are not whole objects of {self.shard}")

    def missing(self) -> Iterator[str]:
        """The keys of the objects that are not there, in order."""
        there = np.zeros(self.facts.grid, np.bool_)
        keys, prefix = self.facts.keys, self.spec.path
        for key in self.objects.folder.names(f"{prefix}/" if prefix else ""):
            numbers = keys.numbers(key.removeprefix(f"{prefix}/") if prefix else key, self.facts.grid)
            if numbers is not None:
                there[numbers] = True
        for place in np.argwhere(~there):
            yield path_key(prefix, keys.key(place.tolist()))

    def sweep(self) -> int:
        """Delete what killed writers left behind, while nobody writes.

        Returns:
            How many objects were deleted.
        """
        return self.objects.folder.sweep()

    def regroup(self, attributes: Mapping[str, Any]) -> None:
        """Replace the attributes of the group."""
        (key, document), *_ = self._documents(self.spec.attributes)
        if self.spec.zarr_format == 3:
            self.objects.folder.write(key, _json({**document, "attributes": attributes}))
        else:
            self.objects.folder.write(".zattrs", _json(attributes))

    def complete(self, attributes: Mapping[str, Any] | None = None) -> None:
        """State that every object is there, after `missing` found none.

        Args:
            attributes: how it was made, which is stated beside it.
        """
        self._state({**(attributes or {}), "complete": True})

    def reopen(self) -> None:
        """State that objects may be missing or old, before `complete` is called again."""
        self._state({"complete": False})

    def _state(self, state: Mapping[str, Any]) -> None:
        key, document = self._documents({**self.spec.attributes, STATE: state})[-1]
        self.objects.folder.write(key, _json(document))

    @property
    def state(self) -> Mapping[str, Any]:
        """What the array states about how it was made."""
        node = self._node()
        state = node.attributes.get(STATE) if node is not None else None
        return state if isinstance(state, Mapping) else {}

    @property
    def is_complete(self) -> bool:
        """Whether `complete` was called."""
        node = self._node()
        return node is not None and is_complete(node.attributes)


def _is_other(place: str) -> bool:
    """Whether a place has something that is no folder, such as a file or a link."""
    is_folder = os.path.isdir(place) and not os.path.islink(place)  # noqa: PTH112, PTH114
    return not is_url(place) and os.path.lexists(place) and not is_folder


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
