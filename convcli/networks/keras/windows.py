"""Layers that slide a window over rows and columns: convolutions and pools."""

from __future__ import annotations

from math import prod

from convcli.geometry.padding import same_pair
from convcli.networks.effects import Reducing, Sliding, Taps, transposed_taps, window_text
from convcli.networks.graph import Sizes, product
from convcli.networks.keras.layer import Made, Settings

Pair = tuple[int, int]
"""(rows, columns)."""


def convolution(settings: Settings, inputs: list[Sizes]) -> Made:
    """``Conv2D``."""
    maps, channels = settings.count("filters"), inputs[0][settings.channel] or 0
    kernel = prod(settings.pair("kernel_size")) * (channels // settings.get("groups", 1)) * maps
    return _convolved(settings, inputs[0], maps, {"kernel": kernel})


def depthwise(settings: Settings, inputs: list[Sizes]) -> Made:
    """``DepthwiseConv2D``."""
    maps = (inputs[0][settings.channel] or 0) * settings.get("depth_multiplier", 1)
    return _convolved(settings, inputs[0], maps, {"kernel": prod(settings.pair("kernel_size")) * maps})


def separable(settings: Settings, inputs: list[Sizes]) -> Made:
    """``SeparableConv2D``: a kernel for each channel, and sums of their maps."""
    maps = settings.count("filters")
    channels = (inputs[0][settings.channel] or 0) * settings.get("depth_multiplier", 1)
    depthwise_kernel = prod(settings.pair("kernel_size")) * channels
    kernels = {"depthwise_kernel": depthwise_kernel, "pointwise_kernel": channels * maps}
    return _convolved(settings, inputs[0], maps, kernels)


def transposed(settings: Settings, inputs: list[Sizes]) -> Made:
    """``Conv2DTranspose``."""
    sizes, maps = inputs[0], settings.count("filters")
    window, strides = settings.pair("kernel_size"), settings.pair("strides", 1)
    dilations, extra = settings.pair("dilation_rate", 1), settings.get("output_padding")
    extras = (extra, extra) if extra is None or isinstance(extra, int) else tuple(extra)
    taps, spatial = dict[int, Taps](), list[int | None]()
    same = settings.get("padding", "valid") == "same"
    axes = zip(settings.spatial, window, strides, dilations, extras, strict=True)
    for axis, kernel, stride, dilation, more in axes:
        made, before = _enlarged(sizes[axis], kernel, (kernel - 1) * dilation + 1, stride, more, same)
        spatial.append(made)
        taps[axis] = transposed_taps(kernel, stride, dilation, before)
    count = prod(window) * (sizes[settings.channel] or 0) * maps
    products = product((*(sizes[axis] for axis in settings.spatial), count))
    return Made(
        Sliding(taps, frozenset({settings.channel})),
        settings.resized(sizes, spatial, maps),
        window_text(window, strides, dilations, up=True),
        settings.with_bias({"kernel": count}, maps),
        products,
    )


def pool(settings: Settings, inputs: list[Sizes]) -> Made:
    """``MaxPooling2D`` and ``AveragePooling2D``."""
    sizes, window = inputs[0], settings.pair("pool_size", 2)
    taps, spatial, details = _windows(settings, sizes, window, settings.pair("strides", window))
    made = settings.resized(sizes, spatial, sizes[settings.channel])
    return Made(Sliding(taps, frozenset()), made, details)


def global_pool(settings: Settings, inputs: list[Sizes]) -> Made:
    """``GlobalMaxPooling2D`` and ``GlobalAveragePooling2D``."""
    sizes, keeps = inputs[0], bool(settings.get("keepdims", False))
    channels = sizes[settings.channel]
    made = settings.resized(sizes, (1, 1), channels) if keeps else (sizes[0], channels)
    return Made(Reducing(frozenset(settings.spatial), keeps), made)


def _convolved(settings: Settings, sizes: Sizes, maps: int, kernels: dict[str, int]) -> Made:
    """A convolution with these numbers of weights by name, which multiply at every place of the result."""
    window, strides = settings.pair("kernel_size"), settings.pair("strides", 1)
    taps, spatial, details = _windows(settings, sizes, window, strides)
    return Made(
        Sliding(taps, frozenset({settings.channel})),
        settings.resized(sizes, spatial, maps),
        details,
        settings.with_bias(kernels, maps),
        product((*spatial, sum(kernels.values()))),
    )


def _windows(
    settings: Settings, sizes: Sizes, window: Pair, strides: Pair
) -> tuple[dict[int, Taps], list[int | None], str]:
    """The taps, the sizes of rows and columns after windows with the layer's padding, and their text."""
    dilations, padding = settings.pair("dilation_rate", 1), settings.get("padding", "valid")
    if padding not in ("same", "valid"):
        raise ValueError(padding)
    taps, made = dict[int, Taps](), list[int | None]()
    for axis, kernel, stride, dilation in zip(settings.spatial, window, strides, dilations, strict=True):
        size, extent, before = sizes[axis], (kernel - 1) * dilation + 1, 0
        if size is None:
            made.append(None)
        elif padding == "same":
            made.append(-(-size // stride))
            before, _ = same_pair(size, extent, stride)
        else:
            made.append((size - extent) // stride + 1)
        taps[axis] = Taps(kernel, stride, dilation, before)
    return taps, made, window_text(window, strides, dilations, settings.get("groups", 1))


def _enlarged(
    size: int | None, kernel: int, extent: int, stride: int, extra: int | None, same: bool
) -> tuple[int | None, int]:
    """The size after a transposed convolution, and how many values are cut off before the first one.

    Args:
        extra: the layer's ``output_padding``.
        same: whether its padding is ``same``.
    """
    if size is None:
        return None, max(extent - stride, 0) // 2 if same else 0
    if extra is not None:
        before = kernel // 2 if same else 0
        return (size - 1) * stride + extent - 2 * before + extra, before
    if same:
        return size * stride, max(extent - stride, 0) // 2
    return size * stride + max(extent - stride, 0), 0
