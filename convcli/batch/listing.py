"""The images of a batch as a stream: however many there are, only a few names are in memory.

The order is that of `inputs.find_images`. What a listing tells about an image besides its name, its stamp,
shows later runs that it has changed.
"""

from __future__ import annotations

import heapq
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from convcli.batch.inputs import InputFile, Selection, SourceName, each_image, images_listed
from convcli.core.errors import ArgumentError, one_line
from convcli.core.frozen import frozen
from convcli.files.stores import is_store, is_store_name
from convcli.pipeline.templates import mirrored
from convcli.storage.urls import Url, is_remote, joined, local

SORTED: Final = 2**15
"""Names of a folder that are sorted in memory; more are sorted in parts, which temporary files hold."""


@frozen
class ListedImage:
    """An image and its stamp: text that changes when the image does; empty where the listing has none."""

    image: InputFile
    stamp: str = ""


def listed_images(names: Iterable[SourceName], selection: Selection) -> Iterator[ListedImage]:
    """The images that some names stand for, listed while they are taken; not each once.

    Raises:
        ConvcliError: a pattern that matches no file, or a folder that cannot be read.
    """
    for source in names:
        name = local(source.text)
        mirror = mirrored(source.text) if source.from_list else ""
        if is_store(name):
            yield from (ListedImage(image) for image in each_image([source], selection))
        elif is_remote(name):
            yield from _remote(name, mirror, source, selection)
        elif os.path.isdir(name):  # noqa: PTH112 - unlike Path, it accepts a name with a NUL
            yield from _below(name, mirror, selection)
        else:
            found = each_image([source], selection)
            yield from (ListedImage(image, _stamp(image.path)) for image in found)


def _below(folder: str, place: str, selection: Selection) -> Iterator[ListedImage]:
    """The images of a folder, then those of its subfolders. Links to folders are not followed."""
    subfolders = list[str]()
    for name, stamp in sorted_names(_entries(folder, selection, subfolders)):
        yield ListedImage(InputFile(os.path.join(folder, name), place), stamp)  # noqa: PTH118
    for name in sorted(subfolders) if selection.recursive else ():
        path = os.path.join(folder, name)  # noqa: PTH118
        if os.path.realpath(path) != selection.excluded:
            yield from _below(path, os.path.join(place, name), selection)  # noqa: PTH118


def _entries(folder: str, selection: Selection, subfolders: list[str]) -> Iterator[tuple[str, str]]:
    """Names and stamps of the images in a folder, in any order; names of subfolders are collected."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                is_folder = _is_folder_entry(entry)
                if is_folder and is_store_name(entry.name) and not entry.name.startswith("."):
                    yield entry.name, ""
                elif is_folder:
                    subfolders += [] if entry.is_symlink() or entry.name.startswith(".") else [entry.name]
                elif selection.takes(entry.name):
                    yield entry.name, _stamp(entry.path)
    except OSError as error:
        raise ArgumentError(f"{one_line(folder)}: {error.strerror}") from error


def _is_folder_entry(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder; a link to itself is not, and is refused when it is its turn."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def sorted_names(entries: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Pairs in order; more than `SORTED` are sorted in parts, which are merged from temporary files."""
    remaining = iter(entries)
    parts = list[Iterator[tuple[str, str]]]()
    while True:
        part = sorted(islice(remaining, SORTED))
        if len(part) < SORTED:
            break
        parts.append(_stored(part))
    yield from heapq.merge(*parts, part) if parts else part


def _stored(part: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    file = tempfile.TemporaryFile("w+")  # noqa: SIM115 - it is closed by the iterator
    file.writelines(f"{json.dumps(pair)}\n" for pair in part)
    file.seek(0)

    def stored() -> Iterator[tuple[str, str]]:
        with file:
            for line in file:
                name, stamp = json.loads(line)
                yield name, stamp

    return stored()


def _stamp(path: str) -> str:
    """Size and times of a file; empty where it cannot be examined, which its turn will tell."""
    try:
        status = os.stat(path)  # noqa: PTH116 - names may be bytes that are not text
    except (OSError, ValueError):
        return ""
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def _remote(url: str, mirror: str, source: SourceName, selection: Selection) -> Iterator[ListedImage]:
    from convcli.storage.listing import listed_objects  # only for URLs

    if not _is_folder(url, source, selection):
        yield from map(ListedImage, each_image([source], selection))
        return
    for name, stamp in images_listed(url, listed_objects(url, selection.recursive), selection):
        image = InputFile(joined(url, name), os.path.join(mirror, name.rpartition("/")[0]).rstrip("/"))  # noqa: PTH118
        yield ListedImage(image, stamp)


def _is_folder(url: str, source: SourceName, selection: Selection) -> bool:
    from convcli.storage.listing import has_magic, is_folder

    if has_magic(url) and not source.from_list:
        return False
    is_image = source.from_list or Url(url).suffix.casefold() in selection.suffixes
    return url.endswith("/") or (not is_image and is_folder(url))
