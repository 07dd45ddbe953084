"""Values beyond the edge: for every position of an axis, the index that it is read from.

Fills have NumPy's names. For the image ``a b c d``::

    zero        0 0 | a b c d | 0 0
    edge        a a | a b c d | d d
    reflect     c b | a b c d | c b
    symmetric   b a | a b c d | d c
    wrap        c d | a b c d | a b
    ignore          | a b c d |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from convcli.geometry.axes import Axis
from convcli.geometry.padding import Fill

OUTSIDE: Final = -1
Indices = NDArray[np.intp]


def sources(fill: Fill, size: int, start: int, stop: int, step: int = 1) -> Indices:
    """The indices, 0 to ``size`` − 1, that the positions ``start, start + step, …`` read.

    Positions may lie any distance outside; for a constant fill and ``ignore``, those outside are `OUTSIDE`.
    """
    return sources_at(fill, size, np.arange(start, stop, step, dtype=np.intp))


def sources_at(fill: Fill, size: int, positions: Indices) -> Indices:
    """The indices that ``positions`` read, in any order; see `sources`."""
    inside = (positions >= 0) & (positions < size)
    return np.where(inside, positions, _CONTINUE[fill.mode](positions, size))


def axis_sources(fill: Fill, axis: Axis, positions: Indices) -> Indices:
    """The pixels that ``positions`` of an axis read; between pixels that lie apart is `OUTSIDE`, for 0."""
    if axis.spread == 1:
        return sources_at(fill, axis.size, positions)
    pixels = sources_at(fill, axis.size, positions // axis.spread)
    return np.where(positions % axis.spread == 0, pixels, OUTSIDE)


def _symmetric(positions: Indices, size: int) -> Indices:
    phase = positions % (2 * size)
    return np.minimum(phase, 2 * size - 1 - phase)


def _reflect(positions: Indices, size: int) -> Indices:
    period = max(2 * (size - 1), 1)
    phase = positions % period
    return np.minimum(phase, period - phase) % size


_CONTINUE: Final[dict[str, Callable[[Indices, int], Any]]] = {
    "constant": lambda positions, size: OUTSIDE,
    "ignore": lambda positions, size: OUTSIDE,
    "edge": lambda positions, size: positions.clip(0, size - 1),
    "reflect": _reflect,
    "symmetric": _symmetric,
    "wrap": lambda positions, size: positions % size,
}
