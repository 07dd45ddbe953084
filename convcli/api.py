"""The convolution of arrays: `conv` for every layer, `conv2d` for one picture and one kernel."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from convcli.core.dtypes import Array, DType, accumulator
from convcli.core.errors import ArgumentError, cut, literal, quoted
from convcli.core.frozen import frozen
from convcli.core.rational import Number, exact_number, masked
from convcli.core.rounding import Finish
from convcli.engine.arithmetic import result_dtype
from convcli.engine.consumer import StripTask
from convcli.engine.filter import Filter
from convcli.engine.plan import Plan, Problem
from convcli.engine.planner import choose
from convcli.engine.run import run
from convcli.engine.source import ArraySource
from convcli.geometry.axes import Axis, geometry, per_axis, whole_numbers
from convcli.geometry.padding import LARGEST_AMOUNT, Fill, Padding
from convcli.kernels.kernel import LARGEST_BIAS, Kernel, with_numbers
from convcli.kernels.library import load_kernel

SOURCES: Final = "bool, int8 to int64, uint8 to uint64, float16, float32 or float64"
LARGEST_RESULT: Final = 2**36
_PLAIN_AXES: Final = "1 to 3 axes, or more with channels='last' or 'first'"
_CHANNELS: Final = {"last": "last", "first": "first", "channels_last": "last", "channels_first": "first"}
PaddingLike = str | int | Sequence[int] | Sequence[tuple[int, int]] | Padding


def conv(  # noqa: PLR0913 - the signature of a layer
    x: ArrayLike,
    weights: ArrayLike | Kernel | str,
    *,
    bias: ArrayLike | None = None,
    stride: int | Sequence[int] = 1,
    padding: PaddingLike = "valid",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    flip: bool = False,
    fill: str | float = "zero",
    channels: str | None = None,
    dtype: Any = None,
    method: str = "auto",
    threads: int | None = None,
) -> Array:
    """The cross-correlation of ``x`` with ``weights``: what a convolution layer computes.

    Per axis the result has floor((size + before + after − (dilation·(k − 1) + 1)) / stride) + 1 values.

    Args:
        x: integers, floats or bool. Without ``channels``, 1 to 3 spatial axes, as many as ``weights``; with
            ``"last"``, ([batch,] spatial…, in); with ``"first"``, ([batch,] in, spatial…). A batch may be
            empty. Masked arrays that mask a value are refused: ``x.filled(0)`` says what it counts as.
        weights: (k…), or (k…, in / groups, out) with channels last as in Keras, or (out, in / groups, k…)
            with channels first as in PyTorch. A `Kernel`, or the name of one, keeps its own order,
            ([depth,] rows, columns[, in, out]). Arrays of one or two axes, and Kernels without (in, out),
            filter every channel by itself. Texts such as ``"1/9"`` in lists are exact numbers.
        bias: one value for each map, or one for all. None takes the Kernel's own: that of its file, or of
            the trained layer that its weights belong to.
        stride, dilation: one number, or one for each spatial axis.
        padding: ``valid``, ``same``, ``same-lower``, ``full``, ``AMOUNT:FILL``, a number for all axes, one
            for each, or (before, after) for each.
        groups: the channels are cut in so many groups, each with its own share of the maps.
        flip: turn the kernel by 180°, the convolution of mathematics.
        fill: what lies past the edge, unless ``padding`` says so: ``zero``, a number, ``edge``, ``reflect``,
            ``symmetric`` or ``wrap``.
        dtype: type of the result. None gives float32, and float64 for float64 and for integers of 32 bits
            and more. An integer type rounds to nearest, ties to even, and saturates; NaN becomes 0.
            float64 also makes the sums float64.
        method: ``auto``, or a method's name.
        threads: workers; None for one a processor.

    Returns:
        The feature map, in the layout of ``x``. For integers that 32 bits hold and rational weights it is the
        exact value, correctly rounded to ``dtype``, whatever the method and the threads. Sums beyond 2⁵³
        asked for as floats, and all sums beyond 2⁶², are as good as float64.

    Raises:
        ArgumentError: an argument whose value, type or shape is not allowed, by name.
        KernelError: weights that are no full table of finite numbers, or a name that is none of a kernel.
    """
    given, channels, flip = _source(x), _layout(channels), _truth("flip", flip)
    if not isinstance(groups, (int, np.integer)) or groups < 1:
        raise ArgumentError(f"groups {literal(groups)} is not a whole number from 1")
    array = _narrowed(given)
    filter_, spatial, alike = _filter(weights, bias, flip, channels)
    view, batched = _batched(array, spatial, channels)
    each = alike and groups == 1
    lanes, summed = (view.shape[-1], 1) if each else (1, view.shape[-1])
    _check_groups(summed, filter_, groups)
    asked = as_padding(padding, fill)
    found = geometry(view.shape[1:-1], filter_.kernel[3 - spatial :], stride, asked, dilation)
    target = _target(dtype, given.dtype)
    depth, rows, columns = (Axis(1, 1),) * (3 - spatial) + found.axes
    problem = Problem(
        axes=(depth, rows, columns),
        filter=filter_,
        dtype=array.dtype,
        fill=asked.fill,
        batch=max(view.shape[0], 1),
        channels=summed,
        lanes=max(lanes, 1),
        groups=groups,
        double=target == np.float64,
    )
    if problem.values > LARGEST_RESULT:
        raise ArgumentError(f"the result would have {problem.values} values; allowed: up to {LARGEST_RESULT}")
    plan = choose(problem, method, threads)
    canonical = view.reshape(view.shape[0], *(1,) * (3 - spatial), *view.shape[1:-1], summed, lanes)
    result = _run(plan, canonical, target, channels == "first")
    if channels is None:
        return result[0, ..., 0].reshape(found.output)
    maps = result.shape[1] if channels == "first" else result.shape[-1]
    axes = (*found.output, maps) if channels == "last" else (maps, *found.output)
    return result.reshape((len(result), *axes) if batched else axes)


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
    """The convolution of one image (rows, columns) with one kernel (rows, columns).

    Args:
        stride, padding, dilation, fill, flip: as for `conv`.

    Returns:
        Without padding, (R, C) with (k, l) gives (R − k + 1, C − l + 1): the dot product of the kernel with
        every window. ``flip=False`` is the cross-correlation of deep learning; ``flip=True`` inverts the
        kernel as (f*g)(i,j) = Σa Σb f(a,b) g(i−a, j−b) does.

    Raises:
        ArgumentError: either has not two axes, the kernel is larger than the padded image, or another
            argument is not allowed.
        KernelError: as for `conv`.
    """
    known = _kernel(kernel)
    for name, value in (("image", image), ("kernel", kernel if known is None else np.ones((1, 1)))):
        axes = np.ndim(_asarray(name, value))
        if axes != 2:
            raise ArgumentError(f"{name} has {axes} axes; allowed: 2, (rows, columns)")
    weights = kernel if known is None else known
    return conv(image, weights, stride=stride, padding=padding, dilation=dilation, fill=fill, flip=flip)


def shape(
    size: int | Sequence[int],
    kernel: int | Sequence[int] | Kernel | str,
    *,
    stride: int | Sequence[int] = 1,
    padding: PaddingLike = "valid",
    dilation: int | Sequence[int] = 1,
) -> tuple[int, ...]:
    """The spatial shape of a feature map: ``shape((512, 512), (3, 3), stride=(2, 1))`` is ``(255, 510)``.

    Args:
        size: of 1 to 3 axes, one number for each.
        kernel: its sizes, one number for all axes or one for each; or a `Kernel` or the name of one, whose
            own spatial axes count, as in `conv`.

    Raises:
        ArgumentError: an argument that is not allowed, or a kernel larger than the padded image.
        KernelError: a name that is none of a kernel.
    """
    sizes, known = whole_numbers("size", size), _kernel(kernel)
    if len(sizes) > 3:
        raise ArgumentError(
            f"size has {len(sizes)} axes; allowed: 1 to 3, those that the kernel slides along"
        )
    window = known.window if known else per_axis("kernel", kernel, len(sizes))  # type: ignore[arg-type]
    return geometry(sizes, window, stride, as_padding(padding, "zero"), dilation).output


def as_padding(padding: PaddingLike, fill: str | float) -> Padding:
    """Any accepted form of padding as a `Padding`; ``fill`` serves where the form names none."""
    default = _fill(fill)
    if isinstance(padding, Padding):
        return padding
    if isinstance(padding, str):
        parsed = Padding.parse(padding)
        if ":" in padding and default not in (Fill(), parsed.fill):
            raise ArgumentError(
                f"padding {quoted(padding)} has a fill, and fill={literal(fill)} says another"
            )
        return parsed if ":" in padding else Padding(parsed.amount, default)
    numbers = _asarray("padding", padding).tolist() if isinstance(padding, np.ndarray) else padding
    values = list(numbers) if isinstance(numbers, Sequence) else [numbers]
    pairs = tuple(_pair(value) for value in values)
    if not pairs:
        raise ArgumentError("padding is empty; allowed: one number, or one or a pair for each axis")
    return Padding(pairs, default)


def _kernel(weights: Any) -> Kernel | None:
    """The Kernel that was given or named; None for an array."""
    if isinstance(weights, str):
        return load_kernel(weights)
    return weights if isinstance(weights, Kernel) else None


def _fill(value: Any) -> Fill:
    if not isinstance(value, (str, Real)):
        raise ArgumentError(f"fill {literal(value)} is not a text or a number")
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


def _asarray(name: str, value: Any) -> Array:
    if reason := masked(value):
        raise ArgumentError(f"{name} {reason}")
    try:
        return np.asarray(value)
    except MemoryError:
        raise
    except Exception as error:  # whatever a class of somebody else's raises
        what = "has rows of different lengths" if isinstance(value, (list, tuple)) else "is no array"
        raise ArgumentError(f"{name} {what}") from error


def _layout(channels: Any) -> str | None:
    """None, ``first`` or ``last``."""
    if channels is None:
        return None
    found = _CHANNELS.get(channels) if isinstance(channels, str) else None
    if found is None:
        raise ArgumentError(f"channels {literal(channels)} is not None, 'first' or 'last'")
    return found


def _truth(name: str, value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_)) and not (isinstance(value, int) and value in (0, 1)):
        raise ArgumentError(f"{name} {literal(value)} is not True or False")
    return bool(value)


def _source(x: Any) -> Array:
    array = _asarray("x", x)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise ArgumentError(f"x has type {cut(str(array.dtype), 60)}; allowed: {SOURCES}")
    return array


def _narrowed(array: Array) -> Array:
    """64-bit integers, NumPy's own choice, in the narrowest type that holds their values."""
    if array.dtype.kind not in "iu" or array.dtype.itemsize < 8 or not array.size:
        return array
    found = accumulator(int(array.min()), int(array.max()))
    return array if found is None or found.itemsize == 8 else array.astype(found)


def _filter(weights: Any, bias: Any, flip: bool, channels: str | None) -> tuple[Filter, int, bool]:
    """The weights prepared, how many spatial axes they have, and whether all channels share them."""
    known = _kernel(weights)
    kernel, spatial = (known, len(known.window)) if known else _of_array(weights, channels)
    alike = kernel.weights.ndim == spatial or kernel.combine is not None
    if channels is None and not alike and kernel.tensor_shape[-2:] != (1, 1):
        raise ArgumentError(f"weights have {kernel.weights.ndim} axes; allowed: {_PLAIN_AXES}")
    maps = 1 if kernel.weights.ndim == spatial else kernel.shape[-1]
    added = _bias(bias, maps) if bias is not None or kernel.layer is None else kernel.own_bias
    return Filter.of(kernel, spatial=spatial, flip=flip, bias=added), spatial, alike


def _of_array(weights: Any, channels: str | None) -> tuple[Kernel, int]:
    """An array as a Kernel of (k…), or (k…, in, out) where it has channels, and its spatial axes."""
    raw = _asarray("weights", with_numbers(weights))
    layered = raw.ndim > 2 and channels is not None
    spatial = raw.ndim - 2 if layered else raw.ndim
    if not 1 <= spatial <= 3:
        raise ArgumentError(
            f"weights have {raw.ndim} axes; allowed: {'1 to 5 axes' if channels else _PLAIN_AXES}"
        )
    if layered and channels == "first":
        raw = np.moveaxis(raw, (0, 1), (-1, -2))
    return Kernel(raw), spatial


def _bias(bias: Any, maps: int) -> tuple[Number, ...] | None:
    if bias is None:
        return None
    array = _asarray("bias", bias)
    if array.dtype.kind not in "iubfO" or not all(
        isinstance(value, Real) for value in array.ravel().tolist()
    ):
        raise ArgumentError(f"bias {quoted(bias)} is no number, or one for each map")
    values = array.ravel().tolist()
    if len(values) == 1:
        values *= maps
    if len(values) != maps:
        raise ArgumentError(f"bias has {len(values)} values; allowed: 1, or one for each of {maps} maps")
    if not all(abs(value) <= LARGEST_BIAS for value in values):
        raise ArgumentError(f"bias holds a value that is not a number up to {LARGEST_BIAS:g}")
    return tuple(exact_number(value) for value in values)


def _batched(x: Array, spatial: int, channels: str | None) -> tuple[Array, bool]:
    """``x`` as (batch, spatial…, in), and whether it had a batch axis."""
    if channels is None:
        if x.ndim != spatial:
            raise ArgumentError(
                f"x has {x.ndim} axes, weights have {spatial}; "
                "without channels they have the same number (channels='last' or 'first' for layers)"
            )
        return x[None, ..., None], False
    if x.ndim not in (spatial + 1, spatial + 2):
        raise ArgumentError(
            f"x has {x.ndim} axes; allowed with {spatial} spatial axes and channels: "
            f"{spatial + 1}, or {spatial + 2} with a batch axis"
        )
    batched = x.ndim == spatial + 2
    whole = x if batched else x[None]
    return (np.moveaxis(whole, 1, -1) if channels == "first" else whole), batched


def _check_groups(channels: int, filter_: Filter, groups: int) -> None:
    if channels % groups or filter_.maps % groups:
        raise ArgumentError(
            f"groups {literal(groups)} does not divide {channels} input channels and {filter_.maps} maps"
        )
    if channels // groups != filter_.inputs:
        raise ArgumentError(
            f"weights take {filter_.inputs} input channels; "
            f"x has {channels} in {groups} group{'s' * (groups != 1)}"
        )


def _target(dtype: Any, source: DType) -> DType:
    if dtype is None:
        return result_dtype(source)
    try:
        target: DType = np.dtype(dtype)
    except Exception as error:  # texts are parsed as Python, with its errors
        raise ArgumentError(f"dtype {literal(dtype)} is no number type") from error
    if target.kind not in "iuf" or target.itemsize > 8:
        raise ArgumentError(f"dtype {cut(str(target), 60)} is not an integer or float type of up to 64 bits")
    return target


def _run(plan: Plan, source: Array, target: DType, first: bool) -> Array:
    """(batch, depth, rows, columns, maps or lanes), or with those behind the batch where ``first``."""
    problem, outcome = plan.problem, plan.outcome
    sizes = [axis.output for axis in problem.axes]
    batch, lanes = len(source), source.shape[-1]
    count = outcome.maps * lanes
    result = np.empty((batch, count, *sizes) if first else (batch, *sizes, count), target)
    if not result.size:
        return result
    last = np.moveaxis(result, 1, -1) if first else result

    finishes = [
        Finish(outcome.dtype, *bounds, affine, target, outcome.exact)
        for bounds, affine in zip(outcome.bounds, outcome.affines, strict=True)
    ]
    run(
        plan,
        ArraySource(source),
        lambda: _Writer(last.reshape(*last.shape[:4], outcome.maps, lanes), finishes),
    )
    return result


@frozen(eq=False)
class _Writer:
    """Finishes sums into their place in ``result``, (batch, depth, rows, columns, maps, lanes)."""

    result: Array
    finishes: list[Finish]

    def destination(self, task: StripTask) -> Array | None:
        return self._place(task) if all(finish.idle for finish in self.finishes) else None

    def take(self, task: StripTask, sums: Array) -> None:
        for finish, values, part in zip(self.finishes, sums, self._place(task), strict=True):
            finish(values, part)

    def _place(self, task: StripTask) -> Array:
        """(maps, rows, columns, lanes)."""
        (top, bottom), (left, right) = task.strip.rows, task.strip.columns
        return self.result[task.batch, task.depth, top:bottom, left:right].transpose(2, 0, 1, 3)
