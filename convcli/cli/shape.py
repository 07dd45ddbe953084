"""``convcli shape``: sizes without a picture, for one layer or a chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from convcli.cli import options
from convcli.cli.console import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convcli.layers.chain import LayerSpec, Shape


@click.command()
@click.argument("size", metavar="ROWSxCOLUMNS[xCHANNELS]|IMAGE")
@click.option(
    "-k",
    "--kernel",
    metavar="ROWSxCOLUMNS[xMAPS]|KERNEL",
    help="The window's size, or a kernel.",
)
@options.kernel_path
@click.option(
    "--layer",
    "layers",
    multiple=True,
    metavar="LAYER",
    help="ROWSxCOLUMNSxMAPS, depthwise3x3, pool2x2 (the maximum) or avgpool2x2, with stride=, padding=, "
    "dilation=, groups=, bias=no and ceil=yes behind commas. Again for each further layer.",
)
@options.like
@options.stride
@options.padding
@options.dilation
@options.flip
@click.option("--report", type=options.Choice(["text", "json"], case_sensitive=False), default="text")
def shape(size: str, kernel: str | None, layers: tuple[str, ...], **given: Any) -> None:
    """The shape of a feature map, with its formula, its cost and its code, without decoding an image.

    \b
      convcli shape 512x512 --kernel 3x3 --stride 2,1 --padding valid
      convcli shape 224x224x3 --layer 7x7x64,stride=2,padding=3 --layer pool3x3,stride=2
      convcli shape 224x224x3 --layer 3x3x32,padding=same --like torch
      convcli shape photo.png --kernel 5x5 --stride 2

    Of an image file, the header gives rows, columns and channels. Sizes and strides are 3x3 or 3,3 alike.

    --kernel has the options of apply and its padding, same:reflect. A --layer has its own behind commas; its
    padding is valid, and a pool's stride its size, unless --like says otherwise.
    """
    from convcli.cli.settings import header_of
    from convcli.core.tables import to_json
    from convcli.layers.chain import chain
    from convcli.layers.report import as_dict, as_text

    if (kernel is None) == (not layers):
        raise click.UsageError("--kernel or --layer is needed, and not both")
    header = header_of(size)
    channels = header.channels
    asked = _layers(layers) if kernel is None else [_layer(kernel, channels, given)]
    shapes = list(chain((header.rows, header.columns), channels, asked, given["like"]))
    if given["report"] == "json":
        say(to_json(as_dict(shapes)))
        return
    by_default = kernel is not None and not options.was_given("padding") and not given["like"]
    said = [f"{found.padding}{_DEFAULT if by_default else ''}" for found in shapes]
    others = _other_paddings(shapes[0]) if kernel is not None and not given["like"] else ""
    say(as_text(shapes, said, others), end="")


_DEFAULT = " (the default; layers often use valid)"


def _layers(texts: Sequence[str]) -> list[LayerSpec]:
    from convcli.layers.chain import LayerSpec

    for name in ("stride", "padding", "dilation", "flip"):
        if options.was_given(name):
            raise click.UsageError(f"--{name} goes with --kernel; a --layer says it behind a comma: {name}=…")
    return [LayerSpec.parse(text) for text in texts]


def _layer(kernel: str, channels: int, given: dict[str, Any]) -> LayerSpec:
    """The layer that --kernel and the options beside it mean."""
    from convcli.layers.chain import LayerSpec

    window, inputs, maps, combined = _window(kernel)
    if inputs not in (None, channels):
        raise click.BadParameter(
            f"it takes {inputs} input channels, the picture has {channels}", param_hint="--kernel"
        )
    strides = given["stride"] * 2 if len(given["stride"]) == 1 else given["stride"]
    return LayerSpec(
        "conv" if maps or (channels == 1 and combined == 1) else "each",
        window,
        maps or 1,
        stride=strides,
        padding=str(given["padding"]) if options.was_given("padding") or not given["like"] else None,
        dilation=given["dilation"] * 2 if len(given["dilation"]) == 1 else given["dilation"],
        bias=False,
        flip=given["flip"] if options.was_given("flip") or not given["like"] else None,
        combined=combined,
    )


def _window(text: str) -> tuple[tuple[int, ...], int | None, int | None, int]:
    """(rows, columns) of ``3x3`` or of a kernel, channels in and out if it says them, kernels of a set."""
    import re

    from convcli.geometry.axes import parse_sizes

    if re.fullmatch(r"-?\d+(\s*[,x×]\s*-?\d+)*", text.strip().casefold()):
        numbers = parse_sizes("kernel", text, (1, 2, 3), "x")
        if len(numbers) == 1:
            return numbers * 2, None, None, 1
        return numbers[:2], None, numbers[2] if len(numbers) == 3 else None, 1
    kernel = options.load(text)
    if kernel.combine:
        return kernel.size, None, None, kernel.maps
    if kernel.weights.ndim != 4:
        return kernel.size, None, None, 1
    return kernel.size, kernel.tensor_shape[2], kernel.maps, 1


def _other_paddings(found: Shape) -> str:
    """What the named amounts of padding would give."""
    from convcli.geometry.axes import geometry
    from convcli.geometry.padding import Padding

    shape, layer, parts = found.geometry, found.layer, []
    for amount in ("valid", "same", "full"):
        try:
            other = geometry(shape.input, shape.kernel, layer.stride or 1, Padding(amount), layer.dilation)
        except ValueError:
            continue
        parts.append(f"{amount} {'×'.join(map(str, other.output))}")
    return ", ".join(parts)
