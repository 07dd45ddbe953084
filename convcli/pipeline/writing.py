"""From a task to files: the feature maps are computed while each file is written by a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from math import inf

from convcli.core.dtypes import Array
from convcli.core.errors import ConvcliError, Halted, OutputError, reason_of
from convcli.core.frozen import replace
from convcli.core.threads import Threads
from convcli.files.draft import Draft
from convcli.formats.readers import Reader
from convcli.pipeline.maps.canvas import MOST_WAITING, Canvas
from convcli.pipeline.maps.feature_map import FeatureMap, feature_maps
from convcli.pipeline.naming import Target
from convcli.pipeline.planning.task import Task
from convcli.pipeline.settings import GRAY

_Write = Callable[[], None]
"""Writes one file to its end."""


def write_maps(task: Task, files: Sequence[Draft]) -> list[FeatureMap]:
    """Compute the maps of a task and write them.

    Args:
        files: one for each target of the task.

    Raises:
        ConvcliError: the image is damaged, or a file cannot be written.
    """
    reader = task.opened.reader()
    pages = [[_canvas(task, target) for _ in range(task.pages)] for target in task.targets]
    canvases = list(chain.from_iterable(pages))
    shared = canvases * (task.plan.outcome.maps // len(canvases))  # an array is one canvas for all maps
    writers = [partial(_write, *parts) for parts in zip(task.targets, pages, files, strict=True)]
    compute = partial(_computed, task, reader, shared)
    return _run(compute, list(zip(writers, pages, strict=True)))


def _canvas(task: Task, target: Target) -> Canvas:
    """The canvas of one page; pages wait until those before them are written."""
    height = task.plan.height
    encoder = target.format.encoder(replace(task.layout, pages=task.pages), task.metadata)
    return Canvas(task.layout, encoder, height, inf if task.pages > 1 else MOST_WAITING)


def _computed(task: Task, reader: Reader, canvases: list[Canvas]) -> list[FeatureMap]:
    """The maps, once the image is known to be sound below the last row that a window reads."""
    color_table = colors_of(task.colormap)
    maps = feature_maps(task.plan, reader, task.color_handling, task.mapping, canvases, color_table)
    header = task.opened.header
    if header.frames == 1 and task.opened.format.progressive:
        reader.rows(0, header.rows - 1, header.rows)
    return maps


def colors_of(colormap: str) -> Array | None:
    """The colors of a color map, as `MapPainter` takes them; None for gray."""
    if colormap == GRAY:
        return None
    from convcli.pipeline.colormaps import color_table  # imported only for colors

    return color_table(colormap)


def _run(
    compute: Callable[[], list[FeatureMap]], files: list[tuple[_Write, list[Canvas]]]
) -> list[FeatureMap]:
    """Compute the maps, and write each file in a thread of its own unless all its bands fit on its canvases.

    Of several failures the first cause is raised; a thread that another's failure stops raises `Halted`.

    Args:
        files: what writes each, and its canvases.
    """
    write_afterward = []
    with Threads() as threads:
        try:
            for write, pages in files:
                if sum(canvas.band_count for canvas in pages) > MOST_WAITING and threads.begin(write):
                    continue
                write_afterward.append(write)
                for canvas in pages:
                    canvas.max_waiting = inf  # nothing takes its bands before all of them are complete
            maps = compute()
        except BaseException as error:
            for canvas in chain.from_iterable(pages for _, pages in files):
                canvas.halt()
            causes = threads.wait() if isinstance(error, Halted) else []
            raise next((cause for cause in causes if not isinstance(cause, Halted)), error) from None
        threads.join()
    for write in write_afterward:
        write()
    return maps


def _write(target: Target, pages: list[Canvas], file: Draft) -> None:
    with encoding(target, file):
        for canvas in pages:
            canvas.write(file.file)


@contextmanager
def encoding(target: Target, file: Draft) -> Iterator[None]:
    """A context in which whatever an encoder raises becomes an `OutputError` that names the target."""
    try:
        with file.refusals():
            yield
    except (ConvcliError, Halted, MemoryError):
        raise
    except Exception as error:  # an encoder's limit, such as WebP's largest side
        reason = reason_of(error, "its encoder failed")
        raise OutputError(f"{target}: {target.format.name} cannot be written: {reason}") from error
