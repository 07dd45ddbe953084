"""The keyword arguments of the functions for images: the options of the command line, in Python's types."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from inspect import Parameter, Signature, signature
from numbers import Real
from typing import Any, Final, Literal, TypedDict, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike

from convcli.arrays.arguments import PaddingLike, as_padding, group_count, truth
from convcli.core.errors import ArgumentError, literal, suggest
from convcli.core.frozen import replace
from convcli.core.rational import exact_number, parse_number
from convcli.core.system import default_memory_limit
from convcli.geometry.axes import parse_sizes, whole_numbers
from convcli.geometry.conventions import CONVENTIONS
from convcli.kernels.bank import COMBINE_CHOICES
from convcli.kernels.kernel import Kernel
from convcli.kernels.library import library, load_kernel
from convcli.kernels.readers.axis_order import AmbiguousOrderError, WeightsOrder
from convcli.layers.loaded import LoadedStage
from convcli.layers.stage_text import parse_stage
from convcli.pipeline.colormaps import COLORMAPS
from convcli.pipeline.ignore import Ignore
from convcli.pipeline.mapping import Mapping as PixelMapping
from convcli.pipeline.nodata import Nodata
from convcli.pipeline.normalization import Normalization
from convcli.pipeline.options import FilterOptions

KernelLike = str | os.PathLike[str] | Kernel | ArrayLike
"""A kernel, its name, its file, or its weights."""
Size = int | str | Sequence[int]
"""One number, one for each axis, or both as text such as ``"2,1"``."""


class Options(TypedDict, total=False):
    """The options of ``convcli apply`` as keyword arguments; each may be left out.

    Texts are those of the command line. docs/options.md describes every option; here are their types.

    Attributes:
        stride: step of the window, one integer or (rows, columns).
        padding: text such as ``"same:edge"``, pixels on every side, or pairs (before, after) for each axis.
            The default is ``"same:reflect"``, and ``"same"`` with ``transposed``.
        map: how values become pixels: ``"clip"``, ``"abs"``, ``"signed:99%"``, ``"stretch:1%,99%"``,
            ``"raw"`` or ``"auto"``.
        then: stages after the kernel, such as ``"relu"`` or ``["maxpool2x2", "box3"]``.
        dilation: spacing between kernel elements, like ``stride``.
        flip: whether the kernel is rotated by 180°.
        transposed: whether the transpose of the convolution is computed.
        output_padding: of a transposed one, like ``stride``, from 0.
        like: the library by whose rules ``padding`` is read, such as ``"pytorch"``.
        layer: whether the whole layer is applied that the weights come from.
        activation: ``"none"`` leaves out the layer's.
        combine: how maps become one: ``"l2"``, ``"linf"``, ``"angle"``, ….
        scale: a number, ``"sum"``, ``"abs"`` or ``"gain"``.
        bias: a number that is added to every value.
        groups: number of channel groups.
        channels: ``"each"``, ``"gray"`` or ``"sum"``.
        alpha: ``"filter"``, ``"keep"`` or ``"drop"``.
        ignore: pixels that are left out: NaN, a number, or the name of a mask, as text with ``",keep"``
            where gaps stay.
        nodata: the value of pixels without data, ``"auto"`` or ``"none"``.
        linear: whether light is filtered instead of sRGB values.
        normalize: text such as ``"imagenet"``, or (mean, standard deviation), each a number or one per
            channel.
        depth: 8, 16 or ``"float"``.
        colormap: ``"gray"``, ``"viridis"``, ``"diverging"`` or ``"wheel"``.
        frames: index of a frame or page, or a slice of them.
        axes: the part of a Zarr array, such as ``"c=0"``.
        level: of an image pyramid.
        hdu: number or name of an image of a FITS file.
        method: ``"auto"``, or the name of a method.
        steady: whether only methods are used whose rounding does not depend on position.
        precision: ``"single"`` or ``"double"``.
        threads: largest number of threads.
        max_pixels: limit on the number of pixels.
        max_memory: limit in bytes.
        kernel_path: folders in which kernels are looked up first.
        weights_order: ``"hwio"`` or ``"oihw"``.
    """

    stride: Size
    padding: PaddingLike
    map: str
    then: str | Kernel | Sequence[str | Kernel]
    dilation: Size
    flip: bool
    transposed: bool
    output_padding: Size | None
    like: str | None
    layer: bool
    activation: Literal["layer", "none"]
    combine: str | None
    scale: str | float
    bias: str | float | None
    groups: int
    channels: Literal["each", "gray", "sum"] | None
    alpha: Literal["filter", "keep", "drop"] | None
    ignore: str | float | None
    nodata: str | float | None
    linear: bool
    normalize: str | tuple[float | Sequence[float], float | Sequence[float]] | None
    depth: Literal[8, 16, "8", "16", "float"] | None
    colormap: Literal["gray", "viridis", "diverging", "wheel"]
    frames: int | slice | None
    axes: str | None
    level: int
    hdu: int | str | None
    method: str
    steady: bool
    precision: Literal["single", "double"]
    threads: int | None
    max_pixels: int | None
    max_memory: int | None
    kernel_path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
    weights_order: Literal["hwio", "oihw"] | None


F = TypeVar("F", bound=Callable[..., Any])
_LOOKUPS: Final = ("kernel_path", "weights_order")
_SAVING: Final = ("output", "out", "path", "filename", "force", "format", "quality")
_FOREIGN_NAMES: Final = {
    "strides": "stride",
    "pad": "padding",
    "dilations": "dilation",
    "dilation_rate": "dilation",
    "mapping": "map",
    "cmap": "colormap",
    "frame": "frames",
    "stages": "then",
}


def with_options(function: F) -> F:
    """Show the options of ``**options`` in a function's signature, and answer one that is unknown."""
    own = signature(function)
    named = [one for one in own.parameters.values() if one.kind is not Parameter.VAR_KEYWORD]
    added = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=..., annotation=kind.__forward_arg__)
        for name, kind in Options.__annotations__.items()
        if name not in own.parameters
    ]
    known = {one.name for one in [*named, *added]}

    @wraps(function)
    def checked(*arguments: Any, **options: Any) -> Any:
        for name in options.keys() - known:
            meant = _FOREIGN_NAMES.get(name)
            hint = f" (did you mean {meant}?)" if meant in known else suggest(name, sorted(known))
            hint = "; save(NAME) of what is returned writes a file" if name in _SAVING else hint
            raise TypeError(f"{function.__name__}() got an unexpected keyword argument {name!r}{hint}")
        return function(*arguments, **options)

    checked.__signature__ = Signature([*named, *added])  # type: ignore[attr-defined]
    return cast(F, checked)


def filter_options(options: Mapping[str, Any]) -> FilterOptions:
    """The options of a call, in the types of the pipeline.

    Raises:
        ArgumentError: a value that an option does not take; the message names it.
    """
    given = {
        _FIELDS.get(name, name): _READERS[name](name, value)
        for name, value in options.items()
        if name not in _LOOKUPS and not (value is None and name not in ("frames",))
    }
    if "then" in given:
        given["then"] = _stages(options["then"], options)
    filtering = FilterOptions(**given, explicit=frozenset(given))
    return replace(filtering, max_memory=filtering.max_memory or default_memory_limit())


def kernel_of(
    value: Any, options: Mapping[str, Any], inputs: Callable[[], tuple[int, ...]] = lambda: ()
) -> Kernel:
    """The kernel of a name, a file or weights.

    Args:
        options: of the call, which say where names are looked up.
        inputs: numbers of channels of the image, which decide where weights may be in either order.

    Raises:
        KernelError: an unknown name, or weights that are not a full table of numbers.
    """
    if isinstance(value, Kernel):
        return value
    if not isinstance(value, (str, os.PathLike)):
        return Kernel(value)
    folders, order = options.get("kernel_path", ()), options.get("weights_order")
    try:
        return load_kernel(value, kernel_path=folders, order=order)
    except AmbiguousOrderError:
        if not (channels := inputs()):
            raise
        return library(folders, WeightsOrder(order, channels)).kernel(value)


def _stages(given: Any, options: Mapping[str, Any]) -> tuple[LoadedStage, ...]:
    several = isinstance(given, Sequence) and not isinstance(given, str)
    return tuple(_stage(one, options) for one in (given if several else (given,)))


def _stage(given: Any, options: Mapping[str, Any]) -> LoadedStage:
    if isinstance(given, Kernel):
        return LoadedStage(parse_stage("kernel", lambda _: given))
    if not isinstance(given, str):
        raise ArgumentError(f"then {literal(given)} is not a stage, such as 'relu' or 'maxpool2x2'")
    return LoadedStage(parse_stage(given, lambda name: kernel_of(name, options)))


def _size(name: str, value: Any) -> tuple[int, ...]:
    least = 0 if name == "output_padding" else 1
    if isinstance(value, str):
        return parse_sizes(name.replace("_", " "), value, (1, 2, 3), least=least)
    return whole_numbers(name, value)


def _padding(name: str, value: Any) -> str:
    return value if isinstance(value, str) else str(as_padding(value, "zero"))


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ArgumentError(f"{name} {literal(value)} is not a text")
    return value


def _map(name: str, value: Any) -> PixelMapping:
    return value if isinstance(value, PixelMapping) else PixelMapping.parse(_text(name, value))


def _choice(*words: str) -> Callable[[str, Any], str]:
    def read(name: str, value: Any) -> str:
        word = str(value).casefold()
        if word not in words:
            raise ArgumentError(
                f"{name} {literal(value)} is not one of {', '.join(words)}{suggest(word, words)}"
            )
        return word

    return read


def _number(name: str, value: Any) -> Any:
    try:
        return parse_number(value) if isinstance(value, str) else exact_number(value)
    except (ValueError, TypeError) as error:
        raise ArgumentError(f"{name} {literal(value)} is not a number") from error


def _scale(name: str, value: Any) -> Any:
    words = ("none", "sum", "abs", "gain")
    if isinstance(value, str) and value.isalpha():
        return _choice(*words)(name, value)
    return _number(name, value)


def _ignore(name: str, value: Any) -> Ignore:
    if isinstance(value, Real) and not isinstance(value, bool):
        return Ignore() if np.isnan(float(value)) else Ignore(_number(name, value))
    return Ignore.parse(os.fspath(value) if isinstance(value, os.PathLike) else _text(name, value))


def _nodata(name: str, value: Any) -> Nodata:
    return Nodata.parse(repr(float(value)) if isinstance(value, Real) else _text(name, value))


def _normalize(name: str, value: Any) -> Normalization:
    if isinstance(value, (str, Normalization)):
        return value if isinstance(value, Normalization) else Normalization.parse(value)
    try:
        mean, deviation = (",".join(str(one) for one in np.atleast_1d(part).tolist()) for part in value)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"normalize {literal(value)} is not a text or (mean, deviation)") from error
    return Normalization.parse(f"{mean}/{deviation}")


def _frames(name: str, value: Any) -> slice:
    if value is None or value == "all":
        return slice(None)
    if isinstance(value, slice):
        if value.step not in (None, 1):
            raise ArgumentError(f"frames has the step {literal(value.step)}; allowed: 1")
        return slice(value.start, value.stop)
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
        raise ArgumentError(f"frames {literal(value)} is not an index or a slice, such as slice(2, 5)")
    return slice(int(value), None if value == -1 else int(value) + 1)


def _whole(least: int) -> Callable[[str, Any], int]:
    def read(name: str, value: Any) -> int:
        numbers = whole_numbers(name, value)
        if len(numbers) != 1 or numbers[0] < least:
            raise ArgumentError(f"{name} {literal(value)} is not a whole number from {least}")
        return numbers[0]

    return read


_FIELDS: Final = {"map": "mapping"}
"""Fields of `FilterOptions` that have another name."""

_READERS: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    **dict.fromkeys(("stride", "dilation", "output_padding"), _size),
    **dict.fromkeys(("flip", "transposed", "layer", "linear", "steady"), truth),
    **dict.fromkeys(("threads", "max_pixels", "max_memory"), _whole(1)),
    **dict.fromkeys(("axes", "method"), _text),
    "padding": _padding,
    "map": _map,
    "then": lambda name, value: value,
    "like": _choice(*CONVENTIONS),
    "activation": _choice("layer", "none"),
    "combine": _choice(*COMBINE_CHOICES),
    "scale": _scale,
    "bias": _number,
    "groups": lambda name, value: group_count(value),
    "channels": _choice("each", "gray", "sum"),
    "alpha": _choice("filter", "keep", "drop"),
    "ignore": _ignore,
    "nodata": _nodata,
    "normalize": _normalize,
    "depth": _choice("8", "16", "float"),
    "colormap": _choice(*COLORMAPS),
    "frames": _frames,
    "level": _whole(0),
    "hdu": lambda name, value: str(value),
    "precision": _choice("single", "double"),
}
"""How the value of each option is read."""
