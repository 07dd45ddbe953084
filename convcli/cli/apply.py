"""``convcli apply``: filter pictures."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from convcli.cli import options
from convcli.cli.console import escaped, say, tell
from convcli.drafts import Ledger, silence_stdout, write
from convcli.errors import ArgumentError, ConvcliError, OutputError, one_line, told
from convcli.files import STREAM

if TYPE_CHECKING:
    from convcli.report import Report
    from convcli.task import Settings

TERMINAL: Final = "term:"
"""What ``-o`` begins with where maps are looked at in the terminal."""


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@options.kernels
@options.convolution
@options.values
@options.colours
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
    each, ledger = _settings(images, given), Ledger(images, options.kernel_files())
    sink = ReportSink(images, given["output"], given, ledger)
    make = _maker(each, given, ledger)
    failed = 0
    for image in images:
        try:
            sink.add(make(image))
        except (ConvcliError, MemoryError) as error:
            message = told(image, error)
            if len(images) == 1:
                raise ConvcliError(message) from error
            tell(message)
            failed += 1
    if failed:
        tell(f"{failed} of {len(images)} images failed")
    sink.close()
    if failed:
        click.get_current_context().exit(1)


def _maker(each: list[Settings], given: dict[str, Any], ledger: Ledger) -> Callable[[str], list[Report]]:
    """What is done with one picture."""
    if _looks(given):
        from convcli.cli.looking import Looking

        return Looking.of(given, each, ledger).apply
    from convcli import job

    return lambda image: job.apply(image, *each, ledger=ledger)


def _looks(given: dict[str, Any]) -> bool:
    """Whether maps are drawn or shown, not written as they are."""
    return given["sheet"] or given["figure"] or (given["output"] or "").startswith(TERMINAL)


def _settings(images: tuple[str, ...], given: dict[str, Any]) -> list[Settings]:
    from convcli.cli.settings import each_settings
    from convcli.naming import Output
    from convcli.planner import most_memory
    from convcli.values import replace

    drawn, spec = _looks(given), given["output"]
    shown = (spec or "").startswith(TERMINAL)
    output = Output(None if shown else spec, None if drawn else given["format_name"])
    each = each_settings(given, given["kernels"], output)
    each = [replace(settings, max_memory=given["max_memory"] or most_memory()) for settings in each]
    streams = output.spec is None and STREAM in images
    if len(each) > 1 and not drawn and (streams or output.is_one_kernel):
        place = one_line(output.spec or "standard output")
        raise ArgumentError(
            f"the maps of {len(each)} kernels cannot all be written to {place}; "
            f"use FOLDER/, {{kernel}}, {'--stack' if output.stacks else '--sheet'}"
        )
    if len(images) > 1 and (output.is_one_file or output.is_stream):
        raise ArgumentError(
            f"{len(images)} images cannot all be written to {one_line(output.spec or '')}; "
            "use FOLDER/ or {stem}"
        )
    if images.count(STREAM) > 1:
        raise ArgumentError("standard input (-) stands twice")
    return each


_KINDS: Final = {".json": "json", ".jsonl": "json", ".ndjson": "json", ".csv": "csv"}
"""Forms of a report by the suffix of its file."""


class ReportSink:
    """Where reports go, as they come: standard output or a file, as text, lines, JSON lines or CSV."""

    def __init__(
        self, images: tuple[str, ...], output: str | None, given: dict[str, Any], ledger: Ledger
    ) -> None:
        streams = output == "-" or (output or "").startswith(TERMINAL) or (output is None and "-" in images)
        text = "line" if len(images) > 1 and not given["verbose"] else "text"
        default = "none" if given["quiet"] or streams else text
        suffix = Path(given["report_file"] or "").suffix.casefold()
        of_file = _KINDS.get(suffix, text) if given["report_file"] else default
        self.kind = given["report"] or of_file
        self.verbose = given["verbose"]
        self.file = None if given["report_file"] == "-" and not streams else given["report_file"]
        self.force = given["force"]
        self.parts: list[str] = []
        self.count = 0
        self.stream = sys.stderr if streams else sys.stdout
        self.broken = ""
        if self.file == "-":
            raise ArgumentError("--report-file - is standard output, where the picture goes")
        if self.file:
            ledger.claim(Path(self.file), self.force)

    def add(self, reports: Sequence[Report]) -> None:
        """Show one image's reports at once; a file is written at the end, whole."""
        text = self._text(reports) if reports else ""
        self.count += 1
        if self.file:
            self.parts.append(escaped(text))
        elif text:
            self._show(text)

    def _show(self, text: str) -> None:
        """Print; where that fails, the images are still made."""
        try:
            say(text, end="", file=self.stream)
            if self.stream is not None:
                self.stream.flush()
        except OSError as error:
            self.kind = "none"
            if self.stream is sys.stderr:
                return
            silence_stdout()
            self.broken = "" if isinstance(error, BrokenPipeError) else error.strerror or str(error)

    def _text(self, reports: Sequence[Report]) -> str:
        from convcli.reporttext import as_block, as_lines

        match self.kind:
            case "text":
                return ("\n" if self.count else "") + as_block(reports, self.verbose)
            case "line":
                return as_lines(reports)
            case "json":
                return "".join(report.as_json() + "\n" for report in reports)
            case "csv":
                first = not self.count
                return "".join(each.as_csv(first and not place) for place, each in enumerate(reports))
        return ""

    def close(self) -> None:
        """Write the file.

        Raises:
            OutputError: it cannot be written, or reports could not be printed.
        """
        if self.broken:
            raise OutputError(f"standard output: {self.broken}")
        if self.file:
            write(Path(self.file), "".join(self.parts).encode("utf-8", "surrogateescape"), self.force)
