"""The report of a task that is done."""

from __future__ import annotations

from convcli.core.redaction import public_name
from convcli.files.input import STREAM
from convcli.formats.header import depth_text, kind_text
from convcli.formats.metadata import summarize
from convcli.pipeline.maps.feature_map import FeatureMap
from convcli.pipeline.naming import Target
from convcli.pipeline.planning.task import Task
from convcli.pipeline.reports.notes import report_notes
from convcli.pipeline.reports.report import ImageFile, Report
from convcli.pipeline.settings import GRAY, WHEEL, Settings


def report_of(
    task: Task, settings: Settings, index: int, map_: FeatureMap, size: int, seconds: float
) -> Report:
    """The report of one feature map.

    Args:
        index: the map's, from 0.
        size: bytes of its file.
        seconds: what it took to compute and write.
    """
    opened, target = task.opened, task.targets[min(index, len(task.targets) - 1)]
    image = opened.original or opened.header
    problem = task.plan.problem
    return Report(
        source=_source_file(task),
        target=_target_file(task, target, size, settings.stack),
        kernel=settings.kernel,
        index=index,
        frame=task.frame,
        flip=settings.flip,
        transposed=settings.transposed,
        geometry=task.geometry,
        padding=str(settings.padding),
        channels=task.channels,
        batch_shape=(image.channels, task.layout.channels - (2 if task.colormap != GRAY else 0)),
        frames=problem.batch,
        dtype=str(image.dtype),
        low=map_.low,
        high=map_.high,
        mapping=map_.mapping,
        mapping_text=_mapping_text(task, map_),
        below=map_.below,
        above=map_.above,
        nan=map_.nan,
        infinite=map_.infinite,
        undefined=map_.undefined,
        nan_pixels=map_.nan_pixels,
        ignored_pixels=map_.ignored_pixels,
        values=task.plan.values_per_map // task.plan.lanes * (task.plan.lanes - task.color_handling.weighted),
        plan=task.plan,
        seconds=seconds,
        name=settings.name,
        metadata=summarize(task.metadata),
        notes=report_notes(task, target, settings, map_),
        network=None if settings.network is None else settings.network.facts(image),
    )


def _source_file(task: Task) -> ImageFile:
    name = "standard input" if task.source == STREAM else public_name(task.source)
    opened = task.opened
    kind = (opened.original or opened.header).kind
    size = None if opened.source.store is not None else opened.source.size
    return ImageFile(name, opened.format.name, kind, size)


def _target_file(task: Task, target: Target, size: int, stack: bool) -> ImageFile:
    return ImageFile(str(target.path or target), target.format.name, _kind(task, stack), size)


def _kind(task: Task, stack: bool) -> str:
    """Channels and number type in words, with the number of pages."""
    layout = task.layout
    if stack and task.pages == 1:
        return f"{layout.channels} channels, {depth_text(layout.dtype)}"
    kind = kind_text(layout.channels, layout.dtype, layout.bands)
    return f"{task.pages} pages, {kind}" if task.pages > 1 else kind


def _mapping_text(task: Task, map_: FeatureMap) -> str:
    text = task.mapping_text(map_.mapping)
    if task.colormap == WHEEL:
        return f"{text}; hue is the direction, brightness the magnitude"
    return text if task.colormap == GRAY else f"{text}; colored with {task.colormap}"
