"""A transposed convolution as code for other libraries; what its names are is said in `code`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from convcli.geometry.padding import Padding
from convcli.geometry.transposed import TransposedAxis, transposed_axes
from convcli.layers.chain import Shape

Code = tuple[str, ...]


def transposed_codes(shape: Shape) -> dict[str, Code]:
    """The code of a transposed convolution by library."""
    return {name: write(shape) for name, write in _WRITERS.items()}


def _keras(shape: Shape) -> Code:
    layer, axes = shape.layer, shape.geometry.transposed
    if layer.kind == "each":
        return ("# none: Keras has no layer with one kernel for all channels",)
    if layer.groups > 1:
        return ("# none: Keras has no groups in transposed convolutions",)
    if _above_one(axes, "stride") and _above_one(axes, "dilation"):
        return ("# none: Keras does not combine strides with dilation",)
    arguments = [str(layer.maps), str(layer.kernel)]
    arguments += [f"strides={_all(axes, 'stride')}"] if _above_one(axes, "stride") else []
    word = next((word for word in ("valid", "same") if _named(shape, word) == axes), None)
    arguments += ['padding="same"'] if word == "same" else []
    if word is None and any(axis.output_padding for axis in axes):
        if any(axis.output_padding >= axis.stride for axis in axes):
            return ("# none: Keras has no output padding that reaches the stride",)
        arguments.append(f"output_padding={_all(axes, 'output_padding')}")
    arguments += [f"dilation_rate={layer.dilation}"] if _above_one(axes, "dilation") else []
    arguments += [] if layer.bias else ["use_bias=False"]
    call = f"keras.layers.Conv2DTranspose({', '.join(arguments)})"
    if word is not None or not any(map(any, shape.geometry.pairs)):
        return (call,)
    return (
        "keras.Sequential([",
        f"    {call},",
        f"    keras.layers.Cropping2D({shape.geometry.pairs}),",
        "])",
    )


def _named(shape: Shape, word: str) -> tuple[TransposedAxis, ...]:
    """The axes with a named padding and no output padding."""
    axes = shape.geometry.transposed
    size, kernel, stride, dilation = (_all(axes, name) for name in ("size", "kernel", "stride", "dilation"))
    return transposed_axes(size, kernel, stride, dilation, Padding(word), None)


def _torch(shape: Shape) -> Code:
    layer, axes = shape.layer, shape.geometry.transposed
    if layer.kind == "each":
        return ("# none: PyTorch has no layer with one kernel for all channels",)
    removed = tuple(axis.before for axis in axes)
    added = tuple(axis.output_padding + axis.before - axis.after for axis in axes)
    is_built_in = all(
        0 <= more < max(axis.stride, axis.dilation) for more, axis in zip(added, axes, strict=True)
    )
    if not is_built_in:
        removed, added = (0,) * len(axes), _all(axes, "output_padding")
    arguments = [str(shape.channels[0]), str(shape.channels[1]), str(layer.kernel)]
    arguments += [f"stride={_all(axes, 'stride')}"] if _above_one(axes, "stride") else []
    arguments += [f"padding={removed}"] if any(removed) else []
    arguments += [f"output_padding={added}"] if any(added) else []
    arguments += [f"dilation={layer.dilation}"] if _above_one(axes, "dilation") else []
    arguments += [f"groups={layer.groups}"] if layer.groups > 1 else []
    arguments += [] if layer.bias else ["bias=False"]
    call = f"torch.nn.ConvTranspose2d({', '.join(arguments)})"
    if is_built_in:
        return (call,)
    (top, bottom), (left, right) = shape.geometry.pairs
    crop = f"torch.nn.ZeroPad2d(({-left}, {-right}, {-top}, {-bottom}))"
    return ("torch.nn.Sequential(", f"    {call},", f"    {crop},", ")")


def _scipy(shape: Shape) -> Code:
    call = f"scipy.signal.{'correlate2d' if shape.flip else 'convolve2d'}"
    place = f"[{_slices(shape.geometry.transposed)}]"
    return _by_channels(shape, 0, lambda z, w: f"{call}({z}, {w}){place}")


def _opencv(shape: Shape) -> Code:
    flip = "" if shape.flip else "[::-1, ::-1].copy()"
    place = f"[{_slices(shape.geometry.transposed)}]"
    return _by_channels(shape, 1, lambda z, w: f"cv2.filter2D({z}, -1, {w}{flip}, anchor=(0, 0)){place}")


def _slices(axes: tuple[TransposedAxis, ...]) -> str:
    """The part of the full output that is kept."""
    return ", ".join(f"{axis.before or ''}:{axis.before + axis.output}" for axis in axes)


def _by_channels(shape: Shape, border: int, call: Callable[[str, str], str]) -> Code:
    """Lines that put zeros between the pixels of x and call a function for each channel.

    Args:
        border: whether there are zeros around them too, as many as the kernel reaches.
        call: from the code of a channel and that of its weights to the code of their full convolution.
    """
    layer, axes, (channels, maps) = shape.layer, shape.geometry.transposed, shape.channels
    edges = [border * (axis.extent - 1) for axis in axes]
    sizes = tuple(
        (axis.size - 1) * axis.stride + 1 + axis.output_padding + 2 * edge
        for axis, edge in zip(axes, edges, strict=True)
    )
    slices = ", ".join(_pixel_slice(axis, edge) for axis, edge in zip(axes, edges, strict=True))
    lines = [f"z = numpy.zeros({sizes} + x.shape[2:], x.dtype)", f"z[{slices}] = x", *_dilated(shape)]
    w = "u" if _above_one(axes, "dilation") else "w"
    bias = " + b" if layer.bias else ""
    if shape.channels == (1, 1):
        return (*lines, f"y = {call('z', w)}{bias}")
    if layer.kind == "each":
        return (*lines, f"y = numpy.stack([{call('z[..., c]', w)} for c in range({channels})], -1)")
    inputs, outputs = channels // layer.groups, maps // layer.groups
    own = "o" if layer.groups == 1 else f"o % {outputs}"
    channel = "i" if layer.groups == 1 else f"o // {outputs} * {inputs} + i"
    total = f"sum({call(f'z[..., {channel}]', f'{w}[..., {own}, {channel}]')} for i in range({inputs}))"
    return (*lines, "y = numpy.stack([", f"    {total}", f"    for o in range({maps})", f"], -1){bias}")


def _pixel_slice(axis: TransposedAxis, edge: int) -> str:
    """The positions of the pixels among zeros."""
    last = edge + (axis.size - 1) * axis.stride + 1
    return f"{edge or ''}:{last}:{axis.stride}" if axis.stride > 1 else f"{edge or ''}:{last}"


def _dilated(shape: Shape) -> Code:
    """Lines that put zeros between the weights w, or none."""
    axes = shape.geometry.transposed
    if not _above_one(axes, "dilation"):
        return ()
    extents = tuple(axis.extent for axis in axes)
    slices = ", ".join(f"::{axis.dilation}" for axis in axes)
    return f"u = numpy.zeros({extents} + w.shape[2:], w.dtype)", f"u[{slices}] = w"


def _all(axes: tuple[TransposedAxis, ...], name: str) -> tuple[int, ...]:
    return tuple(getattr(axis, name) for axis in axes)


def _above_one(axes: tuple[TransposedAxis, ...], name: str) -> bool:
    return max(_all(axes, name)) > 1


_WRITERS: Final[Mapping[str, Callable[[Shape], Code]]] = {
    "keras": _keras,
    "torch": _torch,
    "scipy": _scipy,
    "opencv": _opencv,
}
