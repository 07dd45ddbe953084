"""TODO."""

from __future__ import annotations

from typing import Final

from convcli.core.frozen import frozen
from convcli.formats.header import Coding
from convcli.geometry.padding import Padding
from convcli.kernels.kernel import Kernel
from convcli.pipeline.mapping import Mapping
from convcli.pipeline.naming import OutputSpec

GRAY: Final = "gray"
"""The colour map that leaves pixels as they are."""


PHOTOGRAPH: Final = Padding.parse("same:reflect")


@frozen(eq=False)
class Settings:
    """What to do with every picture of a run; the words are those of the command line.

    ``frames`` are those of a file of several, ``stack`` puts all maps into one file, as pages of a TIFF
    or channels of an array, ``colormap`` colours maps of one channel, and ``notes`` go into every report.
    """

    kernel: Kernel
    stride: tuple[int, ...] = (1, 1)
    padding: Padding = PHOTOGRAPH
    dilation: tuple[int, ...] = (1, 1)
    flip: bool = False
    channels: str | None = None
    groups: int = 1
    mapping: Mapping = Mapping()
    output: OutputSpec = OutputSpec()
    force: bool = False
    double: bool = False
    method: str = "auto"
    threads: int | None = None
    max_pixels: int | None = None
    max_memory: int | None = None
    alpha: str | None = None
    linear: bool = False
    depth: str | None = None
    strip: bool = False
    frames: slice = slice(None)
    stack: bool = False
    colormap: str = "gray"
    coding: Coding = Coding()
    notes: tuple[str, ...] = ()
