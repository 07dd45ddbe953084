"""How a job begins, or goes on: its journal and its targets are made, or found to be those of before."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from convcli.core.errors import OutputError, one_line, shown
from convcli.formats.zarr.spec import ArraySpec
from convcli.formats.zarr.target import ZarrTarget
from convcli.jobs.job import Job, specs_of
from convcli.jobs.journal import Journal
from convcli.jobs.source import is_same
from convcli.storage.folder import open_folder
from convcli.storage.urls import is_remote, local


def begun(job: Job, journal: Journal, force: bool) -> Job:
    """Begin a new job.

    Args:
        journal: of the job, whose lock is held.
        force: replace targets, and an unfinished job.

    Raises:
        OutputError: there are such, and they may not be replaced.
    """
    if force:
        journal.clear()
    journal.begin(job)
    made: list[ZarrTarget] = []
    try:
        for place, spec in specs_of(job):
            made.append(ZarrTarget.create(place, spec, force))
    except BaseException:
        for target in made:
            target.remove()
        journal.clear()
        raise
    return job


def continued(job: Job, journal: Journal) -> Job:
    """The job to run: an unfinished one, or ``job`` itself where none was begun.

    Args:
        journal: of the job, whose lock is held.

    Raises:
        OutputError: the unfinished job is another one.
    """
    earlier = journal.job()
    if earlier is None:
        return begun(job, journal, False)
    difference = earlier.difference(job)
    if difference:
        raise OutputError(
            f"{one_line(journal.place)}: the unfinished job cannot be resumed: {difference}; "
            "--force starts over"
        )
    for place, spec in specs_of(earlier):
        target = ZarrTarget.found(place, spec)
        if target is None:
            ZarrTarget.create(place, spec)
        elif target.is_complete:  # it is that of an earlier job, which this one was to replace
            target.reopen()
    return earlier


def is_complete(targets: Iterable[tuple[str, ArraySpec]], made: Mapping[str, str]) -> bool:
    """Whether all targets are there, and complete.

    Args:
        made: how, as `Job.made` tells; results of the same size may differ.
    """
    for place, spec in targets:
        target = ZarrTarget.found(place, spec)
        if target is None or not target.is_complete:
            return False
        fingerprint, source = (str(target.state.get(name)) for name in ("fingerprint", "source"))
        if fingerprint != made["fingerprint"] or not is_same(source, made["source"]):
            return False
    return True


def check_free(targets: Iterable[tuple[str, ArraySpec]], journal: Journal) -> None:
    """Refuse to begin a job over another one, or over what is there, before anything is done.

    Raises:
        OutputError: there is an unfinished job, or a target.
    """
    journal.check_unlocked()
    if journal.job() is not None:
        raise journal.unfinished()
    for place, _ in targets:
        if open_folder(place).exists if is_remote(place) else os.path.lexists(local(place)):
            raise OutputError(f"{shown(place)}: already exists (--force replaces it)")
