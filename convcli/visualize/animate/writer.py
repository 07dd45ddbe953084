"""Writing animations: one file of any format that holds frames, or a still file for each frame."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen, replace
from convcli.files import input as files
from convcli.files.ledger import OutputLedger
from convcli.files.outputs import open_draft, write
from convcli.files.stdout import check_stream, write_stream
from convcli.formats import registry
from convcli.formats.base import Format
from convcli.formats.capacity import OutputKind
from convcli.formats.encoders import Encoder
from convcli.formats.header import Layout, Metadata, Timing
from convcli.pipeline.naming import OutputSpec, Target
from convcli.pipeline.settings import Settings
from convcli.pipeline.writing import encoding
from convcli.storage.urls import is_url
from convcli.visualize.animate.content import Animation, Selection, build_animation
from convcli.visualize.animate.drawing import frame_pixels, frame_scenes, frame_size
from convcli.visualize.animate.palette import shared_colors
from convcli.visualize.animate.shapes import largest_number, number_image, parse_shape, shape_title
from convcli.visualize.animate.stages import stage_input
from convcli.visualize.scene_file import frame_files, wants_svg

FASTEST: Final = 50  # frames per second
_NUMBERS_FPS, _IMAGES_FPS = Fraction(2), Fraction(8)
_LAST: Final = Fraction(2)  # shortest time that the last frame stays, in seconds
_PLAIN_NUMBERS: Final = 2**16  # all numbers of a SHAPE are below, and drawn on white


@frozen
class Playback:
    """How an animation is played, what a SHAPE is filled with, and which stage of a chain is shown.

    Attributes:
        fps: frames per second; None for a speed that can be followed.
        seed: of a SHAPE's random numbers; None for 0, 1, 2, …
        stage: from 1; None for the only kernel.
    """

    fps: Fraction | None = None
    seed: int | None = 1
    stage: int | None = None


@frozen
class WrittenAnimation:
    """What was written.

    Attributes:
        names: the file, or the first and the last of several; empty for standard output.
        frames: their number.
        size: (rows, columns) of each.
        note: what the format loses; empty if nothing.
    """

    names: str
    frames: int
    size: tuple[int, int]
    note: str = ""


def write_animation(
    source: str,
    settings: Settings,
    selection: Selection,
    playback: Playback,
    spec: str,
    format_name: str | None = None,
    ledger: OutputLedger | None = None,
) -> WrittenAnimation:
    """Write the animation of a kernel that slides over an image, or over the numbers of a SHAPE.

    Args:
        source: a file, ``-`` for standard input, or a SHAPE such as ``4x4`` if no file has that name.
        spec, format_name: as `write_frames` takes them.

    Raises:
        ConvcliError: the image cannot be read or shown, or the animation cannot be written.
    """
    stills_wanted(spec, format_name)  # a mistake is reported before any work
    shape = None if _names_image(source) else parse_shape(source)
    animation = animation_of(shape or source, settings, selection, playback)
    ledger = ledger or OutputLedger([] if shape else [source])
    return write_frames(animation, playback, spec, format_name, ledger)


def animation_of(
    source: files.Source | tuple[int, ...], settings: Settings, selection: Selection, playback: Playback
) -> Animation:
    """The frames of an animation.

    Args:
        source: an image, or the shape of numbers, (rows, columns[, channels]).

    Raises:
        ConvcliError: the image cannot be read or shown.
    """
    shape = source if isinstance(source, tuple) else None
    title = (
        shape_title(source, playback.seed) if isinstance(source, tuple) else _title(files.source_name(source))
    )
    with _opened(source, playback) as file:
        view = _on_white(selection, shape, playback.seed)
        made = stage_input(title, file, settings, view, playback.stage)
        return build_animation(made.title, made.file, made.settings, made.selection, made.names)


def _opened(source: files.Source | tuple[int, ...], playback: Playback) -> files.Input:
    return number_image(source, playback.seed) if isinstance(source, tuple) else files.open_source(source)


def stills_wanted(spec: str, format_name: str | None) -> bool:
    """Whether every frame goes to a file of its own.

    Raises:
        OutputError: the suffix and the format contradict each other.
    """
    return wants_svg(spec, format_name) or OutputSpec(spec, format_name).is_one_frame


def write_frames(
    animation: Animation, playback: Playback, spec: str, format_name: str | None, ledger: OutputLedger
) -> WrittenAnimation:
    """Write an animation that was made.

    Args:
        spec: a file, or ``-`` for standard output; a template with ``{frame}``, or a folder with the format
            ``svg``, for a still file of each frame.
        format_name: a format, ``svg`` included; None for the suffix's.

    Raises:
        OutputError: it cannot be written there, or in that format.
    """
    if stills_wanted(spec, format_name):
        return _write_stills(animation, spec, format_name, ledger)
    target, force = _target(OutputSpec(spec, format_name), animation), animation.settings.force
    if target.path is None:
        check_stream()
    else:
        ledger.claim(target.path, force)
    with open_draft(target.path, force) as draft:
        with encoding(target, draft):
            _encode(draft.file, target.format, animation, playback)
        draft.commit()
    names = str(target) if target.path else ""
    return WrittenAnimation(names, len(animation.frames), frame_size(animation), target.note)


def encoded_animation(animation: Animation, playback: Playback, format_name: str) -> bytes:
    """The file of an animation in a format that holds frames."""
    file = io.BytesIO()
    _encode(file, registry.format_named(format_name), animation, playback)
    return file.getvalue()


def _on_white(selection: Selection, shape: tuple[int, ...] | None, seed: int | None) -> Selection:
    """The selection; the numbers of a SHAPE are not pixels, so they are not drawn on grays."""
    if shape is None:
        return selection
    return replace(selection, plain=_PLAIN_NUMBERS, white=largest_number(shape, seed))


def _names_image(source: str) -> bool:
    return is_url(source) or Path(source).exists()


def _title(source: str) -> str:
    return "standard input" if source == files.STREAM else Path(source).name


def _target(output: OutputSpec, animation: Animation) -> Target:
    rows, columns = frame_size(animation)
    kind = OutputKind(np.dtype(np.uint8), 3, len(animation.frames), rows=rows, columns=columns)
    kind = replace(kind, options=(("--most 1", replace(kind, frames=1)),))
    (target,) = output.targets("animation", "slide", 1, registry.default_format(), kind)
    return target


def timing(animation: Animation, fps: Fraction | None, loops: bool) -> Timing:
    """The duration of every frame; in an animation that starts over, the last one stays for a while."""
    duration = 1 / (fps or (_NUMBERS_FPS if animation.is_grid else _IMAGES_FPS))
    last = max(duration, _LAST) if loops else duration
    return Timing((duration,) * (len(animation.frames) - 1) + (last,))


def _write_stills(
    animation: Animation, spec: str, format_name: str | None, ledger: OutputLedger
) -> WrittenAnimation:
    """Write every frame to a file of its own."""
    targets, force = frame_files(spec, format_name, len(animation.frames)), animation.settings.force
    for target in targets:
        if target.path is None:
            check_stream()
        else:
            ledger.claim(target.path, force, make_folder=True)
    for target, scene in zip(targets, frame_scenes(animation), strict=True):
        data = target.encoded(scene)
        if target.path is None:
            write_stream(data)
        else:
            write(target.path, data, force)
    names = " to ".join(
        dict.fromkeys(str(target.path) for target in (targets[0], targets[-1]) if target.path)
    )
    return WrittenAnimation(names, len(targets), frame_size(animation))


def _encode(file: BinaryIO, format_: Format, animation: Animation, playback: Playback) -> None:
    """Encode one frame after the other."""
    rows, columns = frame_size(animation)
    layout = Layout(rows, columns, 3, np.dtype(np.uint8), len(animation.frames))
    times = timing(animation, playback.fps, format_.repeats) if layout.frames > 1 else None
    encoder = format_.encoder(layout, Metadata(timing=times))
    frames = frame_pixels(animation)
    if format_.max_colors:
        frames = shared_colors(list(frames))
    encoder.write(file, _pieces(encoder, frames))


def _pieces(encoder: Encoder, frames: Iterator[Array]) -> Iterator[Any]:
    """The encoded frames, each copied first to where the encoder wants it."""
    for index, pixels in enumerate(frames):
        destination = encoder.destination(index, 0, len(pixels))
        if destination is not None:
            destination[...] = pixels
        yield encoder.strip(0, pixels if destination is None else destination)
