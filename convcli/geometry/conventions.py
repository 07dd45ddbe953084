"""What other libraries mean: their defaults, their words for padding, and what they refuse.

Each convention names the call it speaks of. Its words are turned into this project's `Padding`, in which
every amount and fill has one meaning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from convcli.core.errors import ArgumentError, quoted
from convcli.core.frozen import frozen
from convcli.geometry.axes import Axis
from convcli.geometry.padding import AMOUNTS, Fill, Padding, Pair, normal_word

Sizes = Sequence[int]
Explicit = tuple[Pair, ...]


@frozen(eq=False)
class Convention:
    """How one library filters.

    Attributes:
        operation: the call that is meant.
        default: padding where none is given, in the library's words.
        amounts: named amounts that it knows, with how they are to be read: an amount of this project's, or
            a function of the window's extents.
        fills: its words for what lies past the edge, with this project's.
        fill: what lies past the edge where no word says it, in this project's words.
        explicit: what it says to explicit amounts: empty where it takes any, ``even`` where it takes one for
            each axis, ``begins`` where four are those before both axes and then those behind, or else why it
            takes none.
        constants: whether any number can be a fill.
        turned: whether it turns the kernel.
        pools: whether it has pooling layers.
        pool_stride: ``kernel`` or ``one``, a pool's stride where none is given.
        ceiling: whether its pools can count a last window that is cut off.
    """

    operation: str
    default: str
    amounts: Mapping[str, str | Callable[[Sizes], Explicit]]
    fills: Mapping[str, str]
    fill: str = "zero"
    explicit: str = ""
    constants: bool = False
    turned: bool = False
    pools: bool = True
    pool_stride: str = "kernel"
    ceiling: bool = False


def _anchored(extents: Sizes) -> Explicit:
    """The window's center at extent // 2: an even window reaches further up and to the left."""
    return tuple((extent // 2, (extent - 1) // 2) for extent in extents)


def _turned_anchored(extents: Sizes) -> Explicit:
    return tuple((after, before) for before, after in _anchored(extents))


_ZERO: Final = {"zero": "zero", "zeros": "zero", "constant": "zero"}

SCIPY_SIGNAL: Final = Convention(
    "scipy.signal.convolve2d",
    "full",
    {"full": "full", "same": _anchored, "valid": "valid"},
    {"fill": "zero", "zero": "zero", "zeros": "zero", "wrap": "wrap", "symm": "symmetric"},
    explicit="scipy.signal.convolve2d has the modes full, same and valid",
    constants=True,
    turned=True,
    pools=False,
)
SCIPY_NDIMAGE: Final = Convention(
    "scipy.ndimage.convolve",
    "same:reflect",
    {"same": _turned_anchored},
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
    turned=True,
    pools=False,
)
CONVENTIONS: Final[Mapping[str, Convention]] = {
    "keras": Convention(
        "keras.layers.Conv2D",
        "valid",
        {"valid": "valid", "same": "same"},
        _ZERO,
        explicit="keras.layers.Conv2D takes valid and same; ZeroPadding2D stands in front of it",
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
        explicit="cv2.filter2D keeps the image's size; cv2.copyMakeBorder stands in front of it",
        pools=False,
    ),
}


def convention(like: str, padding: str | None = None) -> Convention:
    """The convention of a library; SciPy has two functions, which differ in their words for fills."""
    words = normal_word(padding or "").split(":")
    if like == "scipy" and words[-1] in SCIPY_NDIMAGE.fills:
        return SCIPY_NDIMAGE
    return CONVENTIONS[like]


def padding_like(
    like: str, text: str | None, kernel: Sizes, stride: Sizes, dilation: Sizes, pool: bool = False
) -> Padding:
    """Padding as a library reads it, for a window of these sizes; None is its default.

    Raises:
        ArgumentError: a word that it has not, or an amount that it refuses; with what it takes.
    """
    said = convention(like, text)
    word, _, fill = normal_word(said.default if text is None else text).partition(":")
    if text is None and pool:
        word, fill = "valid", ""
    extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    found = said.amounts.get(word)
    if like == "torch" and word == "same" and (pool or max(stride) > 1):
        what = "pools" if pool else "a stride above 1"
        half = ",".join(str(extent // 2) for extent in extents)
        raise ArgumentError(f"PyTorch has no padding 'same' for {what}; allowed: numbers, such as {half}")
    if found is None:
        return Padding(_explicit(said, word, text or word), _fill(said, fill))
    amount = found if isinstance(found, str) else found(extents)
    return Padding(amount, _fill(said, fill))


def _explicit(said: Convention, word: str, text: str) -> Explicit:
    known = f"allowed: {', '.join(said.amounts)}"
    if word in AMOUNTS or not word[:1].isdigit():
        hint = f"; fills stand behind a colon, as in same:{word}" if word in said.fills else ""
        raise ArgumentError(f"{said.operation} has no padding {quoted(word)}; {known}{hint}")
    amount = Padding.parse(word).amount
    assert not isinstance(amount, str)
    numbers = len(re.findall(r"\d+", word))
    if said.explicit not in ("even", "begins"):
        raise ArgumentError(f"padding {quoted(text)}: {said.explicit}; {known}")
    if said.explicit == "even" and numbers > 2:
        raise ArgumentError(
            f"padding {quoted(text)}: {said.operation} pads both sides alike; allowed: N or ROWS,COLS"
        )
    if said.explicit == "begins" and numbers == 4:
        (top, left), (bottom, right) = amount
        return (top, bottom), (left, right)
    return amount


def _fill(said: Convention, word: str) -> Fill:
    if not word:
        return Fill.parse(said.fill)
    if word in said.fills:
        return Fill.parse(said.fills[word])
    if said.constants and not word.isalpha():
        return Fill.parse(word)
    known = [*said.fills, *(SCIPY_NDIMAGE.fills if said is SCIPY_SIGNAL else ())]
    more = ", or a number" if said.constants else ""
    raise ArgumentError(
        f"{said.operation} has no padding with {quoted(word)}; allowed: {', '.join(known)}{more}"
    )


def refusal(like: str, kind: str, axes: Sequence[Axis], fill: Fill) -> str:
    """Why a library would not take a layer whose sizes are known; empty where it would.

    Args:
        kind: ``conv``, ``depthwise``, ``maxpool`` or ``avgpool``.
    """
    said, pool = CONVENTIONS[like], kind.endswith("pool")
    strided, dilated = (max(getattr(axis, name) for axis in axes) > 1 for name in ("stride", "dilation"))
    ceiling = any(axis.ceiling for axis in axes)
    if pool and not said.pools:
        return f"{said.operation} is no pool"
    if ceiling and not said.ceiling:
        return "Keras has no ceil mode"
    if like == "keras" and kind == "conv" and strided and dilated:
        return "Keras refuses strides together with dilation"
    if pool and dilated and (like == "keras" or (like == "torch" and kind == "avgpool")):
        return f"{said.operation.split('.')[0]} has no dilation in this pool"
    if like == "torch" and pool and any(max(axis.before, axis.after) > axis.kernel // 2 for axis in axes):
        return "PyTorch pads a pool by half of its size at most"
    most = {"reflect": -1, "wrap": 0}
    if like == "torch" and fill.mode in most:
        short = [axis for axis in axes if max(axis.before, axis.after) > axis.size + most[fill.mode]]
        if short:
            return f"PyTorch continues {short[0].size} pixels by {short[0].size + most[fill.mode]} at most"
    return ""
