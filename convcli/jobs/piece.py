"""One piece of a job: read with its halo, convolved, mapped to pixels and written; only facts are returned.

A piece is worked from top to bottom in bands, one shard of the target high. The engine computes a band as a
convolution of its own, whose axes have padding only where the image ends.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen, replace
from convcli.engine.part import part_plan
from convcli.engine.plan import Outcome, Plan
from convcli.formats.readers import Reader
from convcli.geometry.padding import Pair
from convcli.geometry.region import Region, region
from convcli.jobs.facts import Facts
from convcli.jobs.grid import Box, Grid
from convcli.jobs.panel import ROWS_AT_ONCE, Panel, PanelCache, stripes_kept
from convcli.jobs.panel_count import PanelCount, Share, share
from convcli.jobs.target import Target
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.maps.painting import PaintingConsumer, map_painters
from convcli.pipeline.maps.passes import Passes, colors_outcome
from convcli.pipeline.maps.ranges import RangeCounter
from convcli.pipeline.maps.sinks import MemorySink, PixelSink
from convcli.pipeline.planning.task import Task
from convcli.pipeline.writing import colors_of


def unchecked() -> None:
    """The check of a piece that nothing can replace."""


@frozen(eq=False)
class PieceRunner:
    """Runs pieces of one job in this process.

    Attributes:
        task: the decisions for the whole image.
        reader: of the whole image.
        targets: one for each map, or one for all.
        threads: that compute a piece.
        check: called before anything is written; it raises a `ConvcliError` once the job was replaced.
    """

    task: Task
    reader: Reader
    grid: Grid
    targets: Sequence[Target]
    threads: int
    check: Callable[[], None] = unchecked

    @property
    def plan(self) -> Plan:
        """The plan of the whole image."""
        assert isinstance(self.task.plan, Plan)
        return self.task.plan

    @property
    def outcome(self) -> Outcome:
        """What the colors of the sums mean."""
        return colors_outcome(self.plan, self.task.color_handling)

    def range(self, number: int) -> Facts:
        """The range of the values of a piece; nothing is written.

        Raises:
            ImageError: the source is damaged.
        """
        box, counters = self.grid.box(number), self._counters()
        cache = self._cache(box, None)
        for band in self.grid.bands(box):
            self._passes(cache, band).count(counters)
        return Facts.of(number, counters)

    def map(self, number: int, mappings: Sequence[Mapping]) -> Facts:
        """Write the pixels of a piece.

        Args:
            mappings: of each map, with its range.

        Raises:
            ConvcliError: the source is damaged, or a target cannot be written.
        """
        box, counters = self.grid.box(number), self._counters()
        count = PanelCount(self.task.color_handling, self._share(box))
        cache = self._cache(box, count if count.is_needed else None)
        checksums = [0] * len(self.targets)
        written, before = 0, self.reader.objects_read
        for band in self.grid.bands(box):
            images = self._painted(self._passes(cache, band), band, mappings, counters)
            self.check()
            for index, (target, pixels) in enumerate(zip(self.targets, images, strict=True)):
                written += target.write(band.frames, band.rows, band.columns, pixels)
                checksums[index] = zlib.crc32(pixels.view(np.uint8).data, checksums[index])
        cache.count_rest()
        found, absent = (now - then for now, then in zip(self.reader.objects_read, before, strict=True))
        return Facts.of(
            number,
            counters,
            found=found,
            absent=absent,
            nan_pixels=count.nan,
            ignored_pixels=count.ignored,
            checksums=tuple(checksums),
            written=written,
        )

    def _counters(self) -> list[RangeCounter]:
        return [RangeCounter() for _ in range(self.plan.outcome.maps)]

    def _painted(
        self, passes: Passes, band: Box, mappings: Sequence[Mapping], counters: Sequence[RangeCounter]
    ) -> list[Array]:
        """The pixels of a band for each target, (frames, rows, columns, channels)."""
        frames, rows, columns = band.shape
        layout = replace(self.task.layout, rows=rows, columns=columns, frames=frames)
        memories = [MemorySink(layout) for _ in self.targets]
        sinks: list[PixelSink] = [*memories] * (len(mappings) // len(memories))
        painters = map_painters(passes, mappings, sinks, colors_of(self.task.colormap))
        counts_range = not self.task.mapping.needs_range
        passes.run(
            counters,
            lambda own: PaintingConsumer(own, painters, passes, counts_range=counts_range),
        )
        return [memory.images for memory in memories]

    def _passes(self, cache: PanelCache, band: Box) -> Passes:
        """The passes over what the windows of a band read."""
        depth = self.plan.axes[0]
        down = self._region(1, band.rows)
        if depth.size > 1 or depth.kernel > 1:
            group, first = divmod(band.frames[0], depth.output)
            along = self._region(0, (first, first + band.frames[1] - band.frames[0]))
            frames: Sequence[int] = [group * depth.size + int(index) for index in along.indices]
            axis, batch = along.axis, 1
        else:
            frames, axis, batch = range(*band.frames), depth, band.frames[1] - band.frames[0]
        axes = axis, down.axis, cache.columns.axis
        part = part_plan(self.plan, axes, batch, self.threads)
        return Passes.over(part, Panel(cache, frames, down.indices), self.task.color_handling)

    def _region(self, axis: int, outputs: Pair) -> Region:
        return region(self.plan.axes[axis], self.plan.problem.fill, outputs)

    def _cache(self, box: Box, count: PanelCount | None) -> PanelCache:
        rows, block = self.plan.axes[1], self.reader.block
        most = stripes_kept(self.plan, block[0] if block else ROWS_AT_ONCE)
        return PanelCache(self.reader, rows.size, self._region(2, box.columns), most, count)

    def _share(self, box: Box) -> Share:
        depth, rows, columns = self.plan.axes
        if depth.size == depth.kernel == 1:
            frames = frozenset(range(*box.frames))
        else:
            group, first = divmod(box.frames[0], depth.output)
            begin, end = share(depth, (first, first + box.frames[1] - box.frames[0]))
            frames = frozenset(range(group * depth.size + begin, group * depth.size + end))
        return Share(frames, share(rows, box.rows), share(columns, box.columns))
