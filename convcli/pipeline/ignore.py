"""``--ignore``: which pixels of an image are left out, and how much the others count."""

from __future__ import annotations

import hashlib
import os
from fractions import Fraction
from functools import cached_property
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array, DType, span
from convcli.core.errors import ArgumentError, ConvcliError, failure_message, literal, quoted
from convcli.core.frozen import frozen
from convcli.core.numerals import counted, number_text
from convcli.core.rational import parse_number
from convcli.files.input import STREAM, Input
from convcli.formats import opening
from convcli.pipeline.color import white

NAN: Final = "nan"
KEEP: Final = "keep"


@frozen(eq=False)
class Mask:
    """How much each pixel counts.

    Attributes:
        name: of its file.
        weights: (rows, columns), from 0 to ``full``; integers, or float64.
        full: the weight of a pixel that counts in full.
    """

    name: str
    weights: Array
    full: int

    @cached_property
    def digest(self) -> str:
        """A hash of size, type and weights."""
        kind = f"{self.weights.shape} {self.weights.dtype.str} {self.full} "
        return hashlib.sha256(kind.encode() + self.weights.tobytes()).hexdigest()


@frozen(eq=False)
class Ignore:
    """Pixels that are left out: those with NaN in any color, and those that have a value or a mask excludes.

    Attributes:
        value: pixels whose colors all equal it are left out; None for no value.
        mask: None for no mask.
        keep: whether a pixel that is left out stays undefined in the result, instead of being filled from
            its neighbors.
    """

    value: Fraction | None = None
    mask: Mask | None = None
    keep: bool = False

    @classmethod
    def parse(cls, text: str) -> Ignore:
        """What ``nan``, a number, or the name of an image file leaves out; with ``,keep`` gaps stay gaps.

        Raises:
            ArgumentError: an empty text or standard input, or a mask that is not one gray image from 0 to 1.
            ConvcliError: the mask cannot be read.
        """
        first, comma, last = text.rpartition(",")
        keep = bool(comma) and last.strip().casefold() == KEEP
        text = first if keep else text
        word = text.strip()
        if word.casefold() == NAN:
            return cls(keep=keep)
        if word == STREAM:
            raise ArgumentError("--ignore cannot read standard input; give the name of a file")
        try:
            return cls(parse_number(word), keep=keep)
        except ValueError as error:
            if not os.path.lexists(text):
                raise ArgumentError(
                    f"--ignore {quoted(text)} is not nan, a number or an existing file"
                ) from error
            return cls(mask=_read_mask(text), keep=keep)

    @property
    def full(self) -> int:
        """The weight of a pixel that counts in full."""
        return self.mask.full if self.mask else 1

    @property
    def files(self) -> tuple[str, ...]:
        """The file that was read, if any."""
        return (self.mask.name,) if self.mask else ()

    def check_size(self, rows: int, columns: int) -> None:
        """Refuse a mask of another size than the image.

        Raises:
            ArgumentError: the sizes differ.
        """
        if self.mask and self.mask.weights.shape != (rows, columns):
            own = " × ".join(map(str, self.mask.weights.shape))
            raise ArgumentError(
                f"--ignore {self.mask.name}: the mask has {own} pixels, the image {rows} × {columns}; "
                "they must have the same size"
            )

    def weights(self, colors: Array, first: int) -> Array:
        """The weights of pixels, (rows, columns), from 0 to `full`.

        Args:
            colors: (rows, columns, channels) as stored, without alpha.
            first: the first row.
        """
        left_out = missing(colors)
        if self.value is not None:
            left_out |= _has_value(colors, self.value)
        if self.mask is None:
            return ~left_out
        weights: Array = self.mask.weights[first : first + len(colors)]
        return weights * ~left_out if left_out.any() else weights

    def __str__(self) -> str:
        own = NAN if self.value is None else number_text(self.value)
        return (self.mask.name if self.mask else own) + (f",{KEEP}" if self.keep else "")


def missing(colors: Array) -> Array:
    """Whether any channel is NaN, (rows, columns) of bool."""
    if colors.dtype.kind != "f" or not np.isnan(colors.min(initial=0)):
        return np.zeros(colors.shape[:2], bool)
    found: Array = np.any(np.isnan(colors), axis=-1)
    return found


def _has_value(colors: Array, value: Fraction) -> Array:
    """Whether all channels have a value, in their own type."""
    wanted = _in_type(value, colors.dtype)
    if wanted is None:
        return np.zeros(colors.shape[:2], bool)
    found: Array = np.equal(colors, wanted).all(axis=-1)
    return found


def _in_type(value: Fraction, dtype: DType) -> Any:
    """The value as a scalar of a type; None if the type does not have it."""
    if dtype.kind != "f":
        low, high = span(dtype)
        is_held = value.denominator == 1 and low <= value <= high
        return dtype.type(int(value)) if is_held else None
    with np.errstate(over="ignore"):
        near = dtype.type(float(value))
    return near if np.isfinite(near) else None


def _read_mask(name: str) -> Mask:
    try:
        with Input.open(name) as file:
            runs = opening.open_input(file)
            header = runs[0].header
            if len(runs) > 1 or header.frames > 1:
                frames = counted(sum(run.header.frames for run in runs), "frame")
                raise ArgumentError(f"has {frames}; a mask has one")
            pixels = runs[0].reader().rows(0, 0, header.rows)
            weights = _gray(pixels[..., : header.channels - header.alpha])
            return Mask(name, *_from_0_to_1(weights))
    except (ConvcliError, MemoryError) as error:
        raise ConvcliError(f"--ignore {failure_message(name, error)}") from error


def _gray(colors: Array) -> Array:
    """(rows, columns) of an image whose channels are equal."""
    gray: Array = colors[..., 0].copy()
    if not (colors == gray[..., None]).all():
        raise ArgumentError("is a color image; a mask is gray: white counts, black is left out")
    return gray


def _from_0_to_1(weights: Array) -> tuple[Array, int]:
    """The weights and the one that counts in full; of a mask of black and white, 0 and 1."""
    full = white(weights.dtype)
    low, high = weights.min().item(), weights.max().item()
    if not 0 <= low <= high <= full:
        raise ArgumentError(f"has values from {literal(low)} to {literal(high)}; a mask has 0 to {full}")
    if ((weights == 0) | (weights == full)).all():
        return (weights == full), 1
    return (weights.astype(np.float64) if weights.dtype.kind == "f" else weights), full
