"""Folders of small files, local or below a URL, such as the journal of a job."""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from convcli.core.errors import MissingError
from convcli.core.handles import READ, rename_new
from convcli.storage.failures import refusals
from convcli.storage.remote import write_object
from convcli.storage.stores import open_store
from convcli.storage.urls import is_url, joined, local

_READ, _WRITE, _LIST, _DELETE = "cannot be read", "cannot be written", "cannot be listed", "cannot be deleted"
LARGEST_FILE: Final = 2**32  # bytes
_DRAFT: Final = (".convcli-", ".tmp")  # how the names of unfinished files begin and end


class Folder(ABC):
    """Files by their names, which are relative and use ``/``; a folder is created by its first file.

    Every method raises a `StorageError`, with the full name, where the system or the store refuses.

    Attributes:
        place: an absolute path or a URL, without a slash at its end.
    """

    place: str

    @property
    def honors_exclusive(self) -> bool:
        """Whether `create` is safe from other processes that create the same file at the same time."""
        return True

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """All bytes of a file; None where there is none."""

    @abstractmethod
    def part(self, name: str, first: int, count: int) -> bytes | None:
        """``count`` bytes of a file from ``first`` on, fewer where it ends; None where there is no file.

        A negative ``first`` counts from the end, to which ``count`` bytes then reach at most.
        """

    @abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Write a file, whole or not at all; one of that name is replaced."""

    @abstractmethod
    def create(self, name: str, data: bytes) -> bool:
        """Write a file, whole or not at all, unless there is one of that name: then False."""

    @abstractmethod
    def names(self, prefix: str = "") -> Iterator[str]:
        """The names of all files that begin with ``prefix``, sorted, also those in subfolders.

        They are listed while they are taken, so that memory use does not depend on their number.
        """

    @abstractmethod
    def stamped_names(self, prefix: str = "") -> Iterator[tuple[str, str]]:
        """What `names` yields, each with a text that changes when the file does."""

    @abstractmethod
    def folders(self) -> list[str]:
        """The names of the folders directly in this one, sorted."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Delete a file; none is not an error."""

    def sweep(self) -> int:
        """Delete unfinished files that killed processes left, and return their number; nobody may write."""
        return 0

    def remove(self) -> None:
        """Delete all files."""
        for name in self.names():
            self.delete(name)

    @property
    def exists(self) -> bool:
        """Whether there is any file."""
        return next(self.names(), None) is not None

    def _at(self, name: str) -> str:
        return joined(self.place, name)


def open_folder(place: str) -> Folder:
    """A folder, which need not exist.

    Args:
        place: a local path or a URL.

    Raises:
        StorageError: a URL of a protocol that is not supported.
    """
    place = local(place)
    return _RemoteFolder(place) if is_url(place) else _LocalFolder(place)


class _LocalFolder(Folder):
    def __init__(self, place: str) -> None:
        self.place = os.path.abspath(place)  # noqa: PTH100 - links stay as they are

    def read(self, name: str) -> bytes | None:
        try:
            with refusals(self._at(name), _READ), _opened(self._at(name)) as file:
                return file.read()
        except MissingError:
            return None

    def part(self, name: str, first: int, count: int) -> bytes | None:
        try:
            with refusals(self._at(name), _READ), _opened(self._at(name)) as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(size + first, 0) if first < 0 else first)
                pieces = []
                while count > 0 and (piece := file.read(count)):  # up to 2 GB per call
                    pieces.append(piece)
                    count -= len(piece)
        except MissingError:
            return None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def write(self, name: str, data: bytes) -> None:
        with refusals(self._at(name), _WRITE):
            os.replace(self._draft(name, data), self._at(name))

    def create(self, name: str, data: bytes) -> bool:
        with refusals(self._at(name), _WRITE):
            draft = self._draft(name, data)
            try:
                rename_new(draft, Path(self._at(name)))
            except FileExistsError:
                return False
            finally:
                draft.unlink(missing_ok=True)
        return True

    def _draft(self, name: str, data: bytes) -> Path:
        """A hidden file with the bytes, beside its place."""
        target = Path(self._at(name))
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.parent / os.urandom(6).hex().join(_DRAFT)
        try:
            with draft.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        return draft

    def names(self, prefix: str = "") -> Iterator[str]:
        yield from self._walk("", prefix)

    def stamped_names(self, prefix: str = "") -> Iterator[tuple[str, str]]:
        for name in self.names(prefix):
            with refusals(self._at(name), _READ):
                status = os.stat(self._at(name))  # noqa: PTH116
            yield name, f"{status.st_size} {status.st_mtime_ns}"

    def _walk(self, below: str, prefix: str) -> Iterator[str]:
        with refusals(self._at(below), _LIST):
            try:
                with os.scandir(self._at(below)) as entries:
                    listed = sorted(
                        below + entry.name + "/" * entry.is_dir(follow_symlinks=False) for entry in entries
                    )
            except FileNotFoundError:
                return
        for name in listed:
            if name.endswith("/"):
                if name.startswith(prefix) or prefix.startswith(name):
                    yield from self._walk(name, prefix)
            elif name.startswith(prefix) and not _is_draft(name):
                yield name

    def folders(self) -> list[str]:
        with refusals(self.place, _LIST), suppress(FileNotFoundError), os.scandir(self.place) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())
        return []

    def delete(self, name: str) -> None:
        with refusals(self._at(name), _DELETE):
            Path(self._at(name)).unlink(missing_ok=True)

    def sweep(self) -> int:
        swept = 0
        with refusals(self.place, _DELETE):
            for folder, _, names in os.walk(self.place):
                for name in filter(_is_draft, names):
                    (Path(folder) / name).unlink(missing_ok=True)
                    swept += 1
        return swept

    def remove(self) -> None:
        with refusals(self.place, _DELETE), suppress(FileNotFoundError):
            shutil.rmtree(self.place)


def _opened(path: str) -> io.FileIO:
    """A file that ends and that nobody has to write first; pipes and devices are none.

    Raises:
        OSError: there is no such file.
    """
    file = io.FileIO(path, opener=lambda name, flags: os.open(name, flags | READ))
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file")
    return file


def _is_draft(name: str) -> bool:
    last = name.rpartition("/")[2]
    return last.startswith(_DRAFT[0]) and last.endswith(_DRAFT[1])


class _RemoteFolder(Folder):
    def __init__(self, place: str) -> None:
        self.place = joined(place)

    @property
    def honors_exclusive(self) -> bool:
        with refusals(self.place, _WRITE):
            store, path = open_store(self.place)
            return store.honors_exclusive(path)

    def read(self, name: str) -> bytes | None:
        try:
            with refusals(self._at(name), _READ):
                store, path = open_store(self._at(name))
                return store.read(path, LARGEST_FILE)
        except MissingError:
            return None

    def part(self, name: str, first: int, count: int) -> bytes | None:
        try:
            with refusals(self._at(name), _READ):
                store, path = open_store(self._at(name))
                if first < 0:
                    return store.tail(path, -first)[:count]
                return store.part(path, first, first + count)
        except MissingError:
            return None

    def write(self, name: str, data: bytes) -> None:
        write_object(self._at(name), data, exclusive=False)

    def create(self, name: str, data: bytes) -> bool:
        try:
            write_object(self._at(name), data, exclusive=True)
        except FileExistsError:
            return False
        return True

    def names(self, prefix: str = "") -> Iterator[str]:
        return (name for name, _ in self.stamped_names(prefix))

    def stamped_names(self, prefix: str = "") -> Iterator[tuple[str, str]]:
        with refusals(self.place, _LIST):
            store, path = open_store(self.place)
            for name, stamp in store.names(path.rstrip("/"), prefix, recursive=True):
                if not _is_draft(name):
                    yield name, stamp

    def folders(self) -> list[str]:
        with refusals(self.place, _LIST):
            store, path = open_store(self.place)
            return store.folders(path.rstrip("/"))

    def delete(self, name: str) -> None:
        with refusals(self._at(name), _DELETE):
            store, path = open_store(self._at(name))
            store.delete(path)
