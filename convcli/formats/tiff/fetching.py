"""Bytes of strips and tiles of a remote file, requested together before they are decoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from convcli.files.input import Input
from convcli.geometry.padding import Pair

AT_ONCE: Final = 2**23
"""Bytes that are requested together."""

_GAP: Final = 2**12  # bytes between two ranges that are read as one; GDAL writes sizes between tiles
_LARGEST: Final = 2**22  # bytes of a range that others are added to


def fetched(source: Input, ranges: Sequence[Pair]) -> Iterator[bytes]:
    """The bytes of each range, (offset, count); those that lie side by side are one request.

    Fewer bytes are returned where the file ends.
    """
    order = sorted(range(len(ranges)), key=ranges.__getitem__)
    runs: list[list[int]] = []
    for index in order:
        offset, count = ranges[index]
        if runs:
            start, end = _extent(ranges, runs[-1])
            if offset - end <= _GAP and offset + count - start <= _LARGEST:
                runs[-1].append(index)
                continue
        runs.append([index])
    extents = [_extent(ranges, run) for run in runs]
    blocks = source.parts([(start, end - start) for start, end in extents])
    parts: dict[int, bytes] = {}
    for run, (start, _), block in zip(runs, extents, blocks, strict=True):
        for index in run:
            offset, count = ranges[index]
            parts[index] = bytes(block[offset - start : offset - start + count])
    yield from (parts[index] for index in range(len(ranges)))


def _extent(ranges: Sequence[Pair], run: Sequence[int]) -> Pair:
    """The first byte of a run of ranges, in the order of their offsets, and the one past its last."""
    return ranges[run[0]][0], max(sum(ranges[index]) for index in run)
