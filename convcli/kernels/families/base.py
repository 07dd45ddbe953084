"""Parametric presets: what a family declares, and how ``NAME:1.5,size=7`` becomes its numbers."""

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

Read = Callable[[str], Any]


@frozen
class Parameter:
    """One argument: its name, how its text becomes a value, and the text that stands for none given.

    A parameter whose ``default`` is None has to be given; one whose ``read`` is None is a word that is
    said or not.
    """

    name: str
    read: Read | None = None
    default: str | None = None


@frozen
class Family:
    """A parametric preset.

    Attributes:
        name: before the colon, or before a size: ``box3`` is ``box:3``.
        description: in a few words, for lists.
        parameters: in their order.
        make: from the kernel's name and the values, by their names, to the kernel.
        sized: whether the first argument may stand behind the name without a colon.
        tags: for lists.
        written: how it is written, where the parameters do not tell.
    """

    name: str
    description: str
    parameters: tuple[Parameter, ...]
    make: Callable[..., Kernel | KernelSet]
    tags: tuple[str, ...]
    sized: bool = False
    written: str = ""

    @property
    def usage(self) -> str:
        """How it is written: ``gaussian:SIGMA[,size=…][,truncate=4]``."""
        if self.written:
            return self.written
        needed = [each.name.upper() for each in self.parameters if each.read and each.default is None]
        others = [each for each in self.parameters if not each.read or each.default is not None]
        words = [each.name if not each.read else f"{each.name}={each.default or '…'}" for each in others]
        if not needed:
            return f"{self.name}[:{','.join(words)}]"
        optional = "".join(f"[,{word}]" for word in words)
        short = f"{self.name}N or " if self.sized else ""
        return f"{short}{self.name}:{','.join(needed)}{optional}"

    def build(self, text: str, arguments: Sequence[str]) -> Kernel | KernelSet:
        """The kernel of these arguments; ``text`` is its name.

        Raises:
            KernelError: an argument that is missing, unknown, twice there or out of range.
        """
        try:
            return self.make(text, **self._values(arguments))
        except (ValueError, TypeError) as error:
            if isinstance(error, KernelError):
                raise
            raise KernelError(f"preset {quoted(text)}: {error}; usage: {self.usage}") from error

    def _values(self, arguments: Sequence[str]) -> dict[str, Any]:
        given: dict[str, str] = {}
        free = [parameter for parameter in self.parameters if parameter.read is not None]
        for part in arguments:
            key, equals, value = (word.strip() for word in part.partition("="))
            if not equals:
                key, value = self._placed(key, free, given)
            key = _GREEK.get(key, key.casefold())
            if equals and not key:
                raise ValueError(f"{quoted(part)} has nothing before =")
            if key in given:
                raise ValueError(f"{key} stands twice")
            if key not in {parameter.name for parameter in self.parameters}:
                names = [parameter.name for parameter in self.parameters]
                raise ValueError(f"{quoted(part)} is not understood{suggest(key, names)}")
            given[key] = value
        return {parameter.name: _value(parameter, given.get(parameter.name)) for parameter in self.parameters}

    def _placed(self, word: str, free: list[Parameter], given: dict[str, str]) -> tuple[str, str]:
        """The parameter that a bare word is meant for: a flag of that name, or the next in order."""
        if any(parameter.name == word.casefold() and parameter.read is None for parameter in self.parameters):
            return word, "yes"
        while free:
            parameter = free.pop(0)
            if parameter.name not in given:
                return parameter.name, word
        raise ValueError(f"{quoted(word)} is not understood")


def _value(parameter: Parameter, text: str | None) -> Any:
    if parameter.read is None:
        return text is not None
    text = parameter.default if text is None else text
    if text is None:
        raise ValueError(f"{parameter.name} is missing")
    return parameter.read(text) if text else None


def plain(value: Fraction) -> str:
    """A number as a description says it."""
    return f"{float(value):g}"


def number(name: str, low: str, high: str) -> Read:
    """Reads a number between two others, all three exactly."""

    def read(text: str) -> Fraction:
        value = parse_number(text)
        if not parse_number(low) <= value <= parse_number(high):
            raise ValueError(f"{name} {cut(text, 24)} is not between {low} and {high}")
        return value

    return read


def whole(name: str, low: int, high: int, odd: bool = False) -> Read:
    """Reads a whole number between two others, an odd one if asked."""

    def read(text: str) -> int:
        if (
            not re.fullmatch(r"-?\d{1,19}", text)
            or not low <= int(text) <= high
            or (odd and int(text) % 2 == 0)
        ):
            kind = "odd" if odd else "whole"
            raise ValueError(f"{name} {quoted(text)} is not {kind} and between {low} and {high}")
        return int(text)

    return read


def sides(*counts: int) -> Read:
    """Reads ``3`` or ``5x3`` as sizes, as many as one of ``counts``; one number is both rows and columns."""

    def read(text: str) -> tuple[int, ...]:
        parts = text.casefold().replace("×", "x").split("x")
        if not all(re.fullmatch(r"\d{1,6}", part) for part in parts):
            raise ValueError(f"{quoted(text)} is no size such as 3 or 5x3")
        found = tuple(int(part) for part in parts)
        if prod(found) > LARGEST_KERNEL // (1 if len(found) > 2 else 16):
            raise ValueError(f"{quoted(text)} has too many weights")
        if not all(1 <= side <= LARGEST_SIDE for side in found):
            raise ValueError(f"size {quoted(text)} is not between 1 and {LARGEST_SIDE}")
        found = found * 2 if len(found) == 1 else found
        if len(found) not in counts:
            allowed = " or ".join(str(count) for count in (1, *counts))
            raise ValueError(f"{len(found)} sizes, allowed: {allowed}")
        return found

    return read
