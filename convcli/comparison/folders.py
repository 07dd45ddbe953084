"""Folders compared pairwise: images of the same name below both, in one order, however many there are."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from typing import Final

from convcli.batch.inputs import InputFile, Selection, SourceName
from convcli.batch.listing import listed_images
from convcli.core.frozen import frozen
from convcli.files.input import STREAM
from convcli.files.stores import is_store
from convcli.formats.registry import UNREAD, folder_suffixes
from convcli.storage.urls import Url, canonical, is_bucket, is_remote, local

_Key = tuple[tuple[int, str], ...]
_END: Final[_Key] = ((2, ""),)  # after every name


@frozen
class Pair:
    """Images of one name below two folders; None where one is missing."""

    name: str
    a: str | None
    b: str | None


def is_folder(name: str) -> bool:
    """Whether a name stands for a folder of images rather than for an image."""
    if name == STREAM or is_store(name):
        return False
    if is_remote(name):
        from convcli.storage import listing  # only for URLs

        is_image = Url(name).suffix.casefold() in folder_suffixes() and not is_bucket(name)
        return name.endswith("/") or (not is_image and listing.is_folder(name))
    return os.path.isdir(local(name))  # noqa: PTH112 - False for a name that no file can have


def selection(recursive: bool, output: str | None) -> Selection:
    """Which files in folders are compared: images, but not those in the folder of the difference images."""
    excluded = None if output is None or "{" in output else canonical(output)
    return Selection(recursive, folder_suffixes(), excluded, UNREAD, Counter())


def pairs(a: str, b: str, chosen: Selection) -> Iterator[Pair]:
    """The images of two folders by their names below them, while they are listed.

    Raises:
        ConvcliError: a folder cannot be read.
    """
    first, second = _named(a, chosen), _named(b, chosen)
    one, other = next(first, None), next(second, None)
    while one or other:
        key, other_key = _key(one), _key(other)
        name = (one if key <= other_key else other or one or ("", ""))[0]  # type: ignore[index]
        here = one[1] if one and key <= other_key else None
        there = other[1] if other and other_key <= key else None
        yield Pair(name, here, there)
        one = next(first, None) if here is not None else one
        other = next(second, None) if there is not None else other


def _named(folder: str, chosen: Selection) -> Iterator[tuple[str, str]]:
    """(name below the folder, path) of each image, in the order of `_key`."""
    below = f"{folder.rstrip('/')}/" if is_remote(folder) else folder
    found = ((_name(entry.image), entry.image.path) for entry in listed_images([SourceName(below)], chosen))
    return iter(sorted(found, key=_key)) if is_remote(folder) else found


def _name(image: InputFile) -> str:
    last = image.path.rpartition("/")[2]
    return f"{image.folder}/{last}" if image.folder else last


def _key(entry: tuple[str, str] | None) -> _Key:
    """Files of a folder before its subfolders, both by name, as folders are listed."""
    if entry is None:
        return _END
    *folders, last = entry[0].split("/")
    return (*((1, folder) for folder in folders), (0, last))
