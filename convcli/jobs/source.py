"""The source of a job, and how a change of it is noticed."""

from __future__ import annotations

import hashlib
from operator import itemgetter
from typing import Final

from convcli.core.errors import ImageError, StorageError
from convcli.core.frozen import contents
from convcli.formats import opening
from convcli.formats.zarr.library import path_key
from convcli.formats.zarr.reader import ZarrReader

_UNLISTED: Final = "unlisted"
"""Stands for the objects of a store that lists none."""

_DIGITS: Final = 16


def identity_of(opened: opening.Opened) -> str:
    """A text that changes with the content of a source, as far as sizes, times or ETags tell.

    Of an array, all objects are listed, which is one request for about 1,000 of them in an object store.
    """
    if isinstance(opened.parts, ZarrReader):
        return f"{_facts_of(opened.parts)}-{_objects_of(opened.parts)}"
    assert opened.source.contents
    return f"file-{opened.source.contents.identity}"


def _facts_of(reader: ZarrReader) -> str:
    """A text that changes with the metadata of an array."""
    facts = repr(sorted(contents(reader.facts).items(), key=itemgetter(0)))
    return "zarr-" + hashlib.sha256(facts.encode()).hexdigest()[:_DIGITS]


def _objects_of(reader: ZarrReader) -> str:
    """A text that changes with the chunks or shards of an array."""
    digest, path = hashlib.sha256(), reader.located.array.path
    try:
        for name, stamp in reader.store.objects.folder.stamped_names(path_key(path, "") if path else ""):
            if not name.rpartition("/")[2].startswith((".z", "zarr.json")):
                digest.update(f"{name} {stamp}\n".encode())
    except StorageError:  # of a web server, or without the right to list
        return _UNLISTED
    return digest.hexdigest()[:_DIGITS]


def is_same(one: str, other: str) -> bool:
    """Whether two identities are those of the same content, by metadata alone where nothing was listed."""
    parts, others = one.split("-"), other.split("-")
    if _UNLISTED in (parts[-1], others[-1]):
        return parts[:-1] == others[:-1]
    return one == other


def check_opened(opened: opening.Opened, expected: str) -> None:
    """Refuse a source that is not the one of the job any more; the objects of an array are not looked at.

    Raises:
        ImageError: it is another one, as far as its metadata tell.
    """
    parts = opened.parts
    if isinstance(parts, ZarrReader):
        _check(is_same(f"{_facts_of(parts)}-{_UNLISTED}", expected))
    else:
        _check(is_same(identity_of(opened), expected))


def check_objects(opened: opening.Opened, expected: str) -> None:
    """Refuse an array whose objects have changed while pieces read them.

    Raises:
        ImageError: they have, as far as `identity_of` tells.
    """
    if isinstance(opened.parts, ZarrReader):
        _check(is_same(identity_of(opened), expected))


def _check(is_unchanged: bool) -> None:
    if not is_unchanged:
        raise ImageError("the image has changed since the job was started; --force starts over")
