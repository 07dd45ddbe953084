"""Where a result goes: beside the input, into a folder, by a template, or to standard output."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from convcli.dtypes import DType
from convcli.errors import ArgumentError, OutputError, one_line, shown
from convcli.files import STREAM
from convcli.images import FORMATS, format_named, format_of_suffix, keeper, written
from convcli.images.base import Format, depth_text

FIELDS: Final = ("stem", "kernel", "index", "suffix")
_DEFAULT: Final = "{stem}.{kernel}{suffix}"
_DEFAULT_OF_BANK: Final = "{stem}.{kernel}.{index}{suffix}"


@dataclass(frozen=True, slots=True)
class Target:
    """One result's place and format; ``path`` is None for standard output."""

    path: Path | None
    format: Format
    note: str = ""

    def __str__(self) -> str:
        return one_line(str(self.path)) if self.path else "standard output"


@dataclass(frozen=True, slots=True)
class Output:
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

    def targets(
        self, source: str, kernel: str, maps: int, came_as: Format, dtype: DType, channels: int
    ) -> list[Target]:
        """The place of each of ``maps`` pictures of this type.

        Raises:
            OutputError: a format that cannot hold them, an unknown suffix, or one file for several maps.
        """
        streams = self.is_stream or (self.spec is None and source == STREAM)
        if maps > 1 and (streams or self.is_one_file):
            raise OutputError(
                f"{kernel} gives {maps} feature maps, which one file cannot hold; use a folder or {{index}}"
            )
        if streams:
            chosen = format_named(self.format) if self.format else FORMATS[0]
            return [Target(None, _holding(chosen, dtype, channels, "standard output"))]
        if self.is_one_file:
            path = Path(self.spec or "")
            return [Target(path, _holding(self._format_of(path), dtype, channels, str(path)))]
        wanted = format_named(self.format) if self.format else came_as
        chosen = wanted if self.format else keeper(wanted, dtype, channels)
        places = [self._place(source, kernel, index, maps, chosen) for index in range(maps)]
        if self._is_template:
            chosen = wanted = self._format_of(places[0])
        _holding(chosen, dtype, channels, "the output")
        note = "" if chosen is wanted else _replaced(wanted, chosen, dtype)
        return [Target(place, chosen, note) for place in places]

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
            raise OutputError(f"{one_line(str(path))}: unknown suffix; allowed: {known}, or --format")
        return found

    def _place(self, source: str, kernel: str, index: int, maps: int, chosen: Format) -> Path:
        origin = Path("stdin" if source == STREAM else source)
        template = self.spec if self._is_template else _DEFAULT if maps == 1 else _DEFAULT_OF_BANK
        suffix = origin.suffix if origin.suffix.casefold() in chosen.suffixes else chosen.suffixes[0]
        values = {"stem": origin.stem, "kernel": safe(kernel), "index": index, "suffix": suffix}
        name = (template or _DEFAULT).format_map(values)
        if self._is_template:
            return Path(name) / _DEFAULT.format_map(values) if name.endswith("/") else Path(name)
        return (Path(self.spec) if self.spec else origin.parent) / name


def safe(name: str) -> str:
    """A kernel's name as part of a file name."""
    return re.sub(r"[^\w.@+=-]+", "-", name).strip("-.") or "kernel"


def _holding(chosen: Format, dtype: DType, channels: int, place: str) -> Format:
    if chosen.holds(dtype, channels):
        return chosen
    able = ", ".join(entry.suffixes[0] for entry in FORMATS if entry.holds(dtype, channels))
    raise OutputError(
        f"{one_line(place)}: {chosen.name} cannot hold {channels} channels of {depth_text(dtype)}; "
        f"these can: {able}"
    )


def _replaced(wanted: Format, chosen: Format, dtype: DType) -> str:
    return f"written as {chosen.name}: {wanted.name} cannot hold this {depth_text(dtype)} picture"


def _check_template(text: str) -> None:
    try:
        fields = [(field, spec, how) for _, field, spec, how in string.Formatter().parse(text)]
    except ValueError as error:
        raise ArgumentError(f"output template {shown(text)}: {error}") from error
    for field, spec, how in fields:
        if field is None:
            continue
        if field not in FIELDS or how:
            allowed = ", ".join(f"{{{name}}}" for name in FIELDS)
            raise ArgumentError(f"output template {shown(text)}: {{{field}}} is not one of {allowed}")
        if spec and not (field == "index" and re.fullmatch(r"0\d", spec)):
            raise ArgumentError(
                f"output template {shown(text)}: {shown(spec)} cannot stand behind {field}; "
                "allowed: a width of {index}, as in {index:03}"
            )
