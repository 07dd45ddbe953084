"""The files of a run: no output may replace a file that the run reads, or another output."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Final

from convcli.core.errors import OutputError, StorageError, cut, one_line, shown
from convcli.core.paths import reserved
from convcli.files.atomic import is_device, sweep
from convcli.files.folding import folded, name_folding
from convcli.files.input import STREAM
from convcli.storage.urls import Place, Url, canonical, is_remote, is_url, local

_EXISTS: Final = "already exists (--force replaces it)"
_OTHER_INPUT: Final = "is an input of this run; it can only be replaced by its own single result"
_OWN_INPUT: Final = "is the input itself (--force replaces it with the result)"


class OutputLedger:
    """Checks and records the outputs of a run.

    Args:
        inputs: names of all inputs of the run, including those that are read later.
        reads: other files that the run reads: kernels and lists of names.
        looks: look for an object before any work, which takes a request. Otherwise its store refuses the
            result when it is complete.
    """

    def __init__(self, inputs: Iterable[str] = (), reads: Iterable[str] = (), looks: bool = True) -> None:
        self.looks = looks
        self.inputs = [name for name in inputs if name != STREAM]
        self.reads = [name for name in reads if name != STREAM]
        self.outputs: set[str] = set()
        self.rivals: dict[str, list[str]] = {}
        self.swept: set[Path] = set()

    @cached_property
    def _input_files(self) -> _FileSet:
        return _FileSet(self.inputs)

    @cached_property
    def _read_files(self) -> _FileSet:
        return _FileSet(self.reads)

    def claim(self, target: Place, force: bool, make_folder: bool = False, own: str | None = None) -> None:
        """Record an output, or refuse it before any work is done.

        Also removes temporary files that a killed process left in the target's folder.

        Args:
            force: allow a target that exists.
            make_folder: allow a folder that does not exist yet; `AtomicFile` creates it.
            own: the input that this is the only result of, which it may replace with ``force``.

        Raises:
            OutputError: the target is read by the run, is claimed already, exists, or cannot be written.
        """
        if isinstance(target, Url):
            self._claim_url(target, force, own)
            return
        shown = one_line(str(target))
        if os.name == "nt" and (why := reserved(target.name)):
            raise OutputError(f"{shown}: Windows takes no such name ({why}); choose another")
        try:
            _check_folder(target, shown, make_folder)
            if target.is_dir():
                raise OutputError(f"{shown}: is a folder")
            if is_device(target):
                return
            entry = _entry(target)
            self._check_new(entry, shown)
            if os.path.lexists(target):
                self._check_existing(target, shown, force, own)
        except (OSError, ValueError) as error:  # a name too long, or with a NUL
            reason = getattr(error, "strerror", None) or error
            raise OutputError(f"{cut(shown)}: {reason}") from error
        self._record(entry)
        if target.parent not in self.swept:
            self.swept.add(target.parent)
            sweep(target.parent)

    def _check_new(self, entry: str, shown: str) -> None:
        if entry in self.outputs or self._is_folded(entry):
            raise OutputError(
                f"{shown}: is another output of this run; use another name, or {{dir}} and {{stem}} in -o"
            )

    def _is_folded(self, entry: str) -> bool:
        """Whether an output has a name that the file system takes for this one."""
        rivals = self.rivals.get(folded(entry, True, True), ())
        if not rivals or is_url(entry):
            return False
        folding = name_folding(os.path.dirname(entry))  # noqa: PTH120
        return any(folded(rival, *folding) == folded(entry, *folding) for rival in rivals)

    def _record(self, entry: str) -> None:
        self.outputs.add(entry)
        self.rivals.setdefault(folded(entry, True, True), []).append(entry)

    def _claim_url(self, target: Url, force: bool, own: str | None) -> None:
        from convcli.storage.stores import check_writable, exists  # only for URLs

        url, named = str(target), shown(str(target))
        check_writable(url)
        entry = canonical(url)
        self._check_new(entry, named)
        self._check_not_read(target, named)
        if target in self._input_files:
            if own is None or canonical(own) != entry:
                raise OutputError(f"{named}: {_OTHER_INPUT}")
            if not force:
                raise OutputError(f"{named}: {_OWN_INPUT}")
        try:
            if self.looks and exists(url) and not force:
                raise OutputError(f"{named}: {_EXISTS}")
        except StorageError as error:
            raise OutputError(str(error)) from error
        self.outputs.add(entry)

    def _check_not_read(self, target: Place, shown: str) -> None:
        if target in self._read_files:
            raise OutputError(f"{shown}: is read by this run (a kernel or list) and cannot be an output")

    def _check_existing(self, target: Path, shown: str, force: bool, own: str | None) -> None:
        self._check_not_read(target, shown)
        if target in self._input_files:
            _check_replacing_input(target, shown, force, own)
        if not force:
            raise OutputError(f"{shown}: {_EXISTS}")
        if not target.exists():
            raise OutputError(f"{shown}: is a broken symbolic link; remove it, or choose another output")


def _check_replacing_input(target: Path, shown: str, force: bool, own: str | None) -> None:
    """Refuse an input as an output, unless ``own`` is that input and ``force`` is on."""
    if own is None or is_remote(own) or _entry(target) != _entry(local(own)):
        raise OutputError(f"{shown}: {_OTHER_INPUT}")
    if target.is_symlink():
        original = one_line(str(target.resolve()))
        raise OutputError(f"{shown}: is a symbolic link; to replace the image, use {original}")
    if not force:
        raise OutputError(f"{shown}: {_OWN_INPUT}")


class _FileSet:
    """Files, recognized by their inodes and by their names, and objects, by their URLs."""

    def __init__(self, names: Iterable[str]) -> None:
        names = list(names)
        self.urls = {canonical(name) for name in names if is_remote(name)}
        names = [local(name) for name in names if not is_remote(name)]
        self.inodes = {_inode(name) for name in names} - {None}
        real = lru_cache(1024)(os.path.realpath)
        self.entries = {_entry(name, real) for name in names}

    def __contains__(self, target: Place) -> bool:
        if isinstance(target, Url):
            return canonical(str(target)) in self.urls
        return _inode(target) in self.inodes or _entry(target) in self.entries


def _entry(name: str | Path, real: Callable[[str], str] = os.path.realpath) -> str:
    """The path of a directory entry: its folder resolved, its last part as it is."""
    folder, last = os.path.split(name)
    return os.path.join(real(folder), last)  # noqa: PTH118


def _inode(name: str | Path) -> tuple[int, int] | None:
    """Device and inode of a file, which all its names share; None where there is no file."""
    with suppress(OSError, ValueError):
        status = Path(name).stat()
        return status.st_dev, status.st_ino
    return None


def _check_folder(target: Path, shown: str, make_folder: bool) -> None:
    folder = target.parent
    while make_folder and not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        problem = "is not a folder" if folder.exists() else "does not exist"
        raise OutputError(f"{shown}: the folder {one_line(str(folder))} {problem}")
    if not os.access(folder, os.W_OK | os.X_OK) and not is_device(target):
        raise OutputError(f"{shown}: no permission to write in {one_line(str(folder))}")
