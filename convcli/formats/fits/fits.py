"""FITS images, plain, compressed in tiles or by gzip: read by rows from the bottom up; not written."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from math import prod
from typing import Final

from convcli.core.dtypes import Array, DType
from convcli.core.errors import ImageError
from convcli.files.input import Input
from convcli.formats.base import Format, Run
from convcli.formats.fits.scaling import scaling_of
from convcli.formats.fits.tiles import TileReader
from convcli.formats.fits.units import Unit, chosen, listed, units_of
from convcli.formats.header import LINES, Header, Metadata
from convcli.formats.raw import RawRows

_START: Final = b"SIMPLE  ="
_GZIP: Final = b"\x1f\x8b"
_UNPACKED: Final = 2**30
"""Bytes of a gzip file that is unpacked in memory."""
_ANY: Final = 2**28
"""Bytes that a gzip file of any size may unpack to."""
_PLAUSIBLE: Final = 200
"""Bytes that a byte of a larger one may stand for; images, even of few values, have far fewer."""
_COORDINATES: Final = ("CTYPE1", "CRVAL1", "CD1_1", "CDELT1", "PC1_1")

UPWARDS: Final = "rows are read from the bottom up, as viewers of FITS show them: row 0 is the file's last"


class Fits(Format):
    """Flexible Image Transport System (4.0): one image HDU, whose third and further axes are frames."""

    extra = "fits"
    writable = False
    has_hdus = True

    def sniff(self, head: bytes) -> bool:
        if head.startswith(_GZIP):
            try:
                head = zlib.decompressobj(31).decompress(head)
            except zlib.error:
                return False
        return head.startswith(_START)

    def header(self, data: bytes) -> Header:
        return self.open(Input(data=data))[0][0]

    def open(self, source: Input) -> list[Run]:
        wanted = source.hdu
        if source.head(2) == _GZIP:
            source = Input(data=_unpacked(source.read()))
        units = units_of(source)
        unit = chosen(units, wanted)
        scaling = scaling_of(unit)
        columns, rows, *others = (*unit.sizes, 1)[: max(len(unit.sizes), 2)]
        metadata = Metadata(nodata=scaling.nodata, signal=LINES if len(unit.sizes) == 1 else "")
        images = [one for one in units if one.sizes]
        notes = (
            *((UPWARDS,) if rows > 1 else ()),
            *((f"HDU {unit} of images {listed(images)}; --hdu chooses another",) if len(images) > 1 else ()),
            *scaling.notes,
            *_left_out(unit),
        )
        header = Header(
            self.name, rows, columns, 1, scaling.pixel, prod(others), metadata=metadata, notes=notes
        )
        if source.size < unit.begin + unit.size:
            there = max(source.size - unit.begin, 0)
            raise ImageError(f"damaged fits: HDU {unit} has {there} of {unit.size} bytes of data")
        if unit.is_compressed:
            return [(header, TileReader(source, unit, header, scaling))]
        return [(header, _Rows(source, unit.begin, header, scaling.stored, scaling.pixels, upwards=True))]

    def decode(self, data: bytes, header: Header) -> Array:
        return next(self.frames(data, header))

    def frames(self, data: bytes, header: Header) -> Iterator[Array]:
        """Each frame of the first image."""
        ((_, reader),) = self.open(Input(data=data))
        assert reader is not None
        for frame in range(header.frames):
            yield reader.rows(frame, 0, header.rows)

    def holds(self, dtype: DType, channels: int, frames: int = 1) -> bool:
        return False


class _Rows(RawRows):
    """Reads uncompressed rows."""

    @property
    def memory(self) -> int:
        """Bytes of a file that was unpacked in memory."""
        return self.source.size if self.source.contents is None else 0


def _unpacked(data: bytes) -> bytes:
    """The contents of a gzip file.

    Raises:
        ImageError: there are more than is unpacked in memory, or the file is truncated.
    """
    most = min(_UNPACKED, max(_ANY, _PLAUSIBLE * len(data)))
    stream, rest, size = zlib.decompressobj(31), data, 0
    while rest and not stream.eof:
        size += len(stream.decompress(rest, 2**20))
        rest = stream.unconsumed_tail
        if size > most:
            raise ImageError(f"fits of more than {most >> 20} MiB in gzip; unpack it first (gunzip)")
    if not stream.eof:
        raise ImageError("damaged fits: it is truncated")
    return zlib.decompressobj(31).decompress(data, size + 1)


def _left_out(unit: Unit) -> tuple[str, ...]:
    """A note on what a result cannot say."""
    if not any(key in unit.header for key in _COORDINATES):
        return ()
    return ("left out of this fits: its world coordinates (CRPIX, CRVAL, CD, …)",)
