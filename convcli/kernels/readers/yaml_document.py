"""Kernels as YAML, parsed to nodes that know their places; without tags, anchors and aliases."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

from convcli.core.errors import KernelError, one_line, quoted
from convcli.kernels.bank import KernelSet
from convcli.kernels.kernel import Kernel
from convcli.kernels.readers.base import KernelFile
from convcli.kernels.readers.document import kernels_of
from convcli.kernels.readers.nodes import DEEPEST, Node, text_of

_MOST_SCALARS: Final = 2**16 + 2**10
"""Of a file; the parser takes 60 µs for each."""
_START: Final = re.compile(r"\s*(#.*\n\s*)*(- \[|[a-z$]+:(\s|$))")
"""Comments, and then rows or a key."""


def recognizes(file: KernelFile) -> bool:
    """Whether it begins with rows in brackets or with a key, after comments."""
    return bool(_START.match(file.start))


def kernels(file: KernelFile) -> dict[str, Kernel | KernelSet]:
    """The kernels of a YAML file by name.

    Raises:
        KernelError: not YAML, or not a kernel; with line and column.
    """
    return kernels_of(parsed(file.text, file.place), file)


def parsed(text: str, place: str) -> Node:
    """The only document of a YAML text.

    Raises:
        KernelError: not YAML, a second document, or something that kernel files do not need.
    """
    try:
        events = _counted(yaml.parse(text, Loader=yaml.SafeLoader), place)
        nodes = [_build(event, events, place, 0) for event in _content(events, place)]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{place}:{mark.line + 1}:{mark.column + 1}" if mark else place
        raise KernelError(f"{where}: {one_line(error.problem or 'not YAML')}") from error
    except yaml.YAMLError as error:
        raise KernelError(f"{place}: invalid YAML: {one_line(str(error).splitlines()[0])}") from error
    except KernelError:
        raise
    except (ValueError, OverflowError, RecursionError) as error:  # an escape or a version out of range
        raise KernelError(f"{place}: invalid YAML: {one_line(str(error))}") from error
    if not nodes:
        raise KernelError(f"{place}: contains no kernel")
    return nodes[0]


def _counted(events: Iterator[Any], place: str) -> Iterator[Any]:
    """The events, up to the limit of values."""
    count = 0
    for event in events:
        count += isinstance(event, yaml.ScalarEvent)
        if count > _MOST_SCALARS:
            raise KernelError(
                f"{_where(event, place)}: more than {_MOST_SCALARS} values; use JSON, CSV or NPY"
            )
        yield event


def _content(events: Iterator[Any], place: str) -> Iterator[Any]:
    documents = 0
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise KernelError(f"{_where(event, place)}: a second document; allowed: one")
        elif isinstance(event, (yaml.NodeEvent, yaml.AliasEvent)):
            yield event


def _where(event: Any, place: str) -> str:
    return f"{place}:{event.start_mark.line + 1}:{event.start_mark.column + 1}"


def _build(event: Any, events: Iterator[Any], place: str, depth: int) -> Node:
    where = _where(event, place)
    if isinstance(event, yaml.AliasEvent) or event.anchor:
        raise KernelError(f"{where}: anchors (&) and aliases (*) are not allowed in kernel files")
    if event.tag and event.tag != "!":
        raise KernelError(f"{where}: the tag {quoted(event.tag)} is not allowed in kernel files")
    if depth > DEEPEST:
        raise KernelError(f"{where}: brackets nested deeper than {DEEPEST} levels")
    if isinstance(event, yaml.ScalarEvent):
        return Node(one_line(event.value) if event.style == '"' else event.value, where)
    if isinstance(event, yaml.SequenceStartEvent):
        items = []
        while not isinstance(item := next(events), yaml.SequenceEndEvent):
            items.append(_build(item, events, place, depth + 1))
        return Node(items, where)
    return Node(_mapping(events, place, depth), where)


def _mapping(events: Iterator[Any], place: str, depth: int) -> dict[str, tuple[Node, Node]]:
    entries: dict[str, tuple[Node, Node]] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        key = _build(event, events, place, depth + 1)
        name = text_of(key)
        if name in entries:
            raise KernelError(f"{key.where}: the key {quoted(name)} is given twice")
        entries[name] = key, _build(next(events), events, place, depth + 1)
    return entries
