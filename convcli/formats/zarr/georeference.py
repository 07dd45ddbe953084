"""Georeferences of GeoTIFF as attributes of Zarr, by its spatial and proj conventions, and back.

The conventions name a coordinate system by its EPSG code alone or by a whole description. The keys of GeoTIFF
are stored beside them, since they also describe systems without a code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, Final

from convcli.core.patterns import pattern
from convcli.formats.calibration import Georeference
from convcli.formats.zarr.spatial import DIMENSIONS, REGISTRATION, TRANSFORM, plain_transform
from convcli.geometry.padding import Pair

_CODE, _WKT, _JSON = "proj:code", "proj:wkt2", "proj:projjson"
_KEYS: Final = "geotiff"
_DIRECTORY, _NUMBERS, _TEXT = "GeoKeyDirectoryTag", "GeoDoubleParamsTag", "GeoAsciiParamsTag"
_MODEL, _RASTER, _GEOGRAPHIC, _PROJECTED = 1024, 1025, 2048, 3072
_USER_DEFINED: Final = 32767
_EPSG: Final = pattern(r"EPSG:(\d{4,5})")
_MOST_KEYS: Final = 2**12

_GEOGRAPHIC_CODES: Final = (
    (3819, 3824), (3888, 3889), (3906, 3906), (4001, 4025), (4027, 4036), (4040, 4047), (4052, 4055),
    (4074, 4081), (4120, 4216), (4218, 4327), (4463, 4466), (4469, 4470), (4472, 4472), (4475, 4483),
    (4490, 4490), (4555, 4558), (4600, 4646), (4657, 4765), (4801, 4811), (4813, 4821), (4823, 4824),
    (6318, 6318), (7844, 7844), (9057, 9057), (9755, 9755),
)  # fmt: skip
_PROJECTED_CODES: Final = (
    (2000, 4327), (4390, 4882), (5070, 5070), (5514, 5514), (5880, 5880), (6350, 6350), (6931, 6933),
    (8857, 8859), (9377, 9377), (20047, 32766),
)  # fmt: skip
"""Codes of EPSG by the kind of system that they name, geographic ones first; others are not told apart."""

_CONVENTIONS: Final = (
    {
        "schema_url": "https://raw.githubusercontent.com/zarr-conventions/spatial/refs/tags/v1/schema.json",
        "spec_url": "https://github.com/zarr-conventions/spatial/blob/v1/README.md",
        "uuid": "689b58e2-cf7b-45e0-9fff-9cfc0883d6b4",
        "name": "spatial:",
        "description": "Spatial coordinate information",
    },
    {
        "schema_url": "https://raw.githubusercontent.com/zarr-experimental/geo-proj/refs/tags/v1/schema.json",
        "spec_url": "https://github.com/zarr-experimental/geo-proj/blob/v1/README.md",
        "uuid": "f17cb550-5864-4468-aeb7-f3180cfb622f",
        "name": "proj:",
        "description": "Coordinate reference system information for geospatial data",
    },
)
"""How attributes state which conventions they follow."""


def georeference_attributes(
    place: Georeference | None, names: tuple[str, str], sizes: Pair
) -> tuple[dict[str, Any], str]:
    """The attributes of an array for a georeference, and a note if a part of it cannot be stored.

    Args:
        place: of the result.
        names: of the axes of rows and columns.
        sizes: (rows, columns).
    """
    if place is None:
        return {}, ""
    made: dict[str, Any] = {}
    transform = _transform(place)
    if transform is not None:
        made |= {"zarr_conventions": [_CONVENTIONS[0]], DIMENSIONS: [*names], "spatial:shape": [*sizes]}
        made |= {TRANSFORM: transform, REGISTRATION: "node" if place.is_point else "pixel"}
    code = _stated_code(place.keys)
    if code is not None:
        made["zarr_conventions"] = [*made.get("zarr_conventions", []), _CONVENTIONS[1]]
        made[_CODE] = f"EPSG:{code}"
    if place.keys:
        made[_KEYS] = {_DIRECTORY: [*place.keys], _NUMBERS: [*place.numbers], _TEXT: place.text}
    lost = transform is None and bool(place.ties or place.scale or place.matrix)
    return made, "ground control points are left out: Zarr states one affine transform" if lost else ""


def _transform(place: Georeference) -> list[float] | None:
    """The affine transform from columns and rows to places, as rasterio has it; None if there is none."""
    if len(place.scale) >= 2 and len(place.ties) == 6:
        across, down = place.scale[:2]
        i, j, _, x, y, _ = place.ties
        return [across, 0.0, x - i * across, 0.0, -down, y + j * down]
    if len(place.matrix) == 16:
        a, b, _, c, d, e, _, f = place.matrix[:8]
        return [a, b, c, d, e, f]
    return None


def _entries(keys: Sequence[int]) -> dict[int, int]:
    """The keys of GeoTIFF whose value is a short integer."""
    rows = (keys[start : start + 4] for start in range(4, len(keys) - 3, 4))
    return {key: value for key, place, _, value in rows if place == 0}


def _stated_code(keys: Sequence[int]) -> int | None:
    """The EPSG code of the coordinate system, or None if it has none."""
    entries = _entries(keys)
    code = entries.get(_PROJECTED if entries.get(_MODEL) != 2 else _GEOGRAPHIC, _USER_DEFINED)
    return code if 1024 <= code < _USER_DEFINED else None


def stated_georeference(attributes: Mapping[str, Any]) -> tuple[Georeference | None, str]:
    """The georeference that attributes state, and a note if its coordinate system cannot be told.

    Args:
        attributes: of an array, and of its group where the array does not state them.
    """
    transform = plain_transform(attributes)
    keys, numbers, text = _stated_keys(attributes)
    code = _code(attributes)
    note = ""
    if keys and code is not None and code != _stated_code(keys):
        keys, numbers, text = (), (), ""  # which are those of another system
    if not keys:
        is_node = attributes.get(REGISTRATION) == "node"
        keys = _keys_of(code, _kind(attributes, code), is_node)
        is_stated = any(attributes.get(name) for name in (_CODE, _WKT, _JSON))
        if transform is not None and is_stated and not keys:
            note = "its coordinate system is left out: convcli knows EPSG codes of 2D systems, not this one"
    if transform is None:
        return (Georeference(keys=keys, numbers=numbers, text=text) if keys else None), note
    a, b, c, d, e, f = transform
    if b == d == 0 and a > 0 > e:
        place = Georeference((a, -e, 0.0), (0.0, 0.0, 0.0, c, f, 0.0), (), keys, numbers, text)
    else:
        matrix = (a, b, 0.0, c, d, e, 0.0, f, *(0.0,) * 7, 1.0)
        place = Georeference((), (), matrix, keys, numbers, text)
    return place, note


def _code(attributes: Mapping[str, Any]) -> int | None:
    """The EPSG code that attributes state, in short or within a description."""
    stated = attributes.get(_CODE)
    match = _EPSG.fullmatch(stated) if isinstance(stated, str) else None
    if match:
        return int(match[1])
    document = attributes.get(_JSON)
    named = document.get("id") if isinstance(document, Mapping) else None
    code = named.get("code") if isinstance(named, Mapping) and named.get("authority") == "EPSG" else None
    return code if type(code) is int else None


def _kind(attributes: Mapping[str, Any], code: int | None) -> int | None:
    """1 for a projected system, 2 for a geographic one, as key 1024 has it; None if unknown."""
    document, wkt = attributes.get(_JSON), attributes.get(_WKT)
    word = document.get("type") if isinstance(document, Mapping) else None
    word = str(word or (wkt if isinstance(wkt, str) else "")).lstrip().casefold()
    if word.startswith(("projectedcrs", "projcrs", "projcs")):
        return 1
    if word.startswith(("geographiccrs", "geogcrs", "geogcs")):
        return 2
    if code is None:
        return None
    if any(first <= code <= last for first, last in _GEOGRAPHIC_CODES):
        return 2
    return 1 if any(first <= code <= last for first, last in _PROJECTED_CODES) else None


def _keys_of(code: int | None, kind: int | None, is_node: bool) -> tuple[int, ...]:
    """The keys of GeoTIFF for a coordinate system and the place of its pixels; empty for nothing to say."""
    raster = (_RASTER, 0, 1, 2 if is_node else 1)
    if code is None or kind is None or not 1024 <= code < _USER_DEFINED:
        return (1, 1, 0, 1, *raster) if is_node else ()
    system = _PROJECTED if kind == 1 else _GEOGRAPHIC
    return (1, 1, 0, 3, _MODEL, 0, 1, kind, *raster, system, 0, 1, code)


def _stated_keys(attributes: Mapping[str, Any]) -> tuple[tuple[int, ...], tuple[float, ...], str]:
    """The tags 34735 to 34737 that `georeference_attributes` stored; empty where they are damaged."""
    stated = attributes.get(_KEYS)
    if not isinstance(stated, Mapping):
        return (), (), ""
    keys, numbers, text = stated.get(_DIRECTORY), stated.get(_NUMBERS), stated.get(_TEXT)
    if not (isinstance(keys, list) and isinstance(numbers, list) and isinstance(text, str)):
        return (), (), ""
    sound = (
        len(keys) + len(numbers) <= _MOST_KEYS
        and all(type(key) is int and 0 <= key < 2**16 for key in keys)
        and all(isinstance(number, int | float) and isfinite(number) for number in numbers)
        and text.isascii()
        and "\0" not in text
    )
    return (tuple(keys), tuple(map(float, numbers)), text) if sound else ((), (), "")
