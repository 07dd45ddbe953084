"""Options as the settings of a run."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any, Final

import numpy as np

from convcli.cli.options import was_given
from convcli.core.errors import ArgumentError, ConvcliError, failure_message
from convcli.files.input import STREAM, Input
from convcli.formats import registry
from convcli.formats.header import Coding, Header
from convcli.geometry.axes import LARGEST, Axis, parse_sizes, per_axis
from convcli.geometry.padding import Padding
from convcli.kernels.bank import combined, joined
from convcli.kernels.kernel import Kernel
from convcli.kernels.readers.registry import exists
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.settings import Settings

SHARED: Final = (
    "stride",
    "dilation",
    "channels",
    "groups",
    "mapping",
    "force",
    "method",
    "threads",
    "max_pixels",
    "alpha",
    "linear",
    "depth",
    "strip",
    "frames",
    "colormap",
)
"""Options that are settings of the same name."""


def settings_of(given: dict[str, Any], kernel: Kernel, output: OutputSpec | None = None) -> Settings:
    """What a command's options say of one kernel's results; those that it has not are the defaults."""
    given, layered = _layered(given, kernel)
    adjusted, note = _adjusted(given, kernel)
    padding, flip, convention = conventional(given, adjusted.size)
    same = {name: given[name] for name in SHARED if name in given}
    return Settings(
        kernel=adjusted,
        padding=padding,
        flip=flip,
        notes=tuple(text for text in (*kernel.about.notes, layered, note, convention) if text),
        stack=bool(given.get("stack")) or given.get("combine") == "stack",
        output=output or OutputSpec(),
        double=given.get("precision") == "double",
        coding=coding_of(given),
        **same,
    )


def header_of(size: str) -> Header:
    """The header of an image file, or of an 8-bit image of a typed size: ROWSxCOLUMNS[xCHANNELS].

    What looks like a size is one, also where a file has that name: ``./512x512`` is the file.

    Raises:
        ConvcliError: neither, or a file that is no image.
    """
    if size != STREAM and (re.fullmatch(r"[\d\s,x×X.+-]*", size) or not _names_file(size)):
        rows, columns, channels = (*parse_sizes("size", size, (2, 3), "x"), 1)[:3]
        return Header("", rows, columns, channels, np.dtype(np.uint8))
    try:
        with Input.open(size) as file:
            return registry.open_input(file, LARGEST)[0].header
    except (ConvcliError, MemoryError) as error:
        raise ConvcliError(failure_message(size, error)) from error


def _names_file(text: str) -> bool:
    return os.sep in text or bool(Path(text).suffix) or exists(text)


def coding_of(given: dict[str, Any]) -> Coding:
    """How files are coded, as a command's options say."""
    return Coding(given.get("quality"), given.get("png") == "small")


def each_settings(
    given: dict[str, Any], kernels: Sequence[Kernel], output: OutputSpec | None = None
) -> list[Settings]:
    """What a command's options say of several kernels: results of each, or of all as one bank."""
    if given.get("stack") and given.get("combine") not in (None, "stack"):
        raise ArgumentError(f"--stack keeps maps apart, --combine {given['combine']} makes one of them")
    if len(kernels) > 1 and (given.get("stack") or given.get("combine")):
        kernels = [joined(kernels)]
    return [settings_of(given, kernel, output) for kernel in _told_apart(kernels)]


def _told_apart(kernels: Sequence[Kernel]) -> list[Kernel]:
    """Kernels with a number behind a name that an earlier one has, because results are named after them."""
    found: list[Kernel] = []
    for kernel in kernels:
        taken = {other.name for other in found}
        names = chain([kernel.name], (f"{kernel.name}-{number}" for number in count(2)))
        found.append(kernel.named(next(name for name in names if name not in taken)))
    return found


def conventional(given: dict[str, Any], kernel: tuple[int, int]) -> tuple[Padding, bool, str]:
    """Padding, whether the kernel is turned, and a note, as --like reads the other options."""
    like = given["like"]
    if not like:
        return given["padding"], given["flip"], ""
    from convcli.geometry.conventions import convention, padding_like, refusal

    stride, dilation = (per_axis(name, given[name], 2) for name in ("stride", "dilation"))
    text = given["padding"] if was_given("padding") else None
    said = convention(like, text)
    if given.get("layer") and text is None:  # the layer's own
        padding = given["padding"]
    else:
        padding = padding_like(like, text, kernel, stride, dilation)
    axes = [Axis(LARGEST, *axis) for axis in zip(kernel, stride, dilation, strict=True)]
    reason = refusal(like, "conv", axes, padding.fill)
    if reason:
        raise ArgumentError(f"{reason} (--like {like})")
    flip = given["flip"] if was_given("flip") else said.turned
    return padding, flip, f"padding and direction as {said.operation} has them"


def _adjusted(given: dict[str, Any], kernel: Kernel) -> tuple[Kernel, str]:
    """The kernel with --combine, --scale and --bias, and what a person should know of that."""
    scale, bias = given.get("scale", "none"), given.get("bias")
    if isinstance(bias, tuple):  # a layer's, one for each map before they are combined
        kernel, bias = kernel.biased(bias), None
    how = given.get("combine") or ("stack" if given.get("stack") else None)
    kernel = combined(kernel, how) if how else kernel
    note = ""
    if scale in ("sum", "abs", "gain"):
        scaled = kernel.per_gain() if scale == "gain" else kernel.normalized(scale)
        reason = "the kernel states no gain" if scale == "gain" else "the weights sum to 0"
        note = f"{reason}, so --scale changed nothing" if scaled is kernel else ""
        kernel = scaled
    elif scale != "none":
        kernel = kernel.scaled(scale)
    return (kernel if bias is None else kernel.biased(bias)), note


def _layered(given: dict[str, Any], kernel: Kernel) -> tuple[dict[str, Any], str]:
    """The options with what the layer of the weights says, where --layer asks for it."""
    layer = kernel.layer
    if layer is None:
        if given.get("layer"):
            raise ArgumentError(
                f"kernel {kernel.name} comes from no layer, so --layer has nothing to take over"
            )
        return given, ""
    from convcli.geometry.padding import Padding
    from convcli.kernels.describe import layer_text

    if not given.get("layer"):
        return given, f"the weights belong to a layer ({layer_text(layer)}), which --layer applies"
    missing = [f"--{name}" for name in ("stride", "padding") if not (layer.padding or was_given(name))]
    if missing:
        raise ArgumentError(
            f"kernel {kernel.name}: its file states no stride or padding, so --layer also takes "
            f"{' and '.join(missing)} (such as --stride 1 --padding 1)"
        )
    said: dict[str, Any] = {"dilation": layer.dilation, "groups": layer.groups}
    if layer.padding:
        said |= {"stride": layer.stride, "padding": Padding.parse(layer.padding)}
    if layer.bias:
        said["bias"] = layer.bias
    said = {key: value for key, value in said.items() if not was_given(key)}
    return {**given, **said}, f"as the layer does it: {layer_text(layer)}"
