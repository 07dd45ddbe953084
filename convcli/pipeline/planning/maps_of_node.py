"""The feature maps of a network's node in the place of an image."""

from __future__ import annotations

import numpy as np

from convcli.core.errors import ArgumentError
from convcli.core.frozen import replace
from convcli.formats.opening import Opened
from convcli.networks.maps import NodeMaps
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.settings import Settings


def node_maps(network: NodeMaps, runs: list[Opened], settings: Settings) -> tuple[list[Opened], Settings]:
    """Images whose pixels are the feature maps of a node, and settings for them.

    By default, maps get the depth of the image, and are stretched if no value is below 0, else signed.

    Raises:
        ArgumentError: the frames of a file differ in size or type.
        NetworkError: an image does not fit the network.
    """
    if len(runs) > 1:
        raise ArgumentError("its frames differ in size or number type; choose one with --frames N")
    return [network.over(run) for run in runs], _with_defaults(network, runs[0].header.dtype, settings)


def _with_defaults(network: NodeMaps, dtype: np.dtype[np.generic], settings: Settings) -> Settings:
    """The settings with a mapping and a depth that suit an image of this type."""
    if dtype.kind == "f" or settings.mapping.kind == "raw":
        return settings
    mapping = settings.mapping
    if mapping.kind == "auto":
        mapping = Mapping("stretch" if network.is_positive else "signed")
    return replace(settings, mapping=mapping, depth=settings.depth or ("8" if dtype.itemsize == 1 else "16"))
