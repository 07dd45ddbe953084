"""Families of presets: what a family declares, and how ``NAME:1.5,size=7`` becomes its values."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import prod
from typing import Any, Final

from convcli.core.errors import KernelError, cut, quoted, suggest
from convcli.core.frozen import frozen
from convcli.core.rational import parse_number
from convcli.kernels.bank import KernelSet
from convcli.kernels.kernel import LARGEST_KERNEL, Kernel

LARGEST_SIDE: Final = 4096
_GREEK: Final = {"σ": "sigma", "θ": "angle", "λ": "wavelength", "γ": "ratio", "ψ": "phase", "α": "alpha"}

ValueReader = Callable[[str], Any]
"""From an argument's text to its value; raises `ValueError` with what is allowed."""


@frozen
class Parameter:
    """One parameter of a family.

    Attributes:
        name: before ``=``, or of a switch.
        read: from text to value; None for a switch, a word that is present or not.
        default: the text used if the parameter is not given; None if it must be given, empty for the value
            None.
    """

    name: str
    read: ValueReader | None = None
    default: str | None = None


@frozen
class Family:
    """A preset with parameters.

    Attributes:
        name: before the colon, or before a size: ``box3`` is ``box:3``.
        description: a few words, for lists.
        parameters: in their order.
        make: from the kernel's name and the values, by parameter name, to the kernel.
        tags: for lists.
        sized: whether the first argument may follow the name without a colon.
        usage_text: how it is written, if `usage` cannot tell from the parameters.
    """

    name: str
    description: str
    parameters: tuple[Parameter, ...]
    make: Callable[..., Kernel | KernelSet]
    tags: tuple[str, ...]
    sized: bool = False
    usage_text: str = ""

    @property
    def usage(self) -> str:
        """How it is written: ``gaussian:SIGMA[,size=…][,truncate=4]``."""
        if self.usage_text:
            return self.usage_text
        required = [p.name.upper() for p in self.parameters if p.read and p.default is None]
        optional = [
            f"{p.name}={p.default or '…'}" if p.read else p.name
            for p in self.parameters
            if not p.read or p.default is not None
        ]
        if not required:
            return f"{self.name}[:{','.join(optional)}]"
        short = f"{self.name}N or " if self.sized else ""
        return f"{short}{self.name}:{','.join(required)}{''.join(f'[,{word}]' for word in optional)}"

    def build(self, name: str, arguments: Sequence[str]) -> Kernel | KernelSet:
        """The kernel of these arguments, under this name.

        Raises:
            KernelError: an argument that is missing, unknown, given twice or out of range.
        """
        try:
            return self.make(name, **self._values(arguments))
        except (ValueError, TypeError) as error:
            if isinstance(error, KernelError):
                raise
            raise KernelError(f"kernel {quoted(name)}: {error}; usage: {self.usage}") from error

    def _values(self, arguments: Sequence[str]) -> dict[str, Any]:
        """The value of each parameter by name."""
        texts: dict[str, str] = {}
        positional = [parameter for parameter in self.parameters if parameter.read is not None]
        for argument in arguments:
            key, equals, text = (part.strip() for part in argument.partition("="))
            if not equals:
                key, text = self._parameter_of(key, positional, texts)
            key = _GREEK.get(key, key.casefold())
            if equals and not key:
                raise ValueError(f"{quoted(argument)} has nothing before =")
            if key in texts:
                raise ValueError(f"{key} is given twice")
            names = [parameter.name for parameter in self.parameters]
            if key not in names:
                raise ValueError(f"unknown argument {quoted(argument)}{suggest(key, names)}")
            texts[key] = text
        return {parameter.name: _value(parameter, texts.get(parameter.name)) for parameter in self.parameters}

    def _parameter_of(self, word: str, positional: list[Parameter], texts: dict[str, str]) -> tuple[str, str]:
        """(parameter, text) of a word without ``=``: a switch of that name, or the next positional one."""
        if any(parameter.name == word.casefold() and parameter.read is None for parameter in self.parameters):
            return word, "yes"
        while positional:
            parameter = positional.pop(0)
            if parameter.name not in texts:
                return parameter.name, word
        raise ValueError(f"unknown argument {quoted(word)}")


def _value(parameter: Parameter, text: str | None) -> Any:
    if parameter.read is None:
        return text is not None
    text = parameter.default if text is None else text
    if text is None:
        raise ValueError(f"{parameter.name} is missing")
    return parameter.read(text) if text else None


def plain(value: Fraction) -> str:
    """A number as descriptions show it, with up to six digits."""
    return f"{float(value):g}"


def number(name: str, low: str, high: str) -> ValueReader:
    """Reads a number in a range, exactly."""

    def read(text: str) -> Fraction:
        try:
            value = parse_number(text)
        except ValueError as error:
            raise ValueError(f"{name} {error}") from error
        if not parse_number(low) <= value <= parse_number(high):
            raise ValueError(f"{name} {cut(text, 24)} is not between {low} and {high}")
        return value

    return read


def whole(name: str, low: int, high: int, odd: bool = False) -> ValueReader:
    """Reads an integer in a range, or an odd one."""

    def read(text: str) -> int:
        is_integer = re.fullmatch(r"-?\d{1,19}", text)
        if not is_integer or not low <= int(text) <= high or (odd and int(text) % 2 == 0):
            kind = "an odd number" if odd else "an integer"
            raise ValueError(f"{name} {quoted(text)} is not {kind} between {low} and {high}")
        return int(text)

    return read


def sides(*counts: int) -> ValueReader:
    """Reads ``3`` or ``5x3`` as sizes, as many as one of ``counts``; one number is both rows and columns."""

    def read(text: str) -> tuple[int, ...]:
        parts = text.casefold().replace("×", "x").split("x")
        if not all(re.fullmatch(r"\d{1,6}", part) for part in parts):
            raise ValueError(f"{quoted(text)} is not a size such as 3 or 5x3")
        sizes = tuple(int(part) for part in parts)
        if prod(sizes) > LARGEST_KERNEL // (1 if len(sizes) > 2 else 16):
            raise ValueError(f"{quoted(text)} has too many weights")
        if not all(1 <= size <= LARGEST_SIDE for size in sizes):
            raise ValueError(f"size {quoted(text)} is not between 1 and {LARGEST_SIDE}")
        sizes = sizes * 2 if len(sizes) == 1 else sizes
        if len(sizes) not in counts:
            allowed = " or ".join(str(count) for count in (1, *counts))
            raise ValueError(f"got {len(sizes)} sizes; allowed: {allowed}")
        return sizes

    return read
