"""Shares of a job, which batch systems run one by one on machines that know nothing of each other."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from convcli.cluster.in_process import InProcessEngine
from convcli.core.errors import (
    ArgumentError,
    ConvcliError,
    OutputError,
    failure_message,
    one_line,
    shown,
)
from convcli.core.numerals import counted
from convcli.core.redaction import public_name
from convcli.core.system import processors
from convcli.files.outputs import write
from convcli.jobs.beginning import begun, check_free, is_complete
from convcli.jobs.driver import JobRun, plan_of
from convcli.jobs.facts import MAP, RANGE
from convcli.jobs.job import Job, specs_of
from convcli.jobs.journal import Journal
from convcli.jobs.levels import make_levels
from convcli.jobs.opened import OpenedJob
from convcli.jobs.planning import PlannedJob
from convcli.jobs.progress import NoProgress
from convcli.jobs.source import stamps_of

_LARGEST_JOB: Final = 2**26  # bytes


def prepare_job(planned: PlannedJob, file: str, force: bool) -> int:
    """Make the targets of a job without running a piece, and write the job to a file.

    Returns:
        The number of pieces.

    Raises:
        OutputError: the file or a target is there and may not be replaced.
    """
    if public_name(planned.name) != planned.name:
        raise ArgumentError(
            "the URL has a password or a query, which jobs do not store; use --cluster, or a URL without"
        )
    path = Path(file)
    if path.exists() and not force:
        raise OutputError(f"{one_line(file)}: already exists (--force replaces it)")
    journal = Journal(planned.journal)
    if not force:
        check_free(planned.targets, journal)
    with journal.locked():
        job = begun(planned.job(InProcessEngine()), journal, force)
        journal.refresh(stamps_of(planned.task.opened, plan_of(planned.task), job.grid).pieces)
    write(path, job.to_text().encode(), force)
    return job.grid.count


def run_share(file: str, index: int, count: int, threads: int | None) -> tuple[int, int]:
    """Run every ``count``-th piece, from ``index`` on, that is not done.

    Args:
        file: the job's.

    Returns:
        How many pieces were done now, and how many before.

    Raises:
        ConvcliError: a piece failed; those before it are noted as done.
    """
    job, journal = _job(file)
    if journal is None:
        return 0, len(range(index, job.grid.count, count))
    opened = OpenedJob.of(job, threads or processors())
    with opened.source:
        run = JobRun(opened.runner.task, job.settings_with(), job, journal)
        mappings = run.mappings()
        phase = RANGE if mappings is None else MAP
        done = run.totals(phase).done
        mine = range(index, job.grid.count, count)
        left = [number for number in mine if number not in done]
        try:
            for number in left:
                name = f"{one_line(file)}: piece {number} ({job.grid.box(number)})"
                try:
                    runner = opened.runner
                    facts = runner.range(number) if mappings is None else runner.map(number, mappings)
                    opened.source.check_unchanged()
                except ConvcliError as error:
                    raise ConvcliError(f"{name}: {failure_message(job.source, error)}") from error
                journal.add(phase, facts)
        finally:
            journal.flush()
    return len(left), len(mine) - len(left)


def finish_job(file: str) -> str:
    """Complete a job, or its first pass.

    Returns:
        What was done, in words.

    Raises:
        OutputError: pieces are missing.
    """
    job, journal = _job(file)
    if journal is None:
        names = ", ".join(shown(place) for place, _ in specs_of(job))
        return f"{names}: is complete"
    opened = OpenedJob.of(job, 1)
    with opened.source, journal.locked():
        run = JobRun(opened.runner.task, job.settings_with(), job, journal)
        if run.mappings() is None:
            totals = run.totals(RANGE)
            run.check_all(totals)
            mappings = run.set_mappings(totals)
            return f"range found: {mappings[0]}; now run all shares again, then --finish"
        reports = run.finish(0.0, "shares of a job", "run all shares again, then --finish")
        if job.pyramid:
            make_levels(job, InProcessEngine(), NoProgress())
        journal.remove()
    names = ", ".join(report.target.name for report in reports)
    return f"{names}: complete ({counted(job.grid.count, 'piece')})"


def _job(file: str) -> tuple[Job, Journal | None]:
    """The job of a file, and its journal; None if all is done.

    Raises:
        ArgumentError: the journal is gone, or that of another job.
    """
    try:
        with Path(file).open("rb") as opened:
            data = opened.read(_LARGEST_JOB + 1)
        if len(data) > _LARGEST_JOB:
            raise ArgumentError(
                f"{one_line(file)}: not a job of convcli, but of more than {_LARGEST_JOB} bytes"
            )
        text = data.decode()
    except OSError as error:
        raise ArgumentError(f"{one_line(file)}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ArgumentError(f"{one_line(file)}: not a job of convcli") from error
    job = Job.of_text(text, file)
    journal = Journal(job.journal)
    begun_job = journal.job()
    if begun_job is None:
        if is_complete(specs_of(job), job.made):
            return job, None
        raise ArgumentError(f"{one_line(file)}: the journal of this job is gone: {one_line(job.journal)}")
    if begun_job.digest != job.digest:
        raise ArgumentError(f"{one_line(file)}: another job has taken its place at {one_line(job.journal)}")
    journal.bind(job)
    return job, journal
