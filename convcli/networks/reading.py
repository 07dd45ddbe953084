"""Network files by suffix."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Final

from convcli.core.errors import one_line
from convcli.networks.graph import Network, NetworkError

READERS: Final = {".onnx": "onnx", **dict.fromkeys((".keras", ".h5", ".hdf5"), "keras")}
"""The subpackages whose `reader` reads files of each suffix."""


def read_network(path: Path, image: tuple[int, int, int] | None = None) -> Network:
    """The network of a model file for an image.

    Args:
        image: (rows, columns, channels); None for the sizes that the model states, which may be unknown.

    Raises:
        NetworkError: not a model that is read, or one that this image does not fit.
    """
    name = READERS.get(path.suffix.casefold())
    if name is None:
        raise NetworkError(f"{one_line(str(path))}: unknown kind of model; allowed: {', '.join(READERS)}")
    network: Network = import_module(f"convcli.networks.{name}.reader").read(path, image)
    return network
