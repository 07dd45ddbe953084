"""A job that this process works on: its source is open, and everything about it is decided again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final
from weakref import finalize

from convcli.core.errors import ArgumentError, ConvcliError, cut, one_line
from convcli.core.frozen import frozen, replace
from convcli.files.input import Input
from convcli.formats.zarr.target import ZarrTarget
from convcli.jobs.facts import RANGE
from convcli.jobs.job import Job, specs_of
from convcli.jobs.journal import Journal
from convcli.jobs.piece import PieceRunner
from convcli.jobs.settings_json import mapping_of_json
from convcli.jobs.source import check_identity
from convcli.jobs.volumes import volume_runs
from convcli.pipeline.fingerprint import fingerprint
from convcli.pipeline.planning.task import Task, prepare
from convcli.pipeline.selecting import opened_images
from convcli.pipeline.settings import Settings

NO_LIMIT: Final = 2**62
"""Pixels of an image that is read in parts."""


@frozen(eq=False)
class OpenedJob:
    """A job with the means to run its pieces in this process.

    Attributes:
        source: stays open as long as this object.
    """

    job: Job
    source: Input
    runner: PieceRunner

    @classmethod
    def of(cls, job: Job, threads: int, source_name: str | None = None) -> OpenedJob:
        """Open the source and the targets of a job.

        Args:
            threads: that compute a piece.
            source_name: of the source, where the job leaves out a part of it.

        Raises:
            ConvcliError: the source cannot be read or has changed, or a target is gone.
        """
        source = Input.open(source_name or job.source)
        try:
            task = decided(job.source, source, _settings_of(job, threads))
            check_identity(task.opened, job.identity)
            targets = [ZarrTarget.open(place, spec) for place, spec in specs_of(job)]
            _check_fit(job, task, targets)
        except BaseException:
            source.close()
            raise
        journal = Journal(job.journal)
        journal.bind(job)
        runner = PieceRunner(task, task.opened.reader(), job.grid, targets, threads, journal.check_bound)
        return cls(job, source, runner)


def _settings_of(job: Job, threads: int) -> Settings:
    """The settings of a job.

    Raises:
        ArgumentError: they are not those that its fingerprint was made of.
    """
    try:
        settings = job.settings_with(threads=threads)
        made = fingerprint(replace(settings, method=job.settings.get("method", "auto")))
    except ConvcliError:
        raise
    except Exception as error:  # whatever values of wrong types lead to
        raise ArgumentError(f"the job is damaged: its settings cannot be read ({_reason(error)})") from error
    if made != job.fingerprint:
        raise ArgumentError("the job is damaged: its settings are not those that it was made with")
    return settings


def _check_fit(job: Job, task: Task, targets: Sequence[ZarrTarget]) -> None:
    """Refuse pieces of another result, and targets that cannot hold them.

    Raises:
        ArgumentError: there are such.
    """
    layout, grid = task.layout, job.grid
    fits = (
        grid.shape[1:] == (layout.rows, layout.columns)
        and grid.shape[0] % layout.frames == 0
        and len(targets) == len(task.targets)
        and all(
            (target.shard, target.axes.frames, target.axes.rows, target.axes.columns, target.axes.channels)
            == (grid.shard, *grid.shape, layout.channels)
            and target.dtype == layout.dtype
            for target in targets
        )
    )
    if not fits:
        raise ArgumentError("the job is damaged: its pieces or targets do not fit its image")


def _reason(error: Exception) -> str:
    return cut(one_line(repr(error)))


def decided(name: str, source: Input, settings: Settings) -> Task:
    """The decisions for the one result of a source, whatever its size.

    Raises:
        ArgumentError: there are several, which jobs do not make.
        ConvcliError: the source is not an image, or cannot be filtered with these settings.
    """
    settings = replace(settings, max_memory=None, max_pixels=NO_LIMIT)
    runs = volume_runs(opened_images(source, settings), settings)
    results = prepare(name, runs, settings)
    if len(results) > 1 or len(results[0]) > 1:
        raise ArgumentError(
            f"{one_line(name)}: has frames of several sizes or types; choose those of one with --frames"
        )
    return results[0][0]


def request(job: Job, source: str, number: int, phase: str, mappings: list[Any] | None, threads: int) -> str:
    """What a worker needs to run a piece, as JSON; it reads the job from its journal, once.

    Args:
        source: with what the job leaves out of its name: a password, or a query.
        phase: `convcli.jobs.facts.RANGE` or `MAP`.
        mappings: of each map, as `mapping_to_json` writes them; None while ranges are searched.
    """
    fields = {"journal": job.journal, "digest": job.digest, "threads": threads, "source": source}
    return json.dumps({**fields, "piece": number, "phase": phase, "mappings": mappings})


def work(payload: str) -> str:
    """Run the piece that a `request` asks for: the function that workers call.

    Returns:
        The piece's `Facts` as JSON.

    Raises:
        ConvcliError: naming what cannot be read or written.
    """
    asked = json.loads(payload)
    opened = _opened(asked["journal"], asked["digest"], asked["threads"], asked["source"])
    runner, number = opened.runner, asked["piece"]
    if asked["phase"] == RANGE:
        facts = runner.range(number)
    else:
        facts = runner.map(number, [mapping_of_json(parts) for parts in asked["mappings"]])
    opened.source.check_unchanged()
    return json.dumps(facts.to_json())


@lru_cache(2)
def _opened(place: str, digest: str, threads: int, source: str) -> OpenedJob:
    """The job of a journal, opened once in a process."""
    job = Journal(place).job()
    if job is None or job.digest != digest:
        raise ArgumentError(f"{one_line(place)}: the job was replaced while it was running")
    opened = OpenedJob.of(job, threads, source)
    finalize(opened, opened.source.close)  # when no piece uses it any more
    return opened


def forget() -> None:
    """Close the jobs that `work` has opened in this process."""
    _opened.cache_clear()
