"""Boxes, lines, texts and pictures at places of a page, drawn as pixels or written as SVG."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import one_line
from convcli.core.frozen import frozen
from convcli.formats.header import Metadata
from convcli.formats.png.png import Png
from convcli.visualize import text as lettering
from convcli.visualize.text import Ink

Place = tuple[float, float]
"""Pixels from the left and from the top."""

GROUND: Final = (250, 250, 248)
INK: Final = (28, 30, 34)
FAINT: Final = (96, 100, 106)
FRAME: Final = (208, 210, 212)
_LEAST: Final = 12  # points
_SHRINK: Final = 3
_FAMILY: Final = "Aileron, Helvetica, Arial, sans-serif"


@frozen
class Text:
    """One line that stands on ``place``, which is its ``start``, ``middle`` or ``end``."""

    place: Place
    text: str
    size: int
    ink: Ink = INK
    anchor: str = "start"


@frozen
class Line:
    """A level or upright stroke, a pixel wide."""

    start: Place
    end: Place
    ink: Ink = FAINT


@frozen
class Shape:
    """A filled polygon."""

    corners: tuple[Place, ...]
    ink: Ink = FAINT


@frozen
class Box:
    """A rectangle, filled, with an outline inside its edge, or both."""

    place: Place
    width: int
    height: int
    fill: Ink | None = None
    outline: Ink | None = None


@frozen(eq=False)
class PlacedImage:
    """Pixels, (rows, columns) or (rows, columns, 3) of uint8, each drawn ``zoom`` pixels wide and high."""

    place: Place
    pixels: Array
    zoom: int = 1


Item = Text | Line | Shape | Box | PlacedImage


@frozen(eq=False)
class Scene:
    """A page of so many pixels, and what is drawn on it, the first lowest."""

    width: int
    height: int
    items: tuple[Item, ...]
    title: str = ""


def raster(scene: Scene) -> Array:
    """The page as (rows, columns, 3) of uint8."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (scene.width, scene.height), GROUND)
    draw = ImageDraw.Draw(image)
    for item in scene.items:
        if isinstance(item, PlacedImage):
            pixels = item.pixels.repeat(item.zoom, 0).repeat(item.zoom, 1)
            image.paste(Image.fromarray(pixels), _whole(item.place))
        elif isinstance(item, Text):
            anchor = {"start": "ls", "middle": "ms", "end": "rs"}[item.anchor]
            lettering.write(image, item.place, item.text, item.size, item.ink, anchor)
        elif isinstance(item, Box):
            left, top = _whole(item.place)
            corners = (left, top, left + item.width - 1, top + item.height - 1)
            draw.rectangle(corners, fill=item.fill, outline=item.outline)
        elif isinstance(item, Line):
            draw.line((_whole(item.start), _whole(item.end)), fill=item.ink)
        else:
            draw.polygon([_whole(corner) for corner in item.corners], fill=item.ink)
    return np.asarray(image)


def _whole(place: Place) -> tuple[int, int]:
    return round(place[0]), round(place[1])


def ascent(size: int) -> int:
    """Pixels from the top of a line to where it stands."""
    return int(lettering.font(size).getmetrics()[0])


def fitted(text: str, size: int, room: float, end: str = "") -> tuple[str, int]:
    """One line and its size, a little smaller where that makes it fit the room, else cut before ``end``."""
    if lettering.width(text + end, size) > room:
        size = max(size - _SHRINK, min(size, _LEAST))
    return lettering.cut(text, size, room - lettering.width(end, size)) + end, size


def svg(scene: Scene) -> str:
    """The page as an SVG 1.1 file; pictures lie in it as PNG."""
    size = f'width="{scene.width}" height="{scene.height}" viewBox="0 0 {scene.width} {scene.height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="{_FAMILY}">'
    title = f"<title>{_escaped(scene.title)}</title>"
    ground = f'<rect width="100%" height="100%" fill="{_hex(GROUND)}"/>'
    return "\n".join([head, title, ground, *map(_element, scene.items), "</svg>", ""])


def _element(item: Item) -> str:
    write: Callable[[Any], str] = _ELEMENTS[type(item)]
    return write(item)


def _text(item: Text) -> str:
    where = _attributes(x=item.place[0], y=item.place[1], font_size=item.size, fill=_hex(item.ink))
    anchor = "" if item.anchor == "start" else f' text-anchor="{item.anchor}"'
    return f"<text {where}{anchor}>{_escaped(item.text)}</text>"


def _line(item: Line) -> str:
    (left, top), (right, bottom) = item.start, item.end
    ends = _attributes(x1=left + 0.5, y1=top + 0.5, x2=right + 0.5, y2=bottom + 0.5)
    return f'<line {ends} stroke="{_hex(item.ink)}"/>'


def _shape(item: Shape) -> str:
    points = " ".join(f"{x:g},{y:g}" for x, y in item.corners)
    return f'<polygon points="{points}" fill="{_hex(item.ink)}"/>'


def _box(item: Box) -> str:
    inset = 0.5 if item.outline else 0.0
    where = _attributes(
        x=item.place[0] + inset,
        y=item.place[1] + inset,
        width=item.width - 2 * inset,
        height=item.height - 2 * inset,
        fill=_hex(item.fill) if item.fill else "none",
    )
    outline = f' stroke="{_hex(item.outline)}"' if item.outline else ""
    return f"<rect {where}{outline}/>"


def _picture(item: PlacedImage) -> str:
    rows, columns = item.pixels.shape[:2]
    pixels = item.pixels if item.pixels.ndim == 3 else item.pixels[..., None]
    data = base64.b64encode(Png().encode(np.ascontiguousarray(pixels), Metadata())).decode("ascii")
    where = _attributes(x=item.place[0], y=item.place[1], width=columns * item.zoom, height=rows * item.zoom)
    sharp = ' style="image-rendering:pixelated"' if item.zoom > 1 else ""
    return f'<image {where} preserveAspectRatio="none"{sharp} href="data:image/png;base64,{data}"/>'


_ELEMENTS: Final[dict[type, Callable[[Any], str]]] = {
    Text: _text,
    Line: _line,
    Shape: _shape,
    Box: _box,
    PlacedImage: _picture,
}


def _attributes(**values: float | str) -> str:
    words = {key.replace("_", "-"): value for key, value in values.items()}
    return " ".join(
        f'{key}="{value if isinstance(value, str) else f"{value:g}"}"' for key, value in words.items()
    )


def _escaped(text: str) -> str:
    return html.escape(one_line(text))


def _hex(ink: Iterable[int]) -> str:
    return "#" + bytes(ink).hex()
