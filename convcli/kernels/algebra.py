"""Arithmetic of kernels: compositions, sums and multiples, exact where the kernels are.

Each operation gives the kernel that has the feature map of its parts: ``composed(a, b)`` filters by ``a``,
then by ``b``; ``added(a, b)`` adds both maps. Biases count.
"""

from __future__ import annotations

from fractions import Fraction
from math import lcm, prod
from typing import Any, Final

import numpy as np

from convcli.core.errors import KernelError
from convcli.core.frozen import replace
from convcli.core.full_convolution import INT64, Weights, full_convolution, largest_magnitude, slices
from convcli.core.numerals import short_text
from convcli.core.rational import Number, exact_sum, fitting
from convcli.kernels.kernel import LARGEST_KERNEL, About, Kernel

_MOST_PRODUCTS: Final = 2**31  # of a composition


def composed(first: Kernel, second: Kernel, name: str) -> Kernel:
    """The kernel that filters by ``first``, then by ``second``: the full convolution of their weights.

    Along each axis it has m + n − 1 weights; with ``valid`` padding its maps are those of both, one after the
    other. With other padding the center counts: the composition of two even sizes is odd and is centered at
    its middle, while one after the other they are centered one pixel before it.

    A kernel of one map is composed with each map of a bank; banks of as many maps, map by map.

    Raises:
        KernelError: kernels that do not fit together, combined maps of ``first``, or too many weights.
    """
    if first.combine:
        raise KernelError(
            f"{name}: {first.name} combines its maps by {first.combine}, so nothing can follow it; put it "
            f"last, or use {first.name}:stack"
        )
    _check_banks(first, second, name)
    if max(first.tensor_shape[-2], second.tensor_shape[-2]) > 1 and 1 not in (_cells(first), _cells(second)):
        raise KernelError(
            f"{name}: weights of several input channels can only be composed with one (rows, columns) kernel"
        )
    (left, left_scale), (right, right_scale) = _tensor(first), _tensor(second)
    weights = _convolved(left, right, name)
    added_biases = [
        bias * total
        for bias, total in zip(
            _stretched(first.biases, second), _stretched(_map_sums(second), first), strict=True
        )
    ]
    if second.combine and any(added_biases):
        raise KernelError(
            f"{name}: {first.name} has a bias, which cannot be kept if maps are combined by {second.combine}"
        )
    biases = [bias + more for bias, more in zip(_stretched(second.biases, first), added_biases, strict=True)]
    scale = left_scale * right_scale
    return _result(weights, scale, biases, name, (first, second), "*", _gain_of_composed(first, second))


def added(first: Kernel, second: Kernel, name: str, sign: int = 1) -> Kernel:
    """The kernel whose map is the sum of both, or with ``sign`` −1 their difference.

    The windows are aligned at their centers, the upper left of the middle for even sizes.

    Raises:
        KernelError: kernels that do not fit together, or maps that are combined.
    """
    for kernel in (first, second):
        if kernel.combine:
            raise KernelError(
                f"{name}: {kernel.name} combines its maps by {kernel.combine}, so it cannot be added; "
                f"use {kernel.name}:stack"
            )
    _check_banks(first, second, name)
    (left, left_scale), (right, right_scale) = _tensor(first), _tensor(second)
    left, right, scale = _common_scale(left, left_scale, right, right_scale)
    window = tuple(max(sizes) for sizes in zip(left.shape[:-2], right.shape[:-2], strict=True))
    channels = tuple(max(sizes) for sizes in zip(left.shape[-2:], right.shape[-2:], strict=True))
    weights = np.zeros((*window, *channels), left.dtype)
    for array, factor in ((left, 1), (right, sign)):
        starts = [
            (size - 1) // 2 - (own - 1) // 2 for size, own in zip(window, array.shape[:-2], strict=True)
        ]
        weights[slices(starts, array.shape[:-2])] += array * factor
    biases = [
        one + sign * other
        for one, other in zip(_stretched(first.biases, second), _stretched(second.biases, first), strict=True)
    ]
    return _result(weights, scale, biases, name, (first, second), "+" if sign > 0 else "-")


def multiplied(kernel: Kernel, factor: Fraction, name: str) -> Kernel:
    """The kernel whose map is ``factor`` times the kernel's, bias included.

    Raises:
        KernelError: a negative factor of maps that are combined, or any factor of an index or an angle.
    """
    is_no_magnitude = kernel.combine in ("argmax", "angle")
    if is_no_magnitude or (kernel.combine and factor < 0):
        what = "cannot be multiplied" if is_no_magnitude else "cannot have a negative factor"
        raise KernelError(f"{name}: {kernel.name} combines its maps by {kernel.combine}, so it {what}")
    biases = [bias * factor for bias in kernel.biases]
    about = _about(f"{short_text(factor)} × {kernel.name}", (kernel,), _product(kernel.about.gain, factor))
    members = tuple(f"{short_text(factor)}*{member}" for member in kernel.about.members)
    about = replace(about, members=members)
    return kernel.reshaped(lambda raw: raw, factor, bias=biases, name=name, about=about, layer=None)


def _check_banks(first: Kernel, second: Kernel, name: str) -> None:
    """Refuse kernels of different axes or of different numbers of maps."""
    if first.spatial != second.spatial:
        volume, plane = (first, second) if first.spatial == 3 else (second, first)
        raise KernelError(f"{name}: {volume.name} is a volume, {plane.name} is not; they cannot be combined")
    shapes = first.tensor_shape[-2:], second.tensor_shape[-2:]
    if shapes[0] != shapes[1] and 1 not in (_cells(first), _cells(second)):
        texts = [f"{kernel.name} has {_maps_text(kernel)}" for kernel in (first, second)]
        raise KernelError(f"{name}: {texts[0]}, {texts[1]}; allowed: the same number, or one")


def _maps_text(kernel: Kernel) -> str:
    inputs, maps = kernel.tensor_shape[-2:]
    return f"{maps} maps" + (f" of {inputs} input channels" if inputs > 1 else "")


def _cells(kernel: Kernel) -> int:
    """The number of (rows, columns) planes."""
    return prod(kernel.tensor_shape[-2:])


def _tensor(kernel: Kernel) -> tuple[Weights, Fraction]:
    """Weights of shape ([depth,] rows, columns, in, out), and what they are multiplied by."""
    raw = kernel.exact.numerators if kernel.exact else kernel.weights
    scale = Fraction(1, kernel.exact.denominator) if kernel.exact else Fraction(1)
    return raw.reshape(kernel.tensor_shape), scale


def _common_scale(
    left: Weights, left_scale: Fraction, right: Weights, right_scale: Fraction
) -> tuple[Weights, Weights, Fraction]:
    """Both arrays over one denominator: as integers that their sum cannot overflow, or as floats."""
    if left.dtype.kind != "i" or right.dtype.kind != "i":
        return left * float(left_scale), right * float(right_scale), Fraction(1)
    common = lcm(left_scale.denominator, right_scale.denominator)
    factors = common // left_scale.denominator, common // right_scale.denominator
    largest = sum(
        largest_magnitude(array) * factor for array, factor in zip((left, right), factors, strict=True)
    )
    kind: Any = np.int64 if largest < INT64 else object
    return left.astype(kind) * factors[0], right.astype(kind) * factors[1], Fraction(1, common)


def _convolved(left: Weights, right: Weights, name: str) -> Weights:
    """The full convolution of weights, if it is not too large."""
    few, many = sorted((left, right), key=lambda array: prod(array.shape[:-2]))
    window = tuple(one + other - 1 for one, other in zip(left.shape[:-2], right.shape[:-2], strict=True))
    channels = np.broadcast_shapes(left.shape[-2:], right.shape[-2:])
    size, products = prod(window) * prod(channels), prod(few.shape[:-2]) * many.size * prod(few.shape[-2:])
    if size > LARGEST_KERNEL or products > _MOST_PRODUCTS:
        raise KernelError(f"{name}: too large to compute; filter by one kernel after the other instead")
    return full_convolution(left, right)


def _map_sums(kernel: Kernel) -> list[Number]:
    """The sum of the weights of each map, exact if the kernel is."""
    if kernel.exact is None:
        return list(kernel.map_sums)
    columns = kernel.exact.numerators.reshape(-1, kernel.maps).T
    return [Fraction(exact_sum(column), kernel.exact.denominator) for column in columns]


def _stretched(values: Any, other: Kernel) -> tuple[Any, ...]:
    """A value for each map of a bank, if it is combined with one of these."""
    return tuple(values) * other.maps if len(values) == 1 else tuple(values)


def _gain_of_composed(first: Kernel, second: Kernel) -> Number | None:
    """The gain of a derivative after or before an average, which multiplies slopes by its sum."""
    average, derivative = (first, second) if second.about.gain else (second, first)
    if derivative.about.gain is None or average.about.gain or max(first.maps, second.maps) > 1:
        return None
    return _product(derivative.about.gain, _map_sums(average)[0])


def _product(gain: Number | None, factor: Number) -> Number | None:
    """A gain multiplied; None if it is 0 or out of range."""
    try:
        return fitting(gain * factor) or None if gain else None
    except OverflowError:
        return None


def _result(
    weights: Weights,
    scale: Number,
    biases: list[Number],
    name: str,
    parts: tuple[Kernel, Kernel],
    sign: str,
    gain: Number | None = None,
) -> Kernel:
    """A kernel of the fewest axes that hold these weights."""
    first, second = parts
    if _cells(first) == _cells(second) == 1 and max(len(kernel.shape) for kernel in parts) <= first.spatial:
        weights = weights[..., 0, 0]
    if len(first.shape) == len(second.shape) == 1:
        weights = weights[0]
    word = {"*": "then", "+": "plus", "-": "minus"}[sign]
    about = replace(
        _about(f"{first.name} {word} {second.name}", parts, gain), members=_members(first, second, sign)
    )
    return Kernel(weights, scale=scale, bias=biases, name=name, combine=second.combine, about=about)


def _members(first: Kernel, second: Kernel, sign: str) -> tuple[str, ...]:
    """The names of the maps of a bank."""
    names = [kernel.about.members or (kernel.name,) for kernel in (first, second)]
    count = max(map(len, names))
    if count == 1 or max(first.maps, second.maps) != count:
        return ()
    lists = [own * count if len(own) == 1 else own for own in names]
    return tuple(f"{one}{sign}{other}" for one, other in zip(*lists, strict=True))


def _about(description: str, parts: tuple[Kernel, ...], gain: Number | None) -> About:
    notes = dict.fromkeys(note for kernel in parts for note in kernel.about.notes)
    return About(description, gain=gain, notes=tuple(notes))
