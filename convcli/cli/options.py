"""Every shared option, once: its name, its help and how its text becomes a value."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from convcli.core.errors import ConvcliError
from convcli.engine.methods.registry import NAMES as METHODS

_UNITS: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
F = TypeVar("F", bound=Callable[..., Any])


class Parsed(click.ParamType):  # type: ignore[type-arg]  # click 8.2 is not generic
    """An option whose text a function of the package understands; its errors are usage errors."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self.parse = parse

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return self.name  # as it stands: small letters are typed, capitals stand for a value

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self.parse(value)
        except ConvcliError as error:
            self.fail(str(error), param, ctx)


class Choice(click.Choice[str]):
    """One of some words; another one is met with the nearest."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        from convcli.cli.suggestions import value_hint

        words = list(self.choices)
        return f"{value!r} is not one of {', '.join(words)}{value_hint(str(value), words)}"


def _numbers(name: str) -> Callable[[str], tuple[int, ...]]:
    def parse(text: str) -> tuple[int, ...]:
        from convcli.geometry.axes import parse_sizes

        return parse_sizes(name, text, (1, 2))

    return parse


def _padding(text: str) -> Any:
    """The padding; with --like the text itself, whose words are that library's (`settings.conventional`)."""
    context = click.get_current_context(silent=True)
    if context and isinstance(context.params.get("like"), str):
        return text
    from convcli.geometry.padding import Padding

    return Padding.parse(text)


def was_given(name: str) -> bool:
    """Whether an option stood on the command line."""
    source = click.get_current_context().get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _mapping(text: str) -> Any:
    from convcli.pipeline.mapping import Mapping

    return Mapping.parse(text)


KERNEL_PATH: Final = "convcli.kernel_path"
"""Where a context keeps the folders of ``--kernel-path``."""


_KERNEL_FILES: Final = "convcli.kernel_files"


def load(text: str) -> Any:
    """The kernel that an option names."""
    from convcli.kernels.readers.registry import recorded

    with recorded() as files:
        found = library().kernel(text)
    if context := click.get_current_context(silent=True):
        context.meta.setdefault(_KERNEL_FILES, []).extend(files)
    return found


def kernel_files() -> list[str]:
    """The files that the kernels of this command were read from."""
    found: list[str] = click.get_current_context().meta.get(_KERNEL_FILES, [])
    return found


def library() -> Any:
    """Where this command looks kernels up."""
    from convcli.kernels.library import library as of_folders

    context = click.get_current_context(silent=True)
    return of_folders(context.meta.get(KERNEL_PATH, ()) if context else ())


def _keep_path(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> None:
    context.meta[KERNEL_PATH] = value


def _number(text: str) -> Any:
    from convcli.core.rational import parse_number

    try:
        return parse_number(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: {error}") from error


def _scale(text: str) -> Any:
    return text.casefold() if text.casefold() in ("none", "sum", "abs", "gain") else _number(text)


def _count(text: str) -> int:
    """A whole number, as 1000000 or 1e9."""
    value = float(_number(text))
    if not value.is_integer() or not 1 <= value < math.inf:
        raise click.BadParameter(f"{text!r} is not a whole number from 1")
    return int(value)


def parse_bytes(text: str) -> int:
    """``2G``, ``500M``, ``1e9``."""
    word = text.strip().casefold().removesuffix("b")
    unit = word[-1:] if word[-1:] in _UNITS and not word[-1:].isdigit() else ""
    try:
        value = float(word.removesuffix(unit)) * _UNITS[unit]
    except ValueError:
        value = 0
    if not 1 <= value < 2**63:
        raise click.BadParameter(f"{text!r} is not a number of bytes, such as 500M or 2G")
    return int(value)


def _frames(text: str) -> slice:
    """``all``, ``3``, ``-1``, ``2:5``, ``:4``."""
    word = text.strip().casefold()
    if word == "all":
        return slice(None)
    found = re.fullmatch(r"(-?\d{1,9})?(:)?(-?\d{1,9})?", word)
    if not found or not word.strip(":") or (found[3] and not found[2]):
        raise click.BadParameter(f"{text!r} is not all, N or A:B")
    first = int(found[1]) if found[1] else None
    if found[2]:
        return slice(first, int(found[3]) if found[3] else None)
    return slice(first, None if first == -1 else (first or 0) + 1)


def parse_place(text: str) -> tuple[int, ...]:
    """``ROW,COL``."""
    if not re.fullmatch(r"\s*\d{1,9}\s*,\s*\d{1,9}\s*", text):
        raise click.BadParameter(f"{text!r} is not ROW,COL (whole numbers from 0)")
    row, column = text.split(",")
    return int(row), int(column)


PADDING_HELP = (
    "AMOUNT[:FILL]. AMOUNT: valid, same, full, N, ROWS,COLS or TOP,BOTTOM,LEFT,RIGHT. FILL: zero, a "
    "number, edge, reflect, symmetric, wrap."
)

stride = click.option(
    "--stride",
    type=Parsed("N|ROWS,COLS", _numbers("stride")),
    default="1",
    show_default=True,
    help="Steps of the window.",
)
dilation = click.option(
    "--dilation",
    type=Parsed("N|ROWS,COLS", _numbers("dilation")),
    default="1",
    show_default=True,
    help="Distance of the kernel's cells.",
)
padding = click.option(
    "--padding",
    type=Parsed("PADDING", _padding),
    default="same:reflect",
    show_default=True,
    help=PADDING_HELP,
)
kernel_path = click.option(
    "--kernel-path",
    metavar="FOLDER",
    multiple=True,
    is_eager=True,
    expose_value=False,
    callback=_keep_path,
    help="A folder of kernel files whose names come before the presets'; may be given again.",
)
like = click.option(
    "--like",
    type=Choice(["keras", "torch", "onnx", "scipy", "opencv"], case_sensitive=False),
    is_eager=True,
    help="Read --padding in the words of this library, with its defaults, its direction and what it refuses.",
)
_KERNEL_HELP: Final = (
    "A preset (`convcli kernels` lists them; NAME@45 turns it), a file or FILE:NAME, or numbers such as "
    "'1 0 -1; 2 0 -2; 1 0 -1'."
)
_kernel = click.option(
    "-k",
    "--kernel",
    type=Parsed("KERNEL", load),
    required=True,
    help=_KERNEL_HELP,
)
_kernels = click.option(
    "-k",
    "--kernel",
    "kernels",
    type=Parsed("KERNEL", load),
    required=True,
    multiple=True,
    help=f"{_KERNEL_HELP} Several give several results of each picture, which is decoded once.",
)
place = click.option(
    "--at",
    type=Parsed("ROW,COL", parse_place),
    required=True,
    help="The pixel's place in the feature map, from 0.",
)
flip = click.option(
    "--flip/--no-flip",
    default=False,
    help="Turn the kernel by 180°: the convolution of mathematics. Layers do not.",
)
channels = click.option(
    "--channels",
    type=Choice(["each", "gray", "sum"], case_sensitive=False),
    help="Filter each color by itself (the default), the brightness (0.299 R + 0.587 G + 0.114 B), or the "
    "sum over all as a layer does.",
)
groups = click.option(
    "--groups",
    type=click.IntRange(1, 65_536),
    default=1,
    show_default=True,
    metavar="N",
    help="Cut the channels into N groups, each with its share of the kernel's maps, as grouped and depthwise "
    "layers do.",
)
mapping = click.option(
    "--map",
    "mapping",
    type=Parsed("MAP", _mapping),
    default="auto",
    show_default=True,
    help="From values to pixels: clip, abs, signed[:LIMIT], stretch[:LOW,HIGH] or raw. Limits are numbers or "
    "percentages, as in signed:99% or stretch:1%,99%. auto looks at the kernel: weights that sum to 1 clip, "
    "to 0 signed, others stretch.",
)
scale = click.option(
    "--scale",
    type=Parsed("none|sum|abs|gain|N", _scale),
    default="none",
    show_default=True,
    help="Multiply the weights by N, or divide them by their sum (unless that is 0), by the sum of their "
    "magnitudes, or by the gain that the kernel states.",
)
combine = click.option(
    "--combine",
    type=Choice(["l2", "l1", "linf", "max", "min", "sum", "argmax", "stack"], case_sensitive=False),
    help="Make one map of several: the root of the sum of squares, the sum or the largest of magnitudes, the "
    "largest or smallest value, the sum, the index of the largest; stack is --stack.",
)
layer = click.option(
    "--layer",
    is_flag=True,
    help="Take stride, padding, dilation, groups and bias from the layer that the weights belong to; "
    "options that are given come first.",
)
stack = click.option(
    "--stack",
    is_flag=True,
    help="Write all maps to one file: the pages of a .tif, or the channels of an .npy "
    "(frames, rows, columns, maps).",
)
colormap = click.option(
    "--colormap",
    type=Choice(["gray", "viridis", "diverging"], case_sensitive=False),
    default="gray",
    show_default=True,
    help="Colors for maps of one channel, of color pictures the brightness. diverging has zero in its "
    "middle: blue below, red above.",
)
sheet = click.option(
    "--sheet",
    is_flag=True,
    help="All maps on one labeled sheet, each with its kernel and a color bar: a picture or an .svg.",
)
figure = click.option(
    "--figure",
    is_flag=True,
    help="The input, each kernel and its map side by side, with axes, sizes and the range: a picture "
    "or an .svg.",
)
common = click.option(
    "--range",
    "common",
    type=Choice(["each", "common"], case_sensitive=False),
    default="each",
    show_default=True,
    help="On a sheet or a figure: each map has its own range, or all have one.",
)
tile = click.option(
    "--tile",
    type=click.IntRange(16, 8192),
    default=256,
    show_default=True,
    metavar="N",
    help="Pixels of a map's longer side on a sheet or a figure: larger ones show the mean of "
    "each box, signed ones the value farthest from zero; the pixels of smaller ones are drawn larger.",
)
alpha = click.option(
    "--alpha",
    type=Choice(["filter", "keep", "drop"], case_sensitive=False),
    help="Filter transparency with the colors, keep it as it is, or drop it. Default: filter for weights "
    "that sum to 1, else keep.",
)
linear = click.option(
    "--linear", is_flag=True, help="Filter light: undo the sRGB curve before, put it back after."
)
depth = click.option(
    "--depth",
    type=Choice(["8", "16", "float"], case_sensitive=False),
    help="Of the result: 8 or 16 bits, or floats with white at 1. Default: the input's.",
)
bias = click.option(
    "--bias",
    type=Parsed("N", _number),
    help="Add N pixel values to the feature map; replaces the kernel's own.",
)
threads = click.option(
    "--threads", type=click.IntRange(1, 1024), metavar="N", help="Workers; the processors of this machine."
)
method = click.option(
    "--method",
    default="auto",
    metavar="NAME",
    help=f"Method: auto, {', '.join(METHODS)}. Exact results do not depend on the method.",
)
precision = click.option(
    "--precision",
    type=Choice(["single", "double"], case_sensitive=False),
    default="single",
    show_default=True,
    help="Number type for kernels that are no fractions. Exact sums ignore it.",
)
max_pixels = click.option(
    "--max-pixels",
    type=Parsed("N", _count),
    help="Refuse larger images before they are decoded, frames counted together. Default: 1e9, less for a "
    "file of few bytes, more for a dense one.",
)
max_memory = click.option(
    "--max-memory",
    type=Parsed("BYTES", parse_bytes),
    help="Refuse what would take more memory, e.g. 2G (default: half of RAM).",
)
strip = click.option(
    "--strip",
    is_flag=True,
    help="Write no metadata: no color profile, Exif, XMP, resolution or texts.",
)
frames = click.option(
    "--frames",
    type=Parsed("all|N|A:B", _frames),
    default="all",
    show_default=True,
    help="Of an animation or a file of pages: every one, number N, or those from A up to B, counted from 0 "
    "(from the end where negative).",
)
format_name = click.option(
    "--format",
    "format_name",
    metavar="NAME",
    help="png, jpeg, tiff, webp, bmp, gif, pnm, pfm, npy, avif, mkv or mp4.",
)
quality = click.option(
    "--quality",
    type=click.IntRange(1, 100),
    metavar="N",
    help="Of JPEG, 1 to 100 (default: 95). WebP and AVIF are lossless unless it is given.",
)
png = click.option(
    "--png",
    type=Choice(["fast", "small"], case_sensitive=False),
    default="fast",
    show_default=True,
    help="Write PNGs quickly, or some 5 to 30 % smaller in up to ten times the time.",
)
force = click.option("--force", "-f", is_flag=True, help="Replace files that exist.")
report = click.option(
    "--report",
    type=Choice(["text", "line", "json", "csv", "none"], case_sensitive=False),
    help="Report on standard output: text (default for one image), line (one per kernel; default for "
    "several), json (one line per map) or csv.",
)
report_file = click.option(
    "--report-file",
    type=click.Path(),
    metavar="FILE",
    help="Write the report to FILE instead; .json and .csv choose its form.",
)
verbose = click.option("-v", "--verbose", is_flag=True, help="Report every candidate of the plan.")
quiet = click.option("-q", "--quiet", is_flag=True, help="No report and no messages but errors.")


def together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator, in the order of the help page."""

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


drawn = together(colormap, sheet, figure, common, tile)
kernel = together(_kernel, kernel_path)
kernels = together(_kernels, kernel_path)
convolution = together(like, stride, padding, dilation, flip)
values = together(combine, channels, groups, scale, bias, layer, mapping)
colors = together(alpha, linear, depth)
coding = together(quality, png)
work = together(precision, method, threads, max_pixels)
reports = together(report, report_file, verbose, quiet)
