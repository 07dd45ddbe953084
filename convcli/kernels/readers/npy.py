"""Kernels in NumPy's files: ``.npy`` with one array, ``.npz`` with several."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Container, Sequence
from pathlib import Path
from tokenize import TokenError
from typing import Any, Final

import numpy as np
from numpy.lib import format as npy

from convcli.core.errors import KernelError, one_line, quoted, suggest
from convcli.kernels.kernel import LARGEST_KERNEL, About, Kernel

LARGEST_ARRAY: Final = LARGEST_KERNEL * 8 + 1024  # bytes, with the head in front
ORDERS: Final = {"hwio": "rows, columns, in, out", "oihw": "out, in, rows, columns"}
"""Of the axes of a layer's weights: as Keras keeps them, and as PyTorch does."""
_WIDEST: Final = 31


def parse_npy(data: bytes, place: str, name: str, order: str | None = None) -> Kernel:
    """The array of a ``.npy`` file: (rows, columns) or (rows, columns, in, out), behind a depth
    for volumes; one axis is a row. ``order`` is one of `ORDERS`.

    Raises:
        KernelError: a pickle, no such array, or values that are not finite numbers.
    """
    try:
        array = npy.read_array(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OverflowError, MemoryError, SyntaxError, TypeError, TokenError) as error:
        reason = one_line(str(error).splitlines()[0] if str(error) else type(error).__name__)
        raise KernelError(f"{place}: not an array of NumPy: {reason}") from error
    return from_array(array, place, name, order)


def from_array(array: Any, place: str, name: str, order: str | None = None) -> Kernel:
    """The kernel of a numeric array."""
    if array.dtype.kind not in "biuf":
        raise KernelError(f"{place}: holds values of type {quoted(array.dtype)}; allowed: numbers")
    if not 1 <= array.ndim <= 5 or (order == "oihw" and array.ndim < 3):
        raise KernelError(
            f"{place}: array of shape {array.shape}; allowed: (rows, columns) or (rows, columns, in, out), "
            "with depth first for volumes"
        )
    notes = () if order else order_note(array.shape, False, place)
    if order == "oihw":
        array = np.moveaxis(array, (0, 1), (-1, -2))
        array = array[None] if array.ndim == 3 else array
    try:
        return Kernel(np.atleast_2d(array), name=name, about=About(notes=notes))
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
            member, order = ordered(member, names)
            name = choose(names, member, place)
            entry = archive.getinfo(f"{name}.npy")
            if entry.file_size > LARGEST_ARRAY:
                raise KernelError(
                    f"{place}: {quoted(name)} has {entry.file_size} bytes; allowed: up to {LARGEST_ARRAY}"
                )
            data = archive.read(entry)
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, EOFError) as error:
        raise KernelError(f"{place}: not an archive of NumPy: {one_line(str(error))}") from error
    return parse_npy(data, f"{place}:{one_line(name)}", name, order)


def ordered(member: str | None, names: Container[str]) -> tuple[str | None, str | None]:
    """``NAME:oihw`` as the name and the order of the axes; either is None where it is not given."""
    if member is None or member in names:
        return member, None
    name, _, order = member.rpartition(":")
    return (name or None, order) if order in ORDERS else (member, None)


def order_note(shape: Sequence[int], first: bool, place: str) -> tuple[str, ...]:
    """What is said of weights of four axes whose window may as well be the other two.

    Args:
        first: whether they are read as (out, in, rows, columns), not as (rows, columns, in, out).
    """
    if len(shape) != 4:
        return ()
    if not _like_a_window(shape[:2] if first else shape[2:]):
        return ()
    taken, other = ("oihw", "hwio") if first else ("hwio", "oihw")
    return (
        f"weights of shape {tuple(shape)} are read as ({ORDERS[taken]}); "
        f"{place}:{other} reads them as ({ORDERS[other]})",
    )


def _like_a_window(sizes: Sequence[int]) -> bool:
    """Whether two axes look like the rows and columns of a kernel: a square, or one odd row or column."""
    least, most = min(sizes), max(sizes)
    return most <= _WIDEST and (least == most or (least == 1 and most % 2 == 1))


def choose(names: Sequence[str], member: str | None, place: str, what: str = "kernel") -> str:
    """The name that ``member`` means; the only one where it is None.

    Raises:
        KernelError: no such name, or several to choose from.
    """
    if member in names:
        assert member is not None
        return member
    if member is not None:
        near = suggest(member, names) or f"; it holds {_listed(names) or f'no {what} at all'}"
        raise KernelError(f"{place} holds no {what} {quoted(member)}{near}")
    if len(names) == 1:
        return names[0]
    if not names:
        raise KernelError(f"{place} holds no {what}")
    raise KernelError(f"{place} holds {len(names)} {what}s, name one as FILE:NAME: {_listed(names)}")


def _listed(names: Sequence[str], most: int = 8) -> str:
    words = ", ".join(one_line(name) for name in names[:most])
    return f"{words} and {len(names) - most} more" if len(names) > most else words
