"""The header of an image that a command names, or of one whose size is typed."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from convcli.core.errors import ArgumentError, ConvcliError, failure_message, quoted
from convcli.core.paths import has_folder
from convcli.files.input import STREAM, Input
from convcli.formats import opening
from convcli.formats.header import Header
from convcli.geometry.axes import LARGEST, parse_sizes
from convcli.kernels.readers.registry import exists


def header_of(size: str) -> Header:
    """The header of an image file, or of an 8-bit image of a typed size: ROWSxCOLUMNS[xCHANNELS].

    Text that looks like a size is one, even if a file has that name: ``./512x512`` is the file.

    Raises:
        ConvcliError: neither a size nor an image.
    """
    if size != STREAM and (re.fullmatch(r"[\d\s,x×X.+-]*", size) or not _names_file(size)):
        if size.isalpha() and "x" not in size.casefold():
            raise ArgumentError(f"{quoted(size)} is neither a size such as 512x512 nor an existing file")
        rows, columns, channels = (*parse_sizes("size", size, (2, 3), "x"), 1)[:3]
        return Header("", rows, columns, channels, np.dtype(np.uint8))
    try:
        with Input.open(size) as file:
            return opening.open_input(file, LARGEST)[0].header
    except (ConvcliError, MemoryError) as error:
        raise ConvcliError(failure_message(size, error)) from error


def _names_file(text: str) -> bool:
    return has_folder(text) or bool(Path(text).suffix) or exists(text)
