"""Results that are made in pieces: which ones are, how the job runs, and its progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING, Final

from convcli.cli import signals
from convcli.cli.arguments import PieceOptions
from convcli.cli.console import clear_line, show_line, tell
from convcli.core.errors import one_line, shown
from convcli.core.frozen import frozen
from convcli.core.progress import Progress as Pace

if TYPE_CHECKING:
    from convcli.cluster.base import Engine
    from convcli.jobs.job import Job
    from convcli.jobs.planning import JobOptions
    from convcli.pipeline.reports.report import Report
    from convcli.pipeline.settings import Settings

_EVERY: Final = 5.0  # seconds between lines of progress


def are_pieces(image: str, settings: Sequence[Settings], options: PieceOptions) -> bool:
    """Whether an image's results are made in pieces: those in Zarr, and those of options for pieces."""
    if options.requests_pieces:
        return True
    from convcli.files.stores import is_store

    output = settings[0].output
    requested = output.requested_format
    return requested == "zarr" or (not requested and not output.is_stream and is_store(image))


@frozen(eq=False)
class PieceRun:
    """Runs the jobs of a command line.

    Attributes:
        force: whether results may be replaced.
        threads: as `--threads` says.
    """

    options: PieceOptions
    force: bool
    threads: int | None
    quiet: bool
    connect: Callable[[], Engine]

    def apply(self, image: str, settings: Sequence[Settings]) -> list[Report]:
        """Make the results of an image, one job for each kernel."""
        from convcli.jobs.driver import run_job
        from convcli.jobs.planning import plan_job
        from convcli.jobs.shares import prepare_job

        reports: list[Report] = []
        for chosen in settings:
            with plan_job(image, chosen, job_options(self.options, self.threads)) as planned:
                if self.options.job_file:
                    count = prepare_job(planned, self.options.job_file, self.force)
                    tell(prepared_text(self.options.job_file, count))
                    continue
                with JobProgress(self.quiet) as progress:
                    made = run_job(planned, self.connect, self.options.resume_job, self.force, progress)
                if not made:
                    tell(f"{shown(planned.targets[0][0])}: already complete; nothing to do")
                reports += made
        return reports


def pieces_text(image: str, settings: Settings, options: PieceOptions, report: str) -> str:
    """The plan of an image whose result is made in pieces, and the pieces.

    Args:
        report: ``text`` or ``json``.
    """
    from convcli.cluster.registry import engine_of
    from convcli.core.tables import to_json
    from convcli.jobs.description import job_facts, job_text
    from convcli.jobs.planning import plan_job
    from convcli.pipeline.reports.json_form import plan_dict

    with plan_job(image, settings, job_options(options, None)) as planned:
        with engine_of(options.cluster) as engine:
            facts = job_facts(planned, engine)
        plan = planned.task.plan
    return to_json({**plan_dict(plan), "job": facts}) if report == "json" else f"{plan}\n{job_text(facts)}"


def prepared_text(file: str, count: int) -> str:
    """What to do with a job of so many pieces that was written to a file."""
    from convcli.core.numerals import counted

    name = one_line(file)
    return (
        f"{name}: {counted(count, 'piece')}; run `convcli piece {name} I/N` for every I from 0 to N − 1, "
        f"then `convcli piece {name} --finish`"
    )


def job_options(options: PieceOptions, threads: int | None) -> JobOptions:
    """The options of a job."""
    from convcli.geometry.axes import per_axis
    from convcli.jobs.planning import JobOptions

    def pair(name: str, size: tuple[int, ...] | None) -> tuple[int, int] | None:
        if size is None:
            return None
        rows, columns = per_axis(name, size, 2)
        return rows, columns

    return JobOptions(
        pair("piece", options.piece_size),
        pair("chunk", options.chunk),
        pair("shard", options.shard),
        options.worker_memory,
        threads,
        options.pyramid,
    )


class JobProgress:
    """Lines about pieces that are done, with rate and time left."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet or sys.stderr is None
        self.pixels = 0
        self.phase, self.done = "", 0
        self.pace, self.shown = Pace(), time.monotonic()
        self.is_line = False

    def __enter__(self) -> JobProgress:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._clear()
        if self.pixels and not self.quiet and kind in (KeyboardInterrupt, signals.Stopped):
            tell("interrupted; --resume continues with the pieces that are not done")

    def begin(self, job: Job, engine: Engine) -> None:
        """Say where the work can be watched."""
        self.pixels = prod(job.grid.shape)
        if engine.dashboard and not self.quiet:
            tell(f"dashboard: {engine.dashboard}")

    def show(self, phase: str, done: int, total: int) -> None:
        """Show how many pieces of a pass are done."""
        now = time.monotonic()
        if phase != self.phase:
            self.phase, self.done, self.pace = phase, done, Pace()
        new, self.done = done - self.done, done
        self.pace.add(new)
        is_terminal = not self.quiet and sys.stderr.isatty()
        if self.quiet or not new or (not is_terminal and now - self.shown < _EVERY):
            return
        self.shown = now
        what = "finding the range: " if phase == "range" else "" if phase == "map" else f"{phase}: "
        pixels = self.pace.rate * self.pixels / total / 1e6
        left = self.pace.left_text(total - done)
        text = f"{what}{done} of {total} pieces, {pixels:.3g} Mpx/s{left}"
        if is_terminal:
            show_line(text)
            self.is_line = True
        else:
            tell(text)

    def _clear(self) -> None:
        if self.is_line:
            clear_line()
