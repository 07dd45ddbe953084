"""The OpenEXR library, which is an extra: files in memory to planes and back."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from convcli.core.dtypes import Array
from convcli.core.errors import ImageError, OutputError

_INSTALL = "an extra package: pip install 'convcli[exr]'"


def decoded(data: bytes) -> dict[str, Array]:
    """The pixels, (rows, columns), of each channel of a file."""
    library = _library()
    with library.File(io.BytesIO(data), separate_channels=True, num_threads=0) as file:
        return {name: channel.pixels for name, channel in file.channels().items()}


def encoded(planes: Mapping[str, Array], compression: str, top: int) -> bytes:
    """A file of rows from ``top`` on.

    Args:
        planes: the pixels, (rows, columns), of each channel by its name.
        compression: its name.
    """
    import numpy as np

    library = _library()
    rows, columns = next(iter(planes.values())).shape
    window = (np.array([0, top], np.int32), np.array([columns - 1, top + rows - 1], np.int32))
    header = {
        "compression": getattr(library, f"{compression.upper()}_COMPRESSION"),
        "type": library.scanlineimage,
        "dataWindow": window,
        "displayWindow": window,
    }
    file = io.BytesIO()
    library.File(header, dict(planes), num_threads=0).write(file)
    return file.getvalue()


def check_installed() -> None:
    """Refuse to write without the library.

    Raises:
        OutputError: it is not installed.
    """
    try:
        _library()
    except ImageError as error:
        raise OutputError(f"writing exr requires {_INSTALL}") from error


def _library() -> Any:
    try:
        import OpenEXR
    except ImportError as error:
        raise ImageError(f"reading exr requires {_INSTALL}") from error
    return OpenEXR
