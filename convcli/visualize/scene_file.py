"""Scenes as files: images of any format, or SVG."""

from __future__ import annotations

from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import OutputError, one_line
from convcli.core.frozen import frozen
from convcli.formats.base import Format
from convcli.formats.capacity import OutputKind, check
from convcli.formats.header import Coding, Metadata
from convcli.formats.registry import default_format
from convcli.pipeline.naming import OutputSpec
from convcli.storage.urls import Place, place_of
from convcli.visualize.raster import raster
from convcli.visualize.scene import Scene
from convcli.visualize.svg import svg

SVG: Final = "svg"
_SUFFIX: Final = ".svg"
_BYTES: Final = np.dtype(np.uint8)
_COLORS: Final = 3


@frozen
class SceneFile:
    """Where a scene is written: ``path`` is None for standard output, ``format`` is None for SVG."""

    path: Place | None
    format: Format | None
    coding: Coding = Coding()

    @property
    def format_name(self) -> str:
        return self.format.name if self.format else SVG

    def encoded(self, scene: Scene) -> bytes:
        """The content of the file."""
        if self.format is None:
            return svg(scene).encode("utf-8")
        check(self.format, OutputKind(_BYTES, _COLORS, rows=scene.height, columns=scene.width), self.path)
        pixels: Array = raster(scene)
        return self.format.encode(pixels, Metadata(coding=self.coding))


def scene_file(source: str, kind: str, spec: str | None, format_name: str | None) -> SceneFile:
    """The file for a scene made from one input; ``{stem}.{kind}.png`` beside it by default.

    Args:
        kind: replaces ``{kernel}`` in names, such as ``sheet``.
        spec, format_name: as `OutputSpec` takes them, and ``svg``.

    Raises:
        OutputError: an unknown suffix, or a format that cannot hold colors.
    """
    if not wants_svg(spec, format_name):
        return _image_file(OutputSpec(spec, format_name), source, kind)
    spec = f"{_without_suffix(spec)}.png" if spec is not None and _has_suffix(spec) else spec
    file = _image_file(OutputSpec(spec), source, kind)
    return SceneFile(file.path and file.path.with_suffix(_SUFFIX), None)


def frame_files(spec: str, format_name: str | None, count: int) -> list[SceneFile]:
    """A file for each of ``count`` frames, numbered from 0.

    Args:
        spec: a template with ``{frame}``; for SVG also a folder, or one file or ``-`` for a single frame.

    Raises:
        OutputError: one file for several SVG frames, an unknown suffix, or a format that cannot hold colors.
    """
    if not wants_svg(spec, format_name):
        return [
            _image_file(OutputSpec(spec, format_name), "animation", "frame", index) for index in range(count)
        ]
    output = OutputSpec(spec)
    if output.is_folder:
        digits = len(str(count - 1))
        return [SceneFile(place_of(spec) / f"{index:0{digits}}{_SUFFIX}", None) for index in range(count)]
    if count > 1 and not output.is_one_frame:
        raise OutputError(
            f"an SVG file holds one frame, not {count}; use -o FOLDER/ --format svg, "
            "or a name with {frame} such as frame-{frame:03}.svg"
        )
    if not output.is_one_frame:
        return [SceneFile(None if output.is_stream else place_of(spec), None)]
    return [
        SceneFile(output.path_of("animation", "frame", 0, 1, index, _SUFFIX), None) for index in range(count)
    ]


def wants_svg(spec: str | None, format_name: str | None) -> bool:
    """Whether the suffix of ``spec`` or the format's name is that of SVG.

    Raises:
        OutputError: they contradict each other.
    """
    named = spec is not None and _has_suffix(spec)
    if named and format_name and format_name.casefold() != SVG:
        raise OutputError(
            f"{one_line(spec or '')}: the suffix {_SUFFIX} says svg, --format says {format_name.casefold()}"
        )
    return named or (format_name or "").casefold() == SVG


def _has_suffix(spec: str) -> bool:
    return spec.casefold().endswith(_SUFFIX)


def _without_suffix(spec: str) -> str:
    return spec[: -len(_SUFFIX)]


def _image_file(output: OutputSpec, source: str, kind: str, frame: int = 0) -> SceneFile:
    target = output.targets(source, kind, 1, default_format(), OutputKind(_BYTES, _COLORS, frame=frame))[0]
    return SceneFile(target.path, target.format)
