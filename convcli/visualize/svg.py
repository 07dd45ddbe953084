"""Scenes as SVG 1.1."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from convcli.core.errors import one_line
from convcli.formats.header import Metadata
from convcli.formats.registry import format_named
from convcli.visualize.lettering import Ink
from convcli.visualize.scene import GROUND, Item, Line, PlacedImage, Polygon, Rectangle, Scene, Text

_FONTS: Final = "Aileron, Helvetica, Arial, sans-serif"


def svg(scene: Scene) -> str:
    """The scene as an SVG document; images are embedded as PNG."""
    size = f'width="{scene.width}" height="{scene.height}" viewBox="0 0 {scene.width} {scene.height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="{_FONTS}">'
    title = f"<title>{_escaped(scene.title)}</title>"
    ground = f'<rect width="100%" height="100%" fill="{_hex(GROUND)}"/>'
    return "\n".join([head, title, ground, *map(_element, scene.items), "</svg>", ""])


def _element(item: Item) -> str:
    write: Callable[[Any], str] = _WRITERS[type(item)]
    return write(item)


def _text(item: Text) -> str:
    where = _attributes(x=item.place[0], y=item.place[1], font_size=item.size, fill=_hex(item.ink))
    anchor = "" if item.anchor == "start" else f' text-anchor="{item.anchor}"'
    return f"<text {where}{anchor}>{_escaped(item.text)}</text>"


def _line(item: Line) -> str:
    (left, top), (right, bottom) = item.start, item.end
    inset = 0.0 if item.smooth else 0.5  # a sharp line covers whole pixels
    ends = _attributes(x1=left + inset, y1=top + inset, x2=right + inset, y2=bottom + inset)
    stroke = f' stroke-width="{item.stroke}" stroke-linecap="round"' if item.stroke > 1 else ""
    return f'<line {ends} stroke="{_hex(item.ink)}"{stroke}/>'


def _polygon(item: Polygon) -> str:
    points = " ".join(f"{x:g},{y:g}" for x, y in item.corners)
    return f'<polygon points="{points}" fill="{_hex(item.ink)}"/>'


def _rectangle(item: Rectangle) -> str:
    inset = item.stroke / 2 if item.outline else 0.0
    where = _attributes(
        x=item.place[0] + inset,
        y=item.place[1] + inset,
        width=item.width - 2 * inset,
        height=item.height - 2 * inset,
        fill=_hex(item.fill) if item.fill else "none",
    )
    outline = f' stroke="{_hex(item.outline)}"' if item.outline else ""
    stroke = f' stroke-width="{item.stroke}"' if item.outline and item.stroke > 1 else ""
    return f"<rect {where}{outline}{stroke}/>"


def _image(item: PlacedImage) -> str:
    rows, columns = item.pixels.shape[:2]
    pixels = item.pixels if item.pixels.ndim == 3 else item.pixels[..., None]
    encoded = format_named("png").encode(np.ascontiguousarray(pixels), Metadata())
    data = base64.b64encode(encoded).decode("ascii")
    where = _attributes(x=item.place[0], y=item.place[1], width=columns * item.zoom, height=rows * item.zoom)
    sharp = ' style="image-rendering:pixelated"' if item.zoom > 1 else ""
    return f'<image {where} preserveAspectRatio="none"{sharp} href="data:image/png;base64,{data}"/>'


_WRITERS: Final[dict[type, Callable[[Any], str]]] = {
    Text: _text,
    Line: _line,
    Polygon: _polygon,
    Rectangle: _rectangle,
    PlacedImage: _image,
}


def _attributes(**values: float | str) -> str:
    return " ".join(
        f'{key.replace("_", "-")}="{value if isinstance(value, str) else f"{value:g}"}"'
        for key, value in values.items()
    )


def _escaped(text: str) -> str:
    return html.escape(one_line(text))


def _hex(ink: Ink) -> str:
    return "#" + bytes(ink).hex()
