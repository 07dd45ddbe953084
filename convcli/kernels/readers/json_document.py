"""Kernels as JSON, parsed into nodes that know their positions."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from convcli.core.errors import KernelError, one_line, quoted
from convcli.kernels.bank import KernelSet
from convcli.kernels.kernel import Kernel
from convcli.kernels.readers.base import KernelFile
from convcli.kernels.readers.document import kernels_of
from convcli.kernels.readers.nodes import DEEPEST, MOST_VALUES, Node

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_VALUE: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s{}\[\],:"]+')


def recognizes(file: KernelFile) -> bool:
    """Whether it begins with a bracket or a brace."""
    return file.start.lstrip()[:1] in ("{", "[")


def kernels(file: KernelFile) -> dict[str, Kernel | KernelSet]:
    """The kernels of a JSON file by name.

    Raises:
        KernelError: not JSON, or not a kernel; with line and column.
    """
    return kernels_of(_parsed(file.text, file.place), file)


def _parsed(text: str, place: str) -> Node:
    """The value of a JSON text.

    The standard library decides whether a text is JSON; because what it loads has no places, these are found
    again in the tokens of a text that is known to be valid.
    """
    try:
        json.loads(text, parse_int=str, parse_float=str)
    except json.JSONDecodeError as error:
        raise KernelError(f"{place}:{error.lineno}:{error.colno}: invalid JSON: {error.msg}") from error
    except RecursionError as error:
        raise KernelError(f"{place}: invalid JSON: nested too deeply") from error
    tokens = _Tokens(text, place)
    if len(_VALUE.findall(text)) > MOST_VALUES:
        raise KernelError(f"{place}: more than {MOST_VALUES} values; use CSV or NPY")
    return tokens.value(*next(tokens.stream), 0)


@dataclass(slots=True)
class _Tokens:
    """The tokens of a JSON text, and their places."""

    text: str
    place: str
    stream: Iterator[tuple[str, int]]
    starts: list[int]

    def __init__(self, text: str, place: str) -> None:
        self.text, self.place = text, place
        self.stream = ((match[0], match.start()) for match in _TOKEN.finditer(text))
        self.starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def where(self, offset: int) -> str:
        line = bisect_right(self.starts, offset)
        return f"{self.place}:{line}:{offset - self.starts[line - 1] + 1}"

    def value(self, token: str, offset: int, depth: int) -> Node:
        where = self.where(offset)
        if depth > DEEPEST:
            raise KernelError(f"{where}: brackets nested deeper than {DEEPEST} levels")
        if token == "[":
            return Node(self._list(depth), where)
        if token == "{":
            return Node(self._table(depth), where)
        return Node(one_line(json.loads(token)) if token[0] == '"' else token, where)

    def _list(self, depth: int) -> list[Node]:
        items = []
        for token, offset in self.stream:
            if token == "]":
                break
            if token != ",":
                items.append(self.value(token, offset, depth + 1))
        return items

    def _table(self, depth: int) -> dict[str, tuple[Node, Node]]:
        entries: dict[str, tuple[Node, Node]] = {}
        for token, offset in self.stream:
            if token == "}":
                break
            if token == ",":
                continue
            key = self.value(token, offset, depth + 1)
            if key.value in entries:
                raise KernelError(f"{key.where}: the key {quoted(key.value)} is given twice")
            next(self.stream)  # the colon
            entries[key.value] = key, self.value(*next(self.stream), depth + 1)
        return entries
