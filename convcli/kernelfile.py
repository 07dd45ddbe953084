"""Kernels as people write them: YAML, CSV and plain text, read exactly, with the place of every mistake.

Numbers are read from their text, so that ``1/9`` and ``1e-3`` are exact.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np

from convcli.errors import KernelError, one_line, shown, suggest
from convcli.kernel import COMBINES, LARGEST_KERNEL, About, Kernel
from convcli.rational import Number, parse_number, text_of
from convcli.yamlnodes import Node, load, word, words

LARGEST_FILE: Final = 4 * 2**20  # bytes
SUFFIXES: Final = (".yaml", ".yml", ".csv", ".txt", ".tsv")
_ABOUT_KEYS: Final = ("name", "description", "source", "tags", "aliases", "gain")
_NUMBER_KEYS: Final = ("weights", "rows", "columns", "scale", "divisor", "bias")
_KEYS: Final = (*_ABOUT_KEYS, *_NUMBER_KEYS, "members", "combine")
_COMMENT: Final = re.compile(r"#.*")
_NUMERIC: Final = re.compile(r"[+−-]?(\d|\.\d)[\d.eE+−/-]*|[+-]?(nan|inf(inity)?)", re.IGNORECASE)
_CELL: Final = re.compile(r"[^\s,;]+(?:\s*/\s*[^\s,;]+)?")


@dataclass(frozen=True, slots=True)
class KernelSet:
    """A preset made of others: their names, and how their maps become one."""

    name: str
    members: tuple[str, ...]
    combine: str | None
    about: About


def read(path: Path) -> Kernel | KernelSet:
    """The kernel in a YAML or CSV file.

    Raises:
        KernelError: with file, line and column, where it cannot be read or is no kernel.
    """
    text = _text_of_file(path)
    place = one_line(str(path))
    if path.suffix.lower() in (".yaml", ".yml"):
        return parse_yaml(text, place, path.stem)
    return Kernel(parse_table(text, place), name=path.stem)


def parse_text(text: str) -> Kernel:
    """A kernel typed on the command line: ``1 0 -1; 2 0 -2; 1 0 -1``."""
    return Kernel(parse_table(text.replace(";", "\n"), f"kernel {shown(text)}", "row "), name="inline")


def is_table(text: str) -> bool:
    """Whether ``text`` is meant as numbers: one number, or several words of which the first is one."""
    words = re.split(r"[\s,;]+", text.strip())
    return bool(_NUMERIC.fullmatch(words[0])) and (len(words) > 1 or text.strip() == words[0])


def _text_of_file(path: Path) -> str:
    place = one_line(str(path))
    try:
        if not path.is_file():
            reason = "is not a file" if path.exists() else "no such file"
            raise KernelError(f"{place}: {reason}")
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise KernelError(f"{place}: {error.strerror}") from error
    if len(data) > LARGEST_FILE:
        raise KernelError(f"{place}: larger than {LARGEST_FILE // 2**20} MiB, which no kernel file is")
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise KernelError(
            f"{place}:{line}: byte {data[error.start]:#04x} is not {encoding.removesuffix('-sig')} text"
        ) from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise KernelError(f"{place}:{line}: holds a NUL character, so it is not text")
    return text


def parse_table(text: str, place: str, line_word: str = "") -> np.ndarray[Any, Any]:
    """Rows of numbers, split by commas, semicolons, tabs or spaces; ``#`` starts a comment.

    ``place`` and the line's number, behind ``line_word``, stand before what is wrong.

    Returns:
        Fractions of shape (rows, columns).
    """
    rows: list[list[Fraction]] = []
    for number, line in enumerate(text.splitlines(), 1):
        content = _COMMENT.sub("", line).strip()
        if not content:
            continue
        where = f"{place}: {line_word}{number}" if line_word else f"{place}:{number}"
        row = [_cell(cell, f"{where}: column {i}") for i, cell in enumerate(_cells(content), 1)]
        if rows and len(row) != len(rows[0]):
            raise KernelError(f"{where}: row has {len(row)} numbers, the first row has {len(rows[0])}")
        rows.append(row)
        if len(rows) * len(row) > LARGEST_KERNEL:
            raise KernelError(f"{where}: more than {LARGEST_KERNEL} weights")
    if not rows:
        raise KernelError(f"{place}: holds no numbers")
    return np.array(rows, object)


def _cells(line: str) -> list[str]:
    """The cells of a row; an empty one between two separators stays, to be refused."""
    for separator in (",", ";", "\t"):
        if separator in line:
            cells = [cell.strip().strip('"') for cell in line.split(separator)]
            return cells[:-1] if len(cells) > 1 and not cells[-1] else cells
    return _CELL.findall(line)


def _cell(text: str, where: str) -> Fraction:
    try:
        return parse_number(text)
    except ValueError as error:
        raise KernelError(f"{where}: {shown(text)}: {error}") from error


def parse_yaml(text: str, place: str, name: str) -> Kernel | KernelSet:
    """A kernel from YAML text; ``name`` serves where the text gives none."""
    root = load(text, place)
    if isinstance(root.value, list):
        return Kernel(_weights(root), name=name)
    if not isinstance(root.value, dict):
        raise KernelError(f"{root.where}: got a single value; allowed: a table of keys, or rows of numbers")
    entries = {key: node for key, (_, node) in root.value.items()}
    for key, (key_node, _) in root.value.items():
        if key not in _KEYS:
            allowed = suggest(key, _KEYS) or f"; allowed: {', '.join(_KEYS)}"
            raise KernelError(f"{key_node.where}: unknown key {shown(key)}{allowed}")
    name = word(entries["name"]) if "name" in entries else name
    about = _about(entries)
    combine = word(entries["combine"]) if "combine" in entries else None
    if combine not in (None, *COMBINES):
        raise KernelError(f"{entries['combine'].where}: combine is not one of {', '.join(COMBINES)}")
    if "members" in entries:
        _only(entries, "members", _NUMBER_KEYS)
        return KernelSet(name, tuple(words(entries["members"])), combine, about)
    weights = _kernel_weights(entries, root.where)
    bias = _number(entries["bias"]) if "bias" in entries else Fraction(0)
    return Kernel(weights, scale=_scale(entries), bias=bias, name=name, combine=combine, about=about)


def _only(entries: dict[str, Node], key: str, others: tuple[str, ...]) -> None:
    for other in others:
        if other in entries:
            raise KernelError(f"{entries[other].where}: {other} cannot stand beside {key}")


def _kernel_weights(entries: dict[str, Node], where: str) -> np.ndarray[Any, Any]:
    if "weights" in entries:
        _only(entries, "weights", ("rows", "columns"))
        return _weights(entries["weights"])
    if "rows" in entries and "columns" in entries:
        down, across = (_vector(entries[key]) for key in ("rows", "columns"))
        outer: np.ndarray[Any, Any] = np.multiply.outer(down, across)
        return outer
    raise KernelError(f"{where}: no weights; allowed: weights, or rows and columns, or members")


def _about(entries: dict[str, Node]) -> About:
    return About(
        description=word(entries["description"]) if "description" in entries else "",
        source=word(entries["source"]) if "source" in entries else "",
        tags=tuple(words(entries["tags"])) if "tags" in entries else (),
        aliases=tuple(words(entries["aliases"])) if "aliases" in entries else (),
        gain=_number(entries["gain"]) if "gain" in entries else None,
    )


def _scale(entries: dict[str, Node]) -> Fraction:
    scale = _number(entries["scale"]) if "scale" in entries else Fraction(1)
    if "divisor" in entries:
        divisor = _number(entries["divisor"])
        if divisor == 0:
            raise KernelError(f"{entries['divisor'].where}: divisor is zero")
        scale /= divisor
    return scale


def _number(node: Node) -> Fraction:
    return _cell(word(node), node.where)


def _vector(node: Node) -> np.ndarray[Any, Any]:
    items = _items(node)
    return np.array([_number(item) for item in items], object)


def _items(node: Node) -> list[Node]:
    if not isinstance(node.value, list) or not node.value:
        got = "an empty list" if node.value == [] else "a single value or table"
        raise KernelError(f"{node.where}: got {got}; allowed: a list of numbers or rows")
    return node.value


def _weights(node: Node) -> np.ndarray[Any, Any]:
    """Nested lists as an array; text with line breaks as a table."""
    if isinstance(node.value, str):
        return parse_table(node.value.replace(";", "\n"), node.where)
    shape, first = [], node
    while isinstance(first.value, list):
        first = _items(first)[0]
        shape.append(0)
    array = np.array(list(_flat(node, len(shape), [], shape)), object)
    if len(shape) == 1:
        shape = [1, *shape]
    if len(shape) not in (2, 4):
        raise KernelError(
            f"{node.where}: weights have {len(shape)} axes; "
            "allowed: (rows, columns) or (rows, columns, in, out)"
        )
    return array.reshape(shape)


def _flat(node: Node, depth: int, path: list[int], shape: list[int]) -> Iterator[Fraction]:
    """The numbers in order; ``shape`` is filled from the first row met and holds the others to it."""
    if len(path) == depth:
        yield _number(node)
        return
    items = _items(node)
    expected = shape[len(path)] or len(items)
    if len(items) != expected:
        raise KernelError(f"{node.where}: row has {len(items)} numbers, the first row has {expected}")
    shape[len(path)] = expected
    for index, item in enumerate(items):
        yield from _flat(item, depth, [*path, index], shape)


def to_yaml(kernel: Kernel) -> str:
    """A kernel as a YAML file that reads back the same."""
    lines = [f"name: {_quoted(kernel.name)}"]
    if kernel.about.description:
        lines.append(f"description: {_quoted(kernel.about.description)}")
    if kernel.about.source:
        lines.append(f"source: {_quoted(kernel.about.source)}")
    raw, denominator = kernel.weights.tolist(), 1
    if kernel.exact:
        raw, denominator = kernel.exact.numerators.tolist(), kernel.exact.denominator
    lines.append("weights:")
    lines += [f"  - {_flow(row)}" for row in raw]
    if denominator != 1:
        lines.append(f"scale: 1/{denominator}")
    if kernel.bias:
        lines.append(f"bias: {_full(kernel.bias)}")
    if kernel.combine:
        lines.append(f"combine: {kernel.combine}")
    return "\n".join(lines) + "\n"


def to_csv(kernel: Kernel) -> str:
    """A (rows, columns) kernel as CSV that reads back with the same weights; a bias has no place in it."""
    if kernel.weights.ndim != 2:
        raise KernelError(f"{kernel.name} has {kernel.maps} maps; CSV holds (rows, columns), use yaml")
    if kernel.exact:
        scale = Fraction(1, kernel.exact.denominator)
        rows = [[str(int(n) * scale) for n in row] for row in kernel.exact.numerators]
    else:
        rows = [[repr(float(w)) for w in row] for row in kernel.weights]
    return "".join(",".join(row) + "\n" for row in rows)


WRITERS: Final[dict[str, Callable[[Kernel], str]]] = {"yaml": to_yaml, "csv": to_csv}


def _full(value: Number) -> str:
    return repr(value) if isinstance(value, float) else text_of(value)


def _flow(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    return repr(value)


def _quoted(text: str) -> str:
    plain = re.fullmatch(r"[A-Za-z][\w .,()×/+-]*", text) and not text.endswith(" ")
    return text if plain else "'" + one_line(text).replace("'", "''") + "'"
