"""Sizes and positions, in integers only: output sizes, strips and the input that they read.

Along one axis a kernel of ``kernel`` elements, ``dilation`` apart, covers
``extent = dilation·(kernel − 1) + 1`` positions, and the output has
``floor((size + before + after − extent) / stride) + 1`` values: the formula of Keras, PyTorch and ONNX
(Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import floor, gcd, prod
from operator import index
from typing import Final

from convcli.core.errors import ArgumentError, literal, quoted
from convcli.core.frozen import frozen, replace
from convcli.core.numerals import axes_text
from convcli.geometry.padding import Padding, Pair
from convcli.geometry.transposed import TransposedAxis, transposed_axes

LARGEST: Final = 2**40
"""Largest size: far above any image, far below the end of machine integers."""

LONGEST_TEXT: Final = 100
"""Characters of sizes as text."""


@frozen
class Axis:
    """One axis of a convolution; all sizes and steps are in pixels.

    A transposed convolution is one with stride 1 over an image whose pixels lie ``spread`` positions apart,
    with zeros between them; there, padding may be negative.
    """

    size: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0
    ceiling: bool = False
    """Whether a last window that is cut off counts, as in pools with a ceil mode."""
    spread: int = 1

    @property
    def extent(self) -> int:
        """Positions from the first element of a window to its last."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def span(self) -> int:
        """Positions from the first pixel to the last."""
        return (self.size - 1) * self.spread + 1

    @property
    def jump(self) -> int | Fraction:
        """Pixels between the windows of neighboring outputs."""
        return _whole(Fraction(self.stride, self.spread))

    @property
    def receptive(self) -> int:
        """Most pixels that a window covers, with those between dilated elements."""
        return (self.extent - 1) // self.spread + 1

    def reading(self, outputs: int) -> int:
        """Most pixels that so many neighboring outputs read together."""
        return min(((outputs - 1) * self.stride + self.extent - 1) // self.spread + 1, self.size)

    @property
    def padded(self) -> int:
        """Positions with padding."""
        return self.span + self.before + self.after

    @property
    def output(self) -> int:
        """Number of windows that fit; 0 if the kernel is larger than the padded axis."""
        return max((self.padded - self.extent) // self.stride + 1 + self.cut_off, 0)

    @property
    def cut_off(self) -> bool:
        """Whether one more window counts: ``ceiling`` is set, and it starts before the padding at the end."""
        next_one = (self.padded - self.extent) // self.stride + 1
        starts = next_one * self.stride < self.span + self.before
        return self.ceiling and (self.padded - self.extent) % self.stride != 0 and starts

    @property
    def remainder(self) -> int:
        """Number of padded positions after the last window."""
        return 0 if self.cut_off else (self.padded - self.extent) % self.stride

    @property
    def uncovered(self) -> int:
        """Number of pixels that no window reads, including those between dilated elements."""
        if self.spread > 1:
            return self.size - self._read_apart()
        return self.size - self._read(self.output, self.kernel, self.before)

    def _read(self, windows: int, cells: int, before: int) -> int:
        """Number of image positions that elements 0 to ``cells`` − 1 of ``windows`` windows read.

        Element i of window o reads o·stride + i·dilation. Each position is counted as often as it is read,
        minus its pairs of neighboring readings: o + dilation / g and i − stride / g, where g is the common
        divisor.
        """
        common = gcd(self.stride, self.dilation)
        steps = self.stride // common, self.dilation // common
        once = self._readings(windows, cells, before)
        again = self._readings(windows - steps[1], cells - steps[0], before - common * prod(steps))
        return once - again

    def _readings(self, windows: int, cells: int, before: int) -> int:
        """Number of (window, element) pairs that lie on the image, which starts at ``before``."""
        box = windows, cells, self.stride, self.dilation
        return _points_up_to(before + self.size - 1, *box) - _points_up_to(before - 1, *box)

    def _read_apart(self) -> int:
        """Number of pixels, ``spread`` positions apart, that windows read.

        Windows are one position apart, or the elements of a window are. Either way, what they read is a
        number of runs of neighboring positions.
        """
        steps = self.dilation, self.kernel, self.output
        if self.stride > 1:
            steps = self.stride, self.output, self.kernel
        (step, runs, length), first = steps, -self.before
        if length >= step:
            return self._pixels(first, first + (runs - 1) * step + length)
        lead = max(-(-(self.before + 1 - length) // step), 0)
        count = min((self.span - 1 - first) // step + 1, runs) - lead
        ends = [first + (lead + run) * step for run in {0, max(count - 1, 0)} if count > 0]
        total = sum(self._pixels(start, start + length) for start in ends)
        inner = first + (lead + 1) * step + self.spread - 1
        numbers = count - 2, self.spread, step
        return total + _floor_sum(*numbers, inner + length) - _floor_sum(*numbers, inner)

    def _pixels(self, first: int, last: int) -> int:
        """Number of pixels at the positions [first, last)."""
        first, last = max(first, 0), min(last, self.span)
        return max(-(-last // self.spread) - -(-first // self.spread), 0)

    def window(self, index: int) -> Pair:
        """The positions [first, last) that output ``index`` reads; negative ones are padding."""
        start = index * self.stride - self.before
        return start, start + self.extent

    def reach(self, outputs: Pair) -> Pair:
        """The positions [first, last) that the outputs [first, last) read together."""
        return self.window(outputs[0])[0], self.window(outputs[1] - 1)[1]

    def folded(self, count: int) -> Axis:
        """The axis with taps moved as close together as ``count`` outputs allow.

        If the dilation exceeds what the outputs span, no tap reads some positions between those of one tap
        and the next; they are left out. Taps keep their phase of the stride; the output size is the same.
        """
        span = (count - 1) * self.stride + 1
        nearest = span + (self.dilation - span) % self.stride
        if nearest >= self.dilation:
            return self
        less = (self.dilation - nearest) * (self.kernel - 1)
        return replace(self, dilation=nearest, after=self.after - less)

    def formula(self) -> str:
        """The formula of the output size with numbers: ``floor((512 + 0 + 0 − 3) / 2) + 1 = 255``."""
        kernel = f"{self.extent}" if self.dilation == 1 else f"({self.dilation}·({self.kernel} − 1) + 1)"
        rounded = "ceil" if self.cut_off else "floor"
        return (
            f"{rounded}(({self.span} + {self.before} + {self.after} − {kernel}) / {self.stride}) + 1"
            f" = {self.output}"
        )


def _points_up_to(limit: int, windows: int, cells: int, stride: int, dilation: int) -> int:
    """The number of pairs 0 ≤ o < windows, 0 ≤ i < cells with o·stride + i·dilation ≤ limit."""
    windows = min(windows, limit // stride + 1)
    if windows <= 0 or cells <= 0:
        return 0
    whole = min(max((limit - (cells - 1) * dilation) // stride + 1, 0), windows)
    first = limit - (windows - 1) * stride
    return whole * cells + windows - whole + _floor_sum(windows - whole, dilation, stride, first)


def _floor_sum(count: int, divisor: int, step: int, first: int) -> int:
    """The sum of floor((first + step·j) / divisor) over 0 ≤ j < count, by Euclid's algorithm."""
    total = 0
    while count > 0:
        total += (step // divisor) * (count * (count - 1) // 2) + (first // divisor) * count
        step, first = step % divisor, first % divisor
        last = step * count + first
        count, first, divisor, step = last // divisor, last % divisor, step, divisor
    return total


def composed(first: Axis, second: Axis) -> Axis:
    """Two axes one after the other, as one: its window is what an output of ``second`` depends on.

    Padding after the end is that of the last window, which may be negative.
    """
    stride, spread = first.stride * second.stride, first.spread * second.spread
    extent = (first.extent - 1) * second.spread + (second.extent - 1) * first.stride + 1
    before = first.before * second.spread + second.before * first.stride
    span = (first.size - 1) * spread + 1
    after = (second.output - 1) * stride + extent - span - before
    return Axis(first.size, extent, stride, 1, before, after, spread=spread)


@frozen
class Field:
    """The receptive field of the values of a chain, along an axis.

    Attributes:
        reach: pixels of the chain's input from the first that a value depends on to the last.
        jump: pixels between the fields of neighboring values; fractions after transposed convolutions.
    """

    reach: int | Fraction = 0
    jump: int | Fraction = 1

    def after(self, axis: Axis) -> Field:
        """The field after one more axis."""
        return Field(self.reach + (axis.receptive - 1) * self.jump, _whole(self.jump * Fraction(axis.jump)))

    @property
    def size(self) -> int:
        """Most pixels that a value depends on, with those in between."""
        return floor(self.reach) + 1


def _whole(number: Fraction) -> int | Fraction:
    """The number, as an integer if it is one."""
    return int(number) if number.denominator == 1 else number


@frozen
class Geometry:
    """The axes of one convolution: (rows, columns) for images, one to three for arrays."""

    axes: tuple[Axis, ...]
    transposed: tuple[TransposedAxis, ...] = ()
    """Of a transposed convolution, its own numbers; ``axes`` describe the convolution that computes it."""

    @property
    def layer(self) -> tuple[Axis, ...] | tuple[TransposedAxis, ...]:
        """The axes with the numbers that were requested."""
        return self.transposed or self.axes

    @property
    def input(self) -> tuple[int, ...]:
        return tuple(axis.size for axis in self.axes)

    @property
    def kernel(self) -> tuple[int, ...]:
        return tuple(axis.kernel for axis in self.axes)

    @property
    def output(self) -> tuple[int, ...]:
        return tuple(axis.output for axis in self.axes)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Padding before and after each axis; of a transposed convolution, what it removes."""
        return tuple((axis.before, axis.after) for axis in self.layer)

    @property
    def uncovered(self) -> int:
        """Number of input pixels that no window reads."""
        total = covered = 1
        for axis in self.axes:
            total *= axis.size
            covered *= axis.size - axis.uncovered
        return total - covered


def geometry(
    sizes: Sequence[int],
    kernel: Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: Padding | None = None,
    dilation: int | Sequence[int] = 1,
    ceiling: bool = False,
    transposed: bool = False,
    output_padding: int | Sequence[int] | None = None,
) -> Geometry:
    """The axes of a convolution.

    Args:
        sizes: of the image in pixels, one per axis.
        kernel: number of elements, one per axis.
        stride: one number, or one per axis.
        padding: None for none.
        dilation: one number, or one per axis.
        ceiling: whether a last window that is cut off counts, as in pools with a ceil mode.
        transposed: whether it is the transpose of the convolution with this kernel, stride and padding.
        output_padding: of a transposed one; see `transposed_axes`.

    Raises:
        ArgumentError: a size, stride or dilation below 1, a wrong number of values, a kernel larger than the
            padded image, or an output padding that is not allowed.
    """
    sizes, kernel = whole_numbers("size", sizes), whole_numbers("kernel", kernel)
    count = len(sizes)
    if not count:
        raise ArgumentError("size has no values; allowed: one per axis")
    if len(kernel) != count:
        raise ArgumentError(f"kernel has {axes_text(len(kernel))}, but the image has {count}")
    _check_range("size", sizes)
    _check_range("kernel", kernel)
    strides = per_axis("stride", stride, count)
    dilations = per_axis("dilation", dilation, count)
    if transposed:
        layer = transposed_axes(
            sizes,
            kernel,
            strides,
            dilations,
            padding or Padding(),
            _extra(output_padding, strides, dilations),
        )
        return _of_transposed(layer)
    if output_padding is not None:
        raise ArgumentError("output padding is an option of transposed convolutions")
    extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
    pairs = (padding or Padding()).pairs(sizes, extents, strides)
    axes = tuple(
        Axis(*axis, *pair, ceiling)
        for axis, pair in zip(zip(sizes, kernel, strides, dilations, strict=True), pairs, strict=True)
    )
    if not all(axis.output for axis in axes):
        window = " × ".join(str(axis.extent) for axis in axes)
        padded = " × ".join(str(axis.padded) for axis in axes)
        raise ArgumentError(
            f"the kernel covers {window}, which is larger than the padded image, {padded}; "
            "use a smaller kernel or dilation, or more padding"
        )
    return Geometry(axes)


def _of_transposed(layer: tuple[TransposedAxis, ...]) -> Geometry:
    """The convolution over an image with zeros between its pixels, by the kernel rotated by 180°."""
    if not all(axis.output for axis in layer):
        full = " × ".join(str(replace(axis, before=0, after=0).output) for axis in layer)
        removed = " × ".join(str(axis.before + axis.after) for axis in layer)
        raise ArgumentError(
            f"the padding removes {removed}, and the full output of the transposed convolution has only "
            f"{full}; use less padding"
        )
    axes = tuple(
        Axis(
            axis.size,
            axis.kernel,
            dilation=axis.dilation,
            before=axis.extent - 1 - axis.before,
            after=axis.extent - 1 - axis.after + axis.output_padding,
            spread=axis.stride,
        )
        for axis in layer
    )
    return Geometry(axes, layer)


def _extra(
    value: int | Sequence[int] | None, strides: Sequence[int], dilations: Sequence[int]
) -> tuple[int, ...] | None:
    """The output padding of each axis: below the stride or the dilation, as a convolution leaves over."""
    if value is None:
        return None
    values = whole_numbers("output padding", value)
    values = values * len(strides) if len(values) == 1 else values
    if len(values) != len(strides):
        raise ArgumentError(f"output padding has {len(values)} values; allowed: 1 or {len(strides)}")
    for number, stride, dilation in zip(values, strides, dilations, strict=True):
        most = max(stride, dilation) - 1
        if not 0 <= number <= most:
            allowed = f"0 to {most}" if most else "0"
            raise ArgumentError(
                f"output padding {literal(number)} is not allowed with stride {stride} "
                f"and dilation {dilation} (allowed: {allowed})"
            )
    return values


def per_axis(name: str, value: int | Sequence[int], count: int) -> tuple[int, ...]:
    """``count`` numbers from one number, which serves all axes, or from one per axis.

    Raises:
        ArgumentError: another number of values, or one that is not from 1 to `LARGEST`.
    """
    values = whole_numbers(name, value)
    if len(values) == 1:
        values *= count
    if len(values) != count:
        allowed = "1" if count == 1 else f"1 or {count}"
        raise ArgumentError(f"{name} has {len(values)} values; allowed: {allowed}")
    _check_range(name, values)
    return values


def of_volume(values: tuple[int, ...]) -> tuple[int, ...]:
    """Three numbers for (depth, rows, columns); one or two are for rows and columns, with 1 for the depth."""
    return values if len(values) == 3 else (1, *(values * 2)[:2])


def whole_numbers(name: str, value: int | Sequence[int]) -> tuple[int, ...]:
    """One or several whole numbers, Python's or NumPy's, as a tuple.

    Raises:
        ArgumentError: anything else.
    """
    if isinstance(value, str):
        raise ArgumentError(
            f"{name} {quoted(value)} is a string; allowed: a number or a tuple, as in {name}=(2, 1)"
        )
    try:
        return (index(value),)  # type: ignore[arg-type]
    except TypeError:
        pass
    try:
        return tuple(map(index, value))  # type: ignore[arg-type]
    except TypeError as error:
        raise ArgumentError(f"{name} {literal(value)} is not a whole number, or one per axis") from error


def _check_range(name: str, values: Sequence[int], least: int = 1) -> None:
    for value in values:
        if not least <= value <= LARGEST:
            raise ArgumentError(f"{name} {literal(value)} is not allowed (allowed: {least} to {LARGEST})")


def parse_sizes(
    name: str, text: str, counts: Sequence[int], separator: str = ",", least: int = 1
) -> tuple[int, ...]:
    """The whole numbers of an option's text; ``2,1`` and ``2x1`` mean the same.

    Args:
        counts: how many there may be.
        separator: between numbers in error messages.
        least: the smallest number that is allowed.

    Raises:
        ArgumentError: other text, or a number that is not from ``least`` to `LARGEST`.
    """
    word = text.strip().casefold().replace("×", "x") if len(text) < LONGEST_TEXT else ""
    found = re.fullmatch(r"-?\d+(?:\s*([,x])\s*-?\d+(?:\s*\1\s*-?\d+)*)?", word)
    numbers = tuple(map(int, re.findall(r"-?\d+", word))) if found else ()
    if len(numbers) not in counts:
        allowed = " or ".join(separator.join("N" * count) for count in counts)
        raise ArgumentError(f"{name} {quoted(text)} is not {allowed} (whole numbers)")
    _check_range(name, numbers, least)
    return numbers


@frozen
class Strip:
    """A rectangle of the output, (first, past the last) on each axis: the unit of work."""

    rows: Pair
    columns: Pair

    @property
    def shape(self) -> Pair:
        return self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]


def strips(rows: Pair, columns: Pair, height: int, width: int) -> Iterator[Strip]:
    """The strips of at most ``height`` × ``width`` outputs that cover ``rows`` × ``columns``, row by row."""
    for top in range(*rows, height):
        for left in range(*columns, width):
            yield Strip((top, min(top + height, rows[1])), (left, min(left + width, columns[1])))
