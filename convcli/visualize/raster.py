"""Scenes as pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from convcli.core.dtypes import Array
from convcli.visualize.lettering import Point, write
from convcli.visualize.scene import GROUND, Item, Line, PlacedImage, Polygon, Rectangle, Scene, Text

if TYPE_CHECKING:
    from PIL.Image import Image

_OVERSAMPLING: Final = 3
_ANCHORS: Final = {"start": "ls", "middle": "ms", "end": "rs"}


def raster(scene: Scene) -> Array:
    """The scene as (rows, columns, 3) of uint8."""
    return Canvas.blank(scene.width, scene.height).draw(scene.items).pixels


class Canvas:
    """Pixels that items are painted on."""

    def __init__(self, image: Image) -> None:
        from PIL import ImageDraw

        self.image, self.brush = image, ImageDraw.Draw(image)

    @classmethod
    def blank(cls, width: int, height: int) -> Self:
        """An empty page of the background color."""
        from PIL import Image

        return cls(Image.new("RGB", (width, height), GROUND))

    def draw(self, items: Iterable[Item]) -> Self:
        """Paint items over what is there; returns the canvas itself."""
        for item in items:
            paint: Callable[[Canvas, Any], None] = _PAINTERS[type(item)]
            paint(self, item)
        return self

    def copy(self) -> Canvas:
        """An independent canvas with the same pixels."""
        return Canvas(self.image.copy())

    @property
    def pixels(self) -> Array:
        """(rows, columns, 3) of uint8."""
        return np.asarray(self.image)


def _text(canvas: Canvas, item: Text) -> None:
    write(canvas.image, item.place, item.text, item.size, item.ink, _ANCHORS[item.anchor])


def _line(canvas: Canvas, item: Line) -> None:
    if item.smooth:
        _smooth_line(canvas.image, item)
    else:
        canvas.brush.line((_rounded(item.start), _rounded(item.end)), fill=item.ink)


def _smooth_line(image: Image, item: Line) -> None:
    from PIL import Image as Images
    from PIL import ImageDraw

    start, end, room = _rounded(item.start), _rounded(item.end), item.stroke + 1
    left, top = min(start[0], end[0]) - room, min(start[1], end[1]) - room
    size = abs(start[0] - end[0]) + 2 * room, abs(start[1] - end[1]) + 2 * room
    mask = Images.new("L", (size[0] * _OVERSAMPLING, size[1] * _OVERSAMPLING), 0)
    points = [((x - left) * _OVERSAMPLING, (y - top) * _OVERSAMPLING) for x, y in (item.start, item.end)]
    brush, pen = ImageDraw.Draw(mask), item.stroke * _OVERSAMPLING
    brush.line(points, 255, pen)
    for x, y in points if item.stroke > 1 else ():
        brush.circle((x, y), pen / 2, 255)
    image.paste(item.ink, (left, top), mask.resize(size, Images.Resampling.BOX))


def _polygon(canvas: Canvas, item: Polygon) -> None:
    canvas.brush.polygon([_rounded(corner) for corner in item.corners], fill=item.ink)


def _rectangle(canvas: Canvas, item: Rectangle) -> None:
    left, top = _rounded(item.place)
    bounds = left, top, left + item.width - 1, top + item.height - 1
    canvas.brush.rectangle(bounds, fill=item.fill, outline=item.outline, width=item.stroke)


def _image(canvas: Canvas, item: PlacedImage) -> None:
    from PIL import Image

    pixels = item.pixels.repeat(item.zoom, 0).repeat(item.zoom, 1) if item.zoom > 1 else item.pixels
    canvas.image.paste(Image.fromarray(pixels), _rounded(item.place))


_PAINTERS: Final[dict[type, Callable[[Canvas, Any], None]]] = {
    Text: _text,
    Line: _line,
    Polygon: _polygon,
    Rectangle: _rectangle,
    PlacedImage: _image,
}


def _rounded(place: Point) -> tuple[int, int]:
    return round(place[0]), round(place[1])
