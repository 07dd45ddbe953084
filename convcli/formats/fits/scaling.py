"""Values of a FITS image: BZERO, BSCALE and BLANK (FITS Standard 4.0, sections 4.4.2 and 5)."""

from __future__ import annotations

from math import isfinite, nan
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.errors import ImageError
from convcli.core.frozen import frozen
from convcli.formats.fits.units import Unit

_STORED: Final = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
_OFFSETS: Final = {8: -(2**7), 16: 2**15, 32: 2**31, 64: 2**63}
"""The BZERO that makes signed integers unsigned, and bytes signed."""
_FLOAT: Final = np.dtype(np.float64)
_EXACT: Final = 2**53


@frozen
class Scaling:
    """How stored values become pixels.

    Attributes:
        stored: type in the file.
        pixel: type of the pixels.
        scale, zero: a pixel is ``scale · stored + zero``, unless ``flips``.
        flips: whether the first bit is turned, which adds the offset of unsigned integers exactly.
        blank: the stored value of missing pixels, or None.
        nodata: the value of missing pixels, or None.
        notes: for the report.
    """

    stored: DType
    pixel: DType
    scale: float = 1.0
    zero: float = 0.0
    flips: bool = False
    blank: int | None = None
    nodata: float | None = None
    notes: tuple[str, ...] = ()

    def pixels(self, stored: Array) -> Array:
        """The pixels of stored values of any byte order, of the same shape.

        Raises:
            ImageError: a 64-bit integer that float64 does not hold exactly.
        """
        native = stored.astype(self.stored.newbyteorder("="), copy=False)
        if self.flips:
            bits = native.view(f"u{native.itemsize}")
            native = (bits ^ bits.dtype.type(1 << (8 * native.itemsize - 1))).view(
                "i1" if native.itemsize == 1 else bits.dtype
            )
        if native.dtype.itemsize == 8 and native.dtype.kind in "iu":
            _check_exact(native)
        if (self.scale, self.zero) == (1, 0):
            return native.astype(self.pixel, copy=False)
        scaled: Array = native.astype(_FLOAT) * self.scale + self.zero
        if self.blank is not None:
            scaled[native == self.blank] = nan
        return scaled


def _check_exact(values: Array) -> None:
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    if max(-low, high) > _EXACT:
        value = low if -low > high else high
        raise ImageError(f"fits with the 64-bit integer {value}; allowed: up to 2⁵³, which float64 holds")


def scaling_of(unit: Unit) -> Scaling:
    """The scaling that a header states.

    Raises:
        ImageError: it states a scale that is not a number.
    """
    stored, integers = np.dtype(_STORED[unit.bitpix]), unit.bitpix > 0
    scale, zero = _number(unit.header, "BSCALE", 1), _number(unit.header, "BZERO", 0)
    blank = _blank(unit) if integers else None
    if integers and scale == 1 and zero in (0, _OFFSETS[unit.bitpix]):
        return _exact(stored, blank, int(zero))
    if (scale, zero) == (1, 0):
        return Scaling(stored, stored.newbyteorder("="), nodata=nan)
    missing = nan if not integers or blank is not None else None
    note = f"values are {float(scale):g} · stored value + {float(zero):g} (BSCALE, BZERO), as float64"
    return Scaling(stored, _FLOAT, float(scale), float(zero), blank=blank, nodata=missing, notes=(note,))


def _exact(stored: DType, blank: int | None, zero: int) -> Scaling:
    """Of integers as they are, or with the offset that changes their sign."""
    size, flips = stored.itemsize, zero != 0
    kind = "u" if (size == 1) != flips else "i"
    nodata = None if blank is None else float(blank + zero)
    if size < 8:
        return Scaling(stored, np.dtype(f"{kind}{size}"), flips=flips, nodata=nodata)
    note = "its 64-bit integers are read as float64, which is exact up to 2⁵³"
    return Scaling(stored, _FLOAT, flips=flips, nodata=nodata, notes=(note,))


def _blank(unit: Unit) -> int | None:
    """The stored integer that stands for missing pixels, if the stored type has it."""
    value = unit.header.get("BLANK", unit.header.get("ZBLANK"))
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    bits = unit.bitpix
    low, high = (0, 255) if bits == 8 else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return value if low <= value <= high else None


def _number(header: Any, key: str, default: int) -> int | float:
    value = header.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        raise ImageError(f"damaged fits: its {key} is no number")
    return value
