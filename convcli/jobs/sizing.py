"""How large the pieces of a job are: wide panels, which read little twice, within the memory of a worker."""

from __future__ import annotations

from math import ceil, floor, prod
from typing import Final

from convcli.core.errors import ArgumentError
from convcli.core.frozen import frozen
from convcli.core.numerals import counted, volume_text
from convcli.engine.computers import strip_memory
from convcli.engine.part import part_plan
from convcli.engine.plan import Plan
from convcli.formats.header import Header, Layout
from convcli.geometry.padding import Pair
from convcli.jobs.grid import Grid
from convcli.jobs.panel import ROWS_AT_ONCE, stripes_kept

BLOCKS: Final = 8
"""Least width and height of a piece in blocks of the source: with so many, a halo that reaches into the next
block on each side adds about a quarter to what is read."""

TALLEST: Final = 65_536
"""Most rows of a piece, so that what is done again after a failure stays small."""

LEAST_WIDTH: Final = 8_192
"""Columns of a piece, unless the image or the memory has fewer."""

AREA: Final = 2**26
"""Pixels of a piece up to which it takes several small frames."""

PER_WORKER: Final = 4
"""Pieces for each worker, so that all of them end at about the same time."""

PROCESS: Final = 160 * 2**20
"""Bytes of a worker process besides its pieces."""

_READING: Final = 1.5  # what is kept of the source, and what is being decoded
_WRITING: Final = 3  # a band of the result, and its shards while they are encoded


@frozen(eq=False)
class Sizing:
    """What the size of pieces depends on.

    Attributes:
        block: (rows, columns) that are decoded at once; None for whole rows.
        in_parts: whether the source can be read in parts at all.
        shard: (frames, rows, columns) of what one writer writes at once.
        group: frames of a volume, or of the innermost axis.
        frames: of the whole result.
    """

    plan: Plan
    header: Header
    layout: Layout
    maps: int
    block: Pair | None
    in_parts: bool
    shard: tuple[int, int, int]
    group: int
    frames: int
    threads: int = 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """(frames, rows, columns) of the result."""
        return self.frames, self.layout.rows, self.layout.columns

    def grid(self, workers: int, memory: int | None, requested: Pair | None) -> Grid:
        """The pieces.

        Args:
            workers: how many run at once.
            memory: bytes that a worker may take; None for no limit.
            requested: (rows, columns) of a piece, which are rounded up to whole shards; None for a good size.

        Raises:
            ArgumentError: not even the smallest piece fits into the memory.
        """
        if requested is not None:
            grid = self._grid(*requested, 1)
            self._check(grid, memory)
            return grid
        width = self._width(memory)
        height = self._height(width, workers)
        grid = self._grid(height, width, self._depth(height, width, workers))
        self._check(grid, memory)
        return grid

    def limit(self, workers: int, memory: int | None, requested: Pair | None) -> str:
        """What decides the size of pieces, in words."""
        if requested is not None:
            return "--piece"
        if not self.in_parts:
            return "the source, which is decoded whole"
        width, free = self._width(memory), self._width(None)
        if width < free:
            return "the memory of a worker"
        height = self._height(width, workers)
        if (height, width) == self.shape[1:]:
            return "the image"
        if height >= TALLEST:
            return "the work that a failure may undo"
        is_least = height == self._height(width, 10**9)
        return (
            "the overlap, which smaller pieces would read more often" if is_least else "the number of workers"
        )

    def memory(self, columns: int) -> int:
        """About how many bytes a piece of so many columns takes, with its process."""
        depth, rows, across = self.plan.axes
        height, wide = self._block_rows, across.reading(min(columns, across.output))
        frame = wide * self.header.channels * self.header.dtype.itemsize
        kept = frame * height * stripes_kept(self.plan, height)
        _, shard_rows, _ = self.shard
        band = min(shard_rows, rows.output)
        if depth.size > 1:
            kept += depth.reading(self.shard[0]) * frame * rows.reading(band)
        values = self.layout.channels * self.layout.dtype.itemsize * self.maps
        written = band * columns * values * self.shard[0]
        part = part_plan(self.plan, self.plan.axes, 1, self.threads)
        return int(_READING * kept + _WRITING * written + self.threads * strip_memory(part) + PROCESS)

    @property
    def _block_rows(self) -> int:
        return self.block[0] if self.block else ROWS_AT_ONCE

    def _width(self, memory: int | None) -> int:
        """Columns of a piece: all of them if whole rows are decoded, else a few blocks, as memory allows."""
        step, columns = self.shard[2], self.layout.columns
        if self.block is None:
            return columns
        stride = self.plan.axes[2].stride
        wanted = max(LEAST_WIDTH, BLOCKS * self.block[1] // stride, step)
        width = min(-(-wanted // step) * step, columns)
        while memory is not None and width > step and self.memory(width) > memory:
            width = (width - 1) // step * step
        return width

    def _height(self, width: int, workers: int) -> int:
        """Rows of a piece: enough pieces for all workers, but not too low."""
        rows, step = self.layout.rows, self.shard[1]
        if not self.in_parts:
            return rows
        panels = -(-self.layout.columns // width) * self.frames
        shares = max(-(-PER_WORKER * workers // panels), 1)
        least = BLOCKS * self._block_rows // self.plan.axes[1].stride
        height = min(max(-(-rows // shares), least), TALLEST)
        return min(-(-height // step) * step, rows)

    def _depth(self, height: int, width: int, workers: int) -> int:
        """Frames of a piece: several if they are small."""
        if (height, width) != self.shape[1:]:
            return self.shard[0]
        fair = max(self.frames // (PER_WORKER * workers), 1)
        deep = min(max(AREA // (height * width), 1), fair, self.group)
        return -(-deep // self.shard[0]) * self.shard[0]

    def _grid(self, height: int, width: int, deep: int) -> Grid:
        rounded = (
            min(-(-size // step) * step, -(-whole // step) * step)
            for size, step, whole in zip((deep, height, width), self.shard, self.shape, strict=True)
        )
        piece = tuple(rounded)
        assert len(piece) == 3
        return Grid(self.shape, self.shard, piece, self.group)

    def _check(self, grid: Grid, memory: int | None) -> None:
        needed = self.memory(min(grid.piece[2], self.layout.columns))
        if memory is not None and needed > memory:
            shard = "×".join(map(str, self.shard[1:]))
            raise ArgumentError(
                f"a piece of {grid.piece[1]}×{grid.piece[2]} pixels needs about {volume_text(needed, ceil)} "
                f"with {counted(self.threads, 'thread')}; a worker may take {volume_text(memory, floor)}; "
                f"use smaller shards than {shard} (--shard), or workers with more memory"
            )


def fetched(grid: Grid, sizing: Sizing) -> float:
    """How many pixels all pieces decode, for each pixel of the source."""
    depth, rows, columns = sizing.plan.axes
    block = sizing.block or (1, columns.size)
    total = 0
    _, deep, across, down = grid.counts
    read = [
        [_whole_blocks(axis.reach(part), size, axis.size) for part in parts]
        for axis, size, parts in (
            (rows, block[0], _parts(grid.piece[1], grid.shape[1], down)),
            (columns, block[1], _parts(grid.piece[2], grid.shape[2], across)),
        )
    ]
    total = prod(map(sum, read))
    frames = 1.0
    if depth.size > 1:
        parts = _parts(grid.piece[0], grid.group, deep)
        frames = sum(_whole_blocks(depth.reach(part), 1, depth.size) for part in parts) / depth.size
    return total * frames / (rows.size * columns.size)


def _parts(size: int, whole: int, count: int) -> list[Pair]:
    return [(index * size, min((index + 1) * size, whole)) for index in range(count)]


def _whole_blocks(reach: Pair, block: int, size: int) -> int:
    """The pixels of all blocks that a range of pixels meets."""
    first, last = max(reach[0], 0), min(reach[1], size)
    return max(min(-(-last // block) * block, size) - first // block * block, 0)
