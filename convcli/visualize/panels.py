"""Labeled pictures on a sheet: a panel for each, its name above it, on a light ground."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen
from convcli.core.rational import FloatArray
from convcli.kernels.kernel import Kernel
from convcli.pipeline.colormaps import DIVERGING_MIDDLE, color_table, to_shades
from convcli.visualize.colorbar import BAR_HEIGHT, ColorBar, horizontal, min_length
from convcli.visualize.display import Scale
from convcli.visualize.raster import raster
from convcli.visualize.scene import (
    FAINT,
    FRAME,
    GROUND,
    INK,
    Item,
    Line,
    PlacedImage,
    Rectangle,
    Scene,
    Text,
    ascent,
    fitted,
)
from convcli.visualize.text import Ink, width, wrapped

_RATIO: Final = 1.2  # of a sheet's height to its width
_MARGIN: Final = 24
_GAP: Final = 16
_TITLE: Final = 26  # points
_LABEL: Final = 15
_LABELS: Final = (15, 14, 13, 12)  # of all panels alike, the largest that fits
_WANTED: Final = 13  # points that a panel makes room for
_SMALL: Final = 12
_UNDER: Final = 8  # from a picture to its bar
_BETWEEN: Final = 6  # badges
_AIR: Final = 5  # below them
_LEADING: Final = 4  # between lines of the footer
_JOINTED: Final = 6  # pixels of a weight
_WORDS: Final = 140  # pixels across for the words of a panel, at most
_WORDS_ABOVE: Final = 400  # of a sheet, for its title, at most
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
        bar: what its colors mean, below the picture.
        number: the end of the title, which is never cut.
        unseen: planes of the kernel that no badge shows.
    """

    title: str
    pixels: Array
    note: str = ""
    badges: tuple[Array, ...] = ()
    zoom: int = 1
    bar: ColorBar | None = None
    number: str = ""
    unseen: int = 0

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns) as it is drawn."""
        rows, columns = self.pixels.shape[:2]
        return rows * self.zoom, columns * self.zoom

    @property
    def more(self) -> str:
        """Behind the badges."""
        return f"+{self.unseen}" if self.unseen else ""

    def badges_width(self, side: int) -> int:
        """Pixels across that the badges take at this height, with what is before and behind them."""
        wide = sum(int(badge.shape[1]) * _zoom(badge, side) + _BETWEEN for badge in self.badges)
        return wide + (math.ceil(width(self.more, _SMALL)) + _BETWEEN if self.more else 0)

    def title_width(self, points: int, side: int) -> int:
        """Pixels across that the title at this size and the badges take."""
        return math.ceil(width(self.title + self.number, points)) + self.badges_width(side)

    def least_width(self, side: int) -> int:
        """Pixels across for the badges, the bar's ends and, up to a limit, the words."""
        badges = self.badges_width(side)
        words = max(self.title_width(_WANTED, side), math.ceil(width(self.note, _SMALL)) + badges)
        return max(min(words, _WORDS + badges), min_length(self.bar) if self.bar else 0)


def panel_image(panels: Sequence[Panel], title: str = "", columns: int = 0, footer: str = "") -> Array:
    """`page` as pixels, (rows, columns, 3) of uint8."""
    return raster(panel_page(panels, title, columns, footer))


def panel_page(
    panels: Sequence[Panel], title: str = "", columns: int = 0, footer: str = "", bar: ColorBar | None = None
) -> Scene:
    """Panels in rows; every cell is as large as the largest panel.

    Args:
        columns: panels beside each other; for 0, a sheet that is a little taller than wide.
        bar: what the colors of all panels mean.
    """
    high = max(panel.size[0] for panel in panels)
    head = _LABEL + 6 + (_SMALL + 6 if any(panel.note for panel in panels) else 0)
    wide, label = _broad(panels, head - _AIR)
    foot = _UNDER + BAR_HEIGHT if any(panel.bar for panel in panels) else 0
    columns = min(columns or _columns(len(panels), wide, high + head + foot), len(panels))
    rows = -(-len(panels) // columns)
    top = _MARGIN + (_TITLE + _GAP if title else 0)
    across = max(columns * (wide + _GAP) - _GAP, min(math.ceil(width(title, _LABEL)), _WORDS_ABOVE))
    bottom = top + rows * (head + high + foot + _GAP) - _GAP
    points = next((size for size in (_TITLE, 20) if width(title, size) <= across), _LABEL)
    items: list[Item] = [*text_line((_MARGIN, _MARGIN), title, points, INK, across)]
    for index, panel in enumerate(panels):
        row, column = divmod(index, columns)
        place = _MARGIN + column * (wide + _GAP), top + row * (head + high + foot + _GAP)
        items += _panel(panel, place, wide, head, label)
    if bar:
        items += horizontal(bar, (_MARGIN, bottom + _GAP), across)
        bottom += _GAP + BAR_HEIGHT
    for text in wrapped(footer, _SMALL, across):
        items += text_line((_MARGIN, bottom + _GAP), text, _SMALL, FAINT, across)
        bottom += _SMALL + _LEADING
    bottom += _GAP - _LEADING if footer else 0
    return Scene(across + 2 * _MARGIN, bottom + _MARGIN, tuple(items), title)


def _broad(panels: Sequence[Panel], side: int) -> tuple[int, int]:
    """Pixels of the cells, as broad as their pictures and words want, and points of all their titles."""
    wide = max(max(panel.size[1], panel.least_width(side)) for panel in panels)
    sizes = (size for size in _LABELS if all(panel.title_width(size, side) <= wide for panel in panels))
    return wide, next(sizes, _LABELS[-1])


def _columns(count: int, wide: int, high: int) -> int:
    """Columns that make the sheet about 1.2 times as high as wide and leave few cells of it empty."""

    def cost(columns: int) -> float:
        rows = -(-count // columns)
        ratio = rows * (high + _GAP) / (columns * (wide + _GAP))
        return abs(math.log(ratio / _RATIO)) + 2 * (rows * columns - count) / count

    return min(range(1, count + 1), key=cost)


def _panel(panel: Panel, place: tuple[int, int], wide: int, head: int, label: int) -> Iterator[Item]:
    (left, top), (rows, columns) = place, panel.size
    side, right = head - _AIR, left + wide
    room = wide - panel.badges_width(side)
    if panel.more:
        yield Text((right, top + side // 2 + _SMALL // 3), panel.more, _SMALL, FAINT, "end")
        right -= math.ceil(width(panel.more, _SMALL)) + _BETWEEN
    for badge in reversed(panel.badges):
        zoom = _zoom(badge, side)
        right -= badge.shape[1] * zoom
        yield from _weights((right, top + (side - badge.shape[0] * zoom) // 2), badge, zoom)
        right -= _BETWEEN
    yield from text_line((left, top), panel.title, label, INK, room, panel.number)
    yield from text_line((left, top + _LABEL + 4), panel.note, _SMALL, FAINT, room)
    yield from framed((left, top + head), panel.pixels, panel.zoom)
    if panel.bar:
        length = max(columns, min_length(panel.bar), min(wide, _WORDS))
        yield from horizontal(panel.bar, (left, top + head + rows + _UNDER), length)


def _zoom(badge: Array, side: int) -> int:
    """Pixels of each weight of a badge."""
    return max(side // int(max(badge.shape[:2])), 1)


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
    yield Rectangle((left - 1, top - 1), columns * zoom + 2, rows * zoom + 2, outline=FRAME)
    yield PlacedImage(place, pixels, zoom)


def text_line(
    place: tuple[int, int], text: str, size: int, ink: Ink, room: float, end: str = ""
) -> Iterator[Text]:
    """One line below ``place``, made to fit the room; none where there is no text."""
    if text:
        shown, smaller = fitted(text, size, room, end)
        yield Text((place[0], place[1] + ascent(smaller)), shown, smaller, ink)


def kernel_badges(kernel: Kernel, index: int) -> tuple[tuple[Array, ...], int]:
    """The badges of what makes one map, and how many planes more there are."""
    shown = planes(kernel, index)
    return badges(shown[:MOST_PLANES]), max(len(shown) - MOST_PLANES, 0)


def badges(weights: Sequence[Array]) -> tuple[Array, ...]:
    """Planes of weights as small pictures in common colors, a pixel for each weight, (rows, columns, 3).

    Of a plane larger than `LARGEST_BADGE`, a pixel shows of several weights the one farthest from zero.
    """
    limit = max(float(np.abs(plane).max()) for plane in weights)
    return tuple(_badge(plane.astype(np.float64), limit) for plane in weights)


def _badge(plane: FloatArray, limit: float) -> Array:
    shown = Scale.of(max(plane.shape), LARGEST_BADGE).reduced(
        to_shades(plane, limit)[..., None], DIVERGING_MIDDLE
    )
    return color_table("diverging")[shown[..., 0]]


def planes(kernel: Kernel, index: int) -> list[Array]:
    """What makes one map: its (rows, columns) of weights for each input, of all maps that become it.

    Rational weights are integers, to be divided by their common denominator; of a volume, the first frame's.
    """
    raw: Array = kernel.exact.numerators if kernel.exact else kernel.weights
    whole = raw.reshape(-1, *kernel.tensor_shape[-4:])[0]
    of_map = whole if kernel.combine else whole[..., [min(index, kernel.maps - 1)]]
    return [of_map[:, :, channel, each] for each, channel in np.ndindex(of_map.shape[:1:-1])]
