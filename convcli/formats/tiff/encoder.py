"""TIFF strip by strip: differences of neighbors, deflated by workers, put in order by tifffile."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, BinaryIO, Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen
from convcli.formats import deflate
from convcli.formats.encoders import Encoder
from convcli.formats.header import MAX_IMAGE_CHANNELS, Layout

_HORIZONTAL, _FLOATING = 2, 3  # tag 317, predictor
_UNSPECIFIED, _UNASSOCIATED = 0, 2  # tag 338, extra samples
_CLASSIC: Final = 2**32 - 2**25  # size limit of a file with 32-bit offsets, less its tags


@frozen
class TiffEncoder(Encoder):
    """Writes integers and floats of any width.

    Attributes:
        extra: what the channels are that follow gray or RGB, of more than four or of data, as tag 338
            has it.
        options: tifffile's, for the tags.
    """

    layout: Layout
    height: int
    extra: tuple[int, ...]
    options: dict[str, Any]

    def strip(self, first: int, pixels: Array) -> bytes:
        """A TIFF strip: the deflated differences of (rows, columns, channels) pixels."""
        return deflate.stream(_differences(pixels))

    def write(self, file: BinaryIO, pieces: Iterable[bytes]) -> None:
        """The whole file, with 64-bit offsets where it might need them."""
        layout, channels = self.layout, self.layout.channels
        values = layout.pages * layout.frames * layout.rows * layout.columns * channels
        first = file.tell() == 0
        options: dict[str, Any] = (
            {"bigtiff": values * layout.dtype.itemsize > _CLASSIC} if first else {"append": True}
        )
        shape: tuple[int, ...] = layout.shape if channels > 1 else layout.shape[:2]
        if not first:
            file.seek(0)  # where the library looks for the pages that are there
        from tifffile import TiffWriter  # imported only for such files

        with TiffWriter(file, ome=False, imagej=False, shaped=False, **options) as writer:
            writer.write(
                iter(pieces),
                shape=shape if layout.frames == 1 else (layout.frames, *shape),
                dtype=layout.dtype,
                rowsperstrip=min(self.height, layout.rows),
                planarconfig="contig" if channels > 1 else None,
                **_colors(layout, self.extra),
                compression="deflate",
                predictor=_FLOATING if layout.dtype.kind == "f" else _HORIZONTAL,
                software="convcli",
                metadata=None,
                **self.options,
            )


def _colors(layout: Layout, extra: tuple[int, ...]) -> dict[str, Any]:
    """Options of tifffile for what the channels are: gray or RGB, and those after them."""
    channels = layout.channels
    if channels > MAX_IMAGE_CHANNELS or 1 < len(extra) == channels - 1:
        is_rgb = channels - len(extra) == 3
        known = is_rgb or channels - len(extra) == 1
        extra = extra if known else (_UNSPECIFIED,) * (channels - 1)
        return {"photometric": "rgb" if is_rgb else "minisblack", "extrasamples": extra}
    colors = {"photometric": "rgb" if channels > 2 else "minisblack"}
    if channels not in (2, 4):
        return colors
    return {**colors, "extrasamples": (_UNSPECIFIED if layout.bands else _UNASSOCIATED,)}


def _differences(pixels: Array) -> Array:
    """What the predictors leave of (rows, columns, channels): each value less its left neighbor's.

    Those of floats are of their bytes, sorted by significance (Adobe Photoshop TIFF Technical Note 3).
    """
    if pixels.dtype.kind != "f":
        out = np.array(pixels, order="C")
        np.subtract(pixels[:, 1:], pixels[:, :-1], out[:, 1:])
        return out
    rows, columns, channels = pixels.shape
    raw = np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder(">"))).view(np.uint8)
    planes = raw.reshape(rows, columns * channels, -1).swapaxes(1, 2).reshape(rows, -1)
    out = planes.copy()
    np.subtract(planes[:, channels:], planes[:, :-channels], out[:, channels:])
    return out
