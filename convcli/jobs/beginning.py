"""How a job begins, or goes on: its journal and its targets are made, or found to be those of before."""

from __future__ import annotations

from contextlib import suppress

from convcli.core.errors import OutputError, one_line
from convcli.formats.zarr.spec import ArraySpec
from convcli.formats.zarr.target import ZarrTarget
from convcli.jobs.job import Job, specs_of
from convcli.jobs.journal import Journal


def begun(job: Job, journal: Journal, force: bool) -> Job:
    """Begin a new job.

    Args:
        force: replace targets, and an unfinished job.

    Raises:
        OutputError: there are such, and they may not be replaced.
    """
    if force:
        with journal.locked():  # refused while somebody works on it
            pass
        journal.remove()
    journal.begin(job)
    try:
        for place, spec in specs_of(job):
            ZarrTarget.create(place, spec, force)
    except BaseException:
        journal.remove()
        raise
    return job


def continued(job: Job, journal: Journal) -> Job | None:
    """The job to run: an unfinished one, ``job`` itself where none was begun, or None if all is done.

    Raises:
        OutputError: the unfinished job is another one.
    """
    earlier = journal.job()
    if earlier is None:
        return None if all(is_complete(job)) else begun(job, journal, False)
    difference = earlier.difference(job)
    if difference:
        raise OutputError(
            f"{one_line(journal.place)}: the unfinished job cannot go on: {difference}; --force begins anew"
        )
    for place, spec in specs_of(earlier):
        if not _is_there(place, spec):
            ZarrTarget.create(place, spec)
    return earlier


def is_complete(job: Job) -> list[bool]:
    """Whether each target is there, and is complete."""
    found = []
    for place, spec in specs_of(job):
        with suppress(OutputError):
            found.append(ZarrTarget.open(place, spec).is_complete)
            continue
        found.append(False)
    return found


def _is_there(place: str, spec: ArraySpec) -> bool:
    try:
        ZarrTarget.open(place, spec)
    except OutputError:
        return False
    return True
