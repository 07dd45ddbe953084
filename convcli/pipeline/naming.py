"""Where a result goes: beside the input, into a folder, by a template, or to standard output."""

from __future__ import annotations

import os
import re
import string
from itertools import zip_longest
from pathlib import Path
from typing import Final

import numpy as np

from convcli.core.errors import ArgumentError, OutputError, one_line, quoted
from convcli.core.frozen import frozen, replace
from convcli.files.input import STREAM
from convcli.formats.base import Format, Near
from convcli.formats.capacity import OutputKind, check, holds, loss, sized
from convcli.formats.registry import FORMATS, format_named, format_of_suffix, readable, written

FIELDS: Final = ("dir", "stem", "kernel", "index", "frame", "suffix")
_ARRAYS, _PAGES = "npy", "tiff"
_ANY_FRAME, _ANY_SUFFIX = "\x01", "\x02"  # in names that a header decides
_DEFAULT: Final = "{stem}.{kernel}{suffix}"
_DEFAULT_OF_BANK: Final = "{stem}.{kernel}.{index}{suffix}"


class _AnyFrame:
    """The number of any frame, in any width."""

    def __format__(self, width: str) -> str:
        return _ANY_FRAME


@frozen
class Target:
    """One result's place and format; ``path`` is None for standard output."""

    path: Path | None
    format: Format
    note: str = ""

    def __str__(self) -> str:
        return one_line(str(self.path)) if self.path else "standard output"


@frozen
class OutputSpec:
    """``-o`` and ``--format``.

    Attributes:
        spec: a file, ``FOLDER/``, a template with `FIELDS` in braces, ``-``, or None for beside the input
            (standard output where the input is standard input).
        format: a format's name, or None for the suffix's, or else the input's.
    """

    spec: str | None = None
    format: str | None = None

    def __post_init__(self) -> None:
        if self.format is not None:
            format_named(self.format)
        if self.spec == "":
            raise ArgumentError("the output has no name; use -o FILE, FOLDER/, a template or -")
        if self.spec is not None and self._is_template:
            _check_template(self.spec)

    @property
    def _is_template(self) -> bool:
        return self.spec is not None and "{" in self.spec

    @property
    def is_stream(self) -> bool:
        return self.spec == STREAM

    @property
    def is_folder(self) -> bool:
        spec = self.spec
        return spec is not None and not self.is_stream and (spec.endswith("/") or Path(spec).is_dir())

    @property
    def is_one_file(self) -> bool:
        """Whether every result would go to the same place."""
        return self.spec is not None and not self.is_folder and not self._is_template

    @property
    def is_one_kernel(self) -> bool:
        """Whether the results of every kernel would go to the same place."""
        in_folder = self.is_folder or (self.spec or "").endswith("/")
        return self.spec is not None and not in_folder and "kernel" not in self._fields

    @property
    def is_one_input(self) -> bool:
        """Whether the results of every input would go to the same place."""
        tells = not self._fields.isdisjoint(("dir", "stem")) or (self.spec or "").endswith("/")
        return self.is_one_file or (self._is_template and not tells)

    @property
    def stacks(self) -> bool:
        """Whether its format holds any number of maps."""
        suffix = "" if self.is_stream or self.is_folder else Path(self.spec or "").suffix
        found = format_named(self.format) if self.format else format_of_suffix(suffix)
        return found is not None and found.name in (_ARRAYS, _PAGES)

    @property
    def is_one_frame(self) -> bool:
        """Whether every frame goes to a file of its own."""
        return "frame" in self._fields

    @property
    def _fields(self) -> set[str | None]:
        """Those of a template."""
        return (
            {field for _, field, _, _ in string.Formatter().parse(self.spec or "")}
            if self._is_template
            else set()
        )

    @property
    def stated(self) -> str:
        """The format that was asked for, by its name or by a suffix; empty where it is the input's."""
        suffix = Path(self.spec or "").suffix if self.is_one_file or self._is_template else ""
        found = format_of_suffix(suffix)
        return self.format or (found.name if found else "")

    def inside(self, folder: str) -> OutputSpec:
        """The same with a folder more in front of a result's name, unless the template places it by {dir}."""
        if not folder or "dir" in self._fields:
            return self
        if self._is_template and not (self.spec or "").endswith("/"):
            place = Path(self.spec or "")
            return replace(self, spec=str(place.parent / _escaped(folder) / place.name))
        return replace(self, spec=f"{self.spec}/{_escaped(folder) if self._is_template else folder}/")

    def expected(self, source: str, kernel: str, maps: int) -> list[Path]:
        """The places of the results of a picture whose own format holds them, told from its name alone.

        Raises:
            OutputError: one file for several maps.
        """
        self._check_index(kernel, maps)
        chosen = format_named(self.format) if self.format else format_of_suffix(Path(source).suffix)
        picture = OutputKind(np.dtype(np.uint8), 1)
        return [
            self._place(source, kernel, index, maps, chosen or FORMATS[0], picture) for index in range(maps)
        ]

    def stems(self, source: str, kernel: str, maps: int) -> list[str]:
        """The places of a picture's results without what its header decides: two that differ never meet."""
        names = (self.named(source, kernel, index, maps, _AnyFrame(), _ANY_SUFFIX) for index in range(maps))
        return [re.sub(rf"\d*{_ANY_FRAME}\d*", _ANY_FRAME, str(name)) for name in names]

    def named(self, source: str, kernel: str, index: int, maps: int, frame: object, suffix: str) -> Path:
        """The place of one of ``maps`` results, of a frame, in a format that has this suffix."""
        origin = Path("stdin" if source == STREAM else source)
        template = self.spec if self._is_template else _DEFAULT if maps == 1 else _DEFAULT_OF_BANK
        values = {
            "dir": self._folder(source),
            "stem": origin.stem,
            "kernel": safe(kernel),
            "index": index,
            "frame": frame,
            "suffix": suffix,
        }
        name = (template or _DEFAULT).format_map(values)
        if self._is_template:
            return Path(name) / _DEFAULT.format_map(values) if name.endswith("/") else Path(name)
        return (Path(self.spec) if self.spec else origin.parent) / name

    def targets(
        self, source: str, kernel: str, maps: int, came_as: Format, picture: OutputKind
    ) -> list[Target]:
        """The place of each of ``maps`` results of this kind.

        Raises:
            OutputError: a format that cannot hold them, an unknown suffix, or one file for several maps.
        """
        streams = self.is_stream or (self.spec is None and source == STREAM)
        if maps > 1 and (streams or self.is_one_file):
            ways = "--stack, a folder or {index}" if self.stacks else "a folder, {index} or --sheet"
            raise OutputError(f"{kernel} gives {maps} feature maps, which one file cannot hold; use {ways}")
        self._check_index(kernel, maps)
        if streams:
            chosen = format_named(self.format) if self.format else FORMATS[0]
            return [_target(None, chosen, picture)]
        if self.is_one_file:
            path = Path(self.spec or "")
            return [_target(path, self._format_of(path), picture)]
        wanted = format_named(self.format) if self.format else came_as
        chosen = wanted if self.format else _keeper(wanted, picture)
        places = [self._place(source, kernel, index, maps, chosen, picture) for index in range(maps)]
        if self._is_template:
            chosen = wanted = self._format_of(places[0])
        if chosen is not wanted:
            return [Target(place, chosen, _replaced(wanted, chosen, picture)) for place in places]
        return [_target(place, chosen, picture) for place in places]

    def _check_index(self, kernel: str, maps: int) -> None:
        """Refuse a template that gives several maps one name."""
        tells = "index" in self._fields or not self._is_template or (self.spec or "").endswith("/")
        if maps > 1 and not tells:
            also = " or --stack" if self.stacks else ""
            raise OutputError(f"{kernel} gives {maps} feature maps; the template needs {{index}}{also}")

    def stacked(self, channels: int) -> OutputSpec:
        """The same output for a stack of maps: pages of a TIFF, or an array of so many channels.

        Raises:
            OutputError: another format was asked for.
        """
        suffix = Path(self.spec or "").suffix if self.is_one_file or self._is_template else ""
        found = format_of_suffix(suffix)
        named = self.format or (found.name if found else suffix if "{" not in suffix else "")
        chosen = format_named(named).name if self.format else named
        if chosen not in ("", _ARRAYS, _PAGES):
            raise OutputError(
                f"a stack is {channels} channels of an array, or pages, which {named} cannot hold; "
                "allowed: .npy, .tif"
            )
        return replace(self, format=chosen or _ARRAYS)

    @property
    def is_paged(self) -> bool:
        """Whether a stack is one of pages."""
        return self.format == _PAGES

    def _format_of(self, path: Path) -> Format:
        found = format_of_suffix(path.suffix)
        if self.format:
            wanted = format_named(self.format)
            if found not in (None, wanted):
                raise OutputError(
                    f"{one_line(str(path))}: the suffix {path.suffix} says {found.name}, "
                    f"--format says {wanted.name}"
                )
            return wanted
        if found is None:
            known = ", ".join(entry.suffixes[0] for entry in written())
            read = readable().get(path.suffix.casefold())
            reason = f"convcli reads {read} but does not write it" if read else "unknown suffix"
            folder = "" if path.suffix or self._is_template else f"; {one_line(str(path))}/ is a folder"
            raise OutputError(f"{one_line(str(path))}: {reason}; allowed: {known}, or --format{folder}")
        return found

    def _place(
        self, source: str, kernel: str, index: int, maps: int, chosen: Format, picture: OutputKind
    ) -> Path:
        suffix = Path(source).suffix
        suffix = suffix if suffix.casefold() in chosen.suffixes else chosen.suffixes[0]
        return self.named(source, kernel, index, maps, picture.frame, suffix)

    def _folder(self, source: str) -> str:
        """``{dir}``: the input's folder as it was named, or `mirrored` where other folders precede it."""
        if source == STREAM:
            return "."
        leads = (self.spec or "").startswith("{dir}")
        return os.path.dirname(source if leads else mirrored(source)) or "."  # noqa: PTH120


def mirrored(path: str) -> str:
    """A path as it is repeated below another folder.

    As with ``tar`` and ``rsync -R``, a leading ``/`` and every ``..`` are dropped, and ``/./`` marks where
    the repeated part begins.
    """
    parts = Path(os.path.normpath(path.rpartition("/./")[2])).parts
    kept = [part for part in parts if part not in (os.sep, "//", os.pardir)]
    return str(Path(*kept)) if kept else ""


def _escaped(folder: str) -> str:
    """A folder's name as it stands in a template."""
    return folder.replace("{", "{{").replace("}", "}}")


def safe(name: str) -> str:
    """A kernel's name as part of a file name."""
    return re.sub(r"[^\w.@+=-]+", "-", name).strip("-.") or "kernel"


def _target(path: Path | None, chosen: Format, picture: OutputKind) -> Target:
    """A place in a format that was asked for, with a note of what it loses."""
    check(chosen, picture, path)
    return Target(path, chosen, loss(chosen, picture))


def _keeper(wanted: Format, picture: OutputKind) -> Format:
    """``wanted`` where it holds the result, else the first format that does."""
    return next(entry for entry in (wanted, *FORMATS) if holds(entry, picture))


def _replaced(wanted: Format, chosen: Format, picture: OutputKind) -> str:
    exactly = " without loss" if isinstance(wanted, Near) else ""
    return f"written as {chosen.name}: {wanted.name} cannot hold {sized(wanted, picture)}{exactly}"


def _check_template(text: str) -> None:
    try:
        parsed = list(string.Formatter().parse(text))
    except ValueError as error:
        raise ArgumentError(f"output template {quoted(text)}: {error}") from error
    for (_, field, spec, how), (behind, *_) in zip_longest(parsed, parsed[1:], fillvalue=("",) * 4):
        if field is None:
            continue
        if field not in FIELDS or how:
            allowed = ", ".join(f"{{{name}}}" for name in FIELDS)
            raise ArgumentError(f"output template {quoted(text)}: {{{field}}} is not one of {allowed}")
        if spec and not (field in ("index", "frame") and re.fullmatch(r"0\d", spec)):
            raise ArgumentError(
                f"output template {quoted(text)}: {quoted(spec)} cannot stand behind {field}; "
                "allowed: a width of {index} or {frame}, as in {index:03}"
            )
        if field == "dir" and not behind.startswith(os.sep):
            raise ArgumentError(f"output template {quoted(text)}: {{dir}} is a folder; put / after it")
