"""Sheets of labeled images: a panel for each, with its name above it."""

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
from convcli.visualize.colorbar import ColorBar, bar_height, horizontal_bar, min_bar_length
from convcli.visualize.display import Scale
from convcli.visualize.lettering import Ink, width, wrapped
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

_RATIO: Final = 1.2  # of a sheet's height to its width
_MARGIN: Final = 24
_GAP: Final = 16
_TITLE: Final = 26  # font size
_LABEL: Final = 15
_LABELS: Final = (15, 14, 13, 12)  # font sizes of panel titles; the largest that fits is used for all
_WANTED: Final = 13  # font size of titles that panels grow for
_SMALL: Final = 12
_UNDER: Final = 8  # between an image and its color bar
_BETWEEN: Final = 6  # between badges
_AIR: Final = 5  # below badges
_LEADING: Final = 4  # between the lines of the footer
_JOINTED: Final = 6  # smallest weights of a badge with lines between them, in pixels
_WORDS: Final = 140  # width to which a panel grows for its text
_WORDS_ABOVE: Final = 400  # width to which a sheet grows for its title
MOST_PLANES: Final = 4
LARGEST_BADGE: Final = 31  # weights a side


@frozen(eq=False)
class Panel:
    """One image of a sheet.

    Attributes:
        title: above the image; cut if it is too long.
        pixels: (rows, columns) or (rows, columns, 3) of uint8.
        note: a smaller line below the title.
        badges: planes of a kernel to the right of the title, (rows, columns, 3) with one pixel per weight.
        zoom: side of each pixel as it is drawn.
        bar: the color bar below the image.
        number: end of the title that is never cut.
        omitted: number of planes of the kernel without a badge.
    """

    title: str
    pixels: Array
    note: str = ""
    badges: tuple[Array, ...] = ()
    zoom: int = 1
    bar: ColorBar | None = None
    number: str = ""
    omitted: int = 0

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns) of the drawn image, in pixels."""
        rows, columns = self.pixels.shape[:2]
        return rows * self.zoom, columns * self.zoom

    @property
    def more(self) -> str:
        """Text after the badges; empty if all planes have one."""
        return f"+{self.omitted}" if self.omitted else ""

    def badges_width(self, side: int) -> int:
        """Width of the badges at this height, with the space around them and the text after them."""
        wide = sum(int(badge.shape[1]) * _zoom(badge, side) + _BETWEEN for badge in self.badges)
        return wide + (math.ceil(width(self.more, _SMALL)) + _BETWEEN if self.more else 0)

    def title_width(self, size: int, side: int) -> int:
        """Width of the title at this font size and of the badges."""
        return math.ceil(width(self.title + self.number, size)) + self.badges_width(side)

    def least_width(self, side: int) -> int:
        """Smallest width for the badges, the ends of the color bar and, up to a limit, the text."""
        badges = self.badges_width(side)
        words = max(self.title_width(_WANTED, side), math.ceil(width(self.note, _SMALL)) + badges)
        return max(min(words, _WORDS + badges), min_bar_length(self.bar) if self.bar else 0)


def panel_image(panels: Sequence[Panel], title: str = "", columns: int = 0, footer: str = "") -> Array:
    """`panel_page` as (rows, columns, 3) of uint8."""
    return raster(panel_page(panels, title, columns, footer))


def panel_page(
    panels: Sequence[Panel], title: str = "", columns: int = 0, footer: str = "", bar: ColorBar | None = None
) -> Scene:
    """Panels in rows and columns of equal size.

    Args:
        columns: panels in a row; 0 for a sheet that is a little taller than wide.
        footer: text below all panels.
        bar: a color bar for all panels.
    """
    high = max(panel.size[0] for panel in panels)
    head = _LABEL + 6 + (_SMALL + 6 if any(panel.note for panel in panels) else 0)
    wide, label = _panel_width(panels, head - _AIR)
    foot = max((_UNDER + bar_height(panel.bar) for panel in panels if panel.bar), default=0)
    columns = min(columns or _columns(len(panels), wide, high + head + foot), len(panels))
    rows = -(-len(panels) // columns)
    top = _MARGIN + (_TITLE + _GAP if title else 0)
    across = max(columns * (wide + _GAP) - _GAP, min(math.ceil(width(title, _LABEL)), _WORDS_ABOVE))
    bottom = top + rows * (head + high + foot + _GAP) - _GAP
    title_size = next((size for size in (_TITLE, 20) if width(title, size) <= across), _LABEL)
    items: list[Item] = [*text_line((_MARGIN, _MARGIN), title, title_size, INK, across)]
    for index, panel in enumerate(panels):
        row, column = divmod(index, columns)
        place = _MARGIN + column * (wide + _GAP), top + row * (head + high + foot + _GAP)
        items += _panel(panel, place, wide, head, label)
    if bar:
        items += horizontal_bar(bar, (_MARGIN, bottom + _GAP), across)
        bottom += _GAP + bar_height(bar)
    for text in wrapped(footer, _SMALL, across):
        items += text_line((_MARGIN, bottom + _GAP), text, _SMALL, FAINT, across)
        bottom += _SMALL + _LEADING
    bottom += _GAP - _LEADING if footer else 0
    return Scene(across + 2 * _MARGIN, bottom + _MARGIN, tuple(items), title)


def _panel_width(panels: Sequence[Panel], side: int) -> tuple[int, int]:
    """Width of all panels for their images and texts, and the font size of all titles."""
    wide = max(max(panel.size[1], panel.least_width(side)) for panel in panels)
    sizes = (size for size in _LABELS if all(panel.title_width(size, side) <= wide for panel in panels))
    return wide, next(sizes, _LABELS[-1])


def _columns(count: int, wide: int, high: int) -> int:
    """The number of columns that makes a sheet about 1.2 times as high as wide with few empty cells."""

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
    yield from framed_image((left, top + head), panel.pixels, panel.zoom)
    if panel.bar:
        length = max(columns, min_bar_length(panel.bar), min(wide, _WORDS))
        yield from horizontal_bar(panel.bar, (left, top + head + rows + _UNDER), length)


def _zoom(badge: Array, side: int) -> int:
    """Side of each weight of a badge in pixels."""
    return max(side // int(max(badge.shape[:2])), 1)


def _weights(place: tuple[int, int], badge: Array, zoom: int) -> Iterator[Item]:
    """A badge, with lines between its weights if they are large enough."""
    yield from framed_image(place, badge, zoom)
    (left, top), (rows, columns) = place, badge.shape[:2]
    right, bottom = left + columns * zoom - 1, top + rows * zoom - 1
    if zoom < _JOINTED:
        return
    for row in range(1, rows):
        yield Line((left, top + row * zoom), (right, top + row * zoom), GROUND)
    for column in range(1, columns):
        yield Line((left + column * zoom, top), (left + column * zoom, bottom), GROUND)


def framed_image(place: tuple[int, int], pixels: Array, zoom: int = 1) -> Iterator[Item]:
    """An image in a thin frame."""
    (left, top), (rows, columns) = place, pixels.shape[:2]
    yield Rectangle((left - 1, top - 1), columns * zoom + 2, rows * zoom + 2, outline=FRAME)
    yield PlacedImage(place, pixels, zoom)


def text_line(
    place: tuple[int, int], text: str, size: int, ink: Ink, room: float, end: str = ""
) -> Iterator[Text]:
    """One line of text below ``place``, fitted into ``room`` pixels; nothing if the text is empty."""
    if text:
        text, size = fitted(text, size, room, end)
        yield Text((place[0], place[1] + ascent(size)), text, size, ink)


def kernel_badges(kernel: Kernel, index: int) -> tuple[tuple[Array, ...], int]:
    """The badges of the kernel that makes a map, and the number of planes without one."""
    return path_badges([(kernel, index)])


def path_badges(path: Sequence[tuple[Kernel, int]]) -> tuple[tuple[Array, ...], int]:
    """The badges of kernels that make a map one after the other, and the number of planes without one.

    Args:
        path: kernels, each with the index of its own map.
    """
    kernels = [kernel_planes(kernel, index) for kernel, index in path]
    badges = [badge for planes in kernels for badge in weight_badges(planes[:MOST_PLANES])]
    return tuple(badges[:MOST_PLANES]), max(sum(map(len, kernels)) - MOST_PLANES, 0)


def weight_badges(weights: Sequence[Array]) -> tuple[Array, ...]:
    """Planes of weights as (rows, columns, 3) of uint8 in common colors, one pixel per weight.

    A plane larger than `LARGEST_BADGE` is reduced; each pixel then shows the weight that is farthest from 0.
    """
    limit = max(float(np.abs(plane).max()) for plane in weights)
    return tuple(_badge(plane.astype(np.float64), limit) for plane in weights)


def _badge(plane: FloatArray, limit: float) -> Array:
    reduced = Scale.of(max(plane.shape), LARGEST_BADGE).reduced(
        to_shades(plane, limit)[..., None], DIVERGING_MIDDLE
    )
    return color_table("diverging")[reduced[..., 0]]


def kernel_planes(kernel: Kernel, index: int) -> list[Array]:
    """The planes (rows, columns) of weights that make a map: one for each input, and for each combined map.

    Rational weights are given as numerators over their common denominator. Of a volume, the planes are those
    of the first frame.
    """
    raw: Array = kernel.exact.numerators if kernel.exact else kernel.weights
    tensor = raw.reshape(-1, *kernel.tensor_shape[-4:])[0]
    of_map = tensor if kernel.combine else tensor[..., [min(index, kernel.maps - 1)]]
    return [of_map[:, :, channel, map_] for map_, channel in np.ndindex(of_map.shape[:1:-1])]
