"""Options as the settings of a run."""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource

from convcli.errors import ArgumentError
from convcli.kernel import Kernel
from convcli.kernelbank import combined
from convcli.naming import Output
from convcli.task import Settings


def settings_of(given: dict[str, Any], kernel: Kernel, output: Output) -> Settings:
    """What the options that `apply` and `batch` share say of one kernel's results."""
    given, layered = _layered(given, kernel)
    adjusted, note = _adjusted(given, kernel)
    names = "stride", "padding", "dilation", "flip", "channels", "mapping", "force", "method", "threads"
    more = "max_pixels", "alpha", "linear", "depth", "strip", "frames"
    return Settings(
        kernel=adjusted,
        notes=tuple(text for text in (layered, note) if text),
        stack=given["combine"] == "stack",
        output=output,
        double=given["precision"] == "double",
        **{name: given[name] for name in (*names, *more)},
    )


def _adjusted(given: dict[str, Any], kernel: Kernel) -> tuple[Kernel, str]:
    """The kernel with --combine, --scale and --bias, and what a person should know of that."""
    scale, bias = given["scale"], given["bias"]
    if isinstance(bias, tuple):  # a layer's, one for each map before they are combined
        kernel, bias = kernel.biased(bias), None
    kernel = combined(kernel, given["combine"]) if given["combine"] else kernel
    note = ""
    if scale in ("sum", "abs", "gain"):
        scaled = kernel.per_gain() if scale == "gain" else kernel.normalised(scale)
        reason = "the kernel states no gain" if scale == "gain" else "the weights sum to 0"
        note = f"{reason}, so --scale left them as they are" if scaled is kernel else ""
        kernel = scaled
    elif scale != "none":
        kernel = kernel.scaled(scale)
    return (kernel if bias is None else kernel.biased(bias)), note


def _layered(given: dict[str, Any], kernel: Kernel) -> tuple[dict[str, Any], str]:
    """The options with what the layer of the weights says, where --layer asks for it."""
    layer = kernel.layer
    if layer is None:
        if given["layer"]:
            raise ArgumentError(
                f"kernel {kernel.name} comes from no layer, so --layer has nothing to take over"
            )
        return given, ""
    from convcli.kernelview import layer_text
    from convcli.padding import Padding

    if not given["layer"]:
        return given, f"the weights belong to a layer with {layer_text(layer)}; --layer takes them over"
    if layer.groups != 1:
        raise ArgumentError(
            f"the layer has {layer.groups} groups, which pictures are not filtered by; convcli.conv does"
        )
    said: dict[str, Any] = {"dilation": layer.dilation}
    if layer.padding:
        said |= {"stride": layer.stride, "padding": Padding.parse(layer.padding)}
    if layer.bias:
        said["bias"] = layer.bias
    source = click.get_current_context().get_parameter_source
    said = {key: value for key, value in said.items() if source(key) is ParameterSource.DEFAULT}
    return {**given, **said}, f"as the layer does it: {layer_text(layer)}"
