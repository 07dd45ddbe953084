"""The value of missing data in the attributes of an array, as the CF conventions and xarray have it.

The fill value of an array is another thing: what chunks that are absent consist of.
"""

from __future__ import annotations

import struct
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, Final

from convcli.core.dtypes import DType

FILL_VALUE: Final = "_FillValue"
_NAMES: Final = (FILL_VALUE, "missing_value")


def stated_nodata(attributes: Mapping[str, Any]) -> float | None:
    """The value of missing data that an array states, or None."""
    stated = (_number(attributes.get(name)) for name in _NAMES)
    return next((value for value in stated if value is not None), None)


def _number(value: Any) -> float | None:
    """A number, the text of one, or the eight bytes of one in base 64, as xarray writes floats."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        pass
    try:
        (number,) = struct.unpack("<d", b64decode(str(value), validate=True))
    except (ValueError, struct.error):
        return None
    return float(number)


def nodata_attributes(value: float | None, dtype: DType) -> dict[str, Any]:
    """The attribute for a value of missing data; empty for None."""
    if value is None:
        return {}
    if dtype.kind in "iu":
        return {FILL_VALUE: int(value)}
    return {FILL_VALUE: b64encode(struct.pack("<d", value)).decode()}
