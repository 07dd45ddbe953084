"""Frames of a Zarr array, read by windows of which only the chunks that they cover are decoded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from math import prod
from threading import Condition
from typing import Final

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.errors import ImageError
from convcli.formats.readers import Reader
from convcli.formats.zarr.axes import ZarrAxes
from convcli.formats.zarr.chunks import Chunks, Numbers
from convcli.geometry.padding import Pair

KEPT: Final = 48 * 2**20
"""Bytes of decoded chunks that are kept for the next rows, at least those of two rows of chunks."""

Read = Callable[[Numbers], Array | None]


class ZarrReader(Reader):
    """The selected frames of an array.

    Args:
        chunks: of the array.
        axes: what its axes stand for.
        dtype: of the pixels.
    """

    def __init__(self, chunks: Chunks, axes: ZarrAxes, dtype: DType) -> None:
        self.chunks, self.axes, self.dtype = chunks, axes, dtype
        self.shapes = chunks.facts.chunks
        self.each = prod(self.shapes) * chunks.facts.dtype.itemsize
        self.kept = _Kept(chunks.read, self._most())

    def _most(self) -> int:
        """Chunks that are kept: two rows of them."""
        axes = [axis for axis in (self.axes.columns_at, self.axes.channels_at) if axis is not None]
        across = prod(-(-self.axes.sizes[axis] // self.shapes[axis]) for axis in axes)
        return max(2 * across, KEPT // self.each)

    @property
    def memory(self) -> int:
        every = prod(-(-size // each) for size, each in zip(self.axes.sizes, self.shapes, strict=True))
        return self.each * (min(self.kept.most, every) + 1)

    @property
    def block(self) -> Pair:
        return self.shapes[self.axes.rows_at], self.shapes[self.axes.columns_at]

    def rows(self, frame: int, first: int, last: int) -> Array:
        """Rows of a frame; the chunks that they lie in are kept for the next rows."""
        return self._window(frame, (first, last), (0, self.axes.columns), self.kept)

    def window(self, frame: int, rows: Pair, columns: Pair) -> Array:
        """A rectangle of a frame; every chunk that it touches is decoded once, and none is kept."""
        return self._window(frame, rows, columns, None)

    def _window(self, frame: int, rows: Pair, columns: Pair, kept: _Kept | None) -> Array:
        spans = self._spans(frame, rows, columns)
        numbers = list(
            product(*(_numbers(span, each) for span, each in zip(spans, self.shapes, strict=True)))
        )
        into = np.empty([last - first for first, last in spans], self.chunks.dtype)
        for number, values in kept.values(numbers) if kept else self._values(numbers):
            self._paste(into, spans, number, values)
        return self._pixels(into)

    def _values(self, numbers: Sequence[Numbers]) -> Iterator[tuple[Numbers, Array | None]]:
        for number in numbers:
            yield number, self.chunks.read(number)

    def _spans(self, frame: int, rows: Pair, columns: Pair) -> list[Pair]:
        """What a window covers along each axis of the array."""
        spans = list(self.axes.picked)
        for axis, index in self.axes.indices(frame).items():
            spans[axis] = (index, index + 1)
        for axis, span in ((self.axes.rows_at, rows), (self.axes.columns_at, columns)):
            begin = self.axes.picked[axis][0]
            spans[axis] = (begin + span[0], begin + span[1])
        return spans

    def _paste(self, into: Array, spans: Sequence[Pair], number: Numbers, values: Array | None) -> None:
        """Put what a chunk shares with a window into the window."""
        there, here = [], []
        for (first, last), place, each in zip(spans, number, self.shapes, strict=True):
            begin, end = max(first, place * each), min(last, (place + 1) * each)
            there.append(slice(begin - first, end - first))
            here.append(slice(begin - place * each, end - place * each))
        into[tuple(there)] = self.chunks.facts.fill if values is None else values[tuple(here)]

    def _pixels(self, values: Array) -> Array:
        """(rows, columns, channels) of the pixels' type."""
        axes = self.axes
        order = [*axes.frames_at, axes.rows_at, axes.columns_at]
        order += [] if axes.channels_at is None else [axes.channels_at]
        shape = values.shape[axes.rows_at], values.shape[axes.columns_at], -1
        turned = values.transpose(order).reshape(shape)
        return _converted(np.ascontiguousarray(turned), self.dtype)


def _converted(values: Array, dtype: DType) -> Array:
    """Stored values as pixels: true is white; wide integers must fit.

    Raises:
        ImageError: a value does not fit.
    """
    if values.dtype.kind == "b":
        return np.where(values, np.uint8(255), np.uint8(0))
    if values.dtype != dtype:
        low, high = int(values.min()), int(values.max())
        info = np.iinfo(dtype)
        if low < info.min or high > info.max:
            wrong = low if low < info.min else high
            raise ImageError(
                f"the {values.dtype} value {wrong} does not fit into {dtype}, as which it is read"
            )
    return values.astype(dtype, copy=False)


def _numbers(span: Pair, each: int) -> range:
    """The numbers of the chunks that a span touches along one axis."""
    return range(span[0] // each, (span[1] - 1) // each + 1)


class _Kept:
    """Decoded chunks that are kept for a while; several threads share the work of decoding them."""

    def __init__(self, read: Read, most: int) -> None:
        self.read, self.most = read, most
        self.known: OrderedDict[Numbers, Array | None] = OrderedDict()
        self.claimed: set[Numbers] = set()
        self.changed = Condition()

    def values(self, numbers: Sequence[Numbers]) -> Iterator[tuple[Numbers, Array | None]]:
        """Each chunk with its values: those that nobody decodes first, then those of other threads."""
        waiting = []
        for number in numbers:
            if self._claim(number):
                yield number, self._decode(number)
            else:
                waiting.append(number)
        for number in waiting:
            yield number, self._await(number)

    def _claim(self, number: Numbers) -> bool:
        """Whether this thread is to decode a chunk."""
        with self.changed:
            if number in self.known or number in self.claimed:
                return False
            self.claimed.add(number)
            return True

    def _decode(self, number: Numbers) -> Array | None:
        try:
            values = self.read(number)
        except BaseException:
            with self.changed:
                self.claimed.discard(number)
                self.changed.notify_all()
            raise
        with self.changed:
            self.claimed.discard(number)
            self.known[number] = values
            while len(self.known) > self.most:
                self.known.popitem(last=False)
            self.changed.notify_all()
        return values

    def _await(self, number: Numbers) -> Array | None:
        """The values of a chunk that another thread decodes; decoded here if that failed, or was dropped."""
        with self.changed:
            self.changed.wait_for(lambda: number not in self.claimed)
            if number in self.known:
                self.known.move_to_end(number)
                return self.known[number]
            self.claimed.add(number)
        return self._decode(number)
