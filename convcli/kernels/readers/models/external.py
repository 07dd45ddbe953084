"""The bytes of a tensor that an ONNX model stores in a file beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from convcli.core.errors import KernelError, quoted


def external_file(folder: Path, location: str, where: str) -> Path:
    """The file of the model's folder at ``location``; arguments and errors as in `external_bytes`."""
    path = folder / location
    try:
        is_inside = bool(location) and path.resolve().is_relative_to(folder.resolve())
        is_file = is_inside and path.is_file()
    except (OSError, ValueError, RuntimeError):  # a name that the system refuses, or a circle of links
        is_inside = is_file = False
    if not is_inside:
        raise KernelError(
            f"{where}: stored in {quoted(location)}; only files in the model's folder are read, "
            "so move that file beside the model and save it with its new location"
        )
    if not is_file:
        raise KernelError(
            f"{where}: stored in {quoted(location)}, and there is no such file beside the model"
        )
    return path


def external_bytes(folder: Path, entries: Mapping[str, str], size: int, where: str) -> bytes:
    """The ``size`` bytes that ``entries`` locate in a file of the model's folder.

    Args:
        folder: of the model; links are followed before a file counts as one of it.
        entries: ``location``, a path relative to the folder; ``offset`` and ``length`` in bytes, if stated.
        where: the tensor in messages.

    Raises:
        KernelError: no such file, a path out of the folder, or other bytes than the tensor's.
    """
    location = entries.get("location", "")
    path = external_file(folder, location, where)
    offset, length = (
        _number(entries, key, default, where) for key, default in (("offset", 0), ("length", size))
    )
    if length != size:
        raise KernelError(f"{where}: damaged: {length} bytes in {quoted(location)} instead of {size}")
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(size)
    if len(data) != size:
        raise KernelError(
            f"{where}: damaged: {quoted(location)} ends before the tensor does "
            f"(bytes {offset} to {offset + size} of {path.stat().st_size})"
        )
    return data


def _number(entries: Mapping[str, str], key: str, default: int, where: str) -> int:
    text = entries.get(key, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise KernelError(f"{where}: damaged: {key} {quoted(text)} of its values; allowed: a number of bytes")
    return int(text)
