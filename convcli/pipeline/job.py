"""One picture: read, plan, convolve, map, write, report. The guts of ``convcli apply``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import chain
from math import inf
from pathlib import Path
from typing import Final, Self

from convcli.core.dtypes import Array, DType
from convcli.core.errors import ConvcliError, Halted, OutputError, reason_of
from convcli.core.frozen import frozen
from convcli.core.numerals import counted
from convcli.core.threads import Threads
from convcli.files.atomic import AtomicFile
from convcli.files.input import STREAM, Input
from convcli.files.ledger import OutputLedger
from convcli.files.stdout import check_stream
from convcli.formats import registry
from convcli.formats.base import Format, Lossy, Progressive, Reader, Tensors
from convcli.formats.header import Layout, Metadata, depth_text, kind_text
from convcli.formats.metadata import listed
from convcli.formats.pnm import misnamed
from convcli.pipeline.canvas import MOST_WAITING, Canvas
from convcli.pipeline.feature_map import FeatureMap, feature_maps
from convcli.pipeline.naming import Target
from convcli.pipeline.report import File, Report
from convcli.pipeline.settings import GRAY, Settings
from convcli.pipeline.task import Task, prepare

ALPHA_NOTES: Final = {
    "filter": "alpha was filtered with the colors, which count by how much of them is seen",
    "keep": "alpha is the input's, at the center of each window",
    "drop": "alpha was dropped",
}


@frozen(eq=False)
class Result:
    """A file for each map, computed but not in its place: of one task, or of several, one behind the other.

    Attributes:
        found: of each task, its maps and the seconds of each.
        opened: what was read.
    """

    tasks: list[Task]
    drafts: list[AtomicFile]
    found: list[tuple[list[FeatureMap], float]]
    settings: Settings
    opened: Input

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with ExitStack() as stack:
            for draft in self.drafts:
                stack.push(draft)

    def commit(self, sync_folder: bool = True) -> list[int]:
        """Put the files in their places; their sizes in bytes.

        Raises:
            ConvcliError: the input changed meanwhile, or an output cannot be written.
        """
        with self:
            self.opened.check_unchanged()
            return [draft.commit(sync_folder) for draft in self.drafts]

    def reports(self, sizes: list[int]) -> list[Report]:
        """A report for each map of pictures that are alike, of files of these sizes."""
        sizes = sizes * (len(self.found[0][0]) // len(sizes))  # a stack is one file for all maps
        return [
            report_of(task, self.settings, index, map_, sizes[index], seconds)
            for task, (maps, seconds) in zip(self.tasks, self.found, strict=True)
            for index, map_ in enumerate(maps)
        ]


Todo = list[tuple[Settings, list[Task]]]
"""The results that are wanted of one input: by which settings, and the tasks of each."""


def apply(source: str, *each: Settings, ledger: OutputLedger | None = None) -> list[Report]:
    """Convolve one picture, or every frame of a file, and write the feature maps.

    Args:
        source: a file, or ``-`` for standard input, which is decoded once.
        each: what to do with it, one result behind the other.
        ledger: the run's files, where there are several inputs.

    Returns:
        A report for each map of pictures that are alike.

    Raises:
        ConvcliError: of every kind; nothing is left half-written.
    """
    with Input.open(source) as opened:
        todo = decided(source, opened, each)
        made = results(opened, todo, ledger or OutputLedger([source]))
        return [report for result in made for report in result.reports(result.commit())]


def decided(source: str, opened: Input, each: Sequence[Settings]) -> Todo:
    """What is to be done with one picture, as each of some settings says; no pixel is decoded.

    Raises:
        ConvcliError: it is no picture, or nothing can be done as the settings say.
    """
    runs = registry.open_input(opened, each[0].max_pixels)
    return [(settings, tasks) for settings in each for tasks in prepare(source, runs, settings)]


def results(
    opened: Input,
    todo: Todo,
    ledger: OutputLedger,
    resume: bool = False,
    stale: Callable[[Path], str] = lambda target: "",
) -> Iterator[Result]:
    """Convolve a picture, decoded once, for one result after the other; each is to be committed, or left.

    Every output is claimed before a pixel is decoded.

    Args:
        resume: take outputs that are there for results, where they have the same bytes.
        stale: SHA-256 of an output that may be replaced; empty where it may not.
    """
    single = sum(len(tasks[0].targets) for _, tasks in todo) == 1
    for settings, tasks in todo:
        _claim(tasks[0], settings, ledger, resume, single)
    for settings, tasks in todo:
        with ExitStack() as stack:
            drafts = [
                stack.enter_context(
                    AtomicFile(target.path, settings.force, resume, stale(target.path) if target.path else "")
                )
                for target in tasks[0].targets
            ]
            found = []
            for task in tasks:
                begun = time.perf_counter()
                maps = _made(task, drafts)
                found.append((maps, (time.perf_counter() - begun) / len(maps)))
            stack.pop_all()
        yield Result(tasks, drafts, found, settings, opened)
    for task in chain(*(tasks for _, tasks in todo)):  # while results wait for the disk
        task.opened.forget()


def _made(task: Task, drafts: list[AtomicFile]) -> list[FeatureMap]:
    """Compute the maps and write them into the drafts."""
    plan, metadata = task.plan, task.metadata.metadata
    reader = task.opened.reader()
    most = inf if task.pages > 1 else MOST_WAITING  # a page waits until those before it are written
    books = [[_canvas(task, target, metadata, most) for _ in range(task.pages)] for target in task.targets]
    canvases = [canvas for book in books for canvas in book]
    shared = canvases * (plan.outcome.maps // len(canvases))  # an array is one canvas for all maps
    compute = partial(_computed, task, reader, shared, _colors(task.colormap))
    writers = [partial(_write, *each) for each in zip(task.targets, books, drafts, strict=True)]
    return _written(compute, list(zip(writers, books, strict=True)))


def _computed(task: Task, reader: Reader, surfaces: list[Canvas], colors: Array | None) -> list[FeatureMap]:
    """The maps, of a picture that is sound to its end, also behind the last row that a window reads."""
    maps = feature_maps(task.plan, reader, task.color_handling, task.mapping, surfaces, colors)
    header = task.opened.header
    if header.frames == 1 and isinstance(task.opened.format, Progressive):
        reader.rows(0, header.rows - 1, header.rows)
    return maps


def _written(
    compute: Callable[[], list[FeatureMap]], files: list[tuple[Callable[[], None], list[Canvas]]]
) -> list[FeatureMap]:
    """Compute the maps while each file is written by a thread of its own, unless all its bands find room.

    Of several failures the first cause is raised: what another one ended raises `Halted`.

    Args:
        files: what writes each, and its canvases.
    """
    last = []
    with Threads() as threads:
        try:
            for write, book in files:
                if sum(canvas.count for canvas in book) > MOST_WAITING and threads.begin(write):
                    continue
                last.append(write)
                for canvas in book:
                    canvas.most = inf  # nobody takes its bands before all are there
            maps = compute()
        except BaseException as error:
            for canvas in chain(*(book for _, book in files)):
                canvas.halt()
            causes = threads.wait() if isinstance(error, Halted) else []
            raise next((cause for cause in causes if not isinstance(cause, Halted)), error) from None
        threads.join()
    for write in last:
        write()
    return maps


def _colors(colormap: str) -> Array | None:
    if colormap == GRAY:
        return None
    from convcli.pipeline.colormaps import table  # only who asks for colors pays for this import

    return table(colormap)


def _canvas(task: Task, target: Target, metadata: Metadata, most: float) -> Canvas:
    height = task.plan.height
    return Canvas(task.layout, registry.encoder(target.format, task.layout, metadata, height), height, most)


def _claim(task: Task, settings: Settings, ledger: OutputLedger, resume: bool, single: bool) -> None:
    own = task.source if single and not resume else None
    for target in task.targets:
        if target.path is None:
            check_stream()
        else:
            ledger.claim(target.path, settings.force or resume, not settings.output.is_one_file, own)


def _write(target: Target, book: list[Canvas], draft: AtomicFile) -> None:
    """Write the canvases of a file, one behind the other."""
    with encoding(target, draft):
        for canvas in book:
            canvas.write(draft.file)


@contextmanager
def encoding(target: Target, draft: AtomicFile) -> Iterator[None]:
    """Turn whatever an encoder raises into one `OutputError`."""
    try:
        with draft.refusals():
            yield
    except (ConvcliError, Halted, MemoryError):
        raise
    except Exception as error:  # an encoder's limit, such as WebP's largest side
        reason = reason_of(error, "its encoder failed")
        raise OutputError(f"{target}: {target.format.name} cannot be written: {reason}") from error


def report_of(
    task: Task, settings: Settings, index: int, found: FeatureMap, size: int, seconds: float
) -> Report:
    opened, target = task.opened, task.targets[min(index, len(task.targets) - 1)]
    return Report(
        source=File(
            "standard input" if task.source == STREAM else task.source,
            opened.format.name,
            opened.header.kind,
            opened.source.size,
        ),
        target=File(
            str(target.path or target),
            target.format.name,
            _kind(task, settings.stack),
            size,
        ),
        kernel=settings.kernel,
        index=index,
        frame=task.frame,
        flip=settings.flip,
        geometry=task.geometry,
        padding=str(settings.padding),
        channels=task.channels,
        batch_shape=(opened.header.channels, task.layout.channels - (2 if task.colormap != GRAY else 0)),
        frames=task.plan.problem.batch,
        dtype=str(opened.header.dtype),
        low=found.low,
        high=found.high,
        mapping=found.mapping,
        mapping_text=_mapping_text(task, found),
        below=found.below,
        above=found.above,
        nan=found.nan,
        infinite=found.infinite,
        values=task.plan.problem.values // task.plan.problem.filter.maps,
        plan=task.plan,
        seconds=seconds,
        metadata=listed(task.metadata.metadata),
        notes=(*_value_notes(found, task.layout.dtype), *_notes(task, target, settings)),
    )


def _value_notes(found: FeatureMap, dtype: DType) -> list[str]:
    """What became of values that are no finite numbers, or of numbers that the result's type ends before."""
    floats, notes = dtype.kind == "f", []
    if found.nan:
        notes.append(f"{counted(found.nan, 'NaN value')}: {'kept' if floats else 'written as 0'}")
    if found.infinite:
        fate = "kept" if floats else "written as the type's lowest or highest value, and counted as saturated"
        words = "from infinite pixels, or sums that overflow"
        notes.append(f"{counted(found.infinite, 'infinite value')}, {words}: {fate}")
    if floats and found.below + found.above:
        beyond = counted(found.below + found.above, "finite value")
        notes.append(f"{beyond} beyond what {dtype} holds: written as infinity, and counted as saturated")
    return notes


def _mapping_text(task: Task, found: FeatureMap) -> str:
    text = task.mapping_text(found.mapping)
    return text if task.colormap == GRAY else f"{text}; in the colors of {task.colormap}"


def _kind(task: Task, stack: bool) -> str:
    layout = task.layout
    if stack and task.pages == 1:
        return f"{layout.channels} channels, {depth_text(layout.dtype)}"
    kind = kind_text(layout.channels, layout.dtype, layout.bands)
    return f"{task.pages} pages, {kind}" if task.pages > 1 else kind


def _looks_like_alpha(layout: Layout) -> bool:
    """Whether the last channel of several frames is none, and nothing in their shape says so."""
    return layout.bands and layout.frames > 1 and layout.channels in (2, 4)


def _quality(target: Format, metadata: Metadata) -> list[str]:
    """What the format loses, or that it has no quality to choose."""
    asked = metadata.coding.quality
    if not isinstance(target, Lossy):
        return [f"{target.name} has no quality to choose, so --quality changed nothing"] if asked else []
    quality = asked or target.quality
    chroma = f", chroma {':'.join(metadata.subsampling)}" if target.name == "jpeg" else ""
    return [f"{target.name} loses detail: quality {quality}{chroma}"] if quality else []


def _notes(task: Task, target: Target, settings: Settings) -> tuple[str, ...]:
    notes = [target.note] if target.note else []
    notes += (*task.opened.header.notes, *task.metadata.notes)
    notes += _quality(target.format, task.metadata.metadata)
    odd = (
        misnamed(target.path.suffix, task.layout.channels)
        if target.format.name == "pnm" and target.path
        else ""
    )
    notes += [odd] if odd else []
    if task.opened.header.bands:
        notes.append("the last channel is not alpha; it is filtered like the others")
    if _looks_like_alpha(task.layout) and isinstance(target.format, Tensors):
        notes.append("read again as frames, the last channel of this file is taken for alpha")
    if task.color_handling.alpha in ALPHA_NOTES:
        notes.append(ALPHA_NOTES[task.color_handling.alpha])
    if task.color_handling.linear:
        after = "put back after" if task.color_handling.curved(task.mapping, task.plan) else "not put back"
        notes.append(f"light was filtered: the sRGB curve was undone before and {after}")
    if task.opened.header.dtype != task.layout.dtype and task.mapping.kind != "raw":
        notes.append(f"values were mapped to {depth_text(task.layout.dtype)}")
    notes += settings.notes
    if task.mapping.needs_range:
        what = "the picture" if task.layout.frames == 1 else "all frames, which share it"
        notes.append(f"the range was found in a first pass over {what}")
    return tuple(notes)
