"""``convcli shape``: sizes of feature maps, for one layer or a chain of layers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import click

from convcli.cli import options
from convcli.cli.arguments import FilterOptions, parse
from convcli.cli.command import MAIN, Command, option
from convcli.cli.console import say
from convcli.cli.types import Value, load
from convcli.core.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convcli.layers.chain import LayerSpec, Shape

_DEFAULT: Final = " (the default; layers often use valid)"
_KERNEL_OPTIONS: Final = {
    "flip": "",
    "transposed": "; write a --layer as transposed3x3x16",
    **{
        name: f"; in a --layer, write {name}=… after a comma"
        for name in ("stride", "padding", "dilation", "output-padding")
    },
}
"""Options that have no effect on layers, and what to do instead."""


@click.command(cls=Command)
@click.argument("size", metavar="ROWSxCOLUMNS[xCHANNELS]|IMAGE", type=Value("SIZE"))
@option(
    "-k",
    "--kernel",
    heading=MAIN,
    type=Value("SIZE|KERNEL", vocabulary="kernel", files=True),
    help="Window ROWSxCOLUMNS[xMAPS], or a kernel as in apply",
)
@option(
    "--layer",
    "layers",
    heading=MAIN,
    multiple=True,
    type=Value("LAYER"),
    help="Layer such as 3x3x16,stride=2 or pool2x2; repeat it for a chain",
    details="A layer is ROWSxCOLUMNSxMAPS, transposed3x3x16, depthwise3x3, pool2x2 (maximum) or avgpool2x2, "
    "with stride=, padding=, dilation=, groups=, output-padding=, bias=no and ceil=yes after commas.",
)
@options.model
@options.window
@options.transposing
@options.kernel_path
@options.text_or_json
def shape(
    size: str,
    kernel: str | None,
    layers: tuple[str, ...],
    model: str | None,
    kernel_path: tuple[str, ...],
    report: str,
    **parameters: Any,
) -> None:
    """Compute the shape of a feature map, without reading pixels.

    \b
      convcli shape 512x512 -k 3x3 --stride 2,1 --padding valid
      convcli shape 224x224x3 --layer 7x7x64,stride=2,padding=3 --layer pool3x3,stride=2
      convcli shape 224x224x3 --layer 3x3x32,padding=same --like torch
      convcli shape photo.png -k 5x5 --stride 2
      convcli shape 224x224x3 --model net.onnx

    The report shows the formula, the cost and equivalent code for other libraries. Only the header of an
    IMAGE is read.

    --kernel uses the options below, and its padding is same:reflect by default. A --layer lists its own
    options after commas; its padding is valid by default, and the stride of a pooling layer is its window
    size, unless --like specifies otherwise.

    --model prints a line for each node of a trained network that changes a shape, joins tensors or has
    parameters.
    """
    from convcli.cli.networks import network_report
    from convcli.cli.settings import header_of
    from convcli.core.tables import to_json
    from convcli.layers.chain import chain
    from convcli.layers.report import as_dict, as_text

    window = parse(FilterOptions, parameters)
    header = header_of(size)
    if model is not None:
        _check_alone(kernel, layers, window)
        say(network_report(model, header, report).removesuffix("\n"))
        return
    specs = _specs(kernel, layers, kernel_path, header.channels, window)
    shapes = list(chain((header.rows, header.columns), header.channels, specs, window.like))
    if report == "json":
        say(to_json(as_dict(shapes)))
        return
    by_default = kernel is not None and "padding" not in window.explicit and not window.like
    by_default = by_default and not window.transposed
    paddings = [f"{shape.padding}{_DEFAULT if by_default else ''}" for shape in shapes]
    others = _other_paddings(shapes[0]) if kernel is not None and not window.like else ""
    say(as_text(shapes, paddings, others), end="")


def _check_alone(kernel: str | None, layers: Sequence[str], options: FilterOptions) -> None:
    """Refuse options of windows besides a whole network, which has its own."""
    given = {"kernel": kernel is not None, "layer": bool(layers)}
    given |= {name: name in options.explicit for name in ("stride", "padding", "dilation", "flip", "like")}
    for name, is_given in given.items():
        if is_given:
            raise click.UsageError(f"--model is a whole network and cannot be combined with --{name}")


def _specs(
    kernel: str | None,
    layers: Sequence[str],
    kernel_path: Sequence[str],
    channels: int,
    options: FilterOptions,
) -> list[LayerSpec]:
    """The layers of the chain, or the one that ``--kernel`` and the options with it mean."""
    from convcli.layers.chain import LayerSpec

    if kernel is not None and layers:
        raise click.UsageError("--kernel and --layer cannot be combined; use only one")
    if kernel is not None:
        return [_spec(_Window.of(kernel, kernel_path), channels, options)]
    if not layers:
        raise click.UsageError("missing option -k/--kernel, --layer or --model")
    for name, hint in _KERNEL_OPTIONS.items():
        if name.replace("-", "_") in options.explicit:
            raise click.UsageError(f"--{name} goes with --kernel{hint}")
    return [LayerSpec.parse(text) for text in layers]


def _spec(window: _Window, channels: int, options: FilterOptions) -> LayerSpec:
    from convcli.core.numerals import counted
    from convcli.geometry.padding import Padding
    from convcli.layers.chain import LayerSpec

    if window.inputs is not None and window.inputs != channels:
        raise click.UsageError(
            f"the kernel takes {counted(window.inputs, 'input channel')}, but the image has {channels}"
        )
    like, explicit = options.like, options.explicit
    if options.output_padding is not None and not options.transposed:
        raise click.UsageError("--output-padding goes with --transposed")
    text = "same" if options.transposed and "padding" not in explicit else options.padding
    padding = text if like else str(Padding.parse(text))
    layered = bool(window.maps) or (channels == 1 and window.combined == 1)
    return LayerSpec(
        "conv" if layered else "each",
        window.size,
        window.maps or 1,
        stride=_pair(options.stride),
        padding=padding if "padding" in explicit or not like else None,
        dilation=_pair(options.dilation),
        bias=False,
        flip=options.flip if "flip" in explicit or not like else None,
        combined=window.combined,
        transposed=options.transposed,
        output_padding=options.output_padding,
    )


def _pair(sizes: tuple[int, ...]) -> tuple[int, ...]:
    return sizes * 2 if len(sizes) == 1 else sizes


@frozen
class _Window:
    """A kernel's sizes.

    Attributes:
        size: (rows, columns).
        inputs, maps: channels in and out, if the kernel states them.
        combined: how many kernels are combined into one map.
    """

    size: tuple[int, ...]
    inputs: int | None = None
    maps: int | None = None
    combined: int = 1

    @classmethod
    def of(cls, text: str, kernel_path: Sequence[str]) -> _Window:
        """The window of ``3``, ``3x3``, ``3x3x16`` or of a kernel."""
        from convcli.geometry.axes import parse_sizes

        if re.fullmatch(r"-?\d+(\s*[,x×]\s*-?\d+)*", text.strip().casefold()):
            rows, *rest = parse_sizes("kernel", text, (1, 2, 3), "x")
            return cls((rows, rest[0] if rest else rows), maps=rest[1] if len(rest) == 2 else None)
        kernel = load(text, kernel_path).kernel
        if kernel.combine:
            return cls(kernel.size, combined=kernel.maps)
        if kernel.weights.ndim != 4:
            return cls(kernel.size)
        return cls(kernel.size, kernel.tensor_shape[2], kernel.maps)


def _other_paddings(shape: Shape) -> str:
    """What the named amounts of padding would give."""
    from convcli.geometry.axes import geometry
    from convcli.geometry.padding import Padding

    sizes, layer, parts = shape.geometry, shape.layer, []
    for amount in ("valid", "same", "full"):
        try:
            padded = geometry(
                sizes.input,
                sizes.kernel,
                layer.stride or 1,
                Padding(amount),
                layer.dilation,
                transposed=layer.transposed,
                output_padding=layer.output_padding,
            )
        except ValueError:
            continue
        parts.append(f"{amount} {'×'.join(map(str, padded.output))}")
    return ", ".join(parts)
