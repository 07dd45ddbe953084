"""Axes of transposed convolution: the sizes of the layer that computes the transpose of a convolution.

A convolution is a matrix K; a transposed convolution with the same kernel, stride, padding and dilation is
Kᵀ. Pixel i of the input adds the kernel, times its value, to the output from i·stride − before on. Along an
axis the output has
``(size − 1)·stride − before − after + dilation·(kernel − 1) + 1 + output padding`` values: the formula of
PyTorch and ONNX (Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016).
"""

from __future__ import annotations

from collections.abc import Sequence

from convcli.core.errors import ArgumentError
from convcli.core.frozen import frozen
from convcli.geometry.padding import Fill, Padding, Pair, amount_text


@frozen
class TransposedAxis:
    """One axis of a transposed convolution, in the terms of the convolution that it transposes.

    Attributes:
        before, after: positions removed from the full output.
        output_padding: positions added after the full output.
    """

    size: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0
    output_padding: int = 0

    @property
    def extent(self) -> int:
        """Positions from the first element of the kernel to its last."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def output(self) -> int:
        """Size of the output; 0 if the padding removes all of it."""
        full = (self.size - 1) * self.stride + self.extent + self.output_padding
        return max(full - self.before - self.after, 0)

    def formula(self) -> str:
        """The formula of the output size with numbers: ``(16 − 1)·2 − 1 − 1 + 3 + 1 = 32``."""
        kernel = f"{self.extent}" if self.dilation == 1 else f"{self.dilation}·({self.kernel} − 1) + 1"
        return (
            f"({self.size} − 1)·{self.stride} − {self.before} − {self.after} + {kernel}"
            f" + {self.output_padding} = {self.output}"
        )


def check_removal(padding: Padding) -> None:
    """Refuse padding with a fill: that of a transposed convolution removes pixels.

    Raises:
        ArgumentError: the fill is not zero.
    """
    if padding.fill != Fill():
        advice = f"use {amount_text(padding.amount)}"
        raise ArgumentError(
            f"padding {padding} has the fill {padding.fill}, "
            f"but a transposed convolution removes its padding; {advice}"
        )


def transposed_axes(
    sizes: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    padding: Padding,
    output_padding: Sequence[int] | None,
) -> tuple[TransposedAxis, ...]:
    """The axes of a transposed convolution; one number of each argument per axis.

    Args:
        padding: of the convolution that is transposed. ``same`` and ``valid`` choose sizes as Keras does:
            ``size·stride``, and the full output but at least ``size·stride``. With an output padding, they
            are ``(size − 1)·stride + extent mod 2 + output padding``, and the full output and the padding.
        output_padding: None for none, or as the padding's name says.

    Raises:
        ArgumentError: another number of pairs than of axes.
    """
    bare = [TransposedAxis(*axis) for axis in zip(sizes, kernel, strides, dilations, strict=True)]
    extra = output_padding or (None,) * len(bare)
    if isinstance(padding.amount, str):
        word = padding.amount
        return tuple(_named(word, axis, more) for axis, more in zip(bare, extra, strict=True))
    pairs = padding.pairs(sizes, [axis.extent for axis in bare], strides)
    return tuple(_padded(axis, pair, more or 0) for axis, pair, more in zip(bare, pairs, extra, strict=True))


def _named(word: str, axis: TransposedAxis, more: int | None) -> TransposedAxis:
    """The axis with a named amount of padding.

    Raises:
        ArgumentError: causal padding, which no transposed convolution has.
    """
    if word == "causal":
        raise ArgumentError(
            "transposed convolutions have no padding 'causal'; use valid, same, same-lower, full or numbers"
        )
    short = max(axis.stride - axis.extent, 0)  # positions between kernels that do not touch
    if word == "full":
        return _padded(axis, (axis.extent - 1, axis.extent - 1), more or 0)
    if word == "valid":
        return _padded(axis, (0, 0), short if more is None else more)
    full = (axis.size - 1) * axis.stride + axis.extent
    wanted = axis.size * axis.stride
    if more is not None:
        wanted = (axis.size - 1) * axis.stride + axis.extent % 2 + more
    total = max(full - wanted, 0)
    pair = total // 2, total - total // 2
    return _padded(axis, pair[::-1] if word == "same-lower" else pair, max(wanted - full, 0))


def _padded(axis: TransposedAxis, pair: Pair, more: int) -> TransposedAxis:
    return TransposedAxis(axis.size, axis.kernel, axis.stride, axis.dilation, *pair, more)
