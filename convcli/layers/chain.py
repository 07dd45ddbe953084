"""Layers as typed on the command line, and the shapes of a chain of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import prod
from typing import Final

from convcli.core.errors import ArgumentError, quoted, suggest
from convcli.core.frozen import frozen, replace
from convcli.core.numerals import counted
from convcli.geometry.axes import Field, Geometry, geometry, parse_sizes
from convcli.geometry.conventions import CONVENTIONS, Convention, convention, padding_like, refusal
from convcli.geometry.padding import Padding, Pair
from convcli.geometry.transposed import check_removal
from convcli.layers.stages import ActivationStage

_KINDS: Final = {
    "conv": "conv",
    "transposed": "conv",
    "depthwise": "depthwise",
    "pool": "maxpool",
    "maxpool": "maxpool",
    "avgpool": "avgpool",
}
"""Kinds by the words that are typed."""
_EXAMPLES: Final = {
    "stride": "stride=2",
    "padding": "padding=same",
    "dilation": "dilation=2",
    "groups": "groups=2",
    "bias": "bias=no",
    "ceil": "ceil=yes",
    "output-padding": "output-padding=1",
}
"""The options of layers, each with an example."""
_BOOLEANS: Final = {"yes": True, "no": False, "true": True, "false": False, "1": True, "0": False}
_SPLIT: Final = re.compile(r",(?!\s*\d+\s*(?:,|:|$))")
"""Between the parts of a layer: a comma before a number continues the values before it."""
_SIZED: Final = re.compile(rf"(?:{'|'.join(_KINDS)})?\d+(?:\s*[x×,]\s*\d+)*")
_USAGE: Final = (
    "allowed: [conv]ROWSxCOLUMNSxMAPS, transposed3x3x16, depthwise3x3, pool2x2 or avgpool2x2, and then "
    "stride=, padding=, dilation=, groups=, output-padding=, bias=no, ceil=yes after commas"
)
_TRANSPOSED: Final = "write a transposed convolution as transposed3x3x16"
_LIBRARY_NAMES: Final = {
    "conv2dtranspose": _TRANSPOSED,
    "convtranspose": _TRANSPOSED,
    "deconv": _TRANSPOSED,
    "conv1d": "write a one-dimensional convolution as 1xSIZExMAPS, such as 1x5x16",
    "conv2d": "write a convolution as ROWSxCOLUMNSxMAPS, such as 3x3x16",
    "conv3d": "layers over volumes are not supported, only layers over images such as 3x3x16",
    "maxpool2d": "write a max pool as pool2x2",
    "avgpool2d": "write an average pool as avgpool2x2",
}
"""What to write instead of the names of layers in libraries."""


@frozen
class LayerSpec:
    """One layer, as requested.

    Attributes:
        kind: ``conv``, ``depthwise``, ``maxpool``, ``avgpool``, ``each``: the same kernel for every channel;
            or ``activation``.
        kernel: (rows, columns) of the window.
        maps: feature maps of a convolution; of each channel if it is depthwise or ``each``.
        stride: None for the default: 1, for pools that of the convention.
        padding: text as the convention reads it; None for its default.
        ceiling: whether a pool's last window counts although it is cut off.
        flip: whether the kernel is flipped; None for the default of the convention.
        combined: the number of kernels whose maps are combined into one.
        transposed: whether it is the transpose of the convolution with this kernel, stride and padding.
        output_padding: of a transposed one; None for none, or as the padding's name says.
        name: the kernel's, if the layer has one, or what the activation is called.
        inputs: channels that each kernel reads; None for those that there are.
        activation: the function of a layer of that kind.
    """

    kind: str
    kernel: tuple[int, ...]
    maps: int = 1
    stride: tuple[int, ...] | None = None
    padding: str | None = None
    dilation: tuple[int, ...] = (1, 1)
    groups: int = 1
    bias: bool = True
    ceiling: bool = False
    flip: bool | None = None
    combined: int = 1
    transposed: bool = False
    output_padding: tuple[int, ...] | None = None
    name: str = ""
    inputs: int | None = None
    activation: ActivationStage | None = None

    @property
    def is_pool(self) -> bool:
        return self.kind.endswith("pool")

    @property
    def has_weights(self) -> bool:
        return not self.is_pool and self.activation is None

    @classmethod
    def parse(cls, text: str) -> LayerSpec:
        """The layer of ``7x7x64,stride=2,padding=3`` or ``pool3x3,stride=2,ceil=yes``.

        A comma before a number continues the values before it: ``stride=2,1``.

        Raises:
            ArgumentError: an unknown layer or option, a value that is not allowed, or an option given twice.
        """
        head, *parts = _SPLIT.split(text.strip())
        layer = _window(head.strip().casefold(), text)
        seen: set[str] = set()
        for part in parts:
            key, equals, value = (piece.strip().casefold() for piece in part.partition("="))
            if key not in _EXAMPLES:
                near = suggest(key, _EXAMPLES)
                raise ArgumentError(f"layer {quoted(text)}: unknown option {quoted(part)}{near}; {_USAGE}")
            if not equals:
                raise ArgumentError(f"layer {quoted(text)}: {key} needs a value, such as {_EXAMPLES[key]}")
            if key in seen:
                raise ArgumentError(f"layer {quoted(text)}: {key} is given twice")
            seen.add(key)
            layer = _with(layer, key, value, text)
        return layer


def is_sized(text: str) -> bool:
    """Whether a text is a layer by its sizes, such as ``3x3x16,stride=2``; a kernel has a name or weights."""
    head = _SPLIT.split(text.strip())[0]
    return bool(_SIZED.fullmatch(head.strip().casefold()))


def unknown_layer(text: str) -> str:
    """What to write instead of an unknown layer; empty if the text resembles none."""
    head = text.strip().casefold()
    word = re.sub(r"[^a-z].*", "", head)
    is_near = head.startswith(tuple(_LIBRARY_NAMES)) or suggest(word, _KINDS)
    return f"layer {quoted(text)}: {_unknown(head)}" if is_near else ""


def _window(head: str, text: str) -> LayerSpec:
    """The layer of the first part of a text: its kind, its window and its maps."""
    match = re.fullmatch(r"([a-z]*)((?:\d+)(?:[x×,]\s*\d+)*)", head)
    if not match or (match[1] or "conv") not in _KINDS:
        raise ArgumentError(f"layer {quoted(text)}: {_unknown(head)}")
    kind = _KINDS[match[1] or "conv"]
    numbers = parse_sizes("layer", match[2], (1, 2, 3), "x")
    if kind == "conv" and len(numbers) != 3:
        example = f"{match[1].removeprefix('conv')}3x3x16"
        raise ArgumentError(f"layer {quoted(text)}: a convolution is ROWSxCOLUMNSxMAPS, such as {example}")
    if kind in ("maxpool", "avgpool") and len(numbers) == 3:
        raise ArgumentError(f"layer {quoted(text)}: a pool is ROWSxCOLUMNS, such as 2x2")
    sides = numbers * 2 if len(numbers) == 1 else numbers[:2]
    maps = numbers[2] if len(numbers) == 3 else 1
    has_bias = not kind.endswith("pool")
    return LayerSpec(kind, sides, maps, bias=has_bias, transposed=match[1] == "transposed")


def _unknown(head: str) -> str:
    """What to write instead of an unknown layer."""
    for name, advice in _LIBRARY_NAMES.items():
        if head.startswith(name):
            return advice
    return f"unknown layer type{suggest(re.sub(r'[^a-z].*', '', head), _KINDS)}; {_USAGE}"


def _with(layer: LayerSpec, key: str, value: str, text: str) -> LayerSpec:
    """The layer with one more option."""
    if key in ("stride", "dilation"):
        sizes = parse_sizes(key, value, (1, 2))
        sizes = sizes * 2 if len(sizes) == 1 else sizes
        return replace(layer, stride=sizes) if key == "stride" else replace(layer, dilation=sizes)
    if key == "padding":
        return replace(layer, padding=re.sub(r"(?<=\d)\s*[x×]\s*(?=\d)", ",", value))
    if key == "output-padding" and layer.transposed:
        return replace(layer, output_padding=parse_sizes("output-padding", value, (1, 2), least=0))
    if key == "groups" and layer.kind == "conv":
        return replace(layer, groups=parse_sizes(key, value, (1,))[0])
    if key == "ceil" and layer.is_pool and value in _BOOLEANS:
        return replace(layer, ceiling=_BOOLEANS[value])
    if key == "bias" and not layer.is_pool and value in _BOOLEANS:
        return replace(layer, bias=_BOOLEANS[value])
    raise ArgumentError(f"layer {quoted(text)}: {key}={value} is not allowed for {layer.kind}; {_USAGE}")


@frozen(eq=False)
class Shape:
    """The shapes around one layer of a chain.

    Attributes:
        padding: the layer's padding, parsed.
        channels: (in, out).
        receptive: the receptive field: pixels of the chain's input, (rows, columns), that one output value
            depends on.
        jump: pixels of the chain's input between neighboring output values, (rows, columns); fractions after
            transposed convolutions.
        like: a key of `CONVENTIONS`, or None.
    """

    layer: LayerSpec
    geometry: Geometry
    padding: Padding
    channels: Pair
    receptive: tuple[int, ...]
    jump: tuple[int | Fraction, ...]
    like: str | None = None

    @property
    def input(self) -> tuple[int, ...]:
        """(batch, rows, columns, channels)."""
        return 1, *self.geometry.input, self.channels[0]

    @property
    def output(self) -> tuple[int, ...]:
        """(batch, rows, columns, channels)."""
        return 1, *self.geometry.output, self.channels[1]

    @property
    def flip(self) -> bool:
        """Whether the kernel is flipped: as requested, or as the library does."""
        if self.layer.flip is not None:
            return self.layer.flip
        return bool(self.like and self.convention.rotates)

    @property
    def convention(self) -> Convention:
        """How the library of ``like`` computes the layer."""
        return convention(self.like or "", self.layer.padding, self.layer.transposed)

    @property
    def groups(self) -> int:
        """The number of groups of channels; one for each channel if the layer is depthwise."""
        return self.channels[0] if self.layer.kind == "depthwise" else self.layer.groups

    @property
    def weights(self) -> tuple[int, ...]:
        """(rows, columns, in / groups, out) as in Keras; empty for a pool or an activation.

        Of a transposed convolution (rows, columns, out / groups, in), those of the layer that it transposes.
        """
        if not self.layer.has_weights:
            return ()
        if self.layer.kind == "each":
            return (*self.layer.kernel, 1, self.layer.maps)
        if self.layer.transposed:
            return *self.layer.kernel, self.channels[1] // self.groups, self.channels[0]
        return *self.layer.kernel, self.channels[0] // self.groups, self.channels[1]

    @property
    def biases(self) -> int:
        """The number of biases."""
        if not self.weights or not self.layer.bias:
            return 0
        return self.layer.maps if self.layer.kind == "each" else self.channels[1]

    @property
    def parameters(self) -> int:
        """The number of weights and biases."""
        return prod(self.weights) * self.layer.combined + self.biases if self.weights else 0

    @property
    def multiply_adds(self) -> int:
        """The number of products: for each output value, one for each weight that it reads.

        Of a transposed convolution, for each input value, one for each weight that it is multiplied with.
        """
        per_value = prod(self.weights[:-1]) * self.layer.combined if self.weights else 0
        return prod(self.multiplied) * per_value

    @property
    def multiplied(self) -> tuple[int, ...]:
        """(batch, rows, columns, channels) of the values that the products are counted for."""
        return self.input if self.layer.transposed else self.output


def chain(
    sizes: Sequence[int], channels: int, layers: Sequence[LayerSpec], like: str | None
) -> Iterator[Shape]:
    """The shapes around each layer.

    Args:
        sizes: (rows, columns) of the image.
        like: the library whose names and defaults the layers use, a key of `CONVENTIONS`; None for this
            project's (padding ``valid``, a pool's stride its size).

    Raises:
        ArgumentError: a layer that does not fit, with its place in the chain, or that the library refuses.
    """
    fields = (Field(),) * len(sizes)
    for place, typed in enumerate(layers, 1):
        layer = replace(typed, kind="conv") if _is_one_channel(typed, channels) else typed
        try:
            padding, shape = _placed(sizes, layer, like)
            out = _channels(layer, channels)
        except ArgumentError as error:
            raise ArgumentError(f"layer {place}: {error}" if len(layers) > 1 else str(error)) from error
        axes = shape.axes
        fields = tuple(field.after(axis) for field, axis in zip(fields, axes, strict=True))
        receptive, jump = tuple(field.size for field in fields), tuple(field.jump for field in fields)
        yield Shape(layer, shape, padding, (channels, out), receptive, jump, like)
        sizes, channels = shape.output, out


def _is_one_channel(layer: LayerSpec, channels: int) -> bool:
    """Whether one kernel for every channel is a convolution of the only channel."""
    return layer.kind == "each" and channels == 1 and layer.combined == 1


def _placed(sizes: Sequence[int], layer: LayerSpec, like: str | None) -> tuple[Padding, Geometry]:
    """The padding of a layer, and where its windows lie."""
    if layer.activation:
        return Padding(), geometry(sizes, layer.kernel)
    stride, transposed = layer.stride or default_stride(layer, like), layer.transposed
    if like is None:
        padding = Padding.parse(layer.padding or "valid")
    else:
        window = layer.kernel, stride, layer.dilation
        padding = padding_like(like, layer.padding, *window, layer.is_pool, transposed)
    if transposed:
        check_removal(padding)
    steps = stride, padding, layer.dilation, layer.ceiling
    windows = geometry(sizes, layer.kernel, *steps, transposed, layer.output_padding)
    kind = "transposed" if transposed else layer.kind
    reason = refusal(like, kind, windows.layer, padding.fill) if like else ""
    if reason:
        raise ArgumentError(f"{reason} (--like {like})")
    if like == "onnx" and layer.ceiling and (layer.padding or "").startswith("same"):
        raise ArgumentError("ONNX has no ceil mode with auto_pad (--like onnx)")
    return padding, windows


def default_stride(layer: LayerSpec, like: str | None) -> tuple[int, ...]:
    """1, or the size of a pool if the convention says so."""
    by_size = like is None or CONVENTIONS[like].pool_stride == "kernel"
    return layer.kernel if layer.is_pool and by_size else (1, 1)


def _channels(layer: LayerSpec, channels: int) -> int:
    """The number of channels after the layer."""
    if layer.inputs is not None and layer.inputs * layer.groups != channels:
        groups = f" in each of {layer.groups} groups" if layer.groups > 1 else ""
        raise ArgumentError(
            f"the kernel takes {counted(layer.inputs, 'input channel')}{groups}, "
            f"but its input has {counted(channels, 'channel')}"
        )
    if layer.kind == "conv":
        if channels % layer.groups or layer.maps % layer.groups:
            raise ArgumentError(
                f"groups {layer.groups} does not divide {channels} channels and {layer.maps} maps"
            )
        return layer.maps
    return channels * layer.maps
