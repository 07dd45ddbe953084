"""The images of ``benchmarks/files.py``: makes its inputs and compares its outputs.

``make FILE ROWSxCOLUMNSxCHANNELS`` writes an image like a photograph (a gradient, shapes, texture, grain),
the same each time, as PNG, as JPEG of quality 92 or as an uncompressed tiled TIFF. ``compare FILE FILE...``
prints for each further image how far it is from the first, without the border. ``level6 FILE FILE``
encodes the first anew with libpng's usual effort.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

TILE = 256
PATTERN = 2048  # pixels a side of the scene that a TIFF repeats
BORDER = 2
GRAIN = 3.6  # standard deviation, for PNGs of 55 to 65 % of the pixels' bytes


def clouds(rng: np.random.Generator, rows: int, columns: int, blur: int) -> np.ndarray:
    """Noise of standard deviation 1 with details of about `blur` pixels."""
    small = rng.standard_normal((rows // blur + 3, columns // blur + 3), np.float32)
    return np.asarray(Image.fromarray(small).resize((columns, rows), Image.Resampling.BICUBIC))


def scene(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Light that falls off, shapes with edges, and texture, as floats."""
    size = rows, columns
    down, across = np.linspace(90, 150, rows), np.linspace(-25, 25, columns)
    light = np.add.outer(down, across).astype(np.float32)
    light += 14 * clouds(rng, *size, 400) + 5 * clouds(rng, *size, 40)
    for blur, height in ((300, 40), (90, 18)):
        light += np.where(clouds(rng, *size, blur) > 0.4, np.float32(height), np.float32(0))
    light += np.maximum(clouds(rng, *size, 150), 0) * clouds(rng, *size, 3) * 3
    return light


def grainy(rng: np.random.Generator, light: np.ndarray) -> np.ndarray:
    """Light as a sensor records it: 8 bits with noise."""
    noise = GRAIN * rng.standard_normal(light.shape, np.float32)
    return np.clip(np.rint(light + noise), 0, 255).astype(np.uint8)


def photograph(rows: int, columns: int, channels: int) -> np.ndarray:
    """A scene, tinted if it has colors, with different grain in each channel."""
    rng = np.random.default_rng(0)
    light = scene(rng, rows, columns)
    found = np.empty((rows, columns, channels), np.uint8)
    for channel in range(channels):
        tint = 8 * clouds(rng, rows, columns, 500) if channel else np.float32(0)
        found[..., channel] = grainy(rng, light + tint)
    return found[..., 0] if channels == 1 else found


def tiles(rows: int, columns: int) -> Iterator[np.ndarray]:
    """The tiles of a large gray image: a scene that repeats, with fresh grain everywhere."""
    rng = np.random.default_rng(0)
    light = scene(rng, PATTERN, PATTERN)
    for top in range(0, rows, TILE):
        for left in range(0, columns, TILE):
            row, column = top % PATTERN, left % PATTERN
            yield grainy(rng, light[row : row + TILE, column : column + TILE])


def make(path: Path, rows: int, columns: int, channels: int) -> None:
    """Write an image in the format that its name says."""
    if path.suffix == ".tif":
        import tifffile

        tifffile.imwrite(path, tiles(rows, columns), shape=(rows, columns), dtype=np.uint8, tile=(TILE, TILE))
        return
    options = {"quality": 92} if path.suffix == ".jpg" else {"compress_level": 6}
    Image.fromarray(photograph(rows, columns, channels)).save(path, **options)


def pixels(path: Path) -> np.ndarray:
    """An image without its border."""
    if path.suffix == ".tif":
        import tifffile

        return tifffile.imread(path)[BORDER:-BORDER, BORDER:-BORDER]
    return np.asarray(Image.open(path))[BORDER:-BORDER, BORDER:-BORDER]


def apart(image: np.ndarray, reference: np.ndarray, average: bool) -> float:
    """The largest difference of two images' values, or the average one."""
    if image.shape != reference.shape or image.dtype != reference.dtype:
        return float("inf")
    rows = (np.abs(a.astype(np.int16) - b) for a, b in zip(image, reference, strict=True))
    if average:
        return float(np.mean([row.mean() for row in rows]))
    return float(max(row.max() for row in rows))


def compare(reference: Path, *others: Path) -> None:
    """Print a number per image: the largest difference; for lossy files the mean."""
    expected = pixels(reference)
    for other in others:
        print(apart(pixels(other), expected, average=reference.suffix == ".jpg"))


def level6(source: Path, target: Path) -> None:
    """Re-encode an image with libpng at level 6."""
    Image.open(source).save(target, compress_level=6)


def main() -> None:
    """Run the command line."""
    Image.MAX_IMAGE_PIXELS = None
    verb, *rest = sys.argv[1:]
    if verb == "make":
        make(Path(rest[0]), *map(int, rest[1].split("x")))
    else:
        {"compare": compare, "level6": level6}[verb](*map(Path, rest))


if __name__ == "__main__":
    main()
