"""``convcli apply``: filter images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convcli.cli import options
from convcli.cli.arguments import OutputOptions, PieceOptions, ReportOptions, parse
from convcli.cli.command import MAIN, Command, option
from convcli.cli.console import tell
from convcli.cli.pieces import PieceRun, are_pieces
from convcli.cli.report_sink import ReportSink
from convcli.cli.types import Value
from convcli.core.errors import ArgumentError, ConvcliError, failure_message, one_line, shown
from convcli.core.frozen import frozen, replace
from convcli.files.input import STREAM
from convcli.files.ledger import OutputLedger
from convcli.layers.loaded import LoadedKernel, files_of
from convcli.pipeline.options import FilterOptions, NetworkOptions

if TYPE_CHECKING:
    from convcli.cluster.base import Engine
    from convcli.pipeline.naming import OutputSpec
    from convcli.pipeline.reports.report import Report
    from convcli.pipeline.settings import Settings


@click.command(cls=Command)
@click.argument(
    "images", nargs=-1, required=True, metavar="IMAGE...", is_eager=True, type=Value("IMAGE", files=True)
)
@options.kernels_or_model
@option(
    "-o",
    "--output",
    heading=MAIN,
    type=Value("OUT", files=True),
    help="File, FOLDER/, template, - for stdout, or term: for the terminal",
    details="A template has the fields {dir}, {stem}, {kernel}, {index}, {frame} and {suffix}. The default "
    "is `{stem}.{kernel}{suffix}` next to the input.",
)
@options.window
@options.transposing
@options.mapping
@options.then
@options.weights
@options.groups
@options.kernel_path
@options.weights_order
@options.model
@options.until
@options.channels
@options.colors
@options.frames
@options.max_pixels
@options.storage
@options.format_name
@options.force
@options.stack
@options.coding
@options.strip
@options.drawing
@options.method
@options.steady
@options.precision
@options.threads
@options.max_memory
@options.axes
@options.level
@options.hdu
@options.pieces
@options.reports
def apply(images: tuple[str, ...], kernels: tuple[LoadedKernel, ...], **parameters: Any) -> None:
    """Filter images with one or more kernels.

    \b
      convcli apply photo.png -k gaussian:2 -o blurred.png
      convcli apply *.png -k sobel-x -o edges/
      convcli apply photo.png -k sobel-x -k box3 --sheet -o sheet.png
      convcli apply photo.png -k sobel-x --figure -o figure.svg
      convcli apply photo.png -k gaussian:2 --then laplacian8 --then relu
      convcli apply photo.png --model net.onnx --until conv1 --sheet -o maps.png
      convcli apply s3://photos/a.png -k sobel-x -o s3://edges/
      cat a.png | convcli apply - -k gaussian5 -o - > b.png

    The feature map of each IMAGE (- is standard input) is written as an image, with a report on standard
    output. The default name is {stem}.{kernel}{suffix} next to the input. Both may be URLs: s3://, gs://,
    az://; inputs also https://.
    """
    network = parse(NetworkOptions, parameters)
    _check_model(kernels, network)
    if network.model is not None:
        _check_lookups(parameters)
    run = _Run(
        images,
        kernels,
        network,
        parse(FilterOptions, parameters),
        parse(OutputOptions, parameters),
        parse(ReportOptions, parameters),
        parse(PieceOptions, parameters),
    )
    _check_pieces(run)
    if _failures(run):
        click.get_current_context().exit(1)


@frozen(eq=False)
class _Run:
    """What the command line asks for."""

    images: tuple[str, ...]
    kernels: tuple[LoadedKernel, ...]
    network: NetworkOptions
    filtering: FilterOptions
    output: OutputOptions
    reports: ReportOptions
    pieces: PieceOptions


def _failures(run: _Run) -> int:
    """Filter every image and return how many failed; a single image's failure is raised."""
    settings = _settings(run)
    masks = run.filtering.ignore.files if run.filtering.ignore else ()
    files = [*masks, *files_of(*run.kernels, *run.filtering.then)]
    ledger = OutputLedger(run.images, [*files, *filter(None, [run.network.model])])
    sink = ReportSink(run.images, run.output, run.reports, ledger)
    failed = 0
    with ExitStack() as stack:
        filtered = _filter(run, settings, ledger, stack)
        for image in run.images:
            try:
                sink.add(filtered(image))
            except (ConvcliError, MemoryError) as error:
                message = failure_message(image, error)
                if len(run.images) == 1:
                    raise ConvcliError(message) from error
                tell(message + _naming_hint(run, image))
                failed += 1
    if failed:
        tell(f"{failed} of {len(run.images)} images failed")
    sink.close()
    return failed


def _naming_hint(run: _Run, image: str) -> str:
    """What was meant by a second name that is no file: in other tools, that of the result."""
    is_result = run.images[1:] == (image,) and run.output.output is None and "//" not in image
    return f"; to name the result, use -o {shown(image)}" if is_result and not Path(image).exists() else ""


def _filter(
    run: _Run, settings: Sequence[Settings], ledger: OutputLedger, stack: ExitStack
) -> Callable[[str], Sequence[Report]]:
    """What is done with one image; ``stack`` ends what is begun here."""
    if run.output.draws:
        from convcli.cli.render import MapRenderer

        return MapRenderer.of(run.output, settings, ledger).apply
    from convcli.pipeline import job

    pieces = PieceRun(
        run.pieces,
        run.filtering.force,
        run.filtering.threads,
        run.reports.quiet,
        _connection(run.pieces.cluster, stack),
    )

    def filtered(image: str) -> Sequence[Report]:
        if are_pieces(image, settings, run.pieces):
            return pieces.apply(image, settings)
        return job.apply(image, *settings, ledger=ledger)

    return filtered


def _connection(address: str | None, stack: ExitStack) -> Callable[[], Engine]:
    """The engine at an address, connected on first use."""

    @cache
    def connected() -> Engine:
        from convcli.cluster.registry import engine_of

        return stack.enter_context(engine_of(address))

    return connected


def _check_model(kernels: tuple[LoadedKernel, ...], network: NetworkOptions) -> None:
    """Refuse a network with kernels, and neither."""
    if network.model is None and network.until is not None:
        raise click.UsageError("--until goes with --model, the file of a network")
    if network.model is not None and kernels:
        raise click.UsageError("--model is a whole network and cannot be combined with --kernel")
    if network.model is None and not kernels:
        raise click.UsageError("missing option -k/--kernel or --model")


def _check_pieces(run: _Run) -> None:
    """Refuse options that do not go with results in pieces, or with each other."""
    pieces = run.pieces
    if pieces.requests_pieces and run.output.draws:
        raise click.UsageError("drawings (--sheet, --figure, -o term:) are not made in pieces")
    if pieces.resume_job and run.filtering.force:
        raise click.UsageError("--resume continues a job, and --force starts over; give only one of them")
    if pieces.job_file is None:
        return
    if pieces.resume_job or pieces.cluster:
        other = "--resume" if pieces.resume_job else "--cluster"
        raise click.UsageError(f"--job only writes the job and cannot be combined with {other}")
    if len(run.images) > 1 or len(run.kernels) > 1:
        raise click.UsageError(
            f"--job takes one image and one kernel (got {len(run.images)} and {len(run.kernels)})"
        )


def _check_lookups(parameters: dict[str, Any]) -> None:
    """Refuse options that find and read kernels."""
    for name in ("kernel_path", "weights_order"):
        if isinstance(given := parameters.get(name), (str, tuple)) and given:
            raise click.UsageError(
                f"--{name.replace('_', '-')} goes with --kernel and cannot be combined with --model"
            )


def _settings(run: _Run) -> list[Settings]:
    """The settings of each result of an image.

    Raises:
        ArgumentError: they contradict each other, or the number of images or kernels.
    """
    from convcli.core.system import default_memory_limit
    from convcli.pipeline.naming import OutputSpec
    from convcli.pipeline.resolving import settings_of_kernels

    spec = None if run.output.terminal is not None else run.output.output
    output = OutputSpec(spec, None if run.output.draws else run.output.format_name)
    filtering = replace(run.filtering, max_memory=run.filtering.max_memory or default_memory_limit())
    if run.network.model is not None:
        from convcli.pipeline.network_settings import settings_of_network

        settings = [settings_of_network(filtering, run.network, output)]
    else:
        settings = settings_of_kernels(filtering, [kernel.kernel for kernel in run.kernels], output)
    if not run.output.draws:
        _check_kernels(len(settings), output, run.images)
    _check_images(run.images, output)
    return settings


def _check_kernels(count: int, output: OutputSpec, images: tuple[str, ...]) -> None:
    """Refuse one file for the maps of several kernels."""
    streams = output.spec is None and STREAM in images
    if count > 1 and (streams or output.is_one_kernel):
        raise ArgumentError(
            f"the maps of {count} kernels cannot all be written to "
            f"{one_line(output.spec or 'standard output')}; "
            f"use FOLDER/, {{kernel}} or {'--stack' if output.can_stack else '--sheet'}"
        )


def _check_images(images: tuple[str, ...], output: OutputSpec) -> None:
    """Refuse one file for the results of several images, and a standard input that is read twice."""
    if len(images) > 1 and (output.is_one_file or output.is_stream):
        raise ArgumentError(
            f"{len(images)} images cannot all be written to {one_line(output.spec or '')}; "
            "use FOLDER/ or {stem}"
        )
    if images.count(STREAM) > 1:
        raise ArgumentError("standard input (-) is given twice")
