"""Feature maps of an image in memory: planned at once, computed on request."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import ArgumentError
from convcli.core.frozen import frozen, replace
from convcli.formats.header import kind_text
from convcli.formats.memory import NAME
from convcli.geometry.axes import Geometry
from convcli.images.inputs import Image
from convcli.pipeline.maps.feature_map import FeatureMap, feature_maps
from convcli.pipeline.maps.sinks import MemorySink
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.planning.task import Task, prepare
from convcli.pipeline.reports.report import ImageFile, Report
from convcli.pipeline.reports.task_report import report_of
from convcli.pipeline.selecting import opened_images
from convcli.pipeline.settings import Settings
from convcli.pipeline.writing import colors_of


@frozen(eq=False)
class PlannedMaps:
    """The maps of an image for one kernel.

    Attributes:
        task: of all frames, which have one size and type.
    """

    task: Task
    settings: Settings

    @property
    def geometry(self) -> Geometry:
        """Sizes along every axis."""
        return self.task.geometry

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of the axes that are kept."""
        return ("map", *self._frame_axis, "row", "column", *self._channel_axis)

    @property
    def _frame_axis(self) -> tuple[str, ...]:
        return ("frame",) if self.task.layout.frames > 1 else ()

    @property
    def _channel_axis(self) -> tuple[str, ...]:
        return ("channel",) if self.task.layout.channels > 1 else ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of these axes."""
        layout = self.task.layout
        frames = (layout.frames,) * len(self._frame_axis)
        channels = (layout.channels,) * len(self._channel_axis)
        return (self.task.plan.outcome.maps, *frames, layout.rows, layout.columns, *channels)

    def arranged(self, images: Array) -> Array:
        """The values of all maps, (maps, frames, rows, columns, channels), with the axes that are kept."""
        return images.reshape(self.shape)

    def computed(self) -> tuple[Array, list[FeatureMap]]:
        """The pixels of all maps, (maps, frames, rows, columns, channels), and what is known of each.

        Raises:
            ConvcliError: the image is damaged, or the mapping needs a range and no value is finite.
        """
        task, layout = self.task, self.task.layout
        images = np.empty((task.plan.outcome.maps, layout.frames, *layout.shape), layout.dtype)
        sinks = [MemorySink(layout, place) for place in images]
        table = colors_of(task.colormap)
        facts = feature_maps(task.plan, task.opened.reader(), task.color_handling, task.mapping, sinks, table)
        task.opened.readers.clear()
        return images, facts

    def reports(self, facts: Sequence[FeatureMap], seconds: float) -> list[Report]:
        """The report of each map, whose target is memory."""
        task, layout = self.task, self.task.layout
        size = layout.frames * int(np.prod(layout.shape)) * layout.dtype.itemsize
        target = ImageFile("memory", NAME, kind_text(layout.channels, layout.dtype, layout.bands), size)
        own = replace(task, targets=task.targets[:1] * len(facts))
        return [
            replace(report_of(own, self.settings, index, map_, size, seconds), target=target)
            for index, map_ in enumerate(facts)
        ]


def planned_maps(image: Image, settings: Settings) -> PlannedMaps:
    """The plan of an image's maps in memory.

    Raises:
        ConvcliError: the image cannot be filtered with these settings.
    """
    settings = replace(settings, output=OutputSpec(format="npy"), stack=False)
    results = prepare(image.name, opened_images(image.source, settings), settings)
    if len(results) > 1 or len(results[0]) > 1:
        raise ArgumentError(
            "the frames differ in size or type and do not fit into one array; choose one with frames=N"
        )
    return PlannedMaps(results[0][0], settings)
