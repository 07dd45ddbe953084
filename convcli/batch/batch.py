"""A batch: many images, what to do with each, where results go, and how much of the machine to use."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import chain
from typing import Any, Final

from convcli.batch.inputs import InputFile
from convcli.core.frozen import contents, frozen, replace
from convcli.core.system import default_memory_limit, processors
from convcli.formats.header import Coding
from convcli.geometry.describe import operation_word
from convcli.pipeline.fingerprint import IGNORED, fingerprint
from convcli.pipeline.naming import OutputSpec
from convcli.pipeline.reports.json_form import settings_dict
from convcli.pipeline.settings import Settings
from convcli.storage.urls import Place, is_remote

_LARGEST_CACHE: Final = 2**26
_CACHE_SHARE: Final = 16  # the cache is at most this fraction of a worker's memory
_NOT_OPTIONS: Final = ("kernel", "output", *IGNORED)


@frozen
class Limits:
    """How much of the machine a batch may use.

    Attributes:
        jobs: number of worker processes.
        cores: number of CPUs for the threads of all workers combined.
        memory: bytes that all workers combined may need, as estimated before any pixel is decoded.
    """

    jobs: int
    cores: int
    memory: int

    @property
    def cache(self) -> int:
        """Bytes of freed memory that a worker may keep for its next image."""
        return min(_LARGEST_CACHE, self.memory // self.jobs // _CACHE_SHARE)

    @classmethod
    def detect(cls, jobs: int | None = None, memory: int | None = None) -> Limits:
        """The given limits; by default one worker per CPU and half of the memory."""
        cores = processors()
        jobs = jobs or cores
        return cls(jobs, max(cores, jobs), memory or default_memory_limit())


@frozen(eq=False)
class Batch:
    """Images and what to do with each.

    Attributes:
        sources: the images, in order.
        variants: the settings to apply to each image, one for each kernel; their outputs are the destination.
        limits: how much of the machine to use.
        resume: accept existing outputs that have the same bytes.
        reads: other files that the run reads: kernels and lists of names.
    """

    sources: Sequence[InputFile]
    variants: Sequence[Settings]
    limits: Limits
    resume: bool = False
    reads: Sequence[str] = ()

    @property
    def force(self) -> bool:
        """Whether existing outputs may be replaced."""
        return self.variants[0].force

    @cached_property
    def has_urls(self) -> bool:
        """Whether anything is read from URLs or written to them."""
        names = chain((source.path for source in self.sources), self.reads)
        return is_remote(self.variants[0].output.spec or "") or any(map(is_remote, names))

    @cached_property
    def fingerprints(self) -> list[str]:
        """The fingerprint of each variant."""
        return [fingerprint(settings) for settings in self.variants]

    @property
    def recipes(self) -> dict[str, dict[str, Any]]:
        """What the manifest states once for each variant, by its fingerprint."""
        return dict(zip(self.fingerprints, map(_recipe, self.variants), strict=True))

    @cached_property
    def expected_outputs(self) -> list[list[str]]:
        """The outputs of each image if its own format can hold them, known from names alone."""
        return [
            [str(path) for settings in self.settings_for(source) for path in _expected(source, settings)]
            for source in self.sources
        ]

    def settings_for(self, source: InputFile, threads: int | None = None) -> list[Settings]:
        """Each variant for one image: with its folder in the destination, and ``threads`` unless set."""
        return [
            replace(
                settings,
                output=settings.output.inside_folder(source.folder),
                threads=threads if settings.threads is None else settings.threads,
            )
            for settings in self.variants
        ]

    def output_path(
        self, source: InputFile, settings: Settings, index: int, frame: int, suffix: str
    ) -> Place:
        """Where a feature map goes.

        Args:
            settings: those of `settings_for`.
            index: the map's number.
            frame: the frame's number, where each frame has its own file.
            suffix: that of the file's format.
        """
        files = files_per_frame(settings)
        index = min(index, files - 1)
        return settings.output.path_of(source.path, settings.name, index, files, frame, suffix)

    def output_stems(self, source: InputFile) -> list[str]:
        """The names of an image's outputs without what only its header decides: format and frame."""
        return [
            stem
            for settings in self.settings_for(source)
            for stem in _output(settings).path_patterns(source.path, settings.name, files_per_frame(settings))
        ]


def files_per_frame(settings: Settings) -> int:
    """The number of files that an image, or a frame with its own files, becomes."""
    return 1 if settings.stack else settings.maps


def _expected(source: InputFile, settings: Settings) -> list[Place]:
    return _output(settings).expected_paths(source.path, settings.name, files_per_frame(settings))


def _output(settings: Settings) -> OutputSpec:
    return settings.output.stacked(settings.maps) if settings.stack else settings.output


def _recipe(settings: Settings) -> dict[str, Any]:
    """The settings' part of a report, and the options that differ from their defaults."""
    output_format = {"format": settings.output.requested_format} if settings.output.requested_format else {}
    operation = operation_word(settings.flip, settings.transposed)
    shared = settings_dict(settings.kernel, operation, str(settings.padding), settings.groups)
    return {**shared, "options": {**_options(settings), **output_format}}


def _options(settings: Settings) -> dict[str, str]:
    steps = {name: (getattr(settings, name) * 2)[:2] for name in ("stride", "dilation")}
    values = {**contents(settings), **steps}
    return {
        name: _option_text(value)
        for name, value in values.items()
        if name not in _NOT_OPTIONS and value != getattr(Settings, name)
    }


def _option_text(value: Any) -> str:
    """An option as the command line takes it, as far as it has one notation."""
    if isinstance(value, tuple) and value and not isinstance(value[0], int):
        return " | ".join(stage.name for stage in value)
    if isinstance(value, slice):
        return ":".join("" if end is None else str(end) for end in (value.start, value.stop))
    if isinstance(value, Coding):
        quality = [f"quality {value.quality}"] if value.quality else []
        return ", ".join([*quality, *(["png small"] if value.small else [])])
    return str(value)
