"""YAML text as nodes with their places: scalars stay text; nothing can name a type or point back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import yaml

from convcli.core.errors import KernelError, one_line, quoted
from convcli.kernels.readers.nodes import DEEPEST, Node, word

MOST_SCALARS: Final = 2**16 + 2**10
"""Of a file; the parser takes 60 µs for each."""


def load(text: str, place: str) -> Node:
    """The first and only document of a YAML text, as nodes."""
    try:
        events = _counted(yaml.parse(text, Loader=yaml.SafeLoader), place)
        found = [_build(event, events, place, 0) for event in _content(events, place)]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{place}:{mark.line + 1}:{mark.column + 1}" if mark else place
        raise KernelError(f"{where}: {one_line(error.problem or 'not YAML')}") from error
    except yaml.YAMLError as error:
        raise KernelError(f"{place}: not YAML: {one_line(str(error).splitlines()[0])}") from error
    except KernelError:
        raise
    except (ValueError, OverflowError, RecursionError) as error:  # an escape or a version out of range
        raise KernelError(f"{place}: not YAML: {one_line(str(error))}") from error
    if not found:
        raise KernelError(f"{place}: holds no kernel")
    return found[0]


def _counted(events: Iterator[Any], place: str) -> Iterator[Any]:
    """The events, up to as many values as a kernel file may have."""
    count = 0
    for event in events:
        count += isinstance(event, yaml.ScalarEvent)
        if count > MOST_SCALARS:
            raise KernelError(
                f"{_where(event, place)}: more than {MOST_SCALARS} values; use JSON, CSV or NPY"
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
        raise KernelError(f"{where}: brackets nested deeper than {DEEPEST}")
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
        name = word(key)
        if name in entries:
            raise KernelError(f"{key.where}: the key {quoted(name)} stands twice")
        entries[name] = key, _build(next(events), events, place, depth + 1)
    return entries
