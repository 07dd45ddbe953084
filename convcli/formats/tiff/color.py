"""From the samples of a TIFF page to pixels: photometric interpretations, bit depths, palettes and alpha."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.errors import ImageError
from convcli.core.frozen import frozen
from convcli.formats.decoding import CMYK_NOTE, cmyk_to_rgb, range_notes, to_full_range
from convcli.formats.header import MAX_IMAGE_CHANNELS

JPEG: Final = 7
"""Tag 259, compression."""

CCITT: Final = (2, 3, 4)
"""Tag 259, fax compressions."""

SEPARATE: Final = 2
"""Tag 284, planar configuration: each sample in strips or tiles of its own."""

MASK: Final = 4
"""Tag 262: a transparency mask of another page."""

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6  # tag 262
_COLORS: Final = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4, _YCBCR: 3}
_CAMERA: Final = {32803: "an undeveloped color mosaic", 34892: "undeveloped camera data"}
_OLD_JPEG: Final = 6
_UNSPECIFIED, _ASSOCIATED, _UNASSOCIATED = 0, 1, 2  # tag 338, extra samples
_INKS_OF_CMYK: Final = 1  # tag 332, ink set
_LUMA: Final = (0.299, 0.587, 0.114)  # tag 529 where it is missing: ITU-R BT.601
_REFERENCE: Final = (0, 255, 128, 255, 128, 255)  # tag 532 where it is missing: no headroom
_CONVERTED: Final = 2**18  # pixels of YCbCr converted at a time
_TYPES: Final = "bool, integers of 8 to 32 bits, or floats"
_UNMULTIPLIED: Final = "premultiplied colors were divided by alpha"
_PALETTE_NOTES: Final = {
    8: "its palette of 8-bit values was applied",
    16: "its palette was applied, with 8 bits per color",
}
_AS_STORED: Final = "WhiteIsZero is ignored for signed integers and floats: values are used as stored"
_NO_KIND: Final = "the photometric interpretation is missing; samples are treated as gray (0 is black) or RGB"
_NO_NAMES: Final = "its {} bands have no color names; they are treated as red, green and blue"
_MANY_WITH_ALPHA: Final = "alpha is one of its {} channels and filtered like the others"


@frozen
class Color:
    """What the pixels of a page are.

    Attributes:
        bands: whether the last channel is not alpha.
        extra: what the channels after gray or RGB are, of more than four, or of data (tag 338).
    """

    channels: int
    dtype: DType
    bands: bool
    extra: tuple[int, ...]
    notes: tuple[str, ...]


def color(page: Any) -> Color:
    """What the samples of a page become.

    Raises:
        ImageError: they are of a kind that is not read.
    """
    kind = photometric(page)
    _check_coding(page)
    if kind not in _COLORS:
        raise ImageError(_refusal(page, kind))
    _check_samples(page, kind)
    extra = page.samplesperpixel - _COLORS[kind]
    channels = 3 + extra if kind in (_PALETTE, _CMYK) else page.samplesperpixel
    eight = kind == _PALETTE or page.dtype.kind == "b"
    many, stated = channels > MAX_IMAGE_CHANNELS, tuple(map(int, page.extrasamples or ()))
    bands = many or (channels in (2, 4) and stated[-1:] == (_UNSPECIFIED,))
    are_data = channels in (3, 4) and len(stated) == channels - 1 and not any(stated)  # after a gray one
    known = stated[-extra:] if (many or are_data) and 0 < extra <= len(stated) else ()
    dtype = np.dtype(np.uint8) if eight else page.dtype
    return Color(channels, dtype, bands, known, _notes(page, kind, channels))


def _notes(page: Any, kind: int, channels: int) -> tuple[str, ...]:
    """What a person should know of how the samples are read."""
    many, stated = channels > MAX_IMAGE_CHANNELS, tuple(page.extrasamples or ())
    conditions = {
        _NO_KIND: 262 not in page.tags,
        _AS_STORED: kind == _WHITE_IS_ZERO and page.dtype.kind in "if",
        _UNMULTIPLIED: _is_associated(page),
        CMYK_NOTE: kind == _CMYK,
        "YCbCr was converted to RGB": kind == _YCBCR and page.compression != JPEG,
        _NO_NAMES.format(channels): _COLORS[kind] == 1 and kind != _PALETTE and channels in (3, 4),
        _MANY_WITH_ALPHA.format(channels): many and not {_ASSOCIATED, _UNASSOCIATED}.isdisjoint(stated),
    }
    palette = (_PALETTE_NOTES[_palette_bits(page)],) if kind == _PALETTE else range_notes(_most(page))
    return (*palette, *(note for note, holds in conditions.items() if holds))


def photometric(page: Any) -> int:
    """Tag 262, or what libtiff takes where it is missing."""
    if 262 in page.tags or page.compression == _OLD_JPEG:
        return int(page.photometric)
    if page.samplesperpixel - len(page.extrasamples or ()) >= 3:
        return _RGB
    return _WHITE_IS_ZERO if page.compression in CCITT else _BLACK_IS_ZERO


def pixels(page: Any, stored: Array) -> Array:
    """Stored samples, (rows, columns, samples), as the pixels that `color` describes."""
    kind = photometric(page)
    if kind == _PALETTE:
        return _looked_up(page, stored)
    samples = _divided(_full(page, stored)) if _is_associated(page) else _full(page, stored)
    colors, extra = samples[..., : _COLORS[kind]], samples[..., _COLORS[kind] :]
    if kind == _WHITE_IS_ZERO and colors.dtype.kind == "u":
        colors = np.invert(colors)
    elif kind == _CMYK:
        colors = cmyk_to_rgb(np.invert(colors))
    elif kind == _YCBCR and page.compression != JPEG:
        colors = _from_ycbcr(page, colors)
    else:
        return samples
    return np.concatenate((colors, extra), axis=-1) if extra.shape[-1] else colors


def is_as_stored(page: Any) -> bool:
    """Whether pixels have the values that are stored, such as that of missing data."""
    kind, bits = photometric(page), page.bitspersample
    is_inverted = kind == _WHITE_IS_ZERO and page.dtype.kind == "u"
    is_converted = kind not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB) or _is_associated(page)
    is_spread = page.dtype.kind == "b" or (page.dtype.kind == "u" and bits not in (8, 16, 32))
    return not (is_inverted or is_converted or is_spread)


def subsampling(page: Any) -> tuple[int, int]:
    """Columns and rows that share their chroma in a page whose samples are not those of a JPEG."""
    if photometric(page) != _YCBCR or page.compression == JPEG:
        return 1, 1
    wide, high = page.subsampling or (2, 2)
    return int(wide), int(high)


def odd_samples(page: Any, data: bytes, shape: tuple[int, int, int]) -> Array:
    """Samples of 17 to 31 bits: 24 in the file's byte order, others packed from the top bit down.

    Raises:
        ImageError: the segment is too short.
    """
    import imagecodecs

    rows, columns, samples = shape
    bits, row = page.bitspersample, -(-columns * samples * page.bitspersample // 8)
    if len(data) < rows * row:
        raise ImageError(f"damaged tiff: a segment has {len(data)} of {rows * row} bytes")
    if bits != 24:
        packed = imagecodecs.packints_decode(data[: rows * row], np.uint32, bits, runlen=columns * samples)
        return np.asarray(packed).reshape(shape)
    three = np.frombuffer(data, np.uint8, rows * row).reshape(*shape, 3).astype(np.uint32)
    low, middle, high = np.moveaxis(three if page.parent.byteorder == "<" else three[..., ::-1], -1, 0)
    values: Array = low | middle << 8 | high << 16
    return values


def unit_samples(data: bytes, size: tuple[int, int], shared: tuple[int, int]) -> Array:
    """(rows, columns, 3) of a segment of units: the luma of a block of pixels, row by row, then Cb and Cr.

    Chroma is repeated for every pixel of its unit, as libtiff does.

    Raises:
        ImageError: the segment is too short.
    """
    (rows, columns), (wide, high) = size, shared
    down, across, unit = -(-rows // high), -(-columns // wide), wide * high + 2
    if len(data) < down * across * unit:
        raise ImageError(f"damaged tiff: a segment has {len(data)} of {down * across * unit} bytes")
    units = np.frombuffer(data, np.uint8, down * across * unit).reshape(down, across, unit)
    luma = (
        units[..., :-2].reshape(down, across, high, wide).swapaxes(1, 2).reshape(down * high, across * wide)
    )
    chroma = units[..., -2:].repeat(high, 0).repeat(wide, 1)
    return np.concatenate((luma[..., None], chroma), axis=-1)[:rows, :columns]


def _refusal(page: Any, kind: int) -> str:
    """Why a photometric interpretation is not read."""
    if kind in _CAMERA:
        return f"tiff of {_CAMERA[kind]}, which is not supported; develop it to RGB first"
    name = getattr(page.photometric, "name", kind)
    return (
        f"tiff with {name} colors; allowed: gray, RGB, palette, CMYK and YCbCr; "
        "convert it to one of them first"
    )


def _check_coding(page: Any) -> None:
    """Refuse a compression that is not decoded here, before anything is."""
    from tifffile import TIFF

    name = getattr(page.compression, "name", page.compression)
    if page.compression == _OLD_JPEG:
        raise ImageError(
            "tiff with old-style JPEG compression (6), not supported; convert it with libtiff's tiffcp"
        )
    try:
        known = page.compression == 1 or TIFF.DECOMPRESSORS[page.compression] is not None
    except Exception:  # tifffile's message for a missing codec varies
        known = False
    if page.predictor != 1 and page.bitspersample == 24 and getattr(page.dtype, "kind", "") == "f":
        raise ImageError(
            "tiff of 24-bit floats with a predictor, which is not supported; save it without one"
        )
    if not known:
        raise ImageError(
            f"tiff with compression {name}, which is not supported; save it with another one, or none"
        )


def _check_samples(page: Any, kind: int) -> None:
    """Refuse samples that do not fit the photometric interpretation, or of a type that is not read."""
    dtype, bits, count = page.dtype, page.bitspersample, page.samplesperpixel
    if dtype is None or dtype.kind not in "biuf" or (dtype.kind in "iu" and dtype.itemsize > 4):
        what = f"samples of {bits} bits" if dtype is None else f"type {dtype}"
        raise ImageError(f"tiff of {what}; allowed: {_TYPES}")
    if kind in (_RGB, _CMYK, _YCBCR) and count < _COLORS[kind]:
        raise ImageError(f"damaged tiff: {count} samples per pixel; its colors take {_COLORS[kind]}")
    if kind == _PALETTE:
        _check_palette(page)
    if kind == _CMYK and (page.tags.valueof(332, _INKS_OF_CMYK) != _INKS_OF_CMYK or dtype.kind != "u"):
        raise ImageError("tiff of inks that are not supported; allowed: CMYK of unsigned integers")
    if kind == _YCBCR and (bits != 8 or dtype.kind != "u" or count != 3 or _is_apart(page)):
        raise ImageError(
            "tiff of YCbCr colors that is not supported; allowed: 3 samples of 8 bits, stored together"
        )


def _is_apart(page: Any) -> bool:
    """Whether luma and chroma lie in planes that are decoded or sized apart."""
    apart = page.planarconfig == SEPARATE
    return bool(apart and (page.compression == JPEG or tuple(page.subsampling or (2, 2)) != (1, 1)))


def _check_palette(page: Any) -> None:
    """Refuse a palette that has not three values for each number that a pixel can hold."""
    palette, bits = page.colormap, page.bitspersample
    if not isinstance(bits, int) or page.dtype.kind not in "bu" or bits > 16:
        raise ImageError(f"damaged tiff: a palette for {page.dtype}; allowed: integers of 1 to 16 bits")
    due = 3, 2**bits
    if getattr(palette, "shape", None) != due:
        count = getattr(palette, "size", 0)
        raise ImageError(f"damaged tiff: its palette has {count} values; allowed: {math.prod(due)}")


def _palette_bits(page: Any) -> int:
    """8 where no value exceeds 255, as early writers stored them, else 16."""
    return 8 if page.colormap.max() < 256 else 16


def _looked_up(page: Any, stored: Array) -> Array:
    """Colors of (rows, columns, index and more), 8 bits each, with the samples after the index."""
    table = np.moveaxis(page.colormap, 0, -1) >> (_palette_bits(page) - 8)
    colors: Array = table.astype(np.uint8)[stored[..., 0].astype(np.uint16)]
    if stored.shape[-1] == 1:
        return colors
    extra = _full(page, stored[..., 1:])
    extra = extra if extra.dtype == np.uint8 else ((extra.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return np.concatenate((colors, extra), axis=-1)


def _most(page: Any) -> int:
    """The largest value of unsigned integers of a page's bits; else 0."""
    bits = page.bitspersample
    return 2**bits - 1 if page.dtype.kind == "u" and isinstance(bits, int) else 0


def _full(page: Any, stored: Array) -> Array:
    """Samples spread over the full range of their type, in the machine's byte order."""
    if page.dtype.kind == "b":
        return stored.astype(bool).astype(np.uint8) * np.uint8(255)
    values = stored.astype(page.dtype.newbyteorder("="), copy=False)
    return to_full_range(values, _most(page)) if _most(page) else values


def _is_associated(page: Any) -> bool:
    """Whether colors are stored multiplied by alpha, which is the last of two or four channels."""
    kind, extra = photometric(page), tuple(page.extrasamples or ())
    counts = (5,) if kind == _CMYK else (2, 4)
    return kind != _PALETTE and page.samplesperpixel in counts and extra[-1:] == (_ASSOCIATED,)


def _divided(pixels: Array) -> Array:
    """(rows, columns, colors and alpha) whose colors were multiplied by alpha; 0 where that is 0."""
    colors, alpha = pixels[..., :-1].astype(np.float64), pixels[..., -1:].astype(np.float64)
    white = np.iinfo(pixels.dtype).max if pixels.dtype.kind in "iu" else 1
    full = np.divide(colors * white, alpha, out=np.zeros_like(colors), where=alpha > 0)
    if pixels.dtype.kind in "iu":
        full = np.rint(full).clip(0, white)
    return np.concatenate((full.astype(pixels.dtype), pixels[..., -1:]), axis=-1)


def _from_ycbcr(page: Any, samples: Array) -> Array:
    """RGB of (rows, columns, 3) 8-bit luma and chroma (TIFF 6.0, section 21), some rows at a time."""
    red, green, blue = _numbers(page, 529, _LUMA)
    black, white = np.reshape(_numbers(page, 532, _REFERENCE), (3, 2)).T
    gain = np.array((255, 127, 127)) / np.where(white == black, 1, white - black)
    step = max(_CONVERTED // max(samples.shape[1], 1), 1)
    rgb = np.empty(samples.shape, np.uint8)
    for top in range(0, len(samples), step):
        luma, cb, cr = np.moveaxis((samples[top : top + step] - black) * gain, -1, 0)
        r, b = luma + cr * (2 - 2 * red), luma + cb * (2 - 2 * blue)
        g = (luma - blue * b - red * r) / green
        rgb[top : top + step] = np.rint(np.stack((r, g, b), -1)).clip(0, 255)
    return rgb


def _numbers(page: Any, tag: int, default: tuple[float, ...]) -> tuple[float, ...]:
    """A tag of fractions as numbers, or those that hold where it is missing or damaged."""
    stored = page.tags.valueof(tag)
    if not isinstance(stored, tuple) or len(stored) != 2 * len(default) or 0 in stored[1::2]:
        return default
    values = tuple(top / bottom for top, bottom in zip(stored[::2], stored[1::2], strict=True))
    return values if tag != 529 or values[1] else default
