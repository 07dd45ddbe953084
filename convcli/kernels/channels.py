"""The channel axes of weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from convcli.core.errors import ArgumentError


def transposed_channels(weights: Any, groups: int) -> Any:
    """Weights of a convolution, (k…, out / groups, in), as those of its transpose, (k…, in / groups, out).

    The channels that one of them reads are those that the other one writes.

    Raises:
        ArgumentError: the groups do not divide the channels.
    """
    *window, outputs, inputs = weights.shape
    if inputs % groups:
        raise ArgumentError(f"groups {groups} does not divide the {inputs} input channels of the weights")
    parts = weights.reshape(*window, outputs, groups, inputs // groups)
    return np.moveaxis(parts, -1, -3).swapaxes(-2, -1).reshape(*window, inputs // groups, groups * outputs)
