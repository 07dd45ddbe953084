"""``convcli plan``: how a feature map would be computed."""

from __future__ import annotations

from typing import Any

import click

from convcli.cli import options
from convcli.cli.arguments import FilterOptions, parse
from convcli.cli.command import VALUES, Command, option
from convcli.cli.console import say
from convcli.cli.types import Choice, LoadedKernel, Value


@click.command(cls=Command)
@click.argument("size", metavar="ROWSxCOLUMNS[xCHANNELS]|IMAGE", is_eager=True, type=Value("SIZE"))
@options.kernel
@options.window
@options.transposing
@options.then
@options.kernel_path
@options.weights_order
@options.groups
@options.layer
@options.activation
@options.channels
@options.normalize
@option(
    "--depth",
    heading=VALUES,
    type=Choice(["8", "16", "float"]),
    help="Assume 8 or 16 bits, or floats (default: as the file, or 8)",
)
@options.method
@options.steady
@options.precision
@options.threads
@options.text_or_json
def plan(size: str, kernel: LoadedKernel, depth: str | None, report: str, **parameters: Any) -> None:
    """Show how a feature map would be computed, and why.

    \b
      convcli plan 4000x6000 -k gaussian5
      convcli plan 4000x6000x3 -k box31 --depth 16
      convcli plan photo.png -k gaussian5

    Every method is listed with its cost, or with the reason why it cannot be used. Only the header of an
    IMAGE is read.
    """
    import numpy as np

    from convcli.cli.headers import header_of
    from convcli.cli.settings import settings_of
    from convcli.core.frozen import replace
    from convcli.core.tables import to_json
    from convcli.pipeline.planning.convolution import convolution_of
    from convcli.pipeline.reports.json_form import plan_dict

    header = header_of(size)
    if depth:
        dtype = {"8": np.uint8, "16": np.uint16, "float": np.float32}[depth]
        header = replace(header, dtype=np.dtype(dtype))
    settings = settings_of(parse(FilterOptions, parameters), kernel.kernel)
    planned = convolution_of(header, settings).plan
    say(to_json(plan_dict(planned)) if report == "json" else str(planned))
