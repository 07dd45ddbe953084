"""Number types: their ranges, and the narrowest that holds a sum.

Machine integers wrap around, and wrapping is a ring homomorphism: a sum of products is right in any integer
type that holds its *final* value, whatever the partial sums were. `accumulator` rests on that.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
DType = np.dtype[Any]

_ACCUMULATORS: Final = tuple(
    np.dtype(t) for t in (np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.int64)
)


def span(dtype: DType) -> tuple[int, int]:
    """Lowest and highest value of an integer type or bool."""
    if dtype.kind == "b":
        return 0, 1
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def holds(dtype: DType, low: int, high: int) -> bool:
    """Whether an integer type holds every value from ``low`` to ``high``."""
    least, most = span(dtype)
    return least <= low and high <= most


def accumulator(low: int, high: int) -> DType | None:
    """The narrowest integer type that holds ``low`` to ``high``, or None above 64 bits."""
    return next((dtype for dtype in _ACCUMULATORS if holds(dtype, low, high)), None)
