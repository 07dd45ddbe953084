"""``convcli view``: images in the terminal."""

from __future__ import annotations

import click

from convcli.cli import options
from convcli.cli.command import DRAWING, Command, option
from convcli.cli.console import say, send, tell
from convcli.cli.types import Choice, Value


@click.command(cls=Command)
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...", type=Value("IMAGE", files=True))
@option(
    "--as",
    "protocol",
    heading=DRAWING,
    type=Choice(["blocks", "kitty", "iterm2"]),
    help="Draw with half blocks or a terminal's protocol (default: detected)",
)
@options.max_pixels
def view(images: tuple[str, ...], protocol: str | None, max_pixels: int | None) -> None:
    """Show images in the terminal.

    \b
      convcli view photo.png
      convcli apply photo.png -k sobel-x -o - | convcli view -
      convcli view --as blocks photo.png | less -R

    Each IMAGE (- is standard input) is reduced to fit; of several frames the first is shown. If standard
    output is not a terminal, nothing is shown without --as.
    """
    from convcli.core.errors import ConvcliError, failure_message
    from convcli.files.input import Input
    from convcli.formats import opening
    from convcli.visualize.display import to_display
    from convcli.visualize.terminal import NOTHING_SHOWN, detect_terminal, terminal_text

    terminal = detect_terminal(protocol or "")
    failed = 0
    for image in images:
        try:
            with Input.open(image) as file:
                opened = opening.open_input(file, max_pixels)[0]
                pixels = to_display(opened.pixels(), opened.header.bands)
        except (ConvcliError, MemoryError) as error:
            if len(images) == 1:
                raise ConvcliError(failure_message(image, error)) from error
            tell(failure_message(image, error))
            failed += 1
            continue
        if terminal is not None:
            if len(images) > 1:
                say(image)
            send(terminal_text(pixels, terminal))
    if terminal is None and failed < len(images):
        tell(f"{NOTHING_SHOWN}; --as blocks draws with characters anyway")
    if failed:
        click.get_current_context().exit(1)
