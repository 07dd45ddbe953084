"""What ``--model`` means: a whole network for an image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from convcli.cli.arguments import FilterOptions, NetworkOptions
from convcli.cli.settings import settings_of
from convcli.core.errors import ArgumentError
from convcli.core.frozen import replace
from convcli.core.tables import to_json
from convcli.kernels.kernel import Kernel
from convcli.networks.maps import DEFAULT_VALUES, InputValues, NodeMaps
from convcli.networks.reading import read_network
from convcli.networks.report import as_dict, as_text

if TYPE_CHECKING:
    from convcli.formats.header import Header
    from convcli.pipeline.naming import OutputSpec
    from convcli.pipeline.settings import Settings

_ALLOWED: Final = (
    *("explicit", "mapping", "alpha", "normalize", "depth", "colormap", "stack", "frames", "threads"),
    *("quality", "png", "strip", "force", "max_pixels", "max_memory"),
)
"""Options that have a meaning for maps of networks; others are of kernels."""


def network_report(model: str, header: Header, report: str) -> str:
    """The nodes of a network for an image of that size, without its alpha, as ``text`` or ``json``."""
    image = header.rows, header.columns, header.channels - header.alpha
    network = read_network(Path(model), image)
    return to_json(as_dict(network)) if report == "json" else as_text(network)


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
