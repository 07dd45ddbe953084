"""Results by where they go: to a local file, an object at a URL, a device or standard output."""

from __future__ import annotations

from convcli.files.atomic import AtomicFile
from convcli.files.draft import Draft
from convcli.files.objects import ObjectDraft
from convcli.storage.urls import Place, Url


def open_draft(target: Place | None, force: bool, resume: bool = False, stale: str = "") -> Draft:
    """A result to be written.

    Args:
        target: where it goes, or None for standard output.
        force: replace an existing file.
        resume: accept an existing file that has the same bytes.
        stale: SHA-256, or of an object the ETag, of an existing file that may be replaced because an earlier
            run wrote it.
    """
    if isinstance(target, Url):
        return ObjectDraft(target, force, stale)
    return AtomicFile(target, force, resume, stale)


def write(target: Place, data: bytes, force: bool) -> None:
    """Write a whole result.

    Raises:
        OutputError: ``target`` exists and ``force`` is off, or the system or store refuses; nothing is left
            behind.
    """
    with open_draft(target, force) as draft:
        with draft.refusals():
            draft.file.write(data)
        draft.commit()
