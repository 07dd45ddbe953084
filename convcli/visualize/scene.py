"""Scenes: text, lines, rectangles, polygons and images at fixed positions on a page.

Everything that is drawn, from sheets and figures to the frames of animations, is laid out as a `Scene`, which
`raster` turns into pixels and `svg` into a vector file.
"""

from __future__ import annotations

from typing import Final

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen
from convcli.visualize.lettering import MIDDLE, Ink, Point, cut, font, width

GROUND: Final = (250, 250, 248)
INK: Final = (28, 30, 34)
FAINT: Final = (96, 100, 106)
FRAME: Final = (208, 210, 212)
_SMALLEST: Final = 12  # points, down to which text shrinks before it is cut
_SHRINK: Final = 3


@frozen
class Text:
    """One line of text.

    Attributes:
        place: (x, y) of the baseline's ``start``, ``middle`` or ``end``, as ``anchor`` says.
        size: font size in pixels.
    """

    place: Point
    text: str
    size: int
    ink: Ink = INK
    anchor: str = "start"

    @classmethod
    def below(cls, corner: Point, text: str, size: int, ink: Ink = INK) -> Text:
        """Text whose line box has its top left corner at ``corner``."""
        return cls((corner[0], corner[1] + size), text, size, ink)

    @classmethod
    def centered(cls, center: Point, text: str, size: int, ink: Ink = INK) -> Text:
        """Text centered at ``center`` in both directions."""
        return cls((center[0], center[1] - MIDDLE * size + size), text, size, ink, "middle")


@frozen
class Line:
    """A line: horizontal or vertical, or antialiased at any angle and with round ends where ``smooth``.

    Attributes:
        stroke: width in pixels; more than 1 only where ``smooth``.
    """

    start: Point
    end: Point
    ink: Ink = FAINT
    smooth: bool = False
    stroke: int = 1


@frozen
class Polygon:
    """A filled polygon."""

    corners: tuple[Point, ...]
    ink: Ink = FAINT


@frozen
class Rectangle:
    """A rectangle with a fill, an outline of ``stroke`` pixels inside its edges, or both."""

    place: Point
    width: int
    height: int
    fill: Ink | None = None
    outline: Ink | None = None
    stroke: int = 1


@frozen(eq=False)
class PlacedImage:
    """An image, (rows, columns) or (rows, columns, 3) of uint8, with every pixel ``zoom`` pixels wide."""

    place: Point
    pixels: Array
    zoom: int = 1


Item = Text | Line | Polygon | Rectangle | PlacedImage


@frozen(eq=False)
class Scene:
    """A page of ``width`` by ``height`` pixels and its items, painted in order."""

    width: int
    height: int
    items: tuple[Item, ...]
    title: str = ""


def ascent(size: int) -> int:
    """Pixels from the top of a line of text to its baseline."""
    return int(font(size).getmetrics()[0])


def fitted(text: str, size: int, room: float, suffix: str = "") -> tuple[str, int]:
    """Make one line fit: a slightly smaller font if that is enough, else the text cut before ``suffix``.

    Args:
        room: available width in pixels.

    Returns:
        The text with its suffix, and the font size.
    """
    if width(text + suffix, size) > room:
        size = max(size - _SHRINK, min(size, _SMALLEST))
    return cut(text, size, room - width(suffix, size)) + suffix, size
