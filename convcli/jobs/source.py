"""The source of a job, and how a change of it is noticed.

A file has one stamp. An array consists of objects with a stamp each, which a store lists by the thousand; a
piece is to be made again if one of the objects that it reads has another stamp than when its run began.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Final

import numpy as np
import numpy.typing as npt

from convcli.core.errors import ImageError, StorageError
from convcli.core.frozen import contents, frozen
from convcli.engine.plan import Plan
from convcli.formats import opening
from convcli.formats.zarr.library import path_key
from convcli.formats.zarr.reader import ZarrReader
from convcli.geometry.axes import Axis
from convcli.geometry.padding import Fill, Pair
from convcli.geometry.region import region
from convcli.jobs.grid import Grid
from convcli.jobs.panel_count import share

UNLISTED: Final = "unlisted"
"""Stands for the objects of an array where they are not listed."""

Digests = npt.NDArray[np.uint64]
"""For each piece, a number that changes with the stamps of the objects that it reads."""

_DIGITS: Final = 16
_BYTES: Final = 8


def identity_of(opened: opening.Opened) -> str:
    """A text that changes with a source, as far as the stamp of a file or the metadata of an array tell."""
    if isinstance(opened.parts, ZarrReader):
        facts = repr(sorted(contents(opened.parts.facts).items(), key=itemgetter(0)))
        return f"zarr-{hashlib.sha256(facts.encode()).hexdigest()[:_DIGITS]}-{UNLISTED}"
    assert opened.source.contents
    return f"file-{opened.source.contents.identity}"


def is_same(one: str, other: str) -> bool:
    """Whether two identities are those of the same content, by metadata alone where nothing was listed."""
    parts, others = one.rsplit("-", 1), other.rsplit("-", 1)
    return one == other or (UNLISTED in (parts[-1], others[-1]) and parts[0] == others[0])


def check_identity(opened: opening.Opened, expected: str) -> None:
    """Refuse a source that is not the one of the job any more.

    Raises:
        ImageError: its content has changed, as far as `identity_of` tells.
    """
    if not is_same(identity_of(opened), expected):
        raise ImageError("the image has changed since the job was started")


@frozen(eq=False)
class Stamps:
    """What a listing says of a source.

    Attributes:
        identity: as `identity_of`, of the objects too.
        pieces: of each piece; None where nothing was listed, or there are no objects.
    """

    identity: str
    pieces: Digests | None = None


def stamps_of(opened: opening.Opened, plan: Plan | None = None, grid: Grid | None = None) -> Stamps:
    """What the stamps of the objects of a source are; listing takes a request for about 1,000 of them.

    Args:
        plan, grid: of the whole image, and its pieces; None for the identity alone.
    """
    identity, reader = identity_of(opened), opened.parts
    if not isinstance(reader, ZarrReader):
        return Stamps(identity)
    readers = _PieceNumbers(reader, opened.header.frames, plan, grid) if plan and grid else None
    pieces = np.zeros(grid.count if grid else 0, np.uint64)
    whole = hashlib.sha256()
    try:
        for numbers, stamp in _listed(reader):
            digest = hashlib.blake2b(f"{numbers} {stamp}".encode(), digest_size=_BYTES).digest()
            whole.update(digest)
            if readers is not None:
                pieces[readers.of(numbers)] += np.uint64(int.from_bytes(digest))
    except StorageError:  # of a web server, or without the right to list
        return Stamps(identity)
    stem = identity.removesuffix(UNLISTED)
    return Stamps(f"{stem}{whole.hexdigest()[:_DIGITS]}", pieces if readers is not None else None)


def _listed(reader: ZarrReader) -> Iterator[tuple[tuple[int, ...], str]]:
    """The numbers of each object of an array along its axes, and its stamp."""
    facts, prefix = reader.facts, path_key(reader.located.array.path, "")
    prefix = prefix if reader.located.array.path else ""
    for name, stamp in reader.store.objects.folder.stamped_names(prefix):
        numbers = facts.keys.numbers(name.removeprefix(prefix), facts.grid)
        if numbers is not None:
            yield numbers, stamp


class _PieceNumbers:
    """Which pieces read an object.

    Args:
        frames: of the image, which are all of the array's unless some are selected.
    """

    def __init__(self, reader: ZarrReader, frames: int, plan: Plan, grid: Grid) -> None:
        depth, rows, columns = plan.axes
        self.axes, fill = reader.axes, plan.problem.fill
        groups, deep, across, down = grid.counts
        self.blocks, self.across, self.down = groups * deep, across, down
        sizes, axes = reader.facts.objects, reader.axes
        every = [grid.box(number) for number in range(down)]
        first, each = axes.picked[axes.rows_at][0], sizes[axes.rows_at]
        self.rows = _parts([_read(rows, fill, box.rows) for box in every], first, each)
        every = [grid.box(number * down) for number in range(across)]
        first, each = axes.picked[axes.columns_at][0], sizes[axes.columns_at]
        self.columns = _parts([_read(columns, fill, box.columns) for box in every], first, each)
        plain = depth.size == depth.kernel == 1 and frames == axes.frames == grid.shape[0]
        self.frames = self._frames(sizes, grid) if plain else None

    def _frames(self, sizes: tuple[int, ...], grid: Grid) -> Mapping[tuple[int, ...], set[int]]:
        """The blocks of frames that read objects, by their numbers along the axes of frames."""
        found: dict[tuple[int, ...], set[int]] = {}
        for block in range(self.blocks):
            for frame in range(*grid.box(block * self.across * self.down).frames):
                indices = self.axes.indices(frame)
                home = tuple(indices[axis] // sizes[axis] for axis in self.axes.frames_at)
                found.setdefault(home, set()).add(block)
        return found

    def of(self, numbers: tuple[int, ...]) -> list[int]:
        """The numbers of the pieces that read an object."""
        home = tuple(numbers[axis] for axis in self.axes.frames_at)
        blocks = range(self.blocks) if self.frames is None else self.frames.get(home, ())
        columns = self.columns.get(numbers[self.axes.columns_at], ())
        rows = self.rows.get(numbers[self.axes.rows_at], ())
        return [
            (block * self.across + column) * self.down + row
            for block in blocks
            for column in columns
            for row in rows
        ]


def _read(axis: Axis, fill: Fill, outputs: Pair) -> list[Pair]:
    """What a part of an axis reads: (first, past the last) of pixels that follow each other."""
    return [*region(axis, fill, outputs).runs, share(axis, outputs)]


def _parts(read: list[list[Pair]], begin: int, each: int) -> Mapping[int, set[int]]:
    """The numbers of the parts that read each object along an axis.

    Args:
        read: by each part.
        begin: the first pixel of the image.
        each: pixels of an object.
    """
    found: dict[int, set[int]] = {}
    for number, runs in enumerate(read):
        for first, last in runs:
            for home in range((begin + first) // each, -(-(begin + last) // each)):
                found.setdefault(home, set()).add(number)
    return found
