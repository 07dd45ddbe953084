"""Animated PNG: its chunks, and the frames as displayed.

Frames are parts of the image that replace what was there or are drawn over it (Portable Network Graphics
Specification, third edition, 11.3.6). They are composed here, because libraries do that in 8 bits only.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import ImageError
from convcli.core.frozen import frozen, replace
from convcli.formats.header import Timing

_CLEARED, _RESTORED = 1, 2  # disposal: what happens to a frame's area before the next one
_OVER: Final = 1  # a frame lies over what was there, instead of replacing it
_CONTROL: Final = struct.Struct(">IIIIIHHBB")
_LARGEST_DELAY: Final = 65_535
_NUMBERED: Final = (b"fcTL", b"fdAT")  # chunks that begin with their number
_LENGTHS: Final = {b"acTL": 8, b"fcTL": _CONTROL.size}


@frozen
class Part:
    """One frame: its area, duration, blending and disposal, and its data."""

    rows: slice
    columns: slice
    seconds: Fraction
    dispose: int
    blend: int
    bodies: tuple[bytes, ...]

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start


def parts(chunks: Iterable[tuple[bytes, bytes]], rows: int, columns: int) -> tuple[list[Part], int]:
    """The frames and the number of plays, from (kind, body) of a file's chunks.

    Raises:
        ImageError: frames are missing, or lie outside the image.
    """
    frames: list[Part] = []
    due = plays = number = 0
    for kind, body in chunks:
        if kind in _NUMBERED:
            if body[:4] != struct.pack(">I", number):
                raise ImageError(f"damaged png: its frames are out of order, or piece {number} is missing")
            number += 1
        if len(body) != _LENGTHS.get(kind, len(body)):
            raise ImageError(f"damaged png: {kind.decode()} has {len(body)} bytes; allowed: {_LENGTHS[kind]}")
        if kind == b"acTL":
            due, plays = struct.unpack(">II", body)
        elif kind == b"fcTL":
            frames.append(_part(body, rows, columns))
        elif kind == b"fdAT" and frames:
            frames[-1] = replace(frames[-1], bodies=(*frames[-1].bodies, body[4:]))
        elif kind == b"IDAT" and frames:  # before the first fcTL, it is not part of the animation
            frames[-1] = replace(frames[-1], bodies=(*frames[-1].bodies, body))
    if len(frames) != due or not all(part.bodies for part in frames):
        raise ImageError(
            f"damaged png: {sum(bool(part.bodies) for part in frames)} of its {due} frames are there"
        )
    return frames, plays


def _part(body: bytes, rows: int, columns: int) -> Part:
    _, width, height, left, top, upper, lower, dispose, blend = _CONTROL.unpack(body)
    if not (0 < height <= rows - top and 0 < width <= columns - left):
        raise ImageError(f"damaged png: a frame of {width}×{height} at {left}, {top} of {columns}×{rows}")
    seconds = Fraction(upper, lower or 100)
    return Part(slice(top, top + height), slice(left, left + width), seconds, dispose, blend, ())


def compose(frames: Iterable[Part], canvas: Array, decode: Callable[[Part], Array]) -> Iterator[Array]:
    """Every frame as displayed, drawn on ``canvas``, (rows, columns, channels) of zeros."""
    for number, part in enumerate(frames):
        before = canvas.copy() if part.dispose == _RESTORED and number else None
        place = canvas[part.rows, part.columns]
        new = decode(part).reshape(place.shape)
        place[...] = _over(new, place) if part.blend == _OVER and canvas.shape[2] in (2, 4) else new
        yield canvas.copy()
        if before is not None:
            canvas = before
        elif part.dispose in (_CLEARED, _RESTORED):
            place[...] = 0


def _over(front: Array, behind: Array) -> Array:
    """Pixels over others, alpha last, to the nearest integers (Porter and Duff, 1984)."""
    most = np.int64(np.iinfo(front.dtype).max)
    wide, below = front.astype(np.int64), behind.astype(np.int64)
    share = wide[..., -1:] * most
    rest = (most - wide[..., -1:]) * below[..., -1:]
    total = share + rest
    colors = (wide[..., :-1] * share + below[..., :-1] * rest + total // 2) // np.maximum(total, 1)
    mixed = np.concatenate((colors, (total + most // 2) // most), axis=-1)
    return mixed.astype(front.dtype)


def timing(frames: Iterable[Part], plays: int) -> Timing:
    """The timing of the frames."""
    return Timing(tuple(part.seconds for part in frames), plays)


class Sequence:
    """The chunks that make images an animation, numbered in the order of the file."""

    def __init__(self, shape: tuple[int, int], timing: Timing) -> None:
        self.shape, self.timing, self.number = shape, timing, 0

    def head(self) -> bytes:
        """Body of the first chunk (acTL)."""
        return struct.pack(">II", len(self.timing.durations), self.timing.loops)

    def control(self, frame: int) -> bytes:
        """Body of the chunk before a frame (fcTL)."""
        short = min(self.timing.durations[frame], Fraction(_LARGEST_DELAY)).limit_denominator(_LARGEST_DELAY)
        while short.numerator > _LARGEST_DELAY:
            short = short.limit_denominator(short.denominator // 2)
        rows, columns = self.shape
        body = _CONTROL.pack(self.number, columns, rows, 0, 0, short.numerator, short.denominator, 0, 0)
        self.number += 1
        return body

    def step(self) -> bytes:
        """The number of the next chunk, which an fdAT chunk begins with."""
        self.number += 1
        return struct.pack(">I", self.number - 1)
