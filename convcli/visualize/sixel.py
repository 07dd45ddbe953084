"""Sixel: images in the escape sequences of DEC's VT340, at most 256 colors.

The format is that of the VT330/VT340 Programmer Reference Manual, volume 2, chapter 14: a character stands
for six pixels below each other of one color, and a band of six rows is drawn once for each of its colors.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from convcli.core.dtypes import Array

_BEGIN: Final = "\033P0;1q"
"""Pixels that are not drawn stay as they are."""
_END: Final = "\033\\"
_HEIGHT: Final = 6  # rows of a band
_FIRST: Final = 63  # code of the character without pixels
_COLORS: Final = 256
_PERCENT: Final = 100
_LONG: Final = 3  # repetitions from which a count is shorter


def sixel_text(pixels: Array) -> str:
    """The escape sequence that displays (rows, columns, 1 or 3) pixels of uint8."""
    indices, palette = _quantized(pixels)
    rows, columns = indices.shape
    colors = "".join(
        f"#{index};2;{red};{green};{blue}" for index, (red, green, blue) in enumerate(palette.tolist())
    )
    bands = "-".join("$".join(_lines(indices[top : top + _HEIGHT])) for top in range(0, rows, _HEIGHT))
    return f'{_BEGIN}"1;1;{columns};{rows}{colors}{bands}{_END}'


def _quantized(pixels: Array) -> tuple[Array, Array]:
    """The color of each pixel as an index, and the colors, (colors, 3), in percent.

    Few colors are kept as they are; more are reduced by Pillow, with its error diffusion.
    """
    rgb = np.broadcast_to(pixels, (*pixels.shape[:2], 3))
    percent = (rgb.astype(np.uint16) * _PERCENT + 127) // 255
    codes = (percent[..., 0] * 101 + percent[..., 1]).astype(np.uint32) * 101 + percent[..., 2]
    known, indices = np.unique(codes, return_inverse=True)
    if len(known) <= _COLORS:
        palette = np.stack([known // 101**2, known // 101 % 101, known % 101], -1)
        return indices.reshape(codes.shape), palette
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(rgb))
    base = image.quantize(_COLORS, method=Image.Quantize.MEDIANCUT)
    reduced = image.quantize(palette=base, dither=Image.Dither.FLOYDSTEINBERG)
    colors = np.array(base.getpalette() or [], np.uint16).reshape(-1, 3)
    return np.asarray(reduced), (colors * _PERCENT + 127) // 255


def _lines(band: Array) -> Iterator[str]:
    """A band in each of its colors."""
    columns = np.arange(band.shape[1])
    sixels = np.zeros((_COLORS, band.shape[1]), np.uint8)
    for row, indices in enumerate(band):
        sixels[indices, columns] |= np.uint8(1 << row)
    for index in np.flatnonzero(sixels.any(1)).tolist():
        yield f"#{index}{_repeated(sixels[index])}"


def _repeated(sixels: Array) -> str:
    """The characters of a line, runs as counts; nothing where it ends without pixels."""
    starts = np.flatnonzero(np.diff(sixels, prepend=sixels[0] ^ 1))
    runs = zip(sixels[starts].tolist(), np.diff(starts, append=len(sixels)).tolist(), strict=True)
    texts = [(value, count, chr(_FIRST + value)) for value, count in runs]
    if texts and texts[-1][0] == 0:
        texts.pop()
    return "".join(f"!{count}{one}" if count > _LONG else one * count for _, count, one in texts)
