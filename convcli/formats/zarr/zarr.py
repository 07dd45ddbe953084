"""Zarr, versions 2 and 3, sharded arrays and OME-Zarr: arrays of chunks in a folder or an object store.

Only what a window covers is read. The axes of a plane are those called y and x, or the last two; the last one
of all is that of channels if it is called so; every other axis is one of frames, the slowest first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.errors import ImageError, OutputError
from convcli.files.input import Input
from convcli.formats.base import FilelessFormat, Run
from convcli.formats.encoders import Encoder
from convcli.formats.header import Header, Layout, Metadata
from convcli.formats.zarr.axes import MOST_CHANNELS, ZarrAxes, parse_axes
from convcli.formats.zarr.documents import Located, is_complete, located
from convcli.formats.zarr.georeference import stated_georeference
from convcli.formats.zarr.library import check_installed, opened_array
from convcli.formats.zarr.nodata import stated_nodata
from convcli.formats.zarr.objects import Objects
from convcli.formats.zarr.pixels import pixel_axes
from convcli.formats.zarr.reader import ZarrReader

_TYPES: Final = (
    "uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64",
)  # fmt: skip
_NARROW: Final[Mapping[str, DType]] = {
    "int64": np.dtype(np.int32),
    "uint64": np.dtype(np.uint32),
    "bool": np.dtype(np.uint8),
}
"""Types that pixels do not have, and those as which they are read."""


class Zarr(FilelessFormat):
    """A folder, or the objects below a URL; never a single file."""

    why_no_file = "zarr is a folder or a URL, not a file"
    extra = "zarr"
    suggested = False
    has_levels = True
    is_store = True
    any_channels = True
    max_channels = MOST_CHANNELS
    is_array = True

    def open(self, source: Input) -> list[Run]:
        if source.store is None:
            self.refuse_bytes()
        found = opened_zarr(source)
        return [(header_of(self.name, found), found.reader)]

    def holds(self, dtype: DType, channels: int, frames: int = 1) -> bool:
        return dtype.name in _TYPES

    def metadata_limits(self, channels: int) -> Mapping[str, int]:
        return {"axes": 0, "ground": 0, "nodata": 0}

    def encode(self, pixels: Array, metadata: Metadata) -> bytes:
        raise ImageError("zarr holds results, not drawings; use .png, or another format")

    def encoder(self, layout: Layout, metadata: Metadata) -> Encoder:
        raise OutputError("zarr is written in pieces, by convcli apply; choose another format here")


class OpenedZarr:
    """An array of a store and the frames that are selected of it."""

    def __init__(self, source: Input) -> None:
        assert source.store is not None
        check_installed()
        self.objects = Objects(source.store)
        self.located: Located = located(self.objects, source.level)
        facts = self.located.facts
        axes = ZarrAxes.of(self.located.names, facts.shape)
        self.axes = axes.select(parse_axes(source.axes)) if source.axes else axes
        name = facts.dtype.name
        self.dtype = _NARROW.get(name, facts.dtype.newbyteorder("="))
        path = self.located.array.path
        array, store = opened_array(self.objects, path, self.located.array.document, facts)
        self.reader = ZarrReader(array, store, self.located, self.axes, self.dtype)

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on how values are read."""
        name, notes = self.located.facts.dtype.name, list[str]()
        if name in _NARROW:
            notes.append(f"its {name} values are read as {'0 and 255' if name == 'bool' else self.dtype}")
        if not is_complete(self.located.array.attributes):
            notes.append("it is incomplete: convcli did not finish writing it")
        return tuple(notes)


def opened_zarr(source: Input) -> OpenedZarr:
    """The array of a store that `Input.axes` and `Input.level` select."""
    return OpenedZarr(source)


def header_of(name: str, found: OpenedZarr) -> Header:
    """The header of the selected frames."""
    axes, located = found.axes, found.located
    ground, lost = stated_georeference(located.placing_attributes)
    return Header(
        name,
        axes.rows,
        axes.columns,
        axes.channels,
        found.dtype,
        axes.frames,
        metadata=Metadata(
            axes=pixel_axes(located, axes),
            ground=ground,
            nodata=stated_nodata(located.array.attributes),
        ),
        notes=(*found.notes, *([lost] if lost else [])),
        bands=axes.channels > 1 and not axes.alpha and axes.channels != 3,
    )
