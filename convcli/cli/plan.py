"""``convcli plan``: how a feature map would be computed."""

from __future__ import annotations

from typing import Any

import click

from convcli.cli import options
from convcli.cli.arguments import PieceOptions, parse
from convcli.cli.command import PIECES, VALUES, Command, option
from convcli.cli.console import say
from convcli.cli.types import Choice, Value
from convcli.layers.loaded import LoadedKernel
from convcli.pipeline.options import FilterOptions


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
    type=Choice(["8", "16", "half", "float"]),
    help="Assume 8 or 16 bits, or floats (default: as the file, or 8)",
)
@options.method
@options.steady
@options.precision
@options.threads
@options.text_or_json
@option(
    "-o",
    "--output",
    heading=PIECES,
    type=Value("OUT", files=True),
    help="Where the result of an IMAGE would go, if it is made in pieces",
)
@options.axes
@options.level
@options.hdu
@options.cluster
@options.piece_size
@options.chunk
@options.shard
@options.worker_memory
def plan(
    size: str,
    kernel: LoadedKernel,
    depth: str | None,
    report: str,
    output: str | None,
    **parameters: Any,
) -> None:
    """Show how a feature map would be computed, and why.

    \b
      convcli plan 4000x6000 -k gaussian5
      convcli plan 4000x6000x3 -k box31 --depth 16
      convcli plan photo.png -k gaussian5
      convcli plan in.zarr -k gaussian5 -o out.zarr --cluster local:4

    Every method is listed with its cost, or with the reason why it cannot be used. Only the header of an
    IMAGE is read. With -o or --cluster, the pieces of the result are described too.
    """
    import numpy as np

    from convcli.cli.headers import header_of
    from convcli.cli.pieces import pieces_text
    from convcli.core.frozen import replace
    from convcli.core.tables import to_json
    from convcli.pipeline.naming import OutputSpec
    from convcli.pipeline.planning.convolution import convolution_of
    from convcli.pipeline.reports.json_form import plan_dict
    from convcli.pipeline.resolving import settings_of

    pieces = parse(PieceOptions, parameters)
    settings = settings_of(parse(FilterOptions, parameters), kernel.kernel, OutputSpec(output))
    if pieces.cluster or output:
        say(pieces_text(size, settings, pieces, report))
        return
    header = header_of(size)
    if depth:
        dtype = {"8": np.uint8, "16": np.uint16, "half": np.float16, "float": np.float32}[depth]
        header = replace(header, dtype=np.dtype(dtype))
    planned = convolution_of(header, settings).plan
    say(to_json(plan_dict(planned)) if report == "json" else str(planned))
