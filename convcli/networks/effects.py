"""The few things that operators do to axes, which say all that receptive fields depend on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

from convcli.core.frozen import frozen


@frozen
class Taps:
    """A window that slides along one axis: tap k of output o reads input o · stride − before + k · dilation.

    With ``up``, the input lies on every ``up``-th place of an axis of zeros, as in a transposed convolution
    or nearest-neighbor enlargement: the place that is read is the input's if ``up`` divides it.
    """

    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    before: int = 0
    up: int = 1


@frozen
class Scaling:
    """Resampling along one axis: output o reads inputs around o · step + first, ``reach`` to each side.

    With ``reach`` 0 it reads the one that is rounded down (nearest neighbor).
    """

    step: Fraction
    first: Fraction
    reach: int = 0


@frozen
class Elementwise:
    """Each value depends on those at the same place of every input, which are broadcast."""


@frozen
class Sliding:
    """Each value depends on a window of the input.

    Attributes:
        axes: what happens along each axis that is not kept as it is.
        mixed: axes whose values are all read.
    """

    axes: Mapping[int, Taps | Scaling]
    mixed: frozenset[int] = frozenset({1})


@frozen
class Mixing:
    """Each value depends on all values along some axes of the input, whose sizes are kept."""

    axes: frozenset[int]


@frozen
class Reducing:
    """Some axes become one value, and stay as axes of size 1 if ``keeps`` is true."""

    axes: frozenset[int]
    keeps: bool


@frozen
class Permuting:
    """Axis i of the result is axis ``order[i]`` of the input."""

    order: tuple[int, ...]


@frozen
class Joining:
    """Each value depends on values anywhere along some axes of any input; other axes are kept."""

    axes: frozenset[int]


@frozen
class Reshaping:
    """The same values in another shape."""


@frozen
class Opaque:
    """An operator that is not known; nothing is said of what its values depend on."""


Effect = Elementwise | Sliding | Mixing | Reducing | Permuting | Joining | Reshaping | Opaque


def transposed_taps(kernel: int, stride: int, dilation: int, before: int) -> Taps:
    """The taps of a transposed convolution that cuts ``before`` values off the start of its result."""
    return Taps(kernel, 1, dilation, (kernel - 1) * dilation - before, up=stride)


def repeated_taps(factor: int) -> Taps:
    """The taps of an enlargement that repeats each value."""
    return Taps(factor, before=factor - 1, up=factor)


def window_text(
    window: Iterable[int], strides: Iterable[int], dilations: Iterable[int], groups: int = 1, up: bool = False
) -> str:
    """``3×3 s2 d2 g32``: the window, its stride, dilation and groups where they are not 1."""
    parts = ["×".join(map(str, window))]
    for letter, numbers in (("s", tuple(strides)), ("d", tuple(dilations)), ("g", (groups,))):
        if max(numbers) > 1:
            mark = "↑" if up and letter == "s" else letter
            parts.append(mark + "×".join(map(str, numbers[:1] if len(set(numbers)) == 1 else numbers)))
    return " ".join(parts)
