"""Axes and georeferences in descriptions and tags of a TIFF, read and written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final
from xml.sax.saxutils import quoteattr

from convcli.formats.calibration import METERS, UNNAMED, Axes, Georeference
from convcli.formats.header import Layout
from convcli.formats.metadata import MAX_BLOCK_BYTES
from convcli.formats.tiff import imagej

_SCALE, _TIES, _MATRIX, _KEYS, _NUMBERS, _TEXT = 33550, 33922, 34264, 34735, 34736, 34737
_SHORT, _DOUBLE, _ASCII = 3, 12, 2  # types of tags
_ORDERS: Final = {"czt": "TZC", "ctz": "ZTC", "zct": "TCZ", "ztc": "CTZ", "tcz": "ZCT", "tzc": "CZT"}
_COUNTS: Final = {"T": "frames", "Z": "slices", "C": "channels"}  # ImageJ's names for sizes
_ORIGINS: Final = {"X": "xorigin", "Y": "yorigin", "Z": "zorigin"}
_KEPT: Final = ("mode", "loop", "tunit", "yunit", "zunit", "fps", "order")
_STATED: Final = ("ImageJ", "SCIFIO", "images", "hyperstack", "unit", "spacing", "finterval", "min", "max")
_OME_TYPES: Final = {"float32": "float", "float64": "double"}
_OME: Final = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
_OME_READ: Final = ("OME", "Image", "Pixels", "Channel", "TiffData", "UUID", "LightPath", "Plane")
_CHANNEL_IDS: Final = ("ID", "SamplesPerPixel")

_PLANE: Final = ("PositionX", "PositionY", "PositionZ", "DeltaT", "ExposureTime")
"""Attributes of Plane that remain valid for a result, with their units."""

Found = tuple[Axes | None, tuple[str, ...]]
"""The axes, with notes on what is left out."""


def described_axes(page: Any, samples: int, frames: int) -> Found:
    """The axes of ``frames`` frames of ``samples`` samples, by the description of the first page."""
    if len(page.description) > MAX_BLOCK_BYTES:
        return None, ("its description is too long and left out",)
    reader = _reader(page, samples, frames)
    if reader is None:
        return None, ()
    name, read = reader
    try:
        axes, notes = read()
    except Exception as error:  # any error that an edited text can cause
        return None, (f"its {name} is damaged and left out ({type(error).__name__})",)
    if axes is not None and axes.frames != frames:
        return None, (*notes, f"its {name} is left out: it counts {axes.frames} planes, not {frames}")
    return axes, notes


def _reader(page: Any, samples: int, frames: int) -> tuple[str, Callable[[], Found]] | None:
    """The convention of the description, and what reads it."""
    if page.is_ome:
        return "OME-XML", partial(_from_ome, page.description, samples)
    if page.is_imagej:
        return "ImageJ description", partial(_from_imagej, page, samples, frames)
    if page.is_shaped:
        return "description of axes", partial(_from_shape, page.shaped_description, frames)
    return None


def _from_ome(text: str, samples: int) -> Found:
    from xml.etree import ElementTree  # imported only for such files

    if "<!" in text.replace("<!--", ""):
        return None, ("its OME-XML is left out: it declares entities",)
    root = ElementTree.fromstring(text)
    images = [element for element in root.iter() if _name(element) == "Pixels"]
    if len(images) != 1:
        return None, (f"its OME-XML is left out: it describes {len(images)} images",)
    pixels = images[0]
    names = pixels.get("DimensionOrder", "XYCZT")[:1:-1]
    sizes = {name: int(pixels.get(f"Size{name}", 1)) for name in "XYTZC"}
    sizes["C"] //= samples if sizes["C"] % samples == 0 else 1
    lengths = tuple(sizes[name] for name in names)
    others = sorted({_name(element) for element in root.iter()} - set(_OME_READ))
    notes = (f"left out of its OME-XML: {', '.join(others)}",) if others else ()
    if sorted(names) != sorted("TZC") or not _is_in_order(pixels, names, sizes, samples):
        return None, (*notes, "its OME-XML is left out: its planes are in another order, or in other files")
    image = next(element for element in root.iter() if _name(element) == "Image")
    channels = [element for element in pixels if _name(element) == "Channel"]
    steps = _ome_steps(pixels)
    planes, are_lengths = _ome_planes(pixels, names, sizes, samples, {axis: unit for axis, _, unit in steps})
    if not are_lengths:
        notes = (
            *notes,
            "left out of its OME-XML: stage positions that, or whose pixels, have no unit of length",
        )
    return Axes(
        "ome",
        names,
        lengths,
        steps,
        channels=tuple(
            tuple((key, value) for key, value in channel.items() if key not in _CHANNEL_IDS)
            for channel in channels
        ),
        words=(("Name", image.get("Name", "")),) if image.get("Name") else (),
        planes=planes,
    ), notes


def _name(element: Any) -> str:
    """An element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def _ome_steps(pixels: Any) -> tuple[tuple[str, float, str], ...]:
    """The sizes of a step that Pixels states."""
    keys = {**{axis: f"PhysicalSize{axis}" for axis in "XYZ"}, "T": "TimeIncrement"}
    steps = (
        (axis, pixels.get(key), pixels.get(f"{key}Unit", "s" if axis == "T" else "µm"))
        for axis, key in keys.items()
    )
    return tuple((axis, float(size), unit) for axis, size, unit in steps if size and float(size) > 0)


def _ome_planes(
    pixels: Any, names: str, sizes: Mapping[str, int], samples: int, units: Mapping[str, str]
) -> tuple[tuple[tuple[tuple[str, str], ...], ...], bool]:
    """The attributes of each frame's Plane; and whether its positions are lengths, as pixel sizes are."""
    found: dict[int, tuple[tuple[str, str], ...]] = {}
    are_lengths = True
    for plane in (element for element in pixels if _name(element) == "Plane"):
        place = 0
        for name in names:
            place = place * sizes[name] + int(plane.get(f"The{name}", 0)) // (samples if name == "C" else 1)
        kept = {key: plane.get(key) for key in _PLANE if plane.get(key) is not None}
        for axis in "XY":
            known = {units.get(axis), plane.get(f"Position{axis}Unit")} <= METERS.keys()
            if f"Position{axis}" in kept and not known:
                del kept[f"Position{axis}"]
                are_lengths = False
        stated = {key: str(float(value)) for key, value in kept.items()}
        stated |= {f"{key}Unit": plane.get(f"{key}Unit") for key in kept if plane.get(f"{key}Unit")}
        found[place] = tuple(stated.items())
    count = sizes["T"] * sizes["Z"] * sizes["C"]
    return tuple(found.get(place, ()) for place in range(count)) if any(found.values()) else (), are_lengths


def _is_in_order(pixels: Any, names: str, sizes: Mapping[str, int], samples: int) -> bool:
    """Whether the directories of the file are the planes in the order of the axes, according to TiffData."""
    for block in (element for element in pixels if _name(element) == "TiffData"):
        place = 0
        for name in names:
            first = int(block.get(f"First{name}", 0)) // (samples if name == "C" else 1)
            place = place * sizes[name] + first
        if place != int(block.get("IFD", 0)):
            return False
    return True


def _from_imagej(page: Any, samples: int, frames: int) -> Found:
    from tifffile.tifffile import imagej_description_metadata

    fields = imagej_description_metadata(page.imagej_description)
    names = _ORDERS[str(fields.get("order", "czt")).casefold().replace("default", "czt")]
    sizes = {name: int(fields.get(key, 1)) for name, key in _COUNTS.items()}
    if sizes["C"] == samples > 1 and sizes["T"] * sizes["Z"] == frames:
        sizes["C"] = 1  # the samples of a pixel are counted as channels
    if (sizes["T"], sizes["Z"], sizes["C"]) == (1, 1, 1):
        sizes["Z"] = int(fields.get("images", 1)) if frames > 1 else 1
    unit = str(fields.get("unit", ""))
    steps = [(axis, size, unit) for axis, size in zip("XY", _pixel(page, unit), strict=False)]
    steps += [("Z", float(fields["spacing"]), unit)] if "spacing" in fields else []
    steps += (
        [("T", float(fields["finterval"]), str(fields.get("tunit", "sec")))] if "finterval" in fields else []
    )
    known = {*_STATED, *_KEPT, *_COUNTS.values(), *_ORIGINS.values()}
    others = sorted(key for key in fields if key not in known)
    notes = (f"left out of its ImageJ description: {', '.join(others)}",) if others else ()
    return Axes(
        "imagej",
        names,
        tuple(sizes[name] for name in names),
        tuple(steps),
        tuple((axis, float(fields[key])) for axis, key in _ORIGINS.items() if fields.get(key)),
        words=tuple((key, str(fields[key]).lower()) for key in _KEPT if key in fields and key != "order"),
        labels=imagej.labels(page, frames),
        tables=imagej.tables(page, sizes["C"]),
    ), notes


def _pixel(page: Any, unit: str) -> tuple[float, ...]:
    """The size of a pixel, (across, down), where the tags of the resolution state it in ImageJ's unit."""
    values = [page.tags.valueof(tag) for tag in (282, 283)]
    if not unit or not all(isinstance(value, tuple) and all(value) for value in values):
        return ()
    return tuple(bottom / top for top, bottom in values)


def _from_shape(text: str, frames: int) -> Found:
    """The axes of tifffile's arrays; without names, only the nesting of frames is kept."""
    fields = json.loads(text) if text.startswith("{") else {"shape": _shape_numbers(text)}
    shape, names = tuple(int(size) for size in fields["shape"]), str(fields.get("axes", ""))
    others = sorted(key for key in fields if key not in ("shape", "axes", "truncated"))
    notes = (f"left out of its description: {', '.join(map(str, others))}",) if others else ()
    place = names.find("YX") if names else -1
    if place < 0 or len(names) != len(shape):
        count, product = 0, 1
        while product < frames and count < len(shape):
            product, count = product * shape[count], count + 1
        return (
            Axes("shaped", UNNAMED * count, shape[:count]) if count > 1 and product == frames else None
        ), notes
    behind = place - (names[place - 1 : place] == "S" and shape[place - 1] in (1, 2, 3, 4))
    return Axes("shaped", names[:behind], shape[:behind]), notes


def _shape_numbers(text: str) -> list[int]:
    """The numbers of ``shape=(2, 3)``."""
    return [int(part) for part in text.partition("(")[2].partition(")")[0].split(",") if part.strip()]


def description(axes: Axes, layout: Layout) -> str:
    """The description of a result with these axes."""
    return {"ome": _to_ome, "imagej": _to_imagej, "shaped": _to_shape}[axes.writer](axes, layout)


def _to_ome(axes: Axes, layout: Layout) -> str:
    sizes = dict(zip(axes.names, axes.sizes, strict=True))
    kind = _OME_TYPES.get(str(layout.dtype), str(layout.dtype))
    facts: dict[str, Any] = {
        "DimensionOrder": "XY" + axes.names[::-1],
        "Type": kind,
        "SizeX": layout.columns,
        "SizeY": layout.rows,
        "SizeC": sizes["C"] * layout.channels,
        "SizeZ": sizes["Z"],
        "SizeT": sizes["T"],
        **({"Interleaved": "true"} if layout.channels > 1 else {}),
    }
    for axis, size, unit in axes.steps:
        key = "TimeIncrement" if axis == "T" else f"PhysicalSize{axis}"
        facts |= {key: repr(size), f"{key}Unit": unit}
    channels = axes.channels if len(axes.channels) == sizes["C"] else ((),) * sizes["C"]
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<OME xmlns="{_OME}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'xsi:schemaLocation="{_OME} {_OME}/ome.xsd" Creator="convcli">'
        f'<Image ID="Image:0"{_attributes(dict(axes.words))}><Pixels ID="Pixels:0"{_attributes(facts)}>'
        + "".join(
            f'<Channel ID="Channel:0:{index}" SamplesPerPixel="{layout.channels}"{_attributes(dict(pairs))}/>'
            for index, pairs in enumerate(channels)
        )
        + f'<TiffData IFD="0" PlaneCount="{axes.frames}"/>{_ome_plane_texts(axes)}</Pixels></Image></OME>'
    )


def _ome_plane_texts(axes: Axes) -> str:
    """The Plane elements of the frames that have one."""
    return "".join(
        f"<Plane{_attributes({**_indices(axes, frame), **dict(plane)})}/>"
        for frame, plane in enumerate(axes.planes)
        if plane
    )


def _indices(axes: Axes, frame: int) -> dict[str, int]:
    """TheT, TheZ and TheC of a frame."""
    found = {}
    for name, size in zip(reversed(axes.names), reversed(axes.sizes), strict=True):
        frame, found[f"The{name}"] = divmod(frame, size)
    return found


def _attributes(values: Mapping[str, Any]) -> str:
    return "".join(f" {key}={quoteattr(str(value))}" for key, value in values.items())


def _to_imagej(axes: Axes, layout: Layout) -> str:
    sizes = {_COUNTS[name]: size for name, size in zip(axes.names, axes.sizes, strict=True) if size > 1}
    order = next(key for key, names in _ORDERS.items() if names == axes.names)
    unit = next((unit for axis, _, unit in axes.steps if axis in "XYZ" and unit), "")
    lines = {"ImageJ": "1.11a", "images": axes.frames, **sizes, "hyperstack": "true"}
    lines |= {"order": order} if order != "czt" else {}
    lines |= {"unit": unit} if unit else {}
    lines |= {
        key: repr(step[0])
        for axis, key in (("Z", "spacing"), ("T", "finterval"))
        if (step := axes.step(axis))
    }
    lines |= {_ORIGINS[axis]: repr(at) for axis, at in axes.origins if axis in _ORIGINS}
    lines |= dict(axes.words)
    return "".join(f"{key}={value}\n" for key, value in lines.items())


def _to_shape(axes: Axes, layout: Layout) -> str:
    plane = (layout.rows, layout.columns, *((layout.channels,) if layout.channels > 1 else ()))
    fields: dict[str, Any] = {"shape": [*axes.sizes, *plane]}
    if UNNAMED not in axes.names:
        fields["axes"] = axes.names + "YXS"[: len(plane)]
    return json.dumps(fields)


def imagej_resolution(axes: Axes | None) -> dict[str, Any]:
    """Options of tifffile for the size of a pixel in ImageJ's unit; empty for other conventions."""
    across, down = (axes.step(axis) for axis in "XY") if axes and axes.writer == "imagej" else (None, None)
    if not across or not down:
        return {}
    unit = {"cm": "centimeter", "inch": "inch"}.get(across[1], "none")
    return {"resolution": (1 / across[0], 1 / down[0]), "resolutionunit": unit}


def ground(page: Any) -> Georeference | None:
    """The georeference of the GeoTIFF tags, or None if they tie no pixel to a place."""
    numbers = {tag: _floats(page.tags.valueof(tag)) for tag in (_SCALE, _TIES, _MATRIX, _NUMBERS)}
    keys, text = page.tags.valueof(_KEYS), page.tags.valueof(_TEXT)
    sizes = len(numbers[_SCALE]), len(numbers[_TIES]) % 6, len(numbers[_MATRIX])
    if sizes[0] not in (0, 2, 3) or sizes[1] or sizes[2] not in (0, 16):
        return None
    if not any((numbers[_SCALE], numbers[_TIES], numbers[_MATRIX], keys)):
        return None
    return Georeference(
        numbers[_SCALE],
        numbers[_TIES],
        numbers[_MATRIX],
        tuple(int(key) for key in keys) if isinstance(keys, tuple) else (),
        numbers[_NUMBERS],
        text if isinstance(text, str) else "",
    )


def _floats(value: Any) -> tuple[float, ...]:
    return tuple(float(number) for number in value) if isinstance(value, tuple) else ()


def ground_tags(place: Georeference | None) -> list[tuple[int, int, int, Any, bool]]:
    """Extra tags as tifffile takes them, in the first page only."""
    if place is None:
        return []
    doubles = {_SCALE: place.scale, _TIES: place.ties, _MATRIX: place.matrix, _NUMBERS: place.numbers}
    tags: list[tuple[int, int, int, Any, bool]] = [
        (tag, _DOUBLE, len(values), values, True) for tag, values in doubles.items() if values
    ]
    tags += [(_KEYS, _SHORT, len(place.keys), place.keys, True)] if place.keys else []
    return tags + ([(_TEXT, _ASCII, 0, place.text, True)] if place.text else [])
