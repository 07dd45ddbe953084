"""Chunks along one axis: those of the result, and what each of them reads from those of the input."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Final

import numpy as np

from convcli.core.frozen import frozen
from convcli.geometry.axes import Axis
from convcli.geometry.border import Indices
from convcli.geometry.padding import Fill
from convcli.geometry.region import region

_LONGEST: Final = 2
"""Chunks beyond the end of the input are divided if they are so many times as long as those of the input."""

_APART: Final = 2
"""The step between indices that no run holds together."""


@frozen
class Copy:
    """Neighboring values of an input chunk, copied to neighboring places.

    Attributes:
        block: the chunk, as its place in `Share.blocks`.
        source: the values; one value where it is repeated.
        place: where they go.
    """

    block: int
    source: slice
    place: slice


@frozen
class Share:
    """What a chunk of the result reads along one axis of the input.

    Attributes:
        blocks: numbers of the input chunks, each once.
        sizes: their lengths.
        copies: that put what is read together.
        size: length of that.
        axis: of the convolution of that; None for an axis that is not filtered.
    """

    blocks: tuple[int, ...]
    sizes: tuple[int, ...]
    copies: tuple[Copy, ...]
    size: int
    axis: Axis | None = None

    @property
    def is_view(self) -> bool:
        """Whether it is one slice of one chunk."""
        source = self.copies[0].source
        return len(self.copies) == 1 and source.step is None and source.stop - source.start == self.size


def output_chunks(axis: Axis, chunks: Sequence[int]) -> tuple[int, ...]:
    """Lengths of the result's chunks: they begin where a chunk of the input begins, divided by the stride.

    Chunks without values are left out.
    """
    ends = [
        min(-(-end * axis.spread // axis.stride), axis.output) for end in accumulate(chunks[:-1], initial=0)
    ]
    lengths = [past - first for first, past in pairwise([*ends, axis.output]) if first < past]
    most = max(-(-max(chunks) * axis.spread // axis.stride), 1)
    return tuple(part for length in lengths for part in _divided(length, most))


def _divided(length: int, most: int) -> list[int]:
    """A length as itself, or as nearly equal parts of up to ``most`` if it is far longer."""
    if length <= _LONGEST * most:
        return [length]
    count = -(-length // most)
    ends = [length * part // count for part in range(count + 1)]
    return [past - first for first, past in pairwise(ends)]


def filtered(axis: Axis, fill: Fill, chunks: Sequence[int]) -> tuple[tuple[int, ...], tuple[Share, ...]]:
    """The result's chunks along a filtered axis, and what each of them reads."""
    lengths = output_chunks(axis, chunks)
    ends = np.array([0, *accumulate(chunks)], np.intp)
    shares = []
    for first, past in pairwise([0, *accumulate(lengths)]):
        part = region(axis, fill, (first, past))
        shares.append(_share(part.indices, ends, part.axis))
    return lengths, tuple(shares)


def kept_apart(chunks: Sequence[int]) -> tuple[Share, ...]:
    """What chunks of the result read along an axis that is not filtered: the same chunk each."""
    return tuple(_whole((number,), (length,)) for number, length in enumerate(chunks))


def together(chunks: Sequence[int]) -> Share:
    """What reads all chunks of an axis."""
    return _whole(tuple(range(len(chunks))), tuple(chunks))


def _whole(blocks: tuple[int, ...], sizes: tuple[int, ...]) -> Share:
    ends = list(accumulate(sizes, initial=0))
    copies = tuple(
        Copy(number, slice(0, size), slice(first, first + size))
        for number, (size, first) in enumerate(zip(sizes, ends, strict=False))
    )
    return Share(blocks, sizes, copies, ends[-1])


def _share(indices: Indices, ends: Indices, axis: Axis) -> Share:
    """What reads the values at ``indices`` of an axis whose chunks end at ``ends``."""
    chunks = np.searchsorted(ends, indices, side="right") - 1
    blocks = np.unique(chunks)
    copies = tuple(
        _copy(indices[first:past] - ends[chunks[first]], int(np.searchsorted(blocks, chunks[first])), first)
        for first, past in pairwise(_breaks(indices, chunks))
    )
    sizes = tuple(int(ends[number + 1] - ends[number]) for number in blocks)
    return Share(tuple(blocks.tolist()), sizes, copies, len(indices), axis)


def _copy(indices: Indices, block: int, place: int) -> Copy:
    first, last, count = int(indices[0]), int(indices[-1]), len(indices)
    falling = slice(first, last - 1 if last else None, -1)
    source = slice(first, last + 1) if last >= first else falling
    return Copy(block, source, slice(place, place + count))


def _breaks(indices: Indices, chunks: Indices) -> list[int]:
    """Where runs of indices begin that lie in one chunk and rise, fall or stay, and the end of the last."""
    steps = np.diff(indices)
    steps[(np.diff(chunks) != 0) | (np.abs(steps) > 1)] = _APART
    changes = [*(np.flatnonzero(np.diff(steps)) + 1).tolist(), len(steps)]
    breaks, place, change = [0], 0, 0
    while place < len(steps):
        while changes[change] <= place:
            change += 1
        place = (place if steps[place] == _APART else changes[change]) + 1
        breaks.append(place)
    return breaks if breaks[-1] == len(indices) else [*breaks, len(indices)]
