"""CSV and its relatives: rows of numbers, and any other text."""

from __future__ import annotations

from convcli.kernels.kernel import Kernel
from convcli.kernels.readers.base import KernelFile
from convcli.kernels.readers.rows import parse_table


def recognizes(file: KernelFile) -> bool:
    """Always: what is not a table is refused with the place of the first cell that is not a number."""
    return True


def read(file: KernelFile, member: str | None) -> Kernel:
    """The table as a kernel of (rows, columns).

    Raises:
        KernelError: a cell that is not a number, or rows of different lengths.
    """
    return Kernel(parse_table(file.text, file.place), name=file.name)
