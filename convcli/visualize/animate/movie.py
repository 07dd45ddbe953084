"""``convcli animate``: a sliding kernel as an animation in any format that holds frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen, replace
from convcli.files import input as files
from convcli.files.atomic import AtomicFile
from convcli.files.ledger import OutputLedger
from convcli.files.stdout import check_stream
from convcli.formats import registry
from convcli.formats.capacity import OutputKind
from convcli.formats.header import Layout, Metadata, Timing
from convcli.pipeline.naming import OutputSpec, Target
from convcli.pipeline.settings import Settings
from convcli.pipeline.writing import encoding
from convcli.visualize.animate.moments import DIGITS, Slide, View, drawn_numbers, shape_of, slide
from convcli.visualize.animate.painter import frames, size

MOST_COLORS: Final = 255  # a GIF's, less one for what stays as it was
FASTEST: Final = 50  # frames a second
_AS_NUMBERS, _AS_PICTURE = Fraction(2), Fraction(8)  # frames a second
_VIDEO: Final = ("mkv", "mp4")
_LAST: Final = Fraction(2)  # seconds that the last frame stays at least
_CODE: Final = np.array([1, 2**8, 2**16], np.int32)
_COMMON: Final = 64  # colors of a GIF that are kept as they are
_SAMPLES: Final = 8  # frames from which the colors of a GIF are taken
_NUMBERS: Final = 2**16  # all that a SHAPE may hold


@frozen
class Show:
    """How an animation is played, and what is drawn where there is no picture.

    Attributes:
        fps: frames a second, or None for one that can be followed.
        seed: of a SHAPE's numbers; None for 0, 1, 2, …
    """

    fps: Fraction | None = None
    seed: int | None = 1


@frozen
class Animated:
    """What was written: a file of ``frames`` pictures, (rows, columns) each."""

    target: Target
    frames: int
    size: tuple[int, int]
    bytes: int


def animate(
    source: str,
    settings: Settings,
    view: View,
    show: Show,
    output: OutputSpec,
    ledger: OutputLedger | None = None,
) -> Animated:
    """Write the animation of a kernel that slides over a picture, or over the numbers of a SHAPE.

    Args:
        source: a file, ``-`` for standard input, or rows and columns as ``4x4``, where no file is called so.
        output: a file, or ``-`` for standard output.

    Raises:
        ConvcliError: the picture cannot be read, shown or written; nothing is left half-written.
    """
    shape = None if Path(source).exists() else shape_of(source)
    with drawn_numbers(shape, show.seed) if shape else files.Input.open(source) as file:
        found = slide(_called(source, shape, show.seed), file, settings, _plain(view, shape, show.seed))
    target = _target(output, found)
    if target.path is None:
        check_stream()
    else:
        (ledger or OutputLedger([] if shape else [source])).claim(target.path, settings.force)
    with AtomicFile(target.path, settings.force) as draft:
        _write(draft, target, found, timing(found, show.fps, target.format.name not in _VIDEO))
        return Animated(target, len(found.moments), size(found), draft.commit())


def _plain(view: View, shape: tuple[int, int] | None, seed: int | None) -> View:
    """The view; drawn numbers are no grays, and in a picture the largest is white."""
    if shape is None:
        return view
    return replace(view, plain=_NUMBERS, white=DIGITS - 1 if seed is not None else max(prod(shape) - 1, 1))


def _called(source: str, shape: tuple[int, int] | None, seed: int | None) -> str:
    if shape is None:
        return "standard input" if source == files.STREAM else Path(source).name
    sizes = f"{shape[0]} × {shape[1]} integers"
    return f"{sizes} in order" if seed is None else f"{sizes}, seed {seed}"


def _target(output: OutputSpec, found: Slide) -> Target:
    rows, columns = size(found)
    picture = OutputKind(np.dtype(np.uint8), 3, len(found.moments), rows=rows, columns=columns)
    picture = replace(picture, options=(("--most 1", replace(picture, frames=1)),))
    (target,) = output.targets("animation", "slide", 1, registry.FORMATS[0], picture)
    return target


def timing(found: Slide, fps: Fraction | None, loops: bool) -> Timing:
    """Every frame alike; where all begins anew, the last one stays for a while before."""
    chosen = fps or (_AS_PICTURE if found.cells is None else _AS_NUMBERS)
    each = 1 / chosen
    return Timing((each,) * (len(found.moments) - 1) + (max(each, _LAST) if loops else each,))


def _write(draft: AtomicFile, target: Target, found: Slide, timing: Timing) -> None:
    """Encode one frame after the other."""
    rows, columns = size(found)
    layout = Layout(rows, columns, 3, np.dtype(np.uint8), len(found.moments))
    metadata = Metadata(timing=timing if layout.frames > 1 else None)
    encoder = registry.encoder(target.format, layout, metadata, rows)

    def pieces() -> Iterator[Any]:
        drawn = few_colors(list(frames(found))) if target.format.name == "gif" else frames(found)
        for index, pixels in enumerate(drawn):
            yield encoder.strip(0, _placed(encoder.room(index, 0, rows), pixels))

    with encoding(target, draft):
        encoder.write(draft.file, pieces())


def few_colors(pictures: Sequence[Array]) -> Iterator[Array]:
    """The same pictures in colors that all of them share, so that what stands still stays as it is."""
    palette = _palette(np.concatenate([*pictures[:: -(-len(pictures) // _SAMPLES)], pictures[-1]]))
    nearest = np.zeros(2**24, np.uint8)  # by color, as one number
    known = np.zeros(2**24, bool)
    for pixels in pictures:
        codes = pixels.astype(np.int32) @ _CODE
        new = np.unique(codes[~known[codes]])
        colors = new[:, None] // _CODE % 256
        for first in range(0, len(new), 4096):
            part = colors[first : first + 4096, None] - palette[None]
            nearest[new[first : first + 4096]] = np.argmin((part * part).sum(axis=-1), axis=1)
        known[new] = True
        yield palette[nearest[codes]].astype(np.uint8)


def _palette(pixels: Array) -> Array:
    """At most `MOST_COLORS`, (colors, 3): the commonest as they are, and means of the others."""
    from PIL import Image

    shown = Image.fromarray(pixels)
    counts = sorted(shown.getcolors(pixels.shape[0] * pixels.shape[1]) or [], reverse=True)
    common: list[Any] = [color for _, color in counts[:_COMMON]]
    others = shown.quantize(MOST_COLORS - len(common), Image.Quantize.MEDIANCUT).getpalette() or []
    found: Array = np.array([*common, *zip(*[iter(others)] * 3, strict=True)], np.int32)
    return found[:MOST_COLORS]


def _placed(room: Array | None, pixels: Array) -> Array:
    """The pixels, where the encoder wants them if it says so."""
    if room is None:
        return pixels
    room[...] = pixels
    return room
