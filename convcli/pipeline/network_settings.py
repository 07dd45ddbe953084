"""Turns options and a network into the settings of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from convcli.core.errors import ArgumentError
from convcli.core.frozen import replace
from convcli.kernels.kernel import Kernel
from convcli.networks.maps import DEFAULT_VALUES, InputValues, NodeMaps
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.options import FilterOptions, NetworkOptions
from convcli.pipeline.resolving import settings_of
from convcli.pipeline.settings import Settings

_ALLOWED: Final = (
    *("explicit", "mapping", "alpha", "normalize", "depth", "colormap", "stack", "frames", "threads"),
    *("quality", "png", "strip", "force", "max_pixels", "max_memory"),
)
"""Options that have a meaning for maps of networks; others are of kernels."""


def settings_of_network(
    options: FilterOptions, network: NetworkOptions, output: OutputSpec | None = None
) -> Settings:
    """The settings for the feature maps of a network's node.

    Raises:
        ArgumentError: an option that has no meaning for a network.
        NetworkError: the network cannot be used, or has no such node.
    """
    fields: tuple[str, ...] = FilterOptions.__match_args__
    for name in fields:
        if name in options.explicit and name not in _ALLOWED:
            raise ArgumentError(
                f"--{name.replace('_', '-')} goes with --kernel and cannot be combined with --model"
            )
    if options.alpha not in (None, "drop"):
        raise ArgumentError(f"--alpha {options.alpha} cannot be combined with --model; use --alpha drop")
    normal = options.normalize
    values = InputValues(normal.text, normal.means, normal.deviations) if normal else DEFAULT_VALUES
    maps = NodeMaps(Path(network.model or ""), network.until, options.threads, values)
    unchanged = Kernel(np.ones((1, 1, 1, maps.maps), np.int64), name=maps.name)
    window = replace(options, padding="valid", groups=maps.maps, alpha=None, normalize=None)
    return replace(settings_of(window, unchanged, output), network=maps)
