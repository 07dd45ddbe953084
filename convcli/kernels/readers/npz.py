"""An ``.npz`` archive: several arrays of NumPy's, by name."""

from __future__ import annotations

import zipfile
from typing import Final

from convcli.core.errors import KernelError, one_line, quoted
from convcli.core.frozen import replace
from convcli.kernels.kernel import LARGEST_KERNEL, Kernel
from convcli.kernels.readers.arrays import kernel_of_npy
from convcli.kernels.readers.axis_order import split_order
from convcli.kernels.readers.base import KernelFile
from convcli.kernels.readers.members import choose

_LARGEST_ARRAY: Final = LARGEST_KERNEL * 8 + 1024  # bytes of float64, with the header


def read(file: KernelFile, member: str | None) -> Kernel:
    """One array of the archive; ``member`` is ``NAME``, ``NAME:oihw`` or, of a single array, ``oihw``.

    Raises:
        KernelError: not an archive, no array of that name, or one that is too large.
    """
    place = file.place
    try:
        with zipfile.ZipFile(file.path) as archive:
            names = [entry.removesuffix(".npy") for entry in archive.namelist() if entry.endswith(".npy")]
            member, order = split_order(member, names)
            name = choose(names, member, place)
            entry = archive.getinfo(f"{name}.npy")
            if entry.file_size > _LARGEST_ARRAY:
                raise KernelError(
                    f"{place}: {quoted(name)} has {entry.file_size} bytes; allowed: up to {_LARGEST_ARRAY}"
                )
            data = archive.read(entry)
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, EOFError) as error:
        raise KernelError(f"{place}: not a NumPy archive: {one_line(str(error))}") from error
    known = replace(file.order, requested=order or file.order.requested)
    return kernel_of_npy(data, f"{place}:{one_line(name)}", name, known)
