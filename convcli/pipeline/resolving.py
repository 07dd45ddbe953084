"""Turns options and kernels into the settings of a run."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, count

from convcli.core.errors import ArgumentError
from convcli.core.frozen import replace
from convcli.formats.header import Coding
from convcli.geometry.axes import LARGEST, Axis, per_axis
from convcli.geometry.conventions import convention, padding_like, refusal
from convcli.geometry.padding import Padding
from convcli.geometry.transposed import check_removal
from convcli.kernels.bank import combined, joined
from convcli.kernels.describe import layer_text
from convcli.kernels.kernel import Kernel, Layer
from convcli.layers.activations import parse_activation
from convcli.layers.loaded import LoadedStage
from convcli.native.loader import extension
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.nodata import Nodata
from convcli.pipeline.options import FilterOptions
from convcli.pipeline.settings import WHEEL, Settings


def settings_of(options: FilterOptions, kernel: Kernel, output: OutputSpec | None = None) -> Settings:
    """The settings of one kernel's results.

    Raises:
        ArgumentError: options that contradict each other, the kernel's layer, or the library of ``--like``;
            or a wrong CONVCLI_NATIVE, which is one error here instead of one for each image.
    """
    extension()
    if kernel.spatial == 2:  # of a volume, three numbers are allowed
        per_axis("stride", options.stride, 2)
        per_axis("dilation", options.dilation, 2)
    if options.normalize is not None and options.linear:
        raise ArgumentError(
            "--normalize and --linear cannot be combined; networks are trained on sRGB values"
        )
    options, kernel, layer_note = with_layer(options, kernel)
    adjusted, scale_note = _adjusted(options, kernel)
    padding, flip, convention_note = resolve_padding(options, adjusted.size)
    notes = (*kernel.about.notes, layer_note, scale_note, convention_note)
    return Settings(
        kernel=adjusted,
        stride=options.stride,
        padding=padding,
        dilation=options.dilation,
        flip=flip,
        transposed=options.transposed,
        output_padding=options.output_padding,
        channels=options.channels,
        groups=options.groups,
        mapping=options.mapping or Mapping(),
        output=output or OutputSpec(),
        force=options.force,
        double=options.precision == "double",
        method=options.method,
        steady=options.steady,
        threads=options.threads,
        max_pixels=options.max_pixels,
        max_memory=options.max_memory,
        alpha=options.alpha,
        ignore=options.ignore,
        nodata=options.nodata or Nodata(),
        linear=options.linear,
        normalize=options.normalize,
        depth=options.depth,
        strip=options.strip,
        frames=options.frames,
        axes=options.axes or "",
        level=options.level,
        hdu=options.hdu or "",
        stack=options.stack or options.combine == "stack",
        colormap=options.colormap,
        coding=Coding(options.quality, options.png == "small"),
        then=tuple(loaded.stage for loaded in options.then),
        notes=tuple(note for note in notes if note),
    )


def settings_of_kernels(
    options: FilterOptions, kernels: Sequence[Kernel], output: OutputSpec | None = None
) -> list[Settings]:
    """The settings of each kernel's results, or of all kernels as one bank where maps are joined."""
    if options.stack and options.combine not in (None, "stack"):
        raise ArgumentError(
            f"--stack keeps the maps and --combine {options.combine} merges them; use only one"
        )
    if len(kernels) > 1 and (options.stack or options.combine):
        kernels = [joined(kernels)]
    return [settings_of(options, kernel, output) for kernel in _uniquely_named(kernels)]


def _uniquely_named(kernels: Sequence[Kernel]) -> list[Kernel]:
    """Kernels with a number after a name that an earlier one has, because results are named after them."""
    unique: list[Kernel] = []
    for kernel in kernels:
        taken = {earlier.name for earlier in unique}
        names = chain([kernel.name], (f"{kernel.name}-{number}" for number in count(2)))
        unique.append(kernel.named(next(name for name in names if name not in taken)))
    return unique


def resolve_padding(options: FilterOptions, window: tuple[int, int]) -> tuple[Padding, bool, str]:
    """Padding, whether the kernel is rotated by 180°, and a note, in the words of ``--like`` if it is given.

    Raises:
        ArgumentError: padding that does not parse, or a layer that the library refuses.
    """
    like, explicit = options.like, options.explicit
    if options.output_padding is not None and not options.transposed:
        raise ArgumentError("--output-padding goes with --transposed")
    if not like:
        return _own_padding(options), options.flip, ""
    stride, dilation = per_axis("stride", options.stride, 2), per_axis("dilation", options.dilation, 2)
    text = options.padding if "padding" in explicit else None
    transposed = options.transposed
    if options.layer and text is None:
        padding = Padding.parse(options.padding)  # the layer's own
    else:
        padding = padding_like(like, text, window, stride, dilation, transposed=transposed)
    axes = [Axis(LARGEST, *axis) for axis in zip(window, stride, dilation, strict=True)]
    reason = refusal(like, "transposed" if transposed else "conv", axes, padding.fill)
    if reason:
        raise ArgumentError(f"{reason} (--like {like})")
    rules = convention(like, text, transposed)
    flip = options.flip if "flip" in explicit else rules.rotates
    return padding, flip, f"padding and kernel direction as in {rules.operation}"


def _own_padding(options: FilterOptions) -> Padding:
    """--padding in this project's words; ``same`` by default where it removes pixels."""
    if not options.transposed:
        return Padding.parse(options.padding)
    if not options.layer and "padding" not in options.explicit:
        return Padding("same")
    padding = Padding.parse(options.padding)
    check_removal(padding)
    return padding


def with_layer(options: FilterOptions, kernel: Kernel) -> tuple[FilterOptions, Kernel, str]:
    """Options and kernel with what the layer of the weights says, if ``--layer`` asks for it; and a note."""
    layer = kernel.layer
    if not options.layer and "activation" in options.explicit:
        raise ArgumentError(f"--activation {options.activation} goes with --layer")
    if layer is None:
        if options.layer:
            raise ArgumentError(f"kernel {kernel.name} does not come from a layer, so --layer has no effect")
        return options, kernel, ""
    if not options.layer:
        return (
            options,
            kernel,
            f"the weights come from a layer ({layer_text(layer)}); use --layer to apply its settings",
        )
    stages = _activation(options, kernel.name, layer)
    changes = {"dilation": layer.dilation, "groups": layer.groups}
    if layer.transposed:
        changes |= {"transposed": True, "output_padding": layer.output_padding}
    if layer.padding:
        changes |= {"stride": layer.stride, "padding": layer.padding}
    else:
        _check_explicit(options, kernel)
    changes = {name: value for name, value in changes.items() if name not in options.explicit}
    kernel = kernel.as_layer()  # a bias for each map, before they are combined
    options = replace(options, then=(*stages, *options.then), **changes)
    values = "" if options.normalize else "; pixels as stored, without --normalize"
    return options, kernel, f"as in the layer: {_applied_text(options, layer)}{values}"


def _activation(options: FilterOptions, name: str, layer: Layer) -> tuple[LoadedStage, ...]:
    """The stages of a layer's activation, unless ``--activation none`` leaves it out.

    Raises:
        ArgumentError: no stage computes it, or ``--combine`` merges the maps before it.
    """
    if options.activation == "none":
        return ()
    if layer.unsupported:
        raise ArgumentError(
            f"kernel {name}: its layer is followed by {layer.unsupported}, which convcli does not compute; "
            "use --activation none for the convolution alone"
        )
    if layer.activation and options.combine not in (None, "stack"):
        raise ArgumentError(
            f"--combine {options.combine} merges the maps of kernel {name} before its layer's activation "
            f"({', '.join(layer.activation)}); use --activation none to leave that out"
        )
    return tuple(LoadedStage(parse_activation(word)) for word in layer.activation)


def _applied_text(options: FilterOptions, layer: Layer) -> str:
    """The settings of a layer that ``--layer`` applies."""
    if options.activation != "none":
        return layer_text(layer)
    without = ", without its activation" if layer.activation or layer.unsupported else ""
    return f"{layer_text(replace(layer, activation=(), unsupported=''))}{without}"


def _check_explicit(options: FilterOptions, kernel: Kernel) -> None:
    """Refuse ``--layer`` without the stride and padding that the kernel's file does not state."""
    missing = [f"--{name}" for name in ("stride", "padding") if name not in options.explicit]
    if missing:
        raise ArgumentError(
            f"kernel {kernel.name}: its file does not specify stride or padding, so --layer also needs "
            f"{' and '.join(missing)} (such as --stride 1 --padding 1)"
        )


def _adjusted(options: FilterOptions, kernel: Kernel) -> tuple[Kernel, str]:
    """The kernel with ``--combine``, ``--scale`` and ``--bias``, and a note on a scale without effect."""
    how = options.combine or ("stack" if options.stack else None)
    if options.colormap == WHEEL:
        if how not in (None, "angle"):
            shown = f"--combine {how}" if options.combine else "--stack"
            raise ArgumentError(f"--colormap wheel shows directions and cannot be combined with {shown}")
        how = "angle"
    kernel = combined(kernel, how) if how else kernel
    kernel, note = _scaled(kernel, options)
    return (kernel if options.bias is None else kernel.biased(options.bias)), note


def _scaled(kernel: Kernel, options: FilterOptions) -> tuple[Kernel, str]:
    scale = options.scale
    if scale == "none":
        return kernel, ""
    if not isinstance(scale, str):
        return kernel.scaled(scale), ""
    scaled = kernel.per_gain() if scale == "gain" else kernel.normalized(scale)
    reason = "the kernel specifies no gain" if scale == "gain" else "the weights sum to 0"
    return scaled, f"--scale {scale} has no effect: {reason}" if scaled is kernel else ""
