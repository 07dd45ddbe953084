"""Compressed images of FITS files, decoded by astropy some rows of tiles at a time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod
from threading import Lock
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array
from convcli.core.errors import ImageError
from convcli.core.frozen import frozen
from convcli.core.patterns import pattern
from convcli.files.input import Input
from convcli.formats.decoding import decoder_errors
from convcli.formats.fits.library import astropy_fits
from convcli.formats.fits.scaling import Scaling
from convcli.formats.fits.tile_data import ITEMS, check_tile
from convcli.formats.fits.units import BYTES, Unit
from convcli.formats.header import Header
from convcli.formats.readers import Reader

_KEPT: Final = 4  # bands of tiles that are kept decoded
_BAND: Final = 2**20
"""Bytes of tiles, above each other, that are decoded in one call, because each call takes a millisecond."""
_LARGEST: Final = 2**29
"""Bytes of a row of tiles, which is decoded at once."""
_METHODS: Final = ("RICE_1", "RICE_ONE", "GZIP_1", "GZIP_2", "PLIO_1", "HCOMPRESS_1", "NOCOMPRESS")


_PARAMETERS: Final = {"BLOCKSIZE": (16, 32), "BYTEPIX": (1, 2, 4, 8)}
_DESCRIPTOR: Final = r"\d*[PQ]([A-Z])"


@frozen(eq=False)
class _Column:
    """A column of tiles.

    Attributes:
        method: of the compression; empty if there is none.
        letter: of the type of its elements.
        places: (number of elements, place in the heap) of each tile.
    """

    method: str
    letter: str
    places: Array


class TileReader(Reader):
    """The frames of a compressed image; rows are turned upside down, because FITS starts at the bottom."""

    def __init__(self, source: Input, unit: Unit, header: Header, scaling: Scaling) -> None:
        self.source, self.unit, self.header, self.scaling = source, unit, header, scaling
        self.sizes = unit.sizes[::-1]
        self.tile = _tile_sizes(unit)[::-1]
        self.high = self.tile[-2] if len(self.tile) > 1 else 1
        least = _BAND // max(self.high * header.columns * prod(self.tile[:-2]) * BYTES[unit.bitpix], 1)
        self.height = self.high * max(least, 1)
        self.decoding = Lock()
        self.kept: dict[tuple[int, int], Array] = {}
        self.opened: Any = None
        self.columns: list[_Column] = []
        if self.memory // _KEPT > _LARGEST:
            raise ImageError(
                f"fits whose tiles have {self.memory // _KEPT} bytes in a row; allowed: {_LARGEST} "
                "(funpack decompresses the file)"
            )

    @property
    def memory(self) -> int:
        depth = prod(self.tile[:-2])  # astropy decodes whole tiles, also of one frame
        return _KEPT * depth * self.height * self.header.columns * BYTES[self.unit.bitpix]

    @property
    def block(self) -> tuple[int, int]:
        return self.height, self.header.columns

    def rows(self, frame: int, first: int, last: int) -> Array:
        below, above = self.header.rows - last, self.header.rows - first
        bands = range(below // self.height, -(-above // self.height))
        with self.decoding:
            parts = [self._band(frame, band) for band in bands]
        begin = below - bands.start * self.height
        stored = np.concatenate(parts)[begin : begin + last - first] if parts else parts
        return self.scaling.pixels(np.asarray(stored)[::-1, :, None])

    def _band(self, frame: int, band: int) -> Array:
        """Tiles above each other, (rows, columns) as stored."""
        if (frame, band) not in self.kept:
            with decoder_errors("fits", f"tiles of rows from {band * self.height} on"):
                stored = self._decoded(frame, band)
            while len(self.kept) >= _KEPT:
                del self.kept[next(iter(self.kept))]
            self.kept[frame, band] = stored
        return self.kept[frame, band]

    def _decoded(self, frame: int, band: int) -> Array:
        if self.opened is None:
            self.opened = self._open()
            self.columns = self._columns(self.opened)
        at = np.unravel_index(frame, self.sizes[:-2]) if len(self.sizes) > 2 else ()
        first = band * self.height
        last = min(first + self.height, self.header.rows)
        for tile in self._tiles([int(index) for index in at], band):
            for column in self.columns:
                self._check(column, tile)
        where = (*(int(index) for index in at), slice(first, last))
        section = self.opened.section[where if len(self.sizes) > 1 else slice(None)]
        return np.asarray(section).reshape(last - first, self.header.columns)

    def _open(self) -> Any:
        """The unit as astropy opens it."""
        file = astropy_fits().open(self.source.handle(), memmap=False, do_not_scale_image_data=True)
        unit = file[self.unit.number]
        if unit.shape != self.sizes:
            raise ImageError("damaged fits: the sizes of a compressed image contradict each other")
        return unit

    def _columns(self, unit: Any) -> list[_Column]:
        """The columns that hold compressed tiles."""
        table, method = unit.compressed_data, str(self.unit.header["ZCMPTYPE"]).strip()
        methods = {"COMPRESSED_DATA": method, "GZIP_COMPRESSED_DATA": "GZIP_1", "UNCOMPRESSED_DATA": ""}
        found = []
        for name in methods.keys() & set(table.names):
            letter = pattern(_DESCRIPTOR).match(str(table.columns[name].format))
            if letter is None or letter[1] not in ITEMS:
                raise ImageError(f"damaged fits: the column {name} holds no tiles")
            found.append(_Column(methods[name], letter[1], np.asarray(table[name])))
        return found

    def _check(self, column: _Column, tile: int) -> None:
        """Refuse a tile outside the unit's data, and data that a decoder must not see."""
        header = self.unit.header
        length, offset = (int(number) for number in column.places[tile])
        size = length * ITEMS[column.letter]
        begin = int(header.get("THEAP", header["NAXIS1"] * header["NAXIS2"])) + offset
        if min(length, offset, begin) < 0 or (size and begin + size > self.unit.size):
            raise ImageError(f"damaged fits: tile {tile} lies outside the data of its HDU")
        data = bytes(self.source.part(self.unit.begin + begin, size))
        pixels = prod(self._tile_shape(tile))
        check_tile(column.method, column.letter, data, pixels, BYTES[self.unit.bitpix])

    def _tile_shape(self, tile: int) -> list[int]:
        """The sizes of a tile; those at the end of an axis are smaller."""
        counts = [-(-size // most) for size, most in zip(self.sizes, self.tile, strict=True)]
        place = np.unravel_index(tile, counts)
        axes = zip(self.sizes, self.tile, place, strict=True)
        return [min(most, size - int(index) * most) for size, most, index in axes]

    def _tiles(self, at: list[int], band: int) -> Iterator[int]:
        """The numbers of the tiles of a band."""
        counts = [-(-size // tile) for size, tile in zip(self.sizes, self.tile, strict=True)]
        place = [[index // tile] for index, tile in zip(at, self.tile, strict=False)]
        if len(self.sizes) > 1:
            first = band * self.height // self.high
            place += [list(range(first, min(first + self.height // self.high, counts[-2])))]
        for tile in product(*place, range(counts[-1])):
            yield int(np.ravel_multi_index(tile, counts))


def _tile_sizes(unit: Unit) -> tuple[int, ...]:
    """Of the tiles, columns first; by default a tile is a row (section 10.1.2).

    Raises:
        ImageError: a size or a compression that is not read.
    """
    method = str(unit.header.get("ZCMPTYPE", "")).strip()
    if method not in _METHODS:
        raise ImageError(f"fits with compression {method!r}; allowed: {', '.join(_METHODS)}")
    _check_parameters(unit)
    sizes = []
    for axis, size in enumerate(unit.sizes):
        tile = unit.header.get(f"ZTILE{axis + 1}", size if axis == 0 else 1)
        if isinstance(tile, bool) or not isinstance(tile, int) or tile < 1:
            raise ImageError(f"damaged fits: a tile of {tile!r} values")
        sizes.append(min(tile, size))
    return tuple(sizes)


def _check_parameters(unit: Unit) -> None:
    """Refuse sizes of blocks and values that the decoder of RICE does not survive (section 10.4.1)."""
    number = 1
    while (name := unit.header.get(f"ZNAME{number}")) is not None:
        value = unit.header.get(f"ZVAL{number}")
        allowed = _PARAMETERS.get(str(name).strip().upper())
        if allowed is not None and (isinstance(value, bool) or value not in allowed):
            raise ImageError(f"damaged fits: {name} is {value}; allowed: {', '.join(map(str, allowed))}")
        number += 1
