"""The images of a batch, from files, folders, patterns and lists of names, in a stable order."""

from __future__ import annotations

import glob
import heapq
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import lru_cache
from itertools import chain
from typing import BinaryIO, Final

from convcli.core.errors import ArgumentError, one_line, shown
from convcli.core.frozen import frozen, replace
from convcli.files.stores import is_store, is_store_name
from convcli.pipeline.templates import mirrored
from convcli.storage.urls import Url, canonical, is_remote, joined, local

LARGEST_LIST: Final = 2**28
"""Bytes of a list of names."""


@frozen
class InputFile:
    """An image.

    Attributes:
        folder: where its results go, relative to the destination.
    """

    path: str
    folder: str = ""


@frozen
class SourceName:
    """A name that stands for images.

    Attributes:
        from_list: whether it comes from a list: its folders are repeated below the destination, and it is not
            a pattern.
    """

    text: str
    from_list: bool = False


@frozen
class Selection:
    """Which files in folders are wanted.

    Attributes:
        recursive: whether to include subfolders, whose tree is repeated below the destination.
        suffixes: of the files that are images (``.png``); hidden files are left out.
        excluded: a subfolder to leave out, by its canonical name: that of the results.
        unread: suffixes of files to count in ``counts``: images of formats that are not supported.
    """

    recursive: bool
    suffixes: Collection[str]
    excluded: str | None = None
    unread: Collection[str] = ()
    counts: Counter[str] = Counter()  # noqa: RUF012 - replaced where there is anything to count

    def takes(self, name: str) -> bool:
        """Whether a file is an image; counts it where it is one that is not supported."""
        last = name.rpartition("/")[2]
        suffix = os.path.splitext(last)[1].casefold()  # noqa: PTH122
        if last.startswith("."):
            return False
        if suffix in self.unread:
            self.counts[suffix] += 1
        return suffix in self.suffixes

    def takes_object(self, url: str, name: str) -> bool:
        """Whether an object is an image.

        Args:
            name: its name below the folder that is listed, whose parts must not be hidden.
        """
        is_hidden = "/." in f"/{name}"
        return not is_hidden and not _is_inside(url, self.excluded) and self.takes(name)

    @property
    def unread_text(self) -> str:
        """How many files were counted: ``.psd (2), .svg (1)``."""
        return ", ".join(f"{suffix} ({count})" for suffix, count in sorted(self.counts.items()))


def find_images(names: Iterable[SourceName], selection: Selection) -> list[InputFile]:
    """The images that some names stand for, each once.

    Args:
        names: of files, folders, and patterns such as ``*.png`` that no shell has expanded.

    Raises:
        ConvcliError: a pattern that matches no file, or a folder that cannot be read.
    """
    images, resolve = dict[str, InputFile](), path_resolver()
    for image in each_image(names, selection):
        images.setdefault(resolve(image.path), image)
    return list(images.values())


def each_image(names: Iterable[SourceName], selection: Selection) -> Iterator[InputFile]:
    """The images that some names stand for, as `find_images`, while they are found; not each once."""
    for name in names:
        yield from _images_of(name, selection)


def path_resolver(follow: bool = False) -> Callable[[str], str]:
    """A function from a path to the same path with its folder resolved; it resolves each folder once.

    Args:
        follow: resolve a path that is a symbolic link itself too, as `os.path.realpath` does.
    """
    resolve_folder = lru_cache(1024)(os.path.realpath)

    def resolve(path: str) -> str:
        if is_remote(path):
            return canonical(path)
        path = local(path)
        folder, last = os.path.split(path)
        resolved = os.path.join(resolve_folder(folder), last)  # noqa: PTH118
        if last in ("", ".", "..") or (follow and os.path.islink(resolved)):  # noqa: PTH114
            return os.path.realpath(path)
        return resolved

    return resolve


def read_list(file: BinaryIO, null: bool) -> list[SourceName]:
    """The names in a list, one per line, or each followed by a NUL.

    Raises:
        ArgumentError: the list is too long, or has NULs although it should have lines.
    """
    data = file.read(LARGEST_LIST + 1)
    if len(data) > LARGEST_LIST:
        raise ArgumentError(f"the list of names is longer than {LARGEST_LIST} bytes")
    if b"\0" in data and not null:
        raise ArgumentError("the list contains NUL bytes, as find -print0 writes them; use -0 to read it")
    names = data.split(b"\0") if null else data.splitlines()
    return [SourceName(os.fsdecode(name), from_list=True) for name in names if name]


def _images_of(source: SourceName, selection: Selection) -> Iterator[InputFile]:
    name, mirror = local(source.text), mirrored(source.text) if source.from_list else ""
    if is_store(name):
        yield InputFile(name.rstrip("/"), os.path.dirname(mirror))  # noqa: PTH120
    elif is_remote(name):
        yield from _objects_of(name, mirror, source.from_list, selection)
    elif os.path.isdir(name):  # noqa: PTH112 - unlike Path, it accepts a name with a NUL
        for image in _images_below(name, selection):
            yield replace(image, folder=os.path.join(mirror, image.folder).rstrip(os.sep))  # noqa: PTH118
    elif source.from_list or os.path.lexists(name) or not glob.has_magic(name):
        yield InputFile(name, os.path.dirname(mirror))  # noqa: PTH120
    else:
        matches = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 - names stay as they were written
        if not matches:
            raise ArgumentError(f"{one_line(name)}: no file matches this pattern")
        yield from (InputFile(match) for match in matches if is_store(match) or not os.path.isdir(match))  # noqa: PTH112


def _objects_of(url: str, mirror: str, from_list: bool, selection: Selection) -> Iterator[InputFile]:
    """The images that a URL stands for: one, those of a folder, or those that match a pattern."""
    from convcli.storage.listing import has_magic, is_folder, matching  # only for URLs

    is_image = from_list or Url(url).suffix.casefold() in selection.suffixes
    if is_image and not url.endswith("/") and (from_list or not has_magic(url)):
        yield InputFile(url, os.path.dirname(mirror))  # noqa: PTH120
    elif has_magic(url) and not from_list:
        found = (InputFile(match) for match in matching(url))
        first = next(found, None)
        if first is None:
            raise ArgumentError(f"{shown(url)}: no object matches this pattern")
        yield from chain([first], found)
    elif is_folder(url):
        yield from _objects_below(url, mirror, selection)
    else:
        yield InputFile(url)


def _objects_below(url: str, mirror: str, selection: Selection) -> Iterator[InputFile]:
    """The images of a folder, in the order of their names."""
    from convcli.storage.listing import names_below

    for name, _ in images_listed(
        url, ((name, "") for name in names_below(url, selection.recursive)), selection
    ):
        folder = name.rpartition("/")[0]
        yield InputFile(joined(url, name), os.path.join(mirror, folder).rstrip("/"))  # noqa: PTH118


def images_listed(
    url: str, listed: Iterable[tuple[str, str]], selection: Selection
) -> Iterator[tuple[str, str]]:
    """The names and stamps of the images of a folder; the objects of a store are one image.

    Args:
        listed: names and stamps of objects in order, those of subfolders too if these are searched.
    """
    from convcli.storage.folder import open_folder  # only for URLs

    stores = [] if selection.recursive else [*filter(is_store_name, open_folder(url).folders())]
    latest = ""
    for name, stamp in heapq.merge(listed, [(f"{store}/", "") for store in stores]):
        inside = _store_of(name)
        if inside and inside != latest and not _is_inside(f"{joined(url, inside)}/", selection.excluded):
            yield inside, ""
        latest = inside or latest
        if not inside and selection.takes_object(joined(url, name), name):
            yield name, stamp


def _store_of(name: str) -> str:
    """The outermost store that an object is in, or an empty text."""
    parts = name.split("/")[:-1]
    depth = next((place + 1 for place, part in enumerate(parts) if is_store_name(part)), 0)
    is_hidden = any(part.startswith(".") for part in parts[:depth])
    return "" if is_hidden else "/".join(parts[:depth])


def _is_inside(url: str, folder: str | None) -> bool:
    return folder is not None and canonical(url).startswith(f"{folder}/")


def _images_below(top: str, selection: Selection) -> Iterator[InputFile]:
    """The images of a folder. Links to folders are not followed, because they may lead in circles."""
    for folder, subfolders, files in os.walk(top, onerror=_refuse):
        relative = os.path.relpath(folder, top)
        stores = [name for name in subfolders if is_store_name(name) and not name.startswith(".")]
        subfolders[:] = [name for name in subfolders if name not in stores]
        for name in sorted([*files, *stores]):
            if name in stores or selection.takes(name):
                yield InputFile(os.path.join(folder, name), "" if relative == "." else relative)  # noqa: PTH118
        if not selection.recursive:
            return
        subfolders[:] = sorted(
            name
            for name in subfolders
            if not name.startswith(".") and os.path.realpath(os.path.join(folder, name)) != selection.excluded  # noqa: PTH118
        )


def _refuse(error: OSError) -> None:
    raise ArgumentError(f"{one_line(str(error.filename))}: {error.strerror}") from error
