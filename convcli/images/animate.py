"""`animate`: the kernel slides over an image or numbers."""

from __future__ import annotations

import os
import re
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Unpack

import numpy as np

from convcli.core import markup
from convcli.core.errors import ArgumentError, literal, one_line
from convcli.core.frozen import replace
from convcli.core.numerals import counted
from convcli.core.rational import exact_number
from convcli.files.ledger import OutputLedger
from convcli.geometry.axes import per_axis, whole_numbers
from convcli.images.calls import single_settings
from convcli.images.explain import Chosen, chosen_channels
from convcli.images.inputs import Image, as_image
from convcli.images.keywords import KernelLike, Options, Size, with_options
from convcli.visualize.animate.content import Animation as Content
from convcli.visualize.animate.content import Selection
from convcli.visualize.animate.drawing import frame_size
from convcli.visualize.animate.shapes import parse_shape
from convcli.visualize.animate.writer import (
    FASTEST,
    Playback,
    animation_of,
    encoded_animation,
    write_frames,
)

_INLINE: Final = "webp"
"""The format in which notebooks show animations: without loss, and small."""


class Animation:
    """A kernel that slides over an image, one frame after the other."""

    def __init__(self, content: Content, playback: Playback, files: tuple[str, ...]) -> None:
        self._content, self._playback, self._files = content, playback, files

    def __len__(self) -> int:
        """The number of frames."""
        return len(self._content.frames)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of a frame, in pixels."""
        return frame_size(self._content)

    def save(self, path: str | os.PathLike[str], *, force: bool = False, format: str | None = None) -> str:
        """Write the animation.

        Args:
            path: a ``.gif``, ``.webp``, ``.png``, ``.mp4`` or ``.mkv``; ``{frame}`` in the name writes each
                frame to a file of its own.
            force: replace files that exist.
            format: as for `Result.save`, or ``"svg"``.

        Returns:
            The name of the file, or of the first and the last one.

        Raises:
            OutputError: it cannot be written.
        """
        if os.fspath(path) == "-":
            raise ArgumentError("- is standard output; give the name of a file")
        content = replace(self._content, settings=replace(self._content.settings, force=force))
        ledger = OutputLedger(self._files)
        return write_frames(content, self._playback, os.fspath(path), format, ledger).names

    @cached_property
    def _data(self) -> bytes:
        return encoded_animation(self._content, self._playback, _INLINE)

    def __repr__(self) -> str:
        rows, columns = self.size
        frames = counted(len(self), "frame")
        title = one_line(self._content.source)
        return f"<{type(self).__name__}, {frames} of {columns} × {rows} pixels: {title}>"

    def _repr_html_(self) -> str:
        return markup.image(self._data, _INLINE, f"the kernel slides over {self._content.source}")

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """All forms in which a notebook can show the animation."""
        return {"text/plain": repr(self), "text/html": self._repr_html_()}


@with_options
def animate(  # noqa: PLR0913 - the options of a command
    image: Any,
    kernel: KernelLike,
    *,
    at: tuple[int, int] | None = None,
    every: Size | None = None,
    most: int = 100,
    fps: float | None = None,
    numbers: int | str = 1,
    frame: int = 0,
    show_map: int | None = None,
    show_channel: Chosen = None,
    stage: int | None = None,
    dims: Any = None,
    **options: Unpack[Options],
) -> Animation:
    """Return an animation of the kernel sliding over an image or numbers, as ``convcli animate`` makes it.

    Args:
        image: as for `apply`; or a shape, (rows, columns[, channels]) or text such as ``"4x4"``, which is
            filled with numbers.
        kernel: as for `apply`.
        at: (row, column) of an output; the region around it is shown as numbers.
        every: one frame per this many outputs, one number or (rows, columns).
        most: largest number of frames.
        fps: frames per second, up to 50; None for a speed that can be followed.
        numbers: of a shape: the seed of random digits, or ``"ramp"`` for 0, 1, 2, ….
        frame: index of the frame or page that is filtered.
        show_map: index of the feature map of a bank.
        show_channel: as for `explain`.
        stage: with ``then``, the stage whose kernel slides, from 1.
        dims: as for `apply`.
        options: as for `apply`.

    Raises:
        ConvcliError: as for `apply`, or the animation cannot be shown.
    """
    place = None if at is None else whole_numbers("at", at)
    if place is not None and len(place) != 2:
        raise ArgumentError(f"at {literal(at)} is not (row, column)")
    steps = None if every is None else per_axis("every", every, 2)  # type: ignore[arg-type]
    selection = Selection(
        None if steps is None else (steps[0], steps[1]),
        most,
        None if place is None else (place[0], place[1]),
        frame,
        show_map,
        chosen_channels(show_channel),
    )
    playback = Playback(_rate(fps), _seed(numbers), stage)
    shape = _shape(image)
    if shape is not None:
        settings = single_settings(None, kernel, dict(options))
        return Animation(animation_of(shape, settings, selection, playback), playback, ())
    taken: Image = as_image(image, dims)
    settings = single_settings(taken, kernel, dict(options))
    with taken.errors():
        content = animation_of(taken.source, settings, selection, playback)
    return Animation(content, playback, taken.files)


def _shape(image: Any) -> tuple[int, ...] | None:
    """The shape of numbers that a text or a tuple of whole numbers asks for."""
    if isinstance(image, (tuple, list)) and all(isinstance(one, (int, np.integer)) for one in image):
        image = "x".join(map(str, image))
    if isinstance(image, str) and re.fullmatch(r"[\d\s,x×]+", image) and not Path(image).exists():
        return parse_shape(image)
    return None


def _rate(fps: Any) -> Fraction | None:
    if fps is None:
        return None
    if isinstance(fps, bool) or not isinstance(fps, (int, float, Fraction)) or not 0 < fps <= FASTEST:
        raise ArgumentError(f"fps {literal(fps)} is not a number above 0 and up to {FASTEST}")
    return Fraction(exact_number(fps))


def _seed(numbers: Any) -> int | None:
    if numbers == "ramp":
        return None
    if not isinstance(numbers, (int, np.integer)) or isinstance(numbers, bool) or numbers < 0:
        raise ArgumentError(f"numbers {literal(numbers)} is not 'ramp' or a seed (a whole number from 0)")
    return int(numbers)
