"""Which places are stores: folders, or prefixes of objects, that hold one array in many objects."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from convcli.core.paths import slashes
from convcli.storage.urls import is_remote, local

SUFFIX: Final = ".zarr"
MARKERS: Final = ("zarr.json", ".zarray", ".zgroup")
"""Objects that make their folder a node of a store."""


def is_store(name: str) -> bool:
    """Whether a local folder is a store or a node of one; whether a URL is called so."""
    if is_remote(name):
        return is_named_store(name)
    name = local(name)
    if not os.path.isdir(name):  # noqa: PTH112 - False for a name that no file can have
        return False
    return is_named_store(name) or any((Path(name) / marker).is_file() for marker in MARKERS)


def is_store_name(name: str) -> bool:
    """Whether the last part of a path or URL is the name of a store."""
    return name.rstrip("/").casefold().endswith(SUFFIX)


def is_named_store(name: str) -> bool:
    """Whether a path or URL names a store, or a place within one."""
    return any(part.casefold().endswith(SUFFIX) for part in slashes(name).split("/"))
