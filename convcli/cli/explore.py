"""``convcli explore``: an interactive page on which the kernel slides over an image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from convcli.cli import options
from convcli.cli.arguments import parse
from convcli.cli.command import DRAWING, MAIN, Command, option
from convcli.cli.console import say, send, tell
from convcli.cli.types import Value, integer
from convcli.layers.loaded import LoadedKernel
from convcli.pipeline.options import FilterOptions


@click.command(cls=Command)
@click.argument("image", metavar="IMAGE", is_eager=True, type=Value("IMAGE", files=True))
@options.kernel
@option(
    "-o",
    "--output",
    heading=MAIN,
    type=Value("PAGE", files=True),
    help="The page, or - for stdout (default: {stem}.html next to the input)",
)
@options.window
@options.mapping
@options.weights
@options.groups
@options.kernel_path
@options.weights_order
@options.channels
@options.max_pixels
@options.storage
@options.force
@option(
    "--side",
    heading=DRAWING,
    type=integer(8, 4096),
    default="1024",
    show_default=True,
    help="Shrink larger images to N pixels on the longer side",
)
def explore(
    image: str, kernel: LoadedKernel, output: str | None, side: int, force: bool, **parameters: Any
) -> None:
    """Make an interactive web page: the kernel slides over an image.

    \b
      convcli explore photo.png -k sobel-x -o page.html

    The page is a single file that opens in any browser, without a server. It shows every value with its
    patch, and every setting can be changed; the options set its initial state.
    """
    from convcli.core.errors import ConvcliError, failure_message
    from convcli.files.input import STREAM
    from convcli.files.ledger import OutputLedger
    from convcli.files.outputs import write
    from convcli.pipeline.resolving import settings_of
    from convcli.visualize.explore.page import page

    settings = settings_of(parse(FilterOptions, parameters), kernel.kernel)
    target = output or _next_to_input(image)
    if target != STREAM:
        OutputLedger([image], kernel.files).claim(Path(target), force)
    try:
        text = page(image, settings, side)
    except (ConvcliError, MemoryError) as error:
        raise ConvcliError(failure_message(image, error)) from error
    if target == STREAM:
        send(text)
        return
    write(Path(target), text.encode("utf-8"), force)
    for note in settings.notes:
        tell(note)
    say(f"written: {target}")


def _next_to_input(image: str) -> str:
    """The name of the page: that of the image, or standard output if that is where the image comes from."""
    from convcli.core.errors import ConvcliError
    from convcli.files.input import STREAM

    if image == STREAM:
        return STREAM
    if not Path(image).name:  # "", "." and "/" have no name to build on
        raise ConvcliError(f"{image or repr(image)}: is a folder; choose an image in it")
    return str(Path(image).with_suffix(".html"))
