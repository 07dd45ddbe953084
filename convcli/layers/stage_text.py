"""Stages of a chain as they are typed: ``laplacian8,stride=2``, ``relu``, ``maxpool2x2``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from convcli.core.errors import ArgumentError, ConvcliError, KernelError, quoted, suggest
from convcli.core.frozen import replace
from convcli.core.rational import parse_number
from convcli.geometry.axes import parse_sizes
from convcli.geometry.padding import Padding
from convcli.geometry.transposed import check_removal
from convcli.kernels.kernel import Kernel
from convcli.layers.activations import ACTIVATIONS, is_activation, parse_activation
from convcli.layers.chain import LayerSpec, is_sized, unknown_layer
from convcli.layers.stages import ActivationStage, ConvolutionStage, PoolStage, Stage

_OPTIONS: Final = (
    *("stride", "padding", "dilation", "groups", "flip", "bias", "transposed", "output-padding"),
)
"""The options of a kernel as a stage."""
_SPLIT: Final = re.compile(rf",(?=\s*(?:{'|'.join(_OPTIONS)}|ceil)\s*=)", re.IGNORECASE)
_SIZED: Final = re.compile(
    r"(?:(?:maxpool|avgpool|pool|depthwise|conv)\d+|\d+[x×]\d+)(?:[x×]\d+)*", re.IGNORECASE
)
"""A layer by its sizes; a number alone is a kernel of one weight."""
_DEFAULT_PADDING: Final = "same:reflect"
_POOLS: Final = ("maxpool", "avgpool")


def parse_stage(text: str, load: Callable[[str], Kernel]) -> Stage:
    """The stage that a text describes: an activation, a pool, or a kernel with its options.

    A kernel is padded ``same:reflect`` unless the text says otherwise, as on the command line.

    Args:
        load: finds a kernel.

    Raises:
        ConvcliError: no such stage, or options that it does not take.
    """
    word, *parts = (part.strip() for part in _SPLIT.split(text.strip()))
    if is_activation(word):
        return _activation(text, word, parts)
    if _SIZED.fullmatch(word):
        return _layer(text)
    return _convolution(text, word, _options(text, parts), load)


def parse_layer(text: str, load: Callable[[str], Kernel], like: str | None = None) -> LayerSpec:
    """The layer that a text describes: by its sizes, as `LayerSpec.parse` reads them, or as a stage.

    Args:
        load: finds a kernel.
        like: the library whose padding the text has; a key of `CONVENTIONS`.

    Raises:
        ConvcliError: no such layer, or options that it does not take.
    """
    if is_sized(text):
        return LayerSpec.parse(text)
    word, *parts = (part.strip() for part in _SPLIT.split(text.strip()))
    if is_activation(word):
        return activation_layer(_activation(text, word, parts))
    options = _options(text, parts)
    padding = options.pop("padding", None) if like else None
    try:
        layer = convolution_layer(_convolution(text, word, options, load))
    except KernelError as error:
        if advice := unknown_layer(text):
            raise ArgumentError(advice) from error
        raise
    return replace(layer, padding=padding, flip=layer.flip if "flip" in options else None) if like else layer


def convolution_layer(stage: ConvolutionStage) -> LayerSpec:
    """The sizes of a convolution.

    Raises:
        ArgumentError: a kernel for volumes.
    """
    kernel = stage.kernel
    if kernel.spatial != 2:
        raise ArgumentError(f"kernel {kernel.name} filters volumes; layers filter images")
    inputs = kernel.tensor_shape[-2]
    each = inputs * stage.groups == 1
    return LayerSpec(
        "each" if each else "conv",
        kernel.size,
        1 if kernel.combine else kernel.maps,
        stage.stride,
        str(stage.padding),
        stage.dilation,
        stage.groups,
        bias=bool(kernel.bias or (kernel.layer and kernel.layer.bias)),
        flip=stage.flip,
        combined=kernel.maps if kernel.combine else 1,
        transposed=stage.transposed,
        output_padding=stage.output_padding,
        name=kernel.name,
        inputs=None if each else inputs,
    )


def activation_layer(stage: ActivationStage) -> LayerSpec:
    """An activation as a layer, which changes no size."""
    return LayerSpec("activation", (1, 1), bias=False, name=stage.name, activation=stage)


def _activation(text: str, word: str, parts: Sequence[str]) -> ActivationStage:
    stage = parse_activation(word)
    if parts:
        raise ArgumentError(f"stage {quoted(text)}: {stage.function} takes no options")
    return stage


def _layer(text: str) -> PoolStage:
    """A pool; other layers have no weights."""
    try:
        spec = LayerSpec.parse(text)
    except ArgumentError as error:
        message = str(error).removeprefix(f"layer {quoted(text)}: ")
        raise ArgumentError(f"stage {quoted(text)}: {message}") from error
    if spec.kind not in _POOLS:
        raise ArgumentError(
            f"stage {quoted(text)} has sizes but no weights; name a kernel or a file of weights "
            "(convcli shape --layer computes the sizes alone)"
        )
    if spec.kind == "avgpool" and spec.dilation != (1, 1):
        raise ArgumentError(f"stage {quoted(text)}: an average pool has no dilation")
    amount, _, fill = (spec.padding or "valid").partition(":")
    if fill:
        raise ArgumentError(f"stage {quoted(text)}: the padding of a pool has no fill; use padding={amount}")
    padding = Padding.parse(amount)
    stride = spec.stride or spec.kernel
    return PoolStage(spec.kind, spec.kernel, stride, padding, spec.ceiling, spec.dilation)


def _options(text: str, parts: list[str]) -> dict[str, str]:
    options: dict[str, str] = {}
    for part in parts:
        key, _, value = (piece.strip() for piece in part.partition("="))
        key = key.casefold()
        if key not in _OPTIONS:
            raise ArgumentError(f"stage {quoted(text)}: {key}= is for pools; allowed: {', '.join(_OPTIONS)}")
        if key in options:
            raise ArgumentError(f"stage {quoted(text)}: {key} is given twice")
        if not value:
            raise ArgumentError(f"stage {quoted(text)}: {key} needs a value")
        options[key] = value
    return options


def _convolution(
    text: str, name: str, options: Mapping[str, str], load: Callable[[str], Kernel]
) -> ConvolutionStage:
    kernel = _loaded(text, name, load)
    try:
        if "bias" in options:
            kernel = kernel.biased(parse_number(options["bias"]))
        transposed, extra = _flag("transposed", options), options.get("output-padding")
        if extra is not None and not transposed:
            raise ArgumentError("output-padding goes with transposed=yes")
        padding = _padding(options.get("padding", "same" if transposed else _DEFAULT_PADDING))
        if transposed:
            check_removal(padding)
        return ConvolutionStage(
            kernel,
            padding,
            _pair("stride", options.get("stride", "1")),
            _pair("dilation", options.get("dilation", "1")),
            parse_sizes("groups", options.get("groups", "1"), (1,))[0],
            _flag("flip", options),
            transposed,
            None if extra is None else _pair("output-padding", extra, least=0),
        )
    except ValueError as error:
        raise ArgumentError(f"stage {quoted(text)}: {error}") from error


def _padding(text: str) -> Padding:
    padding = Padding.parse(text)
    if padding.fill.mode == "ignore":
        raise ArgumentError(
            f"padding {quoted(text)}: stages do not renormalize at the edges; use another fill"
        )
    return padding


def _loaded(text: str, name: str, load: Callable[[str], Kernel]) -> Kernel:
    """The kernel of a stage; an unknown name is compared with those of other stages too."""
    if not name:
        raise ArgumentError(f"stage {quoted(text)} is empty; {usage()}")
    if name.casefold() in (*_POOLS, "pool"):
        raise ArgumentError(f"stage {quoted(text)} needs a window, such as {name.casefold()}2x2")
    try:
        return load(name)
    except ConvcliError as error:
        near = suggest(re.split(r"[:\d]", name.casefold())[0], [*ACTIVATIONS, *_POOLS])
        option = re.search(r",\s*([a-z-]+)\s*=", name.casefold())
        if option and (meant := suggest(option[1], _OPTIONS)):
            raise ArgumentError(f"stage {quoted(text)}: unknown option {option[1]}{meant}") from error
        unknown = str(error).startswith("unknown kernel")
        if unknown and not near and "lists all names" in str(error):
            raise KernelError(
                f"stage {quoted(text)} is neither a kernel nor a function; {usage()}"
            ) from error
        if near and unknown:
            raise ArgumentError(f"stage {quoted(text)} is neither a kernel nor a function{near}") from error
        raise type(error)(f"stage {quoted(text)}: {error}") from error


def usage() -> str:
    """What a stage may be."""
    activations = ", ".join(activation.usage for activation in ACTIVATIONS.values())
    return f"allowed: a kernel, maxpoolHxW, avgpoolHxW, {activations}"


def _pair(name: str, text: str, least: int = 1) -> tuple[int, ...]:
    sizes = parse_sizes(name, text, (1, 2), least=least)
    return sizes * 2 if len(sizes) == 1 else sizes


def _flag(name: str, options: Mapping[str, str]) -> bool:
    text = options.get(name, "no")
    words = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
    if text.casefold() not in words:
        raise ArgumentError(f"{name}={text} is not yes or no")
    return words[text.casefold()]
