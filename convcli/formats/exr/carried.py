"""What an OpenEXR file says beside its pixels, and its result says too."""

from __future__ import annotations

import math
import struct
from typing import Final

from convcli.formats.calibration import Measure, Screen
from convcli.formats.exr.headers import Attributes, Part
from convcli.formats.exr.selection import DEFAULT_NAMES, Selection
from convcli.formats.header import Layout, Metadata
from convcli.formats.metadata import METERS_PER_INCH

_OWN: Final = frozenset(
    (
        "channels", "chunkCount", "compression", "dataWindow", "deepImageState", "displayWindow",
        "dwaCompressionLevel", "lineOrder", "maxSamplesPerPixel", "multiView", "name", "pixelAspectRatio",
        "preview", "tiles", "type", "version", "view", "xDensity",
    )
)  # fmt: skip
"""Attributes that say how pixels are stored, or that are told otherwise."""

_MOST: Final = 2**20  # bytes of all attributes that are carried

_CENTER, _WIDTH = "screenWindowCenter", "screenWindowWidth"
_USUAL: Final = {_CENTER: ("v2f", bytes(8)), _WIDTH: ("float", struct.pack("<f", 1))}


def stated_metadata(part: Part, selection: Selection) -> Metadata:
    """The metadata of a part, of which channels are read."""
    aspect, density = _number(part, "pixelAspectRatio") or 1.0, _number(part, "xDensity")
    others = {name: value for name, value in part.attributes.items() if name not in _OWN}
    if sum(len(value) for _, value in others.values()) > _MOST:
        others = {}
    carried = tuple((name, *value) for name, value in others.items() if _USUAL.get(name) != value)
    is_plain = part.window == part.display
    screen = Screen(part.window[:2], None if is_plain else part.display, aspect, carried)
    default = DEFAULT_NAMES.get(len(selection.names))
    names = None if selection.names == default else tuple(Measure(name) for name in selection.names)
    return Metadata(
        resolution=(density / METERS_PER_INCH, density * aspect / METERS_PER_INCH) if density else None,
        measures=names,
        screen=None if is_plain and aspect == 1 and not carried else screen,
    )


def attributes(layout: Layout, metadata: Metadata) -> Attributes:
    """The attributes of a result, but those of its channels and compression."""
    screen = metadata.screen or Screen()
    left, top = screen.origin if screen.display else (0, 0)
    window = (left, top, left + layout.columns - 1, top + layout.rows - 1)
    aspect, fields = screen.aspect, {name: (kind, value) for name, kind, value in screen.attributes}
    if metadata.resolution:
        across, down = metadata.resolution
        aspect = down / across
        fields["xDensity"] = ("float", struct.pack("<f", across * METERS_PER_INCH))
    return {
        **_USUAL,
        **fields,
        "dataWindow": ("box2i", struct.pack("<4i", *window)),
        "displayWindow": ("box2i", struct.pack("<4i", *(screen.display or window))),
        "pixelAspectRatio": ("float", struct.pack("<f", aspect)),
    }


def _number(part: Part, name: str) -> float | None:
    """A positive number that an attribute states, or None."""
    kind, value = part.attributes.get(name, ("", b""))
    if kind != "float" or len(value) != 4:
        return None
    (number,) = struct.unpack("<f", value)
    return number if math.isfinite(number) and number > 0 else None
