"""A line of the table of formats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Entry(NamedTuple):
    """A format: its names, and the module that is imported when it is used.

    Attributes:
        name: as ``--format`` takes it, which also takes the first suffix without its dot.
        path: ``module:class``.
        suffixes: of files that are read and written, the preferred one first.
        read_only: suffixes of related files that are read but not written, with what they are called.
        only_named: whether such files in a folder are left out, because few of them are images; they are read
            where they are named.
        signature: a regular expression that the first bytes of every such file match; only then is the
            module imported, and its `Format.sniff` decides.
    """

    name: str
    path: str
    suffixes: tuple[str, ...]
    read_only: Mapping[str, str] = {}
    signature: bytes = b""
    only_named: bool = False
