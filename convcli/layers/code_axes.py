"""A layer over signals (one axis) or volumes (three) as code for other libraries."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from convcli.layers.chain import Shape

_TORCH_MODES: Final = {"constant": "zeros", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def axes_codes(shape: Shape) -> dict[str, tuple[str, ...]]:
    """The code of a convolution by library, or one comment that states why there is none."""
    layers: dict[str, tuple[str, ...]]
    if shape.layer.kind == "each":
        reason = "# none: layers have weights for each channel; state maps, as in 3x3x3x16"
        layers = {"keras": (reason,), "torch": (reason,)}
    else:
        layers = {"keras": _keras(shape), "torch": _torch(shape)}
        for name, lines in layers.items():
            if shape.flip and not lines[0].startswith("#"):
                flips = ", ".join(["::-1"] * len(shape.geometry.axes))
                layers[name] = (*lines, f"# with flipped weights: w[{flips}]")
    return {**layers, "scipy": _scipy(shape), "opencv": ("# none: OpenCV filters images",)}


def _keras(shape: Shape) -> tuple[str, ...]:
    axes, count = shape.geometry.axes, len(shape.geometry.axes)
    strided, dilated = (max(getattr(axis, name) for axis in axes) > 1 for name in ("stride", "dilation"))
    if strided and dilated:
        return ("# none: Keras does not combine strides with dilation",)
    padded = any(map(any, shape.geometry.pairs))
    if padded and (shape.padding.fill.mode != "constant" or shape.padding.fill.value):
        return (f"# none: Keras pads with zeros, not {shape.padding.fill}; pad with numpy.pad first",)
    word = shape.padding.amount if shape.padding.amount in ("same", "causal") else ""
    arguments = [str(shape.channels[1]), _sizes(shape.layer.kernel)]
    arguments += [f"strides={_sizes([axis.stride for axis in axes])}"] * strided
    arguments += [f'padding="{word}"'] * (padded and bool(word))
    arguments += [f"dilation_rate={_sizes([axis.dilation for axis in axes])}"] * dilated
    layer = f"keras.layers.Conv{count}D({', '.join(arguments)}, use_bias=False)"
    if not padded or word:
        return (layer,)
    pairs = shape.geometry.pairs[0] if count == 1 else shape.geometry.pairs
    return "keras.Sequential([", f"    keras.layers.ZeroPadding{count}D({pairs}),", f"    {layer},", "])"


def _torch(shape: Shape) -> tuple[str, ...]:
    axes, count, fill = shape.geometry.axes, len(shape.geometry.axes), shape.padding.fill
    pairs = shape.geometry.pairs
    symmetric = all(before == after for before, after in pairs) and not fill.value
    is_zero = fill.mode == "constant"
    arguments = [str(shape.channels[0]), str(shape.channels[1]), _sizes(shape.layer.kernel)]
    arguments += [f"stride={_sizes([axis.stride for axis in axes])}"] * any(axis.stride > 1 for axis in axes)
    padded = any(map(any, pairs))
    if padded and not (is_zero or (symmetric and fill.mode in _TORCH_MODES)):
        return (f"# none: PyTorch has no such padding with {fill}; pad with numpy.pad first",)
    if padded and symmetric:
        arguments.append(f"padding={_sizes([before for before, _ in pairs])}")
        arguments += [f'padding_mode="{_TORCH_MODES[fill.mode]}"'] * (not is_zero)
    dilated = any(axis.dilation > 1 for axis in axes)
    arguments += [f"dilation={_sizes([axis.dilation for axis in axes])}"] * dilated
    layer = f"torch.nn.Conv{count}d({', '.join(arguments)}, bias=False)"
    if not padded or symmetric:
        return (layer,)
    widths = tuple(width for pair in reversed(pairs) for width in pair)
    pad = f"torch.nn.ConstantPad{count}d({widths}, {fill.value})"
    return "torch.nn.Sequential(", f"    {pad},", f"    {layer},", ")"


def _scipy(shape: Shape) -> tuple[str, ...]:
    axes = shape.geometry.axes
    if shape.channels != (1, 1) or any(axis.dilation > 1 for axis in axes):
        return ("# none: scipy.signal.correlate has neither channels nor dilation",)
    call = "convolve" if shape.flip else "correlate"
    steps = ", ".join(f"::{axis.stride}" if axis.stride > 1 else ":" for axis in axes)
    subscript = f"[{steps}]" if any(axis.stride > 1 for axis in axes) else ""
    pairs, fill = shape.geometry.pairs, shape.padding.fill
    if not any(map(any, pairs)):
        return (f'y = scipy.signal.{call}(x, w, mode="valid"){subscript}',)
    value = f", constant_values={fill.value}" if fill.mode == "constant" and fill.value else ""
    mode = f', mode="{fill.mode}"' if fill.mode != "constant" else ""
    widths = pairs[0] if len(pairs) == 1 else pairs
    return (
        f"p = numpy.pad(x, {widths}{mode}{value})",
        f'y = scipy.signal.{call}(p, w, mode="valid"){subscript}',
    )


def _sizes(sizes: Iterable[int]) -> str:
    """One number, or a tuple of one for each axis."""
    values = tuple(sizes)
    return str(values[0]) if len(values) == 1 else str(values)
