"""``convcli apply``: filter pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from convcli.cli import options
from convcli.cli.console import tell
from convcli.cli.report_sink import TERMINAL, ReportSink
from convcli.core.errors import ArgumentError, ConvcliError, failure_message, one_line
from convcli.files.input import STREAM
from convcli.files.ledger import OutputLedger

if TYPE_CHECKING:
    from convcli.pipeline.report import Report
    from convcli.pipeline.settings import Settings


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@options.kernels
@options.convolution
@options.values
@options.colors
@options.stack
@options.drawn
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    help="A file, FOLDER/, a template of {dir}/ {stem} {kernel} {index} {frame} {suffix}, - for standard "
    "output, or term: to show it in the terminal. "
    "Default: {stem}.{kernel}{suffix} beside the input.",
)
@options.format_name
@options.coding
@options.frames
@options.strip
@options.force
@options.max_memory
@options.work
@options.reports
def apply(images: tuple[str, ...], **given: Any) -> None:
    """Convolve each IMAGE with a kernel, or several, and write its feature maps as pictures.

    An IMAGE of - is standard input.

    \b
      convcli apply photo.png --kernel box3
      convcli apply *.png -k sobel-x -o edges/
      convcli apply photo.png -k sobel-x -k box3 --sheet -o sheet.png
      convcli apply photo.png -k sobel-x --figure -o figure.svg
      cat a.png | convcli apply - -k gaussian5 -o - > b.png
    """
    each, ledger = _settings(images, given), OutputLedger(images, options.kernel_files())
    sink = ReportSink(images, given["output"], given, ledger)
    make = _maker(each, given, ledger)
    failed = 0
    for image in images:
        try:
            sink.add(make(image))
        except (ConvcliError, MemoryError) as error:
            message = failure_message(image, error)
            if len(images) == 1:
                raise ConvcliError(message) from error
            tell(message)
            failed += 1
    if failed:
        tell(f"{failed} of {len(images)} images failed")
    sink.close()
    if failed:
        click.get_current_context().exit(1)


def _maker(
    each: list[Settings], given: dict[str, Any], ledger: OutputLedger
) -> Callable[[str], list[Report]]:
    """What is done with one picture."""
    if _looks(given):
        from convcli.cli.render import MapRenderer

        return MapRenderer.of(given, each, ledger).apply
    from convcli.pipeline import job

    return lambda image: job.apply(image, *each, ledger=ledger)


def _looks(given: dict[str, Any]) -> bool:
    """Whether maps are drawn or shown, not written as they are."""
    return given["sheet"] or given["figure"] or (given["output"] or "").startswith(TERMINAL)


def _settings(images: tuple[str, ...], given: dict[str, Any]) -> list[Settings]:
    from convcli.cli.settings import each_settings
    from convcli.core.frozen import replace
    from convcli.core.system import default_memory_limit
    from convcli.pipeline.naming import OutputSpec

    drawn, spec = _looks(given), given["output"]
    shown = (spec or "").startswith(TERMINAL)
    output = OutputSpec(None if shown else spec, None if drawn else given["format_name"])
    each = each_settings(given, given["kernels"], output)
    each = [replace(settings, max_memory=given["max_memory"] or default_memory_limit()) for settings in each]
    streams = output.spec is None and STREAM in images
    if len(each) > 1 and not drawn and (streams or output.is_one_kernel):
        place = one_line(output.spec or "standard output")
        raise ArgumentError(
            f"the maps of {len(each)} kernels cannot all be written to {place}; "
            f"use FOLDER/, {{kernel}}, {'--stack' if output.can_stack else '--sheet'}"
        )
    if len(images) > 1 and (output.is_one_file or output.is_stream):
        raise ArgumentError(
            f"{len(images)} images cannot all be written to {one_line(output.spec or '')}; "
            "use FOLDER/ or {stem}"
        )
    if images.count(STREAM) > 1:
        raise ArgumentError("standard input (-) stands twice")
    return each
