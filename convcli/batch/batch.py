"""Many pictures: what is to be done with each, where it goes, and what of the machine that may take."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from convcli.batch.inputs import InputFile, locator
from convcli.core.errors import ArgumentError, one_line
from convcli.core.frozen import contents, frozen, replace
from convcli.core.system import default_memory_limit, processors
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.report import settings_dict
from convcli.pipeline.settings import Settings

_MOST_KEPT: Final = 2**26
_SHARE_KEPT: Final = 16  # of a worker's share, one in so many
REVISION: Final = 2
"""Raise this when the same input and options give other bytes; `--resume` then makes older results again."""

_APART: Final = ("force", "threads", "max_pixels", "max_memory", "output", "notes")
"""Settings that do not change a byte of a result, or that its name tells."""


@frozen
class Limits:
    """How much of the machine a batch may take.

    Attributes:
        jobs: worker processes.
        cores: processors, all workers' threads together.
        memory: bytes that the workers may hold together, by estimates made before a pixel is decoded.
    """

    jobs: int
    cores: int
    memory: int

    @property
    def kept(self) -> int:
        """Bytes that a worker may keep of what it has freed."""
        return min(_MOST_KEPT, self.memory // self.jobs // _SHARE_KEPT)

    @classmethod
    def of(cls, jobs: int | None = None, memory: int | None = None) -> Limits:
        """What was asked for, or all processors and half of the memory."""
        cores = processors()
        jobs = jobs or cores
        return cls(jobs, max(cores, jobs), memory or default_memory_limit())


def _expected(source: InputFile, settings: Settings) -> list[Path]:
    return _output(settings).expected_paths(source.path, settings.kernel.name, files_of(settings))


def files_of(settings: Settings) -> int:
    """Files that a picture or a frame becomes."""
    return 1 if settings.kernel.combine or settings.stack else settings.kernel.maps


def _output(settings: Settings) -> OutputSpec:
    return settings.output.stacked(settings.kernel.maps) if settings.stack else settings.output


def _sum(settings: Settings) -> str:
    said = {name: repr(value) for name, value in _chosen(settings).items()}
    text = repr((REVISION, settings.output.requested_format, said))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _chosen(settings: Settings) -> dict[str, Any]:
    """The settings that decide over bytes and are not the default ones, so that new options change no sum."""
    pairs = {name: (getattr(settings, name) * 2)[:2] for name in ("stride", "dilation")}
    said = {name: value for name, value in {**contents(settings), **pairs}.items() if name not in _APART}
    return {name: value for name, value in said.items() if value != getattr(Settings, name, None)}


def _recipe(settings: Settings) -> dict[str, Any]:
    """What a manifest says once of all results of some settings: their part of the report, and options."""
    said = {name: str(value) for name, value in _chosen(settings).items() if name != "kernel"}
    format_ = {"format": settings.output.requested_format} if settings.output.requested_format else {}
    shared = settings_dict(settings.kernel, settings.flip, str(settings.padding), settings.groups)
    return {**shared, "options": {**said, **format_}}


@frozen(eq=False)
class Batch:
    """Pictures and what to do with each.

    Attributes:
        each: settings, of several kernels perhaps; their outputs are the destination.
        resume: take outputs that are there, where they have the same bytes.
        reads: other files that the run reads, kernels and lists of names.
    """

    sources: Sequence[InputFile]
    each: Sequence[Settings]
    limits: Limits
    resume: bool = False
    reads: Sequence[str] = ()

    @cached_property
    def sums(self) -> list[str]:
        """Of each settings, a sum of all that decides over the bytes of a result besides its input."""
        return [_sum(settings) for settings in self.each]

    @property
    def recipes(self) -> dict[str, dict[str, Any]]:
        """What the manifest says of each settings once."""
        return {total: _recipe(settings) for total, settings in zip(self.sums, self.each, strict=True)}

    def place(self, source: InputFile, settings: Settings, index: int, frame: int, suffix: str) -> Path:
        """Where a map goes, by its index, the frame where each has its own file, and its format's suffix."""
        files = files_of(settings)
        index = min(index, files - 1)
        return settings.output.path_of(source.path, settings.kernel.name, index, files, frame, suffix)

    def settings(self, source: InputFile, threads: int | None = None) -> list[Settings]:
        """The settings for one picture, with its place in the destination."""
        return [
            replace(
                settings,
                output=settings.output.inside_folder(source.folder),
                threads=threads if settings.threads is None else settings.threads,
            )
            for settings in self.each
        ]

    def check(self, manifest: str | None = None) -> None:
        """Refuse, before anything is touched, outputs that are read or that exist.

        With force, a result may replace its own input where it is the only one. A manifest is neither read
        otherwise nor an output.

        Names are expected from names alone. A picture whose own format cannot hold its result has another
        suffix; what it may meet there is refused when it comes.

        Raises:
            ArgumentError: with the first of them.
        """
        resolved = locator(follow=True)
        inputs = {resolved(source.path) for source in self.sources}
        reads = {resolved(name) for name in self.reads}
        outputs: set[str] = set()
        there: list[str] = []
        for source, places in zip(self.sources, self.places, strict=True):
            for place in places:
                name = resolved(place)
                if name in reads:
                    raise ArgumentError(f"{one_line(place)}: is read by this run, and would be an output too")
                if name in inputs:
                    self._check_replacing(source, place, name == resolved(source.path), len(places))
                if name not in outputs and os.path.lexists(place):
                    there.append(place)
                outputs.add(name)
        if manifest is not None and resolved(manifest) in inputs | outputs | reads:
            raise ArgumentError(f"{one_line(manifest)}: the manifest is read by this run, or an output too")
        if there and not (self.resume or self.each[0].force):
            raise ArgumentError(
                f"{len(there)} of {len(outputs)} outputs already exist, such as {one_line(there[0])}; "
                "--resume goes on by a manifest, --force replaces them"
            )

    def stems(self, source: InputFile) -> list[str]:
        """What the names of an input's results are, whatever their formats and frames turn out to be."""
        return [
            stem
            for settings in self.settings(source)
            for stem in _output(settings).path_patterns(source.path, settings.kernel.name, files_of(settings))
        ]

    def _check_replacing(self, source: InputFile, place: str, own: bool, results: int) -> None:
        """Refuse an output that is an input, unless it is its own, its single one, and forced."""
        shown = f"{one_line(source.path)}: its output {one_line(place)}"
        if not own:
            raise ArgumentError(
                f"{shown} is an input of this run; if an earlier run made it, leave it out by a list or a "
                "pattern, or write to another folder"
            )
        if results > 1:
            raise ArgumentError(f"{shown} is the input itself, which only a single result may replace")
        if self.resume:
            raise ArgumentError(
                f"{shown} is the input itself; --resume cannot tell which images are filtered already, "
                "so write them to another folder"
            )
        if not self.each[0].force:
            raise ArgumentError(f"{shown} is the input itself (--force replaces it with the result)")

    @cached_property
    def places(self) -> list[list[str]]:
        """Where the results of each picture go, where its own format holds them."""
        return [
            [str(place) for settings in self.settings(source) for place in _expected(source, settings)]
            for source in self.sources
        ]
