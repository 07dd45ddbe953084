"""Labelled pictures on a sheet: a panel for each, its name above it, on a light ground."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from convcli.dtypes import Array
from convcli.rational import FloatArray
from convcli.values import frozen

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

Ink = tuple[int, int, int]

GROUND: Final = (250, 250, 248)
INK: Final = (28, 30, 34)
FAINT: Final = (112, 116, 122)
FRAME: Final = (208, 210, 212)
_NEGATIVE: Final = (33, 102, 172)
_POSITIVE: Final = (178, 24, 43)
_MIDDLE: Final = (247, 247, 247)
_MARGIN: Final = 24
_GAP: Final = 16
_TITLE: Final = 26  # points
_LABEL: Final = 15
_SMALL: Final = 12
_SHRINK: Final = 3


@frozen(eq=False)
class Panel:
    """One picture of a sheet.

    Attributes:
        title: above the picture, cut where it is too long.
        pixels: (rows, columns) or (rows, columns, 3), uint8.
        note: smaller, below the title.
        badge: a little picture at the right of the title, such as a kernel's heat map.
    """

    title: str
    pixels: Array
    note: str = ""
    badge: Array | None = None


def sheet(panels: Sequence[Panel], title: str = "", columns: int = 0, footer: str = "") -> Array:
    """Panels in rows, as (rows, columns, 3) of uint8; every cell is as large as the largest panel.

    Without ``columns``, a sheet that is a little taller than wide.
    """
    from PIL import Image, ImageDraw

    wide = max(panel.pixels.shape[1] for panel in panels)
    high = max(panel.pixels.shape[0] for panel in panels)
    head = _LABEL + 6 + (_SMALL + 6 if any(panel.note for panel in panels) else 0)
    columns = min(columns or _columns(len(panels), wide, high + head), len(panels))
    rows = -(-len(panels) // columns)
    top = _MARGIN + (_TITLE + _GAP if title else 0)
    width = 2 * _MARGIN + columns * (wide + _GAP) - _GAP
    height = top + rows * (head + high + _GAP) - _GAP + _MARGIN + (_SMALL + _GAP if footer else 0)
    image = Image.new("RGB", (width, height), GROUND)
    draw = ImageDraw.Draw(image)
    _text(draw, (_MARGIN, _MARGIN), title, _TITLE, INK, width - 2 * _MARGIN)
    for index, panel in enumerate(panels):
        row, column = divmod(index, columns)
        place = _MARGIN + column * (wide + _GAP), top + row * (head + high + _GAP)
        _panel(image, draw, panel, place, wide, head)
    _text(draw, (_MARGIN, height - _MARGIN - _SMALL), footer, _SMALL, FAINT, width - 2 * _MARGIN)
    return np.asarray(image)


def _columns(count: int, wide: int, high: int) -> int:
    """As many columns as make the sheet about 1.2 times as high as wide."""
    return max(round(math.sqrt(count * (high + _GAP) / (wide + _GAP) / 1.2)), 1)


def _panel(image: Any, draw: ImageDraw, panel: Panel, place: tuple[int, int], wide: int, head: int) -> None:
    from PIL import Image

    left, top = place
    room = wide
    if panel.badge is not None:
        side = head - 5
        badge = Image.fromarray(panel.badge)
        badge.thumbnail((side, side), Image.Resampling.NEAREST)
        _framed(image, draw, badge, (left + wide - badge.width, top + (side - badge.height) // 2))
        room -= side + 6
    _text(draw, (left, top), panel.title, _LABEL, INK, room)
    _text(draw, (left, top + _LABEL + 4), panel.note, _SMALL, FAINT, room)
    _framed(image, draw, Image.fromarray(panel.pixels), (left, top + head))


def _framed(image: Any, draw: ImageDraw, picture: Any, place: tuple[int, int]) -> None:
    left, top = place
    image.paste(picture, place)
    draw.rectangle((left - 1, top - 1, left + picture.width, top + picture.height), outline=FRAME)


def _text(draw: ImageDraw, place: tuple[int, int], text: str, size: int, ink: Ink, room: int) -> None:
    """One line, a little smaller where that makes it fit the room, else cut with …."""
    if not text:
        return
    font = _font(size)
    if draw.textlength(text, font=font) > room:
        font = _font(max(size - _SHRINK, _SMALL))
    while draw.textlength(text, font=font) > room and len(text) > 1:
        text = text.removesuffix("…")[:-1] + "…"
    draw.text(place, text, font=font, fill=ink)


def _font(size: int) -> FreeTypeFont:
    from PIL import ImageFont

    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def diverging(values: FloatArray, limit: float) -> Array:
    """Values as colours, (…, 3) uint8: blue below 0, near white at 0, red above; ``limit`` is darkest."""
    share = np.clip(values / (limit or 1), -1, 1)[..., None]
    ends = np.where(share < 0, _NEGATIVE, _POSITIVE)
    mixed: Array = np.rint(np.array(_MIDDLE) + np.abs(share) * (ends - np.array(_MIDDLE))).astype(np.uint8)
    return mixed


def heat_map(weights: FloatArray, cell: int) -> Array:
    """(rows, columns) weights as squares of ``cell`` pixels, coloured by `diverging`, (…, …, 3)."""
    colours = diverging(weights, float(np.abs(weights).max()))
    return np.repeat(np.repeat(colours, cell, 0), cell, 1)
