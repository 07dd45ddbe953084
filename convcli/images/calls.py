"""From the arguments of a call to settings: one kernel, several, or a network."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from convcli.core.errors import ArgumentError
from convcli.formats import opening
from convcli.images.inputs import Image
from convcli.images.keywords import filter_options, kernel_of
from convcli.kernels.kernel import Kernel
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.options import NetworkOptions
from convcli.pipeline.resolving import settings_of, settings_of_kernels
from convcli.pipeline.settings import Settings

ANYWHERE: Final = OutputSpec("./")
"""A folder holds several maps; where results go is said when they are saved."""


def is_several(kernel: Any) -> bool:
    """Whether an argument is a list of kernels: of names and `Kernel` values, not of numbers."""
    kinds = (str, os.PathLike, Kernel)
    return (
        isinstance(kernel, (list, tuple)) and bool(kernel) and all(isinstance(one, kinds) for one in kernel)
    )


def single_settings(image: Image | None, kernel: Any, options: Mapping[str, Any]) -> Settings:
    """The settings of one kernel's results.

    Args:
        image: whose channels decide where weights may be in either order; None if there is none.

    Raises:
        ConvcliError: options that contradict each other, or an unknown kernel.
    """
    filtering = filter_options(options)
    return settings_of(filtering, _loaded(image, kernel, options, filtering.max_pixels), ANYWHERE)


def all_settings(image: Image, kernel: Any, options: Mapping[str, Any]) -> list[Settings]:
    """The settings of each kernel of a list, or of the only one.

    Raises:
        ConvcliError: options that contradict each other, or an unknown kernel.
    """
    if kernel is None:
        raise ArgumentError("missing argument: a kernel, or model=FILE")
    filtering, kernels = filter_options(options), kernel if is_several(kernel) else [kernel]
    loaded = [_loaded(image, one, options, filtering.max_pixels) for one in kernels]
    return settings_of_kernels(filtering, loaded, ANYWHERE)


def network_settings(
    model: str | os.PathLike[str], until: str | None, kernel: Any, options: Mapping[str, Any]
) -> Settings:
    """The settings for the maps of a network's node.

    Raises:
        ConvcliError: options that do not go with networks, or a network that cannot be used.
    """
    from convcli.pipeline.network_settings import settings_of_network

    if kernel is not None:
        raise ArgumentError("model is a whole network and cannot be combined with a kernel")
    return settings_of_network(filter_options(options), NetworkOptions(os.fspath(model), until), ANYWHERE)


def _loaded(image: Image | None, kernel: Any, options: Mapping[str, Any], max_pixels: int | None) -> Kernel:
    def channels() -> tuple[int, ...]:
        if image is None:
            return ()
        header = opening.open_input(image.source, max_pixels)[0].header
        return tuple(dict.fromkeys((header.channels - header.alpha, header.channels)))

    return kernel_of(kernel, options, channels)
