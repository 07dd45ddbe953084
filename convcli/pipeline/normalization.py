"""Pixels as a network was trained on them: (value / white − mean) / std per channel, before the padding."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import lcm
from typing import Final

import numpy as np

from convcli.core.dtypes import Array, DType, holds, span
from convcli.core.errors import ArgumentError, quoted, suggest
from convcli.core.frozen import frozen
from convcli.core.rational import Number, parse_number
from convcli.formats.readers import Reader
from convcli.pipeline.color import white

WORDS: Final = {
    "imagenet": "0.485,0.456,0.406/0.229,0.224,0.225",
    "0..1": "0/1",
    "-1..1": "0.5/0.5",
}
"""Common normalizations as MEAN/STD; ``imagenet`` is that of torchvision's pretrained models."""
_ALLOWED: Final = "MEAN/STD (numbers in units of white, one or one per channel), imagenet, 0..1 or -1..1"
_INTEGERS: Final = tuple(map(np.dtype, (np.int16, np.int32)))


@frozen
class Normalization:
    """What ``--normalize`` asks for.

    Attributes:
        text: as it was given.
        means, deviations: one, or one for each channel, where white is 1.
    """

    text: str
    means: tuple[Fraction, ...]
    deviations: tuple[Fraction, ...]

    @classmethod
    def parse(cls, text: str) -> Normalization:
        """The normalization of ``imagenet``, ``0..1``, ``-1..1`` or ``MEAN/STD``, such as ``0.5/0.5``.

        Raises:
            ArgumentError: anything else, or a standard deviation that is not above 0.
        """
        word = text.strip().casefold()
        means, slash, deviations = WORDS.get(word, word).partition("/")
        try:
            numbers = [tuple(map(parse_number, part.split(","))) for part in (means, deviations)]
        except ValueError:
            slash = ""
        if not slash or "/" in deviations:  # a second slash could be that of a fraction on either side
            raise ArgumentError(
                f"normalization {quoted(text)} is not {_ALLOWED}{suggest(word, WORDS)}"
            ) from None
        if not all(number > 0 for number in numbers[1]):
            raise ArgumentError(f"normalization {quoted(text)}: every STD must be above 0")
        if len({len(part) for part in numbers} - {1}) > 1:
            counts = " and ".join(str(len(part)) for part in numbers)
            raise ArgumentError(
                f"normalization {quoted(text)} has {counts} numbers; allowed: 1, or one per channel"
            )
        return cls(word, *numbers)

    def of(self, dtype: DType, channels: int, double: bool = False) -> Normalized:
        """What becomes of images of a type.

        Args:
            channels: without alpha.
            double: whether values that are not exact are float64.

        Raises:
            ArgumentError: there are numbers for another count of channels.
        """
        given = max(len(self.means), len(self.deviations))
        if given not in (1, channels):
            raise ArgumentError(
                f"--normalize {self.text} has numbers for {given} channels; this image has {channels}"
            )
        means, deviations = (
            numbers * (channels if len(numbers) == 1 else 1) for numbers in (self.means, self.deviations)
        )
        units = Fraction(1, white(dtype))
        factors = tuple(units / deviation for deviation in deviations)
        offsets = tuple(-mean / deviation for mean, deviation in zip(means, deviations, strict=True))
        exact = _exact(dtype, factors, offsets)
        if exact is not None:
            return exact
        wide = double or dtype.itemsize > 2 + 2 * (dtype.kind == "f")
        return Normalized(factors, offsets, 1, np.dtype(np.float64 if wide else np.float32))


@frozen
class Normalized:
    """Values of an image, normalized: factor · value + offset for each channel.

    Attributes:
        denominator: what the engine's values are divided by: its values are integers wherever a type of up to
            32 bits holds them, and so normalization is exact.
        dtype: of the engine's values.
    """

    factors: tuple[Fraction, ...]
    offsets: tuple[Fraction, ...]
    denominator: int
    dtype: DType

    @property
    def is_idle(self) -> bool:
        """Whether the engine's values are those of the image."""
        return not any(self.offsets) and all(factor * self.denominator == 1 for factor in self.factors)

    def engine_value(self, value: float) -> int | float:
        """A normalized value, such as that of a padding, as the engine's."""
        scaled = value * self.denominator
        return int(scaled) if float(scaled).is_integer() else scaled

    def stored(self, value: float, channel: int) -> Number:
        """The value of the image that is normalized to ``value``."""
        return (Fraction(value) - self.offsets[channel]) / self.factors[channel]

    def magnitude(self, stored: DType) -> float:
        """The largest magnitude of the engine's values of an image of integers; 0 for floats."""
        if stored.kind == "f":
            return 0.0
        ends = [
            float(abs(factor * end + offset))
            for factor, offset in zip(self.factors, self.offsets, strict=True)
            for end in span(stored)
        ]
        return max(ends) * self.denominator


def _exact(dtype: DType, factors: Sequence[Fraction], offsets: Sequence[Fraction]) -> Normalized | None:
    """Integers over one denominator, if a type of the engine holds them."""
    if dtype.kind not in "iu":
        return None
    numbers = [*factors, *offsets]
    denominator = lcm(*(number.denominator for number in numbers))
    ends = [
        int((factor * end + offset) * denominator)
        for factor, offset in zip(factors, offsets, strict=True)
        for end in span(dtype)
    ]
    for own in (dtype, *_INTEGERS):
        normalized = Normalized(tuple(factors), tuple(offsets), denominator, own)
        if holds(own, min(ends), max(ends)) and (own is not dtype or normalized.is_idle):
            return normalized
    return None


@frozen(eq=False)
class NormalizedReader(Reader):
    """A `Reader` of normalized values over their denominator; channels beyond them, such as alpha, are 0."""

    reader: Reader
    values: Normalized

    def rows(self, frame: int, first: int, last: int) -> Array:
        stored = self.reader.rows(frame, first, last)
        values, count = self.values, len(self.values.factors)
        if values.is_idle:
            return stored.astype(values.dtype, copy=False)
        numbers = [
            [number * values.denominator for number in part] for part in (values.factors, values.offsets)
        ]
        wide = values.dtype if values.dtype.kind == "i" else np.float64
        factors, offsets = (np.array([float(number) for number in part]).astype(wide) for part in numbers)
        result = np.zeros(stored.shape, values.dtype)
        with np.errstate(over="ignore", invalid="ignore"):  # infinity, as in the engine
            result[..., :count] = stored[..., :count].astype(wide) * factors + offsets
        return result


def describe(normalization: Normalization) -> str:
    """The formula of a normalization, in words."""
    if normalization.text in ("0..1", "-1..1"):
        return f"pixels were normalized to {normalization.text.replace('-', '−')}, before the padding"
    means, deviations = WORDS.get(normalization.text, normalization.text).replace(",", ", ").split("/")
    name = " as for ImageNet" if normalization.text == "imagenet" else ""
    formula = f"(value / white − mean) / std, mean {means}, std {deviations}"
    return f"pixels were normalized{name}, before the padding: {formula}"
