"""Convolution on the command line and in Python.

Names are imported when they are first used: ``import convcli`` and ``convcli --version`` cost nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convcli import dask as dask
    from convcli import regions as regions
    from convcli.api import conv as conv
    from convcli.api import conv2d as conv2d
    from convcli.api import shape as shape
    from convcli.comparison.compare import compare as compare
    from convcli.core.errors import ArgumentError as ArgumentError
    from convcli.core.errors import ConvcliError as ConvcliError
    from convcli.core.errors import KernelError as KernelError
    from convcli.images.animate import animate as animate
    from convcli.images.apply import apply as apply
    from convcli.images.drawings import figure as figure
    from convcli.images.drawings import sheet as sheet
    from convcli.images.explain import explain as explain
    from convcli.images.explore import explore as explore
    from convcli.images.plan import plan as plan
    from convcli.kernels.kernel import Kernel as Kernel
    from convcli.kernels.library import load_kernel as load_kernel

__version__ = "0.1.0"

_HOMES = {
    "conv": "api",
    "conv2d": "api",
    "shape": "api",
    "compare": "comparison.compare",
    "ArgumentError": "core.errors",
    "ConvcliError": "core.errors",
    "KernelError": "core.errors",
    "Kernel": "kernels.kernel",
    "load_kernel": "kernels.library",
    "animate": "images.animate",
    "apply": "images.apply",
    "explain": "images.explain",
    "explore": "images.explore",
    "figure": "images.drawings",
    "plan": "images.plan",
    "sheet": "images.drawings",
}
_MODULES = ("dask", "regions")
__all__ = [  # noqa: RUF022 - in groups
    "ArgumentError", "ConvcliError", "Kernel", "KernelError", "conv", "conv2d", "load_kernel", "shape",
    "animate", "apply", "compare", "explain", "explore", "figure", "plan", "sheet",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"convcli.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'convcli' has no attribute {name!r}")
    value = getattr(import_module(f"convcli.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES, "__version__"])
