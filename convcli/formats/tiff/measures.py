"""GDAL's metadata, tag 42112: names, units, scales and offsets of bands, read and written."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any, Final
from xml.sax.saxutils import escape

from convcli.core.frozen import replace
from convcli.formats.calibration import Measure
from convcli.formats.metadata import MAX_BLOCK_BYTES

TAG: Final = 42112
_FIELDS: Final = {"description": "name", "unittype": "unit", "scale": "scale", "offset": "offset"}
"""Fields of `Measure` by the roles of items."""
_NUMBERS: Final = ("scale", "offset")


def measures(text: str | None, bands: int) -> tuple[tuple[Measure, ...] | None, bool]:
    """What the values of each band stand for, or None; and whether there is more, or damage."""
    if not text:
        return None, False
    from xml.etree import ElementTree  # imported only for such files

    found, more = [Measure()] * bands, len(text) > MAX_BLOCK_BYTES
    try:
        items = [] if more else list(ElementTree.fromstring(text.rstrip("\0")))
    except (ElementTree.ParseError, ValueError):
        return None, True
    for item in items:
        field, band = _FIELDS.get(item.get("role", "")), item.get("sample", "")
        value = _value(field, item.text or "")
        if value is None or not band.isdecimal() or not int(band) < bands:
            more = True
        else:
            found[int(band)] = replace(found[int(band)], **{str(field): value})
    return (tuple(found) if any(one != Measure() for one in found) else None), more


def _value(field: str | None, text: str) -> Any:
    """The value of a field of `Measure`; None if the text states none."""
    if field not in _NUMBERS:
        return text if field else None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None


def measures_text(stated: Sequence[Measure]) -> str:
    """The XML of GDAL for what the values of bands stand for."""
    items = [
        f'  <Item name="{role.upper()}" sample="{band}" role="{role}">{escape(_text(one, field))}</Item>\n'
        for band, one in enumerate(stated)
        for role, field in _FIELDS.items()
        if getattr(one, field) != getattr(Measure(), field)
    ]
    return f"<GDALMetadata>\n{''.join(items)}</GDALMetadata>\n"


def _text(measure: Measure, field: str) -> str:
    value = getattr(measure, field)
    return repr(value) if field in _NUMBERS else str(value)
