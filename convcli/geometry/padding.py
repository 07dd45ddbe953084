"""Padding as ``AMOUNT[:FILL]``: how far an image is continued beyond its edges, and with which values."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from convcli.core.errors import ArgumentError, quoted, suggest
from convcli.core.frozen import frozen
from convcli.core.numerals import axes_text

Pair = tuple[int, int]

AMOUNTS: Final = ("valid", "same", "same-lower", "full", "causal")
LARGEST_FILL: Final = 1e30
LARGEST_AMOUNT: Final = 999_999_999  # pixels
FILLS: Final = ("zero", "edge", "reflect", "symmetric", "wrap", "ignore")
_ALIASES: Final = {
    "zeros": "zero",
    "constant": "zero",
    "replicate": "edge",
    "nearest": "edge",
    "copy": "edge",
    "reflect101": "reflect",
    "circular": "wrap",
    "tile": "wrap",
    "repeat": "wrap",
    "same-upper": "same",
}
_AMBIGUOUS: Final = (
    "'mirror' is ambiguous: 'reflect' does not repeat the edge (c b | a b c d | c b), "
    "'symmetric' repeats it (b a | a b c d | d c)"
)


@frozen
class Fill:
    """Values beyond the edge: a constant, the image continued by NumPy's `pad` mode of that name, or none.

    Attributes:
        mode: ``constant``, ``edge``, ``reflect``, ``symmetric`` or ``wrap``; with ``ignore``, windows count
            only what lies inside the image, and the weights that are left are renormalized.
        value: the constant, in pixel values.
    """

    mode: str = "constant"
    value: float = 0

    @classmethod
    def parse(cls, text: str) -> Fill:
        """The fill of a number, one of `FILLS`, or an alias.

        Raises:
            ArgumentError: anything else.
        """
        word = normal_word(text)
        word = _ALIASES.get(word, word)
        if word == "zero":
            return cls()
        if word in FILLS:
            return cls(word)
        if word == "mirror":
            raise ArgumentError(_AMBIGUOUS)
        try:
            value = float(word)
        except ValueError:
            value = float("nan")
        if not abs(value) <= LARGEST_FILL:
            allowed = ", ".join(FILLS)
            near = suggest(word, [*FILLS, *_ALIASES])
            raise ArgumentError(
                f"padding fill {quoted(text)} is not one of {allowed}, "
                f"or a number up to {LARGEST_FILL:g}{near}"
            )
        return cls("constant", int(value) if value.is_integer() else value)

    def __str__(self) -> str:
        if self.mode != "constant":
            return self.mode
        return "zero" if self.value == 0 else f"{self.value:g}"


@frozen
class Padding:
    """How far an image is extended, and with which values: ``AMOUNT[:FILL]``.

    ``amount`` is one of `AMOUNTS`, or ``(before, after)`` pairs in pixels, one per axis (a single pair
    serves every axis).
    """

    amount: str | tuple[Pair, ...] = "valid"
    fill: Fill = Fill()

    @classmethod
    def parse(cls, text: str) -> Padding:
        """The padding of ``same``, ``full:edge``, ``1``, ``2,1:wrap`` or ``TOP,BOTTOM,LEFT,RIGHT[:FILL]``.

        Raises:
            ArgumentError: anything else.
        """
        amount, _, fill = text.strip().partition(":")
        if ":" in text and not fill.strip():
            raise ArgumentError(f"padding {quoted(text)} has no fill after the colon")
        return cls(_parse_amount(amount), Fill.parse(fill) if fill else Fill())

    def pairs(self, sizes: Sequence[int], extents: Sequence[int], strides: Sequence[int]) -> tuple[Pair, ...]:
        """(before, after) of every axis.

        Args:
            sizes: of the image, in pixels.
            extents: pixels from the first kernel element to the last.
            strides: steps of the window.

        Raises:
            ArgumentError: another number of pairs than of axes, or causal padding of several axes.
        """
        if self.amount == "causal" and any(extent > 1 for extent in extents[:-1]):
            covered = " × ".join(map(str, extents))
            raise ArgumentError(
                f"padding 'causal' is for one axis, as of a signal, but the kernel covers {covered}; "
                "use same-lower, or numbers of pixels"
            )
        if isinstance(self.amount, str):
            rule = _AMOUNT_RULES[self.amount]
            return tuple(rule(*axis) for axis in zip(sizes, extents, strides, strict=True))
        if len(self.amount) == 1:
            return self.amount * len(sizes)
        if len(self.amount) != len(sizes):
            raise ArgumentError(
                f"padding has {len(self.amount)} entries, but the image has {axes_text(len(sizes))}"
            )
        return self.amount

    def __str__(self) -> str:
        return f"{amount_text(self.amount)}:{self.fill}"


def amount_text(amount: str | tuple[Pair, ...]) -> str:
    """An amount in the notation of `Padding.parse`."""
    if isinstance(amount, str):
        return amount
    if all(before == after for before, after in amount):
        return ",".join(str(before) for before, _ in amount)
    return ",".join(f"{before},{after}" for before, after in amount)


def normal_word(text: str) -> str:
    """A word for comparison: lower case, with ``-`` for ``_``."""
    return text.strip().casefold().replace("_", "-")


def _parse_amount(text: str) -> str | tuple[Pair, ...]:
    word = normal_word(text)
    word = _ALIASES.get(word, word)
    if word in AMOUNTS:
        return word
    allowed = "valid, same, same-lower, full, causal, N, ROWS,COLS or TOP,BOTTOM,LEFT,RIGHT"
    if not re.fullmatch(r"\d+(\s*[,x×]\s*\d+)*", word):
        hint = "; fills follow a colon, as in same:edge" if word in {*FILLS, *_ALIASES} else ""
        hint = hint or suggest(word, [*AMOUNTS, *FILLS, *_ALIASES])
        raise ArgumentError(f"padding {quoted(text)} is not one of {allowed}{hint}")
    parts = re.findall(r"\d+", word)
    if max(map(len, parts)) > len(str(LARGEST_AMOUNT)):
        raise ArgumentError(f"padding {quoted(text)} is too large (allowed: 0 to {LARGEST_AMOUNT} pixels)")
    numbers = [int(part) for part in parts]
    match numbers:
        case [both]:
            return ((both, both),)
        case [rows, columns]:
            return ((rows, rows), (columns, columns))
        case [top, bottom, left, right]:
            return ((top, bottom), (left, right))
    raise ArgumentError(f"padding {quoted(text)} has {len(numbers)} numbers; allowed: {allowed}")


def same_pair(size: int, extent: int, stride: int) -> Pair:
    """(before, after) along one axis, so that the result has ⌈size / stride⌉ values."""
    total = max((-(-size // stride) - 1) * stride + extent - size, 0)
    return total // 2, total - total // 2


_AMOUNT_RULES: Final[dict[str, Callable[[int, int, int], Pair]]] = {
    "valid": lambda size, extent, stride: (0, 0),
    "same": same_pair,
    "same-lower": lambda size, extent, stride: same_pair(size, extent, stride)[::-1],
    "full": lambda size, extent, stride: (extent - 1, extent - 1),
    "causal": lambda size, extent, stride: (extent - 1, 0),
}
