"""The OpenEXR library, which is an extra: files in memory to planes and back."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import get_ident
from typing import Any, Final

from convcli.core.dtypes import Array
from convcli.core.errors import ImageError, OutputError
from convcli.core.threads import WhileInside

_INSTALL = "an extra package: pip install 'convcli[exr]'"


def decoded(data: bytes) -> dict[str, Array]:
    """The pixels, (rows, columns), of each channel of a file."""
    library = _library()
    options = {"separate_channels": True, "num_threads": 0}
    with _PRINTED, _PRINTED.kept() as printed, library.File(io.BytesIO(data), **options) as file:
        if not printed:
            return {name: channel.pixels for name, channel in file.channels().items()}
    raise ImageError("damaged exr: pixels that cannot be decompressed")


class _Printed(WhileInside):
    """Keeps what the library prints to standard output, which is how it says that pixels are damaged.

    It stands for `sys.stdout` while any thread decodes, and passes on what other threads print.
    """

    def __init__(self) -> None:
        super().__init__()
        self.real: Any = None
        self.texts: dict[int, list[str]] = {}

    def begin(self) -> None:
        self.real, sys.stdout = sys.stdout, self

    def end(self) -> None:
        if sys.stdout is self:  # nobody has set another one in the meantime
            sys.stdout = self.real

    @contextmanager
    def kept(self) -> Iterator[list[str]]:
        """A list that gets what this thread prints."""
        texts = self.texts[get_ident()] = []
        try:
            yield texts
        finally:
            del self.texts[get_ident()]

    def write(self, text: str) -> int:
        texts = self.texts.get(get_ident())
        if texts is None:
            return int(self.real.write(text))
        texts.append(text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


_PRINTED: Final = _Printed()


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
