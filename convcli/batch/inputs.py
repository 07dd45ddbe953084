"""The images of a batch, from files, folders, patterns and lists of names, in a stable order."""

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


def find_images(
    names: Iterable[SourceName], recursive: bool, suffixes: Collection[str], excluded: Path | None = None
) -> list[InputFile]:
    """The images that some names stand for, each once.

    Args:
        names: of files, folders, and patterns such as ``*.png`` that no shell has expanded.
        recursive: whether to include subfolders, whose tree is repeated below the destination.
        suffixes: of the files in a folder that are images (``.png``); hidden files are left out.
        excluded: a subfolder to leave out: that of the results.

    Raises:
        ArgumentError: a pattern that matches no file, or a folder that cannot be read.
    """
    images, resolve = dict[str, InputFile](), path_resolver()
    excluded_path = os.path.realpath(excluded) if excluded is not None else None
    for name in names:
        for image in _images_of(name, recursive, suffixes, excluded_path):
            images.setdefault(resolve(image.path), image)
    return list(images.values())


def count_by_suffix(
    names: Iterable[SourceName], recursive: bool, suffixes: Collection[str], excluded: Path | None = None
) -> str:
    """How many files in the folders among some names have these suffixes: ``.psd (2), .svg (1)``."""
    folders = [name for name in names if os.path.isdir(name.text)]  # noqa: PTH112
    files = find_images(folders, recursive, suffixes, excluded)
    counts = Counter(os.path.splitext(file.path)[1].casefold() for file in files)  # noqa: PTH122
    return ", ".join(f"{suffix} ({count})" for suffix, count in sorted(counts.items()))


def path_resolver(follow: bool = False) -> Callable[[str], str]:
    """A function from a path to the same path with its folder resolved; it resolves each folder once.

    Args:
        follow: resolve a path that is a symbolic link itself too, as `os.path.realpath` does.
    """
    resolve_folder = lru_cache(1024)(os.path.realpath)

    def resolve(path: str) -> str:
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


def _images_of(
    source: SourceName, recursive: bool, suffixes: Collection[str], excluded: str | None
) -> Iterator[InputFile]:
    name, mirror = source.text, mirrored(source.text) if source.from_list else ""
    if os.path.isdir(name):  # noqa: PTH112 - unlike Path, it accepts a name with a NUL
        for image in _images_below(name, recursive, suffixes, excluded):
            yield replace(image, folder=os.path.join(mirror, image.folder).rstrip(os.sep))  # noqa: PTH118
    elif source.from_list or os.path.lexists(name) or not glob.has_magic(name):
        yield InputFile(name, os.path.dirname(mirror))  # noqa: PTH120
    else:
        matches = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 - names stay as they were written
        if not matches:
            raise ArgumentError(f"{one_line(name)}: no file matches this pattern")
        yield from (InputFile(match) for match in matches if not os.path.isdir(match))  # noqa: PTH112


def _images_below(
    top: str, recursive: bool, suffixes: Collection[str], excluded: str | None
) -> Iterator[InputFile]:
    """The images of a folder. Links to folders are not followed, because they may lead in circles."""
    for folder, subfolders, files in os.walk(top, onerror=_refuse):
        relative = os.path.relpath(folder, top)
        for name in sorted(files):
            if not name.startswith(".") and os.path.splitext(name)[1].casefold() in suffixes:  # noqa: PTH122
                yield InputFile(os.path.join(folder, name), "" if relative == "." else relative)  # noqa: PTH118
        if not recursive:
            return
        subfolders[:] = sorted(
            name
            for name in subfolders
            if not name.startswith(".") and os.path.realpath(os.path.join(folder, name)) != excluded  # noqa: PTH118
        )


def _refuse(error: OSError) -> None:
    raise ArgumentError(f"{one_line(str(error.filename))}: {error.strerror}") from error
