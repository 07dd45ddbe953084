"""Functions whose last bits depend on the processor: those of NumPy that are computed by vector instructions.

Sums, products and square roots are rounded alike everywhere. Powers and angles, which linear light and the
directions of gradients need, are not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from convcli.core.errors import cut

if TYPE_CHECKING:
    from convcli.core.dtypes import Array

_COUNT: Final = 4099  # values; not a multiple of what a vector holds
_DIGITS: Final = 12
_POWERS: Final = 2.4, 1 / 2.4
_ADVICE: Final = (
    "linear light and directions would depend on the worker; use workers with processors of one kind"
)


@lru_cache(1)
def results() -> str:
    """What distinguishes the results of the functions in this process from those on other processors."""
    import numpy as np

    digest = hashlib.sha256()
    for kind in (np.float32, np.float64):
        values: Array = (np.arange(1, _COUNT + 1) / _COUNT).astype(kind)
        found = [*(values**power for power in _POWERS), np.exp(-8 * values)]
        found += [np.arctan2(values, values[::-1]), np.hypot(values, values[::-1])]
        for each in found:
            digest.update(each.astype(f"<f{each.itemsize}").tobytes())
    return digest.hexdigest()[:_DIGITS]


def difference(by_worker: Mapping[str, str]) -> str:
    """In what workers differ, or nothing.

    Args:
        by_worker: the `results` of each, by address.
    """
    groups: dict[str, list[str]] = {}
    for address, found in by_worker.items():
        groups.setdefault(found, []).append(address)
    if len(groups) < 2:
        return ""
    one, other, *_ = (addresses[0] for addresses in groups.values())
    return cut(f"workers {one} and {other} compute powers and angles with other last bits: {_ADVICE}", 300)


def fault(expected: str) -> str:
    """Why this worker cannot join those with the expected `results`, or nothing."""
    if not expected or results() == expected:
        return ""
    return f"computes powers and angles with other last bits than the workers before it: {_ADVICE}"
