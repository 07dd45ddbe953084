"""Arguments of the functions for arrays: checked, and in one form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from numbers import Real
from typing import Any, Final, ParamSpec, TypeVar

import numpy as np

from convcli.core.dtypes import Array, DType, accumulator
from convcli.core.errors import ArgumentError, cut, literal, quoted, suggest
from convcli.core.foreign import in_memory
from convcli.core.frozen import frozen
from convcli.core.numerals import axes_text
from convcli.core.rational import masked
from convcli.engine.arithmetic import result_dtype
from convcli.geometry.axes import whole_numbers
from convcli.geometry.padding import LARGEST_AMOUNT, Fill, Padding
from convcli.geometry.transposed import check_removal

SOURCES: Final = "bool, int8 to int64, uint8 to uint64, float16, float32 or float64"
_CHANNELS: Final = {"last": "last", "first": "first", "channels_last": "last", "channels_first": "first"}
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
PaddingLike = str | int | Sequence[int] | Sequence[tuple[int, int]] | Padding
P = ParamSpec("P")
R = TypeVar("R")


def named(function: Callable[P, R]) -> Callable[P, R]:
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


@frozen(eq=False)
class Options:
    """The keyword arguments of `conv` that do not depend on its arrays, checked; sizes are for `geometry`."""

    stride: int | Sequence[int]
    padding: Padding
    dilation: int | Sequence[int]
    groups: int
    flip: bool
    channels: str | None
    transposed: bool
    target: DType


def input_array(x: Any, name: str = "x") -> Array:
    array = as_array(name, x)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise ArgumentError(f"{name} has type {cut(str(array.dtype), 60)}; allowed: {SOURCES}")
    return array


def narrowed(array: Array) -> Array:
    """64-bit integers, NumPy's default, in the narrowest type that holds their values."""
    if array.dtype.kind not in "iu" or array.dtype.itemsize < 8 or not array.size:
        return array
    narrow = accumulator(int(array.min()), int(array.max()))
    return array if narrow is None or narrow.itemsize == 8 else array.astype(narrow)


def as_padding(padding: PaddingLike, fill: str | float) -> Padding:
    """Any accepted form of padding as a `Padding`; ``fill`` is for forms that name none."""
    default = _fill(fill)
    if isinstance(padding, Padding):
        return padding
    if isinstance(padding, str):
        return _padding_of_text(padding, default, fill)
    numbers = as_array("padding", padding).tolist() if isinstance(padding, np.ndarray) else padding
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


def group_count(groups: Any) -> int:
    if not isinstance(groups, (int, np.integer)) or groups < 1:
        raise ArgumentError(f"groups {literal(groups)} is not a whole number from 1")
    return int(groups)


def check_transposed(options: Options, output_padding: Any) -> None:
    """Refuse what only transposed, or only other convolutions have."""
    if not options.transposed and output_padding is not None:
        raise ArgumentError("output_padding is an argument of transposed convolutions; use transposed=True")
    if options.transposed:
        check_removal(options.padding)


def truth(name: str, value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_)) and not (isinstance(value, int) and value in (0, 1)):
        raise ArgumentError(f"{name} {literal(value)} is not True or False")
    return bool(value)


def channel_order(channels: Any) -> str | None:
    """None, ``first`` or ``last``."""
    if channels is None:
        return None
    order = _CHANNELS.get(channels) if isinstance(channels, str) else None
    if order is None:
        raise ArgumentError(f"channels {literal(channels)} is not None, 'first' or 'last'")
    return order


def result_type(dtype: Any, source: DType) -> DType:
    if dtype is None:
        return result_dtype(source)
    try:
        target: DType = np.dtype(dtype)
    except Exception as error:  # strings are parsed as Python, with its errors
        raise ArgumentError(f"dtype {literal(dtype)} is not a number type") from error
    if target.kind not in "iuf" or target.itemsize > 8:
        raise ArgumentError(f"dtype {cut(str(target), 60)} is not an integer or float type of up to 64 bits")
    return target


def as_array(name: str, value: Any) -> Array:
    if reason := masked(value):
        raise ArgumentError(f"{name} {reason}")
    try:
        return in_memory(value)
    except MemoryError:
        raise
    except Exception as error:  # any error that a foreign class raises
        problem = "has rows of different lengths" if isinstance(value, (list, tuple)) else "is not an array"
        raise ArgumentError(f"{name} {problem}") from error


def check_two_axes(name: str, value: Any) -> None:
    axes = as_array(name, value).ndim
    if axes != 2:
        color = "; conv(image, kernel, channels='last') filters each channel of a color image"
        hint = color if name == "image" and axes == 3 else ""
        raise ArgumentError(f"{name} has {axes_text(axes)}; allowed: 2, (rows, columns){hint}")
