"""``convcli plan``: how a feature map would be computed, without a picture."""

from __future__ import annotations

from typing import Any

import click

from convcli.cli import options
from convcli.cli.console import say


@click.command()
@click.argument("size", metavar="ROWSxCOLUMNS[xCHANNELS]")
@options.kernel
@options.convolution
@click.option("--channels", type=options.Choice(["each", "gray", "sum"], case_sensitive=False))
@click.option(
    "--depth",
    type=options.Choice(["8", "16", "float"], case_sensitive=False),
    default="8",
    show_default=True,
    help="Of the picture: 8 or 16 bits, or floats.",
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
    """
    import numpy as np

    from convcli import task
    from convcli.cli.settings import settings_of
    from convcli.geometry import parse_sizes
    from convcli.images.base import Header
    from convcli.report import plan_dict, to_json

    rows, columns, channels = (*parse_sizes("size", size, (2, 3), "x"), 1)[:3]
    dtype = np.dtype({"8": np.uint8, "16": np.uint16, "float": np.float32}[given["depth"]])
    settings = settings_of({**given, "depth": None}, given["kernel"])
    header = Header("", rows, columns, channels, dtype)
    found = task.planned(header, settings)[-1]
    say(to_json(plan_dict(found)) if given["report"] == "json" else str(found))
