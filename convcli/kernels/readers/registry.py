"""Which module reads which kernel file: one line for each reader, and the one way to open a kernel file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Final, cast

from convcli.core.errors import KernelError, one_line, reading
from convcli.formats.registry import TABLE
from convcli.kernels.bank import KernelSet
from convcli.kernels.kernel import LARGEST_KERNEL, Kernel
from convcli.kernels.readers.added import added_module, added_readers
from convcli.kernels.readers.axis_order import ORDERS, UNKNOWN, WeightsOrder
from convcli.kernels.readers.base import KernelFile, Reader, ReaderModule
from convcli.kernels.readers.members import choose

_TABLES: Final = (".csv", ".tsv", ".txt", ".dat")
_IMAGES: Final = tuple(
    suffix for entry in TABLE for suffix in entry.suffixes if suffix not in (*_TABLES, ".npy")
)

READERS: tuple[Reader, ...] = (
    Reader("yaml_document", (".yaml", ".yml"), by_content=True, several=True, in_folders=True),
    Reader("json_document", (".json",), by_content=True, several=True, in_folders=True),
    Reader(
        "npy",
        (".npy",),
        by_content=True,
        takes_member=True,
        in_folders=True,
        largest=LARGEST_KERNEL * 8 + 1024,  # of float64, with the header
    ),
    Reader("npz", (".npz",), takes_member=True),
    Reader("magick", _TABLES, by_content=True, in_folders=True),
    Reader("table", _TABLES, by_content=True, in_folders=True),  # takes all other text, so it comes last
    Reader("vips", (".mat",), in_folders=True),
    Reader("models.safetensors", (".safetensors",), takes_member=True),
    Reader("models.onnx", (".onnx",), takes_member=True),
    Reader("models.keras", (".keras", ".h5", ".hdf5"), takes_member=True),
    Reader("template", _IMAGES, takes_member=True),
)
"""The first reader that claims a file's suffix, and recognizes it where several do, reads the file."""

_TORCH_ADVICE: Final = (
    "PyTorch files can contain code, which convcli does not run; in Python, export the weights with "
    "safetensors.torch.save_file(model.state_dict(), 'm.safetensors') or torch.onnx.export(...)"
)
_PICKLE_ADVICE: Final = (
    "pickles can contain code, which convcli does not run; in Python, save the weights with "
    "numpy.save('k.npy', weights)"
)
_TENSORFLOW_ADVICE: Final = "TensorFlow graphs are not supported; in Python, use model.save('m.keras')"
_EXPORT_ADVICE: Final = {
    ".pt": _TORCH_ADVICE,
    ".pth": _TORCH_ADVICE,
    ".ckpt": _TORCH_ADVICE,
    ".pkl": _PICKLE_ADVICE,
    ".pickle": _PICKLE_ADVICE,
    ".joblib": _PICKLE_ADVICE,
    ".pb": _TENSORFLOW_ADVICE,
    ".tflite": _TENSORFLOW_ADVICE,
}
"""Files of weights that no reader takes, and how to export theirs."""


def check_foreign(text: str) -> None:
    """Refuse ``FILE`` or ``FILE:MEMBER`` of another program, with the way to export its weights.

    Raises:
        KernelError: its suffix is that of PyTorch, of a pickle or of TensorFlow.
    """
    for name in (text, text.partition(":")[0]) if "." in text else ():
        advice = _EXPORT_ADVICE.get(Path(name).suffix.lower())
        if advice is not None:
            raise KernelError(f"{one_line(name)}: {advice}")


def suffixes() -> tuple[str, ...]:
    """The suffixes of all readers, in their order."""
    return tuple(dict.fromkeys(suffix for reader in READERS for suffix in reader.suffixes))


def folder_suffixes() -> frozenset[str]:
    """The suffixes of files that folders of presets are searched for."""
    return frozenset(suffix for reader in READERS if reader.in_folders for suffix in reader.suffixes)


_HAS_SUFFIX: Final = re.compile(r"(\.[a-zA-Z]\w*)(?=:|@|$)")
"""Whether a text may name a file, unlike ``gaussian:1.5``."""

_LEGACY: Final = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"
"""What files of PyTorch before 1.6 begin with: a pickle of a long number."""


def _check_content(file: KernelFile) -> None:
    """Refuse a file of PyTorch under any name, with the way to export its weights.

    Raises:
        KernelError: it begins as one, or is an archive with a pickle.
    """
    if not file.path.is_file():
        return  # a pipe is read once
    with file.path.open("rb") as stream:
        start = stream.read(len(_LEGACY))
    is_torch = start == _LEGACY
    if start.startswith(b"PK"):
        import zipfile  # imported only for archives: it takes a few milliseconds

        try:
            with zipfile.ZipFile(file.path) as archive:
                is_torch = any(name.rpartition("/")[2] == "data.pkl" for name in archive.namelist())
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
            return  # the reader says what is wrong
    if is_torch:
        raise KernelError(f"{file.place}: {_TORCH_ADVICE}")


_FILES_READ: Final = ContextVar[list[str] | None]("kernel files", default=None)


@contextmanager
def recorded() -> Iterator[list[str]]:
    """The names of the files that kernels are read from while the context is open."""
    names: list[str] = []
    token = _FILES_READ.set(names)
    try:
        yield names
    finally:
        _FILES_READ.reset(token)


def note(path: Path) -> None:
    """Record that a kernel is read from this file."""
    if (names := _FILES_READ.get()) is not None:
        names.append(str(path))


def split(text: str) -> tuple[Path, str | None] | None:
    """``FILE`` or ``FILE:MEMBER`` as a path and a member; None if ``text`` does not name a kernel file."""
    if "." not in text:
        return None
    known = suffixes()
    is_file_name = text.lower().endswith(known)
    if is_file_name and exists(text):
        return Path(text), None
    match = _with_member(known).fullmatch(text)
    if match is None and not is_file_name and (named := _HAS_SUFFIX.search(text)):
        known = tuple(suffix for reader in added_readers(named[1]) for suffix in reader.suffixes)
        match = _with_member(known).fullmatch(text) if known else None
        is_file_name = bool(known) and text.lower().endswith(known)
    if match:
        return Path(match["path"]), match["member"]
    return (Path(text), None) if is_file_name else None


@cache
def _with_member(known: tuple[str, ...]) -> re.Pattern[str]:
    suffix = "|".join(map(re.escape, known))
    orders = "|".join(ORDERS)
    member = rf"(?::|@(?=(?:{orders})$))(?P<member>.+)"
    return re.compile(rf"(?P<path>.*?(?:{suffix})){member}", re.IGNORECASE | re.DOTALL)


def exists(text: str) -> bool:
    """Whether a file of this name exists; False for texts that cannot be file names."""
    try:
        return Path(text).exists()
    except (OSError, ValueError):
        return False


def read(path: Path, member: str | None = None, order: WeightsOrder = UNKNOWN) -> Kernel | KernelSet:
    """The kernel of a file, or its kernel of that name.

    Args:
        order: what is known of the order of weights of four axes.

    Raises:
        KernelError: the file cannot be read or contains no such kernel; with file, line and column if known.
    """
    note(path)
    file, readers = _opened(path, order)
    with reading(file.place):
        file.check()
        _check_content(file)
        reader = _chosen(file, readers)
        if reader.several:
            kernels_by_name = _module(reader).kernels(file)
            return kernels_by_name[choose(list(kernels_by_name), member, file.place)]
        if member is not None and not reader.takes_member:
            raise KernelError(f"{file.place} contains one kernel; leave out :{one_line(member)}")
        return _module(reader).read(file, member)


def kernels(path: Path) -> dict[str, Kernel | KernelSet]:
    """All kernels of a YAML or JSON file by name; the kernel of another file by the file's name.

    Raises:
        KernelError: as for `read`.
    """
    file, readers = _opened(path)
    with reading(file.place):
        reader = _chosen(file, readers)
        return _module(reader).kernels(file) if reader.several else {path.stem: read(path)}


def _opened(path: Path, order: WeightsOrder = UNKNOWN) -> tuple[KernelFile, list[Reader]]:
    """The file, unread, and the readers that may take it."""
    suffix = path.suffix.lower()
    readers = [reader for reader in READERS if suffix in reader.suffixes]
    if suffix and not readers:
        readers = [reader for reader in added_readers(suffix) if suffix in reader.suffixes]
    if readers:
        return KernelFile(path, max(reader.largest for reader in readers), order=order), readers
    return KernelFile(path, pipes=True, order=order), [reader for reader in READERS if reader.by_content]


def _chosen(file: KernelFile, readers: list[Reader]) -> Reader:
    if len(readers) == 1:
        return readers[0]
    return next(reader for reader in readers if _module(reader).recognizes(file))


def _module(reader: Reader) -> ReaderModule:
    return added_module(reader) or cast(
        "ReaderModule", import_module(f"convcli.kernels.readers.{reader.name}")
    )
