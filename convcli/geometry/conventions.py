"""How other libraries read padding: their defaults and names, and what they do not support.

Each convention is that of one call. Its names are translated to `Padding`, in which every amount and fill has
one meaning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from convcli.core.errors import ArgumentError, quoted
from convcli.core.frozen import frozen
from convcli.geometry.axes import Axis
from convcli.geometry.padding import AMOUNTS, Fill, Padding, Pair, normal_word
from convcli.geometry.transposed import TransposedAxis

Sizes = Sequence[int]
Explicit = tuple[Pair, ...]


@frozen(eq=False)
class Convention:
    """How one library filters.

    Attributes:
        operation: the call.
        default: its default padding, in the library's notation.
        amounts: its named amounts, each as one of `AMOUNTS` or as a function of the window's extents.
        fills: its names of fills, each as one of `FILLS`.
        fill: its default fill, as one of `FILLS`.
        explicit: how it takes amounts in pixels: empty if it takes any, ``even`` if it takes one per axis,
            ``begins`` if four are those before both axes, then those after; otherwise why it takes none.
        constants: whether any number is a fill.
        rotates: whether it rotates the kernel by 180°.
        pools: whether it has pooling layers.
        pool_stride: the default stride of pools, ``kernel`` (the kernel's size) or ``one``.
        ceiling: whether its pools have a ceil mode, which counts a last window that is cut off.
    """

    operation: str
    default: str
    amounts: Mapping[str, str | Callable[[Sizes], Explicit]]
    fills: Mapping[str, str]
    fill: str = "zero"
    explicit: str = ""
    constants: bool = False
    rotates: bool = False
    pools: bool = True
    pool_stride: str = "kernel"
    ceiling: bool = False


def _anchored(extents: Sizes) -> Explicit:
    """Center at extent // 2: an even window reaches further up and to the left."""
    return tuple((extent // 2, (extent - 1) // 2) for extent in extents)


def _none(extents: Sizes) -> Explicit:
    """No padding, and no output padding either, which "valid" has where the stride exceeds the window."""
    return ((0, 0),) * len(extents)


def _rotated_anchored(extents: Sizes) -> Explicit:
    return tuple((after, before) for before, after in _anchored(extents))


_ZERO: Final = {"zero": "zero", "zeros": "zero", "constant": "zero"}

SCIPY_SIGNAL: Final = Convention(
    "scipy.signal.convolve2d",
    "full",
    {"full": "full", "same": _anchored, "valid": "valid"},
    {"fill": "zero", "zero": "zero", "zeros": "zero", "wrap": "wrap", "symm": "symmetric"},
    explicit="scipy.signal.convolve2d has the modes full, same and valid",
    constants=True,
    rotates=True,
    pools=False,
)
SCIPY_NDIMAGE: Final = Convention(
    "scipy.ndimage.convolve",
    "same:reflect",
    {"same": _rotated_anchored},
    {
        "reflect": "symmetric",
        "grid-mirror": "symmetric",
        "mirror": "reflect",
        "nearest": "edge",
        "constant": "zero",
        "grid-constant": "zero",
        "grid-wrap": "wrap",
    },
    explicit="scipy.ndimage.convolve keeps the image's size",
    rotates=True,
    pools=False,
)
CONVENTIONS: Final[Mapping[str, Convention]] = {
    "keras": Convention(
        "keras.layers.Conv2D",
        "valid",
        {"valid": "valid", "same": "same"},
        _ZERO,
        explicit="keras.layers.Conv2D takes valid and same; put a ZeroPadding2D layer before it",
    ),
    "torch": Convention(
        "torch.nn.Conv2d",
        "0",
        {"valid": "valid", "same": "same"},
        {"zeros": "zero", "zero": "zero", "reflect": "reflect", "replicate": "edge", "circular": "wrap"},
        explicit="even",
        ceiling=True,
    ),
    "onnx": Convention(
        "Conv of ONNX",
        "0",
        {
            "valid": "valid",
            "notset": "valid",
            "same": "same",
            "same-upper": "same",
            "same-lower": "same-lower",
        },
        _ZERO,
        explicit="begins",
        pool_stride="one",
        ceiling=True,
    ),
    "scipy": SCIPY_SIGNAL,
    "opencv": Convention(
        "cv2.filter2D",
        "same:reflect101",
        {"same": _anchored, "valid": "valid"},
        {
            **_ZERO,
            "replicate": "edge",
            "reflect": "symmetric",
            "reflect101": "reflect",
            "reflect-101": "reflect",
            "default": "reflect",
        },
        fill="reflect",
        explicit="cv2.filter2D keeps the image's size; call cv2.copyMakeBorder before it",
        pools=False,
    ),
}

TRANSPOSED: Final[Mapping[str, Convention]] = {
    "keras": Convention(
        "keras.layers.Conv2DTranspose",
        "valid",
        {"valid": "valid", "same": "same"},
        _ZERO,
        explicit="keras.layers.Conv2DTranspose takes valid and same",
    ),
    "torch": Convention("torch.nn.ConvTranspose2d", "0", {}, _ZERO, explicit="even"),
    "onnx": Convention(
        "ConvTranspose of ONNX",
        "0",
        {
            "valid": _none,
            "notset": _none,
            "same": "same",
            "same-upper": "same",
            "same-lower": "same-lower",
        },
        _ZERO,
        explicit="begins",
    ),
}
"""The transposed convolutions of the libraries that have them."""


def convention(like: str, padding: str | None = None, transposed: bool = False) -> Convention:
    """The convention of a library, one of `CONVENTIONS`.

    SciPy has two functions, which are told apart by the names of their fills.

    Raises:
        ArgumentError: the library has no transposed convolution.
    """
    if transposed and like not in TRANSPOSED:
        raise ArgumentError(
            f"{like} has no transposed convolution (--like {like}); allowed: {', '.join(TRANSPOSED)}"
        )
    if transposed:
        return TRANSPOSED[like]
    words = normal_word(padding or "").split(":")
    if like == "scipy" and words[-1] in SCIPY_NDIMAGE.fills:
        return SCIPY_NDIMAGE
    return CONVENTIONS[like]


def padding_like(
    like: str,
    text: str | None,
    kernel: Sizes,
    stride: Sizes,
    dilation: Sizes,
    pool: bool = False,
    transposed: bool = False,
) -> Padding:
    """The padding that a library reads from ``text``, for a window of these sizes; None is its default.

    Raises:
        ArgumentError: a name that the library does not have, or an amount that it does not take.
    """
    library = convention(like, text, transposed)
    word, _, fill = normal_word(library.default if text is None else text).partition(":")
    if text is None and pool:
        word, fill = "valid", ""
    extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    known_amount = library.amounts.get(word)
    if like == "torch" and word == "same" and not transposed and (pool or max(stride) > 1):
        what = "pools" if pool else "a stride above 1"
        half = ",".join(str(extent // 2) for extent in extents)
        raise ArgumentError(f"PyTorch has no padding 'same' for {what}; allowed: numbers, such as {half}")
    if known_amount is None:
        return Padding(_explicit(library, word, text or word), _fill(library, fill))
    amount = known_amount if isinstance(known_amount, str) else known_amount(extents)
    return Padding(amount, _fill(library, fill))


def _explicit(library: Convention, word: str, text: str) -> Explicit:
    known = f"allowed: {', '.join(library.amounts) or 'N or ROWS,COLS'}"
    if word in AMOUNTS or not word[:1].isdigit():
        hint = f"; fills follow a colon, as in same:{word}" if word in library.fills else ""
        raise ArgumentError(f"{library.operation} has no padding {quoted(word)}; {known}{hint}")
    amount = Padding.parse(word).amount
    assert not isinstance(amount, str)
    numbers = len(re.findall(r"\d+", word))
    if library.explicit not in ("even", "begins"):
        raise ArgumentError(f"padding {quoted(text)}: {library.explicit}; {known}")
    if library.explicit == "even" and numbers > 2:
        raise ArgumentError(
            f"padding {quoted(text)}: {library.operation} pads both sides equally; allowed: N or ROWS,COLS"
        )
    if library.explicit == "begins" and numbers == 4:
        (top, left), (bottom, right) = amount
        return (top, bottom), (left, right)
    return amount


def _fill(library: Convention, word: str) -> Fill:
    if not word:
        return Fill.parse(library.fill)
    if word in library.fills:
        return Fill.parse(library.fills[word])
    if library.constants and not word.isalpha():
        return Fill.parse(word)
    known = [*library.fills, *(SCIPY_NDIMAGE.fills if library is SCIPY_SIGNAL else ())]
    more = ", or a number" if library.constants else ""
    raise ArgumentError(
        f"{library.operation} has no padding with {quoted(word)}; allowed: {', '.join(known)}{more}"
    )


def refusal(like: str, kind: str, axes: Sequence[Axis] | Sequence[TransposedAxis], fill: Fill) -> str:
    """Why a library does not support a layer; empty if it does.

    Args:
        kind: ``conv``, ``transposed``, ``depthwise``, ``maxpool`` or ``avgpool``.
        axes: of a transposed convolution, those of the convolution that it transposes.
    """
    library, pool = CONVENTIONS[like], kind.endswith("pool")
    strided, dilated = (max(getattr(axis, name) for axis in axes) > 1 for name in ("stride", "dilation"))
    ceiling = any(isinstance(axis, Axis) and axis.ceiling for axis in axes)
    if pool and not library.pools:
        return f"{library.operation} has no pooling"
    if ceiling and not library.ceiling:
        return "Keras has no ceil mode"
    if like == "keras" and kind in ("conv", "transposed") and strided and dilated:
        return "Keras does not support stride and dilation together"
    if pool and dilated and (like == "keras" or (like == "torch" and kind == "avgpool")):
        return f"{library.operation.split('.')[0]} has no dilation for this pool"
    if like == "torch" and pool and any(max(axis.before, axis.after) > axis.kernel // 2 for axis in axes):
        return "PyTorch pads a pool by at most half of its size"
    most = {"reflect": -1, "wrap": 0}
    if like == "torch" and fill.mode in most:
        short = [axis for axis in axes if max(axis.before, axis.after) > axis.size + most[fill.mode]]
        if short:
            size = short[0].size
            return f"PyTorch pads {size} pixels by at most {size + most[fill.mode]} with this fill"
    return ""
