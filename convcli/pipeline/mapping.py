"""From a feature map to a picture: which value becomes black, gray and white."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from convcli.core.dtypes import DType, span
from convcli.core.errors import ArgumentError, quoted, suggest
from convcli.core.frozen import frozen, replace
from convcli.core.numerals import number_text, report_text
from convcli.core.rational import Number, parse_number
from convcli.core.rounding import Affine
from convcli.engine.filter import UNIT, Filter

WHOLE: Final = (Fraction(0), Fraction(100))
"""Percentiles that are the lowest and the highest value."""

KINDS: Final = ("auto", "clip", "abs", "signed", "stretch", "raw")


@frozen
class Mapping:
    """How values become pixels, from black to white (0 to 255 for 8 bits).

    Attributes:
        kind: ``clip`` (the value itself), ``abs`` (its magnitude), ``signed`` (0 is mid-gray, ±``high``
            is mid ± (mid − 1)), ``stretch`` (``low`` is black, ``high`` white), ``raw`` (floats, as they
            are) or ``auto``.
        low, high: the range, or None where the feature map's own is taken.
        percents: the percentiles of the feature map's values that are its ends, instead of the lowest and the
            highest value; None for an end that is a number.
    """

    kind: str = "auto"
    low: Number | None = None
    high: Number | None = None
    percents: tuple[Fraction | None, Fraction | None] = WHOLE

    @classmethod
    def parse(cls, text: str) -> Mapping:
        """``auto``, ``clip``, ``abs``, ``raw``, ``signed[:LIMIT]`` or ``stretch[:LOW,HIGH]``.

        A limit is a number or a percentage: ``signed:99%`` shows the middle 99 % of the values, and
        ``stretch:1%,99%`` goes from the 1st to the 99th percentile.
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
            f"map {quoted(text)}: allowed are signed:LIMIT, stretch:LOW,HIGH, with numbers or percentages "
            "(signed:99%, stretch:1%,99%)"
        )

    def resolved(self, filter_: Filter, floats: bool) -> Mapping:
        """``auto`` as the kind that suits the weights, over all channels; ``raw`` where floats stay."""
        if self.kind != "auto":
            return self
        if floats:
            return Mapping("raw")
        if filter_.combine is None:
            if filter_.is_average:
                return Mapping("clip")
            if all(abs(total) < UNIT for total in filter_.totals):
                return Mapping("clip" if any(filter_.bias) else "signed")
        if filter_.combine == "argmax":
            return Mapping("stretch", Fraction(0), Fraction(filter_.maps - 1))
        return Mapping("stretch")

    @property
    def needs_range(self) -> bool:
        """Whether the feature map's own range has to be known first."""
        return self.kind in ("signed", "stretch") and (self.low is None or self.high is None)

    @property
    def searched(self) -> list[Fraction]:
        """Percentiles that have to be found first; the lowest and the highest value are none."""
        return [p for p in self.percents if p not in (None, *WHOLE)] if self.needs_range else []

    def over(self, low: Number, high: Number) -> Mapping:
        """The same mapping for a feature map of this range, or one with these percentiles."""
        if not self.needs_range:
            return self
        if self.kind == "signed":
            ends: list[Number] = [low, -low, high, -high]
            limit = max(ends)
            return replace(self, low=-limit, high=limit)
        return replace(
            self,
            low=low if self.low is None else self.low,
            high=high if self.high is None else self.high,
        )

    def affine(self, value: Affine, target: DType, own: int) -> Affine:
        """From a sum, whose meaning ``value`` states, to a pixel; ``own`` is white among the values."""
        if self.kind == "raw":
            return value
        black, white = ends(target)
        if self.kind in ("clip", "abs"):
            scaled = value if white == own else value.then(Fraction(white, own), Fraction(0))
            return replace(scaled, magnitude=self.kind == "abs")
        assert self.low is not None and self.high is not None
        if self.kind == "signed":
            middle = _middle(target)
            gain = _quotient(white - middle, self.high)
            return value.then(gain, middle)
        gain = _quotient(white - black, self.high - self.low)
        return value.then(gain, black - gain * self.low)

    def describe(self, target: DType, own: int) -> str:
        """What the mapping did, in words; ``own`` is white among the values."""
        if self.kind == "raw":
            return "raw: the values themselves, as floats"
        black, white = ends(target)
        if target.kind == "f" and self.kind in ("clip", "abs"):
            return f"{self.kind}: {'magnitudes, ' if self.kind == 'abs' else ''}as floats, white is 1"
        share = Fraction(white, own)
        scaled = "" if share == 1 else f"× {share}, " if share > 1 else f"÷ {1 / share}, "
        if self.kind == "clip":
            return f"clip: {scaled}rounded to nearest, saturated at {black} and {white}"
        if self.kind == "abs":
            return f"abs: magnitudes, {scaled}rounded to nearest, saturated at {white}"
        low, high = (report_text(value) for value in (self.low or Fraction(0), self.high or Fraction(0)))
        if self.kind == "signed":
            middle = _middle(target)
            ends_ = f"±{high} → {report_text(middle)} ± {report_text(white - middle)}"
            return f"signed: 0 → {report_text(middle)}, {ends_}{self.origin}"
        return f"stretch: {low} → {black}, {high} → {white}{self.origin}"

    @property
    def origin(self) -> str:
        """Which percentiles the range is, in words behind it; empty where it is the whole one or given."""
        low, high = self.percents
        if self.percents == WHOLE:
            return ""
        if self.kind == "signed":
            assert low is not None and high is not None
            return f" (the middle {_percent(high - low)} of the values)"
        words = [_percent(p) for p in (low, high) if p is not None]
        return f" (percentile{'s' * (len(words) > 1)} {' and '.join(words)})"

    def __str__(self) -> str:
        if self.kind not in ("signed", "stretch") or (self.needs_range and self.percents == WHOLE):
            return self.kind
        (low, high), (first, last) = (self.low, self.high), self.percents
        if self.kind == "signed":
            share = None if first is None or last is None else last - first
            return f"signed:{_limit_text(high, share)}"
        return f"stretch:{_limit_text(low, first)},{_limit_text(high, last)}"


def ends(target: DType) -> tuple[int, int]:
    """Black and white of a type: an integer's range, 0 and 1 for floats."""
    return span(target) if target.kind in "iu" else (0, 1)


def _middle(target: DType) -> Fraction:
    """The gray between them, an integer where pixels are."""
    black, white = ends(target)
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
            raise ArgumentError(f"map {quoted(text)}: the percentage must be above 0, at most 100")
        return Mapping("signed", percents=((100 - number) / 2, (100 + number) / 2))
    if number <= 0:
        raise ArgumentError(f"map {quoted(text)}: the limit must be above 0")
    return Mapping("signed", -number, number)


def _stretched(text: str, low: _Limit, high: _Limit) -> Mapping:
    if any(is_percentage and not 0 <= number <= 100 for number, is_percentage in (low, high)):
        raise ArgumentError(f"map {quoted(text)}: a percentage is from 0 to 100")
    if low[1] == high[1] and low[0] >= high[0]:
        raise ArgumentError(f"map {quoted(text)}: LOW must be below HIGH")
    (first, last), (starts, stops) = ((None if end[1] else end[0] for end in (low, high)), (low[1], high[1]))
    percents = (low[0] if starts else None, high[0] if stops else None)
    return Mapping("stretch", first, last, percents if starts or stops else WHOLE)


def _limit_text(number: Number | None, percent: Fraction | None) -> str:
    """A limit as `Mapping.parse` reads it; the number where it is known."""
    if number is not None:
        return number_text(number)
    return f"{number_text(percent or Fraction(0))}%"


def _percent(value: Fraction) -> str:
    return f"{float(value):.6g}%"


def _quotient(top: Number, bottom: Number) -> Number:
    """``top / bottom``; 0 for a feature map without any range."""
    if bottom == 0:
        return Fraction(0)
    return Fraction(top) / bottom if isinstance(bottom, Fraction) else top / bottom
