"""What formats share: errors of decoders, Pillow images, values scaled to their full range."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from convcli.core.dtypes import Array
from convcli.core.errors import ConvcliError, ImageError, one_line, reason_of
from convcli.core.threads import WhileInside

if TYPE_CHECKING:
    from PIL.Image import Image

_COPIED: Final = 2**18  # pixels copied at a time
_SHORT: Final = ("too small", "truncated", "not enough", "unexpected end", "premature end")
"""How decoders say that a file is truncated, in lowercase."""


class _AnySize(WhileInside):
    """Lifts Pillow's limit of pixels; sizes are checked when a file is opened."""

    kept: int | None = None

    def begin(self) -> None:
        from PIL import Image

        self.kept, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None

    def end(self) -> None:
        from PIL import Image

        if Image.MAX_IMAGE_PIXELS is None:  # nobody has set another limit in the meantime
            Image.MAX_IMAGE_PIXELS = self.kept


ANY_SIZE: Final = _AnySize()
"""Lets Pillow open, crop and seek in images that it would call decompression bombs."""


@contextmanager
def strict_errors(name: str) -> Iterator[None]:
    """Turn any exception or warning of a decoder into one `ImageError`; not for several threads at once."""
    with warnings.catch_warnings(), decoder_errors(name):
        warnings.simplefilter("error")
        yield


@contextmanager
def decoder_errors(name: str, part: str = "") -> Iterator[None]:
    """Turn any exception of a decoder into one `ImageError`, and pass our own on.

    Args:
        name: of the format.
        part: of the file that is decoded, in words.
    """
    try:
        yield
    except ConvcliError:
        raise
    except Exception as error:
        reason = one_line(getattr(error, "strerror", None) or "") or reason_of(error)
        if isinstance(error, MemoryError) or "memory" in reason.casefold():
            raise ImageError(f"not enough memory to decode this {name}") from error
        foreign = getattr(error, "errno", None) and not isinstance(error, ValueError)  # as PyAV's on bad data
        if isinstance(error, ImportError) or foreign:  # the system's, not the file's
            raise ImageError(f"{name} cannot be decoded here: {reason}") from error
        if any(word in reason.casefold() for word in _SHORT):
            reason = "it is truncated"
        raise ImageError(f"damaged {name}: {part}{': ' * bool(part)}{reason}") from error


def silence_logger(name: str) -> None:
    """Keep a library's logger from printing, unless the program has set up logging."""
    import logging  # imported only for files that need it

    logger = logging.getLogger(name)
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


def open_with_pillow(data: bytes) -> Image:
    """The file as a Pillow image whose pixels are not decoded yet; sizes are checked elsewhere."""
    from PIL import Image

    with ANY_SIZE, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about damaged metadata, which is no reason to refuse an image
        return Image.open(io.BytesIO(data))


def from_pillow(image: Image, mode: str) -> Array:
    """The pixels, (rows, columns, channels) of uint8, of a Pillow image converted to ``mode``.

    Converted some rows at a time, because Pillow makes two copies on the way to an array.
    """
    import numpy as np

    image = image if image.mode == mode else image.convert(mode)
    columns, rows = image.size
    height = max(_COPIED // max(columns, 1), 1)
    array: Array = np.empty((rows, columns, len(image.getbands())), np.uint8)
    with ANY_SIZE:
        for top in range(0, rows, height):
            bottom = min(top + height, rows)
            part = np.asarray(image.crop((0, top, columns, bottom)))
            array[top:bottom] = part.reshape(bottom - top, columns, -1)
    return array


def pillow_frames(data: bytes, mode: str) -> Iterator[Array]:
    """Each frame of a file as Pillow composes it, (rows, columns, channels) of uint8."""
    from PIL import ImageSequence

    with open_with_pillow(data) as image:
        for frame in ImageSequence.Iterator(image):
            yield from_pillow(frame, mode)


def to_pillow(pixels: Array) -> Image:
    """A Pillow image of (rows, columns, channels) pixels of uint8."""
    from PIL import Image

    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


MODES: Final = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
"""Pillow's modes by number of 8-bit channels."""
CHANNELS: Final = {mode: channels for channels, mode in MODES.items()}


PALETTE_NOTE: Final = "its palette was applied"


def save_with_pillow(image: Image, format_name: str, **options: Any) -> bytes:
    """The file that Pillow writes of an image."""
    buffer = io.BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


def to_full_range(values: Array, most: int) -> Array:
    """Unsigned integers from 0 to ``most``, scaled to the full range of 8, 16 or 32 bits.

    Args:
        values: an array of any shape.
        most: the value of white; the result has the fewest bits that hold it.

    Returns:
        An array of the same shape, rounded to nearest; ``values`` itself if nothing changes.

    Raises:
        ImageError: a value is above ``most``.
    """
    import numpy as np

    top = _top(most)
    kind = np.dtype({255: np.uint8, 65_535: np.uint16}.get(top, np.uint32))
    if most == top and values.dtype == kind:
        return values
    largest = int(values.max())
    if largest > most:
        raise ImageError(f"damaged: a pixel has the value {largest}; allowed: 0 to {most}")
    if most > 65_535:
        wide = values.astype(np.uint64) * np.uint64(top) + np.uint64(most // 2)
        return (wide // np.uint64(most)).astype(kind)
    spread = (np.arange(most + 1, dtype=np.uint32) * np.uint32(top) + np.uint32(most // 2)) // np.uint32(most)
    table: Array = spread.astype(kind)
    return table[values]


def _top(most: int) -> int:
    """The largest value of the 8, 16 or 32 bits that hold ``most``."""
    return next(top for top in (255, 65_535, 2**32 - 1) if most <= top)


def range_notes(most: int) -> tuple[str, ...]:
    """A note of what `to_full_range` does, if it changes values of several bits."""
    if most in (0, 1, _top(most)):
        return ()
    return (f"values 0 to {most} were scaled to 0 to {_top(most)}, rounded to nearest",)


CMYK_NOTE: Final = "CMYK was converted to RGB without a color profile: each ink times black"
_CONVERTED: Final = 64  # rows of CMYK converted at a time


def cmyk_to_rgb(bright: Array) -> Array:
    """RGB, (rows, columns, 3), from (rows, columns, 4) unsigned integers that are 0 for full ink."""
    import numpy as np

    rgb: Array = np.empty((*bright.shape[:2], 3), bright.dtype)
    white = int(np.iinfo(bright.dtype).max)
    wide = np.dtype(np.uint16 if white == 255 else np.uint64)
    for top in range(0, len(bright), _CONVERTED):
        part = bright[top : top + _CONVERTED].astype(wide)
        products = part[..., :3] * part[..., 3:] + wide.type(white // 2)
        rgb[top : top + _CONVERTED] = products // wide.type(white)
    return rgb


def ftyp_brands(head: bytes) -> set[bytes]:
    """The brands in the first bytes of an ISO media file (``ftyp``); empty for other files."""
    if head[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[8:12], *(head[place : place + 4] for place in range(16, end - 3, 4))}
