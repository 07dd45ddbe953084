"""``convcli kernels separate`` and ``convcli kernels fit``: kernels that are computed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convcli.cli import options
from convcli.cli.arguments import parse
from convcli.cli.command import MAIN, OUTPUT, Command, option
from convcli.cli.console import say, tell
from convcli.cli.types import KernelName, PaddingText, Value, integer, sizes
from convcli.core.errors import ConvcliError, failure_message, one_line
from convcli.core.frozen import frozen
from convcli.files.input import STREAM
from convcli.layers.loaded import LoadedKernel

if TYPE_CHECKING:
    from convcli.core.dtypes import Array
    from convcli.kernels.kernel import Kernel

_output = option(
    "-o",
    "--output",
    heading=OUTPUT,
    type=Value("OUT", files=True),
    help="Write the kernel to a file (.yaml, .json, .csv, .npy, …)",
)


@click.command(cls=Command, short_help="Approximate a kernel by separable ones.")
@click.argument("kernel", type=KernelName(), metavar="KERNEL")
@option(
    "--rank",
    heading=MAIN,
    type=integer(1),
    default="1",
    show_default=True,
    help="Number of separable kernels",
)
@_output
@options.kernel_path
@options.force
@options.text_or_json
def separate(
    kernel: LoadedKernel,
    rank: int,
    output: str | None,
    kernel_path: tuple[str, ...],
    force: bool,
    report: str,
) -> None:
    """Approximate KERNEL by a sum of separable kernels, each a column times a row.

    \b
      convcli kernels separate log5 --rank 2
      convcli kernels separate disk:7 --rank 3 -o disk7.yaml

    The sum is the best approximation of its rank, by least squares; it is exact if KERNEL has no higher rank.
    """
    from convcli.core.tables import table, to_json
    from convcli.kernels.separation import as_dict, as_rows, separated, title

    separation = separated(kernel.kernel, rank)
    if output:
        _write(separation.kernel, output, kernel.files, force)
    if report == "json":
        say(to_json(as_dict(separation)))
        return
    say(title(separation))
    say(table(as_rows(separation)), end="")


@click.command(cls=Command, short_help="Find the kernel between two images.")
@click.argument("before", metavar="BEFORE", type=Value("BEFORE", files=True))
@click.argument("after", metavar="AFTER", type=Value("AFTER", files=True))
@option("--size", heading=MAIN, type=sizes("size"), required=True, help="Rows and columns of the kernel")
@option(
    "--padding",
    heading=MAIN,
    type=PaddingText(),
    help="Padding between the images (default: windows inside BEFORE only)",
)
@option("--bias", heading=MAIN, is_flag=True, help="Also fit a bias, a number added to every value")
@option("--no-round", heading=MAIN, is_flag=True, help="Keep the fitted weights; do not round to fractions")
@_output
@options.max_pixels
@options.storage
@options.force
@options.text_or_json
def fit(before: str, after: str, **parameters: Any) -> None:
    """Find the kernel that turns BEFORE into AFTER, by least squares.

    \b
      convcli kernels fit photo.png edges.tif --size 3
      convcli kernels fit photo.png soft.png --size 5 --bias -o soft.yaml

    Values are compared as they are stored, so write AFTER with --map raw; values that were scaled or clipped
    to pixels do not fit. All channels count; alpha does not.
    """
    _fit(before, after, parse(_FitOptions, parameters))


@frozen(eq=False)
class _FitOptions:
    """What is fitted, and where it goes."""

    size: tuple[int, ...]
    padding: str | None
    bias: bool
    no_round: bool
    output: str | None
    max_pixels: int | None
    force: bool
    report: str


def _fit(before: str, after: str, options: _FitOptions) -> None:
    from convcli.core.tables import table, to_json
    from convcli.geometry.padding import Padding
    from convcli.kernels.describe import matrices
    from convcli.kernels.fitting import as_dict, as_rows, fitted

    if before == after == STREAM:
        raise click.UsageError("standard input (-) is given twice")
    size = options.size * 2 if len(options.size) == 1 else options.size
    fitted_kernel = fitted(
        _pixels(before, options.max_pixels),
        _pixels(after, options.max_pixels),
        (size[0], size[1]),
        padding=Padding.parse(options.padding) if options.padding else None,
        bias=options.bias,
        rounding=not options.no_round,
        names=(_shown(before), _shown(after)),
    )
    if options.output:
        _write(fitted_kernel.kernel, options.output, (before, after), options.force)
    if options.report == "json":
        say(to_json(as_dict(fitted_kernel)))
        return
    for heading, lines in matrices(fitted_kernel.kernel):
        for line in [f"  {heading}"] * bool(heading) + [f"    {line}" for line in lines]:
            say(line)
    say("\n" + table(as_rows(fitted_kernel)), end="")


def _shown(name: str) -> str:
    return "standard input" if name == STREAM else one_line(Path(name).name)


def _pixels(name: str, max_pixels: int | None) -> Array:
    """The channels of an image that are not alpha, (rows, columns, channels)."""
    from convcli.files.input import Input
    from convcli.formats import opening

    try:
        with Input.open(name) as file:
            opened = opening.open_input(file, max_pixels)
            header = opened[0].header
            if len(opened) > 1 or header.frames > 1:
                raise ConvcliError("has several frames or pages; fit takes single images")
            pixels = opened[0].pixels()
    except (ConvcliError, MemoryError) as error:
        raise ConvcliError(failure_message(name, error)) from error
    return pixels[:, :, : header.channels - header.alpha]


def _write(kernel: Kernel, output: str, reads: tuple[str, ...], force: bool) -> None:
    """Write a kernel in the form that the file's suffix stands for."""
    from convcli.core.errors import OutputError
    from convcli.files.ledger import OutputLedger
    from convcli.files.outputs import write
    from convcli.kernels import writers

    if output == STREAM:
        raise OutputError("the report is written to standard output; give -o a file")
    form = writers.form_of_file(output)
    data = writers.write(kernel, form)
    for note in writers.notes(kernel, form):
        tell(note)
    OutputLedger([], reads).claim(Path(output), force)
    write(Path(output), data, force)
