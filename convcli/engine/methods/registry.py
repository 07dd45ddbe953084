"""Every method by name.

A new method is a module of this package that defines ``METHOD``, and one name below. The planner, its listing
and its messages follow from `NAMES`, which is known without importing NumPy; the help of ``--method``, its
completion and the man page are generated from them (``python -m tools.generate``).
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from convcli.engine.methods.base import Method

NAMES: Final[tuple[str, ...]] = (
    "shift",
    "direct",
    "separable",
    "box",
    "toeplitz",
    "im2col",
    "fft",
)
"""In the order in which plans list them; of equal costs the planner takes the first."""

REFERENCE: Final = "shift"
"""The method that never refuses and whose every sum reads the taps of its own window only."""


@cache
def method_named(name: str) -> Method:
    """The method of one of the `NAMES`; its module is imported on first use."""
    method: Method = import_module(f"convcli.engine.methods.{name}").METHOD
    return method


def methods() -> tuple[Method, ...]:
    """All methods, in the order of `NAMES`."""
    return tuple(map(method_named, NAMES))
