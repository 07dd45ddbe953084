"""``convcli explain``: one pixel of a feature map from its inputs."""

from __future__ import annotations

from typing import Any

import click

from convcli.cli import options
from convcli.cli.console import say


@click.command()
@click.argument("image", metavar="IMAGE")
@options.kernel
@options.place
@options.convolution
@options.values
@options.colors
@options.precision
@options.method
@options.max_pixels
@click.option(
    "--frame", type=click.IntRange(0), default=0, metavar="N", help="Of an animation or pages, from 0."
)
@click.option("--report", type=options.Choice(["text", "json"], case_sensitive=False), default="text")
def explain(image: str, **given: Any) -> None:
    """One pixel of a feature map from its inputs: patch · kernel, sum, scale, bias, rounding.

    The options are those of apply, and the pixel is the one that apply writes. ROW,COL count from 0 in
    the feature map.

    \b
      convcli explain photo.png --kernel sharpen --at 0,0
      convcli explain photo.png -k sobel-x --stride 2,1 --padding valid --at 10,20
    """
    from convcli.cli.settings import settings_of
    from convcli.core.errors import ConvcliError, failure_message
    from convcli.core.tables import to_json
    from convcli.pipeline.naming import OutputSpec
    from convcli.visualize.explain.pixel import explain as explained
    from convcli.visualize.explain.text import as_dict, as_text

    settings = settings_of(given, given["kernel"], OutputSpec("./"))  # any folder holds several maps
    try:
        found = explained(image, settings, given["at"], given["frame"])
    except (ConvcliError, MemoryError) as error:
        raise ConvcliError(failure_message(image, error)) from error
    if given["report"] == "json":
        say(to_json(as_dict(found)))
    else:
        say(as_text(found), end="")
