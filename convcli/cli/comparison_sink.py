"""Where the report on a comparison goes: standard output or a file, pair by pair."""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from convcli.cli.arguments import ReportOptions
from convcli.cli.console import escaped, say, tell
from convcli.core.errors import ArgumentError
from convcli.files.ledger import OutputLedger

if TYPE_CHECKING:
    from convcli.comparison.report import Outcome
    from convcli.files.draft import Draft

_KINDS: Final = {".json": "json", ".jsonl": "json", ".ndjson": "json", ".csv": "csv"}
"""Forms of a report by the suffix of its file."""


class ComparisonSink:
    """Prints or writes what became of each pair, as it comes, and the total of folders.

    Args:
        folders: whether many pairs are compared.
        streams: whether a difference image goes to standard output; reports then go to standard error.
        stack: closes the file; without `close`, it never appears.

    Raises:
        ConvcliError: the report's file exists, or cannot be written.
    """

    def __init__(
        self, options: ReportOptions, folders: bool, streams: bool, ledger: OutputLedger, stack: ExitStack
    ) -> None:
        self.folders, self.stream = folders, sys.stderr if streams else sys.stdout
        self.kind, self.quiet = _kind(options, folders, streams), options.quiet
        self.counts: Counter[str] = Counter()
        self.draft: Draft | None = None
        if options.report_file == "-" and streams:
            raise ArgumentError("--report-file - and the difference image cannot both go to standard output")
        if options.report_file and options.report_file != "-":
            from convcli.files.outputs import open_draft

            ledger.claim(Path(options.report_file), options.force)
            self.draft = stack.enter_context(open_draft(Path(options.report_file), options.force))

    def add(self, outcome: Outcome) -> None:
        """Report on a pair."""
        from convcli.comparison import report

        first = not self.counts
        gap = "" if first else "\n"
        self.counts[outcome.verdict] += 1
        match self.kind:
            case "text" if outcome.comparison is not None:
                self._write(gap + report.as_block(outcome))
            case "text":
                self._write(gap + report.as_line(outcome))
            case "line":
                self._write(report.as_line(outcome))
            case "json":
                self._write(report.as_json(outcome))
            case "csv":
                self._write(report.as_csv(outcome, first))

    def close(self) -> None:
        """Report the total of folders, and put the file in its place."""
        from convcli.comparison import report

        if self.folders and self.kind == "json":
            self._write(report.total_json(self.counts))
        elif self.folders and self.kind == "csv" and not self.quiet:
            tell(report.total_text(self.counts))
        elif self.folders and self.kind != "none":
            gap = "\n" * (self.kind == "text")
            self._write(f"{gap}{report.total_text(self.counts)}\n")
        if self.draft is not None:
            self.draft.commit()

    def _write(self, text: str) -> None:
        if self.draft is None:
            say(text, end="", file=self.stream)
            return
        with self.draft.refusals():
            self.draft.file.write(escaped(text).encode("utf-8", "surrogateescape"))


def _kind(options: ReportOptions, folders: bool, streams: bool) -> str:
    """The report's form: as asked, as its file's suffix says, or one that suits the number of pairs."""
    text = "line" if folders else "text"
    if options.report:
        return options.report
    if options.report_file:
        return _KINDS.get(Path(options.report_file).suffix.casefold(), text)
    return "none" if options.quiet or streams else text
