"""How a job begins, or goes on: its journal and its targets are made, or found to be those of before."""

from __future__ import annotations

import os
from collections.abc import Iterable

from convcli.core.errors import OutputError, one_line, shown
from convcli.files.stores import is_store
from convcli.formats.zarr.spec import ArraySpec
from convcli.formats.zarr.target import ZarrTarget
from convcli.jobs.job import Job, specs_of
from convcli.jobs.journal import Journal
from convcli.storage.urls import is_url


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


def continued(job: Job, journal: Journal) -> Job:
    """The job to run: an unfinished one, or ``job`` itself where none was begun.

    Raises:
        OutputError: the unfinished job is another one.
    """
    earlier = journal.job()
    if earlier is None:
        return begun(job, journal, False)
    difference = earlier.difference(job)
    if difference:
        raise OutputError(
            f"{one_line(journal.place)}: the unfinished job cannot go on: {difference}; --force begins anew"
        )
    for place, spec in specs_of(earlier):
        if not _is_there(place, spec):
            ZarrTarget.create(place, spec)
    return earlier


def is_complete(targets: Iterable[tuple[str, ArraySpec]]) -> bool:
    """Whether all targets are there, and complete."""
    try:
        return all(ZarrTarget.open(place, spec).is_complete for place, spec in targets)
    except OutputError:
        return False


def check_free(targets: Iterable[tuple[str, ArraySpec]], journal: Journal) -> None:
    """Refuse to begin a job over another one, or over what is there, before anything is done.

    Raises:
        OutputError: there is an unfinished job, or a target.
    """
    if journal.job() is not None:
        raise journal.unfinished()
    for place, _ in targets:
        if is_store(place) or (not is_url(place) and os.path.lexists(place)):
            raise OutputError(f"{shown(place)}: already exists (--force replaces it)")


def _is_there(place: str, spec: ArraySpec) -> bool:
    try:
        ZarrTarget.open(place, spec)
    except OutputError:
        return False
    return True
