"""Where a command's reports go: standard output or a file, as text, lines, JSON or CSV."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from convcli.cli.arguments import OutputOptions, ReportOptions
from convcli.cli.console import escaped, say
from convcli.core.errors import ArgumentError, OutputError
from convcli.files.ledger import OutputLedger
from convcli.files.outputs import write
from convcli.files.stdout import silence_stdout

if TYPE_CHECKING:
    from convcli.pipeline.reports.report import Report

_KINDS: Final = {".json": "json", ".jsonl": "json", ".ndjson": "json", ".csv": "csv"}
"""Forms of a report by the suffix of its file."""


def _streams(images: tuple[str, ...], output: OutputOptions) -> bool:
    """Whether results go to standard output."""
    return output.output == "-" or output.terminal is not None or (output.output is None and "-" in images)


def _kind(images: int, options: ReportOptions, streams: bool) -> str:
    """The report's form: as asked, as its file's suffix says, or one that suits the number of images."""
    text = "line" if images > 1 and not options.verbose else "text"
    if options.report:
        return options.report
    if options.report_file:
        return _KINDS.get(Path(options.report_file).suffix.casefold(), text)
    return "none" if options.quiet or streams else text


class ReportSink:
    """Where reports go, as they come: standard output or a file, as text, lines, JSON lines or CSV.

    Args:
        images: every image of the run.
        output: where the results go; reports make way for results on standard output.

    Raises:
        ArgumentError: the report and the results would both go to standard output.
        OutputError: the report's file exists, or cannot be written.
    """

    def __init__(
        self, images: tuple[str, ...], output: OutputOptions, options: ReportOptions, ledger: OutputLedger
    ) -> None:
        streams = _streams(images, output)
        self.kind = _kind(len(images), options, streams)
        self.verbose = options.verbose
        self.file = None if options.report_file == "-" and not streams else options.report_file
        self.force = options.force
        self.parts: list[str] = []
        self.count = 0
        self.stream = sys.stderr if streams else sys.stdout
        self.broken = ""
        if self.file == "-":
            raise ArgumentError("--report-file - and the results cannot both go to standard output")
        if self.file:
            ledger.claim(Path(self.file), self.force)

    def add(self, reports: Sequence[Report]) -> None:
        """Print one image's reports; a file is written at the end, all at once."""
        text = self._text(reports) if reports else ""
        self.count += 1
        if self.file:
            self.parts.append(escaped(text))
        elif text:
            self._show(text)

    def _show(self, text: str) -> None:
        """Print; if that fails, the remaining images are still filtered."""
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
        match self.kind:
            case "text":
                from convcli.pipeline.reports.text_form import as_block

                return ("\n" if self.count else "") + as_block(reports, self.verbose)
            case "line":
                from convcli.pipeline.reports.text_form import as_lines

                return as_lines(reports)
            case "json":
                from convcli.pipeline.reports.json_form import as_json

                return "".join(as_json(report) + "\n" for report in reports)
            case "csv":
                from convcli.pipeline.reports.csv_form import as_csv

                first = not self.count
                return "".join(as_csv(report, first and not row) for row, report in enumerate(reports))
        return ""

    def close(self) -> None:
        """Write the file.

        Raises:
            OutputError: the file cannot be written, or reports could not be printed.
        """
        if self.broken:
            raise OutputError(f"standard output: {self.broken}")
        if self.file:
            write(Path(self.file), "".join(self.parts).encode("utf-8", "surrogateescape"), self.force)
