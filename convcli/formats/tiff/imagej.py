"""ImageJ's own metadata, tag 50839: labels of slices and lookup tables of channels, read and written."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from convcli.formats.calibration import Axes
from convcli.formats.metadata import MAX_BLOCK_BYTES

_TAG: Final = 50839
_LABELS, _TABLES = "Labels", "LUTs"
_TABLE_SHAPE: Final = (3, 256)


def _fields(page: Any) -> dict[str, Any]:
    """What the tag says; empty where it is missing, too long or damaged."""
    try:
        tag = page.tags.get(_TAG)
        value = tag.value if tag is not None and tag.count <= MAX_BLOCK_BYTES else None
    except Exception:  # tifffile reads it when asked, and damage shows in many ways
        return {}
    return value if isinstance(value, dict) else {}


def labels(page: Any, frames: int) -> tuple[str, ...]:
    """The label of each frame; empty if there is not one for each."""
    stated = _fields(page).get(_LABELS, [])
    stated = [stated] if isinstance(stated, str) else stated
    return tuple(map(str, stated)) if len(stated) == frames else ()


def tables(page: Any, channels: int) -> tuple[bytes, ...]:
    """The lookup table of each channel; empty if there is not one for each."""
    stated = _fields(page).get(_TABLES, [])
    found = [np.asarray(table) for table in ([stated] if isinstance(stated, np.ndarray) else stated)]
    is_sound = all(table.shape == _TABLE_SHAPE and table.dtype == np.uint8 for table in found)
    return tuple(table.tobytes() for table in found) if is_sound and len(found) == channels else ()


def left_out(page: Any) -> list[str]:
    """What the tag says beside labels and lookup tables, in words."""
    if _TAG not in page.tags:
        return []
    known = {_LABELS, _TABLES} if page.is_imagej else set()
    others = sorted(set(_fields(page)) - known)
    if not _fields(page):
        return ["ImageJ metadata that cannot be read"]
    return [f"ImageJ metadata: {', '.join(others)}"] if others else []


def tags(axes: Axes | None) -> list[tuple[int, int, int, Any, bool]]:
    """Extra tags as tifffile takes them, in the first page only."""
    if axes is None or axes.writer != "imagej" or not (axes.labels or axes.tables):
        return []
    from tifffile import imagej_metadata_tag  # imported only for such files

    stated: dict[str, Any] = {_LABELS: list(axes.labels)} if axes.labels else {}
    if axes.tables:
        stated[_TABLES] = [np.frombuffer(table, np.uint8).reshape(_TABLE_SHAPE) for table in axes.tables]
    return list(imagej_metadata_tag(stated, "<"))
