"""From a feature map to a picture: which value becomes black, gray and white."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from convcli.dtypes import Affine, DType, span
from convcli.errors import ArgumentError, shown, suggest
from convcli.filter import UNIT, Filter
from convcli.rational import Number, parse_number, text_of
from convcli.values import frozen, replace

KINDS: Final = ("auto", "clip", "abs", "signed", "stretch", "raw")


@frozen
class Mapping:
    """How values become pixels, from black to white (0 to 255 for 8 bits).

    Attributes:
        kind: ``clip`` (the value itself), ``abs`` (its magnitude), ``signed`` (0 is mid-gray, ±``high``
            is mid ± (mid − 1)), ``stretch`` (``low`` is black, ``high`` white), ``raw`` (floats, as they
            are) or ``auto``.
        low, high: the range, or None where the feature map's own is taken.
    """

    kind: str = "auto"
    low: Number | None = None
    high: Number | None = None

    @classmethod
    def parse(cls, text: str) -> Mapping:
        """``auto``, ``clip``, ``abs``, ``raw``, ``signed[:LIMIT]`` or ``stretch[:LOW,HIGH]``."""
        kind, _, arguments = text.strip().casefold().partition(":")
        if kind not in KINDS:
            raise ArgumentError(f"map {shown(text)} is not one of {', '.join(KINDS)}{suggest(kind, KINDS)}")
        numbers = _numbers(text, arguments)
        allowed = {"signed": (0, 1), "stretch": (0, 2)}.get(kind, (0,))
        if len(numbers) not in allowed:
            raise ArgumentError(f"map {shown(text)}: allowed are signed:LIMIT and stretch:LOW,HIGH")
        match numbers:
            case [limit]:
                if limit <= 0:
                    raise ArgumentError(f"map {shown(text)}: the limit must be above 0")
                return cls(kind, -limit, limit)
            case [low, high]:
                if low >= high:
                    raise ArgumentError(f"map {shown(text)}: LOW must be below HIGH")
                return cls(kind, low, high)
        return cls(kind)

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
        return self.kind in ("signed", "stretch") and self.high is None

    def over(self, low: Number, high: Number) -> Mapping:
        """The same mapping for a feature map of this range."""
        if not self.needs_range:
            return self
        if self.kind == "signed":
            ends: list[Number] = [low, -low, high, -high]
            limit = max(ends)
            return replace(self, low=-limit, high=limit)
        return replace(self, low=low, high=high)

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
        low, high = (short(value) for value in (self.low or Fraction(0), self.high or Fraction(0)))
        if self.kind == "signed":
            middle = _middle(target)
            return f"signed: 0 → {short(middle)}, ±{high} → {short(middle)} ± {short(white - middle)}"
        return f"stretch: {low} → {black}, {high} → {white}"

    def __str__(self) -> str:
        if self.high is None or self.low is None:
            return self.kind
        numbers = [self.high] if self.kind == "signed" else [self.low, self.high]
        return f"{self.kind}:{','.join(text_of(number) for number in numbers)}"


def ends(target: DType) -> tuple[int, int]:
    """Black and white of a type: an integer's range, 0 and 1 for floats."""
    return span(target) if target.kind in "iu" else (0, 1)


def _middle(target: DType) -> Fraction:
    """The gray between them, an integer where pixels are."""
    black, white = ends(target)
    return Fraction((black + white + 1) // 2) if target.kind in "iu" else Fraction(1, 2)


def short(value: Number) -> str:
    """A value in a report: an integer in full, a fraction to six digits."""
    if isinstance(value, Fraction) and value.denominator == 1:
        return str(value.numerator).replace("-", "−")
    return f"{float(value):.6g}".replace("-", "−")


def _numbers(text: str, arguments: str) -> list[Fraction]:
    try:
        return [parse_number(part) for part in arguments.split(",")] if arguments else []
    except ValueError as error:
        raise ArgumentError(f"map {shown(text)}: {error}") from error


def _quotient(top: Number, bottom: Number) -> Number:
    """``top / bottom``; 0 for a feature map without any range."""
    if bottom == 0:
        return Fraction(0)
    return Fraction(top) / bottom if isinstance(bottom, Fraction) else top / bottom
