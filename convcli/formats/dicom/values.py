"""Samples of a DICOM file as pixels: bits in use, sign, modality, palette and color."""

from __future__ import annotations

from typing import Final

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.errors import ImageError
from convcli.core.frozen import frozen
from convcli.formats.decoding import PALETTE_NOTE
from convcli.formats.dicom.facts import Facts
from convcli.formats.dicom.frames import is_converted

_NARROW: Final = ("uint8", "int8", "uint16", "int16", "uint32", "int32")
_CONVERTED: Final = 2**16  # pixels converted at a time, in numbers of up to 64 bits
_LARGEST_TABLE: Final = 2**17  # bytes of a palette's color


@frozen(eq=False)
class Values:
    """How samples become pixels.

    Attributes:
        dtype: of the pixels.
        channels: of the pixels.
        inverts: whether low values are bright and are turned over.
        nodata: the value of padding, or None.
        notes: for the report.
    """

    facts: Facts
    dtype: DType
    channels: int
    inverts: bool
    nodata: float | None
    notes: tuple[str, ...]

    def frame(self, samples: Array) -> Array:
        """The pixels of a frame, (rows, columns, channels), some rows at a time."""
        rows, columns = samples.shape[:2]
        pixels: Array = np.empty((rows, columns, self.channels), self.dtype)
        height = max(_CONVERTED // columns, 1)
        for top in range(0, rows, height):
            pixels[top : top + height] = self.pixels(samples[top : top + height])
        return pixels

    def pixels(self, samples: Array) -> Array:
        """The pixels of some rows, (rows, columns, channels)."""
        facts = self.facts
        if samples.dtype.kind == "f":
            return samples.astype(self.dtype)
        values = _in_use(samples, facts)
        if facts.photometric == "PALETTE COLOR":
            return self._colors(values)
        if facts.photometric.startswith("YBR") and not is_converted(facts):
            return _rgb(values)
        if facts.stored == 1 and not facts.is_rescaled:
            values = values * np.uint8(255)
        if self.inverts:
            values = (255 if facts.stored == 1 else 2**facts.stored - 1) - values
        if facts.is_rescaled and self.dtype.kind == "f":
            return np.asarray(values.astype(np.float64) * facts.slope + facts.intercept)
        if facts.is_rescaled:
            values = values.astype(np.int64) * int(facts.slope) + int(facts.intercept)
        return np.asarray(values.astype(self.dtype))

    def _colors(self, values: Array) -> Array:
        from pydicom.pixels import apply_color_lut

        colors = apply_color_lut(values[..., 0], self.facts.dataset)
        return np.asarray(colors).astype(self.dtype)[..., :3]


def _in_use(samples: Array, facts: Facts) -> Array:
    """The bits in use, as integers with or without a sign."""
    unsigned = np.dtype(f"u{samples.dtype.itemsize}")
    bits = samples.astype(samples.dtype.newbyteorder("=")).view(unsigned)
    bits = bits >> unsigned.type(max(facts.high + 1 - facts.stored, 0))
    if facts.stored < 8 * unsigned.itemsize:
        bits = bits & unsigned.type(2**facts.stored - 1)
    if not facts.signed:
        return np.asarray(bits)
    wide = bits.astype(np.int64)
    sign = 1 << (facts.stored - 1)
    return np.asarray(((wide ^ sign) - sign).astype(f"i{unsigned.itemsize}"))


def _rgb(values: Array) -> Array:
    """RGB of full-range luma and chroma of 8 bits (PS3.3, C.7.6.3.1.2), rounded to nearest."""
    luma, blue, red = np.moveaxis(values.astype(np.float64), -1, 0)
    blue, red = blue - 128, red - 128
    colors = luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue
    return np.asarray(np.rint(np.stack(colors, -1)).clip(0, 255).astype(np.uint8))


def values_of(facts: Facts) -> Values:
    """How the samples of a file become pixels.

    Raises:
        ImageError: a combination that is not read.
    """
    if facts.data != "PixelData":
        kind = np.dtype(np.float32 if facts.data == "FloatPixelData" else np.float64)
        return Values(facts, kind, 1, False, None, ())
    if facts.photometric == "PALETTE COLOR":
        return Values(facts, _table_type(facts), 3, False, None, (PALETTE_NOTE,))
    if facts.photometric.startswith("YBR"):
        if facts.photometric.startswith("YBR_PARTIAL") or facts.allocated != 8:
            raise ImageError(f"dicom with {facts.photometric} of {facts.allocated} bits; allowed: YBR_FULL")
        return Values(facts, np.dtype(np.uint8), 3, False, None, ("YBR was converted to RGB",))
    return _plain(facts)


def _table_type(facts: Facts) -> DType:
    """The type of the colors of a palette."""
    dataset = facts.dataset
    for color in ("Red", "Green", "Blue"):
        for prefix in ("", "Segmented"):
            if len(dataset.get(f"{prefix}{color}PaletteColorLookupTableData", b"")) > _LARGEST_TABLE:
                raise ImageError("damaged dicom: a palette of more than 65536 colors")
    bits = int(dataset.RedPaletteColorLookupTableDescriptor[2])
    return np.dtype(np.uint8 if bits <= 8 else np.uint16)


def _plain(facts: Facts) -> Values:
    low = -(2 ** (facts.stored - 1)) if facts.signed else 0
    high = low + 2**facts.stored - 1
    inverts = facts.photometric == "MONOCHROME1" and not facts.signed and not facts.is_rescaled
    notes = []
    if facts.photometric == "MONOCHROME1":
        is_turned = "inverted: low values are bright in the file (MONOCHROME1)"
        kept = "low values are bright (MONOCHROME1); they are used as they are"
        notes.append(is_turned if inverts else kept)
    if facts.is_rescaled:
        notes.append(_rescaled_note(facts))
        if not (facts.slope.is_integer() and facts.intercept.is_integer()):
            return Values(facts, np.dtype(np.float64), 1, False, _padding(facts), tuple(notes))
        ends = sorted(int(end * facts.slope + facts.intercept) for end in (low, high))
    else:
        ends = [0, 255] if facts.stored == 1 else [low, high]
        if facts.stored not in (1, 8, 16, 32):
            notes.append(f"values of {facts.stored} bits are used as stored, not scaled to {facts.allocated}")
    kinds = (np.dtype(name) for name in _NARROW)
    least = 8 if facts.is_rescaled else facts.allocated
    fitting = (
        kind
        for kind in kinds
        if 8 * kind.itemsize >= least and np.iinfo(kind).min <= ends[0] and ends[1] <= np.iinfo(kind).max
    )
    dtype = next(fitting, np.dtype(np.float64))
    return Values(facts, dtype, facts.samples, inverts, None if inverts else _padding(facts), tuple(notes))


def _rescaled_note(facts: Facts) -> str:
    sign = "−" if facts.intercept < 0 else "+"
    formula = f"{facts.slope:g} · stored value {sign} {abs(facts.intercept):g}"
    unit = " in Hounsfield units" if facts.dataset.get("RescaleType") == "HU" else ""
    return f"pixels are {formula}{unit} (RescaleSlope, RescaleIntercept), not the stored values"


def _padding(facts: Facts) -> float | None:
    """The value of pixels outside the image, or None."""
    value = facts.dataset.get("PixelPaddingValue") if facts.is_gray else None
    if isinstance(value, bytes):
        value = int.from_bytes(value[:2], "little", signed=facts.signed)
    return None if value is None else float(value) * facts.slope + facts.intercept
