"""Kernels in NumPy's files: ``.npy`` with one array, ``.npz`` with several."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any, Final

import numpy as np
from numpy.lib import format as npy

from convcli.errors import KernelError, one_line, shown, suggest
from convcli.kernel import LARGEST_KERNEL, Kernel

LARGEST_ARRAY: Final = LARGEST_KERNEL * 8 + 1024  # bytes, with the head in front


def parse_npy(data: bytes, place: str, name: str) -> Kernel:
    """The array of a ``.npy`` file: (rows, columns) or (rows, columns, in, out), behind a depth
    for volumes; one axis is a row.

    Raises:
        KernelError: a pickle, no such array, or values that are not finite numbers.
    """
    try:
        array = npy.read_array(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OverflowError, MemoryError, SyntaxError, TypeError, TokenError) as error:
        reason = one_line(str(error).splitlines()[0] if str(error) else type(error).__name__)
        raise KernelError(f"{place}: not an array of NumPy: {reason}") from error
    return from_array(array, place, name)


def from_array(array: Any, place: str, name: str) -> Kernel:
    """The kernel of a numeric array."""
    if array.dtype.kind not in "biuf":
        raise KernelError(f"{place}: holds values of type {shown(array.dtype)}; allowed: numbers")
    if not 1 <= array.ndim <= 5:
        raise KernelError(
            f"{place}: array of shape {array.shape}; allowed: (rows, columns) or (rows, columns, in, out), "
            "with depth first for volumes"
        )
    try:
        return Kernel(np.atleast_2d(array), name=name)
    except KernelError as error:
        raise KernelError(f"{place}: {error}") from error


def parse_npz(path: Path, place: str, member: str | None) -> Kernel:
    """One array of a ``.npz`` file.

    Raises:
        KernelError: not such a file, no array of that name, or one that is too large.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [entry.removesuffix(".npy") for entry in archive.namelist() if entry.endswith(".npy")]
            name = choose(names, member, place)
            entry = archive.getinfo(f"{name}.npy")
            if entry.file_size > LARGEST_ARRAY:
                raise KernelError(f"{place}: {shown(name)} has {entry.file_size} bytes, more than any kernel")
            data = archive.read(entry)
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, EOFError) as error:
        raise KernelError(f"{place}: not an archive of NumPy: {one_line(str(error))}") from error
    return parse_npy(data, f"{place}:{one_line(name)}", name)


def choose(names: Sequence[str], member: str | None, place: str, what: str = "kernel") -> str:
    """The name that ``member`` means; the only one where it is None.

    Raises:
        KernelError: no such name, or several to choose from.
    """
    if member in names:
        assert member is not None
        return member
    if member is not None:
        near = suggest(member, names) or f"; it holds {_listed(names)}"
        raise KernelError(f"{place} holds no {what} {shown(member)}{near}")
    if len(names) == 1:
        return names[0]
    if not names:
        raise KernelError(f"{place} holds no {what}")
    raise KernelError(f"{place} holds {len(names)} {what}s, name one as FILE:NAME: {_listed(names)}")


def _listed(names: Sequence[str], most: int = 8) -> str:
    words = ", ".join(one_line(name) for name in names[:most])
    return f"{words} and {len(names) - most} more" if len(names) > most else words
