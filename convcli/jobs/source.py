"""The source of a job, and how a change of it is noticed."""

from __future__ import annotations

import hashlib
from operator import itemgetter

from convcli.core.errors import ImageError
from convcli.core.frozen import contents
from convcli.formats import opening
from convcli.formats.zarr.reader import ZarrReader


def identity_of(opened: opening.Opened) -> str:
    """A text that changes with the content of a source, as far as its size, time or metadata tell.

    Of an array it is that of its metadata; the chunks are not looked at.
    """
    if isinstance(opened.parts, ZarrReader):
        facts = repr(sorted(contents(opened.parts.facts).items(), key=itemgetter(0)))
        return "zarr-" + hashlib.sha256(facts.encode()).hexdigest()[:16]
    assert opened.source.contents
    return f"file-{opened.source.contents.identity}"


def check_identity(opened: opening.Opened, expected: str) -> None:
    """Refuse a source that is not the one of the job any more.

    Raises:
        ImageError: its content has changed, as far as `identity_of` tells.
    """
    if identity_of(opened) != expected:
        raise ImageError("the image has changed since the job was started")
