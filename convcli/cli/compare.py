"""``convcli compare``: how two images, or the images of two folders, differ."""

from __future__ import annotations

from contextlib import ExitStack
from math import inf
from typing import TYPE_CHECKING, Any

import click

from convcli.cli import options
from convcli.cli.arguments import ReportOptions, parse
from convcli.cli.command import DRAWING, INPUT, MAIN, REPORTS, VALUES, Command, option
from convcli.cli.comparison_sink import ComparisonSink
from convcli.cli.console import tell
from convcli.cli.types import Choice, Value, parse_frames, parse_length, parse_mapping
from convcli.core.errors import ArgumentError, ConvcliError, failure_message, shown
from convcli.core.frozen import frozen
from convcli.files.input import STREAM
from convcli.files.ledger import OutputLedger

if TYPE_CHECKING:
    from convcli.comparison.drawing import Drawing
    from convcli.comparison.folders import Pair
    from convcli.comparison.report import Outcome
    from convcli.comparison.settings import CompareSettings
    from convcli.pipeline.mapping import Mapping


@click.command(cls=Command)
@click.argument("a", metavar="A", type=Value("A", files=True))
@click.argument("b", metavar="B", type=Value("B", files=True))
@option(
    "--fail-above",
    heading=MAIN,
    type=Value("N", parse_length),
    default="0",
    show_default=True,
    help="Exit with 1 only if values differ by more than N",
    details="N is in units of the values. Different shapes, and NaN or infinity beside another value, always "
    "count, unless N is `inf`: then the exit code is 0 for any two images that can be read.",
)
@option(
    "-o",
    "--output",
    heading=MAIN,
    type=Value("OUT", files=True),
    help="Difference image: file, FOLDER/, template, or - for stdout",
    details="Differences are B − A. With two folders, OUT is a folder or a template, and only images that "
    "differ get one.",
)
@option(
    "--map",
    "mapping",
    heading=MAIN,
    type=Value("MAP", parse_mapping, "map"),
    default="signed",
    show_default=True,
    help="Difference to pixel: signed, abs, stretch, raw",
    details="With `signed`, 0 is the middle of the colormap, and the largest difference, or LIMIT of "
    "`signed:LIMIT`, is at its ends. `raw` keeps the differences, signed, for `.npy` and `.tif`.",
)
@option("-r", "--recursive", heading=MAIN, is_flag=True, help="Compare the images of subfolders too")
@option(
    "--colormap",
    heading=DRAWING,
    type=Choice(["diverging", "viridis", "gray"]),
    metavar="NAME",
    default="diverging",
    show_default=True,
    help="Colors of OUT: diverging, viridis or gray",
    details="Of several channels, the one that differs most is shown at each pixel. Black: NaN or infinity "
    "beside another value.",
)
@option(
    "--ssim",
    heading=VALUES,
    type=Choice(["uniform", "gaussian", "none"]),
    default="uniform",
    show_default=True,
    help="Windows of the structural similarity",
    details="`uniform` has 7×7 pixels and sample covariance, `gaussian` σ = 1.5, 11×11 pixels and population "
    "covariance. `none` leaves it out, which is faster.",
)
@option(
    "--data-range",
    heading=VALUES,
    type=Value("N", parse_length),
    help="Black to white, for PSNR and SSIM (default: of the type)",
    details="The default is 255 for 8 bits and 65535 for 16. For others it is 1 if all values are within "
    "0 to 1, otherwise the difference between the largest and the smallest value of both images.",
)
@option("--ignore-alpha", heading=VALUES, is_flag=True, help="Leave transparency out on both sides")
@option(
    "--frames",
    heading=INPUT,
    type=Value("all|N|A:B", parse_frames),
    default="all",
    show_default=True,
    help="Frame or page N, or A up to B, of both",
    details="Frames count from 0, negative ones from the end; B itself is excluded.",
)
@options.axes
@options.level
@options.max_pixels
@options.storage
@options.format_name
@options.force
@options.threads
@option(
    "--report",
    heading=REPORTS,
    type=Choice(["text", "line", "json", "csv", "none"]),
    metavar="FORM",
    help="Report format: text, line, json, csv or none",
    details="The default is `text` for two images, and `line` for two folders. `json` and `csv` have a line "
    "per pair.",
)
@options.report_file
@options.quiet
def compare(a: str, b: str, **parameters: Any) -> None:
    """Compare two images, or the images of two folders.

    \b
      convcli compare a.png b.png
      convcli compare a.npy b.tif --fail-above 1e-5
      convcli compare a.png b.png -o diff.png
      convcli compare a.png b.png -o diff.npy --map raw
      convcli compare expected/ results/ -r --report json
      convcli apply a.png -k box3 -o - | convcli compare - b.png

    The report has the largest difference and its place, mean, RMS, PSNR, SSIM and a histogram. The exit code
    is 0 if all values are the same, or within --fail-above; 1 if not; 2 if an image cannot be read. A and B
    (- is standard input) may have different formats; folders are compared by the names of their images.
    """
    if _differ(a, b, parse(_Options, parameters), parse(ReportOptions, parameters)):
        click.get_current_context().exit(1)


@frozen(eq=False)
class _Options:
    """What the command line asks for, besides reports."""

    fail_above: float = 0
    output: str | None = None
    mapping: Mapping | None = None
    recursive: bool = False
    colormap: str = "diverging"
    ssim: str = "uniform"
    data_range: float | None = None
    ignore_alpha: bool = False
    frames: slice = slice(None)
    axes: str | None = None
    level: int = 0
    max_pixels: int | None = None
    format_name: str | None = None
    force: bool = False
    threads: int | None = None


def _differ(a: str, b: str, asked: _Options, reports: ReportOptions) -> bool:
    """Compare and report; whether anything differs by more than the limit, or failed."""
    folders = _are_folders(a, b)
    ledger = OutputLedger([] if folders else [a, b])
    settings, drawing = _settings(asked), _drawing(asked, folders, (a, b), ledger)
    with ExitStack() as stack:
        sink = ComparisonSink(reports, folders, asked.output == STREAM, ledger, stack)
        if folders:
            return _compare_folders(a, b, asked, settings, drawing, sink)
        outcome = _outcome(a, b, "", asked, settings, drawing)
        sink.add(outcome)
        sink.close()
    return _counts(outcome, asked.fail_above)


def _compare_folders(
    a: str, b: str, asked: _Options, settings: CompareSettings, drawing: Drawing | None, sink: ComparisonSink
) -> bool:
    from convcli.comparison.folders import pairs, selection

    chosen = selection(asked.recursive, asked.output)
    differ = False
    for pair in pairs(a, b, chosen):
        outcome = _paired(pair, asked, settings, drawing)
        sink.add(outcome)
        differ = differ or _counts(outcome, asked.fail_above)
    if not sink.counts:
        hint = "" if asked.recursive else "; use -r to include subfolders"
        raise ArgumentError(f"no images found in {shown(a)} and {shown(b)}{hint}")
    if chosen.counts:
        tell(f"skipped files of unsupported formats: {chosen.unread_text}")
    sink.close()
    return differ


def _paired(pair: Pair, asked: _Options, settings: CompareSettings, drawing: Drawing | None) -> Outcome:
    """What became of a pair of two folders; a failure is reported, and the next pair follows."""
    from convcli.comparison.report import FAILED, ONLY_A, ONLY_B, Outcome
    from convcli.core.frozen import replace

    if pair.a is None or pair.b is None:
        return Outcome(pair.name, ONLY_B if pair.a is None else ONLY_A)
    if drawing is not None:
        folder = pair.name.rpartition("/")[0]
        drawing = replace(drawing, output=drawing.output.inside_folder(folder))
    try:
        return _outcome(pair.a, pair.b, pair.name, asked, settings, drawing)
    except (ConvcliError, MemoryError) as error:
        message = str(error) if isinstance(error, ConvcliError) else failure_message(pair.a, error)
        tell(message)
        return Outcome(pair.name, FAILED, error=message)


def _outcome(
    a: str, b: str, name: str, asked: _Options, settings: CompareSettings, drawing: Drawing | None
) -> Outcome:
    from convcli.comparison.files import compare_files
    from convcli.comparison.report import Outcome, verdict

    comparison = compare_files(a, b, settings, drawing, always=not name)
    return Outcome(name, verdict(comparison, asked.fail_above), comparison, ssim=asked.ssim)


def _counts(outcome: Outcome, limit: float) -> bool:
    """Whether the exit code is 1: a difference above the limit, or no pair that could be compared."""
    from convcli.comparison.report import DIFFERENT, IDENTICAL, WITHIN

    if outcome.verdict == DIFFERENT:
        return limit < inf
    return outcome.verdict not in (IDENTICAL, WITHIN)


def _are_folders(a: str, b: str) -> bool:
    """Whether both are folders of images.

    Raises:
        ArgumentError: only one of them is.
    """
    from convcli.comparison.folders import is_folder

    kinds = is_folder(a), is_folder(b)
    if kinds[0] != kinds[1]:
        folder, other = (a, b) if kinds[0] else (b, a)
        raise ArgumentError(
            f"{shown(folder)} is a folder, {shown(other)} is not; compare two images or two folders"
        )
    return kinds[0]


def _settings(asked: _Options) -> CompareSettings:
    from convcli.comparison.settings import CompareSettings

    if asked.data_range is not None and not 0 < asked.data_range < inf:
        raise click.UsageError("--data-range: must be a finite number above 0")
    return CompareSettings(
        asked.ssim,
        asked.data_range,
        asked.ignore_alpha,
        asked.frames,
        asked.axes or "",
        asked.level,
        asked.max_pixels,
        asked.threads,
    )


def _drawing(asked: _Options, folders: bool, inputs: tuple[str, str], ledger: OutputLedger) -> Drawing | None:
    """How difference images are written; None where none is wanted."""
    if asked.output is None:
        return None
    from convcli.comparison.drawing import Drawing
    from convcli.pipeline.mapping import Mapping
    from convcli.pipeline.naming import OutputSpec

    spec = OutputSpec(asked.output, asked.format_name)
    if folders:
        _check_folder(spec, inputs)
    return Drawing(spec, asked.mapping or Mapping("signed"), asked.colormap, ledger, asked.force)


def _check_folder(spec: Any, inputs: tuple[str, str]) -> None:
    """Refuse one file for many difference images, and a folder that is compared."""
    from convcli.storage.urls import canonical

    output = spec.spec or ""
    if spec.is_stream or spec.is_one_input:
        raise ArgumentError(
            f"{shown(output)}: the difference images of two folders need a folder, such as "
            f"{shown(output.partition('.')[0] or 'diff')}/, or a template with {{stem}}"
        )
    folder = canonical(output.partition("{")[0].rpartition("/")[0] or "." if "{" in output else output)
    compared = [canonical(name) for name in inputs]
    inside = "{" in output and any(f"{folder}/".startswith(f"{name}/") for name in compared)
    if inside or folder in compared or output.startswith("{dir}"):
        raise ArgumentError(
            f"{shown(output)}: is in a folder that is compared; use FOLDER/ with another folder"
        )
