"""Labelled pictures on a sheet: a panel for each, its name above it, on a light ground."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from convcli.colourbar import BAR, Bar, level
from convcli.colourmaps import MIDDLE, shades, table
from convcli.dtypes import Array
from convcli.kernel import Kernel
from convcli.lettering import Ink, width, wrapped
from convcli.paper import Scale
from convcli.rational import FloatArray
from convcli.scene import (
    FAINT,
    FRAME,
    GROUND,
    INK,
    Box,
    Item,
    Line,
    Picture,
    Scene,
    Text,
    ascent,
    fitted,
    raster,
)
from convcli.values import frozen

_MARGIN: Final = 24
_GAP: Final = 16
_TITLE: Final = 26  # points
_LABEL: Final = 15
_SMALL: Final = 12
_UNDER: Final = 8  # from a picture to its bar
_BETWEEN: Final = 6  # badges
_LEADING: Final = 4  # between lines of the footer
_JOINTED: Final = 6  # pixels of a weight
MOST_PLANES: Final = 4
LARGEST_BADGE: Final = 31  # pixels a side


@frozen(eq=False)
class Panel:
    """One picture of a sheet.

    Attributes:
        title: above the picture, cut where it is too long.
        pixels: (rows, columns) or (rows, columns, 3), uint8.
        note: smaller, below the title.
        badges: at the right of the title, planes of a kernel, a pixel for each weight, (rows, columns, 3).
        zoom: pixels that each pixel is wide and high.
        bar: what its colours mean, below the picture.
        number: the end of the title, which is never cut.
    """

    title: str
    pixels: Array
    note: str = ""
    badges: tuple[Array, ...] = ()
    zoom: int = 1
    bar: Bar | None = None
    number: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns) as it is drawn."""
        rows, columns = self.pixels.shape[:2]
        return rows * self.zoom, columns * self.zoom


def sheet(panels: Sequence[Panel], title: str = "", columns: int = 0, footer: str = "") -> Array:
    """`page` as pixels, (rows, columns, 3) of uint8."""
    return raster(page(panels, title, columns, footer))


def page(
    panels: Sequence[Panel], title: str = "", columns: int = 0, footer: str = "", bar: Bar | None = None
) -> Scene:
    """Panels in rows; every cell is as large as the largest panel.

    Args:
        columns: panels beside each other; for 0, a sheet that is a little taller than wide.
        bar: what the colours of all panels mean.
    """
    wide = max(panel.size[1] for panel in panels)
    high = max(panel.size[0] for panel in panels)
    head = _LABEL + 6 + (_SMALL + 6 if any(panel.note for panel in panels) else 0)
    foot = _UNDER + BAR if any(panel.bar for panel in panels) else 0
    columns = min(columns or _columns(len(panels), wide, high + head + foot), len(panels))
    rows = -(-len(panels) // columns)
    top = _MARGIN + (_TITLE + _GAP if title else 0)
    across = columns * (wide + _GAP) - _GAP
    bottom = top + rows * (head + high + foot + _GAP) - _GAP
    points = next((size for size in (_TITLE, 20) if width(title, size) <= across), _LABEL)
    items: list[Item] = [*line((_MARGIN, _MARGIN), title, points, INK, across)]
    for index, panel in enumerate(panels):
        row, column = divmod(index, columns)
        place = _MARGIN + column * (wide + _GAP), top + row * (head + high + foot + _GAP)
        items += _panel(panel, place, wide, head)
    if bar:
        items += level(bar, (_MARGIN, bottom + _GAP), across)
        bottom += _GAP + BAR
    for text in wrapped(footer, _SMALL, across):
        items += line((_MARGIN, bottom + _GAP), text, _SMALL, FAINT, across)
        bottom += _SMALL + _LEADING
    bottom += _GAP - _LEADING if footer else 0
    return Scene(across + 2 * _MARGIN, bottom + _MARGIN, tuple(items), title)


def _columns(count: int, wide: int, high: int) -> int:
    """Columns that make the sheet about 1.2 times as high as wide, give or take one to fill its rows."""
    best = max(round(math.sqrt(count * (high + _GAP) / (wide + _GAP) / 1.2)), 1)
    near = [best, best + 1, *([best - 1] if best > 2 else [])]  # not all below each other to spare a gap
    return min(near, key=lambda columns: -count % columns)


def _panel(panel: Panel, place: tuple[int, int], wide: int, head: int) -> Iterator[Item]:
    (left, top), (rows, columns) = place, panel.size
    side, right = head - 5, left + wide
    for badge in reversed(panel.badges):
        zoom = max(side // max(badge.shape[:2]), 1)
        right -= badge.shape[1] * zoom
        yield from _weights((right, top + (side - badge.shape[0] * zoom) // 2), badge, zoom)
        right -= _BETWEEN
    room = right - left
    yield from line((left, top), panel.title, _LABEL, INK, room, panel.number)
    yield from line((left, top + _LABEL + 4), panel.note, _SMALL, FAINT, room)
    yield from framed((left, top + head), panel.pixels, panel.zoom)
    if panel.bar:
        yield from level(panel.bar, (left, top + head + rows + _UNDER), columns)


def _weights(place: tuple[int, int], badge: Array, zoom: int) -> Iterator[Item]:
    """A kernel in squares, with joints between those that are large enough."""
    yield from framed(place, badge, zoom)
    (left, top), (rows, columns) = place, badge.shape[:2]
    right, bottom = left + columns * zoom - 1, top + rows * zoom - 1
    if zoom < _JOINTED:
        return
    for row in range(1, rows):
        yield Line((left, top + row * zoom), (right, top + row * zoom), GROUND)
    for column in range(1, columns):
        yield Line((left + column * zoom, top), (left + column * zoom, bottom), GROUND)


def framed(place: tuple[int, int], pixels: Array, zoom: int = 1) -> Iterator[Item]:
    """A picture in a thin frame."""
    (left, top), (rows, columns) = place, pixels.shape[:2]
    yield Box((left - 1, top - 1), columns * zoom + 2, rows * zoom + 2, outline=FRAME)
    yield Picture(place, pixels, zoom)


def line(
    place: tuple[int, int], text: str, size: int, ink: Ink, room: float, end: str = ""
) -> Iterator[Text]:
    """One line below ``place``, made to fit the room; none where there is no text."""
    if text:
        shown, smaller = fitted(text, size, room, end)
        yield Text((place[0], place[1] + ascent(smaller)), shown, smaller, ink)


def badges(weights: Sequence[Array]) -> tuple[Array, ...]:
    """Planes of weights as small pictures in common colours, a pixel for each weight, (rows, columns, 3).

    Of a plane larger than `LARGEST_BADGE`, a pixel shows of several weights the one farthest from zero.
    """
    limit = max(float(np.abs(plane).max()) for plane in weights)
    return tuple(_badge(plane.astype(np.float64), limit) for plane in weights)


def _badge(plane: FloatArray, limit: float) -> Array:
    shown = Scale.of(max(plane.shape), LARGEST_BADGE).drawn(shades(plane, limit)[..., None], MIDDLE)
    return table("diverging")[shown[..., 0]]


def planes(kernel: Kernel, index: int) -> list[Array]:
    """What makes one map: its (rows, columns) of weights for each input, of all maps that become it.

    Rational weights are integers, to be divided by their common denominator; of a volume, the first frame's.
    """
    raw: Array = kernel.exact.numerators if kernel.exact else kernel.weights
    whole = raw.reshape(-1, *kernel.tensor_shape[-4:])[0]
    of_map = whole if kernel.combine else whole[..., [min(index, kernel.maps - 1)]]
    return [of_map[:, :, channel, each] for each, channel in np.ndindex(of_map.shape[:1:-1])]
