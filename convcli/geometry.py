"""Sizes and positions, in integers only: output sizes, strips and the input they need.

Along one axis a kernel of ``kernel`` cells, ``dilation`` apart, covers
``extent = dilation·(kernel − 1) + 1`` positions, and the output has
``floor((size + before + after − extent) / stride) + 1`` values: the formula of Keras, PyTorch and ONNX
(Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from operator import index
from typing import Final

from convcli.errors import ArgumentError, shown
from convcli.padding import Padding, Pair
from convcli.values import frozen

LARGEST: Final = 2**40  # far above any picture, far below where integers of the machine end


@frozen
class Axis:
    """One axis of a convolution: sizes in pixels, stride and dilation in pixels a step."""

    size: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0
    ceiling: bool = False
    """Whether a last window that is cut off counts, as in pools with ``ceil_mode``."""

    @property
    def extent(self) -> int:
        """Positions from a window's first cell to its last."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def padded(self) -> int:
        return self.size + self.before + self.after

    @property
    def output(self) -> int:
        """Windows that fit; 0 where the kernel is larger than the padded axis."""
        return max((self.padded - self.extent) // self.stride + 1 + self.cut_off, 0)

    @property
    def cut_off(self) -> bool:
        """Whether one more window counts: it is asked for, and starts before the padding behind."""
        next_one = (self.padded - self.extent) // self.stride + 1
        starts = next_one * self.stride < self.size + self.before
        return self.ceiling and (self.padded - self.extent) % self.stride != 0 and starts

    @property
    def remainder(self) -> int:
        """Padded positions behind the last window."""
        return 0 if self.cut_off else (self.padded - self.extent) % self.stride

    @property
    def uncovered(self) -> int:
        """Positions of the picture itself that lie in no window."""
        if self.stride <= self.extent:
            return self.size - self._inside(self.reach((0, self.output)))
        first = -(-self.before // self.stride)  # the windows from first to last lie inside whole
        last = min((self.size - self.extent + self.before) // self.stride, self.output - 1)
        whole = max(last - first + 1, 0) * self.extent
        cut = {index for index in (first - 1, last + 1) if 0 <= index < self.output}
        return self.size - whole - sum(self._inside(self.window(index)) for index in cut)

    def _inside(self, span: Pair) -> int:
        """Positions of ``span`` that lie in the picture."""
        return max(min(span[1], self.size) - max(span[0], 0), 0)

    def window(self, index: int) -> Pair:
        """First position and the one past the last that output ``index`` reads; < 0 is padding."""
        start = index * self.stride - self.before
        return start, start + self.extent

    def reach(self, outputs: Pair) -> Pair:
        """The positions that the outputs ``[first, last)`` read together."""
        return self.window(outputs[0])[0], self.window(outputs[1] - 1)[1]

    def formula(self) -> str:
        """The output size with its numbers filled in."""
        kernel = f"{self.extent}" if self.dilation == 1 else f"({self.dilation}·({self.kernel} − 1) + 1)"
        rounded = "ceil" if self.cut_off else "floor"
        return (
            f"{rounded}(({self.size} + {self.before} + {self.after} − {kernel}) / {self.stride}) + 1"
            f" = {self.output}"
        )


@frozen
class Geometry:
    """The axes of one convolution, (rows, columns) for pictures, up to three for arrays."""

    axes: tuple[Axis, ...]

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
        return tuple((axis.before, axis.after) for axis in self.axes)

    @property
    def uncovered(self) -> int:
        """Pixels of the picture that no window covers."""
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
) -> Geometry:
    """The axes of a convolution of a picture of ``sizes`` with a kernel of sizes ``kernel``.

    Raises:
        ArgumentError: a size, stride or dilation below 1, a wrong number of values, or a kernel that
            is larger than the padded picture.
    """
    sizes, kernel = whole_numbers("size", sizes), whole_numbers("kernel", kernel)
    count = len(sizes)
    if not count:
        raise ArgumentError("size has no values; allowed: one for each axis")
    if len(kernel) != count:
        raise ArgumentError(f"kernel has {len(kernel)} axes, the picture has {count}")
    _at_least_one("size", sizes)
    _at_least_one("kernel", kernel)
    strides = per_axis("stride", stride, count)
    dilations = per_axis("dilation", dilation, count)
    extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
    pairs = (padding or Padding()).pairs(sizes, extents, strides)
    axes = tuple(
        Axis(*axis, *pair)
        for axis, pair in zip(zip(sizes, kernel, strides, dilations, strict=True), pairs, strict=True)
    )
    if any(axis.padded < axis.extent for axis in axes):
        window = " × ".join(str(axis.extent) for axis in axes)
        padded = " × ".join(str(axis.padded) for axis in axes)
        raise ArgumentError(
            f"the kernel covers {window}, which is larger than the padded picture, {padded}; "
            "use a smaller kernel or dilation, or more padding"
        )
    return Geometry(axes)


def per_axis(name: str, value: int | Sequence[int], count: int) -> tuple[int, ...]:
    """One number for each of ``count`` axes; a single number serves all of them."""
    values = whole_numbers(name, value)
    if len(values) == 1:
        values *= count
    if len(values) != count:
        raise ArgumentError(f"{name} has {len(values)} values; allowed: 1 or {count}")
    _at_least_one(name, values)
    return values


def whole_numbers(name: str, value: int | Sequence[int]) -> tuple[int, ...]:
    """One whole number or several, Python's or NumPy's, as a tuple.

    Raises:
        ArgumentError: anything else.
    """
    try:
        return (index(value),)  # type: ignore[arg-type]
    except TypeError:
        pass
    try:
        return tuple(map(index, value))  # type: ignore[arg-type]
    except TypeError as error:
        raise ArgumentError(f"{name} {value!r} is not a whole number, or one for each axis") from error


def _at_least_one(name: str, values: Sequence[int]) -> None:
    for value in values:
        if not 1 <= value <= LARGEST:
            raise ArgumentError(f"{name} {value} is not allowed; it is at least 1")


def parse_sizes(name: str, text: str, counts: Sequence[int], separator: str = ",") -> tuple[int, ...]:
    """Whole numbers of an option, as many as one of ``counts``: ``2,1`` or ``512x512``."""
    parts = [part.strip() for part in re.split(f"[{separator}]", text.casefold())] if len(text) < 99 else []
    if len(parts) not in counts or not all(re.fullmatch(r"-?\d{1,12}", part) for part in parts):
        allowed = " or ".join(separator[0].join("N" * count) for count in counts)
        raise ArgumentError(f"{name} {shown(text)} is not {allowed} (whole numbers)")
    numbers = tuple(int(part) for part in parts)
    _at_least_one(name, numbers)
    return numbers


@frozen
class Strip:
    """A rectangle of the output: the unit of work."""

    rows: Pair
    columns: Pair

    @property
    def shape(self) -> Pair:
        return self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]


def strips(rows: Pair, columns: Pair, height: int, width: int) -> Iterator[Strip]:
    """The strips that cut the output's ``rows`` × ``columns``, (first, past the last) each, row by row."""
    for top in range(*rows, height):
        for left in range(*columns, width):
            yield Strip((top, min(top + height, rows[1])), (left, min(left + width, columns[1])))
