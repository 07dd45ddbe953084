"""What there is below URLs, listed while it is taken, so that memory use does not depend on its amount."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Final

from convcli.core.errors import StorageError
from convcli.core.patterns import pattern
from convcli.storage.failures import refusals
from convcli.storage.stores import exists, open_store
from convcli.storage.urls import is_bucket, is_writable, joined, name_of, parent_of

_MAGIC: Final = pattern(r"[*?[]")
_FEW: Final = 8  # objects that are looked for one by one rather than by a listing


def is_folder(url: str) -> bool:
    """Whether a URL stands for what is below it rather than for one object; may take requests.

    Raises:
        StorageError: that cannot be found out.
    """
    if url.endswith("/") or is_bucket(url):
        return True
    return not exists(url) and next(names_below(url, recursive=True), None) is not None


def listed_objects(url: str, recursive: bool, prefix: str = "") -> Iterator[tuple[str, str]]:
    """The names of all objects below a URL, relative to it and sorted, and their stamps.

    A stamp is text that changes when the object does. Memory use does not depend on the number of objects,
    unless a store lists one folder at a time.

    Args:
        recursive: whether to include those of subfolders.
        prefix: that names begin with.

    Raises:
        StorageError: they cannot be listed.
    """
    if not is_writable(url):
        raise StorageError(url, "web servers list no files; name each image, or give a list of their URLs")
    with refusals(url, "cannot be listed"):
        store, path = open_store(url)
        yield from store.names(path.rstrip("/"), prefix, recursive)


def names_below(url: str, recursive: bool, prefix: str = "") -> Iterator[str]:
    """The names of `listed_objects`."""
    return (name for name, _ in listed_objects(url, recursive, prefix))


def has_magic(url: str) -> bool:
    """Whether a URL may be a pattern; those of web servers are not."""
    return is_writable(url) and _MAGIC.search(url) is not None


def matching(url: str) -> Iterator[str]:
    """The URLs of the objects that match a pattern such as ``s3://bucket/*/a-?.png``, sorted.

    ``*`` and ``?`` match no ``/``, ``**`` any number of folders; names that begin with a dot have to be
    written so.
    """
    protocol, rest = url.split("://", 1)
    parts = rest.split("/")
    first = next(number for number, part in enumerate(parts) if _MAGIC.search(part))
    if not first:
        raise StorageError(url, "the name of a bucket cannot be a pattern")
    folder, patterns = f"{protocol}://{'/'.join(parts[:first])}", parts[first:]
    literal = re.split(_MAGIC.pattern, patterns[0], maxsplit=1)[0]
    for name in names_below(folder, len(patterns) > 1 or patterns == ["**"], literal):
        if _matches(name.split("/"), patterns):
            yield joined(folder, name)


def _matches(parts: list[str], patterns: list[str]) -> bool:
    if not patterns or not parts:
        return not parts and all(each == "**" for each in patterns)
    if patterns[0] == "**":
        return _matches(parts, patterns[1:]) or (parts[0][:1] != "." and _matches(parts[1:], patterns))
    is_hidden = parts[0].startswith(".") and not patterns[0].startswith(".")
    return not is_hidden and fnmatchcase(parts[0], patterns[0]) and _matches(parts[1:], patterns[1:])


def existing(urls: Iterable[str]) -> Iterator[str]:
    """Those of some URLs where there is an object.

    Raises:
        StorageError: that cannot be found out.
    """
    folders: dict[str, dict[str, str]] = {}
    for url in urls:
        folders.setdefault(parent_of(url), {})[name_of(url)] = url
    for folder, wanted in folders.items():
        for name in _existing(folder, wanted):
            yield wanted[name]


def _existing(folder: str, names: Collection[str]) -> Iterator[str]:
    if len(names) <= _FEW:
        yield from (name for name in names if exists(joined(folder, name)))
        return
    first, last = min(names), max(names)
    shared = next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    for name in names_below(folder, False, first[:shared]):
        if name > last:
            return
        if name in names:
            yield name
