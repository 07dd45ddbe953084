"""The images of a batch as a stream: however many there are, only a few names are in memory.

The order is that of `inputs.find_images`. What a listing tells about an image besides its name, its stamp,
shows later runs that it has changed.
"""

from __future__ import annotations

import glob
import heapq
import json
import os
import tempfile
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Final

from convcli.batch.inputs import InputFile, SourceName
from convcli.core.errors import ArgumentError, one_line
from convcli.core.frozen import frozen
from convcli.pipeline.templates import mirrored
from convcli.storage.urls import canonical, is_remote, local

SORTED: Final = 2**15
"""Names of a folder that are sorted in memory; more are sorted in parts, which temporary files hold."""


@frozen
class ListedImage:
    """An image and its stamp: text that changes when the image does; empty where the listing has none."""

    image: InputFile
    stamp: str = ""


def listed_images(
    names: Iterable[SourceName], recursive: bool, suffixes: Collection[str], excluded: str | None = None
) -> Iterator[ListedImage]:
    """The images that some names stand for, listed while they are taken.

    Args:
        names: of files, folders, patterns, and folders of buckets by their URLs, which end with ``/``.
        recursive: whether to include subfolders, whose tree is repeated below the destination.
        suffixes: of the files in a folder that are images (``.png``); hidden files are left out.
        excluded: a subfolder to leave out: that of the results.

    Raises:
        ArgumentError: a pattern that matches no file, or a folder that cannot be read.
        StorageError: a bucket that cannot be listed.
    """
    left_out = None if excluded is None else canonical(excluded)
    for name in names:
        if is_remote(name.text):
            yield from _remote(name, recursive, suffixes, left_out)
        else:
            yield from _local(name, local(name.text), recursive, suffixes, left_out)


def _local(
    source: SourceName, name: str, recursive: bool, suffixes: Collection[str], excluded: str | None
) -> Iterator[ListedImage]:
    mirror = mirrored(name) if source.from_list else ""
    if os.path.isdir(name):  # noqa: PTH112 - unlike Path, it accepts a name with a NUL
        yield from _below(name, mirror, recursive, suffixes, excluded)
    elif source.from_list or os.path.lexists(name) or not glob.has_magic(name):
        yield ListedImage(InputFile(name, os.path.dirname(mirror)), _stamp(name))  # noqa: PTH120
    else:
        matches = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 - names stay as they were written
        if not matches:
            raise ArgumentError(f"{one_line(name)}: no file matches this pattern")
        found = (match for match in matches if not os.path.isdir(match))  # noqa: PTH112
        yield from (ListedImage(InputFile(match), _stamp(match)) for match in found)


def _below(
    folder: str, place: str, recursive: bool, suffixes: Collection[str], excluded: str | None
) -> Iterator[ListedImage]:
    """The images of a folder, then those of its subfolders. Links to folders are not followed."""
    subfolders = list[str]()
    for name, stamp in sorted_names(_entries(folder, suffixes, subfolders)):
        yield ListedImage(InputFile(os.path.join(folder, name), place), stamp)  # noqa: PTH118
    for name in sorted(subfolders) if recursive else ():
        path = os.path.join(folder, name)  # noqa: PTH118
        if os.path.realpath(path) != excluded:
            yield from _below(path, os.path.join(place, name), recursive, suffixes, excluded)  # noqa: PTH118


def _entries(folder: str, suffixes: Collection[str], subfolders: list[str]) -> Iterator[tuple[str, str]]:
    """Names and stamps of the images in a folder, in any order; names of subfolders are collected."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    subfolders += [] if entry.is_symlink() else [entry.name]
                elif os.path.splitext(entry.name)[1].casefold() in suffixes:  # noqa: PTH122
                    yield entry.name, _stamp(entry.path)
    except OSError as error:
        raise ArgumentError(f"{one_line(folder)}: {error.strerror}") from error


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


def _remote(
    source: SourceName, recursive: bool, suffixes: Collection[str], excluded: str | None
) -> Iterator[ListedImage]:
    url = source.text
    if source.from_list or os.path.splitext(url)[1].casefold() in suffixes:  # noqa: PTH122
        mirror = mirrored(url) if source.from_list else ""
        yield ListedImage(InputFile(url, os.path.dirname(mirror)))  # noqa: PTH120
        return
    from convcli.storage.listing import listed_objects

    top = url.rstrip("/") + "/"
    below = None if excluded is None else f"{excluded.rstrip('/')}/"
    for name, stamp in listed_objects(top, recursive):
        folder, _, last = name.rpartition("/")
        is_hidden = any(part.startswith(".") for part in name.split("/"))
        if is_hidden or os.path.splitext(last)[1].casefold() not in suffixes:  # noqa: PTH122
            continue
        if below is None or not canonical(top + name).startswith(below):
            yield ListedImage(InputFile(top + name, folder), stamp)
