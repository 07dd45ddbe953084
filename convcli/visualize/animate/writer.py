"""Writing animations: one file of any format that holds frames, or a still file for each frame."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.frozen import frozen, replace
from convcli.files import input as files
from convcli.files.draft import Draft
from convcli.files.ledger import OutputLedger
from convcli.files.outputs import open_draft, write
from convcli.files.stdout import check_stream, write_stream
from convcli.formats import registry
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
        spec: a file, or ``-`` for standard output; a template with ``{frame}``, or a folder with the format
            ``svg``, for a still file of each frame.
        format_name: a format, ``svg`` included; None for the suffix's.

    Raises:
        ConvcliError: the image cannot be read or shown, or the animation cannot be written.
    """
    stills = wants_svg(spec, format_name) or OutputSpec(spec, format_name).is_one_frame
    shape = None if _names_image(source) else parse_shape(source)
    with number_image(shape, playback.seed) if shape else files.Input.open(source) as file:
        title = shape_title(shape, playback.seed) if shape else _title(source)
        view = _on_white(selection, shape, playback.seed)
        made = stage_input(title, file, settings, view, playback.stage)
        animation = build_animation(made.title, made.file, made.settings, made.selection, made.names)
    ledger = ledger or OutputLedger([] if shape else [source])
    if stills:
        return _write_stills(animation, spec, format_name, ledger)
    target = _target(OutputSpec(spec, format_name), animation)
    if target.path is None:
        check_stream()
    else:
        ledger.claim(target.path, settings.force)
    with open_draft(target.path, settings.force) as draft:
        loops = target.format.repeats
        _encode(draft, target, animation, timing(animation, playback.fps, loops))
        draft.commit()
    names = str(target) if target.path else ""
    return WrittenAnimation(names, len(animation.frames), frame_size(animation), target.note)


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


def _encode(draft: Draft, target: Target, animation: Animation, timing: Timing) -> None:
    """Encode one frame after the other."""
    rows, columns = frame_size(animation)
    layout = Layout(rows, columns, 3, np.dtype(np.uint8), len(animation.frames))
    metadata = Metadata(timing=timing if layout.frames > 1 else None)
    encoder = target.format.encoder(layout, metadata)
    frames = frame_pixels(animation)
    if target.format.max_colors:
        frames = shared_colors(list(frames))
    with encoding(target, draft):
        encoder.write(draft.file, _pieces(encoder, frames))


def _pieces(encoder: Encoder, frames: Iterator[Array]) -> Iterator[Any]:
    """The encoded frames, each copied first to where the encoder wants it."""
    for index, pixels in enumerate(frames):
        destination = encoder.destination(index, 0, len(pixels))
        if destination is not None:
            destination[...] = pixels
        yield encoder.strip(0, pixels if destination is None else destination)
