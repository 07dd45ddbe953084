"""One image from file to file: read, decide, convolve, write and report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from typing import Self

from convcli.core.frozen import frozen
from convcli.files.draft import Draft
from convcli.files.input import Input, Source, open_source, source_name
from convcli.files.ledger import OutputLedger
from convcli.files.outputs import open_draft
from convcli.files.stdout import check_stream
from convcli.pipeline.maps.feature_map import FeatureMap
from convcli.pipeline.planning.task import Task, prepare
from convcli.pipeline.reports.report import Report
from convcli.pipeline.reports.task_report import report_of
from convcli.pipeline.selecting import opened_images
from convcli.pipeline.settings import Settings
from convcli.pipeline.writing import write_maps
from convcli.storage.urls import Place


@frozen(eq=False)
class MadeMaps:
    """The maps of one task, computed and encoded, and the seconds that each took."""

    task: Task
    maps: list[FeatureMap]
    seconds: float


@frozen(eq=False)
class Result:
    """Complete files, one for each map, that are not yet in place.

    Attributes:
        files: each with the maps of all tasks, one after the other.
        opened: the input.
    """

    files: list[Draft]
    made: list[MadeMaps]
    settings: Settings
    opened: Input

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with ExitStack() as stack:
            for file in self.files:
                stack.push(file)

    def commit(self, sync_folder: bool = True) -> list[int]:
        """Put the files in their places; their sizes in bytes.

        Raises:
            ConvcliError: the input has changed meanwhile, or an output cannot be written.
        """
        with self:
            self.opened.check_unchanged()
            return [file.commit(sync_folder) for file in self.files]

    def reports(self, sizes: list[int]) -> list[Report]:
        """A report for each map of each task; ``sizes`` are the bytes of the files."""
        sizes = sizes * (len(self.made[0].maps) // len(sizes))  # a stack is one file for all maps
        return [
            report_of(made.task, self.settings, index, map_, sizes[index], made.seconds)
            for made in self.made
            for index, map_ in enumerate(made.maps)
        ]


PlannedResult = tuple[Settings, list[Task]]
"""One result that is wanted of an input: its settings, and the tasks whose images it holds."""


def apply(source: Source, *settings: Settings, ledger: OutputLedger | None = None) -> list[Report]:
    """Convolve one image, or every frame of a file, and write the feature maps.

    Args:
        source: a file, ``-`` for standard input, or an open input; it is decoded once.
        settings: what to do with it, one after the other.
        ledger: the files of the run, if there are several inputs.

    Returns:
        A report for each map of images of one size and type.

    Raises:
        ConvcliError: of every kind; nothing is left half-written.
    """
    name = source_name(source)
    with open_source(source, settings[0].max_memory) as opened:
        planned = planned_results(name, opened, settings)
        results = compute_results(opened, planned, ledger or OutputLedger([name]))
        return [report for result in results for report in result.reports(result.commit())]


def planned_results(source: str, opened: Input, settings: Sequence[Settings]) -> list[PlannedResult]:
    """The results of one input with each of some settings; no pixel is decoded.

    Raises:
        ConvcliError: the input is not an image, or cannot be filtered with these settings.
    """
    runs = opened_images(opened, settings[0])
    return [(chosen, tasks) for chosen in settings for tasks in prepare(source, runs, chosen)]


def compute_results(
    opened: Input,
    planned: Sequence[PlannedResult],
    ledger: OutputLedger,
    resume: bool = False,
    replaceable: Callable[[Place], str] = lambda target: "",
) -> Iterator[Result]:
    """Compute one result after the other; each is to be committed, or left.

    Every output is claimed before a pixel is decoded, and the input is decoded once.

    Args:
        resume: take an output that exists as the result if it has the same bytes.
        replaceable: the SHA-256 of an output that may be replaced; empty if it may not.

    Raises:
        ConvcliError: of every kind.
    """
    is_single = sum(len(tasks[0].targets) for _, tasks in planned) == 1
    for settings, tasks in planned:
        _claim(tasks[0], settings, ledger, resume, is_single)
    for settings, tasks in planned:
        with ExitStack() as stack:
            files = [
                stack.enter_context(
                    open_draft(
                        target.path, settings.force, resume, replaceable(target.path) if target.path else ""
                    )
                )
                for target in tasks[0].targets
            ]
            made = [_made(task, files) for task in tasks]
            stack.pop_all()
        yield Result(files, made, settings, opened)
    for task in chain.from_iterable(tasks for _, tasks in planned):  # while results wait for the disk
        task.opened.forget()


def _claim(task: Task, settings: Settings, ledger: OutputLedger, resume: bool, is_single: bool) -> None:
    own = task.source if is_single and not resume else None
    for target in task.targets:
        if target.path is None:
            check_stream()
        else:
            ledger.claim(target.path, settings.force or resume, not settings.output.is_one_file, own)


def _made(task: Task, files: list[Draft]) -> MadeMaps:
    start = time.perf_counter()
    maps = write_maps(task, files)
    return MadeMaps(task, maps, (time.perf_counter() - start) / len(maps))
