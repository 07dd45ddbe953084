"""``convcli batch``: filter many pictures, past every failure."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from convcli.cli import options
from convcli.cli.console import clear_line, say, tell
from convcli.core.errors import ArgumentError, OutputError, one_line
from convcli.files.input import STREAM

if TYPE_CHECKING:
    from convcli.batch.batch import Batch, Limits
    from convcli.batch.inputs import InputFile
    from convcli.batch.resume import RemainingWork

_EVERY: Final = 5.0  # seconds between lines of progress where there is no terminal


@click.command()
@click.argument("sources", nargs=-1, metavar="SOURCE... DESTINATION")
@options.kernels
@options.convolution
@options.values
@options.colors
@options.stack
@options.colormap
@options.format_name
@options.coding
@options.frames
@options.strip
@options.force
@click.option(
    "-o",
    "--output",
    "destination",
    metavar="DESTINATION",
    help="The DESTINATION, wherever it stands; every argument is then a SOURCE, as xargs appends them.",
)
@click.option("-r", "--recursive", is_flag=True, help="Include subfolders, and keep their tree.")
@click.option(
    "--from-file", type=click.Path(), metavar="LIST", help="Also read names from a file, one per line."
)
@click.option("-0", "--null", is_flag=True, help="Names in lists end with NUL, as find -print0 writes them.")
@click.option("-n", "--dry-run", is_flag=True, help="Show every input with its outputs, and do nothing.")
@click.option(
    "--report",
    metavar="FILE",
    help="The manifest: a row for each feature map and each failure, in a .jsonl or .csv file, or - for JSON "
    "lines on standard output.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Continue from the manifest, making only results whose input, settings or destination differ.",
)
@click.option(
    "--on-error",
    type=options.Choice(["continue", "stop"], case_sensitive=False),
    default="continue",
    show_default=True,
    help="After a picture that fails.",
)
@click.option(
    "-j", "--jobs", type=click.IntRange(1, 1024), metavar="N", help="Worker processes; one a processor."
)
@click.option(
    "--max-memory",
    type=options.Parsed("BYTES", options.parse_bytes),
    help="What all workers together may take, such as 2G; half of the machine's. A picture that needs more "
    "than its share waits until it is alone.",
)
@options.work
@options.quiet
def batch(sources: tuple[str, ...], **given: Any) -> None:
    """Filter the pictures of each SOURCE, and put the results into the folder DESTINATION.

    A SOURCE is an image, a folder, a pattern such as 'in/*.png', or - for a list of names on standard input.
    DESTINATION is a folder, which is created if needed, or a template such as out/{stem}{suffix}. Names from
    a list keep their folders there, as -r does. With several kernels, each image is decoded once.

    \b
      convcli batch photos/ edges/ -k sobel-x --map signed:1020
      convcli batch -r album/ out/ -k box3 -k sharpen --report out.jsonl
      find . -name '*.png' -print0 | convcli batch -0 - out/ -k gaussian5
    """
    from convcli.batch.batch import Limits
    from convcli.batch.manifest import Manifest
    from convcli.batch.resume import remaining_work

    found = _batch(sources, given, Limits.detect(given["jobs"], given["max_memory"]))
    if given["resume"] and not given["report"]:
        raise ArgumentError("--resume needs the manifest of the earlier run: --report FILE")
    manifest = Manifest(given["report"], given["resume"], given["force"]) if given["report"] else None
    log = given["report"] if manifest is not None and manifest.path is not None else None
    found.check(log)
    due = remaining_work(found, manifest, lock=not given["dry_run"])
    if str(due) and not given["quiet"]:
        tell(f"{one_line(given['report'])}: {due}")
    if given["dry_run"]:
        _show(found, due)
        return
    _run(found, manifest, due, given)


def _batch(arguments: tuple[str, ...], given: dict[str, Any], limits: Limits) -> Batch:
    from convcli.batch.batch import Batch
    from convcli.cli.settings import each_settings
    from convcli.pipeline.naming import OutputSpec

    names, destination = list(arguments), given["destination"]
    if destination is None:
        *names, destination = arguments or ("",)
    if not destination or not (names or given["from_file"]):
        raise ArgumentError("batch needs a SOURCE and a DESTINATION, which is the last")
    _check_destination(destination)
    spec = destination if "{" in destination else f"{destination.rstrip('/') or '/'}/"
    folder = Path(spec)
    sources = _sources(names, given, None if "{" in destination else folder)
    output = OutputSpec(spec, given["format_name"])
    if len(sources) > 1 and output.is_one_input and len({source.folder for source in sources}) == 1:
        raise ArgumentError(
            f"{len(sources)} images would all be written to {one_line(spec)}; use {{stem}} or a folder"
        )
    each = each_settings(given, given["kernels"], output)
    if len(each) > 1 and output.is_one_kernel:
        raise ArgumentError(
            f"the maps of {len(each)} kernels would all be written to {one_line(spec)}; "
            "use a folder, {kernel} or --stack"
        )
    lists = [given["from_file"]] if given["from_file"] else []
    return Batch(sources, each, limits, given["resume"], [*lists, *options.kernel_files()])


def _check_destination(text: str) -> None:
    """Refuse what is no folder, or looks like the name of a single image."""
    from convcli.formats.registry import readable

    if text == STREAM:
        raise ArgumentError("the DESTINATION of a batch is a folder or a template, not standard output")
    if "{" in text or text.endswith("/") or Path(text).is_dir():
        return
    if Path(text).exists():
        raise ArgumentError(
            f"{one_line(text)}: is a file; the DESTINATION (the last argument or -o) is a folder or template"
        )
    if Path(text).suffix.casefold() in readable():
        raise ArgumentError(
            f"{one_line(text)}: the DESTINATION of a batch is a folder or a template; for one image, use "
            f"convcli apply -o {one_line(text)}, for a folder of that name {one_line(text)}/"
        )


def _sources(names: list[str], given: dict[str, Any], destination: Path | None) -> list[InputFile]:
    from convcli.batch.inputs import SourceName, count_by_suffix, find_images, read_list
    from convcli.formats.registry import UNREAD, readable

    lists = [given["from_file"]] if given["from_file"] else []
    if names.count(STREAM) + lists.count(STREAM) > 1:
        raise ArgumentError("standard input (-) stands twice")
    wanted: list[SourceName] = []
    for name in names:
        if name != STREAM:
            wanted.append(SourceName(name))
        elif sys.stdin is None:
            raise ArgumentError("standard input is closed")
        else:
            wanted += read_list(sys.stdin.buffer, given["null"])
    for name in lists:
        try:
            with Path(name).open("rb") as file:
                wanted += read_list(file, given["null"])
        except OSError as error:
            raise ArgumentError(f"{one_line(name)}: {error.strerror}") from error
    found = find_images(wanted, given["recursive"], readable(), destination)
    unread = count_by_suffix(wanted, given["recursive"], UNREAD, destination)
    if unread and not given["quiet"]:
        tell(f"skipped files of unsupported formats: {unread}")
    if not found and any(name != STREAM for name in names):
        below = not given["recursive"] and find_images(wanted, True, readable(), destination)
        hint = "; use -r to include subfolders" if below else ""
        raise ArgumentError(f"no images found in any SOURCE{hint}")
    return found


def _show(batch: Batch, due: RemainingWork) -> None:
    """Every input that is to be done with its outputs, as they would be; what would fail, with the reason."""
    from convcli.batch.claims import Claims
    from convcli.core.errors import ConvcliError, failure_message
    from convcli.files.input import Input
    from convcli.pipeline import job

    failed, claims = 0, Claims(batch)
    for number, wanted in due.todo.items():
        source = batch.sources[number]
        try:
            with Input.open(source.path, pipes=False) as opened:
                each = batch.settings_for(source)
                todo = job.planned_results(source.path, opened, [each[index] for index in wanted])
                places = [target.path for _, tasks in todo for target in tasks[0].targets]
            claims.check(source, places)
            for place in places:
                say(f"{source.path} → {place}")
        except ConvcliError as error:
            failed += 1
            tell(failure_message(source.path, error))
    if failed:
        click.get_current_context().exit(1)


def _run(batch: Batch, manifest: Any, due: RemainingWork, given: dict[str, Any]) -> None:
    from convcli.batch.run import run

    progress = _Progress(len(batch.sources), given["quiet"])
    broken = False
    with ExitStack() as stack:
        stack.callback(progress.end)
        going = stack.enter_context(closing(run(batch, manifest, due, given["on_error"] == "stop")))
        try:
            for done in going:
                progress.add(done)
        except OutputError as error:  # the manifest's disk is full; what is made is made
            tell(error)
            broken = True
    if progress.failed or broken:
        click.get_current_context().exit(1)


class _Progress:
    """A bar on a terminal, a line every few seconds elsewhere, and a line at the end."""

    def __init__(self, total: int, quiet: bool) -> None:
        self.total, self.quiet = total, quiet
        self.made = self.skipped = self.failed = 0
        self.begun = self.shown = time.monotonic()
        self.bar: Any = None
        if not quiet and sys.stderr is not None and sys.stderr.isatty():
            self.bar = click.progressbar(
                length=total, file=sys.stderr, show_pos=True, item_show_func=lambda _: self._rate()
            )
            self.bar.__enter__()

    def add(self, done: Any) -> None:
        """Count an image, and report a failure at once."""
        if done.error:
            self.failed += 1
            if self.bar is not None:
                clear_line()
            tell(done.error)
        elif done.skipped:
            self.skipped += 1
        else:
            self.made += 1
        if self.bar is not None:
            self.bar.update(1, done)
        elif not self.quiet and time.monotonic() - self.shown > _EVERY:
            self.shown = time.monotonic()
            tell(f"{self._count} of {self.total} images, {self._rate()}{self._left()}")

    @property
    def _count(self) -> int:
        return self.made + self.skipped + self.failed

    def _rate(self) -> str:
        rate = (self.made + self.failed) / max(time.monotonic() - self.begun, 1e-3)
        return f"{rate:.0f} images/s" if rate >= 10 else f"{rate:.1f} images/s"

    def _left(self) -> str:
        worked = self.made + self.failed
        if not worked:
            return ""
        return f", about {(time.monotonic() - self.begun) / worked * (self.total - self._count):.0f} s left"

    def end(self) -> None:
        """The counts, and how quickly it went."""
        if self.bar is not None:
            self.bar.__exit__(None, None, None)
        if self.quiet:
            return
        if not self.total:
            tell("the list of names is empty; nothing to do")
            return
        seconds = time.monotonic() - self.begun
        left = self.total - self._count
        ended = f", {left} not started" if left else ""
        rate = f" ({self._rate()})" if self.made + self.failed else ""
        tell(
            f"{self.made} done, {self.skipped} skipped, {self.failed} failed{ended} in {seconds:.1f} s{rate}"
        )
