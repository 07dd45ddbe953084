"""Kernel files: read by suffix, with the place of every mistake.

Numbers are read from their text, so that ``1/9`` and ``1e-3`` are exact.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from pathlib import Path
from typing import Final

from convcli.core.errors import KernelError, one_line, reading
from convcli.core.frozen import replace
from convcli.kernels.bank import KernelSet
from convcli.kernels.kernel import TYPED, Kernel
from convcli.kernels.readers.rows import parse_table

LARGEST_FILE: Final = 4 * 2**20  # bytes of text
TREES: Final = (".yaml", ".yml", ".json")
TABLES: Final = (".csv", ".tsv", ".txt", ".dat")
MODELS: Final = {
    ".safetensors": "safetensors",
    ".onnx": "onnx",
    ".keras": "keras",
    ".h5": "keras",
    ".hdf5": "keras",
}
PICTURES: Final = (
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".webp", ".bmp", ".dib", ".gif",
    ".pnm", ".pbm", ".pgm", ".ppm", ".pam", ".pfm", ".avif", ".heic", ".heif", ".hif",
    ".mkv", ".mp4", ".mov", ".m4v",
)  # fmt: skip
"""Those of every format but NPY; names of kernels are looked at before the formats are imported."""

_YAML: Final = re.compile(r"\s*(#.*\n\s*)*(- \[|[a-z$]+:(\s|$))")
"""How a YAML text of a kernel begins, behind comments: with rows, or with a key."""
SUFFIXES: Final = (*TREES, *TABLES, ".mat", ".npy", ".npz", *MODELS, *PICTURES)
_WITH_NAME: Final = re.compile(
    rf"(?P<path>.*?(?:{'|'.join(re.escape(suffix) for suffix in SUFFIXES)})):(?P<member>.+)",
    re.IGNORECASE | re.DOTALL,
)


_OF_TORCH: Final = (
    "PyTorch's files hold code, which convcli does not run; in Python, "
    "safetensors.torch.save_file(model.state_dict(), 'm.safetensors') or torch.onnx.export(...)"
)
_OF_PICKLE: Final = "pickles hold code, which convcli does not run; in Python, numpy.save('k.npy', weights)"
_OF_TENSORFLOW: Final = "TensorFlow's graphs are not read; in Python, model.save('m.keras')"
FOREIGN: Final = {
    ".pt": _OF_TORCH,
    ".pth": _OF_TORCH,
    ".ckpt": _OF_TORCH,
    ".pkl": _OF_PICKLE,
    ".pickle": _OF_PICKLE,
    ".joblib": _OF_PICKLE,
    ".pb": _OF_TENSORFLOW,
    ".tflite": _OF_TENSORFLOW,
}
"""Files of weights that are not read, and how theirs are exported."""


def check_foreign(text: str) -> None:
    """Refuse ``FILE`` or ``FILE:NAME`` of another program with the way to export its weights.

    Raises:
        KernelError: it has a suffix of `FOREIGN`.
    """
    for name in (text, text.partition(":")[0]):
        advice = FOREIGN.get(Path(name).suffix.lower())
        if advice is not None:
            raise KernelError(f"{one_line(name)}: {advice}")


_SEEN: Final = ContextVar[list[str] | None]("kernel files", default=None)


@contextmanager
def recorded() -> Iterator[list[str]]:
    """The names of the files that kernels are read from meanwhile."""
    seen: list[str] = []
    token = _SEEN.set(seen)
    try:
        yield seen
    finally:
        _SEEN.reset(token)


def note(path: Path) -> None:
    """Say that a kernel is read from this file."""
    if (seen := _SEEN.get()) is not None:
        seen.append(str(path))


def split(text: str) -> tuple[Path, str | None] | None:
    """``FILE`` or ``FILE:NAME`` as a path and a name; None where ``text`` names no kernel file."""
    if text.lower().endswith(SUFFIXES) and exists(text):
        return Path(text), None
    match = _WITH_NAME.fullmatch(text)
    if match:
        return Path(match["path"]), match["member"]
    return (Path(text), None) if text.lower().endswith(SUFFIXES) else None


def exists(text: str) -> bool:
    """Whether a text is the name of a file; one that cannot be is none."""
    try:
        return Path(text).exists()
    except (OSError, ValueError):
        return False


def read(path: Path, member: str | None = None) -> Kernel | KernelSet:
    """The kernel in a file; of several, the one of that name.

    Raises:
        KernelError: with file, line and column, where it cannot be read or is no kernel.
    """
    note(path)
    place = one_line(str(path))
    with reading(place):
        if path.suffix.lower() in TREES:
            from convcli.kernels.readers.npy import choose

            found = kernels(path)
            return found[choose(list(found), member, place)]
        return _reader(path)(path, member)


def kernels(path: Path) -> dict[str, Kernel | KernelSet]:
    """All kernels of a YAML or JSON file by their names; the one of another file by the file's."""
    if path.suffix.lower() not in TREES:
        return {path.stem: read(path)}
    with reading(one_line(str(path))):
        return _of_tree(text_of_file(path), path, path.stem, json=path.suffix.lower() == ".json")


def _of_tree(text: str, path: Path, name: str, json: bool) -> dict[str, Kernel | KernelSet]:
    """The kernels of a JSON or YAML text; only such files pay for their parsers."""
    from convcli.kernels.readers.document import parse

    place = one_line(str(path))
    load = import_module(f"convcli.kernels.readers.{'json' if json else 'yaml'}_nodes").load
    found = parse(load(text, place), place, name)
    return {
        key: replace(each, folder=str(path.parent)) if isinstance(each, KernelSet) else each
        for key, each in found.items()
    }


def _reader(path: Path) -> Callable[[Path, str | None], Kernel | KernelSet]:
    suffix = path.suffix.lower()
    if suffix in MODELS:
        return _modeled(MODELS[suffix])
    readers = {".npy": _npy, ".npz": _npz, ".mat": _mat, **dict.fromkeys(TABLES, _text)}
    return readers.get(suffix, _pictured if suffix in PICTURES else _by_content)


def _modeled(name: str) -> Callable[[Path, str | None], Kernel]:
    def read_model(path: Path, member: str | None) -> Kernel:
        _check(path)
        found = import_module(f"convcli.kernels.readers.models.{name}").read(path, member)
        assert isinstance(found, Kernel)
        return found

    return read_model


def _pictured(path: Path, member: str | None) -> Kernel:
    from convcli.kernels.readers.template import read as read_picture

    _check(path)
    return read_picture(path, member)


def _npz(path: Path, member: str | None) -> Kernel:
    from convcli.kernels.readers.npy import parse_npz

    _check(path)
    return parse_npz(path, one_line(str(path)), member)


def _npy(path: Path, member: str | None) -> Kernel:
    from convcli.kernels.readers.npy import LARGEST_ARRAY, ORDERS, parse_npy

    place = one_line(str(path)) if member in ORDERS else _alone(path, member)
    return parse_npy(data_of_file(path, LARGEST_ARRAY), place, path.stem, member)


def _mat(path: Path, member: str | None) -> Kernel:
    from convcli.kernels.readers.foreign_text import parse_vips

    place = _alone(path, member)
    data = data_of_file(path, LARGEST_FILE)
    if data.startswith(b"MATLAB"):
        raise KernelError(f"{place}: a MATLAB file, not a matrix of libvips; save the kernel as CSV")
    return parse_vips(decoded(data, place), place, path.stem)


def _text(path: Path, member: str | None) -> Kernel:
    place = _alone(path, member)
    return _of_text(text_of_file(path), place, path.stem)


def _of_text(text: str, place: str, name: str) -> Kernel:
    from convcli.kernels.readers.foreign_text import is_imagemagick, parse_imagemagick

    if is_imagemagick(text):
        return parse_imagemagick(text, place, name)
    return Kernel(parse_table(text, place), name=name)


def _by_content(path: Path, member: str | None) -> Kernel | KernelSet:
    """A file without a known suffix, or a pipe such as the shell's ``<(…)``, which is read once."""
    from convcli.kernels.readers.npy import choose, parse_npy

    place, name = one_line(str(path)), TYPED if path.is_fifo() else path.stem
    data = data_of_file(path, LARGEST_FILE, pipes=True)
    if data.startswith(b"\x93NUMPY"):
        return parse_npy(data, place, name, member)
    text = decoded(data, place)
    json = text.lstrip()[:1] in ("{", "[")
    if json or _YAML.match(text):
        found = _of_tree(text, path, name, json)
        return found[choose(list(found), member, place)]
    _alone(path, member)
    return _of_text(text, place, name)


def _alone(path: Path, member: str | None) -> str:
    """The file's place in messages; a file of one kernel has no names in it."""
    place = one_line(str(path))
    if member is not None:
        raise KernelError(f"{place} holds one kernel; leave out :{one_line(member)}")
    return place


def _check(path: Path, pipes: bool = False) -> None:
    if not path.is_file() and not (pipes and path.is_fifo()):
        reason = "is not a file" if path.exists() else "no such file"
        raise KernelError(f"{one_line(str(path))}: {reason}")


def data_of_file(path: Path, most: int, pipes: bool = False) -> bytes:
    """The bytes of a file, or of a pipe where ``pipes``.

    Raises:
        KernelError: no file, no permission, or more than ``most`` bytes.
    """
    place = one_line(str(path))
    with reading(place):
        _check(path, pipes)
        with path.open("rb") as file:
            data = file.read(most + 1)
    if len(data) > most:
        raise KernelError(f"{place}: larger than {most // 2**20} MiB, which no kernel file is")
    return data


def text_of_file(path: Path) -> str:
    """The text of a file in UTF-8, or UTF-16 with its mark."""
    return decoded(data_of_file(path, LARGEST_FILE), one_line(str(path)))


def decoded(data: bytes, place: str) -> str:
    """Text from bytes.

    Raises:
        KernelError: with the line of what is not UTF-8, or is no text.
    """
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise KernelError(
            f"{place}:{line}: byte {data[error.start]:#04x} is not {encoding.removesuffix('-sig')} text"
        ) from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise KernelError(f"{place}:{line}: holds a NUL character, so it is not text")
    return text
