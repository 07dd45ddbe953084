"""JSON text as nodes with their places."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from convcli.core.errors import KernelError, one_line, quoted
from convcli.kernels.readers.nodes import DEEPEST, MOST_VALUES, Node

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_VALUE: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s{}\[\],:"]+')


def load(text: str, place: str) -> Node:
    """The value of a JSON text.

    The standard library says whether it is JSON; what it loads forgets places, so they are found again in the
    tokens of a text that is known to be right.
    """
    try:
        json.loads(text, parse_int=str, parse_float=str)
    except json.JSONDecodeError as error:
        raise KernelError(f"{place}:{error.lineno}:{error.colno}: not JSON: {error.msg}") from error
    except RecursionError as error:
        raise KernelError(f"{place}: not JSON: nested too deeply") from error
    tokens = _Tokens(text, place)
    if len(_VALUE.findall(text)) > MOST_VALUES:
        raise KernelError(f"{place}: more than {MOST_VALUES} values; use CSV or NPY")
    return tokens.value(*next(tokens.stream), 0)


@dataclass(slots=True)
class _Tokens:
    """The tokens of a text and their places."""

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
            raise KernelError(f"{where}: brackets nested deeper than {DEEPEST}")
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
                raise KernelError(f"{key.where}: the key {quoted(key.value)} stands twice")
            next(self.stream)  # the colon
            entries[key.value] = key, self.value(*next(self.stream), depth + 1)
        return entries
