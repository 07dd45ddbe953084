"""Convolution of arrays: `conv` for every kind of layer, `conv2d` for one image and one kernel."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from numpy.typing import ArrayLike

from convcli.arrays.arguments import (
    PaddingLike,
    as_padding,
    check_two_axes,
    input_array,
    named,
    narrowed,
    truth,
)
from convcli.arrays.computing import computed
from convcli.arrays.layers import known_kernel
from convcli.arrays.preparing import Request
from convcli.arrays.shapes import Shape
from convcli.core.dtypes import Array
from convcli.core.errors import ArgumentError, quoted
from convcli.core.numerals import axes_text
from convcli.core.system import processors
from convcli.geometry.axes import geometry, per_axis, whole_numbers
from convcli.kernels.kernel import Kernel

_SIZE: Final = re.compile(r"\s*\d+(\s*[,x×]\s*\d+)*\s*")


@named
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
    steady: bool = False,
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
        steady: use only methods whose rounding does not depend on position, so that an array and every part
            of it give the same bytes, also where sums are not exact.
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
    array = input_array(x)
    values = narrowed(array)
    shaped = bias, stride, padding, dilation, groups, flip, fill, channels, transposed, output_padding
    workers = processors() if threads is None else threads
    request = Request.of(array.dtype, weights, layer, (*shaped, dtype, method, steady, workers))
    prepared = request.prepared(values.shape, values.dtype)
    return request.finished(computed(prepared, prepared.layout.applied(values)))


@named
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
    known = known_kernel(kernel)
    check_two_axes("image", image)
    input_array(image, "image")
    if known is None:
        check_two_axes("kernel", kernel)
    elif len(known.shape) > 2 and known.combine is None and known.maps > 1:
        raise ArgumentError(
            f"kernel {quoted(known.name)} has {known.maps} maps, conv2d computes one; "
            "conv(image[..., None], kernel, channels='last') computes all of them"
        )
    weights = kernel if known is None else known
    return conv(image, weights, stride=stride, padding=padding, dilation=dilation, fill=fill, flip=flip)


@named
def shape(
    size: int | Sequence[int],
    kernel: int | Sequence[int] | Kernel | str,
    *,
    stride: int | Sequence[int] = 1,
    padding: PaddingLike = "valid",
    dilation: int | Sequence[int] = 1,
    transposed: bool = False,
    output_padding: int | Sequence[int] | None = None,
) -> Shape:
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
        One number per spatial axis, as a tuple that notebooks show with the formula of each axis.

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
    known = known_kernel(kernel)
    window = known.window if known else per_axis("kernel", kernel, len(sizes))  # type: ignore[arg-type]
    amount, as_transposed = as_padding(padding, "zero"), (truth("transposed", transposed), output_padding)
    found = geometry(sizes, window, stride, amount, dilation, False, *as_transposed)
    return Shape.of(found, str(amount))
