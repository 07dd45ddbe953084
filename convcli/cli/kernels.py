"""``convcli kernels``: list, show, preview and export kernels."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from convcli.cli import options
from convcli.cli.console import say, send, tell
from convcli.core.errors import one_line
from convcli.files.input import STREAM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convcli.kernels.kernel import Kernel
    from convcli.kernels.library import Entry

_PLAN_SIZE: Final = (4000, 6000)
_TOTAL_WIDTH: Final = 10

_kernel = click.argument("kernel", type=options.Parsed("KERNEL", options.load))


@click.group(invoke_without_command=True)
@click.pass_context
def kernels(context: click.Context) -> None:
    """List the presets, show one, draw what they do, or export one.

    \b
      convcli kernels list --tag edge
      convcli kernels show sobel-x
      convcli kernels preview photo.png -o sheet.png
      convcli kernels export gaussian5 --format csv
    """
    if context.invoked_subcommand is None:
        context.invoke(list_)


@kernels.command("list", short_help="Every preset and family.")
@click.argument("words", metavar="[WORD]...", nargs=-1)
@click.option("--tag", metavar="TAG", help="Only presets with this tag, such as edge or blur.")
@click.option("--json", "as_json", is_flag=True, help="Every fact, as one JSON object.")
@options.kernel_path
def list_(words: tuple[str, ...] = (), tag: str | None = None, as_json: bool = False) -> None:
    """List the presets by their tags, with sizes, sums and other names; with WORDs, those that have them all.

    \b
      convcli kernels list vertical
      convcli kernels list --tag blur
    """
    from convcli.kernels.families.registry import FAMILIES
    from convcli.kernels.library import catalog, has_words

    library = options.library()
    found = [entry for entry in library.entries(tag) if has_words(_searched(entry), words)]
    families = [
        family
        for family in FAMILIES.values()
        if (tag is None or tag in family.tags)
        and has_words((family.name, family.usage, family.description, *family.tags), words)
    ]
    if not found and not families:
        if words:
            raise click.BadParameter(f"no preset has the words {' '.join(words)!r}", param_hint="WORD")
        raise click.BadParameter(
            f"no preset has the tag {tag!r}; tags: {', '.join(_tags(library.entries()))}", param_hint="--tag"
        )
    if as_json:
        from convcli.core.tables import to_json

        say(to_json(catalog(library, found, families)))
        return
    width = max((len(entry.name) for entry in found), default=0)
    for index, (tags, group) in enumerate(_groups(found).items()):
        say(f"{chr(10) * (index > 0)}{tags}:")
        for entry in group:
            say(f"{entry.name:<{width}}  {_line(entry)}")
    if families:
        say("\nWith numbers of your own:" if found else "With numbers of your own:")
    for family in families:
        say(f"  {family.usage}: {family.description}")
    for line in library.places():
        say(line, file=sys.stderr)


def _searched(entry: Entry) -> tuple[str, ...]:
    """The texts of a preset that words are looked for in."""
    about = entry.kernel.about if entry.kernel else None
    return (entry.name, *((about.description, *about.tags, *_also(entry)) if about else ()))


def _groups(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Presets by their tags, the largest group first; those without tags last."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        tags = entry.kernel.about.tags if entry.kernel else ()
        found.setdefault(", ".join(tags) or "no tag", []).append(entry)
    order = sorted(found, key=lambda tags: (tags == "no tag", -len(found[tags]), tags))
    return {tags: found[tags] for tags in order}


def _tags(entries: Sequence[Entry]) -> list[str]:
    return sorted({tag for entry in entries if entry.kernel for tag in entry.kernel.about.tags})


def _also(entry: Entry) -> tuple[str, ...]:
    """Other names of a preset."""
    from convcli.kernels.presets import SHORT

    own = entry.kernel.about.aliases if entry.kernel else ()
    return (*own, *(short for short, name in SHORT.items() if name == entry.name and not entry.place))


def _line(entry: Entry) -> str:
    """A preset's size, sum and words; where it comes from, and what it hides."""
    from convcli.kernels.describe import sum_text

    kernel = entry.kernel
    words = f"cannot be read: {entry.problem}" if kernel is None else _words(entry, kernel)
    if kernel is not None:
        size, total = f"{kernel.size[0]}×{kernel.size[1]}", f"sum {sum_text(kernel)}"
        if kernel.maps > 1:
            total = f"{kernel.combine or 'bank'} of {kernel.maps}"
        words = f"{size:<5} {total:<{_TOTAL_WIDTH}}  {words}"
    where = f" [{one_line(entry.place)}]" if entry.place else ""
    hides = f" hides {one_line(', '.join(entry.shadows))}" if entry.shadows else ""
    return words + where + hides


def _words(entry: Entry, kernel: Kernel) -> str:
    also = f" (also {', '.join(_also(entry))})" if _also(entry) else ""
    return kernel.about.description + also


@kernels.command(short_help="A kernel's matrix, facts, frequency response and plan.")
@_kernel
@click.option(
    "--heat/--no-heat",
    default=None,
    help="Draw the weights in colors. Default: on a terminal that shows them.",
)
@click.option("--all", "whole", is_flag=True, help="Show every map of a bank, and every input channel.")
@options.kernel_path
def show(kernel: Kernel, heat: bool | None, whole: bool) -> None:
    """The matrix of KERNEL, its facts, its frequency response, and the plan that it would get."""
    from convcli.core.tables import table
    from convcli.kernels.describe import facts, matrices, response
    from convcli.visualize.terminal import kernel_cells

    title = f"{kernel.name}: {kernel.about.description}" if kernel.about.description else kernel.name
    say(title)
    for heading, lines in matrices(kernel, planes=kernel.weights.size if whole else None):
        say("")
        if heading:
            say(f"  {heading}")
        for line in lines:
            say(f"    {line}")
    if heat or (heat is None and _shows_colors()):
        full = os.environ.get("COLORTERM", "") in ("truecolor", "24bit")
        for line in kernel_cells(kernel, full):
            send(f"    {line}\n")
    rows = [*facts(kernel), *response(kernel), ("plan", _plan(kernel))]
    say("\n" + table(rows), end="")


def _shows_colors() -> bool:
    dumb = os.environ.get("TERM", "dumb") == "dumb" or bool(os.environ.get("NO_COLOR"))
    return sys.stdout.isatty() and not dumb


def _plan(kernel: Kernel) -> str:
    """How a picture of 24 megapixels would be computed, or why it would not."""
    import numpy as np

    from convcli.core.errors import ConvcliError
    from convcli.formats.header import Header
    from convcli.pipeline.convolution import convolution_of
    from convcli.pipeline.settings import Settings

    inputs = kernel.tensor_shape[-2]
    header = Header("", *_PLAN_SIZE, 1 if inputs == 1 else 3, np.dtype(np.uint8), kernel.depth)
    try:
        found = convolution_of(header, Settings(kernel)).plan
    except ConvcliError as error:
        return f"none: {error}"
    return f"{found.summary}, for 24 megapixels of 8-bit {'gray' if inputs == 1 else 'RGB'}"


@kernels.command(short_help="What kernels do to a picture, on one sheet.")
@click.argument("image", metavar="IMAGE")
@click.option("-o", "--output", metavar="OUT", required=True, help="The sheet, a picture file.")
@click.option("--tag", metavar="TAG", help="Only presets with this tag.")
@click.option(
    "-k",
    "--kernel",
    "chosen",
    multiple=True,
    type=options.Parsed("KERNEL", options.load),
    help="This kernel instead of the presets; may be given again.",
)
@click.option(
    "--tile", type=click.IntRange(32, 1024), default=160, show_default=True, help="Pixels of a panel."
)
@click.option("--columns", type=click.IntRange(1, 100), help="Panels beside each other.")
@options.kernel_path
@options.max_pixels
@options.force
def preview(image: str, tag: str | None, chosen: tuple[Kernel, ...], **given: Any) -> None:
    """Draw what the presets make of IMAGE on a sheet of labeled panels."""
    from pathlib import Path

    from convcli.core.errors import ConvcliError, ImageError, OutputError
    from convcli.files.atomic import write
    from convcli.files.ledger import OutputLedger
    from convcli.formats import registry
    from convcli.formats.capacity import OutputKind, check
    from convcli.formats.header import Metadata
    from convcli.visualize.preview import preview_sheet

    target = Path(given["output"])
    target_format = registry.format_of_suffix(target.suffix)
    if target_format is None:
        known = ", ".join(entry.suffixes[0] for entry in registry.written())
        raise OutputError(f"{one_line(str(target))}: unknown suffix; allowed: {known}")
    OutputLedger([image], options.kernel_files()).claim(target, given["force"])
    kernels_ = list(chosen) or _previewed(tag)
    try:
        sheet = preview_sheet(image, kernels_, given["tile"], given["columns"] or 0, given["max_pixels"])
    except ImageError as error:
        raise ConvcliError(str(error) if image in str(error) else f"{one_line(image)}: {error}") from error
    rows, columns, colors = sheet.shape
    check(target_format, OutputKind(sheet.dtype, colors, rows=rows, columns=columns), target)
    write(target, target_format.encode(sheet, Metadata()), given["force"])
    say(f"{one_line(str(target))}: {len(kernels_)} kernels, {sheet.shape[1]}×{sheet.shape[0]} pixels")


def _previewed(tag: str | None) -> list[Kernel]:
    """The presets with a tag; banks are left out, because their members are presets themselves."""
    entries = options.library().entries(tag)
    found = [
        each.kernel for each in entries if each.kernel and (each.kernel.maps == 1 or each.kernel.combine)
    ]
    if not found:
        raise click.BadParameter(f"no preset has the tag {tag!r}", param_hint="--tag")
    return found


@kernels.command(short_help="Write a kernel as a file.")
@_kernel
@click.option(
    "--format",
    "form",
    type=options.Choice(["yaml", "json", "csv", "mat", "imagemagick", "npy"]),
    help="Default: OUT's suffix, or yaml.",
)
@click.option("-o", "--output", metavar="OUT", default="-", help="A file; standard output by default.")
@options.kernel_path
@options.force
def export(kernel: Kernel, form: str | None, output: str, force: bool) -> None:
    """Write KERNEL as a file that --kernel reads back: the same weights, and what else the form can say."""
    from pathlib import Path

    from convcli.core.errors import OutputError
    from convcli.files.atomic import write
    from convcli.files.ledger import OutputLedger
    from convcli.kernels import writers

    target = Path(output)
    chosen = form or (writers.form_of(target.suffix) if output != STREAM else "yaml")
    if chosen is None:
        known = ", ".join(each.suffix for each in writers.FORMS.values())
        raise OutputError(f"{one_line(output)}: unknown suffix; allowed: {known}, or --format")
    data = writers.write(kernel, chosen)
    for note in writers.notes(kernel, chosen):
        tell(note)
    if output == STREAM:
        send(data)
        return
    OutputLedger([], options.kernel_files()).claim(target, force)
    write(target, data, force)
