"""The objects of a store by key, bounded and within the store."""

from __future__ import annotations

import os
from typing import Final

from convcli.core.errors import ImageError, one_line, quoted
from convcli.storage.folder import Folder, open_folder
from convcli.storage.urls import is_url

LARGEST_DOCUMENT: Final = 2**24
"""Bytes of a metadata document, consolidated ones included."""


class Objects:
    """The objects below a folder or URL; any thread may read them.

    Args:
        place: a local path or a URL.
    """

    def __init__(self, place: str) -> None:
        self.folder: Folder = open_folder(place)
        self.real = None if is_url(self.folder.place) else os.path.realpath(self.folder.place)

    def read(self, key: str, most: int) -> bytes | None:
        """All bytes of an object; None where there is none.

        Raises:
            ImageError: there are more than ``most``, or it is a link that leaves the store.
        """
        data = self.part(key, 0, most + 1)
        if data is not None and len(data) > most:
            raise ImageError(f"{one_line(key)} has more than {most} bytes, which is all that it can need")
        return data

    def part(self, key: str, first: int, count: int) -> bytes | None:
        """``count`` bytes from ``first`` on, from the end if that is negative; None where there is no object.

        Raises:
            ImageError: it is a link that leaves the store.
        """
        if self.real is not None:
            real = os.path.realpath(f"{self.folder.place}/{key}")
            if not real.startswith(f"{self.real.rstrip('/')}/"):
                raise ImageError(f"{quoted(key)} is a link that leaves the store")
            if os.path.isdir(real):  # noqa: PTH112 - as in a store of objects, where there are no folders
                return None
        return self.folder.part(key, first, count)


def checked_key(key: str) -> str:
    """A key that a file states, if it stays within the store.

    Raises:
        ImageError: it is absolute, a URL, or leads out.
    """
    parts = key.split("/")
    if not key or ":" in key or "\\" in key or "\0" in key or {"..", ".", ""} & {*parts}:
        raise ImageError(f"its metadata name {quoted(key)}, which is not a place within the store")
    return key
