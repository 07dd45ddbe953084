"""The contract of kernel readers, and the open file that each reader is given.

A reader is a module beside this one with

- ``read(file, member) -> Kernel | KernelSet``, the kernel of a `KernelFile`; or, where a file holds several
  kernels by name, ``kernels(file) -> dict[str, Kernel | KernelSet]``;
- ``recognizes(file) -> bool``, where its line in the registry says ``by_content``.

Its line in `convcli.kernels.readers.registry.READERS` states the rest. A reader is imported when the first
such file is read. It never runs code that a file holds, and its `KernelError` begins with ``file.place``;
whatever else it raises is reported as damage. It needs memory in proportion to the file, and limits what it
unpacks. Readers do not import each other: what several need is in ``rows`` (numbers as text), ``nodes`` and
``document`` (keys and values), ``arrays``, ``axis_order``, ``members`` and ``models.base``.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from convcli.core.errors import KernelError, one_line, reading
from convcli.core.frozen import frozen
from convcli.kernels.kernel import TYPED
from convcli.kernels.readers.axis_order import UNKNOWN, WeightsOrder

if TYPE_CHECKING:
    from convcli.kernels.bank import KernelSet
    from convcli.kernels.kernel import Kernel

LARGEST_TEXT: Final = 4 * 2**20
"""Bytes of a kernel file that is text."""


@frozen
class Reader:
    """One line of the registry: which files a module reads.

    Attributes:
        name: the module under ``convcli.kernels.readers``.
        suffixes: lower case, with the dot.
        by_content: whether the module recognizes its files: pipes, files without a known suffix, and files
            whose suffix several readers share.
        several: whether a file holds several kernels by name; the module then has ``kernels``, not ``read``.
        takes_member: whether ``FILE:MEMBER`` means something to ``read``.
        in_folders: whether folders of presets (``--kernel-path``) are searched for such files.
        largest: most bytes that `KernelFile.data` reads.
    """

    name: str
    suffixes: tuple[str, ...]
    by_content: bool = False
    several: bool = False
    takes_member: bool = False
    in_folders: bool = False
    largest: int = LARGEST_TEXT


class ReaderModule(Protocol):
    """What the registry calls in a module; ``kernels`` and ``recognizes`` only if its line says so."""

    def read(self, file: KernelFile, member: str | None) -> Kernel | KernelSet: ...

    def kernels(self, file: KernelFile) -> dict[str, Kernel | KernelSet]: ...

    def recognizes(self, file: KernelFile) -> bool: ...


@frozen(eq=False)
class KernelFile:
    """A kernel file or a pipe; its bytes are read once, and only if a reader asks for them.

    Attributes:
        largest: most bytes that are read.
        pipes: whether it may be a pipe, such as the shell's ``<(…)``.
        order: what is known of the order of weights of four axes.
    """

    path: Path
    largest: int = LARGEST_TEXT
    pipes: bool = False
    order: WeightsOrder = UNKNOWN

    @property
    def place(self) -> str:
        """The file's name in messages."""
        return one_line(str(self.path))

    @property
    def name(self) -> str:
        """The name of a kernel that the file does not name itself."""
        return TYPED if self.pipes and self.path.is_fifo() else self.path.stem

    def check(self) -> None:
        """Raises `KernelError` if there is no such file."""
        if not self.path.is_file() and not (self.pipes and self.path.is_fifo()):
            reason = "is not a file" if self.path.exists() else "no such file"
            raise KernelError(f"{self.place}: {reason}")

    @cached_property
    def data(self) -> bytes:
        """All bytes.

        Raises:
            KernelError: no such file, no permission, or more than ``largest`` bytes.
        """
        with reading(self.place):
            self.check()
            with self.path.open("rb") as file:
                data = file.read(self.largest + 1)
        if len(data) > self.largest:
            raise KernelError(
                f"{self.place}: larger than {self.largest // 2**20} MiB, the limit for its type"
            )
        return data

    @cached_property
    def start(self) -> str:
        """The text for ``recognizes``; bytes that are not text are replaced."""
        return self.data.decode(_encoding(self.data), "replace")

    @cached_property
    def text(self) -> str:
        """The text, from UTF-8, or from UTF-16 with a byte order mark.

        Raises:
            KernelError: with the line of a byte that is not UTF-8, or of a NUL character.
        """
        encoding = _encoding(self.data)
        try:
            text = self.data.decode(encoding)
        except UnicodeDecodeError as error:
            line = self.data[: error.start].count(b"\n") + 1
            byte = f"byte {self.data[error.start]:#04x}"
            raise KernelError(
                f"{self.place}:{line}: {byte} is not {encoding.removesuffix('-sig')} text"
            ) from error
        if "\0" in text:
            line = text[: text.index("\0")].count("\n") + 1
            raise KernelError(f"{self.place}:{line}: holds a NUL character, so it is not text")
        return text


def _encoding(data: bytes) -> str:
    return "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
