"""``convcli animate``: the kernel slides over an image or numbers, as an animation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from convcli.cli import options
from convcli.cli.arguments import parse
from convcli.cli.command import DRAWING, MAIN, Command, option
from convcli.cli.console import say, tell
from convcli.cli.types import Value, integer, parse_number, parse_place, sizes
from convcli.core.frozen import frozen
from convcli.layers.loaded import LoadedKernel
from convcli.pipeline.options import FilterOptions

if TYPE_CHECKING:
    from fractions import Fraction

    from convcli.pipeline.settings import Settings
    from convcli.visualize.animate.content import Selection
    from convcli.visualize.animate.writer import Playback, WrittenAnimation


def _fps(text: str) -> Fraction:
    from convcli.visualize.animate.writer import FASTEST

    rate = parse_number(text)
    if not 0 < rate <= FASTEST:
        raise click.BadParameter(f"{text!r} is not a number above 0 and up to {FASTEST}")
    return rate


def _numbers(text: str) -> int | None:
    """A seed, or None for numbers in order."""
    if text.strip().casefold() == "ramp":
        return None
    if not text.strip().isdecimal() or len(text) > 12:
        raise click.BadParameter(f"{text!r} is not ramp or a seed (an integer from 0)")
    return int(text)


@frozen
class _AnimationOptions:
    """What is animated, and where it goes."""

    output: str
    format_name: str | None
    at: tuple[int, int] | None
    every: tuple[int, ...] | None
    most: int
    fps: Fraction | None
    numbers: int | None
    frame: int
    map_index: int | None
    shown_channels: tuple[str | slice, ...]
    stage: int | None

    @property
    def selection(self) -> Selection:
        from convcli.geometry.axes import per_axis
        from convcli.visualize.animate.content import Selection

        rows, columns = per_axis("every", self.every or 1, 2)
        every = (rows, columns) if self.every else None
        return Selection(every, self.most, self.at, self.frame, self.map_index, self.shown_channels)

    @property
    def playback(self) -> Playback:
        from convcli.visualize.animate.writer import Playback

        return Playback(self.fps, self.numbers, self.stage)


@click.command(cls=Command)
@click.argument("image", metavar="IMAGE|SHAPE", is_eager=True, type=Value("IMAGE", files=True))
@options.kernel
@option(
    "-o",
    "--output",
    heading=MAIN,
    type=Value("FILE", files=True),
    required=True,
    help="A .gif, .webp, .png, .mp4 or .mkv, or - for stdout",
    details="Other formats that hold several frames are allowed too. {frame} in the name writes each frame "
    "to its own file, such as slide-{frame:03}.svg; FOLDER/ with --format svg does so too.",
)
@option(
    "--show-map",
    "map_index",
    heading=MAIN,
    type=integer(),
    help="Feature map of a bank, from 0",
)
@options.show_channel
@options.window
@options.transposing
@options.mapping
@options.then
@option(
    "--stage",
    heading=MAIN,
    type=integer(1),
    help="With --then, stage whose kernel slides, from 1",
)
@options.weights
@options.kernel_path
@options.weights_order
@options.frame
@options.max_pixels
@options.storage
@option(
    "--numbers",
    heading=DRAWING,
    type=Value("SEED|ramp", _numbers),
    default="1",
    show_default=True,
    help="Values of a SHAPE: random digits by seed, or 0, 1, 2…",
)
@option(
    "--at",
    heading=DRAWING,
    type=Value("ROW,COL", parse_place),
    help="Show the region around this output as numbers, one output per frame",
)
@option(
    "--every",
    heading=DRAWING,
    type=sizes("every"),
    help="One frame per this many outputs (default: what --most allows)",
)
@option(
    "--most",
    heading=DRAWING,
    type=integer(1, 2000),
    default="100",
    show_default=True,
    help="Limit on the number of frames",
)
@option(
    "--fps",
    heading=DRAWING,
    type=Value("N", _fps),
    help="Frames per second, up to 50 (default: 2 for numbers, 8 for images)",
    details="The last frame stays for 2 seconds, except in videos.",
)
@options.format_name
@options.force
def animate(image: str, kernel: LoadedKernel, **parameters: Any) -> None:
    """Make an animation: the kernel slides over an image or numbers.

    \b
      convcli animate 4x4 -k '1 2; 0 1' --padding valid -o slide.gif
      convcli animate photo.png -k sobel-x -o slide.mp4
      convcli animate photo.png -k sobel-x --at 120,80 -o slide.webp
      convcli animate 4x4 -k box3 -o frames/ --format svg
      convcli animate 5x5x3 -k random:3x3x3x2 --show-map 0 -o layer.gif

    Each frame shows a patch, the kernel, their product and its sum in the feature map. A SHAPE such as 4x4
    or 5x5x3 is filled with numbers. Up to 14 × 14 values, padding included, are shown as numbers; larger
    images are shown as they are, with the window drawn on top. Color images are converted to brightness,
    unless the kernel takes several channels: then up to four of them are shown side by side.
    """
    from convcli.core.errors import ConvcliError, OutputError, failure_message
    from convcli.core.numerals import counted
    from convcli.pipeline.resolving import settings_of

    settings = settings_of(parse(FilterOptions, parameters), kernel.kernel)
    try:
        animation = _written(image, kernel, settings, parse(_AnimationOptions, parameters))
    except OutputError:
        raise
    except (ConvcliError, MemoryError) as error:
        raise ConvcliError(failure_message(image, error)) from error
    for note in (animation.note, *settings.notes):
        if note:
            tell(note)
    if animation.names:
        rows, columns = animation.size
        say(f"written: {animation.names}, {counted(animation.frames, 'frame')} of {columns}×{rows}")


def _written(
    image: str, kernel: LoadedKernel, settings: Settings, options: _AnimationOptions
) -> WrittenAnimation:
    from convcli.files.ledger import OutputLedger
    from convcli.visualize.animate.writer import write_animation

    ledger = OutputLedger([image], kernel.files)
    target = (options.output, options.format_name)
    return write_animation(image, settings, options.selection, options.playback, *target, ledger)
