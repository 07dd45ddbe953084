"""Convolution of arrays: `conv` for every kind of layer, `conv2d` for one image and one kernel."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache, wraps
from itertools import groupby
from numbers import Real
from typing import Any, Final, ParamSpec, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from convcli.core.dtypes import Array, DType, accumulator
from convcli.core.errors import ArgumentError, cut, literal, quoted, suggest
from convcli.core.frozen import frozen
from convcli.core.numerals import axes_text, counted
from convcli.core.rational import Number, exact_number, masked
from convcli.core.rounding import Affine, Finish
from convcli.core.system import processors
from convcli.engine import native
from convcli.engine.arithmetic import result_dtype
from convcli.engine.consumer import Consumer, Destination, Finishes, MapFinish, StripTask
from convcli.engine.filter import Filter
from convcli.engine.normalized import (
    inner_weights,
    normalized,
    normalized_outcome,
    unnormalizable,
    whole_sums,
)
from convcli.engine.plan import Outcome, Plan, Problem
from convcli.engine.planner import choose
from convcli.engine.run import run
from convcli.engine.source import ArraySource
from convcli.geometry.axes import Axis, Geometry, geometry, per_axis, whole_numbers
from convcli.geometry.padding import LARGEST_AMOUNT, Fill, Padding
from convcli.geometry.transposed import check_removal
from convcli.kernels.channels import transposed_channels
from convcli.kernels.kernel import LARGEST_BIAS, Kernel, with_numbers
from convcli.kernels.library import load_kernel
from convcli.layers.stages import ActivationStage
from convcli.layers.trained import LayerSettings, activated, whole_layer

SOURCES: Final = "bool, int8 to int64, uint8 to uint64, float16, float32 or float64"
LARGEST_RESULT: Final = 2**36
_CHANNELS: Final = {"last": "last", "first": "first", "channels_last": "last", "channels_first": "first"}
_HASHED: Final = {type(None), bool, int, float, str, type}
"""Types of arguments by which calls are compared."""
_LARGEST_STORED: Final = 2**16
"""Bytes of weights, up to which a call is remembered."""
_SIZE: Final = re.compile(r"\s*\d+(\s*[,x×]\s*\d+)*\s*")
_FOREIGN_NAMES: Final = {
    "strides": "stride",
    "pad": "padding",
    "pads": "padding",
    "mode": "padding",
    "padding_mode": "fill",
    "boundary": "fill",
    "fillvalue": "fill",
    "cval": "fill",
    "dilations": "dilation",
    "dilation_rate": "dilation",
    "group": "groups",
    "data_format": "channels",
    "input": "x",
    "image": "x",
    "kernel": "weights",
    "weight": "weights",
}
"""What other libraries call the arguments of `conv`."""

_PLAIN: Final = LayerSettings()
PaddingLike = str | int | Sequence[int] | Sequence[tuple[int, int]] | Padding
P = ParamSpec("P")
R = TypeVar("R")


def _named(function: Callable[P, R]) -> Callable[P, R]:
    """Answer an unknown keyword argument with the one that was probably meant."""
    code = function.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    known = frozenset(names)

    @wraps(function)
    def checked(*arguments: P.args, **options: P.kwargs) -> R:
        if not known.issuperset(options):
            for name in options.keys() - known:
                own = _FOREIGN_NAMES.get(name)
                hint = f" (did you mean {own}?)" if own in known else suggest(name, names)
                raise TypeError(f"{function.__name__}() got an unexpected keyword argument {name!r}{hint}")
        return function(*arguments, **options)

    return checked


@_named
def conv(  # noqa: PLR0913 - the signature of a layer
    x: ArrayLike,
    weights: ArrayLike | Kernel | str,
    *,
    layer: bool = False,
    bias: ArrayLike | None = None,
    stride: int | Sequence[int] | None = None,
    padding: PaddingLike | None = None,
    dilation: int | Sequence[int] | None = None,
    groups: int | None = None,
    flip: bool = False,
    fill: str | float = "zero",
    channels: str | None = None,
    transposed: bool = False,
    output_padding: int | Sequence[int] | None = None,
    dtype: Any = None,
    method: str = "auto",
    threads: int | None = None,
) -> Array:
    """Return the cross-correlation of ``x`` with ``weights``: what a convolution layer computes.

    Per axis the result has floor((size + before + after − (dilation·(k − 1) + 1)) / stride) + 1 values; with
    ``transposed``, (size − 1)·stride − before − after + dilation·(k − 1) + 1 + output padding.

    Args:
        x: the input, of bool, integers or floats of up to 64 bits. Without ``channels``: (spatial…), with as
            many axes as ``weights``, 1 to 3. With ``"last"``: ([batch,] spatial…, in). With ``"first"``:
            ([batch,] in, spatial…). The batch may be empty. Masked arrays with masked values are rejected;
            use ``x.filled(0)`` to replace them.
        weights: the kernel: (k…), which filters every channel on its own, or one weight per input channel
            and map: (k…, in / groups, out) with channels last, as in Keras; (out, in / groups, k…) with
            channels first, as in PyTorch. A `Kernel`, or the name of one, always has the order
            ([depth,] rows, columns[, in, out]). Strings in lists, such as ``"1/9"``, are exact numbers.
        layer: compute the whole trained layer that a `Kernel` comes from: its stride, padding, dilation,
            groups, bias, batch normalization and activation. Other arguments that are given take precedence.
        bias: one value per map, or one for all. None takes the `Kernel`'s own, from its file or from the
            trained layer that its weights belong to.
        stride: step of the window in pixels, one number or one per spatial axis. None means 1, or the layer's
            with ``layer``; so for padding (``"valid"``), dilation and groups (1).
        padding: ``"valid"``, ``"same"``, ``"same-lower"``, ``"full"``, ``"causal"`` (all of it before the
            first value, for one spatial axis) or ``"AMOUNT:FILL"``; or pixels on every side, one number, one
            per spatial axis, or one pair (before, after) per spatial axis.
        dilation: spacing between kernel elements in pixels, one number or one per spatial axis.
        groups: number of groups that the channels are divided into, each with its own share of the maps.
        flip: rotate the kernel by 180° first, as convolution in mathematics does.
        fill: values beyond the edge, unless ``padding`` names them: ``"zero"``, a number, ``"edge"``,
            ``"reflect"``, ``"symmetric"`` or ``"wrap"``; or ``"ignore"``, which divides by the sum of the
            weights inside the image, so that edges count only what is there. It needs weights that are not
            negative; a window without a weight inside gives NaN, or 0 in an integer type.
        channels: where the channel axis of ``x`` and of the result is: None (there is none), ``"last"``
            or ``"first"``.
        transposed: whether to compute the transpose of the convolution with these weights, stride, padding
            and dilation: every value of ``x`` adds the kernel, times itself, to the result, ``stride`` pixels
            after the one before it. Weights with channels are those of the layer that is transposed:
            (k…, out / groups, in), as in Keras' Conv2DTranspose, or (in, out / groups, k…), as in PyTorch's
            ConvTranspose2d. Pixels of ``padding`` are removed from the result, ``"same"`` and ``"valid"``
            choose its size as in Keras, and ``fill`` is zero.
        output_padding: with ``transposed``, pixels added at the end of the result, below the stride or the
            dilation; one number or one per spatial axis. None adds none, or as many as ``"same"`` and
            ``"valid"`` add in Keras.
        dtype: type of the result, an integer or float type. None gives float32, or float64 for float64 and
            for integers of 32 bits and more. Integer types round to nearest, ties to even, and saturate; NaN
            becomes 0. With float64, sums are float64 too.
        method: ``"auto"``, or the name of a method (``convcli plan`` lists them).
        threads: largest number of threads; None means one per CPU.

    Returns:
        The feature map, laid out as ``x`` is: (spatial…), ([batch,] spatial…, out) or
        ([batch,] out, spatial…). For integers of up to 32 bits and rational weights it is the exact value,
        correctly rounded to ``dtype``, whatever the method and the number of threads; float weights that are
        fractions up to rounding, such as ``np.ones((3, 3)) / 9``, may be treated as those fractions. Exact
        sums beyond 2⁵³ that are requested as floats, and all sums beyond 2⁶², are as accurate as float64.

    Raises:
        ArgumentError: an argument whose value, type or shape is not allowed; the message names it.
        KernelError: weights that are not a full table of finite numbers, or an unknown kernel name.
    """
    array = _input_array(x)
    values = _narrowed(array)
    known = load_kernel(weights) if isinstance(weights, str) else weights
    stages: tuple[ActivationStage, ...] = ()
    target, own = dtype, _PLAIN
    if _truth("layer", layer):
        known, own, stages = whole_layer(known, stride is not None and padding is not None)
        transposed, output_padding = own.transposed or transposed, output_padding or own.output_padding
        if stages and _result_type(dtype, array.dtype).kind != "f":
            target = np.float64  # rounded after the activation
    stride = own.stride if stride is None else stride
    padding = own.padding if padding is None else padding
    dilation = own.dilation if dilation is None else dilation
    groups = own.groups if groups is None else groups
    stored = _stored(known)
    workers = processors() if threads is None else threads
    shaped = bias, stride, padding, dilation, groups, flip, fill, channels, transposed, output_padding
    options: Any = *shaped, target, method, workers
    if stored is not None and all(type(value) in _HASHED for value in options):
        prepared = _remembered(values.shape, values.dtype, array.dtype, stored, *options)
    else:
        prepared = _prepared(values.shape, values.dtype, array.dtype, known, options)
    result = _computed(prepared, prepared.layout.applied(values))
    return activated(result, stages, _result_type(dtype, array.dtype)) if stages else result


@_named
def conv2d(
    image: ArrayLike,
    kernel: ArrayLike | Kernel | str,
    *,
    stride: int | Sequence[int] = 1,
    padding: PaddingLike = "valid",
    dilation: int | Sequence[int] = 1,
    fill: str | float = "zero",
    flip: bool = False,
) -> Array:
    """Return the convolution of one image with one kernel, both (rows, columns).

    Args:
        image: integers, floats or bool, (rows, columns).
        kernel: weights (rows, columns), a `Kernel` or the name of one.
        stride: as for `conv`.
        padding: as for `conv`.
        dilation: as for `conv`.
        fill: as for `conv`.
        flip: as for `conv`.

    Returns:
        The feature map, (rows, columns), of the type that `conv` gives. Without padding, (R, C) and (k, l)
        give (R − k + 1, C − l + 1): the dot product of the kernel with every window. ``flip=False`` is the
        cross-correlation of deep learning; ``flip=True`` is (f∗g)(i, j) = Σa Σb f(a, b) g(i − a, j − b).

    Raises:
        ArgumentError: an image or a kernel that does not have two axes, a kernel larger than the padded
            image, or another argument that is not allowed.
        KernelError: as for `conv`.
    """
    known = _known_kernel(kernel)
    _check_two_axes("image", image)
    _input_array(image, "image")
    if known is None:
        _check_two_axes("kernel", kernel)
    elif len(known.shape) > 2 and known.combine is None and known.maps > 1:
        raise ArgumentError(
            f"kernel {quoted(known.name)} has {known.maps} maps, conv2d computes one; "
            "conv(image[..., None], kernel, channels='last') computes all of them"
        )
    weights = kernel if known is None else known
    return conv(image, weights, stride=stride, padding=padding, dilation=dilation, fill=fill, flip=flip)


@_named
def shape(
    size: int | Sequence[int],
    kernel: int | Sequence[int] | Kernel | str,
    *,
    stride: int | Sequence[int] = 1,
    padding: PaddingLike = "valid",
    dilation: int | Sequence[int] = 1,
    transposed: bool = False,
    output_padding: int | Sequence[int] | None = None,
) -> tuple[int, ...]:
    """Return the spatial shape of a feature map: ``shape((512, 512), 3, stride=(2, 1))`` is ``(255, 510)``.

    Args:
        size: the input's, one number per spatial axis, 1 to 3 of them.
        kernel: its size, one number for all axes or one per axis; or a `Kernel` or the name of one, of which
            the spatial axes count, as in `conv`.
        stride: as for `conv`.
        padding: as for `conv`.
        dilation: as for `conv`.
        transposed: as for `conv`.
        output_padding: as for `conv`.

    Returns:
        One number per spatial axis.

    Raises:
        ArgumentError: an argument that is not allowed, or a kernel larger than the padded image.
        KernelError: an unknown kernel name.
    """
    sizes = whole_numbers("size", size)
    if len(sizes) > 3:
        raise ArgumentError(f"size has {axes_text(len(sizes))}; allowed: 1 to 3, the spatial ones")
    if isinstance(kernel, str) and _SIZE.fullmatch(kernel):
        numbers = ", ".join(re.findall(r"\d+", kernel))
        raise ArgumentError(f"kernel {quoted(kernel)} is a string; pass its size as numbers: ({numbers})")
    known = _known_kernel(kernel)
    window = known.window if known else per_axis("kernel", kernel, len(sizes))  # type: ignore[arg-type]
    amount, as_transposed = as_padding(padding, "zero"), (_truth("transposed", transposed), output_padding)
    return geometry(sizes, window, stride, amount, dilation, False, *as_transposed).output


@frozen(eq=False)
class _Options:
    """The keyword arguments of `conv` that do not depend on its arrays, checked; sizes are for `geometry`."""

    stride: int | Sequence[int]
    padding: Padding
    dilation: int | Sequence[int]
    groups: int
    flip: bool
    channels: str | None
    transposed: bool
    target: DType


@frozen(eq=False)
class _Layout:
    """How an input is seen as values, (batch, depth, rows, columns, channels to sum, lanes to keep apart).

    Attributes:
        first: whether channels come before the spatial axes of the input.
        is_batch: whether the input has a batch axis.
    """

    shape: tuple[int, ...]
    first: bool
    is_batch: bool

    def applied(self, x: Array) -> Array:
        """The values of an input."""
        if self.first:
            x = np.moveaxis(x, 1 if self.is_batch else 0, -1)
        return x.reshape(self.shape)


@frozen(eq=False)
class _Prepared:
    """All that `conv` finds out before it looks at a value.

    Attributes:
        finishes: from sums to results, for runs of maps.
        idle: whether the sums are the results.
        renormalizes: whether sums are divided by those of the weights inside the image.
        output: spatial sizes of the result.
    """

    plan: Plan
    finishes: Finishes
    idle: bool
    renormalizes: bool
    layout: _Layout
    output: tuple[int, ...]
    channels: str | None
    target: DType


def _prepared(
    sizes: tuple[int, ...], values: DType, source: DType, weights: Any, arguments: tuple[Any, ...]
) -> _Prepared:
    """Check the arguments of `conv` and plan it.

    Args:
        sizes: shape of the input.
        values: its type, narrowed.
        source: its type.
        arguments: those of `conv` after the weights, in its order.
    """
    bias, stride, padding, dilation, groups, flip, fill, channels, *others = arguments
    transposed, output_padding, dtype, method, threads = others
    options = _Options(
        stride=stride,
        padding=as_padding(padding, fill),
        dilation=dilation,
        groups=_group_count(groups),
        flip=_truth("flip", flip),
        channels=_channel_order(channels),
        transposed=_truth("transposed", transposed),
        target=_result_type(dtype, source),
    )
    _check_transposed(options, output_padding)
    layer = _layer(weights, bias, options)
    layout = _layout(sizes, layer, options)
    spatial = layout.shape[4 - layer.spatial : 4]
    window, as_transposed = layer.filter.kernel[3 - layer.spatial :], (options.transposed, output_padding)
    shape = geometry(spatial, window, stride, options.padding, dilation, False, *as_transposed)
    renormalizes = options.padding.fill.mode == "ignore"
    if renormalizes and (obstacle := unnormalizable(layer.filter)):
        raise ArgumentError(f"fill 'ignore' cannot be used with this kernel: {obstacle}; use another fill")
    problem = _problem(layout.shape, values, layer, shape, options)
    plan = choose(problem, method, threads, whole=True)
    outcome = normalized_outcome(plan) if renormalizes else plan.outcome
    finishes = _finishes(outcome, options.target)
    if not native.writes(finishes, plan):
        plan = choose(problem, method, threads)
    idle = all(part.idle for part in finishes) and not renormalizes
    order, target = options.channels, options.target
    return _Prepared(plan, finishes, idle, renormalizes, layout, shape.output, order, target)


def _finishes(outcome: Outcome, target: DType) -> Finishes:
    """From sums to results: runs of maps that are alike, or all maps of float sums."""
    distinct = {id(affine): affine for affine in outcome.affines}.values()
    alike = {(affine.gain, affine.denominator, affine.magnitude) for affine in distinct}
    if not outcome.exact and outcome.maps > 1 and len(alike) == len({*outcome.bounds}) == 1:
        return (_float_finish(outcome, target),)
    runs: list[MapFinish] = []
    maps = zip(outcome.bounds, outcome.affines, strict=True)
    for _, members in groupby(maps, key=lambda entry: (entry[0], id(entry[1]))):
        (bounds, affine), *others = members
        start = runs[-1].maps.stop if runs else 0
        finish = Finish(outcome.dtype, *bounds, affine, target, outcome.exact)
        runs.append(MapFinish(slice(start, start + 1 + len(others)), finish))
    return tuple(runs)


def _float_finish(outcome: Outcome, target: DType) -> MapFinish:
    """The finish of float sums of several maps, which differ in their biases at most."""
    offsets = np.array([affine.offset for affine in outcome.affines], np.float64)
    (low, high), first = outcome.bounds[0], outcome.affines[0]
    reach = low + float(offsets.min()) / first.gain, high + float(offsets.max()) / first.gain
    whole = Affine(first.gain, 0, first.denominator, first.magnitude)
    finish = Finish(outcome.dtype, *reach, whole, target, exact=False)
    return MapFinish(slice(0, outcome.maps), finish, offsets if offsets.any() else None)


Stored = tuple[Kernel, Any] | tuple[tuple[int, ...], DType, bytes]
"""Weights that can be compared: a kernel and its layer, or the shape, the type and the bytes of an array."""


def _stored(weights: Any) -> Stored | None:
    """Small weights in a form that can be compared; None for others."""
    if type(weights) is np.ndarray and weights.nbytes <= _LARGEST_STORED and weights.dtype.kind in "biuf":
        return weights.shape, weights.dtype, weights.tobytes()
    if isinstance(weights, Kernel) and weights.weights.nbytes <= _LARGEST_STORED:
        return weights, weights.layer
    return None


@lru_cache(16, typed=True)
def _remembered(
    sizes: tuple[int, ...], values: DType, source: DType, stored: Stored, *arguments: Any
) -> _Prepared:
    """`_prepared` for calls that are like an earlier one, which takes longer than a small convolution."""
    weights = stored[0] if len(stored) == 2 else np.frombuffer(stored[2], stored[1]).reshape(stored[0])
    return _prepared(sizes, values, source, weights, arguments)


def forget() -> None:
    """Forget what was prepared for earlier calls, for tests that change which methods are available."""
    _remembered.cache_clear()


@frozen(eq=False)
class _Layer:
    """Prepared weights.

    Attributes:
        spatial: number of spatial axes.
        per_channel: whether every channel is filtered on its own, by the same weights.
    """

    filter: Filter
    spatial: int
    per_channel: bool


def as_padding(padding: PaddingLike, fill: str | float) -> Padding:
    """Any accepted form of padding as a `Padding`; ``fill`` is for forms that name none."""
    default = _fill(fill)
    if isinstance(padding, Padding):
        return padding
    if isinstance(padding, str):
        return _padding_of_text(padding, default, fill)
    numbers = _asarray("padding", padding).tolist() if isinstance(padding, np.ndarray) else padding
    values = list(numbers) if isinstance(numbers, Sequence) else [numbers]
    pairs = tuple(_pair(value) for value in values)
    if not pairs:
        raise ArgumentError("padding is empty; allowed: one number, or a number or a pair per axis")
    return Padding(pairs, default)


def _padding_of_text(text: str, default: Fill, fill: str | float) -> Padding:
    parsed = Padding.parse(text)
    if ":" not in text:
        return Padding(parsed.amount, default)
    if default not in (Fill(), parsed.fill):
        raise ArgumentError(f"padding {quoted(text)} and fill={literal(fill)} name different fills; use one")
    return parsed


def _fill(value: Any) -> Fill:
    if not isinstance(value, (str, Real)):
        raise ArgumentError(f"fill {literal(value)} is not a string or a number")
    try:
        text = str(value)
    except ValueError:  # an integer of thousands of digits
        text = literal(value)
    return Fill.parse(text)


def _pair(value: Any) -> tuple[int, int]:
    allowed = f"a whole number from 0 to {LARGEST_AMOUNT}, or a pair of them"
    try:
        both = whole_numbers("padding", value)
    except ArgumentError as error:
        raise ArgumentError(f"padding {literal(value)} is not {allowed}") from error
    both = both * 2 if not np.ndim(value) else both
    if len(both) != 2 or not all(0 <= number <= LARGEST_AMOUNT for number in both):
        raise ArgumentError(f"padding {literal(value)} is not {allowed}")
    return both[0], both[1]


def _group_count(groups: Any) -> int:
    if not isinstance(groups, (int, np.integer)) or groups < 1:
        raise ArgumentError(f"groups {literal(groups)} is not a whole number from 1")
    return int(groups)


def _check_transposed(options: _Options, output_padding: Any) -> None:
    """Refuse what only transposed, or only other convolutions have."""
    if not options.transposed and output_padding is not None:
        raise ArgumentError("output_padding is an argument of transposed convolutions; use transposed=True")
    if options.transposed:
        check_removal(options.padding)


def _truth(name: str, value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_)) and not (isinstance(value, int) and value in (0, 1)):
        raise ArgumentError(f"{name} {literal(value)} is not True or False")
    return bool(value)


def _channel_order(channels: Any) -> str | None:
    """None, ``first`` or ``last``."""
    if channels is None:
        return None
    order = _CHANNELS.get(channels) if isinstance(channels, str) else None
    if order is None:
        raise ArgumentError(f"channels {literal(channels)} is not None, 'first' or 'last'")
    return order


def _result_type(dtype: Any, source: DType) -> DType:
    if dtype is None:
        return result_dtype(source)
    try:
        target: DType = np.dtype(dtype)
    except Exception as error:  # strings are parsed as Python, with its errors
        raise ArgumentError(f"dtype {literal(dtype)} is not a number type") from error
    if target.kind not in "iuf" or target.itemsize > 8:
        raise ArgumentError(f"dtype {cut(str(target), 60)} is not an integer or float type of up to 64 bits")
    return target


def _asarray(name: str, value: Any) -> Array:
    if reason := masked(value):
        raise ArgumentError(f"{name} {reason}")
    try:
        return np.asarray(value)
    except MemoryError:
        raise
    except Exception as error:  # any error that a foreign class raises
        problem = "has rows of different lengths" if isinstance(value, (list, tuple)) else "is not an array"
        raise ArgumentError(f"{name} {problem}") from error


def _check_two_axes(name: str, value: Any) -> None:
    axes = _asarray(name, value).ndim
    if axes != 2:
        color = "; conv(image, kernel, channels='last') filters each channel of a color image"
        hint = color if name == "image" and axes == 3 else ""
        raise ArgumentError(f"{name} has {axes_text(axes)}; allowed: 2, (rows, columns){hint}")


def _input_array(x: Any, name: str = "x") -> Array:
    array = _asarray(name, x)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise ArgumentError(f"{name} has type {cut(str(array.dtype), 60)}; allowed: {SOURCES}")
    return array


def _narrowed(array: Array) -> Array:
    """64-bit integers, NumPy's default, in the narrowest type that holds their values."""
    if array.dtype.kind not in "iu" or array.dtype.itemsize < 8 or not array.size:
        return array
    narrow = accumulator(int(array.min()), int(array.max()))
    return array if narrow is None or narrow.itemsize == 8 else array.astype(narrow)


def _known_kernel(weights: Any) -> Kernel | None:
    """The `Kernel` that was passed or named; None for an array."""
    if isinstance(weights, str):
        return load_kernel(weights)
    return weights if isinstance(weights, Kernel) else None


def _layer(weights: Any, bias: Any, options: _Options) -> _Layer:
    known = _known_kernel(weights)
    kernel, spatial = (known, len(known.window)) if known else _of_array(weights, options)
    plain = len(kernel.shape) == spatial
    per_channel = plain or kernel.combine is not None
    if options.channels is None and not per_channel and kernel.tensor_shape[-2:] != (1, 1):
        raise ArgumentError(
            f"weights have {axes_text(len(kernel.shape))}, (k…, in, out); "
            "x needs a channel axis and channels='last' or 'first'"
        )
    added = _bias(bias, 1 if plain else kernel.shape[-1], kernel.exact is not None)
    if added is None and kernel.layer is not None:
        added = kernel.own_bias
    prepared = Filter.of(kernel, spatial=spatial, flip=options.flip != options.transposed, bias=added)
    return _Layer(prepared, spatial, per_channel and options.groups == 1)


def _of_array(weights: Any, options: _Options) -> tuple[Kernel, int]:
    """An array as a Kernel of (k…), or (k…, in, out) if it has channels, and its spatial axes."""
    channels = options.channels
    raw = _asarray("weights", with_numbers(weights))
    layered = raw.ndim > 2 and channels is not None
    spatial = raw.ndim - 2 if layered else raw.ndim
    if not 1 <= spatial <= 3:
        allowed = "1 to 5" if channels else "1 to 3, or up to 5 with channels='last' or 'first'"
        raise ArgumentError(f"weights have {axes_text(raw.ndim)}; allowed: {allowed}")
    if layered and channels == "first":
        raw = np.moveaxis(raw, (0, 1), (-1, -2))
    if layered and options.transposed:
        raw = transposed_channels(raw, options.groups)
    return Kernel(raw, copy=False), spatial


def _bias(bias: Any, maps: int, exact: bool) -> tuple[Number, ...] | None:
    """One number per map; floats for a kernel of floats, which take less time."""
    if bias is None:
        return None
    array = _asarray("bias", bias)
    values = array.ravel().tolist()
    if array.dtype.kind not in "iubfO" or not all(isinstance(value, Real) for value in values):
        raise ArgumentError(f"bias {quoted(bias)} is not a number, or one per map")
    if len(values) not in (1, maps):
        allowed = "1" if maps == 1 else f"1, or one for each of {maps} maps"
        raise ArgumentError(f"bias has {len(values)} values; allowed: {allowed}")
    if not all(abs(value) <= LARGEST_BIAS for value in values):
        raise ArgumentError(f"bias has a value that is not a number up to {LARGEST_BIAS:g}")
    numbers = tuple(map(exact_number if exact else float, values))
    return numbers * maps if len(numbers) == 1 else numbers


def _layout(sizes: tuple[int, ...], layer: _Layer, options: _Options) -> _Layout:
    """The layout of an input of this shape."""
    (batch, *spatial, inputs), is_batch = _channels_last(sizes, layer.spatial, options.channels)
    channels, lanes = (1, inputs) if layer.per_channel else (inputs, 1)
    _check_groups(channels, layer.filter, options.groups)
    missing = (1,) * (3 - layer.spatial)
    shape = (batch, *missing, *spatial, channels, lanes)
    return _Layout(shape, options.channels == "first", is_batch)


def _channels_last(
    sizes: tuple[int, ...], spatial: int, channels: str | None
) -> tuple[tuple[int, ...], bool]:
    """The shape (batch, spatial…, in), and whether there is a batch axis."""
    count = len(sizes)
    if channels is None:
        if count != spatial:
            raise ArgumentError(
                f"x has {axes_text(count)}, but weights have {spatial}; "
                "they must match, unless channels='last' or 'first' names a channel axis of x"
            )
        return (1, *sizes, 1), False
    if count not in (spatial + 1, spatial + 2):
        raise ArgumentError(
            f"x has {axes_text(count)}; allowed with {spatial} spatial and a channel axis: "
            f"{spatial + 1}, or {spatial + 2} with a batch axis"
        )
    is_batch = count == spatial + 2
    batch, *others = sizes if is_batch else (1, *sizes)
    if channels == "first":
        others = [*others[1:], others[0]]
    return (batch, *others), is_batch


def _check_groups(channels: int, filter_: Filter, groups: int) -> None:
    if channels % groups or filter_.maps % groups:
        inputs = counted(channels, "input channel")
        raise ArgumentError(
            f"groups {literal(groups)} does not divide {inputs} and {counted(filter_.maps, 'map')}"
        )
    if channels // groups != filter_.inputs:
        raise ArgumentError(
            f"weights take {counted(filter_.inputs, 'input channel')}; "
            f"x has {channels} in {literal(groups)} group{'s' * (groups != 1)}"
        )


def _problem(
    sizes: tuple[int, ...], dtype: DType, layer: _Layer, shape: Geometry, options: _Options
) -> Problem:
    """What to compute from values of a shape, (batch, depth, rows, columns, channels, lanes), and a type."""
    depth, rows, columns = (Axis(1, 1),) * (3 - layer.spatial) + shape.axes
    batch, *_, channels, lanes = sizes
    problem = Problem(
        axes=(depth, rows, columns),
        filter=layer.filter,
        dtype=dtype,
        fill=Fill() if options.padding.fill.mode == "ignore" else options.padding.fill,
        batch=max(batch, 1),
        channels=channels,
        lanes=max(lanes, 1),
        groups=options.groups,
        double=options.target == np.float64,
    )
    if problem.values > LARGEST_RESULT:
        raise ArgumentError(f"the result would have {problem.values} values; allowed: up to {LARGEST_RESULT}")
    return problem


def _computed(prepared: _Prepared, values: Array) -> Array:
    """The result, laid out as the input is."""
    plan, layout = prepared.plan, prepared.layout
    sizes = [axis.output for axis in plan.problem.axes]
    batch, maps, lanes = len(values), plan.outcome.maps, values.shape[-1]
    count = maps * lanes
    result = np.empty((batch, count, *sizes) if layout.first else (batch, *sizes, count), prepared.target)
    if result.size:
        last = np.moveaxis(result, 1, -1) if layout.first else result
        place = last.reshape(*last.shape[:4], maps, lanes)
        consumer: Consumer = _ArrayConsumer(place, prepared.finishes, prepared.idle)
        if prepared.renormalizes:
            consumer = _NormalizingConsumer.of(plan, place, prepared.finishes)
        run(plan, ArraySource(values), lambda: consumer)
    channels = () if prepared.channels is None else (count,)
    axes = (*channels, *prepared.output) if layout.first else (*prepared.output, *channels)
    return result.reshape((batch, *axes) if layout.is_batch else axes)


@frozen(eq=False)
class _ArrayConsumer:
    """Rounds sums into their place.

    Attributes:
        result: (batch, depth, rows, columns, maps, lanes).
        finishes: of all maps.
        idle: whether sums are results.
    """

    result: Array
    finishes: Finishes
    idle: bool

    def destination(self, task: StripTask) -> Destination:
        return Destination(self._place(task), self.finishes, self.idle)

    def take(self, task: StripTask, sums: Array) -> None:
        place = self._place(task)
        for part in self.finishes:
            part.write(sums, place)

    def _place(self, task: StripTask) -> Array:
        """(maps, rows, columns, lanes)."""
        (top, bottom), (left, right) = task.strip.rows, task.strip.columns
        return self.result[task.batch, task.depth, top:bottom, left:right].transpose(2, 0, 1, 3)


@frozen(eq=False)
class _NormalizingConsumer:
    """Divides sums by those of the weights inside the image, and rounds the quotients into their place.

    Attributes:
        result: (batch, depth, rows, columns, maps, lanes).
        finishes: of all maps.
        weights: (depth, rows, columns, maps).
        whole, least: of each map, as `normalized` takes them.
    """

    result: Array
    finishes: Finishes
    weights: Array
    whole: tuple[float, ...]
    least: tuple[float, ...]

    @classmethod
    def of(cls, plan: Plan, result: Array, finishes: Finishes) -> Self:
        """The consumer for the sums of a plan."""
        weights, least = inner_weights(plan)
        return cls(result, finishes, weights, whole_sums(plan.problem.filter), least)

    def destination(self, task: StripTask) -> None:
        return None

    def take(self, task: StripTask, sums: Array) -> None:
        (top, bottom), (left, right) = task.strip.rows, task.strip.columns
        weights = self.weights[task.depth, top:bottom, left:right]
        parts = [
            normalized(values, weights[..., index, None], self.whole[index], self.least[index])
            for index, values in enumerate(sums)
        ]
        place = self.result[task.batch, task.depth, top:bottom, left:right].transpose(2, 0, 1, 3)
        for part in self.finishes:
            part.write(np.stack(parts), place)
