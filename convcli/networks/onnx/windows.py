"""Operators that slide a window over rows and columns: convolutions and pools."""

from __future__ import annotations

from convcli.geometry.padding import same_pair
from convcli.networks.effects import Reducing, Sliding, Taps, transposed_taps, window_text
from convcli.networks.onnx.operator import Described, Operator, Unclear, all_products


def convolution(operator: Operator) -> Described:
    """A convolution, whose window is that of its weights, or a pool, whose window is an attribute."""
    window, strides, dilations = _window(operator)
    taps = {}
    for index, axis in enumerate(operator.spatial):
        extent = (window[index] - 1) * dilations[index] + 1
        before = _padding_before(operator, index, extent, strides[index])
        taps[axis] = Taps(window[index], strides[index], dilations[index], before)
    mixed = frozenset({1}) if operator.kernel else frozenset[int]()  # pools take each channel by itself
    return Sliding(taps, mixed), window_text(window, strides, dilations, operator.number("group", 1))


def convolution_products(operator: Operator) -> int | None:
    """Every value of the result is a sum over the kernel of its map."""
    return all_products(operator.result, operator.kernel[1:])


def transposed(operator: Operator) -> Described:
    """A transposed convolution."""
    window, strides, dilations = _window(operator)
    taps = {}
    for index, axis in enumerate(operator.spatial):
        extent = (window[index] - 1) * dilations[index] + 1
        before = _cut_before(operator, index, extent, strides[index])
        taps[axis] = transposed_taps(window[index], strides[index], dilations[index], before)
    groups = operator.number("group", 1)
    return Sliding(taps), window_text(window, strides, dilations, groups, up=True)


def transposed_products(operator: Operator) -> int | None:
    """Every value of the input is multiplied by all weights of its channel."""
    return all_products(operator.input, operator.kernel[1:])


def global_pool(operator: Operator) -> Described:
    """A pool over whole channels."""
    return Reducing(frozenset(operator.spatial), keeps=True), ""


def _window(operator: Operator) -> tuple[list[int], list[int], list[int]]:
    """The window, its strides and its dilations along all spatial axes."""
    count = len(operator.spatial)
    window = operator.numbers("kernel_shape", [size or 0 for size in operator.kernel[2:]])
    if not window or len(window) != count:
        raise Unclear
    return window, operator.numbers("strides", [1] * count), operator.numbers("dilations", [1] * count)


def _padding_before(operator: Operator, index: int, extent: int, stride: int) -> int:
    """Pixels before the first one, along the spatial axis with this index."""
    automatic = operator.text("auto_pad", "NOTSET")
    if not automatic.startswith("SAME"):
        return _stated_before(operator, index)
    size = operator.input[operator.spatial[index]]
    if size is None:
        raise Unclear
    return same_pair(size, extent, stride)[automatic != "SAME_UPPER"]


def _cut_before(operator: Operator, index: int, extent: int, stride: int) -> int:
    """Values that are cut off before the first one, along the spatial axis with this index."""
    automatic, axis = operator.text("auto_pad", "NOTSET"), operator.spatial[index]
    if not automatic.startswith("SAME") and "output_shape" not in operator.attributes:
        return _stated_before(operator, index)
    size, made = operator.input[axis], operator.result[axis]
    if size is None or made is None:
        raise Unclear
    extra = operator.numbers("output_padding", [0] * len(operator.spatial))[index]
    total = max(stride * (size - 1) + extra + extent - made, 0)
    return total // 2 if automatic == "SAME_UPPER" else total - total // 2


def _stated_before(operator: Operator, index: int) -> int:
    pads = operator.numbers("pads", [0] * 2 * len(operator.spatial))
    return 0 if operator.text("auto_pad", "NOTSET") == "VALID" else pads[index]
