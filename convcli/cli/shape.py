"""``convcli shape``: sizes of feature maps, for one layer or a chain of layers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import click

from convcli.cli import options
from convcli.cli.arguments import parse
from convcli.cli.command import MAIN, Command, option
from convcli.cli.console import say
from convcli.cli.shape_of_axes import IMAGE_AXES, axes_of, check_only_kernel, shape_of_axes
from convcli.cli.types import LayerText, Value, integer, load
from convcli.core.frozen import frozen
from convcli.pipeline.options import FilterOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convcli.kernels.kernel import Kernel
    from convcli.layers.chain import LayerSpec, Shape

_OF_FILE: Final = ""
"""The value of a ``--layer`` without a text."""
_SIZES: Final = re.compile(r"-?\d+(\s*[,x×]\s*-?\d+)*")
_DEFAULT: Final = " (the default; layers often use valid)"
_KERNEL_OPTIONS: Final = {
    "flip": "",
    "transposed": "; write a --layer as transposed3x3x16",
    **{
        name: f"; in a --layer, write {name}=… after a comma"
        for name in ("stride", "padding", "dilation", "groups", "output-padding")
    },
}
"""Options that have no effect on layers, and what to do instead."""


@click.command(cls=Command)
@click.argument(
    "size", required=False, metavar="ROWSxCOLUMNS[xCHANNELS]|IMAGE", type=Value("SIZE")
)  # --layer may have taken it, which is worth a message of its own
@option(
    "--axes",
    heading=MAIN,
    type=integer(1, 3),
    help="Number of axes of the size: 1 for signals, 3 for volumes",
    details="The default is 2, or 1 if SIZE is one number. SIZE is then LENGTH[xCHANNELS] or "
    "DEPTHxROWSxCOLUMNS[xCHANNELS], and --kernel has as many sizes before its maps.",
)
@option(
    "-k",
    "--kernel",
    heading=MAIN,
    type=Value("SIZE|KERNEL", vocabulary="kernel", files=True),
    help="Window ROWSxCOLUMNS[xMAPS], or a kernel as in apply",
)
@option(
    "--then",
    heading=MAIN,
    multiple=True,
    type=LayerText("LAYER"),
    help="Layer after the kernel, such as relu or maxpool2x2; repeatable",
    details="It is written as one of `--layer`, or as a stage of apply.",
)
@option(
    "--layer",
    "layers",
    heading=MAIN,
    multiple=True,
    is_flag=False,
    flag_value=_OF_FILE,
    type=LayerText("[LAYER]"),
    help="Layer such as 3x3x16,stride=2 or pool2x2; repeat it for a chain",
    details="A layer is ROWSxCOLUMNSxMAPS, transposed3x3x16, depthwise3x3, pool2x2 (maximum) or avgpool2x2, "
    "with stride=, padding=, dilation=, groups=, output-padding=, bias=no and ceil=yes after commas; a "
    "kernel such as laplacian8,stride=2; or an activation such as relu. Without a text, at the end of the "
    "line, --layer gives the kernel the stride, padding, dilation, groups and bias of its model file: "
    "`-k FILE:NAME --layer`.",
)
@options.model
@options.window
@options.transposing
@options.groups
@options.kernel_path
@options.text_or_json
def shape(
    size: str | None,
    axes: int | None,
    kernel: str | None,
    then: tuple[str, ...],
    layers: tuple[str, ...],
    model: str | None,
    kernel_path: tuple[str, ...],
    report: str,
    **parameters: Any,
) -> None:
    """Compute the shape of a feature map, without reading pixels.

    \b
      convcli shape 512x512 -k 3x3 --stride 2,1 --padding valid
      convcli shape 512x512 -k gaussian:2 --then laplacian8,stride=2 --then relu
      convcli shape 224x224x3 --layer 7x7x64,stride=2,padding=3 --layer pool3x3,stride=2
      convcli shape 224x224x3 -k net.onnx:conv1 --layer
      convcli shape 224x224x3 --layer 3x3x32,padding=same --like torch
      convcli shape photo.png -k 5x5 --stride 2
      convcli shape 100 -k 5 --padding causal
      convcli shape 16x64x64 --axes 3 -k 3x3x3
      convcli shape 224x224x3 --model net.onnx

    The report shows the formula, the cost and equivalent code for other libraries. Only the header of an
    IMAGE is read.

    --kernel uses the options below, and its padding is same:reflect by default. A --layer or --then lists
    its own options after commas. Layers with sizes are padded valid by default, kernels same:reflect, and
    the stride of a pooling layer is its window size, unless --like specifies otherwise.

    --model prints a line for each node of a trained network that changes a shape, joins tensors or has
    parameters.
    """
    from convcli.cli.headers import header_of
    from convcli.layers.chain import chain

    window = parse(FilterOptions, parameters)
    if (count := axes_of(size, axes)) != IMAGE_AXES:
        given = {"layer": bool(layers), "then": bool(then), "model": model is not None}
        given |= {
            name: _is_given(name, window) for name in ("like", "transposed", "output-padding", "groups")
        }
        text = check_only_kernel(count, [name for name, is_given in given.items() if is_given], kernel)
        shapes = [shape_of_axes(count, _checked_size(size, layers), text, kernel_path, window)]
        _print(shapes, window, True, report)
        return
    header = header_of(_checked_size(size, layers))
    if model is not None:
        _check_alone(kernel, layers, then, window)
        from convcli.cli.networks import network_report

        say(network_report(model, header, report).removesuffix("\n"))
        return
    typed = _Typed(kernel, layers, then, kernel_path)
    shapes = list(chain((header.rows, header.columns), header.channels, typed.specs(window), window.like))
    _print(shapes, window, typed.is_window, report)


def _print(shapes: Sequence[Shape], window: FilterOptions, is_window: bool, report: str) -> None:
    """Print the shapes; ``is_window`` if the first layer is a kernel with the options of the command line."""
    from convcli.core.tables import to_json
    from convcli.layers.report import as_dict, as_text

    if report == "json":
        say(to_json(as_dict(shapes)))
        return
    by_default = is_window and "padding" not in window.explicit and not window.like
    by_default = by_default and not window.transposed
    first, *rest = [str(shape.padding) for shape in shapes]
    others = _other_paddings(shapes[0]) if is_window and not window.like else ""
    say(as_text(shapes, [f"{first}{_DEFAULT if by_default else ''}", *rest], others), end="")


def _checked_size(size: str | None, layers: Sequence[str]) -> str:
    if size is not None:
        return size
    if layers and layers[-1] != _OF_FILE:
        raise click.UsageError(
            f"missing argument SIZE; without a text, --layer comes last: "
            f"convcli shape {layers[-1]} -k FILE:NAME --layer"
        )
    context = click.get_current_context()
    raise click.MissingParameter(ctx=context, param=context.command.params[0])


def _check_alone(
    kernel: str | None, layers: Sequence[str], then: Sequence[str], options: FilterOptions
) -> None:
    """Refuse options of windows besides a whole network, which has its own."""
    given = {"kernel": kernel is not None, "layer": bool(layers), "then": bool(then)}
    given |= {name: _is_given(name, options) for name in (*_KERNEL_OPTIONS, "like")}
    for name, is_given in given.items():
        if is_given:
            raise click.UsageError(f"--model is a whole network and cannot be combined with --{name}")


def _is_given(name: str, options: FilterOptions) -> bool:
    return name.replace("-", "_") in options.explicit


@frozen
class _Typed:
    """The layers of a command line, as they are typed.

    Attributes:
        layers: those of ``--layer``; `_OF_FILE` is the one of the kernel's model file.
        then: those after the kernel.
    """

    kernel: str | None
    layers: tuple[str, ...]
    then: tuple[str, ...]
    kernel_path: tuple[str, ...]

    @property
    def is_window(self) -> bool:
        """Whether the first layer is a kernel with the options of the command line."""
        return self.kernel is not None and not self.layers

    def specs(self, options: FilterOptions) -> list[LayerSpec]:
        """The layers in order.

        Raises:
            click.UsageError: options that cannot be combined, or no layer.
            ConvcliError: a layer or a kernel that does not exist.
        """
        self._check(options)
        if self.kernel is None:
            return [self._layer(text, options.like) for text in self.layers]
        if self.layers:
            first = self._layers_of_file(self.kernel, options)
        else:
            first = [self._window(self.kernel, options)]
        return [*first, *(self._layer(text, options.like) for text in self.then)]

    def _check(self, options: FilterOptions) -> None:
        if self.kernel is not None:
            if any(text != _OF_FILE for text in self.layers):
                raise click.UsageError(
                    "--kernel and --layer LAYER cannot be combined; add layers after the kernel with --then"
                )
            return
        if self.then:
            raise click.UsageError("--then goes with --kernel; without one, repeat --layer")
        if not self.layers:
            raise click.UsageError("missing option -k/--kernel, --layer or --model")
        if _OF_FILE in self.layers:
            raise click.UsageError("--layer needs a layer such as 3x3x16, or goes with --kernel FILE:NAME")
        for name, hint in _KERNEL_OPTIONS.items():
            if _is_given(name, options):
                raise click.UsageError(f"--{name} goes with --kernel{hint}")

    def _layer(self, text: str, like: str | None = None) -> LayerSpec:
        from convcli.layers.stage_text import parse_layer

        return parse_layer(text, lambda name: load(name, self.kernel_path).kernel, like)

    def _window(self, text: str, options: FilterOptions) -> LayerSpec:
        """The window of ``3``, ``3x3``, ``3x3x16`` or of a kernel, with the options of the command line."""
        from convcli.core.frozen import replace
        from convcli.geometry.axes import parse_sizes
        from convcli.geometry.padding import Padding
        from convcli.layers.chain import LayerSpec

        if _SIZES.fullmatch(text.strip().casefold()):
            rows, *rest = parse_sizes("kernel", text, (1, 2, 3), "x")
            size = rows, rest[0] if rest else rows
            maps = rest[1] if len(rest) == 2 else None
            layer = LayerSpec("conv" if maps else "each", size, maps or 1, bias=False)
            layer = replace(
                layer,
                stride=_pair(options.stride),
                dilation=_pair(options.dilation),
                groups=options.groups,
                transposed=options.transposed,
                output_padding=options.output_padding,
            )
        else:
            kernel = load(text, self.kernel_path).kernel
            layer = replace(_of_kernel(kernel, options), bias=bool(kernel.bias))
        like, explicit = options.like, options.explicit
        if options.output_padding is not None and not options.transposed:
            raise click.UsageError("--output-padding goes with --transposed")
        typed = "same" if options.transposed and "padding" not in explicit else options.padding
        padding = typed if like else str(Padding.parse(typed))
        return replace(
            layer,
            padding=padding if "padding" in explicit or not like else None,
            flip=options.flip if "flip" in explicit or not like else None,
        )

    def _layers_of_file(self, text: str, options: FilterOptions) -> list[LayerSpec]:
        """The layer of a model file, and the activations that follow it there."""
        from convcli.core.frozen import replace
        from convcli.geometry.padding import Padding
        from convcli.pipeline.resolving import with_layer

        if options.like:
            raise click.UsageError("--layer takes the padding of the file and cannot be combined with --like")
        if _SIZES.fullmatch(text.strip()):
            raise click.UsageError(f"--layer takes the layer of a file, -k FILE:NAME; {text} is only a size")
        loaded = load(text, self.kernel_path).kernel
        options, kernel, _ = with_layer(replace(options, layer=True, activation="none"), loaded)
        trained = loaded.layer
        assert trained is not None
        layer = replace(
            _of_kernel(kernel, options),
            padding=str(Padding.parse(options.padding)),
            bias=bool(trained.bias or trained.normalization),
        )
        return [layer, *map(self._layer, trained.activation)]


def _of_kernel(kernel: Kernel, options: FilterOptions) -> LayerSpec:
    """The sizes of a kernel with the options of the command line, except its padding."""
    from convcli.core.frozen import replace
    from convcli.geometry.padding import Padding
    from convcli.layers.stage_text import convolution_layer
    from convcli.layers.stages import ConvolutionStage

    stage = ConvolutionStage(
        kernel,
        Padding(),
        _pair(options.stride),
        _pair(options.dilation),
        options.groups,
        options.flip,
    )
    return replace(
        convolution_layer(stage), transposed=options.transposed, output_padding=options.output_padding
    )


def _pair(sizes: tuple[int, ...]) -> tuple[int, ...]:
    return sizes * 2 if len(sizes) == 1 else sizes


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
