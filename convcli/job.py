"""One picture: read, plan, convolve, map, write, report. The guts of ``convcli apply``."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Final

from convcli import files, images
from convcli.canvas import Canvas
from convcli.errors import ConvcliError, Halted, OutputError, one_line
from convcli.featuremap import FeatureMap, feature_maps
from convcli.images.base import QUIET, depth_text, kind_text
from convcli.images.jpeg import QUALITY
from convcli.images.metadata import listed
from convcli.naming import Target
from convcli.report import File, Report
from convcli.task import Settings, Task, prepare

ALPHA_NOTES: Final = {
    "filter": "alpha was filtered with the colours, which count by how much of them is seen",
    "keep": "alpha is the input's, at the centre of each window",
    "drop": "alpha was dropped",
}
AHEAD: Final = 2
"""Decoded frames that are kept beyond one a worker."""


def apply(source: str, settings: Settings, ledger: files.Ledger | None = None) -> list[Report]:
    """Convolve one picture, or every frame of a file, and write the feature maps.

    Args:
        source: a file, or ``-`` for standard input.
        ledger: the run's files, where there are several inputs.

    Returns:
        A report for each map of pictures that are alike.

    Raises:
        ConvcliError: of every kind; nothing is left half-written.
    """
    ledger = ledger or files.Ledger([source])
    with files.Input.open(source) as opened:
        results = prepare(source, opened, settings)
        for tasks in results:
            _claim(tasks[0], settings, ledger)
        return [report for tasks in results for report in _applied(tasks, settings)]


def _applied(tasks: list[Task], settings: Settings) -> list[Report]:
    """One result: a file for each map, of one task or of several, one behind the other."""
    found: list[tuple[list[FeatureMap], float]] = []
    with ExitStack() as stack:
        drafts = [
            stack.enter_context(files.Draft(target.path, settings.force)) for target in tasks[0].targets
        ]
        for task in tasks:
            begun = time.perf_counter()
            maps = _made(task, drafts)
            found.append((maps, (time.perf_counter() - begun) / len(maps)))
        sizes = [draft.commit() for draft in drafts]
    return [
        _report(task, settings, index, map_, sizes[index], seconds)
        for task, (maps, seconds) in zip(tasks, found, strict=True)
        for index, map_ in enumerate(maps)
    ]


def _made(task: Task, drafts: list[files.Draft]) -> list[FeatureMap]:
    """Compute the maps and write them into the drafts, each by a thread of its own.

    Of several failures the first cause is raised: what another one ended raises `Halted`.
    """
    plan, metadata = task.plan, task.said.metadata
    reader = task.opened.reader(plan.threads + AHEAD)
    canvases = [
        Canvas(task.layout, images.encoder(target.format, task.layout, metadata, plan.height), plan.height)
        for target in task.targets
    ]
    with ThreadPoolExecutor(len(canvases)) as pool:
        writing = [pool.submit(_write, *each) for each in zip(task.targets, canvases, drafts, strict=True)]
        try:
            maps = feature_maps(plan, reader, task.treatment, task.mapping, canvases)
        except BaseException as error:
            for canvas in canvases:
                canvas.halt()
            causes = [job.exception() for job in writing] if isinstance(error, Halted) else []
            raise next(
                (cause for cause in causes if cause and not isinstance(cause, Halted)), error
            ) from None
        for job in writing:
            job.result()
    return maps


def _claim(task: Task, settings: Settings, ledger: files.Ledger) -> None:
    for target in task.targets:
        if target.path is None:
            files.check_stream()
        else:
            ledger.claim(target.path, settings.force, not settings.output.is_one_file)


def _write(target: Target, canvas: Canvas, draft: files.Draft) -> None:
    try:
        with QUIET, draft.refusals():
            canvas.write(draft.file)
    except (ConvcliError, Halted, MemoryError):
        raise
    except Exception as error:  # an encoder's limit, such as WebP's largest side
        reason = one_line(str(error)) or type(error).__name__
        raise OutputError(f"{target}: {target.format.name} cannot be written: {reason}") from error


def _report(
    task: Task, settings: Settings, index: int, found: FeatureMap, size: int, seconds: float
) -> Report:
    opened, target = task.opened, task.targets[index]
    return Report(
        source=File(
            "standard input" if task.source == files.STREAM else task.source,
            opened.format.name,
            opened.header.kind,
            opened.source.size,
        ),
        target=File(
            str(target), target.format.name, kind_text(task.layout.channels, task.layout.dtype), size
        ),
        kernel=settings.kernel,
        index=index,
        flip=settings.flip,
        geometry=task.geometry,
        padding=str(settings.padding),
        channels=task.channels,
        batch_shape=(opened.header.channels, task.layout.channels),
        frames=task.plan.problem.batch,
        dtype=str(opened.header.dtype),
        low=found.low,
        high=found.high,
        mapping=found.mapping,
        mapping_text=found.mapping.describe(task.layout.dtype),
        below=found.below,
        above=found.above,
        values=task.plan.problem.values // task.plan.problem.filter.maps,
        plan=task.plan,
        seconds=seconds,
        metadata=listed(task.said.metadata),
        notes=_notes(task, target, settings),
    )


def _notes(task: Task, target: Target, settings: Settings) -> tuple[str, ...]:
    notes = [target.note] if target.note else []
    notes += (*task.opened.header.notes, *task.said.notes)
    if target.format.name == "jpeg":
        chroma = ":".join(task.said.metadata.subsampling)
        notes.append(f"JPEG loses a little: quality {QUALITY}, chroma {chroma}")
    if task.treatment.alpha in ALPHA_NOTES:
        notes.append(ALPHA_NOTES[task.treatment.alpha])
    if task.treatment.linear:
        after = "put back after" if task.treatment.curved(task.mapping, task.plan) else "not put back"
        notes.append(f"light was filtered: the sRGB curve was undone before and {after}")
    if task.opened.header.dtype != task.layout.dtype and task.mapping.kind != "raw":
        notes.append(f"values were mapped to {depth_text(task.layout.dtype)}")
    if settings.note:
        notes.append(settings.note)
    if task.mapping.needs_range:
        what = "the picture" if task.layout.frames == 1 else "all frames, which share it"
        notes.append(f"the range was found in a first pass over {what}")
    return tuple(notes)
