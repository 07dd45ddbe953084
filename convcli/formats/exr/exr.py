"""OpenEXR: scan lines and tiles of any channels, in one part or several; written in scan lines."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Final

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.errors import one_line
from convcli.core.frozen import frozen
from convcli.files.input import Input
from convcli.formats.base import Run, StreamedFormat
from convcli.formats.encoders import BandEncoder, Encoder, band_rows
from convcli.formats.exr.carried import attributes, stated_metadata
from convcli.formats.exr.chunks import check_chunks
from convcli.formats.exr.encoder import LINES, ExrEncoder
from convcli.formats.exr.headers import HEAD, MAGIC, Part, parts
from convcli.formats.exr.library import check_installed
from convcli.formats.exr.reader import ExrRows
from convcli.formats.exr.selection import Selection, selected, written_names
from convcli.formats.header import Coding, Header, Layout, Metadata
from convcli.formats.metadata import with_metadata
from convcli.formats.readers import Reader

_LISTED: Final = 12
_ASSOCIATED: Final = "colors are multiplied by alpha, as in every exr, so alpha is filtered like them"


class Exr(StreamedFormat):
    """OpenEXR; half floats, floats and 32-bit integers, compressed without loss (ZIP)."""

    extra = "exr"
    suggested = False
    any_channels = True
    max_channels = 1024
    has_named_channels = True
    takes_light = True

    def sniff(self, head: bytes) -> bool:
        return head.startswith(MAGIC)

    def header(self, data: bytes) -> Header:
        return self.open(Input(data=data))[0][0]

    def decode(self, data: bytes, header: Header) -> Array:
        reader = self.open(Input(data=data))[0][1]
        assert reader is not None
        return reader.rows(0, 0, header.rows)

    def open(self, source: Input) -> list[Run]:
        """The parts that are read, those that are alike and follow each other as frames."""
        found = parts(source.head(HEAD))
        chosen = selected(found, source.axes)
        runs: list[Run] = []
        for _, group in groupby(chosen, key=_kind):
            pages = [ExrRows(source, *page, several=len(found) > 1) for page in group]
            part, selection = pages[0].part, pages[0].selection
            check_chunks(part)
            header = self._header(part, selection, len(pages), sum(run.frames for run, _ in runs))
            runs.append((header, pages[0] if len(pages) == 1 else _Pages(pages)))
        return runs

    def _header(self, part: Part, selection: Selection, frames: int, first: int) -> Header:
        channels = len(selection.names)
        header = Header(
            self.name,
            part.rows,
            part.columns,
            channels,
            selection.dtype,
            frames,
            first,
            notes=tuple(_notes(part, selection)),
            bands=channels > 1 and not (selection.is_image and channels == 3),
            linear=True,
        )
        return with_metadata(header, stated_metadata(part, selection))

    def holds(self, dtype: DType, channels: int, frames: int = 1) -> bool:
        return frames == 1 and dtype in (np.float16, np.float32, np.uint32)

    def metadata_limits(self, channels: int) -> Mapping[str, int]:
        return dict.fromkeys(("resolution", "measures", "screen"), 0)

    def encoder(self, layout: Layout, metadata: Metadata) -> Encoder:
        check_installed()
        stated = [measure.name for measure in metadata.measures or ()]
        names = written_names(stated, layout.channels)
        encoder = ExrEncoder(layout, names, attributes(layout, metadata))
        return BandEncoder(encoder, layout, self.band_height(layout, metadata.coding))

    def band_height(self, layout: Layout, coding: Coding) -> int:
        return max(band_rows(layout), LINES)


def _kind(page: tuple[Part, Selection]) -> tuple[object, ...]:
    """What frames have in common."""
    part, selection = page
    return part.rows, part.columns, selection, stated_metadata(part, selection)


def _notes(part: Part, selection: Selection) -> list[str]:
    """How a part is read."""
    notes = []
    names = list(map(one_line, selection.names))
    if selection.is_image and len(names) in (2, 4):
        notes.append(_ASSOCIATED)
    elif not selection.is_image:
        listed = ", ".join(names[:_LISTED]) + ", …" * (len(names) > _LISTED)
        notes.append(f"{len(names)} channels: {listed} (--axes c=NAME chooses some)")
    if selection.is_converted:
        notes.append(f"its channels have several types; all are read as {selection.dtype}")
    if part.window != part.display:
        left, top, right, bottom = part.window
        notes.append(f"the pixels are {left},{top} to {right},{bottom} of a screen of another size")
    return notes


@frozen(eq=False)
class _Pages(Reader):
    """Parts that are alike."""

    pages: list[ExrRows]

    @property
    def memory(self) -> int:
        return sum(page.memory for page in self.pages)

    def rows(self, frame: int, first: int, last: int) -> Array:
        return self.pages[frame].rows(frame, first, last)
