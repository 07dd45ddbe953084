"""What a file format can hold of an image, and why it cannot hold another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce
from itertools import combinations
from pathlib import Path
from typing import Final

import numpy as np

from convcli.core.dtypes import DType
from convcli.core.errors import OutputError, one_line
from convcli.core.frozen import frozen, replace
from convcli.formats.base import Bounded, Format, Manifold, Mixed, Near, Tensors
from convcli.formats.header import COLORS, kind_text
from convcli.formats.registry import FORMATS, written

_MOST_REASONS: Final = 5


@frozen
class OutputKind:
    """What is to be written: how many frames, whether they differ in size or type, and which one it is.

    Attributes:
        bands: as in `Layout`.
        options: what else could be asked for, in words, and what would then be written.
    """

    dtype: DType
    channels: int
    frames: int = 1
    mixed: bool = False
    frame: int = 0
    bands: bool = False
    rows: int = 1
    columns: int = 1
    options: tuple[tuple[str, OutputKind], ...] = ()

    @property
    def kind(self) -> tuple[DType, int, int]:
        return self.dtype, self.channels, self.frames

    def __str__(self) -> str:
        what = kind_text(self.channels, self.dtype, self.bands)
        sizes = " of several sizes or types" if self.mixed else ""
        return f"{self.frames} frames{sizes} ({what})" if self.frames > 1 else what


def holds(chosen: Format, picture: OutputKind) -> bool:
    """Whether the format keeps every value of the image."""
    several = not picture.mixed or isinstance(chosen, Mixed)
    return chosen.holds(*picture.kind) and several and _fits(chosen, picture)


def takes(chosen: Format, picture: OutputKind) -> bool:
    """Whether the format can be asked to hold the image, and lose something."""
    return holds(chosen, picture) or bool(loss(chosen, picture))


def loss(chosen: Format, picture: OutputKind) -> str:
    """What an image loses in a format that does not hold all of it, in words; empty where nothing."""
    near = isinstance(chosen, Near) and not picture.mixed and _fits(chosen, picture)
    return chosen.loses(*picture.kind) if isinstance(chosen, Near) and near else ""


def _fits(chosen: Format, picture: OutputKind) -> bool:
    """Whether sizes are within the format's limits, and what it says of the channels is true of them."""
    pixels = picture.rows * picture.columns
    side = max(picture.rows, picture.columns)
    within = not isinstance(chosen, Bounded) or (
        side <= chosen.largest_side and pixels <= chosen.largest_pixels
    )
    few = picture.channels <= _most_channels(chosen)
    return within and few and (not picture.bands or isinstance(chosen, Manifold))


def _most_channels(chosen: Format) -> int:
    return chosen.most_channels if isinstance(chosen, Tensors) else COLORS


def check(chosen: Format, picture: OutputKind, path: Path | None) -> None:
    """Refuse a format that cannot hold an image: why, which ones can, and what else can be asked for.

    Raises:
        OutputError: with the place; ``path`` is None for standard output.
    """
    if takes(chosen, picture):
        return
    place = one_line(str(path)) if path else "standard output"
    able = ", ".join(entry.suffixes[0] for entry in FORMATS if holds(entry, picture))
    able = able if path else f"{able} (--format)"
    if chosen not in written():
        raise OutputError(f"{place}: convcli reads {chosen.name} but does not write it; choose {able}")
    reason = _reason(chosen, picture)
    fitting = (words for words, other in picture.options if takes(chosen, other))
    advice = next((f"; or use {words}" for words in fitting), "")
    because = f": {reason}" if reason else ""
    raise OutputError(
        f"{place}: {chosen.name} cannot hold {sized(chosen, picture)}{because}; these can: {able}{advice}"
    )


def sized(chosen: Format, picture: OutputKind) -> str:
    """The image in words, with its size where that is what the format cannot hold."""
    small = replace(picture, rows=1, columns=1)
    oversize = holds(chosen, small) and not holds(chosen, picture)
    return f"{picture.columns}×{picture.rows} pixels ({picture})" if oversize else str(picture)


def _reason(chosen: Format, picture: OutputKind) -> str:
    """The fewest properties of the image without which the format would take it."""
    ways = list(_without(chosen, picture))
    for count in range(1, _MOST_REASONS + 1):
        for several in combinations(ways, count):
            if takes(chosen, reduce(lambda found, way: way[1](found), several, picture)):
                return ", ".join(words for words, _ in several)
    return ""


def _without(chosen: Format, picture: OutputKind) -> Iterator[tuple[str, Callable[[OutputKind], OutputKind]]]:
    """What a format may lack, and the image without that."""
    if isinstance(chosen, Bounded):
        long = max(picture.rows, picture.columns) > chosen.largest_side
        most = f"{chosen.largest_side} pixels a side" if long else f"{chosen.largest_pixels} pixels"
        yield f"at most {most}", lambda it: replace(it, rows=1, columns=1)
    if picture.frames > 1:
        yield "a single image", lambda it: replace(it, frames=1, mixed=False)
    else:
        yield "animations only", lambda it: replace(it, frames=2)
    if picture.mixed:
        yield "frames of one size and type", lambda it: replace(it, mixed=False)
    if picture.channels > COLORS:
        yield f"at most {_most_channels(chosen)} channels", lambda it: replace(it, channels=3, bands=False)
    elif picture.bands:
        yield "no band beside gray or RGB but alpha", lambda it: replace(it, bands=False)
    if picture.channels in (2, 4):
        yield "no alpha", lambda it: replace(it, channels=it.channels - 1)
    yield from _without_type(picture.dtype)


def _without_type(dtype: DType) -> Iterator[tuple[str, Callable[[OutputKind], OutputKind]]]:
    if dtype.kind == "i":
        yield "no negative values", lambda it: replace(it, dtype=np.dtype(f"u{it.dtype.itemsize}"))
    if dtype.kind == "f":
        yield "integers only", lambda it: replace(it, dtype=np.dtype(np.uint8))
    for size in (4, 2, 1):
        if dtype.itemsize > size and not (dtype.kind == "f" and size < np.float32().itemsize):
            yield f"at most {8 * size} bits", lambda it, size=size: _narrowed(it, size)  # type: ignore[misc]
    if dtype.kind != "f":
        yield "floats only", lambda it: replace(it, dtype=np.dtype(np.float32))


def _narrowed(picture: OutputKind, size: int) -> OutputKind:
    return replace(picture, dtype=np.dtype(f"{picture.dtype.kind}{size}"))
