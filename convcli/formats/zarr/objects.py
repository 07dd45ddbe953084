"""The objects of a store by key, bounded and within the store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from convcli.core.errors import ImageError, quoted

LARGEST_OBJECT = 2**31
"""Bytes of the largest object that is read at once."""


class Objects(Protocol):
    """What Zarr needs of a store; keys are relative, with ``/`` between their parts."""

    def read(self, key: str, first: int = 0, count: int | None = None) -> bytes | None:
        """Bytes of an object from ``first`` on (from the end if negative), or None if there is none."""

    def write(self, key: str, data: bytes) -> None:
        """Make or replace an object, whole or not at all."""

    def create(self, key: str, data: bytes) -> bool:
        """Make an object unless there is one; whether it was made."""

    def delete(self, key: str) -> None:
        """Delete an object if there is one."""

    def listed(self, prefix: str = "") -> Iterator[str]:
        """The keys of all objects below a prefix, in no order."""


def checked_key(key: str) -> str:
    """A key that a file states, if it stays within the store.

    Raises:
        ImageError: it is absolute, a URL, or leads out.
    """
    parts = key.split("/")
    if (
        not key
        or key.startswith("/")
        or ":" in key
        or "\\" in key
        or "\0" in key
        or {"..", ".", ""} & {*parts}
    ):
        raise ImageError(f"its metadata name {quoted(key)}, which is not a place within the store")
    return key


class LocalObjects:
    """Files below a folder."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.real = os.path.realpath(folder)

    def read(self, key: str, first: int = 0, count: int | None = None) -> bytes | None:
        path = self._inside(key)
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                begin = max(size + first, 0) if first < 0 else min(first, size)
                due = min(size - begin, size if count is None else count)
                if due > LARGEST_OBJECT:
                    raise ImageError(f"{key} has {due} bytes; allowed: {LARGEST_OBJECT}")
                file.seek(begin)
                return file.read(due)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            raise ImageError(f"{key}: {error.strerror}") from error

    def _inside(self, key: str) -> Path:
        path = self.folder / key
        real = os.path.realpath(path)
        if os.path.commonpath([real, self.real]) != self.real:
            raise ImageError(f"{quoted(key)} is a link that leaves the store")
        return path

    def write(self, key: str, data: bytes) -> None:
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{os.getpid():x}.partial")
        draft.write_bytes(data)
        draft.replace(path)

    def create(self, key: str, data: bytes) -> bool:
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{os.getpid():x}.partial")
        draft.write_bytes(data)
        try:
            os.link(draft, path)  # which, unlike a rename, refuses to replace
        except FileExistsError:
            return False
        finally:
            draft.unlink()
        return True

    def delete(self, key: str) -> None:
        (self.folder / key).unlink(missing_ok=True)

    def listed(self, prefix: str = "") -> Iterator[str]:
        for root, _, names in os.walk(self.folder / prefix):
            for name in names:
                yield os.path.relpath(os.path.join(root, name), self.folder)  # noqa: PTH118


def opened_objects(place: str) -> Objects:
    """The objects below a local folder."""
    return LocalObjects(place)
