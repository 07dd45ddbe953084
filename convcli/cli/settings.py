"""Options as the settings of a run."""

from __future__ import annotations

from typing import Any

from convcli.kernel import Kernel
from convcli.naming import Output
from convcli.task import Settings


def settings_of(given: dict[str, Any], kernel: Kernel, output: Output) -> Settings:
    """What the options that `apply` and `batch` share say of one kernel's results."""
    adjusted, note = _adjusted(kernel, given["scale"], given["bias"])
    names = "stride", "padding", "dilation", "flip", "channels", "mapping", "force", "method", "threads"
    more = "max_pixels", "alpha", "linear", "depth", "strip", "frames"
    same = {name: given[name] for name in (*names, *more)}
    return Settings(kernel=adjusted, note=note, output=output, double=given["precision"] == "double", **same)


def _adjusted(kernel: Kernel, scale: Any, bias: Any) -> tuple[Kernel, str]:
    """The kernel with --scale and --bias, and what a person should know of that."""
    note = ""
    if scale in ("sum", "abs"):
        scaled = kernel.normalised(scale)
        note = "the weights sum to 0, so --scale left them as they are" if scaled is kernel else ""
        kernel = scaled
    elif scale != "none":
        kernel = kernel.scaled(scale)
    return (kernel if bias is None else kernel.biased(bias)), note
