"""One palette for all frames of a GIF."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array

MOST_COLORS: Final = 255  # a GIF's, less one for pixels that do not change
_COMMON: Final = 64  # most frequent colors, which stay as they are
_SAMPLES: Final = 8  # frames that the palette is made from
_CHUNK: Final = 4096  # colors compared with the palette at a time
_CODE: Final = np.array([1, 2**8, 2**16], np.int32)


def shared_colors(frames: Sequence[Array]) -> Iterator[Array]:
    """The frames with at most `MOST_COLORS` colors that all of them share, (rows, columns, 3) of uint8 each.

    Pixels that do not change from frame to frame keep one color.
    """
    palette = _palette(np.concatenate([*frames[:: -(-len(frames) // _SAMPLES)], frames[-1]]))
    nearest = np.zeros(2**24, np.uint8)  # by color, as one number
    known = np.zeros(2**24, bool)
    for pixels in frames:
        codes = pixels.astype(np.int32) @ _CODE
        new = np.unique(codes[~known[codes]])
        colors = new[:, None] // _CODE % 256
        for first in range(0, len(new), _CHUNK):
            difference = colors[first : first + _CHUNK, None] - palette[None]
            nearest[new[first : first + _CHUNK]] = np.argmin((difference**2).sum(axis=-1), axis=1)
        known[new] = True
        yield palette[nearest[codes]].astype(np.uint8)


def _palette(pixels: Array) -> Array:
    """At most `MOST_COLORS` colors, (colors, 3): the most frequent ones, and means of the others."""
    from PIL import Image

    image = Image.fromarray(pixels)
    counts = sorted(image.getcolors(pixels.shape[0] * pixels.shape[1]) or [], reverse=True)
    common: list[Any] = [color for _, color in counts[:_COMMON]]
    means = image.quantize(MOST_COLORS - len(common), Image.Quantize.MEDIANCUT).getpalette() or []
    colors: Array = np.array([*common, *zip(*[iter(means)] * 3, strict=True)], np.int32)
    return colors[:MOST_COLORS]
