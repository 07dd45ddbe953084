"""``convcli animate``: a kernel slides over a picture or numbers, as an animation."""

from __future__ import annotations

from typing import Any

import click

from convcli.cli import options
from convcli.cli.console import say, tell


def _fps(text: str) -> Any:
    from convcli.core.rational import parse_number
    from convcli.visualize.animate.writer import FASTEST

    try:
        found = parse_number(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: {error}") from error
    if not 0 < found <= FASTEST:
        raise click.BadParameter(f"{text!r} is not above 0 and up to {FASTEST}")
    return found


def _seed(text: str) -> int:
    """A seed, -1 for the numbers in order."""
    if text.strip().casefold() == "ramp":
        return -1
    if not text.strip().isdecimal() or len(text) > 12:
        raise click.BadParameter(f"{text!r} is not ramp, or a seed from 0")
    return int(text)


def _steps(text: str) -> tuple[int, ...]:
    from convcli.geometry.axes import parse_sizes

    return parse_sizes("every", text, (1, 2))


@click.command()
@click.argument("image", metavar="IMAGE|SHAPE")
@options.kernel
@options.convolution
@options.together(options.combine, options.scale, options.bias, options.layer, options.mapping)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    required=True,
    help="A .gif, .webp, .png, .mp4 or .mkv, or any other format that holds frames; - for standard output. "
    "{frame} in the name writes each frame to its own file, e.g. 'slide-{frame:03}.svg'; FOLDER/ with "
    "--format svg does so too.",
)
@click.option(
    "--at",
    type=options.Parsed("ROW,COL", options.parse_place),
    help="Show the part of the feature map that begins there, as numbers, one output after the other.",
)
@click.option(
    "--every",
    type=options.Parsed("N|ROWS,COLS", _steps),
    help="A frame for every so many outputs, down and across. Default: as few as --most allows.",
)
@click.option(
    "--most",
    type=click.IntRange(1, 2000),
    default=100,
    show_default=True,
    metavar="N",
    help="At most so many frames.",
)
@click.option(
    "--fps",
    type=options.Parsed("N", _fps),
    help="Frames a second, up to 50. Default: 2 for numbers, 8 for pictures. The last one stays 2 seconds, "
    "except in videos.",
)
@click.option(
    "--numbers",
    type=options.Parsed("SEED|ramp", _seed),
    default="1",
    show_default=True,
    help="Of a SHAPE: integers from 0 to 9 drawn with this seed, or 0, 1, 2, … in order.",
)
@click.option(
    "--frame", type=click.IntRange(0), default=0, metavar="N", help="Of an animation or pages, from 0."
)
@options.format_name
@options.force
@options.max_pixels
def animate(image: str, **given: Any) -> None:
    """Slide the kernel over IMAGE, or over numbers of a SHAPE such as 4x4: patch · kernel, sum, feature map.

    Up to 14 × 14 values, padding included, are shown as a grid of numbers, a larger picture as it is, with
    the window and what it reads. Of colors it is the brightness. Every number is one that explain prints.

    \b
      convcli animate 4x4 --kernel '1 2; 0 1' --padding valid -o slide.gif
      convcli animate photo.png --kernel sobel-x -o slide.mp4
      convcli animate photo.png --kernel sobel-x --at 120,80 -o slide.webp
      convcli animate 4x4 --kernel box3 -o frames/ --format svg
    """
    from convcli.cli.settings import settings_of
    from convcli.core.errors import ConvcliError, OutputError, failure_message
    from convcli.files.ledger import OutputLedger
    from convcli.geometry.axes import per_axis
    from convcli.visualize.animate.content import Selection
    from convcli.visualize.animate.writer import Playback, write_animation

    settings = settings_of(given, given["kernel"])
    rows, columns = per_axis("every", given["every"] or 1, 2)
    view = Selection((rows, columns) if given["every"] else None, given["most"], given["at"], given["frame"])
    show = Playback(given["fps"], None if given["numbers"] < 0 else given["numbers"])
    try:
        ledger = OutputLedger([image], options.kernel_files())
        made = write_animation(image, settings, view, show, given["output"], given["format_name"], ledger)
    except OutputError:
        raise
    except (ConvcliError, MemoryError) as error:
        raise ConvcliError(failure_message(image, error)) from error
    for note in (made.note, *settings.notes):
        if note:
            tell(note)
    if made.names:
        plural = "frame" if made.frames == 1 else "frames"
        rows, columns = made.size
        say(f"written: {made.names}, {made.frames} {plural} of {columns}×{rows}")
