"""Where a result goes: beside the input, into a folder, by a template, or to standard output."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

import numpy as np

from convcli.core.errors import ArgumentError, OutputError, shown
from convcli.core.frozen import frozen, replace
from convcli.core.numerals import counted
from convcli.core.paths import ends_as_folder
from convcli.files.input import STREAM
from convcli.formats.base import Format
from convcli.formats.capacity import OutputKind, check, holds, loss, sized, suffix_error, takes
from convcli.formats.registry import (
    default_format,
    format_named,
    format_of_suffix,
    formats,
)
from convcli.pipeline.templates import (
    check_template,
    escaped,
    is_template,
    mirrored,
    safe_name,
    template_fields,
)
from convcli.storage.urls import Place, Url, is_bucket, is_remote, is_writable, local, place_of

_ARRAYS, _PAGES, _CHUNKED = "npy", "tiff", "zarr"  # formats of stacks
_ANY_FRAME, _ANY_SUFFIX = "\x01", "\x02"  # stand for what only a header decides
_DEFAULT: Final = "{stem}.{kernel}{suffix}"
_DEFAULT_OF_BANK: Final = "{stem}.{kernel}.{index}{suffix}"


class _AnyFrame:
    """Formats as one mark, whatever the width of a frame's number."""

    def __format__(self, width: str) -> str:
        return _ANY_FRAME


@frozen
class Target:
    """The place and format of one output.

    Attributes:
        path: None for standard output.
        note: what the format loses, or why it was chosen; often empty.
    """

    path: Place | None
    format: Format
    note: str = ""

    def __str__(self) -> str:
        return shown(str(self.path)) if self.path else "standard output"


@frozen
class OutputSpec:
    """What ``-o`` and ``--format`` say of outputs.

    Attributes:
        spec: a file, ``FOLDER/``, a template with `templates.FIELDS` in braces, ``-``, or None for beside the
            input (standard output if the input is standard input).
        format: a format's name; None for that of the suffix, or else the input's.
    """

    spec: str | None = None
    format: str | None = None

    def __post_init__(self) -> None:
        if self.format is not None:
            format_named(self.format)
        if self.spec == "":
            raise ArgumentError("-o is empty; use FILE, FOLDER/, a template or -")
        if self.spec is not None and self._is_template:
            check_template(self.spec)

    @property
    def _is_template(self) -> bool:
        return is_template(self.spec)

    @property
    def _fields(self) -> set[str]:
        return template_fields(self.spec)

    @property
    def _suffix(self) -> str:
        """The suffix of a file or a template; empty for anything else."""
        return place_of(self.spec or "").suffix if self.is_one_file or self._is_template else ""

    @property
    def is_stream(self) -> bool:
        """Whether outputs go to standard output by name."""
        return self.spec == STREAM

    @property
    def is_folder(self) -> bool:
        """Whether outputs go into a folder under names of their own."""
        spec = self.spec
        if spec is None or self.is_stream:
            return False
        if self._names_store:
            return False
        if is_remote(spec):
            return spec.endswith("/") or is_bucket(spec)
        return ends_as_folder(spec) or os.path.isdir(local(spec))  # noqa: PTH112 - False if the name is too long

    @property
    def _ends_in_folder(self) -> bool:
        """Whether a slash at the end says that results go into a folder, which a store is not."""
        return ends_as_folder(self.spec or "") and not self._names_store

    @property
    def _names_store(self) -> bool:
        """Whether the suffix is that of results which are folders themselves."""
        by_suffix = format_of_suffix(Path(self.spec or "").suffix)
        return by_suffix is not None and by_suffix.is_store

    @property
    def is_one_file(self) -> bool:
        """Whether every result would go to the same place."""
        return self.spec is not None and not self.is_folder and not self._is_template

    @property
    def is_one_kernel(self) -> bool:
        """Whether the results of every kernel would go to the same place."""
        in_folder = self.is_folder or self._ends_in_folder
        return self.spec is not None and not in_folder and "kernel" not in self._fields

    @property
    def is_one_input(self) -> bool:
        """Whether the results of every input would go to the same place."""
        differs = not self._fields.isdisjoint(("dir", "stem")) or self._ends_in_folder
        return self.is_one_file or (self._is_template and not differs)

    @property
    def is_one_frame(self) -> bool:
        """Whether every frame goes to a file of its own."""
        return "frame" in self._fields

    @property
    def is_paged(self) -> bool:
        """Whether a stack is one of pages."""
        return self.format == _PAGES

    @property
    def can_stack(self) -> bool:
        """Whether the requested format holds any number of maps."""
        suffix = "" if self.is_stream or self.is_folder else place_of(self.spec or "").suffix
        chosen = format_named(self.format) if self.format else format_of_suffix(suffix)
        return chosen is not None and chosen.name in (_ARRAYS, _PAGES, _CHUNKED)

    @property
    def requested_format(self) -> str:
        """The name of the format from --format or a suffix; empty where it is the input's."""
        by_suffix = format_of_suffix(self._suffix)
        return self.format or (by_suffix.name if by_suffix else "")

    def inside_folder(self, folder: str) -> OutputSpec:
        """The same one folder deeper, unless the template places outputs by {dir}."""
        if not folder or "dir" in self._fields:
            return self
        if self._is_template and not self._ends_in_folder:
            place = place_of(self.spec or "")
            return replace(self, spec=str(place.parent / escaped(folder) / place.name))
        below = escaped(folder) if self._is_template else folder
        return replace(self, spec=f"{place_of(self.spec or '') / below}/")

    def stacked(self, channels: int) -> OutputSpec:
        """The same for a stack of all maps: pages of a TIFF, or an array of so many channels.

        Raises:
            OutputError: another format is requested.
        """
        suffix = self._suffix
        by_suffix = format_of_suffix(suffix)
        requested = self.format or (by_suffix.name if by_suffix else suffix if "{" not in suffix else "")
        chosen = format_named(requested).name if self.format else requested
        if chosen not in ("", _ARRAYS, _PAGES, _CHUNKED):
            raise OutputError(
                f"--stack writes an array of {counted(channels, 'channel')}, or pages, "
                f"which {requested} cannot hold; use .npy or .tif"
            )
        return replace(self, format=chosen or _ARRAYS)

    def expected_paths(self, source: str, kernel: str, maps: int) -> list[Place]:
        """The paths of the results of an image whose own format holds them, by its name alone.

        Raises:
            OutputError: one file for several maps.
        """
        self._check_index(kernel, maps)
        chosen = format_named(self.format) if self.format else format_of_suffix(place_of(source).suffix)
        kind = OutputKind(np.dtype(np.uint8), 1)
        return [
            self._path(source, kernel, index, maps, chosen or default_format(), kind) for index in range(maps)
        ]

    def path_patterns(self, source: str, kernel: str, maps: int) -> list[str]:
        """The paths of an image's results without what its header decides; two that differ never collide."""
        paths = (self.path_of(source, kernel, index, maps, _AnyFrame(), _ANY_SUFFIX) for index in range(maps))
        return [re.sub(rf"\d*{_ANY_FRAME}\d*", _ANY_FRAME, str(path)) for path in paths]

    def path_of(self, source: str, kernel: str, index: int, maps: int, frame: object, suffix: str) -> Place:
        """The path of one result.

        Args:
            source: the input's name.
            index: of the map among ``maps``.
            frame: the frame's number.
            suffix: that of the format.
        """
        origin = place_of("stdin" if source == STREAM else source)
        template = self.spec if self._is_template else _DEFAULT if maps == 1 else _DEFAULT_OF_BANK
        values = {
            "dir": self._folder(source),
            "stem": origin.stem,
            "kernel": safe_name(kernel),
            "index": index,
            "frame": frame,
            "suffix": suffix,
        }
        name = (template or _DEFAULT).format_map(values)
        if self._is_template:
            place = place_of(name)
            return place / _DEFAULT.format_map(values) if ends_as_folder(name) else place
        return (place_of(self.spec) if self.spec else _beside(origin)) / name

    def targets(
        self, source: str, kernel: str, maps: int, input_format: Format, kind: OutputKind
    ) -> list[Target]:
        """The target of each of ``maps`` results.

        Args:
            source: the input's name.
            kernel: its name.
            input_format: the format of results where none is requested and it holds them.
            kind: of each result.

        Raises:
            OutputError: the format cannot hold them, the suffix is unknown, or they need several files.
        """
        to_stream = self.is_stream or (self.spec is None and source == STREAM)
        if maps > 1 and (to_stream or self.is_one_file):
            ways = "--stack, a folder or {index}" if self.can_stack else "a folder, {index} or --sheet"
            raise OutputError(f"{kernel} gives {maps} feature maps, which do not fit in one file; use {ways}")
        self._check_index(kernel, maps)
        if to_stream:
            return [_target(None, self._streamed(input_format, kind), kind)]
        if self.is_one_file:
            path = place_of(self.spec or "")
            return [_target(path, self._format_of(path, kind), kind)]
        return self._several(source, kernel, maps, input_format, kind)

    def _streamed(self, input_format: Format, kind: OutputKind) -> Format:
        """The format on standard output: requested, the default, or the input's if only that holds it."""
        if self.format:
            return format_named(self.format)
        default = default_format()
        return input_format if takes(input_format, kind) and not takes(default, kind) else default

    def _several(
        self, source: str, kernel: str, maps: int, input_format: Format, kind: OutputKind
    ) -> list[Target]:
        """Targets in a folder or by a template, in another format if the input's does not hold them."""
        requested = format_named(self.format) if self.format else input_format
        chosen = requested if self.format else _holding(requested, kind)
        paths = [self._path(source, kernel, index, maps, chosen, kind) for index in range(maps)]
        if self._is_template:
            chosen = requested = self._format_of(paths[0], kind)
        if chosen is not requested:
            return [Target(path, chosen, _substitution(requested, chosen, kind)) for path in paths]
        return [_target(path, chosen, kind) for path in paths]

    def _check_index(self, kernel: str, maps: int) -> None:
        """Refuse a template that gives several maps one name."""
        differs = "index" in self._fields or not self._is_template or self._ends_in_folder
        if maps > 1 and not differs:
            stacking = " or --stack" if self.can_stack else ""
            raise OutputError(f"{kernel} gives {maps} feature maps; the template needs {{index}}{stacking}")

    def _format_of(self, path: Place, kind: OutputKind) -> Format:
        """The format of --format or of a suffix, which must not differ."""
        by_suffix = format_of_suffix(path.suffix)
        if self.format:
            requested = format_named(self.format)
            if by_suffix not in (None, requested):
                raise OutputError(
                    f"{shown(str(path))}: the suffix {path.suffix} means {by_suffix.name}, "
                    f"but --format is {requested.name}"
                )
            return requested
        if by_suffix is None:
            raise OutputError(self._suffix_error(path, kind))
        return by_suffix

    def _suffix_error(self, path: Place, kind: OutputKind) -> str:
        is_name = path.suffix or self._is_template
        folder = "" if is_name or str(path).endswith("-") else f"; for a folder, use {shown(str(path))}/"
        return f"{suffix_error(path, kind)}, or --format{folder}"

    def _path(
        self, source: str, kernel: str, index: int, maps: int, chosen: Format, kind: OutputKind
    ) -> Place:
        """The path of a result in a format, with the input's suffix where that fits."""
        suffix = place_of(source).suffix
        suffix = suffix if suffix.casefold() in chosen.suffixes else chosen.suffixes[0]
        return self.path_of(source, kernel, index, maps, kind.frame, suffix)

    def _folder(self, source: str) -> str:
        """``{dir}``: the input's folder as it was named, or `mirrored` below the folders before it."""
        if source == STREAM:
            return "."
        leads = (self.spec or "").startswith("{dir}")
        return str(place_of(source).parent) if leads else os.path.dirname(mirrored(source)) or "."  # noqa: PTH120


def _beside(origin: Place) -> Place:
    """The folder of an input; the working directory for one of a web server, which takes no files."""
    return Path() if isinstance(origin, Url) and not is_writable(str(origin)) else origin.parent


def _target(path: Place | None, chosen: Format, kind: OutputKind) -> Target:
    """A target in a requested format, with a note of what it loses."""
    check(chosen, kind, path)
    return Target(path, chosen, loss(chosen, kind))


def _holding(requested: Format, kind: OutputKind) -> Format:
    """``requested`` if it holds the result, else the first format that does."""
    return next(entry for entry in (requested, *formats()) if holds(entry, kind))


def _substitution(requested: Format, chosen: Format, kind: OutputKind) -> str:
    exactly = " without loss" if loss(requested, kind) else ""
    return f"written as {chosen.name}: {requested.name} cannot hold {sized(requested, kind)}{exactly}"
