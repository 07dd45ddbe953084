"""Text on pictures, with the signs of arithmetic that Pillow's own font lacks drawn as strokes."""

from __future__ import annotations

import math
import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

Ink = tuple[int, int, int]
Point = tuple[float, float]

_FINE: Final = 8  # strokes are drawn so much larger first, for smooth edges
_PEN: Final = 0.075  # of the size, the width of a stroke
_AXIS: Final = 0.58  # of the size, from the top to the middle of a sign
_DOT: Final = 0.001

_WAVE: Final = [(0.06 + 0.44 * t / 12, 0.05 * math.sin(2 * math.pi * t / 12)) for t in range(13)]
_SIGNS: Final[dict[str, tuple[float, list[list[Point]]]]] = {
    "−": (0.6, [[(0.08, 0), (0.52, 0)]]),
    "–": (0.56, [[(0.06, 0.02), (0.5, 0.02)]]),
    "∗": (0.5, [[(0.25, -0.2), (0.25, 0.2)], [(0.08, -0.1), (0.42, 0.1)], [(0.08, 0.1), (0.42, -0.1)]]),
    "×": (0.58, [[(0.1, -0.19), (0.48, 0.19)], [(0.1, 0.19), (0.48, -0.19)]]),
    "÷": (0.6, [[(0.08, 0), (0.52, 0)], [(0.3, -0.2), (0.3 + _DOT, -0.2)], [(0.3, 0.2), (0.3 + _DOT, 0.2)]]),
    "→": (0.92, [[(0.06, 0), (0.84, 0)], [(0.62, -0.2), (0.84, 0), (0.62, 0.2)]]),
    "≈": (0.56, [[(x, y - 0.1) for x, y in _WAVE], [(x, y + 0.1) for x, y in _WAVE]]),
    "√": (0.6, [[(0.04, 0.02), (0.14, -0.04), (0.26, 0.28), (0.48, -0.42), (0.58, -0.42)]]),
    "²": (0.36, [[(0.06, -0.32), (0.15, -0.4), (0.25, -0.33), (0.06, -0.08), (0.28, -0.08)]]),
}
"""Signs: their advance, and their strokes around the middle of a sign, all in shares of the font's size."""

_PARTS: Final = re.compile(f"([{''.join(_SIGNS)}])")


def width(text: str, size: int) -> float:
    """Pixels from the beginning of a text to its end."""
    return sum(_advance(part, size) for part in _parts(text))


def write(image: Image, place: Point, text: str, size: int, ink: Ink, anchor: str = "la") -> None:
    """One line of text.

    Args:
        place: (x, y) of the anchor.
        anchor: Pillow's, with ``l``, ``m`` or ``r`` across and ``a`` (the top), ``m`` (the middle) or ``s``
            (where the letters stand) down.
    """
    from PIL import ImageDraw

    draw = ImageDraw.Draw(image)
    left, top = place
    left -= {"l": 0, "m": 0.5, "r": 1}[anchor[0]] * width(text, size)
    top -= {"a": 0, "m": _AXIS, "s": 1}[anchor[1]] * size
    for part in _parts(text):
        if part in _SIGNS:
            mask = _sign(part, size)
            image.paste(ink, (round(left), round(top)), mask)
        else:
            draw.text((left, top + size), part, font=font(size), fill=ink, anchor="ls")
        left += _advance(part, size)


def cut(text: str, size: int, room: float) -> str:
    """As much of a text as fits the room, with … where something is left out."""
    while width(text, size) > room and len(text) > 1:
        text = text.removesuffix("…")[:-1] + "…"
    return text


def wrapped(text: str, size: int, room: float) -> list[str]:
    """A text in lines that fit the room, as far as its words do."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width(longer, size) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


@cache
def font(size: int) -> FreeTypeFont:
    """Pillow's own, which every installation has."""
    from PIL import ImageFont

    found = ImageFont.load_default(size)
    assert isinstance(found, ImageFont.FreeTypeFont)
    return found


def _parts(text: str) -> list[str]:
    return [part for part in _PARTS.split(text) if part]


def _advance(part: str, size: int) -> float:
    return _SIGNS[part][0] * size if part in _SIGNS else font(size).getlength(part)


@cache
def _sign(sign: str, size: int) -> Any:
    """A mask of the sign, as wide as it advances, from the top of a line to below its letters."""
    from PIL import Image, ImageDraw

    advance, strokes = _SIGNS[sign]
    wide, high = math.ceil(advance * size), math.ceil(1.2 * size)
    mask = Image.new("L", (wide * _FINE, high * _FINE), 0)
    draw = ImageDraw.Draw(mask)
    scale, pen = size * _FINE, _PEN * size * _FINE
    for stroke in strokes:
        points = [(x * scale, (_AXIS + y) * scale) for x, y in stroke]
        draw.line(points, 255, round(pen), joint="curve")
        for x, y in points:
            reach = pen * (0.8 if stroke[0][0] + _DOT == stroke[-1][0] else 0.5)
            draw.ellipse((x - reach, y - reach, x + reach, y + reach), 255)
    return mask.resize((wide, high), Image.Resampling.BOX)
