"""From values of a feature map to pixels: which value becomes black, gray and white."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from convcli.core.dtypes import DType, span
from convcli.core.errors import ArgumentError, quoted, suggest
from convcli.core.frozen import frozen, replace
from convcli.core.numerals import number_text, report_text
from convcli.core.rational import Number, parse_number
from convcli.core.rounding import Affine
from convcli.engine.filter import ValueKind

WHOLE_RANGE: Final = (Fraction(0), Fraction(100))
"""Percentiles that are the lowest and the highest value."""

KINDS: Final = ("auto", "clip", "abs", "signed", "stretch", "raw")


@frozen
class Mapping:
    """How values become pixels, from black to white (0 to 255 for 8 bits).

    Attributes:
        kind: ``clip`` (the value itself), ``abs`` (its magnitude), ``signed`` (0 is mid-gray, ±``high``
            is mid ± (mid − 1)), ``stretch`` (``low`` is black, ``high`` white), ``raw`` (floats, unchanged)
            or ``auto``.
        low, high: the range, or None for the feature map's own.
        percents: percentiles of the feature map's values at the ends of the range, from 0 to 100; None for an
            end that is a number.
    """

    kind: str = "auto"
    low: Number | None = None
    high: Number | None = None
    percents: tuple[Fraction | None, Fraction | None] = WHOLE_RANGE

    @classmethod
    def parse(cls, text: str) -> Mapping:
        """The mapping that a text of --map describes.

        Args:
            text: ``auto``, ``clip``, ``abs``, ``raw``, ``signed[:LIMIT]`` or ``stretch[:LOW,HIGH]``. A limit
                is a number or a percentage: ``signed:99%`` shows the middle 99 % of the values, and
                ``stretch:1%,99%`` goes from the 1st to the 99th percentile.

        Raises:
            ArgumentError: it is none of these.
        """
        kind, _, arguments = text.strip().casefold().partition(":")
        if kind not in KINDS:
            raise ArgumentError(f"map {quoted(text)} is not one of {', '.join(KINDS)}{suggest(kind, KINDS)}")
        limits = _limits(text, arguments)
        match kind, limits:
            case _, []:
                return cls(kind)
            case "signed", [limit]:
                return _signed(text, limit)
            case "stretch", [low, high]:
                return _stretched(text, low, high)
        raise ArgumentError(
            f"map {quoted(text)}: only signed:LIMIT and stretch:LOW,HIGH take numbers or percentages "
            "(signed:99%, stretch:1%,99%)"
        )

    def resolved(self, kind: ValueKind, floats: bool) -> Mapping:
        """The mapping with ``auto`` replaced by what suits the values, or by ``raw`` if ``floats`` stay."""
        if self.kind != "auto":
            return self
        if floats:
            return Mapping("raw")
        if kind.name == "pixels":
            return Mapping("clip")
        return Mapping("signed" if kind.name == "signed" else "stretch", kind.low, kind.high)

    @property
    def needs_range(self) -> bool:
        """Whether the feature map's own range must be found first."""
        return self.kind in ("signed", "stretch") and (self.low is None or self.high is None)

    @property
    def searched_percents(self) -> list[Fraction]:
        """Percentiles that must be found first, without the lowest and the highest value."""
        return [p for p in self.percents if p not in (None, *WHOLE_RANGE)] if self.needs_range else []

    def with_range(self, low: Number, high: Number) -> Mapping:
        """The mapping with its missing limits filled in from those of a feature map."""
        if not self.needs_range:
            return self
        if self.kind == "signed":
            magnitudes: list[Number] = [low, -low, high, -high]
            limit = max(magnitudes)
            return replace(self, low=-limit, high=limit)
        return replace(
            self,
            low=low if self.low is None else self.low,
            high=high if self.high is None else self.high,
        )

    def affine(self, value: Affine, target: DType, input_white: int) -> Affine:
        """The affine function from a sum to a pixel.

        Args:
            value: from a sum to the value that it means.
            target: type of the pixels.
            input_white: the value that means white in the input.
        """
        if self.kind == "raw":
            return value
        black, white = black_and_white(target)
        if self.kind in ("clip", "abs"):
            scaled = value if white == input_white else value.then(Fraction(white, input_white), Fraction(0))
            return replace(scaled, magnitude=self.kind == "abs")
        assert self.low is not None and self.high is not None
        if self.kind == "signed":
            middle = _middle(target)
            gain = _quotient(white - middle, self.high)
            return value.then(gain, middle)
        gain = _quotient(white - black, self.high - self.low)
        return value.then(gain, black - gain * self.low)

    def describe(self, target: DType, input_white: int) -> str:
        """What the mapping does, in words; the arguments are those of `affine`."""
        if self.kind == "raw":
            return "raw: values unchanged, as floats"
        black, white = black_and_white(target)
        if target.kind == "f" and self.kind in ("clip", "abs"):
            return f"{self.kind}: {'magnitudes, ' if self.kind == 'abs' else ''}as floats, white is 1"
        share = Fraction(white, input_white)
        scaled = "" if share == 1 else f"× {share}, " if share > 1 else f"÷ {1 / share}, "
        if self.kind == "clip":
            return f"clip: {scaled}rounded to nearest, saturated at {black} and {white}"
        if self.kind == "abs":
            return f"abs: magnitudes, {scaled}rounded to nearest, saturated at {white}"
        low, high = (report_text(value) for value in (self.low or Fraction(0), self.high or Fraction(0)))
        if self.kind == "signed":
            middle = _middle(target)
            limits = f"±{high} → {report_text(middle)} ± {report_text(white - middle)}"
            return f"signed: 0 → {report_text(middle)}, {limits}{self._percents_text}"
        return f"stretch: {low} → {black}, {high} → {white}{self._percents_text}"

    @property
    def _percents_text(self) -> str:
        """The percentiles at the ends of the range, in parentheses; empty for the whole range or numbers."""
        low, high = self.percents
        if self.percents == WHOLE_RANGE:
            return ""
        if self.kind == "signed":
            assert low is not None and high is not None
            return f" (the middle {_percent(high - low)} of the values)"
        texts = [_percent(p) for p in (low, high) if p is not None]
        return f" (percentile{'s' * (len(texts) > 1)} {' and '.join(texts)})"

    def __str__(self) -> str:
        if self.kind not in ("signed", "stretch") or (self.needs_range and self.percents == WHOLE_RANGE):
            return self.kind
        (low, high), (first, last) = (self.low, self.high), self.percents
        if self.kind == "signed":
            share = None if first is None or last is None else last - first
            return f"signed:{_limit_text(high, share)}"
        return f"stretch:{_limit_text(low, first)},{_limit_text(high, last)}"


def black_and_white(target: DType) -> tuple[int, int]:
    """The pixels that are black and white: the range of an integer type, 0 and 1 for floats."""
    return span(target) if target.kind in "iu" else (0, 1)


def _middle(target: DType) -> Fraction:
    """The gray between black and white, an integer if pixels are integers."""
    black, white = black_and_white(target)
    return Fraction((black + white + 1) // 2) if target.kind in "iu" else Fraction(1, 2)


_Limit = tuple[Fraction, bool]
"""A number, and whether it is a percentage."""


def _limits(text: str, arguments: str) -> list[_Limit]:
    try:
        parts = [part.strip() for part in arguments.split(",")] if arguments else []
        return [(parse_number(part.removesuffix("%")), part.endswith("%")) for part in parts]
    except ValueError as error:
        raise ArgumentError(f"map {quoted(text)}: {error}") from error


def _signed(text: str, limit: _Limit) -> Mapping:
    number, is_percentage = limit
    if is_percentage:
        if not 0 < number <= 100:
            raise ArgumentError(f"map {quoted(text)}: the percentage must be above 0 and at most 100")
        return Mapping("signed", percents=((100 - number) / 2, (100 + number) / 2))
    if number <= 0:
        raise ArgumentError(f"map {quoted(text)}: the limit must be above 0")
    return Mapping("signed", -number, number)


def _stretched(text: str, low: _Limit, high: _Limit) -> Mapping:
    if any(is_percentage and not 0 <= number <= 100 for number, is_percentage in (low, high)):
        raise ArgumentError(f"map {quoted(text)}: percentages must be between 0 and 100")
    if low[1] == high[1] and low[0] >= high[0]:
        raise ArgumentError(f"map {quoted(text)}: LOW must be below HIGH")
    (low_number, low_percent), (high_number, high_percent) = _split(low), _split(high)
    is_numeric = low_percent is None and high_percent is None
    percents = WHOLE_RANGE if is_numeric else (low_percent, high_percent)
    return Mapping("stretch", low_number, high_number, percents)


def _split(limit: _Limit) -> tuple[Fraction | None, Fraction | None]:
    """(number, percentile), one of them None."""
    number, is_percentage = limit
    return (None, number) if is_percentage else (number, None)


def _limit_text(number: Number | None, percent: Fraction | None) -> str:
    """A limit as `Mapping.parse` reads it: its number if that is known, else its percentile."""
    if number is not None:
        return number_text(number)
    return f"{number_text(percent or Fraction(0))}%"


def _percent(value: Fraction) -> str:
    return f"{float(value):.6g}%"


def _quotient(top: Number, bottom: Number) -> Number:
    """``top / bottom``; 0 for a feature map without a range."""
    if bottom == 0:
        return Fraction(0)
    return Fraction(top) / bottom if isinstance(bottom, Fraction) else top / bottom
