"""``convcli kernels``: list, show, preview, export, separate and fit kernels."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from convcli.cli import options
from convcli.cli.arguments import parse
from convcli.cli.command import DRAWING, MAIN, OTHER, OUTPUT, Command, Group, option
from convcli.cli.console import say, send, tell
from convcli.cli.kernel_analysis import fit, separate
from convcli.cli.types import Choice, KernelName, Value, integer
from convcli.cli.vocabulary import WORDS
from convcli.core.errors import one_line, suggest
from convcli.core.frozen import frozen
from convcli.files.input import STREAM
from convcli.layers.loaded import LoadedKernel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convcli.formats.base import Format
    from convcli.kernels.families.base import Family
    from convcli.kernels.kernel import Kernel
    from convcli.kernels.library import Entry, Library

_PLAN_SIZE: Final = (4000, 6000)
_TOTAL_WIDTH: Final = 10

_kernel = click.argument("kernel", type=KernelName(), metavar="KERNEL")
_tag = option(
    "--tag",
    heading=MAIN,
    type=Value("TAG", vocabulary="tag"),
    help="Only presets with this tag, such as edge or blur",
)


@click.group(cls=Group, invoke_without_command=True)
@click.pass_context
def kernels(context: click.Context) -> None:
    """List, show, preview, export, separate and fit kernels.

    \b
      convcli kernels list --tag edge
      convcli kernels show sobel-x
      convcli kernels preview photo.png -o sheet.png
      convcli kernels export gaussian5 --format csv
      convcli kernels fit photo.png edges.tif --size 3

    Without a command, all kernels are listed.
    """
    if context.invoked_subcommand is None:
        context.invoke(list_)


@kernels.command("list", cls=Command, short_help="List presets and kernel families.")
@click.argument("words", metavar="[WORD]...", nargs=-1, type=Value("WORD"))
@_tag
@option("--json", "as_json", heading=OTHER, is_flag=True, help="Print everything as one JSON object")
@options.kernel_path
def list_(
    words: tuple[str, ...] = (),
    tag: str | None = None,
    as_json: bool = False,
    kernel_path: tuple[str, ...] = (),
) -> None:
    """List presets and kernel families.

    \b
      convcli kernels list vertical
      convcli kernels list --tag blur

    Presets are grouped by tag, with size, sum, description and aliases. With WORDs, only presets that contain
    all of them are listed.
    """
    from convcli.core.tables import to_json
    from convcli.kernels.library import catalog, has_words, library

    known = library(kernel_path)
    presets = [entry for entry in known.entries(tag) if has_words(_searched(entry), words)]
    families = _families(tag, words)
    if not presets and not families:
        _refuse_search(words, tag, known)
    if as_json:
        say(to_json(catalog(known, presets, families)))
        return
    _print_presets(presets)
    if families:
        say("\nWith parameters:" if presets else "With parameters:")
    for origin, family in families:
        say(f"  {family.usage}: {family.description}{origin and f' [{origin}]'}")
    for line in known.places():
        say(line, file=sys.stderr)


def _families(tag: str | None, words: Sequence[str]) -> list[tuple[str, Family]]:
    """The families with a tag and with all words, and the package of each; empty for those of convcli."""
    from convcli.kernels.added import added_families
    from convcli.kernels.families.registry import FAMILIES
    from convcli.kernels.library import PACKAGE, has_words

    added = [(f"{PACKAGE}{package}", family) for package, family in added_families()]
    return [
        (origin, family)
        for origin, family in [*(("", family) for family in FAMILIES.values()), *added]
        if (tag is None or tag in family.tags)
        and has_words((family.name, family.usage, family.description, *family.tags), words)
    ]


def _refuse_search(words: Sequence[str], tag: str | None, known: Library) -> None:
    if words:
        raise click.UsageError(f"no kernel matches {' '.join(words)!r}")
    tags = _tags(known.entries())
    raise click.UsageError(
        f"no kernel has the tag {tag!r}{suggest(tag or '', tags)}; tags: {', '.join(tags)}"
    )


def _print_presets(presets: Sequence[Entry]) -> None:
    width = max((len(entry.name) for entry in presets), default=0)
    for index, (tags, group) in enumerate(_groups(presets).items()):
        say(f"{chr(10) * (index > 0)}{tags}:")
        for entry in group:
            say(f"{entry.name:<{width}}  {_line(entry)}")


def _searched(entry: Entry) -> tuple[str, ...]:
    """The texts of a preset that are searched for words."""
    about = entry.kernel.about if entry.kernel else None
    return (entry.name, *((about.description, *about.tags, *_aliases(entry)) if about else ()))


def _groups(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Presets by their tags, the largest group first; those without tags last."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        tags = entry.kernel.about.tags if entry.kernel else ()
        groups.setdefault(", ".join(tags) or "no tag", []).append(entry)
    order = sorted(groups, key=lambda tags: (tags == "no tag", -len(groups[tags]), tags))
    return {tags: groups[tags] for tags in order}


def _tags(entries: Sequence[Entry]) -> list[str]:
    return sorted({tag for entry in entries if entry.kernel for tag in entry.kernel.about.tags})


def _aliases(entry: Entry) -> tuple[str, ...]:
    """Other names of a preset."""
    from convcli.kernels.presets import SHORT

    own = entry.kernel.about.aliases if entry.kernel else ()
    return (*own, *(short for short, name in SHORT.items() if name == entry.name and not entry.folder))


def _line(entry: Entry) -> str:
    """A preset's size, sum and description; its folder if it is not shipped, and what it hides."""
    folder = f" [{one_line(entry.folder)}]" if entry.folder else ""
    hides = f" hides {one_line(', '.join(entry.hides))}" if entry.hides else ""
    facts = _facts(entry, entry.kernel) if entry.kernel else f"cannot be read: {entry.problem}"
    return facts + folder + hides


def _facts(entry: Entry, kernel: Kernel) -> str:
    from convcli.kernels.describe import sum_text

    size, total = f"{kernel.size[0]}×{kernel.size[1]}", f"sum {sum_text(kernel)}"
    if kernel.maps > 1:
        total = f"{kernel.combine or 'bank'} of {kernel.maps}"
    also = f" (also {', '.join(_aliases(entry))})" if _aliases(entry) else ""
    return f"{size:<5} {total:<{_TOTAL_WIDTH}}  {kernel.about.description}{also}"


@kernels.command(cls=Command, short_help="Show weights, properties and frequency response.")
@_kernel
@option(
    "--heat/--no-heat",
    heading=MAIN,
    default=None,
    help="Draw the weights in color (default: if the terminal has colors)",
)
@option("--all", "show_all", heading=MAIN, is_flag=True, help="Show every map and input channel of a bank")
@options.kernel_path
def show(kernel: LoadedKernel, heat: bool | None, show_all: bool, kernel_path: tuple[str, ...]) -> None:
    """Show weights, properties and frequency response of KERNEL, and how it would be computed.

    \b
      convcli kernels show sobel-x
      convcli kernels show kirsch --all
      convcli kernels show model.onnx:conv1.weight
    """
    from convcli.core.tables import table
    from convcli.kernels.describe import facts, response

    _show(kernel.kernel, heat, show_all)
    rows = [*facts(kernel.kernel), *response(kernel.kernel), ("plan", _plan(kernel.kernel))]
    say("\n" + table(rows), end="")


def _show(kernel: Kernel, heat: bool | None, show_all: bool) -> None:
    """Print the title, the weights as numbers and, with ``heat``, as colors."""
    from convcli.kernels.describe import matrices
    from convcli.visualize.terminal import has_true_color, kernel_cells

    say(f"{kernel.name}: {kernel.about.description}" if kernel.about.description else kernel.name)
    for heading, lines in matrices(kernel, planes=kernel.weights.size if show_all else None):
        say("")
        if heading:
            say(f"  {heading}")
        for line in lines:
            say(f"    {line}")
    if heat or (heat is None and _shows_colors()):
        for line in kernel_cells(kernel, has_true_color()):
            send(f"    {line}\n")


def _shows_colors() -> bool:
    dumb = os.environ.get("TERM", "dumb") == "dumb" or bool(os.environ.get("NO_COLOR"))
    return sys.stdout.isatty() and not dumb


def _plan(kernel: Kernel) -> str:
    """How an image of 24 megapixels would be computed, or why it would not."""
    import numpy as np

    from convcli.core.errors import ConvcliError
    from convcli.formats.header import Header
    from convcli.pipeline.planning.convolution import convolution_of
    from convcli.pipeline.settings import Settings

    inputs = kernel.tensor_shape[-2]
    header = Header("", *_PLAN_SIZE, 1 if inputs == 1 else 3, np.dtype(np.uint8), kernel.depth)
    try:
        planned = convolution_of(header, Settings(kernel)).plan
    except ConvcliError as error:
        return f"none: {error}"
    return f"{planned.summary}, for 24 megapixels of 8-bit {'gray' if inputs == 1 else 'RGB'}"


@kernels.command(cls=Command, short_help="Draw what kernels do to an image.")
@click.argument("image", metavar="IMAGE", type=Value("IMAGE", files=True))
@option(
    "-o",
    "--output",
    heading=MAIN,
    type=Value("OUT", files=True),
    required=True,
    help="The sheet, an image file",
)
@_tag
@option(
    "-k",
    "--kernel",
    "chosen",
    heading=MAIN,
    multiple=True,
    type=KernelName(),
    help="Draw this kernel instead of the presets; repeatable",
)
@options.kernel_path
@options.max_pixels
@options.storage
@options.force
@option(
    "--tile",
    heading=DRAWING,
    type=integer(32, 1024),
    default="160",
    show_default=True,
    help="Size of a panel, in pixels",
)
@option("--columns", heading=DRAWING, type=integer(1, 100), help="Panels per row")
def preview(image: str, **parameters: Any) -> None:
    """Draw what kernels do to IMAGE, as a sheet of labeled panels.

    \b
      convcli kernels preview photo.png -o sheet.png
      convcli kernels preview photo.png -o edges.png --tag edge
    """
    _preview(image, parse(_SheetOptions, parameters))


@frozen(eq=False)
class _SheetOptions:
    """What a sheet of panels shows, and where it goes."""

    output: str
    tag: str | None
    chosen: tuple[LoadedKernel, ...]
    kernel_path: tuple[str, ...]
    max_pixels: int | None
    force: bool
    tile: int
    columns: int | None


def _preview(image: str, options: _SheetOptions) -> None:
    from convcli.core.errors import ConvcliError, ImageError
    from convcli.core.numerals import counted
    from convcli.files.ledger import OutputLedger
    from convcli.files.outputs import write
    from convcli.formats.capacity import OutputKind, check
    from convcli.formats.header import Metadata
    from convcli.visualize.preview import preview_sheet

    target = Path(options.output)
    target_format = _format_of(target)
    reads = [file for kernel in options.chosen for file in kernel.files]
    OutputLedger([image], reads).claim(target, options.force)
    drawn = [kernel.kernel for kernel in options.chosen] or _previewed(options.tag, options.kernel_path)
    try:
        sheet = preview_sheet(image, drawn, options.tile, options.columns or 0, options.max_pixels)
    except ImageError as error:
        raise ConvcliError(str(error) if image in str(error) else f"{one_line(image)}: {error}") from error
    height, width, channels = sheet.shape
    check(target_format, OutputKind(sheet.dtype, channels, rows=height, columns=width), target)
    write(target, target_format.encode(sheet, Metadata()), options.force)
    say(f"{one_line(str(target))}: {counted(len(drawn), 'kernel')}, {width}×{height} pixels")


def _format_of(target: Path) -> Format:
    """The format of a file that is to be written."""
    import numpy as np

    from convcli.core.errors import OutputError
    from convcli.formats import registry
    from convcli.formats.capacity import OutputKind, suffix_error

    target_format = registry.format_of_suffix(target.suffix)
    if target_format is None:
        raise OutputError(suffix_error(target, OutputKind(np.dtype(np.uint8), 3)))
    return target_format


def _previewed(tag: str | None, kernel_path: tuple[str, ...]) -> list[Kernel]:
    """The presets with a tag; banks are left out, because their members are presets themselves."""
    from convcli.kernels.library import library

    presets = [entry.kernel for entry in library(kernel_path).entries(tag)]
    drawn = [kernel for kernel in presets if kernel and (kernel.maps == 1 or kernel.combine)]
    if not drawn:
        raise click.UsageError(f"no preset has the tag {tag!r}")
    return drawn


@kernels.command(cls=Command, short_help="Write a kernel to a file.")
@_kernel
@option(
    "--format",
    "form",
    heading=MAIN,
    type=Choice(WORDS["form"]),
    metavar="FORM",
    help=f"{', '.join(WORDS['form'])} (default: OUT's suffix)",
)
@option(
    "-o",
    "--output",
    heading=OUTPUT,
    type=Value("OUT", files=True),
    default="-",
    help="A file (default: standard output)",
)
@options.kernel_path
@options.force
def export(
    kernel: LoadedKernel, form: str | None, output: str, kernel_path: tuple[str, ...], force: bool
) -> None:
    """Write KERNEL to a file that --kernel reads back.

    \b
      convcli kernels export gaussian5 --format csv
      convcli kernels export sobel-x -o mine.yaml

    Weights are preserved. Name, description and other fields are kept if the format supports them.
    """
    from convcli.files.ledger import OutputLedger
    from convcli.files.outputs import write
    from convcli.kernels import writers

    chosen = form or _form_of(output)
    data = writers.write(kernel.kernel, chosen)
    for note in writers.notes(kernel.kernel, chosen):
        tell(note)
    if output == STREAM:
        send(data)
        return
    OutputLedger([], kernel.files).claim(Path(output), force)
    write(Path(output), data, force)


def _form_of(output: str) -> str:
    """The form of the output's suffix; YAML for standard output."""
    from convcli.core.errors import OutputError
    from convcli.kernels import writers

    try:
        return "yaml" if output == STREAM else writers.form_of_file(output)
    except OutputError as error:
        raise OutputError(f"{error}, or --format") from None


kernels.add_command(separate)
kernels.add_command(fit)
