"""Expressions of kernels as text: ``gaussian:1-gaussian:2``, ``box3*box3``, ``1/16*[1 2 1; 2 4 2; 1 2 1]``.

::

    expression = term (("+" | "-") term)…
    term       = ["-"] factor (("*" | "/") factor)…
    factor     = number | name | "[" rows of numbers "]" | "(" expression ")", each kernel with "@45" after it

Names contain hyphens, so the longest known name wins: ``sobel-x-sobel-y`` is sobel-x minus sobel-y. A hyphen
between spaces is always a minus, and one between two digits is unless a name is spelled that way.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Final, NoReturn

from convcli.core.errors import KernelError, one_line, quoted
from convcli.core.frozen import frozen
from convcli.core.numerals import short_text
from convcli.core.patterns import pattern
from convcli.core.rational import parse_number
from convcli.kernels.algebra import added, composed, multiplied
from convcli.kernels.kernel import Kernel
from convcli.kernels.readers import registry, rows
from convcli.kernels.readers.magick import is_magick
from convcli.kernels.transform import rotated

_OPERATORS: Final = frozenset("*+-/()")
_OTHER_SIGNS: Final = frozenset("+()")
_NUMBER: Final = pattern(r"(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?(?![\w.:])", re.IGNORECASE | re.ASCII)
_ROTATION: Final = pattern(r"@(-?\d{1,6})")
_SPACED: Final = pattern(r"\s[-+*/]\s")
_FACTOR_FIRST: Final = pattern(r"\s*-?[\d.]+(\s*/\s*\d+)?\s*\*")
_NEGATED: Final = pattern(r"\s*-\s*[^\d\s.]")
_BETWEEN_DIGITS: Final = pattern(r"\d-\d")
_NAME_END: Final = pattern(r"[*+()]|\s[-/]\s|$")
_MOST_OPERATORS: Final = 32
_LARGEST_FACTOR: Final = 10**300


def is_certain(text: str) -> bool:
    """Whether a text can be nothing but an expression, unless a file has that name."""
    if is_magick(text):
        return False
    if _FACTOR_FIRST.match(text) or _NEGATED.match(text):
        return True
    stripped = text.strip()
    if stripped.startswith("["):
        rest = stripped[_bracket_end(stripped, 0) :].lstrip()
        return rest[:1] in tuple("*+-/")
    return stripped.startswith("(") or (bool(_SPACED.search(text)) and not rows.is_table(text))


def is_meant(text: str) -> bool:
    """Whether what is wrong with the expression is more useful than what is wrong with the name."""
    if is_certain(text) or rows.is_table(text):
        return is_certain(text)
    return "*" in text or (not _OTHER_SIGNS.isdisjoint(text) and registry.split(text) is None)


def is_better(error: KernelError, of_name: KernelError) -> bool:
    """Whether the error of a text as an expression says more than that of the text as one name."""
    if isinstance(error, ExpressionError):
        return False
    part, suggestion, _ = str(error).partition("(did you mean")
    if "did you mean" in str(of_name):
        return bool(suggestion) and ":" in part  # arguments end the name
    return bool(suggestion) or not part.startswith("unknown kernel")


def evaluated(
    text: str, known: Callable[[str], Kernel | None], required: Callable[[str], Kernel]
) -> Kernel | None:
    """The kernel that an expression stands for; None if the text has no operator outside of a name.

    Args:
        known: the kernel of a name or a file, or None.
        required: the same, but an unknown name is an error.

    Raises:
        KernelError: an unknown part, operators that do not fit, or kernels that cannot be combined.
    """
    count = sum(letter in _OPERATORS for letter in re.sub(r"\[[^]]*\]", "", text))
    if count > _MOST_OPERATORS:
        raise KernelError(f"kernel {quoted(text)}: {count} operators; allowed: up to {_MOST_OPERATORS}")
    return _Parser(text, known, required).result()


class ExpressionError(KernelError):
    """Operators and operands that do not fit together."""


@frozen(eq=False)
class _Part:
    """The value of a part of an expression.

    Attributes:
        is_sum: whether its name needs parentheses beside ``*``.
    """

    value: Kernel | Fraction
    is_sum: bool = False

    @property
    def name(self) -> str:
        return self.value.name if isinstance(self.value, Kernel) else short_text(self.value)

    @property
    def factor_name(self) -> str:
        return f"({self.name})" if self.is_sum else self.name


class _Parser:
    """Reads a text from left to right and computes as it goes."""

    def __init__(
        self, text: str, known: Callable[[str], Kernel | None], required: Callable[[str], Kernel]
    ) -> None:
        self.text = text
        self.known = known
        self.required = required
        self.at = 0
        self.operations = 0

    def result(self) -> Kernel | None:
        part = self.expression()
        if self.peek():
            self.refuse_rest()
        if isinstance(part.value, Fraction):
            self.refuse(f"{part.name} is a number, not a kernel")
        return part.value if self.operations else None

    def peek(self) -> str:
        """The next character that is not a space; empty at the end."""
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.text[self.at : self.at + 1]

    def expression(self) -> _Part:
        part = self.term()
        while (sign := self.peek()) and sign in "+-":
            self.at += 1
            part = self.sum_of(part, self.term(), sign)
        return part

    def term(self) -> _Part:
        negative = self.peek() == "-"
        self.at += negative
        part = self.factor()
        if negative and isinstance(part.value, Fraction):
            negative, part = False, _Part(-part.value)
        while (sign := self.peek()) and sign in "*/":
            self.at += 1
            part = self.product_of(part, self.factor(), sign)
        return self.product_of(_Part(Fraction(-1)), part, "*") if negative else part

    def factor(self) -> _Part:
        first = self.peek()
        if first == "(":
            return self.rotated(self.in_parentheses())
        if first == "[":
            end = _bracket_end(self.text, self.at)
            kernel = rows.parse_text(self.text[self.at : end])
            self.at = end
            return self.rotated(_Part(kernel))
        if not first or first in _OPERATORS:
            before = self.text[: self.at].strip()[-1:]
            place = f"must follow {quoted(before)}" if before else "must come first"
            found = f"found {quoted(first)}" if first else "the text ends there"
            self.refuse(f"a kernel or a number {place}, but {found}")
        return self.named()

    def in_parentheses(self) -> _Part:
        self.at += 1
        part = self.expression()
        if self.peek() != ")":
            self.refuse("a ) is missing" if not self.peek() else f"unexpected {quoted(self.text[self.at :])}")
        self.at += 1
        self.operations += 1
        return part

    def rotated(self, part: _Part) -> _Part:
        """The part with the rotations that follow it."""
        while match := _ROTATION.match(self.text, self.at):
            if isinstance(part.value, Fraction):
                self.refuse(f"{part.name} is a number, which cannot be rotated")
            kernel = rotated(part.value, int(match[1]), f"{part.factor_name}{match[0]}")
            part, self.at = _Part(kernel), match.end()
            self.operations += 1
        return part

    def named(self) -> _Part:
        """The longest known name from here on, or a number."""
        start = self.at
        for end in self.name_ends():
            name = self.text[start:end].strip()
            if any(map(str.isalpha, name)) and (kernel := self.known_as(name)):
                self.at = end
                return _Part(kernel)
        if number := _NUMBER.match(self.text, start):
            self.at = number.end()
            return _Part(self.number(number[0]))
        name = self.blamed()
        self.at = start + len(name)
        return _Part(self.required(name.strip()))

    def number(self, text: str) -> Fraction:
        try:
            return parse_number(text)
        except ValueError as error:
            self.refuse(str(error))

    def known_as(self, name: str) -> Kernel | None:
        """The kernel of a name; a hyphen between digits belongs to it only if it is spelled that way."""
        kernel = self.known(name)
        if kernel is None or not _BETWEEN_DIGITS.search(name.partition(":")[0]):
            return kernel
        spelled = kernel.name.casefold() in (
            name.casefold(),
            name.rpartition("/")[2].rpartition(".")[0].casefold(),
        )
        return kernel if spelled or "." in name else None

    def name_ends(self) -> list[int]:
        """Where a name that begins here may end, the longest first."""
        stop = self.at + re.compile(r"[()\[]|\s[-+*/]\s|$").search(self.text[self.at :]).start()  # type: ignore[union-attr]
        ends = [at for at in range(self.at + 1, stop) if self.text[at] in _OPERATORS]
        return [stop, *reversed(ends)]

    def blamed(self) -> str:
        """The text that was probably meant as one name: with its hyphens, but not those after arguments."""
        rest = self.text[self.at :]
        name = rest[: _NAME_END.search(rest).start()]  # type: ignore[union-attr]
        return re.sub(r"(:[^:]*?)-[a-z].*", r"\1", name, flags=re.IGNORECASE | re.DOTALL)

    def sum_of(self, left: _Part, right: _Part, sign: str) -> _Part:
        name = f"{left.name}{sign}{right.factor_name if sign == '-' else right.name}"
        self.operations += 1
        one, other = left.value, right.value
        if isinstance(one, Fraction) and isinstance(other, Fraction):
            return _Part(one + other if sign == "+" else one - other)
        for value in (one, other):
            if isinstance(value, Fraction):
                self.refuse(f"the number {value} cannot be added to a kernel; did you mean {value}*identity?")
        assert isinstance(one, Kernel) and isinstance(other, Kernel)
        return _Part(added(one, other, name, 1 if sign == "+" else -1), is_sum=True)

    def product_of(self, left: _Part, right: _Part, sign: str) -> _Part:
        self.operations += 1
        one, other = left.value, right.value
        if sign == "/":
            if isinstance(other, Kernel):
                self.refuse(f"{other.name} is a kernel; only numbers can divide")
            if other == 0:
                self.refuse("division by zero")
            other = 1 / other
            if isinstance(one, Kernel):
                return _Part(multiplied(one, other, f"{left.factor_name}/{right.name}"))
        name = f"{left.factor_name}*{right.factor_name}"
        if isinstance(one, Kernel) and isinstance(other, Kernel):
            return _Part(composed(one, other, name))
        if isinstance(one, Kernel) or isinstance(other, Kernel):
            kernel, factor = (one, other) if isinstance(one, Kernel) else (other, one)
            assert isinstance(kernel, Kernel) and isinstance(factor, Fraction)
            return _Part(multiplied(kernel, factor, name))
        result = one * other
        if abs(result) > _LARGEST_FACTOR:
            self.refuse("a factor is out of range (allowed: up to 1e300)")
        return _Part(result)

    def refuse_rest(self) -> NoReturn:
        rest = self.text[self.at :]
        advice = "; put rows of numbers in brackets: [1 0 -1]" if rest[:1].isdigit() else ""
        self.refuse(f"expected +, -, * or / before {quoted(rest)}{advice}")

    def refuse(self, reason: str) -> NoReturn:
        raise ExpressionError(f"kernel {quoted(one_line(self.text))}: {reason}")


def _bracket_end(text: str, start: int) -> int:
    """The position after the bracket that closes the one at ``start``; the end of the text if none does."""
    depth = 0
    for at in range(start, len(text)):
        depth += (text[at] == "[") - (text[at] == "]")
        if depth == 0:
            return at + 1
    return len(text)
