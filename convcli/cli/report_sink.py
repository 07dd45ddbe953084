"""Where a command's reports go: standard output or a file, as text, lines, JSON or CSV."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from convcli.cli.console import escaped, say
from convcli.core.errors import ArgumentError, OutputError
from convcli.files.atomic import write
from convcli.files.ledger import OutputLedger
from convcli.files.stdout import silence_stdout

if TYPE_CHECKING:
    from convcli.pipeline.report import Report

TERMINAL: Final = "term:"
"""What ``-o`` begins with where maps are looked at in the terminal."""

_KINDS: Final = {".json": "json", ".jsonl": "json", ".ndjson": "json", ".csv": "csv"}
"""Forms of a report by the suffix of its file."""


class ReportSink:
    """Where reports go, as they come: standard output or a file, as text, lines, JSON lines or CSV."""

    def __init__(
        self, images: tuple[str, ...], output: str | None, given: dict[str, Any], ledger: OutputLedger
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
        from convcli.pipeline.report_text import as_block, as_lines

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
