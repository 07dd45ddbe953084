"""A layer as the code of other libraries.

Keras and PyTorch code makes a layer; SciPy and OpenCV code computes ``y`` (rows, columns, out) from ``x``
(rows, columns, in), weights ``w`` (rows, columns, in / groups, out) and biases ``b`` (out). Where one channel
becomes one, and where all share a kernel, ``w`` is (rows, columns); in the first case so are ``x`` and ``y``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from convcli.layers.chain import Shape

Code = tuple[str, ...]
"""Lines, or one that says behind ``#`` why there are none."""


def codes(shape: Shape) -> dict[str, Code]:
    """The code of a layer by library."""
    if shape.layer.combined > 1:
        return dict.fromkeys(_WRITERS, ("# none: the maps of several kernels are combined",))
    found = {name: write(shape) for name, write in _WRITERS.items()}
    for name in ("keras", "torch"):
        if shape.flip and shape.weights and not found[name][0].startswith("#"):
            found[name] += ("# with the weights turned: w[::-1, ::-1]",)
    return found


def _keras(shape: Shape) -> Code:
    layer, axes = shape.layer, shape.geometry.axes
    strided, dilated = _above_one(shape)
    if layer.kind == "each":
        return ("# a kernel that every channel shares is no layer of Keras; see depthwise",)
    if strided and dilated and layer.kind == "conv":
        return ("# none: Keras refuses strides together with dilation",)
    if layer.is_pool and (dilated or any(axis.cut_off for axis in axes)):
        return ("# none: pools of Keras have neither dilation nor ceil mode",)
    if layer.is_pool and _padded(shape) and not _is_same(shape):
        return ("# none: pools of Keras are padded valid or same",)
    words = [str(layer.kernel)]
    if layer.kind == "conv":
        words.insert(0, str(shape.channels[1]))
    if not layer.is_pool or _strides(shape) != layer.kernel:
        words += [f"strides={_strides(shape)}"] if strided or layer.is_pool else []
    same = _is_same(shape) and shape.padding.fill.mode == "constant" and not shape.padding.fill.value
    words += ['padding="same"'] if same else []
    words += [f"dilation_rate={layer.dilation}"] if dilated else []
    words += [f"depth_multiplier={layer.maps}"] if layer.kind == "depthwise" and layer.maps > 1 else []
    words += [f"groups={layer.groups}"] if layer.groups > 1 else []
    words += [] if layer.bias or layer.is_pool else ["use_bias=False"]
    name = {"conv": "Conv2D", "depthwise": "DepthwiseConv2D", "maxpool": "MaxPooling2D"}
    made = f"keras.layers.{name.get(layer.kind, 'AveragePooling2D')}({', '.join(words)})"
    front = "" if same else _keras_padding(shape)
    if front.startswith("#"):
        return (front,)
    return ("keras.Sequential([", f"    {front},", f"    {made},", "])") if front else (made,)


def _keras_padding(shape: Shape) -> str:
    """A layer in front that pads; empty where there is nothing to pad."""
    if not _padded(shape):
        return ""
    fill, pairs = shape.padding.fill, shape.geometry.pairs
    if fill.mode == "constant" and not fill.value:
        return f"keras.layers.ZeroPadding2D({pairs})"
    modes = {"constant": f'"constant", {fill.value}', "reflect": '"reflect"', "symmetric": '"symmetric"'}
    if fill.mode not in modes:
        return f"# none: keras.ops.pad has no {fill}; pad with numpy.pad before"
    widths = ((0, 0), *pairs, (0, 0))
    return f"keras.layers.Lambda(lambda x: keras.ops.pad(x, {widths}, {modes[fill.mode]}))"


def _torch(shape: Shape) -> Code:
    layer, fill = shape.layer, shape.padding.fill
    if layer.kind == "each":
        return ("# a kernel that every channel shares is no layer of PyTorch; see depthwise",)
    even = all(before == after for before, after in shape.geometry.pairs)
    inside = even and fill.mode in _TORCH_MODES and not (fill.mode == "constant" and fill.value)
    _, dilated = _above_one(shape)
    if layer.is_pool:
        return _torch_pool(shape, dilated)
    words = [str(shape.channels[0]), str(shape.channels[1]), str(layer.kernel)]
    words += [f"stride={_strides(shape)}"] if max(_strides(shape)) > 1 else []
    if _padded(shape) and inside:
        words.append(f"padding={tuple(before for before, _ in shape.geometry.pairs)}")
        words += [f'padding_mode="{_TORCH_MODES[fill.mode]}"'] if fill.mode != "constant" else []
    words += [f"dilation={layer.dilation}"] if dilated else []
    words += [f"groups={shape.groups}"] if shape.groups > 1 else []
    words += [] if layer.bias else ["bias=False"]
    made = f"torch.nn.Conv2d({', '.join(words)})"
    if inside or not _padded(shape):
        return (made,)
    front = _torch_padding(shape)
    return (front,) if front.startswith("#") else _sequence(front, made)


_TORCH_MODES: Final = {"constant": "zeros", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def _torch_padding(shape: Shape) -> str:
    fill = shape.padding.fill
    (top, bottom), (left, right) = shape.geometry.pairs
    widths = (left, right, top, bottom)
    if fill.mode == "constant":
        return f"torch.nn.ConstantPad2d({widths}, {fill.value})"
    layers = {"reflect": "ReflectionPad2d", "edge": "ReplicationPad2d", "wrap": "CircularPad2d"}
    if fill.mode not in layers:
        return f"# none: PyTorch has no {fill} padding; pad with numpy.pad before"
    return f"torch.nn.{layers[fill.mode]}({widths})"


def _torch_pool(shape: Shape, dilated: bool) -> Code:
    layer, axes = shape.layer, shape.geometry.axes
    average = layer.kind == "avgpool"
    if average and dilated:
        return ("# none: PyTorch has no dilation in average pools",)
    words = [str(layer.kernel)]
    words += [f"stride={_strides(shape)}"] if _strides(shape) != layer.kernel else []
    front = ""
    if _padded(shape):
        half = all(axis.before == axis.after <= axis.kernel // 2 for axis in axes)
        if half:
            words.append(f"padding={tuple(axis.before for axis in axes)}")
        else:
            (top, bottom), (left, right) = shape.geometry.pairs
            value = "0" if average else 'float("-inf")'
            front = f"torch.nn.ConstantPad2d(({left}, {right}, {top}, {bottom}), {value})"
    words += [f"dilation={layer.dilation}"] if dilated else []
    words += ["ceil_mode=True"] if layer.ceiling else []
    made = f"torch.nn.{'AvgPool2d' if average else 'MaxPool2d'}({', '.join(words)})"
    return _sequence(front, made) if front else (made,)


def _sequence(front: str, made: str) -> Code:
    return "torch.nn.Sequential(", f"    {front},", f"    {made},", ")"


def _scipy(shape: Shape) -> Code:
    call = f"scipy.signal.{'convolve2d' if shape.flip else 'correlate2d'}"
    pick = ", ".join(f"::{stride}" if stride > 1 else ":" for stride in _strides(shape))
    every = f"[{pick}]" if max(_strides(shape)) > 1 else ""
    return _by_channels(shape, lambda x, w: f'{call}({x}, {w}, mode="valid"){every}')


def _opencv(shape: Shape) -> Code:
    pick = ", ".join(
        f":{(axis.output - 1) * axis.stride + 1}" + (f":{axis.stride}" if axis.stride > 1 else "")
        for axis in shape.geometry.axes
    )
    turned = ".copy()" if shape.flip else ""
    turn = f"[::-1, ::-1]{turned}" if shape.flip else ""
    return _by_channels(shape, lambda x, w: f"cv2.filter2D({x}, -1, {w}{turn}, anchor=(0, 0))[{pick}]")


def _by_channels(shape: Shape, call: Callable[[str, str], str]) -> Code:
    """The sum over channels of a function of one channel and its weights."""
    layer, (channels, maps) = shape.layer, shape.channels
    if layer.is_pool:
        return ("# none: it filters with weights, a pool has none",)
    lines = [*_padding_line(shape), *_dilation_line(shape)]
    x = "p" if _padded(shape) else "x"
    w = "u" if max(layer.dilation) > 1 else "w"
    if _is_plain(shape):
        return (*lines, f"y = {call(x, w)}{' + b' if layer.bias else ''}")
    if layer.kind == "each":
        return (*lines, f"y = numpy.stack([{call(f'{x}[..., c]', w)} for c in range({channels})], -1)")
    each, per = channels // shape.groups, maps // shape.groups
    first = "0" if shape.groups == 1 else "o" if per == 1 else f"o // {per}"
    source = first if each == 1 else "i" if shape.groups == 1 else f"{first} * {each} + i"
    inner = call(f"{x}[..., {source}]", f"{w}[..., {'i' if each > 1 else 0}, o]")
    summed = f"sum({inner} for i in range({each}))" if each > 1 else inner
    bias = " + b" if layer.bias else ""
    return (*lines, "y = numpy.stack([", f"    {summed}", f"    for o in range({maps})", f"], -1){bias}")


def _is_plain(shape: Shape) -> bool:
    """Whether one channel becomes one, so that no array needs an axis for them."""
    return shape.channels == (1, 1)


def _padding_line(shape: Shape) -> Code:
    if not _padded(shape):
        return ()
    fill = shape.padding.fill
    value = f", constant_values={fill.value}" if fill.mode == "constant" and fill.value else ""
    mode = f', mode="{fill.mode}"' if fill.mode != "constant" else ""
    widths = shape.geometry.pairs if _is_plain(shape) else (*shape.geometry.pairs, (0, 0))
    return (f"p = numpy.pad(x, {widths}{mode}{value})",)


def _dilation_line(shape: Shape) -> Code:
    """Weights with zeros between them."""
    if max(shape.layer.dilation) == 1:
        return ()
    extents = tuple(axis.extent for axis in shape.geometry.axes)
    pick = ", ".join(f"::{step}" for step in shape.layer.dilation)
    return f"u = numpy.zeros({extents} + w.shape[2:], w.dtype)", f"u[{pick}] = w"


def _strides(shape: Shape) -> tuple[int, ...]:
    return tuple(axis.stride for axis in shape.geometry.axes)


def _above_one(shape: Shape) -> tuple[bool, bool]:
    """Whether there are strides, and dilation."""
    return max(_strides(shape)) > 1, max(shape.layer.dilation) > 1


def _padded(shape: Shape) -> bool:
    return any(map(any, shape.geometry.pairs))


def _is_same(shape: Shape) -> bool:
    """Whether the padding is what Keras calls ``same``."""
    from convcli.geometry.padding import Padding

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
    """What x, w and b are in the code of SciPy and OpenCV; empty where there is none."""
    if not shape.weights or shape.layer.combined > 1:
        return ""
    plain = _is_plain(shape)
    x = "(rows, columns)" if plain else "(rows, columns, channels)"
    w = shape.weights[:2] if plain or shape.layer.kind == "each" else shape.weights
    b = f", b ({shape.biases})" if shape.biases else ""
    return f"x {x}, w {w}{b}: floats"
