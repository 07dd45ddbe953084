"""Where painted pixels go: the contract, and the sink that keeps them in memory."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from convcli.core.dtypes import Array
from convcli.formats.header import Layout
from convcli.geometry.axes import Strip


class PixelSink(Protocol):
    """Takes the pixels of images, strip by strip and from several threads."""

    layout: Layout

    def place(self, frame: int, strip: Strip) -> Array:
        """Memory for the pixels of a strip, (rows, columns, channels), to be filled."""

    def done(self, frame: int, strip: Strip) -> None:
        """Take a strip whose memory has been filled."""


class MemorySink:
    """Keeps all pixels.

    Attributes:
        images: (frames, rows, columns, channels) of the layout's type; new memory if none is given.
    """

    def __init__(self, layout: Layout, images: Array | None = None) -> None:
        self.layout = layout
        self.images: Array = (
            np.empty((layout.frames, *layout.shape), layout.dtype) if images is None else images
        )

    def place(self, frame: int, strip: Strip) -> Array:
        """The strip's part of the images."""
        part: Array = self.images[frame, slice(*strip.rows), slice(*strip.columns)]
        return part

    def done(self, frame: int, strip: Strip) -> None:
        """Do nothing: the pixels are already in place."""
