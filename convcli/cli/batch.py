"""``convcli batch``: filter many images."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convcli.cli import options
from convcli.cli.arguments import BatchOptions, parse
from convcli.cli.command import COMPUTING, INPUT, MAIN, OUTPUT, REPORTS, Command, option
from convcli.cli.console import say, tell
from convcli.cli.progress import Progress
from convcli.cli.types import Choice, Value, integer, named_file, parse_bytes, parse_cluster
from convcli.core.errors import ArgumentError, OutputError, shown
from convcli.core.frozen import replace
from convcli.core.paths import ends_as_folder
from convcli.files.input import STREAM
from convcli.layers.loaded import LoadedKernel, files_of
from convcli.pipeline.options import FilterOptions
from convcli.storage.urls import canonical, is_bucket, is_remote, is_writable, local, protocol_of

if TYPE_CHECKING:
    from convcli.batch.batch import Batch
    from convcli.batch.inputs import InputFile, Selection, SourceName
    from convcli.batch.manifest import Manifest
    from convcli.batch.resume import RemainingWork
    from convcli.pipeline.naming import OutputSpec
    from convcli.pipeline.settings import Settings
    from convcli.storage.urls import Place


@click.command(cls=Command)
@click.argument("sources", nargs=-1, metavar="SOURCE... DESTINATION", type=Value("SOURCE", files=True))
@options.kernels
@option(
    "-o",
    "--output",
    "destination",
    heading=MAIN,
    type=Value("DESTINATION", files=True),
    help="The DESTINATION, if it is not the last argument (for xargs)",
)
@option("-r", "--recursive", heading=MAIN, is_flag=True, help="Include subfolders, and keep their structure")
@options.window
@options.transposing
@options.mapping
@options.then
@options.weights
@options.groups
@options.kernel_path
@options.weights_order
@options.channels
@options.colors
@option(
    "--from-file",
    heading=INPUT,
    type=Value("LIST", files=True),
    help="Also read names from a file, one per line",
)
@option(
    "-0", "--null", heading=INPUT, is_flag=True, help="Names in lists end with NUL (as from find -print0)"
)
@options.frames
@options.max_pixels
@options.storage
@options.format_name
@options.force
@options.stack
@options.coding
@options.strip
@options.colormap
@option(
    "-n", "--dry-run", heading=OUTPUT, is_flag=True, help="Show each input with its outputs; write nothing"
)
@options.method
@options.steady
@options.precision
@options.threads
@option(
    "-j",
    "--jobs",
    heading=COMPUTING,
    type=integer(1, 1024),
    help="Number of worker processes (default: one per CPU)",
)
@option(
    "--cluster",
    heading=COMPUTING,
    type=Value("ADDRESS", parse_cluster),
    help="Dask cluster: tcp://HOST:PORT, tls://…, local[:N], file:JSON, env",
    details="For any number of images: some are filtered while others are being listed, and --report may be "
    "a folder of numbered files, such as rows/.",
)
@option(
    "--max-memory",
    heading=COMPUTING,
    type=Value("BYTES", parse_bytes),
    help="Limit for all workers combined, e.g. 2G (default: half of RAM)",
    details="An image that needs more than its share waits until it can run alone.",
)
@option(
    "--report",
    heading=REPORTS,
    type=Value("FILE", named_file, files=True),
    help="Manifest: one row per feature map and failure; .jsonl, .csv or -",
    details="With `-`, JSON lines on standard output.",
)
@option(
    "--resume",
    heading=REPORTS,
    is_flag=True,
    help="Continue from the manifest, skipping finished, unchanged images",
    details="A result is made again if its input, its settings or its destination changed.",
)
@option(
    "--on-error",
    heading=REPORTS,
    type=Choice(["continue", "stop"]),
    default="continue",
    show_default=True,
    help="What to do after an image fails",
)
@options.quiet
def batch(sources: tuple[str, ...], kernels: tuple[LoadedKernel, ...], **parameters: Any) -> None:
    """Filter many images; failures are reported and skipped.

    \b
      convcli batch photos/ edges/ -k sobel-x
      convcli batch -r album/ out/ -k box3 -k sharpen --report out.jsonl
      convcli batch s3://photos/2024/ s3://edges/ -r -k sobel-x
      find . -name '*.png' -print0 | convcli batch -0 - out/ -k gaussian5

    A SOURCE is an image, a folder, a pattern such as 'in/*.png', or - for a list of names on standard
    input. DESTINATION is a folder, which is created if needed, or a template such as out/{stem}{suffix}.
    Both may be URLs. Names from a list keep their folder structure, as with -r.
    """
    from convcli.batch.checks import check_outputs
    from convcli.batch.manifest import Manifest
    from convcli.batch.resume import remaining_work

    options = parse(BatchOptions, parameters)
    if options.resume and not options.report:
        raise ArgumentError("--resume needs the manifest of the earlier run: --report FILE")
    if options.cluster is not None:
        if _on_cluster(sources, kernels, parse(FilterOptions, parameters), options):
            click.get_current_context().exit(1)
        return
    work_list = _batch(sources, kernels, parse(FilterOptions, parameters), options)
    manifest = Manifest(options.report, options.resume, options.force) if options.report else None
    check_outputs(work_list, options.report if manifest is not None and manifest.path is not None else None)
    remaining = remaining_work(work_list, manifest, lock=not options.dry_run)
    if str(remaining) and not options.quiet:
        tell(f"{shown(options.report or '')}: {remaining}")
    failed = (
        _preview(work_list, remaining) if options.dry_run else _run(work_list, manifest, remaining, options)
    )
    if failed:
        click.get_current_context().exit(1)


def _batch(
    arguments: tuple[str, ...],
    kernels: Sequence[LoadedKernel],
    filtering: FilterOptions,
    options: BatchOptions,
) -> Batch:
    """The batch that the command line asks for.

    Raises:
        ArgumentError: no source or destination, or one file for several results.
    """
    from convcli.batch.batch import Batch, Limits
    from convcli.pipeline.naming import OutputSpec

    limits = Limits.detect(options.jobs, options.max_memory)
    names, spec = _destination(arguments, options)
    files = _sources(names, options, spec)
    output = OutputSpec(spec, options.format_name)
    if any(is_remote(name) and protocol_of(name) == "memory" for name in [spec, *(f.path for f in files)]):
        raise ArgumentError(
            "memory:// is the memory of one process, which the workers of a batch do not share"
        )
    if len(files) > 1 and output.is_one_input and len({file.folder for file in files}) == 1:
        raise ArgumentError(
            f"{len(files)} images would all be written to {shown(spec)}; use {{stem}} or a folder"
        )
    settings = _variants(kernels, filtering, output)
    return Batch(files, settings, limits, options.resume, _reads(kernels, filtering, options))


def _variants(
    kernels: Sequence[LoadedKernel], filtering: FilterOptions, output: OutputSpec
) -> list[Settings]:
    """The settings of each kernel.

    Raises:
        ArgumentError: all would write the same file.
    """
    from convcli.pipeline.resolving import settings_of_kernels

    settings = settings_of_kernels(filtering, [kernel.kernel for kernel in kernels], output)
    if len(settings) > 1 and output.is_one_kernel:
        raise ArgumentError(
            f"the maps of {len(settings)} kernels would all be written to {shown(output.spec or '')}; "
            "use a folder, {kernel} or --stack"
        )
    return settings


def _reads(
    kernels: Sequence[LoadedKernel], filtering: FilterOptions, options: BatchOptions
) -> tuple[str, ...]:
    """The files that the run reads besides the images."""
    lists = [options.from_file] if options.from_file else []
    masks = filtering.ignore.files if filtering.ignore else ()
    return (*lists, *masks, *files_of(*kernels, *filtering.then))


def _on_cluster(
    sources: tuple[str, ...],
    kernels: Sequence[LoadedKernel],
    filtering: FilterOptions,
    options: BatchOptions,
) -> int:
    """Do the work on a cluster, or show what it would be; return how many images failed."""
    from convcli.cli.cluster_batch import ClusterBatch, preview_lists, run_on_cluster
    from convcli.pipeline.naming import OutputSpec

    names, spec = _destination(sources, options)
    settings = _variants(kernels, filtering, OutputSpec(spec, options.format_name))
    reads = _reads(kernels, filtering, options)
    named, selection = list(_named(names, options)), _selection(options, spec)
    batch = ClusterBatch(named, spec, tuple(settings), options, reads, selection)
    return preview_lists(batch, _preview) if options.dry_run else run_on_cluster(batch)


def _destination(arguments: tuple[str, ...], options: BatchOptions) -> tuple[list[str], str]:
    """The sources' names, and the destination: a template, or a folder that ends with ``/``."""
    names, destination = list(arguments), options.destination
    if destination is None:
        *names, destination = arguments or ("",)
    if not destination or not (names or options.from_file):
        raise ArgumentError("batch needs a SOURCE and a DESTINATION, in this order")
    _check_destination(destination)
    destination = local(destination)
    return names, destination if "{" in destination else f"{destination.rstrip('/') or '/'}/"


def _check_destination(text: str) -> None:
    """Refuse a file, and the name of a single image."""
    from convcli.formats.registry import readable_suffixes

    if text == STREAM:
        raise ArgumentError("the DESTINATION of a batch must be a folder or a template, not standard output")
    if is_remote(text) and not is_writable(text):
        raise ArgumentError(f"{shown(text)}: web servers take no files; choose a folder or a bucket")
    if "{" in text or ends_as_folder(text) or Path(text).is_dir():
        return
    if is_remote(text) and is_bucket(text):
        return
    if Path(text).exists():
        raise ArgumentError(
            f"{shown(text)}: is a file; the DESTINATION (last argument, or -o) must be a folder or a template"
        )
    if Path(text).suffix.casefold() in readable_suffixes():
        raise ArgumentError(
            f"{shown(text)}: the DESTINATION of a batch must be a folder or a template; for one image, "
            f"use convcli apply -o {shown(text)}; for a folder of that name, {shown(text)}/"
        )


def _sources(names: list[str], options: BatchOptions, destination: str) -> list[InputFile]:
    """The images of all sources, without those in the destination.

    Raises:
        ArgumentError: a list that cannot be read, or no image at all.
    """
    from convcli.batch.inputs import each_image, find_images

    named = list(_named(names, options))
    selection = _selection(options, destination)
    files = find_images(named, selection)
    if selection.counts and not options.quiet:
        tell(f"skipped files of unsupported formats: {selection.unread_text}")
    if not files and any(name != STREAM for name in names):
        wider = replace(selection, recursive=True, unread=())
        deeper = not options.recursive and next(each_image(named, wider), None) is not None
        hint = "; use -r to include subfolders" if deeper else ""
        raise ArgumentError(f"no images found in any SOURCE{hint}")
    return files


def _selection(options: BatchOptions, destination: str) -> Selection:
    """Which files in folders are wanted: images, but not those in the destination."""
    from convcli.batch.inputs import Selection
    from convcli.formats.registry import UNREAD, folder_suffixes

    excluded = None if "{" in destination else canonical(destination)
    return Selection(options.recursive, folder_suffixes(), excluded, UNREAD, Counter())


def _named(names: list[str], options: BatchOptions) -> Iterator[SourceName]:
    """The names of the command line, those on standard input in place of ``-``, and those of the list."""
    from convcli.batch.inputs import SourceName, read_list

    if [*names, options.from_file].count(STREAM) > 1:
        raise ArgumentError("standard input (-) is given twice")
    for name in names:
        if name != STREAM:
            yield SourceName(name)
        elif sys.stdin is None:
            raise ArgumentError("standard input is closed")
        else:
            yield from read_list(sys.stdin.buffer, options.null)
    if options.from_file:
        try:
            with Path(options.from_file).open("rb") as file:
                yield from read_list(file, options.null)
        except OSError as error:
            raise ArgumentError(f"{shown(options.from_file)}: {error.strerror}") from error


def _preview(batch: Batch, remaining: RemainingWork) -> int:
    """Print every input with its outputs, and the reason for each that would fail; return their number."""
    from convcli.batch.claims import Claims
    from convcli.core.errors import ConvcliError, failure_message

    failed, claims = 0, Claims(batch)
    for number, results in remaining.todo.items():
        source = batch.sources[number]
        try:
            places = _places(batch, source, results)
            claims.check(source, places)
            for place in places:
                say(f"{source.path} → {place}")
        except ConvcliError as error:
            failed += 1
            tell(failure_message(source.path, error))
    return failed


def _places(batch: Batch, source: InputFile, results: Sequence[int]) -> list[Place | None]:
    """Where the results of one image would go."""
    from convcli.files.input import Input
    from convcli.pipeline import job

    with Input.open(source.path, pipes=False) as file:
        settings = batch.settings_for(source)
        decided = job.planned_results(source.path, file, [settings[result] for result in results])
        return [target.path for _, tasks in decided for target in tasks[0].targets]


def _run(batch: Batch, manifest: Manifest | None, remaining: RemainingWork, options: BatchOptions) -> int:
    """Do the work and show its progress; return how many images failed."""
    from convcli.batch.run import run

    progress = Progress(len(batch.sources), options.quiet)
    with ExitStack() as stack:
        stack.callback(progress.end)
        finished = stack.enter_context(closing(run(batch, manifest, remaining, options.on_error == "stop")))
        try:
            for done in finished:
                progress.add(done)
        except OutputError as error:  # the manifest's disk is full; the results stay
            tell(error)
            return progress.failed + 1
    return progress.failed
