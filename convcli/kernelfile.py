"""Kernel files: read by suffix, with the place of every mistake, and written so that they read back.

Numbers are read from their text, so that ``1/9`` and ``1e-3`` are exact.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from convcli.errors import KernelError, one_line
from convcli.kernel import Kernel, KernelSet
from convcli.kerneltable import parse_table
from convcli.rational import Number, text_of

LARGEST_FILE: Final = 4 * 2**20  # bytes
SUFFIXES: Final = (".yaml", ".yml", ".csv", ".txt", ".tsv")


def read(path: Path) -> Kernel | KernelSet:
    """The kernel in a YAML or CSV file.

    Raises:
        KernelError: with file, line and column, where it cannot be read or is no kernel.
    """
    text = _text_of_file(path)
    place = one_line(str(path))
    if path.suffix.lower() in (".yaml", ".yml"):
        from convcli.kernelyaml import parse_yaml  # only YAML pays for its parser

        return parse_yaml(text, place, path.stem)
    return Kernel(parse_table(text, place), name=path.stem)


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
