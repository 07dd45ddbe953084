"""The objects below a URL, listed while they are taken."""

from __future__ import annotations

from collections.abc import Iterator

from convcli.storage.failures import refusals
from convcli.storage.stores import open_store


def listed_objects(url: str, recursive: bool) -> Iterator[tuple[str, str]]:
    """The names of all objects below a URL, relative to it and sorted, and their stamps.

    A stamp is text that changes when the object does. Memory use does not depend on the number of objects,
    unless a store lists one folder at a time.

    Args:
        recursive: whether to include those of subfolders.

    Raises:
        StorageError: they cannot be listed.
    """
    with refusals(url, "cannot be listed"):
        store, path = open_store(url)
        yield from store.names(path.rstrip("/"), "", recursive)
