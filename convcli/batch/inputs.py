"""The pictures of a batch: files, folders, patterns and lists of names, in a stable order."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Final

from convcli.core.errors import ArgumentError, one_line
from convcli.core.frozen import frozen, replace
from convcli.pipeline.templates import mirrored

LARGEST_LIST: Final = 2**28
"""Bytes of a list of names."""


@frozen
class InputFile:
    """One picture, and the folder, seen from the one that was named, in which its results go."""

    path: str
    folder: str = ""


@frozen
class Named:
    """A name that stands for images; the folders of one that comes from a list are kept in the results."""

    text: str
    listed: bool = False


def expanded(
    names: Iterable[Named], recursive: bool, suffixes: Collection[str], apart: Path | None = None
) -> list[InputFile]:
    """The images that some names stand for, each once.

    Args:
        names: of files, folders, and patterns such as ``*.png`` that no shell has expanded.
        recursive: whether the folders within folders count, whose tree is kept.
        suffixes: of the files of a folder that are pictures (``.png``); hidden ones are none.
        apart: a folder that is left out, the one of the results.

    Raises:
        ArgumentError: a pattern that no file matches, or a folder that cannot be read.
    """
    found, located = dict[str, InputFile](), locator()
    outside = os.path.realpath(apart) if apart is not None else None
    for name in names:
        for source in _expanded(name, recursive, suffixes, outside):
            found.setdefault(located(source.path), source)
    return list(found.values())


def left_out(
    names: Iterable[Named], recursive: bool, suffixes: Collection[str], apart: Path | None = None
) -> str:
    """The files of these suffixes in the folders of some names, counted: ``.psd (2), .svg (1)``."""
    found = expanded([name for name in names if os.path.isdir(name.text)], recursive, suffixes, apart)  # noqa: PTH112
    counts = Counter(os.path.splitext(source.path)[1].casefold() for source in found)  # noqa: PTH122
    return ", ".join(f"{suffix} ({count})" for suffix, count in sorted(counts.items()))


def locator(follow: bool = False) -> Callable[[str], str]:
    """What gives a name with its folder as it really is; a folder is looked at once.

    Args:
        follow: give the name that a link leads to, as `os.path.realpath` does.
    """
    resolved = lru_cache(1024)(os.path.realpath)

    def located(name: str) -> str:
        folder, last = os.path.split(name)
        found = os.path.join(resolved(folder), last)  # noqa: PTH118
        if last in ("", ".", "..") or (follow and os.path.islink(found)):  # noqa: PTH114
            return os.path.realpath(name)
        return found

    return located


def _expanded(
    named: Named, recursive: bool, suffixes: Collection[str], outside: str | None
) -> Iterator[InputFile]:
    name, place = named.text, mirrored(named.text) if named.listed else ""
    if os.path.isdir(name):  # noqa: PTH112 - a name with a NUL is none
        for source in _within(name, recursive, suffixes, outside):
            yield replace(source, folder=os.path.join(place, source.folder).rstrip(os.sep))  # noqa: PTH118
    elif named.listed or os.path.lexists(name) or not glob.has_magic(name):
        yield InputFile(name, os.path.dirname(place))  # noqa: PTH120
    else:
        fitting = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 - names stay as they were written
        if not fitting:
            raise ArgumentError(f"{one_line(name)}: no file matches this pattern")
        for found in fitting:
            if not os.path.isdir(found):  # noqa: PTH112
                yield InputFile(found)


def _within(top: str, recursive: bool, suffixes: Collection[str], outside: str | None) -> Iterator[InputFile]:
    """The pictures of a folder; links to folders are not followed, so that no tree is without end."""
    for place, folders, files in os.walk(top, onerror=_refuse):
        inside = os.path.relpath(place, top)
        for name in sorted(files):
            if not name.startswith(".") and os.path.splitext(name)[1].casefold() in suffixes:  # noqa: PTH122
                yield InputFile(os.path.join(place, name), "" if inside == "." else inside)  # noqa: PTH118
        if not recursive:
            return
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and os.path.realpath(os.path.join(place, name)) != outside  # noqa: PTH118
        )


def _refuse(error: OSError) -> None:
    raise ArgumentError(f"{one_line(str(error.filename))}: {error.strerror}") from error


def listed(file: BinaryIO, null: bool) -> list[Named]:
    """The names in a list, one a line, or behind each a NUL.

    Raises:
        ArgumentError: the list is too long, or has NULs where it has one name a line.
    """
    data = file.read(LARGEST_LIST + 1)
    if len(data) > LARGEST_LIST:
        raise ArgumentError(f"the list of names is longer than {LARGEST_LIST} bytes")
    if b"\0" in data and not null:
        raise ArgumentError("the list has NUL bytes, as find -print0 writes them; -0 reads such a list")
    parts = data.split(b"\0") if null else data.splitlines()
    return [Named(os.fsdecode(part), listed=True) for part in parts if part]
