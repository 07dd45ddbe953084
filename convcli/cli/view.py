"""``convcli view``: pictures in the terminal."""

from __future__ import annotations

import click

from convcli.cli import options
from convcli.cli.console import say, send, tell


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option(
    "--as",
    "way",
    type=options.Choice(["blocks", "kitty", "iterm2"], case_sensitive=False),
    help="Half blocks, or a terminal's own protocol, also where there is no terminal. Default: what the "
    "environment says.",
)
@options.max_pixels
def view(images: tuple[str, ...], way: str | None, max_pixels: int | None) -> None:
    """Show each IMAGE in the terminal, as large as it fits; of several frames the first.

    An IMAGE of - is standard input. Nothing is shown where standard output is not a terminal,
    unless --as says how.

    \b
      convcli view photo.png
      convcli apply photo.png -k sobel-x -o - | convcli view -
      convcli view --as blocks photo.png | less -R
    """
    from convcli.core.errors import ConvcliError, failure_message
    from convcli.files.input import Input
    from convcli.formats import registry as formats
    from convcli.visualize.display import to_display
    from convcli.visualize.terminal import NOTHING_SHOWN, detect_terminal, terminal_text

    terminal = detect_terminal(way or "")
    failed = 0
    for image in images:
        try:
            with Input.open(image) as opened:
                picture = formats.open_input(opened, max_pixels)[0]
                pixels = to_display(picture.pixels(), picture.header.bands)
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
