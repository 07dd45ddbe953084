"""``--nodata``: which values of an image stand for pixels without data, and which pixels those are."""

from __future__ import annotations

from math import isfinite
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array, DType, span
from convcli.core.errors import ArgumentError, quoted
from convcli.core.frozen import frozen
from convcli.core.rational import parse_number
from convcli.formats.header import Header
from convcli.formats.metadata import nodata_text, parse_nodata

AUTO: Final = "auto"
NONE: Final = "none"

OWN: Final = "own"
"""Every channel is without data by itself."""
ALL: Final = "all"
"""A pixel is without data if all its channels have the value, as colors do together."""
ANY: Final = "any"
"""A pixel is without data if one of its channels is, because channels are summed."""

_ALMOST: Final = 1 + 1e-6  # lowest and highest floats are often stated with fewer digits


@frozen
class Nodata:
    """Where the value of pixels without data comes from.

    Attributes:
        kind: ``auto`` (the file), ``none``, or ``value``.
        value: of the kind ``value``, NaN included.
    """

    kind: str = AUTO
    value: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Nodata:
        """``auto``, ``none``, or a number such as ``-9999``, ``1e20`` or ``nan``.

        Raises:
            ArgumentError: other text.
        """
        word = text.strip().casefold()
        if word in (AUTO, NONE):
            return cls(word)
        value = parse_nodata(word)
        if value is None:
            try:
                value = float(parse_number(word))
            except (ValueError, OverflowError):
                raise ArgumentError(f"--nodata {quoted(text)} is not auto, none or a number") from None
        return cls("value", value)

    def of(self, header: Header) -> float | None:
        """The value of an image's pixels without data, or None."""
        return header.metadata.nodata if self.kind == AUTO else self.value if self.kind != NONE else None

    def __str__(self) -> str:
        return nodata_text(self.value) if self.kind == "value" else self.kind


@frozen
class Missing:
    """The pixels of an image that are without data: those with a value, and of floats those with NaN.

    Attributes:
        value: as stated.
        channels: `OWN`, `ALL` or `ANY`.
        strict: whether a window with any such pixel has no result, because weights cannot be renormalized.
        outside: whether constant padding counts as data.
    """

    value: float
    channels: str = OWN
    strict: bool = False
    outside: bool = True

    def found(self, colors: Array) -> Array:
        """Where data is missing, (rows, columns, channels) of bool; one channel if they go together.

        Args:
            colors: (rows, columns, channels) as stored, without alpha.
        """
        wanted = stored_value(self.value, colors.dtype)
        missing: Array = np.zeros(colors.shape, bool) if wanted is None else np.equal(colors, wanted)
        if colors.dtype.kind == "f":
            missing |= np.isnan(colors)
        if self.channels == OWN or colors.shape[2] == 1:
            return missing
        together = np.all if self.channels == ALL else np.any
        found: Array = together(missing, axis=-1, keepdims=True)
        return found

    def pixel(self, dtype: DType) -> Any:
        """A result's pixel where data is missing: the value, or 0 if its type does not hold that."""
        value = stored_value(self.value, dtype)
        return dtype.type(0) if value is None else value

    def __str__(self) -> str:
        return nodata_text(self.value)


def stored_value(value: float, dtype: DType) -> Any:
    """A value as a scalar of a type; None if the type does not hold it."""
    if dtype.kind != "f":
        low, high = span(dtype)
        return dtype.type(int(value)) if value.is_integer() and low <= value <= high else None
    with np.errstate(over="ignore"):
        near = dtype.type(value)
    if isfinite(value) and not np.isfinite(near):
        most = np.finfo(dtype).max
        return np.copysign(most, dtype.type(value)) if abs(value) <= float(most) * _ALMOST else None
    return near


def can_occur(value: float, dtype: DType) -> bool:
    """Whether an image of a type can have pixels without data."""
    return dtype.kind == "f" or stored_value(value, dtype) is not None
