"""``convcli explore``: a page on which a kernel slides over a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from convcli.cli import options
from convcli.cli.console import say, send, tell


@click.command()
@click.argument("image", metavar="IMAGE")
@options.kernel
@options.convolution
@options.values
@click.option(
    "-o",
    "--output",
    metavar="PAGE",
    help="The page, or - for standard output. Default: {stem}.html beside the input.",
)
@click.option(
    "--side",
    type=click.IntRange(8, 4096),
    default=1024,
    show_default=True,
    help="Pixels of the longer side; larger pictures are averaged to fit.",
)
@options.force
@options.max_pixels
def explore(image: str, **given: Any) -> None:
    """Make a page on which the kernel slides over IMAGE: every value from its patch, every setting to change.

    One file that any browser opens, without a server. The options are what it begins with.

    \b
      convcli explore photo.png --kernel sobel-x -o page.html
    """
    from convcli.cli.settings import settings_of
    from convcli.core.errors import ConvcliError, failure_message
    from convcli.files.atomic import write
    from convcli.files.input import STREAM
    from convcli.files.ledger import OutputLedger
    from convcli.visualize.explore.page import page

    settings = settings_of(given, given["kernel"])
    beside = STREAM if image == STREAM else str(Path(image).with_suffix(".html"))
    target = given["output"] or beside
    ledger = OutputLedger([image], options.kernel_files())
    if target != STREAM:
        ledger.claim(Path(target), given["force"])
    try:
        text = page(image, settings, given["side"])
    except (ConvcliError, MemoryError) as error:
        raise ConvcliError(failure_message(image, error)) from error
    if target == STREAM:
        send(text)
        return
    write(Path(target), text.encode("utf-8"), given["force"])
    for note in settings.notes:
        tell(note)
    say(f"written: {target}")
