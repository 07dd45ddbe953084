"""``convcli plan``: how a feature map would be computed, without a picture."""

from __future__ import annotations

from typing import Any

import click

from convcli.cli import options
from convcli.cli.console import say


@click.command()
@click.argument("size", metavar="ROWSxCOLUMNS[xCHANNELS]|IMAGE")
@options.kernel
@options.convolution
@click.option("--channels", type=options.Choice(["each", "gray", "sum"], case_sensitive=False))
@click.option(
    "--depth",
    type=options.Choice(["8", "16", "float"], case_sensitive=False),
    help="Of the image's values: 8 or 16 bits, or floats (default: the file's, 8 for a size).",
)
@options.precision
@options.method
@options.threads
@click.option("--report", type=options.Choice(["text", "json"], case_sensitive=False), default="text")
def plan(size: str, **given: Any) -> None:
    """How a feature map would be computed, and why: every method with its cost or its refusal.

    \b
      convcli plan 4000x6000 --kernel gaussian5
      convcli plan 4000x6000x3 --kernel box31 --depth 16
      convcli plan photo.png --kernel gaussian5

    Of an image file, the header gives the size, the channels and the depth.
    """
    import numpy as np

    from convcli.cli.settings import header_of, settings_of
    from convcli.core.frozen import replace
    from convcli.core.tables import to_json
    from convcli.pipeline.convolution import convolution_of
    from convcli.pipeline.report import plan_dict

    header = header_of(size)
    if given["depth"]:
        kind = {"8": np.uint8, "16": np.uint16, "float": np.float32}[given["depth"]]
        header = replace(header, dtype=np.dtype(kind))
    settings = settings_of({**given, "depth": None}, given["kernel"])
    found = convolution_of(header, settings).plan
    say(to_json(plan_dict(found)) if given["report"] == "json" else str(found))
