"""A page in its file: a picture of any format, or SVG."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import OutputError, one_line
from convcli.core.frozen import frozen
from convcli.formats.base import Format
from convcli.formats.capacity import OutputKind, check
from convcli.formats.header import Coding, Metadata
from convcli.formats.registry import FORMATS
from convcli.pipeline.naming import OutputSpec
from convcli.visualize.scene import Scene, raster, svg

SVG: Final = "svg"
_SUFFIX: Final = ".svg"
_BYTES: Final = np.dtype(np.uint8)
_COLORS: Final = 3


@frozen
class PageFile:
    """Where a page goes: ``path`` is None for standard output, ``format`` None for SVG."""

    path: Path | None
    format: Format | None
    coding: Coding = Coding()

    @property
    def format_name(self) -> str:
        return self.format.name if self.format else SVG

    def encoded(self, scene: Scene) -> bytes:
        """The file."""
        if self.format is None:
            return svg(scene).encode("utf-8")
        check(self.format, OutputKind(_BYTES, _COLORS, rows=scene.height, columns=scene.width), self.path)
        pixels: Array = raster(scene)
        return self.format.encode(pixels, Metadata(coding=self.coding))


def plate(source: str, kind: str, spec: str | None, format_name: str | None) -> PageFile:
    """The place of a page of one input, by default ``{stem}.{kind}.png`` beside it.

    Args:
        kind: what stands for ``{kernel}`` in names, such as ``sheet``.
        spec, format_name: as `OutputSpec` takes them; ``svg`` is one format more.

    Raises:
        OutputError: an unknown suffix, or a format that holds no colors.
    """
    named = spec is not None and spec.casefold().endswith(_SUFFIX)
    wanted = (format_name or SVG * named).casefold()
    if wanted != SVG:
        if named:
            raise OutputError(
                f"{one_line(spec or '')}: the suffix {_SUFFIX} says svg, --format says {wanted}"
            )
        return _of(OutputSpec(spec, format_name), source, kind)
    spec = f"{spec[: -len(_SUFFIX)]}.png" if spec is not None and named else spec
    found = _of(OutputSpec(spec), source, kind)
    return PageFile(found.path and found.path.with_suffix(_SUFFIX), None)


def _of(output: OutputSpec, source: str, kind: str) -> PageFile:
    target = output.targets(source, kind, 1, FORMATS[0], OutputKind(_BYTES, _COLORS))[0]
    return PageFile(target.path, target.format)
