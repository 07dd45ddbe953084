"""Frames of a Zarr array, read by windows of which only the chunks that they cover are decoded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod
from threading import Lock
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.errors import ConvcliError, ImageError, StorageError, one_line, reason_of
from convcli.formats.readers import Reader
from convcli.formats.zarr.axes import ZarrAxes
from convcli.formats.zarr.documents import Located
from convcli.formats.zarr.library import path_key
from convcli.geometry.padding import Pair

_KEPT: Final = 2
"""Bands of rows that are kept for the next rows."""

_KEPT_BYTES: Final = 48 * 2**20
"""Bytes of bands that are kept, if that is more."""


class ZarrReader(Reader):
    """The selected frames of an array; any thread may read them.

    Args:
        array: of zarr.
        store: its `ObjectStore`.
        located: where it is, and what its metadata say.
        axes: what its axes stand for.
        dtype: of the pixels.
    """

    def __init__(self, array: Any, store: Any, located: Located, axes: ZarrAxes, dtype: DType) -> None:
        self.store = store
        self.array, self.located, self.axes, self.dtype = array, located, axes, dtype
        self.facts = located.facts
        self.height = self.facts.chunks[axes.rows_at]
        self.together = self._together()
        self.bands: OrderedDict[tuple[int, ...], _Band] = OrderedDict()
        self.changing = Lock()

    def _together(self) -> int:
        """Frames along the last axis of frames that are decoded at once, if they are kept together."""
        if not self.axes.frames_at:
            return 1
        each = self.facts.chunks[self.axes.frames_at[-1]]
        return each if each * self._band_bytes <= _KEPT_BYTES else 1

    @property
    def _band_bytes(self) -> int:
        """Bytes of a band of a frame."""
        return self.height * self.axes.columns * self.axes.channels * self.facts.dtype.itemsize

    @property
    def _most(self) -> int:
        """Bands that are kept."""
        return max(_KEPT, _KEPT_BYTES // (self.together * self._band_bytes))

    @property
    def memory(self) -> int:
        bands = self.axes.frames // self.together * -(-self.axes.rows // self.height)
        decoding = 2 * self.facts.size
        return self.together * self._band_bytes * min(self._most, max(bands, 1)) + decoding

    @property
    def objects_read(self) -> Pair:
        return self.store.found, self.store.absent

    @property
    def block(self) -> Pair:
        return self.height, self.facts.chunks[self.axes.columns_at]

    def rows(self, frame: int, first: int, last: int) -> Array:
        """Rows of a frame; the rows of chunks that they lie in are kept for the next call."""
        parts = []
        begin = self.axes.picked[self.axes.rows_at][0]
        for index in range((begin + first) // self.height, (begin + last - 1) // self.height + 1):
            top = max(index * self.height - begin, 0)
            bottom = min((index + 1) * self.height - begin, self.axes.rows)
            band = self._band(frame, (top, bottom))
            parts.append(band[max(first - top, 0) : last - top])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _band(self, frame: int, rows: Pair) -> Array:
        """Rows of chunks of a frame, decoded by the first thread that needs them."""
        group, number = self._frame_group(frame)
        with self.changing:
            band = self.bands.setdefault((group[0], rows[0]), _Band())
            self.bands.move_to_end((group[0], rows[0]))
            while len(self.bands) > self._most:
                self.bands.popitem(last=False)
        with band.lock:
            if band.frames is None:
                band.frames = self._frames(group, rows, (0, self.axes.columns))
        pixels: Array = band.frames[number]
        return pixels

    def _frame_group(self, frame: int) -> tuple[Pair, int]:
        """The frames that are read with one, and its place among them."""
        if self.together == 1:
            return (frame, frame + 1), 0
        axis = self.axes.frames_at[-1]
        (begin, end), index = self.axes.picked[axis], self.axes.indices(frame)[axis]
        first = max(index // self.together * self.together, begin)
        last = min((index // self.together + 1) * self.together, end)
        start = frame - (index - first)
        return (start, start + last - first), index - first

    def window(self, frame: int, rows: Pair, columns: Pair) -> Array:
        """A rectangle of a frame; every chunk that it touches is decoded once, and none is kept."""
        pixels: Array = self._frames((frame, frame + 1), rows, columns)[0]
        return pixels

    def _frames(self, frames: Pair, rows: Pair, columns: Pair) -> Array:
        """Frames that follow each other along the last axis of frames, (frames, rows, columns, channels)."""
        spans = self._spans(frames, rows, columns)
        values = self._values(spans)
        axes = self.axes
        order = [*axes.frames_at, axes.rows_at, axes.columns_at]
        order += [] if axes.channels_at is None else [axes.channels_at]
        shape = frames[1] - frames[0], rows[1] - rows[0], columns[1] - columns[0], axes.channels
        turned = np.ascontiguousarray(values.transpose(order).reshape(shape))
        return _converted(turned, self.dtype)

    def _spans(self, frames: Pair, rows: Pair, columns: Pair) -> list[Pair]:
        """What a window covers along each axis of the array."""
        spans = list(self.axes.picked)
        for axis, index in self.axes.indices(frames[0]).items():
            spans[axis] = (index, index + 1)
        if self.axes.frames_at:
            axis = self.axes.frames_at[-1]
            spans[axis] = (spans[axis][0], spans[axis][0] + frames[1] - frames[0])
        for axis, span in ((self.axes.rows_at, rows), (self.axes.columns_at, columns)):
            begin = self.axes.picked[axis][0]
            spans[axis] = (begin + span[0], begin + span[1])
        return spans

    def _values(self, spans: Sequence[Pair]) -> Array:
        """The stored values of a window, along the axes of the array."""
        try:
            return self._stored(spans)
        except StorageError:
            raise
        except Exception as error:  # of any kind
            raise self._failure(spans, error) from error

    def _stored(self, spans: Sequence[Pair]) -> Array:
        with self.store.prefetched(self._wanted(spans)):
            values: Array = self.array[tuple(slice(*span) for span in spans)]
        return values

    def _wanted(self, spans: Sequence[Pair]) -> Mapping[str, Sequence[int]]:
        """The chunks of remote shards that a window covers in part, by the key of the shard."""
        facts, wanted = self.facts, dict[str, list[int]]()
        if not facts.shards or self.store.objects.real is not None:
            return wanted
        for numbers, _ in _chunks(spans, facts.chunks, facts.shape):
            home = [at // each for at, each in zip(numbers, facts.per_shard, strict=True)]
            inner = [at % each for at, each in zip(numbers, facts.per_shard, strict=True)]
            key = path_key(self.located.array.path, facts.keys.key(home))
            wanted.setdefault(key, []).append(int(np.ravel_multi_index(inner, facts.per_shard)))
        return {key: places for key, places in wanted.items() if len(places) < prod(facts.per_shard)}

    def _failure(self, spans: Sequence[Pair], error: Exception) -> ImageError:
        """The error of the chunk that cannot be decoded, found by reading one after the other."""
        for numbers, part in _chunks(spans, self.facts.chunks, self.facts.shape):
            try:
                self._stored(part)
            except Exception as failure:  # of any kind
                home = [number * each // whole for number, each, whole in self._homes(numbers)]
                key = one_line(path_key(self.located.array.path, self.facts.keys.key(home)))
                inner = f" (its chunk {', '.join(map(str, numbers))})" if self.facts.shards else ""
                return ImageError(f"chunk {key}{inner}: {_reason(failure)}")
        return ImageError(_reason(error))

    def _homes(self, numbers: Sequence[int]) -> Iterator[tuple[int, int, int]]:
        return zip(numbers, self.facts.chunks, self.facts.objects, strict=True)


class _Band:
    """Rows of chunks that are being read, by the first that needs them."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.frames: Array | None = None


def _chunks(
    spans: Sequence[Pair], chunks: Sequence[int], shape: Sequence[int]
) -> Iterator[tuple[tuple[int, ...], list[Pair]]]:
    """The numbers of the chunks that a window touches, and what they cover."""
    for numbers in product(
        *(
            range(first // each, (last - 1) // each + 1)
            for (first, last), each in zip(spans, chunks, strict=True)
        )
    ):
        sized = zip(numbers, chunks, shape, strict=True)
        yield numbers, [(at * each, min((at + 1) * each, size)) for at, each, size in sized]


def _reason(error: Exception) -> str:
    """What is wrong with a chunk."""
    if isinstance(error, ConvcliError):
        return str(error)
    if isinstance(error, MemoryError):
        return "not enough memory to decode it"
    return f"damaged: {reason_of(error)}"


def _converted(values: Array, dtype: DType) -> Array:
    """Stored values as pixels: true is white; wide integers must fit.

    Raises:
        ImageError: a value does not fit.
    """
    if values.dtype.kind == "b":
        return np.where(values, np.uint8(255), np.uint8(0))
    if values.dtype.kind in "iu" and values.dtype.itemsize > dtype.itemsize:
        low, high = int(values.min()), int(values.max())
        info = np.iinfo(dtype)
        if low < info.min or high > info.max:
            wrong = low if low < info.min else high
            raise ImageError(
                f"the {values.dtype} value {wrong} does not fit into {dtype}, as which it is read"
            )
    return values.astype(dtype, copy=False).view(dtype)  # zarr marks the order of bytes even if it is our own
