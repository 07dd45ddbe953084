"""Option types: how the text of an option becomes a value, and what completes it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from convcli.cli.vocabulary import FILLS, WORDS
from convcli.layers.loaded import LoadedKernel, LoadedStage

if TYPE_CHECKING:
    from fractions import Fraction

    from click.shell_completion import CompletionItem

    from convcli.kernels.kernel import Kernel

_UNITS: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY_UNITS: Final = {"ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def named_file(text: str) -> str:
    """The name of a file to write, which is not empty."""
    if not text:
        raise click.BadParameter("an empty name; give a file, or leave out the option")
    return text


class Value(click.ParamType):  # type: ignore[type-arg]  # click 8.2 is not generic
    """An option's value, parsed by a function and completed from the generated vocabulary.

    While a line is completed (click's ``resilient_parsing``), values stay text: parsing imports NumPy.

    Args:
        metavar: how help pages show the value: capitals are placeholders, lowercase words are literal.
        parse: text to value; it raises `ConvcliError`, or `click.BadParameter` without the option's name.
        vocabulary: the list of `convcli.cli.vocabulary.WORDS` that completes it.
        files: whether file names complete it too.
    """

    def __init__(
        self, metavar: str, parse: Callable[[str], Any] = str, vocabulary: str = "", *, files: bool = False
    ) -> None:
        self.name = metavar
        self.parse = parse
        self.vocabulary = vocabulary
        self.files = files

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return self.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str) or (ctx is not None and ctx.resilient_parsing):
            return value
        return self.parsed(value, ctx)

    def parsed(self, text: str, ctx: click.Context | None) -> Any:
        return self.parse(text)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        items = [CompletionItem(word, help=help_) for word, help_ in self._matching(incomplete)]
        return [*items, CompletionItem(incomplete, type="file")] if self.files else items

    def _matching(self, incomplete: str) -> list[tuple[str, str]]:
        words = self.words(incomplete)
        matching = [word for word in words if word.startswith(incomplete)]
        if matching == [incomplete] and incomplete.endswith(":"):
            return []  # a number follows
        return [(word, words[word]) for word in matching]

    def words(self, incomplete: str) -> Mapping[str, str]:
        """The words that complete the value, with a description each; ``all`` of ``all|N|A:B``."""
        if self.vocabulary:
            return WORDS[self.vocabulary]
        literals = self.name.split("|")
        return {word: "" for word in literals if len(literals) > 1 and word.islower()}


class PaddingText(Value):
    """``AMOUNT[:FILL]``, kept as text: what it means depends on ``--like``."""

    def __init__(self) -> None:
        super().__init__("PADDING", vocabulary="padding")

    def words(self, incomplete: str) -> Mapping[str, str]:
        amount, colon, _ = incomplete.partition(":")
        return {f"{amount}:{fill}": "" for fill in FILLS} if colon else super().words(incomplete)


_UNORDERED: Final = ("", ".npy", ".npz", ".safetensors")
"""Suffixes of files that do not state the order of axes; those without one are recognized by content."""


class KernelName(Value):
    """A kernel as `load_kernel` takes it, looked up in the folders of ``--kernel-path`` first."""

    def __init__(self) -> None:
        super().__init__("KERNEL", vocabulary="kernel", files=True)

    def parsed(self, text: str, ctx: click.Context | None) -> LoadedKernel:
        from convcli.core.errors import KernelError, one_line

        try:
            return _loaded(text, ctx)
        except KernelError as error:
            if _is_stage(text) and ctx and any(part.name == "then" for part in ctx.command.params):
                shown = one_line(text)
                raise KernelError(
                    f"{shown} is a stage, not a kernel; use --then {shown} after -k KERNEL, "
                    "or after -k identity, which leaves the image unchanged"
                ) from error
            raise


def _is_stage(text: str) -> bool:
    """Whether a text starts as an activation or a pool does."""
    heads = {re.split(r"[:\d]", word)[0] for word in WORDS["stage"]}
    return re.split(r"[:,\d]", text.casefold())[0] in heads


class StageText(Value):
    """A stage as `parse_stage` takes it; kernels are looked up as those of --kernel are."""

    def __init__(self) -> None:
        super().__init__("STAGE", vocabulary="stage", files=True)

    def parsed(self, text: str, ctx: click.Context | None) -> LoadedStage:
        from convcli.layers.stage_text import parse_stage

        path, order = _looked_up(ctx)
        files: list[str] = []

        def kernel(name: str) -> Kernel:
            loaded = load(name, path, order)
            files.extend(loaded.files)
            return loaded.kernel

        stage = parse_stage(text, kernel)
        return LoadedStage(stage, tuple(files))

    def words(self, incomplete: str) -> Mapping[str, str]:
        return {**WORDS["stage"], **WORDS["kernel"]}


class LayerText(StageText):
    """A layer as `parse_layer` takes it, kept as text: what its padding means depends on ``--like``."""

    def __init__(self, metavar: str) -> None:
        super().__init__()
        self.name = metavar

    def parsed(self, text: str, ctx: click.Context | None) -> str:  # type: ignore[override]
        return text


def _looked_up(ctx: click.Context | None) -> tuple[Iterable[str], str | None]:
    """``--kernel-path`` and ``--weights-order``, which are parsed before kernels."""
    parameters = ctx.params if ctx else {}
    order = parameters.get("weights_order")  # click has a value of its own for options that are not given
    return parameters.get("kernel_path", ()), order if isinstance(order, str) else None


def _loaded(text: str, ctx: click.Context | None) -> LoadedKernel:
    """A kernel; where its weights may be in either order, the channels of the first image decide."""
    from convcli.kernels.readers.axis_order import AmbiguousOrderError

    path, order = _looked_up(ctx)
    try:
        loaded = load(text, path, order)
        if order and not any(Path(file).suffix.lower() in _UNORDERED for file in loaded.files):
            _refuse(
                f"{text!r} is not a .npy, .npz or .safetensors file, so --weights-order has no effect on it; "
                f"write FILE:{order} for kernels that are"
            )
        return loaded
    except AmbiguousOrderError:
        inputs = _image_channels(ctx)
        if not inputs:
            raise
        return load(text, path, order, inputs)


def _image_channels(ctx: click.Context | None) -> tuple[int, ...]:
    """Channels of the command's first image, without and with alpha; nothing if it cannot be asked."""
    from convcli.cli.headers import header_of
    from convcli.core.errors import ConvcliError
    from convcli.files.input import STREAM

    parameters = ctx.params if ctx else {}
    sources = parameters.get("images") or [parameters.get("image") or parameters.get("size")]
    if not sources[0] or sources[0] == STREAM:
        return ()
    try:
        header = header_of(sources[0])
    except ConvcliError:  # reported when the image is filtered
        return ()
    return tuple(dict.fromkeys((header.channels - header.alpha, header.channels)))


def load(
    text: str, kernel_path: Iterable[str] = (), order: str | None = None, inputs: tuple[int, ...] = ()
) -> LoadedKernel:
    """The kernel that a text names.

    Args:
        order, inputs: as `WeightsOrder` has them.

    Raises:
        KernelError: no such kernel, or a file that cannot be read.
    """
    from convcli.kernels.library import library
    from convcli.kernels.readers.axis_order import WeightsOrder
    from convcli.kernels.readers.registry import recorded

    with recorded() as files:
        kernel = library(tuple(kernel_path), WeightsOrder(order, inputs)).kernel(text)
    return LoadedKernel(kernel, tuple(files))


class Choice(click.Choice[str]):
    """One of several words, in any case; an unknown one is met with the nearest."""

    def __init__(self, words: Iterable[str]) -> None:
        super().__init__(list(words), case_sensitive=False)

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        from convcli.cli.suggestions import value_hint

        words = list(self.choices)
        return f"{value!r} is not one of {', '.join(words)}{value_hint(str(value), words)}"


def integer(low: int = 0, high: int | None = None) -> Value:
    """An integer from ``low`` to ``high``, both included."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            _refuse(f"{text!r} is not an integer")
        if number < low or (high is not None and number > high):
            _refuse(f"{number} is not allowed (allowed: {low} {'or more' if high is None else f'to {high}'})")
        return number

    return Value("N", parse)


def sizes(name: str, most: int = 2) -> Value:
    """``N`` or ``ROWS,COLS``, as a tuple of up to ``most`` integers from 1; three are for volumes."""

    def parse(text: str) -> tuple[int, ...]:
        from convcli.geometry.axes import parse_sizes

        return parse_sizes(name, text, range(1, most + 1))

    return Value("N|ROWS,COLS", parse)


def parse_output_padding(text: str) -> tuple[int, ...]:
    """``N`` or ``ROWS,COLS``, as a tuple of one or two integers from 0."""
    from convcli.geometry.axes import parse_sizes

    return parse_sizes("output padding", text, (1, 2), least=0)


def _refuse(message: str) -> NoReturn:
    raise click.BadParameter(message)


def parse_mapping(text: str) -> Any:
    """``signed:99%`` and the like as a `Mapping`."""
    from convcli.pipeline.mapping import Mapping

    return Mapping.parse(text)


def parse_ignore(text: str) -> Any:
    """``nan``, a number or the file of a mask as an `Ignore`."""
    from convcli.pipeline.ignore import Ignore

    return Ignore.parse(text)


def parse_nodata(text: str) -> Any:
    """``auto``, ``none`` or a number as a `Nodata`."""
    from convcli.pipeline.nodata import Nodata

    return Nodata.parse(text)


def parse_normalization(text: str) -> Any:
    """``0.5/0.5``, ``imagenet`` and the like as a `Normalization`."""
    from convcli.pipeline.normalization import Normalization

    return Normalization.parse(text)


def parse_number(text: str) -> Fraction:
    """An exact number: ``0.5``, ``1/3``, ``1e-3``."""
    from convcli.core import rational

    try:
        return rational.parse_number(text)
    except ValueError as error:
        _refuse(str(error))


def parse_length(text: str) -> float:
    """A number from 0 on, as a float; ``inf`` for no limit."""
    value = math.inf if text.strip().casefold() in ("inf", "infinity") else float(parse_number(text))
    if value < 0:
        _refuse(f"{text!r} is below 0")
    return value


def parse_scale(text: str) -> str | Fraction:
    """A number, or what weights are divided by: ``sum``, ``abs``, ``gain``."""
    word = text.casefold()
    if word in ("none", "sum", "abs", "gain"):
        return word
    if word.isalpha() and word not in ("inf", "nan", "infinity"):
        _refuse(f"{text!r} is not one of none, sum, abs, gain, or a number")
    return parse_number(text)


def parse_count(text: str) -> int:
    """A positive integer, also as ``1e9``."""
    from convcli.core import rational

    try:
        number = float(rational.parse_number(text))
    except ValueError:
        number = 0.0
    if not number.is_integer() or not 1 <= number < math.inf:
        _refuse(f"{text!r} is not a positive integer, such as 5000000 or 1e9")
    return int(number)


def parse_bytes(text: str) -> int:
    """``2G``, ``500M``, ``1e9``, ``1GiB``."""
    word = text.strip().casefold().removesuffix("b")
    units = _BINARY_UNITS if word[-2:] in _BINARY_UNITS else _UNITS
    unit = next((unit for unit in units if unit and word.endswith(unit)), "")
    try:
        size = float(word.removesuffix(unit)) * units.get(unit, 1)
    except ValueError:
        size = 0
    if not 1 <= size < 2**63:
        _refuse(f"{text!r} is not a size in bytes, such as 500M or 2G")
    return int(size)


def parse_frames(text: str) -> slice:
    """``all``, ``3``, ``-1``, ``2:5``, ``:4``."""
    word = text.strip().casefold()
    if word == "all":
        return slice(None)
    match = re.fullmatch(r"(-?\d{1,9})?(:)?(-?\d{1,9})?", word)
    if not match or not word.strip(":") or (match[3] and not match[2]):
        _refuse(f"{text!r} is not all, N or A:B")
    first = int(match[1]) if match[1] else None
    if match[2]:
        return slice(first, int(match[3]) if match[3] else None)
    return slice(first, None if first == -1 else (first or 0) + 1)


def parse_channel(text: str) -> str | slice:
    """A channel's name, or ``all``, ``3``, ``-1``, ``2:5``, ``:4`` as a slice."""
    word = text.strip().casefold()
    if not word:
        _refuse("an empty name; give a channel such as red, 0 or 0:4")
    return word if re.search(r"[a-z]", word) and word != "all" else parse_frames(word)


def parse_cluster(text: str) -> str:
    """The address of a cluster, which is not connected yet."""
    from convcli.cluster.addresses import parse

    parse(text)
    return text


def parse_axes(text: str) -> str:
    """``c=0,z=3..9`` or ``c=diffuse.R``, as text."""
    from convcli.formats.zarr.axes import parse_axes

    name, _, value = text.partition("=")
    is_channel = name.strip().casefold() == "c" and value.strip() and "," not in value
    if not is_channel:
        parse_axes(text)
    return text


def parse_share(text: str) -> tuple[int, int]:
    """``I/N``, from 0: the share I of N."""
    match = re.fullmatch(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*", text)
    if not match or not int(match[1]) < int(match[2]):
        _refuse(f"{text!r} is not I/N, with I from 0 to N − 1")
    return int(match[1]), int(match[2])


def parse_place(text: str) -> tuple[int, int]:
    """``ROW,COL``, from 0."""
    if not re.fullmatch(r"\s*\d{1,9}\s*,\s*\d{1,9}\s*", text):
        _refuse(f"{text!r} is not ROW,COL (integers from 0)")
    row, column = text.split(",")
    return int(row), int(column)
