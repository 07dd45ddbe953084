"""Header and data units (HDUs) of a FITS file: found by their headers alone, and chosen by number or name.

FITS Standard 4.0: sections 3 (file), 4 (headers), 7.1 (image extensions) and 10 (compressed images).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any, Final

from convcli.core.errors import ArgumentError, ImageError, one_line, quoted, suggest
from convcli.core.frozen import frozen
from convcli.files.input import Input, Window
from convcli.formats.fits.library import astropy_fits

_BLOCK: Final = 2880
_CARD: Final = 80
_END: Final = b"END".ljust(_CARD)
_MOST_BLOCKS: Final = 2000
"""Blocks of a header, 72,000 cards; real ones have fewer than a hundred."""
_MOST_UNITS: Final = 10_000
_MOST_AXES: Final = 999  # section 4.4.1.1
_MOST_FIELDS: Final = 999  # section 7.3.1; astropy does some work for each, whether it is there or not
_SHOWN: Final = 8  # units that a note or an error lists

BYTES: Final = {8: 1, 16: 2, 32: 4, 64: 8, -32: 4, -64: 8}
"""Bytes of a value by BITPIX."""


@frozen(eq=False)
class Unit:
    """One header and data unit.

    Attributes:
        number: from 0, that of the primary one.
        name: its EXTNAME, or empty.
        version: its EXTVER.
        header: as astropy parses it.
        begin: place of the first byte of its data.
        size: bytes of its data, without padding.
    """

    number: int
    name: str
    version: int
    header: Any
    begin: int
    size: int

    @property
    def is_compressed(self) -> bool:
        """Whether it is a table that holds a compressed image."""
        return self.header.get("ZIMAGE") is True

    @property
    def prefix(self) -> str:
        """What precedes the keywords of the image's sizes and type: ``Z`` in a compressed one."""
        return "Z" if self.is_compressed else ""

    @property
    def bitpix(self) -> int:
        return _integer(self.header, f"{self.prefix}BITPIX")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Of the image's axes as the file has them, columns first; empty where there is no image."""
        kind = str(self.header.get("XTENSION", "IMAGE")).strip()
        if not (kind == "IMAGE" or self.is_compressed) or self.header.get("GROUPS") is True:
            return ()
        sizes = _sizes(self.header, self.prefix)
        return sizes if all(sizes) else ()

    def __str__(self) -> str:
        """``1 (SCI)``; ``4 (SCI,2)``."""
        version = f",{self.version}" if self.version != 1 else ""
        return f"{self.number} ({self.name}{version})" if self.name else str(self.number)


def units_of(source: Input) -> list[Unit]:
    """Every unit of a file, up to one whose header is damaged.

    Raises:
        ImageError: the header of the first one is damaged.
    """
    units: list[Unit] = []
    try:
        for unit in _walk(source):
            units.append(unit)
            if len(units) == _MOST_UNITS:
                break
    except Exception:  # an edited header fails in many ways
        if not any(unit.sizes for unit in units):
            raise
    return units


def _walk(source: Input) -> Iterator[Unit]:
    data, place, number = source.window(), 0, 0
    while place < source.size:
        header, begin = _header(data, place, source.size)
        _check_fields(header)
        size = _data_size(header)
        name = one_line(str(header.get("EXTNAME", "")).strip())
        version = header.get("EXTVER", 1)
        yield Unit(number, name, version if isinstance(version, int) else 1, header, begin, size)
        place, number = begin + -(-size // _BLOCK) * _BLOCK, number + 1


def _header(data: bytes | Window, place: int, size: int) -> tuple[Any, int]:
    """The header at a place, and where the data begin that follow it."""
    blocks = b""
    for begin in range(place, min(place + _MOST_BLOCKS * _BLOCK, size), _BLOCK):
        block = data[begin : begin + _BLOCK]
        blocks += block
        if any(block[card : card + _CARD] == _END for card in range(0, _BLOCK, _CARD)):
            return astropy_fits().Header.fromstring(blocks), begin + _BLOCK
    raise ImageError("damaged fits: a header has no end")


def _check_fields(header: Any) -> None:
    """Refuse a table of more columns than there can be."""
    fields = _integer(header, "TFIELDS") if "TFIELDS" in header else 0
    if not 0 <= fields <= _MOST_FIELDS:
        raise ImageError(f"damaged fits: a table of {fields} columns; allowed: up to {_MOST_FIELDS}")


def _data_size(header: Any) -> int:
    """Bytes of the data that a header announces (section 4.4.1)."""
    sizes = _sizes(header, "")
    groups = header.get("GROUPS") is True
    values = prod(sizes[1:] if groups else sizes) if sizes else 0
    extra, count = (header.get(key, default) for key, default in (("PCOUNT", 0), ("GCOUNT", 1)))
    return abs(BYTES[_integer(header, "BITPIX")] * int(count) * (int(extra) + values))


def _sizes(header: Any, prefix: str) -> tuple[int, ...]:
    axes = _integer(header, f"{prefix}NAXIS")
    if not 0 <= axes <= _MOST_AXES:
        raise ImageError(f"damaged fits: {axes} axes")
    sizes = tuple(_integer(header, f"{prefix}NAXIS{axis}") for axis in range(1, axes + 1))
    if min(sizes, default=0) < 0:
        raise ImageError(f"damaged fits: an axis of {min(sizes)} values")
    return sizes


def _integer(header: Any, key: str) -> int:
    value = header.get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ImageError(f"damaged fits: its header has no valid {key}")
    if key.endswith("BITPIX") and value not in BYTES:
        raise ImageError(f"damaged fits: BITPIX is {value}; allowed: {', '.join(map(str, BYTES))}")
    return value


def chosen(units: Sequence[Unit], wanted: str) -> Unit:
    """The unit that ``--hdu`` names by number, name, or name and version; the first image if it is empty.

    Raises:
        ArgumentError: there is none, or it holds no image.
    """
    images = [unit for unit in units if unit.sizes]
    if not images:
        raise ImageError(f"fits without an image: {_counted(units)}, tables or empty")
    if not wanted:
        return images[0]
    name, _, version = wanted.casefold().partition(",")
    for unit in units:
        is_it = wanted == str(unit.number) or (
            unit.name.casefold() == name and version in ("", str(unit.version))
        )
        if is_it and unit.sizes:
            return unit
        if is_it and wanted == str(unit.number):
            raise ArgumentError(f"--hdu {wanted}: HDU {unit} holds no image; images: {listed(images)}")
    close = suggest(wanted, [unit.name for unit in images if unit.name])
    raise ArgumentError(f"--hdu {quoted(wanted)}: there is no such HDU; images: {listed(images)}{close}")


def _counted(units: Sequence[Unit]) -> str:
    return f"{len(units)} HDU{'s' * (len(units) != 1)}"


def listed(images: Sequence[Unit]) -> str:
    """``1 (SCI), 2 (ERR), 3 (DQ)``."""
    more = f" and {len(images) - _SHOWN} more" if len(images) > _SHOWN else ""
    return ", ".join(str(unit) for unit in images[:_SHOWN]) + more
