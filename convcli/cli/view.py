"""``convcli view``: images in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from convcli.cli import options
from convcli.cli.command import DRAWING, Command, option
from convcli.cli.console import say, send, tell
from convcli.cli.types import Choice, Value

if TYPE_CHECKING:
    from convcli.visualize.terminal import Terminal


@click.command(cls=Command)
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...", type=Value("IMAGE", files=True))
@option(
    "--as",
    "protocol",
    heading=DRAWING,
    type=Choice(["blocks", "kitty", "iterm2", "sixel"]),
    help="Half blocks, or a terminal's protocol (default: detected)",
)
@options.max_pixels
@options.storage
def view(images: tuple[str, ...], protocol: str | None, max_pixels: int | None) -> None:
    """Show images in the terminal.

    \b
      convcli view photo.png
      convcli apply photo.png -k sobel-x -o - | convcli view -
      convcli view --as blocks photo.png | less -R

    Each IMAGE (- is standard input) is scaled down to fit; only the first frame of an animation is shown. If
    standard output is not a terminal, --as is required.
    """
    from convcli.core.errors import ConvcliError, failure_message
    from convcli.visualize.terminal import NOTHING_SHOWN, detect_terminal

    terminal = detect_terminal(protocol or "")
    failed = 0
    for image in images:
        try:
            _show(image, terminal, max_pixels, image if len(images) > 1 else "")
        except (ConvcliError, MemoryError) as error:
            if len(images) == 1:
                raise ConvcliError(failure_message(image, error)) from error
            tell(failure_message(image, error))
            failed += 1
    if terminal is None and failed < len(images):
        tell(f"{NOTHING_SHOWN}; use --as blocks to draw with characters")
    if failed:
        click.get_current_context().exit(1)


def _show(image: str, terminal: Terminal | None, max_pixels: int | None, title: str) -> None:
    """Decode an image and, if there is a terminal, show it below its title."""
    from convcli.files.input import Input
    from convcli.formats.opening import open_input
    from convcli.visualize.display import to_display
    from convcli.visualize.terminal import terminal_text

    with Input.open(image) as file:
        opened = open_input(file, max_pixels)[0]
        pixels = to_display(opened.pixels(), opened.header.bands)
    if terminal is not None:
        if title:
            say(title)
        send(terminal_text(pixels, terminal))
