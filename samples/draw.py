"""Draws the sample pictures: ``python samples/draw.py`` writes them beside this file.

- scene.png: 512×512 gray, 8 bits; edges, corners, circles, a zone plate, texture, a gradient and text.
- color.png: 384×512 RGB; hues, discs that overlap, stripes and text.
- transparent.png: 256×256 RGBA; a soft disc and a star over nothing.
- depth16.png: 256×256 gray, 16 bits; a slope whose steps 8 bits cannot show, and faint discs.
"""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).resolve().parent
OVERSAMPLING = 4


def scene() -> np.ndarray:
    """The gray scene, drawn four times as large and averaged down."""
    side = 512 * OVERSAMPLING
    image = Image.new("L", (side, side), 96)
    draw = ImageDraw.Draw(image)

    def box(left: int, top: int, right: int, bottom: int) -> list[int]:
        return [value * OVERSAMPLING for value in (left, top, right, bottom)]

    draw.rectangle(box(0, 0, 512, 190), fill=176)
    draw.ellipse(box(372, 28, 468, 124), fill=244)
    draw.polygon(box(0, 190, 96, 84) + box(190, 190, 0, 190), fill=120)
    draw.polygon(box(120, 190, 250, 60) + box(372, 190, 120, 190), fill=84)
    draw.rectangle(box(60, 230, 200, 390), fill=208)
    draw.polygon(box(46, 230, 130, 168) + box(214, 230, 46, 230), fill=48)
    draw.rectangle(box(84, 262, 124, 302), fill=32)
    draw.rectangle(box(140, 310, 180, 390), fill=64)
    draw.line(box(84, 282, 124, 282) + box(104, 282, 104, 262) + box(104, 302, 104, 302), fill=208, width=10)
    for index, radius in enumerate((52, 38, 24, 10)):
        shade = (24, 224, 24, 224)[index]
        draw.ellipse(box(300 - radius, 300 - radius, 300 + radius, 300 + radius), fill=shade)
    for index in range(12):
        left = 384 + index * 9
        draw.rectangle(box(left, 232, left + index // 2 + 1, 330), fill=230)
    font = ImageFont.load_default(44 * OVERSAMPLING)
    draw.text((40 * OVERSAMPLING, 428 * OVERSAMPLING), "f * g = map", font=font, fill=240)
    small = np.asarray(image, np.float64).reshape(512, OVERSAMPLING, 512, OVERSAMPLING).mean((1, 3))

    rows, columns = np.mgrid[:512, :512].astype(np.float64)
    small[:190] += ((rows - 95) / 8)[:190]
    inside = np.hypot(rows - 420, columns - 440) < 60
    plate = 128 + 100 * np.cos(np.hypot(rows - 420, columns - 440) ** 2 / 40)
    small[inside] = plate[inside]
    noise = np.random.default_rng(7).normal(0, 14, (512, 512))
    grass = (rows > 396) & ~inside & (small < 100)
    small[grass] += noise[grass]
    return np.rint(small).clip(0, 255).astype(np.uint8)


def color() -> np.ndarray:
    """The color scene."""
    rows, columns = np.mgrid[:384, :512]
    waves = [np.sin(columns / 512 * 2 * np.pi + phase) for phase in (0, 2.1, 4.2)]
    field = np.stack([128 + 90 * wave * (1 - rows / 500) for wave in waves], -1)
    image = Image.fromarray(np.rint(field).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for center, fill in (
        ((150, 150), (230, 40, 50)),
        ((220, 150), (40, 190, 70)),
        ((185, 210), (40, 80, 220)),
    ):
        x, y = center
        draw.ellipse([x - 62, y - 62, x + 62, y + 62], fill=fill, outline=(250, 250, 250), width=3)
    for index in range(16):
        shade = (255, 220, 40) if index % 2 else (30, 30, 60)
        draw.polygon([(330 + index * 10, 90), (340 + index * 10, 90), (300 + index * 10, 280)], fill=shade)
    draw.text((40, 310), "red + green + blue", font=ImageFont.load_default(40), fill=(255, 255, 255))
    return np.asarray(image)


def transparent() -> np.ndarray:
    """Two shapes over transparency whose hidden color is green."""
    rows, columns = np.mgrid[:256, :256].astype(np.float64)
    pixels = np.zeros((256, 256, 4))
    pixels[..., 1] = 255
    distance = np.hypot(rows - 110, columns - 110)
    pixels[distance < 92, :3] = (220, 60, 40)
    pixels[..., 3] = (92 - distance).clip(0, 32) * 255 / 32
    angle = np.arctan2(rows - 180, columns - 180)
    star = np.hypot(rows - 180, columns - 180) < 42 + 20 * np.cos(5 * angle)
    pixels[star] = (40, 70, 210, 255)
    return np.rint(pixels).astype(np.uint8)


def depth16() -> np.ndarray:
    """A slope of 16-bit steps with discs that differ from it by less than one step of 8 bits."""
    rows, columns = np.mgrid[:256, :256].astype(np.float64)
    field = 20_000 + 90 * columns + 15 * rows
    for index in range(4):
        inside = np.hypot(rows - 128, columns - 44 - 56 * index) < 22
        field[inside] += 60 * (index + 1)
    return np.rint(field).astype(np.uint16)


def main() -> None:
    """Write every sample."""
    for draw in (scene, color, transparent, depth16):
        path = HERE / f"{draw.__name__}.png"
        path.write_bytes(imagecodecs.png_encode(draw(), level=9))
        print(path.name, draw().shape, path.stat().st_size)


if __name__ == "__main__":
    main()
