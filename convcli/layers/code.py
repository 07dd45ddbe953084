"""A layer as code for other libraries.

Keras and PyTorch code makes a layer; SciPy and OpenCV code computes ``y`` (rows, columns, out) from ``x``
(rows, columns, in), weights ``w`` (rows, columns, in / groups, out) and biases ``b`` (out). With one channel
in and out, ``x``, ``w`` and ``y`` are (rows, columns); with one kernel for all channels, ``w`` is.
Activations of arrays are NumPy's and SciPy's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from convcli.core.frozen import replace
from convcli.geometry.padding import Padding
from convcli.layers.activation_code import activation_codes
from convcli.layers.chain import Shape
from convcli.layers.code_axes import axes_codes
from convcli.layers.code_transposed import transposed_codes

_IMAGE_AXES: Final = 2
Code = tuple[str, ...]
"""Lines of code, or one comment that states why there are none."""


def codes(shape: Shape) -> dict[str, Code]:
    """The code of a layer by library: ``keras``, ``torch``, ``scipy`` and ``opencv``."""
    if shape.layer.activation:
        return activation_codes(shape.layer.activation)
    if shape.layer.combined > 1:
        return dict.fromkeys(_WRITERS, ("# none: the maps of several kernels are combined",))
    if shape.padding.fill.mode == "ignore" and _padded(shape):
        return dict.fromkeys(_WRITERS, ("# none: other libraries do not renormalize at the edges",))
    if len(shape.geometry.axes) != _IMAGE_AXES:
        return axes_codes(shape)
    if shape.layer.transposed:
        by_library = transposed_codes(shape)
    else:
        by_library = {name: write(shape) for name, write in _WRITERS.items()}
    for name in ("keras", "torch"):
        if not by_library[name][0].startswith("#"):
            by_library[name] += _weights_notes(shape)
    return by_library


def _weights_notes(shape: Shape) -> Code:
    """Comments on the weights that a layer of Keras or PyTorch needs."""
    repeated = ("# with the same weights for every channel",) if shape.layer.kind == "each" else ()
    flipped = ("# with flipped weights: w[::-1, ::-1]",) if shape.flip and shape.weights else ()
    return repeated + flipped


_KERAS_CLASSES: Final = {
    "conv": "Conv2D",
    "depthwise": "DepthwiseConv2D",
    "maxpool": "MaxPooling2D",
    "avgpool": "AveragePooling2D",
}


def _with_all_weights(shape: Shape) -> Shape:
    """The depthwise layer that a kernel for every channel is, in libraries that have weights for each."""
    return (
        replace(shape, layer=replace(shape.layer, kind="depthwise")) if shape.layer.kind == "each" else shape
    )


def _keras(shape: Shape) -> Code:
    shape = _with_all_weights(shape)
    if reason := _not_in_keras(shape):
        return (f"# {reason}",)
    fill = shape.padding.fill
    same = _is_same(shape) and fill.mode == "constant" and not fill.value
    layer = f"keras.layers.{_KERAS_CLASSES[shape.layer.kind]}({', '.join(_keras_arguments(shape, same))})"
    padding = "" if same or not _padded(shape) else _keras_padding(shape)
    if padding.startswith("#"):
        return (padding,)
    return ("keras.Sequential([", f"    {padding},", f"    {layer},", "])") if padding else (layer,)


def _not_in_keras(shape: Shape) -> str:
    """Why Keras has no such layer, or nothing."""
    layer = shape.layer
    strided, dilated = _above_one(shape)
    if strided and dilated and layer.kind == "conv":
        return "none: Keras does not combine strides with dilation"
    if layer.is_pool and (dilated or any(axis.cut_off for axis in shape.geometry.axes)):
        return "none: Keras pools have neither dilation nor ceil mode"
    if layer.is_pool and _padded(shape) and not _is_same(shape):
        return "none: Keras pools are padded valid or same only"
    return ""


def _keras_arguments(shape: Shape, same: bool) -> list[str]:
    layer = shape.layer
    strided, dilated = _above_one(shape)
    arguments = [str(shape.channels[1])] if layer.kind == "conv" else []
    arguments.append(str(layer.kernel))
    if layer.is_pool:
        arguments += [f"strides={_strides(shape)}"] if _strides(shape) != layer.kernel else []
    elif strided:
        arguments.append(f"strides={_strides(shape)}")
    arguments += ['padding="same"'] if same else []
    arguments += [f"dilation_rate={layer.dilation}"] if dilated else []
    arguments += [f"depth_multiplier={layer.maps}"] if layer.kind == "depthwise" and layer.maps > 1 else []
    arguments += [f"groups={layer.groups}"] if layer.groups > 1 else []
    arguments += [] if layer.bias or layer.is_pool else ["use_bias=False"]
    return arguments


def _keras_padding(shape: Shape) -> str:
    """A layer before the convolution that pads, or a comment."""
    fill, pairs = shape.padding.fill, shape.geometry.pairs
    if fill.mode == "constant" and not fill.value:
        return f"keras.layers.ZeroPadding2D({pairs})"
    modes = {"constant": f'"constant", {fill.value}', "reflect": '"reflect"', "symmetric": '"symmetric"'}
    if fill.mode not in modes:
        return f"# none: keras.ops.pad has no {fill}; pad with numpy.pad first"
    widths = ((0, 0), *pairs, (0, 0))
    return f"keras.layers.Lambda(lambda x: keras.ops.pad(x, {widths}, {modes[fill.mode]}))"


def _torch(shape: Shape) -> Code:
    shape = _with_all_weights(shape)
    layer, fill = shape.layer, shape.padding.fill
    symmetric = all(before == after for before, after in shape.geometry.pairs)
    built_in = symmetric and fill.mode in _TORCH_MODES and not (fill.mode == "constant" and fill.value)
    strided, dilated = _above_one(shape)
    if layer.is_pool:
        return _torch_pool(shape, dilated)
    arguments = [str(shape.channels[0]), str(shape.channels[1]), str(layer.kernel)]
    arguments += [f"stride={_strides(shape)}"] if strided else []
    if _padded(shape) and built_in:
        arguments.append(f"padding={tuple(before for before, _ in shape.geometry.pairs)}")
        arguments += [f'padding_mode="{_TORCH_MODES[fill.mode]}"'] if fill.mode != "constant" else []
    arguments += [f"dilation={layer.dilation}"] if dilated else []
    arguments += [f"groups={shape.groups}"] if shape.groups > 1 else []
    arguments += [] if layer.bias else ["bias=False"]
    convolution = f"torch.nn.Conv2d({', '.join(arguments)})"
    if built_in or not _padded(shape):
        return (convolution,)
    padding = _torch_padding(shape)
    return (padding,) if padding.startswith("#") else _torch_sequence(padding, convolution)


_TORCH_MODES: Final = {"constant": "zeros", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def _torch_padding(shape: Shape) -> str:
    """A layer before the convolution that pads, or a comment."""
    fill = shape.padding.fill
    (top, bottom), (left, right) = shape.geometry.pairs
    widths = (left, right, top, bottom)
    if fill.mode == "constant":
        return f"torch.nn.ConstantPad2d({widths}, {fill.value})"
    layers = {"reflect": "ReflectionPad2d", "edge": "ReplicationPad2d", "wrap": "CircularPad2d"}
    if fill.mode not in layers:
        return f"# none: PyTorch has no {fill} padding; pad with numpy.pad first"
    return f"torch.nn.{layers[fill.mode]}({widths})"


def _torch_pool(shape: Shape, dilated: bool) -> Code:
    layer, axes = shape.layer, shape.geometry.axes
    average = layer.kind == "avgpool"
    if average and dilated:
        return ("# none: PyTorch average pools have no dilation",)
    arguments = [str(layer.kernel)]
    arguments += [f"stride={_strides(shape)}"] if _strides(shape) != layer.kernel else []
    padding = ""
    if _padded(shape):
        built_in = all(axis.before == axis.after <= axis.kernel // 2 for axis in axes)
        if built_in:
            arguments.append(f"padding={tuple(axis.before for axis in axes)}")
        else:
            (top, bottom), (left, right) = shape.geometry.pairs
            value = "0" if average else 'float("-inf")'
            padding = f"torch.nn.ConstantPad2d(({left}, {right}, {top}, {bottom}), {value})"
    arguments += [f"dilation={layer.dilation}"] if dilated else []
    arguments += ["ceil_mode=True"] if layer.ceiling else []
    pool = f"torch.nn.{'AvgPool2d' if average else 'MaxPool2d'}({', '.join(arguments)})"
    return _torch_sequence(padding, pool) if padding else (pool,)


def _torch_sequence(padding: str, layer: str) -> Code:
    return "torch.nn.Sequential(", f"    {padding},", f"    {layer},", ")"


def _scipy(shape: Shape) -> Code:
    call = f"scipy.signal.{'convolve2d' if shape.flip else 'correlate2d'}"
    slices = ", ".join(f"::{stride}" if stride > 1 else ":" for stride in _strides(shape))
    subscript = f"[{slices}]" if max(_strides(shape)) > 1 else ""
    return _by_channels(shape, lambda x, w: f'{call}({x}, {w}, mode="valid"){subscript}')


def _opencv(shape: Shape) -> Code:
    slices = ", ".join(
        f":{(axis.output - 1) * axis.stride + 1}" + (f":{axis.stride}" if axis.stride > 1 else "")
        for axis in shape.geometry.axes
    )
    flip = "[::-1, ::-1].copy()" if shape.flip else ""
    return _by_channels(shape, lambda x, w: f"cv2.filter2D({x}, -1, {w}{flip}, anchor=(0, 0))[{slices}]")


def _by_channels(shape: Shape, call: Callable[[str, str], str]) -> Code:
    """Lines that call a function for each channel with its weights, and add the results.

    Args:
        call: from the code of a channel and that of its weights to the code of their convolution.
    """
    layer, (channels, maps) = shape.layer, shape.channels
    if layer.is_pool:
        return ("# none: a pool has no weights to filter with",)
    lines = [*_padding_line(shape), *_dilation_line(shape)]
    x = "p" if _padded(shape) else "x"
    w = "u" if max(layer.dilation) > 1 else "w"
    if _is_plain(shape):
        return (*lines, f"y = {call(x, w)}{' + b' if layer.bias else ''}")
    if layer.kind == "each":
        many = layer.maps > 1
        product = call(f"{x}[..., c]", f"{w}[..., 0, m]" if many else w)
        loop = f"for c in range({channels})" + (f" for m in range({layer.maps})" if many else "")
        bias = (f" + numpy.tile(b, {channels})" if many else " + b") if layer.bias else ""
        return (*lines, f"y = numpy.stack([{product} {loop}], -1){bias}")
    inputs, outputs = channels // shape.groups, maps // shape.groups  # of a group
    group = "0" if shape.groups == 1 else "o" if outputs == 1 else f"o // {outputs}"
    channel = group if inputs == 1 else "i" if shape.groups == 1 else f"{group} * {inputs} + i"
    product = call(f"{x}[..., {channel}]", f"{w}[..., {'i' if inputs > 1 else 0}, o]")
    total = f"sum({product} for i in range({inputs}))" if inputs > 1 else product
    bias = " + b" if layer.bias else ""
    return (*lines, "y = numpy.stack([", f"    {total}", f"    for o in range({maps})", f"], -1){bias}")


def _is_plain(shape: Shape) -> bool:
    """Whether there is one channel in and out, so that arrays have no axis for channels."""
    return shape.channels == (1, 1)


def _padding_line(shape: Shape) -> Code:
    """A line that pads x to p, or none."""
    if not _padded(shape):
        return ()
    fill = shape.padding.fill
    value = f", constant_values={fill.value}" if fill.mode == "constant" and fill.value else ""
    mode = f', mode="{fill.mode}"' if fill.mode != "constant" else ""
    widths = shape.geometry.pairs if _is_plain(shape) else (*shape.geometry.pairs, (0, 0))
    return (f"p = numpy.pad(x, {widths}{mode}{value})",)


def _dilation_line(shape: Shape) -> Code:
    """Lines that put zeros between the weights w, or none."""
    if max(shape.layer.dilation) == 1:
        return ()
    extents = tuple(axis.extent for axis in shape.geometry.axes)
    slices = ", ".join(f"::{step}" for step in shape.layer.dilation)
    return f"u = numpy.zeros({extents} + w.shape[2:], w.dtype)", f"u[{slices}] = w"


def _strides(shape: Shape) -> tuple[int, ...]:
    return tuple(axis.stride for axis in shape.geometry.axes)


def _above_one(shape: Shape) -> tuple[bool, bool]:
    """Whether a stride is above 1, and whether a dilation is."""
    return max(_strides(shape)) > 1, max(shape.layer.dilation) > 1


def _padded(shape: Shape) -> bool:
    return any(map(any, shape.geometry.pairs))


def _is_same(shape: Shape) -> bool:
    """Whether the padding is what Keras calls ``same``."""
    axes = shape.geometry.axes
    sizes = [(axis.size, axis.extent, axis.stride) for axis in axes]
    same = Padding("same").pairs(*(list(column) for column in zip(*sizes, strict=True)))
    return _padded(shape) and same == shape.geometry.pairs


_WRITERS: Final[Mapping[str, Callable[[Shape], Code]]] = {
    "keras": _keras,
    "torch": _torch,
    "scipy": _scipy,
    "opencv": _opencv,
}


def names(shape: Shape) -> str:
    """What x, w and b are in the code for SciPy and OpenCV; empty if there is none."""
    if not shape.weights or shape.layer.combined > 1 or shape.padding.fill.mode == "ignore":
        return ""
    if len(shape.geometry.axes) != _IMAGE_AXES:
        return ""
    plain = _is_plain(shape)
    x = "(rows, columns)" if plain else "(rows, columns, channels)"
    single = plain or (shape.layer.kind == "each" and shape.layer.maps == 1)
    w = shape.weights[:2] if single else shape.weights
    b = f", b ({shape.biases})" if shape.biases else ""
    return f"x {x}, w {w}{b}: floats"
