"""Metadata: which parts of a file's are valid, and which a result keeps.

A format collects `Metadata` as the file has it, `with_metadata` checks it, and `adapt_metadata` drops what is
not true of a result or cannot be stored in its format. Whatever is dropped is a note, never an error.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from itertools import compress, islice
from typing import Any, Final

from convcli.core.errors import one_line
from convcli.core.frozen import frozen, replace
from convcli.core.patterns import pattern
from convcli.formats.calibration import Axes, Sampling
from convcli.formats.header import Header, Metadata

MAX_BLOCK_BYTES: Final = 16_000_000
"""Bytes of the largest block that is read; the largest ICC profile of a JPEG has 16.7 MB."""

METERS_PER_INCH: Final = 0.0254
"""Meters per inch."""

_RESOLUTIONS: Final = (
    20.0,
    2_500_000.0,
)  # pixels per meter that every format can store: 0.5 to 63500 per inch
_DPI: Final = "0.5 to 63500"
_WORDS: Final = {
    "icc": "ICC profile",
    "exif": "Exif",
    "xmp": "XMP",
    "resolution": "resolution",
    "gamma": "gamma",
    "srgb": "sRGB",
    "timing": "timing",
    "axes": "axes and pixel sizes",
    "ground": "georeference",
    "nodata": "nodata value",
    "measures": "names, units and scales of bands",
    "screen": "windows and attributes of OpenEXR",
}
COMMENT: Final = "Comment"
"""Keyword of the single text of a JPEG or GIF."""

TEXTS: Final = "texts"
"""Key of `Format.metadata_limits` for texts of any keyword."""

Texts = tuple[tuple[str, str], ...]
"""Keywords with their texts."""

_WHOLE_BELOW: Final = 2**53
_MOST_NAMES: Final = 10  # of texts that are left out
_EXIF_MARK: Final = b"Exif\0\0"
_ORDERS: Final = {b"II*\0": "<", b"MM\0*": ">"}
_SHORT, _LONG, _RATIONAL = 3, 4, 5  # types of an Exif entry
_WHOLE: Final = {_SHORT: "H", _LONG: "I"}
_ORIENTATION, _ACROSS, _DOWN, _UNIT = 274, 282, 283, 296  # tags of Exif and TIFF
METERS_PER_UNIT: Final = {2: METERS_PER_INCH, 3: 0.01}
"""Meters per resolution unit of TIFF, tag 296."""
_XMP_ORIENTATION: Final = pattern(rb"(tiff:Orientation\s*(?:=\s*[\"']|>)\s*)([1-8])(?!\d)")


@frozen
class ResultMetadata:
    """The metadata of a result, and notes on what was left out."""

    metadata: Metadata
    notes: tuple[str, ...] = ()


def with_metadata(header: Header, stated: Metadata, orientation: int | None = None) -> Header:
    """Add the valid parts of a file's metadata to its header, with a note on each part that is invalid.

    Args:
        header: of the frames as stored.
        stated: the file's metadata, unchecked; an Exif block with or without its ``Exif`` mark.
        orientation: 1 to 8 if the format itself states it; otherwise that of Exif or XMP is used.

    Returns:
        A header whose metadata describes the upright image; its rows and columns are the stored ones.
    """
    notes = list(header.notes)
    icc = _sound("ICC profile", stated.icc, _checked_icc, notes)
    exif = _sound("Exif block", stated.exif, _checked_exif, notes)
    xmp = _sound("XMP packet", stated.xmp, _checked_xmp, notes)
    turn = _valid_orientation(orientation, exif, xmp)
    resolution = stated.resolution or (exif_resolution(exif) if exif else None)
    if turn != 1 and (stated.axes or stated.ground):
        notes.append("axes, pixel sizes and georeference are left out: they are those of the image as stored")
        stated = replace(stated, axes=None, ground=None)
    if resolution and not _spread(resolution, (1, 1)):
        dpi = "×".join(f"{value:g}" for value in _dpi(resolution))
        notes.append(f"the resolution is left out: {dpi} dpi; allowed: {_DPI}")
    metadata = replace(
        stated,
        icc=icc,
        exif=exif and set_upright(exif),
        xmp=xmp and _XMP_ORIENTATION.sub(rb"\g<1>1", xmp),
        resolution=_spread(resolution[::-1] if resolution and turn > 4 else resolution, (1, 1)),
        texts=tuple((keyword, text.replace("\0", " ")) for keyword, text in stated.texts),
        srgb=None if icc else stated.srgb,  # a file may hold one of them, and the profile says more
    )
    return replace(header, orientation=turn, metadata=metadata, notes=tuple(notes))


def _valid_orientation(orientation: int | None, exif: bytes | None, xmp: bytes | None) -> int:
    """The first orientation that is stated, or 1 if it is invalid."""
    stated = orientation or (exif and exif_orientation(exif)) or (xmp and _xmp_orientation(xmp)) or 1
    return int(stated) if 1 <= stated <= 8 else 1


def _sound(name: str, block: bytes | None, check: Callable[[bytes], bytes], notes: list[str]) -> bytes | None:
    """The block as ``check`` returns it, or None and a note."""
    if not block:
        return None
    try:
        if len(block) > MAX_BLOCK_BYTES:
            raise ValueError(f"it has {len(block)} bytes, allowed: {MAX_BLOCK_BYTES}")
        return check(block)
    except ValueError as error:
        notes.append(f"the {name} is damaged and left out: {error}")
        return None


def _checked_icc(block: bytes) -> bytes:
    """The profile without what follows it."""
    size = int.from_bytes(block[:4], "big")
    if not 132 <= size <= len(block) or block[36:40] != b"acsp":
        raise ValueError(f"{len(block)} bytes that are not an ICC profile")
    return block[:size]


def _checked_exif(block: bytes) -> bytes:
    """The block in TIFF form, with a complete first directory and an integer orientation."""
    block = block.removeprefix(_EXIF_MARK)
    for tag, kind, count, _ in _entries(block):
        if tag == _ORIENTATION and (kind not in _WHOLE or count != 1):
            raise ValueError(f"its orientation is {count} values of type {kind}; allowed: one integer")
    return block


def _checked_xmp(block: bytes) -> bytes:
    """The packet without its padding of zeros."""
    block = block.rstrip(b"\0")
    block.decode()
    if b"\0" in block:
        raise ValueError("it is not UTF-8")
    return block


def _entries(exif: bytes) -> list[tuple[int, int, int, int]]:
    """The entries of the first directory: (tag, type, count, offset of the four bytes of the value).

    Raises:
        ValueError: the block is not a TIFF, or ends within its first directory.
    """
    order = _ORDERS.get(exif[:4])
    if order is None or len(exif) < 8:
        raise ValueError(f"it starts with {exif[:4]!r}, allowed: {' or '.join(map(repr, _ORDERS))}")
    (start,) = struct.unpack_from(order + "I", exif, 4)
    places = range(start + 2, start + 2, 12)
    if start + 2 <= len(exif):
        (count,) = struct.unpack_from(order + "H", exif, start)
        places = range(start + 2, start + 2 + 12 * count, 12)
    if start < 8 or places.stop > len(exif):
        raise ValueError("its directory lies outside it")
    return [(*struct.unpack_from(order + "HHI", exif, place), place + 8) for place in places]


def _number(exif: bytes, wanted: int) -> float | None:
    """The value of the first entry of tag ``wanted`` that is one integer or one fraction, or None."""
    order = _ORDERS[exif[:4]]
    for tag, kind, count, place in _entries(exif):
        if tag != wanted or count != 1:
            continue
        if kind in _WHOLE:
            return float(struct.unpack_from(order + _WHOLE[kind], exif, place)[0])
        (at,) = struct.unpack_from(order + "I", exif, place)
        if kind == _RATIONAL and at + 8 <= len(exif):
            upper, lower = struct.unpack_from(order + "II", exif, at)
            return float(upper / lower) if lower else None
    return None


def exif_orientation(exif: bytes) -> int | None:
    """The orientation that a valid Exif block states, or None."""
    value = _number(exif, _ORIENTATION)
    return None if value is None else int(value)


def exif_resolution(exif: bytes) -> tuple[float, float] | None:
    """Pixels per meter, (across, down), that a valid Exif block states, or None."""
    across, down, unit = (_number(exif, tag) for tag in (_ACROSS, _DOWN, _UNIT))
    meters = METERS_PER_UNIT.get(2 if unit is None else int(unit))
    return (across / meters, down / meters) if across and down and meters else None


def set_upright(exif: bytes) -> bytes:
    """A valid Exif block with its orientation set to 1 and every other byte unchanged."""
    order, changed = _ORDERS[exif[:4]], bytearray(exif)
    for tag, kind, _, place in _entries(exif):
        if tag == _ORIENTATION:
            struct.pack_into(order + _WHOLE[kind], changed, place, 1)
    return bytes(changed)


def _xmp_orientation(xmp: bytes) -> int | None:
    match = _XMP_ORIENTATION.search(xmp)
    return int(match[2]) if match else None


def inflate(data: bytes, most: int = MAX_BLOCK_BYTES) -> bytes:
    """Decompress a zlib stream.

    Raises:
        ValueError: it is damaged, or decompresses to more than ``most`` bytes.
    """
    stream = zlib.decompressobj()
    try:
        plain = stream.decompress(data, most + 1)
    except zlib.error as error:
        raise ValueError(f"it cannot be decompressed: {error}") from error
    if len(plain) > most or not stream.eof:
        raise ValueError(f"it decompresses to more than {most} bytes, or is truncated")
    return plain


def adapt_metadata(
    metadata: Metadata,
    format_name: str,
    limits: Mapping[str, int],
    channels: int,
    samplings: Sequence[Sampling],
    frames: int,
) -> ResultMetadata:
    """The metadata of an input that remains true of a result and fits its format.

    Args:
        metadata: of the input, checked by `with_metadata`.
        format_name: of the result.
        limits: bytes per field that the format holds, as `Format.metadata_limits` returns them.
        channels: of the result.
        samplings: where the result's pixels lie in the input, along rows and columns, preceded by frames if
            the kernel slides over them.
        frames: of the result, or 0 if they are not those of the input.
    """
    notes = []
    down, across = samplings[-2:]
    spread = _spread(metadata.resolution, (down.step, across.step))
    if metadata.resolution and not spread:
        notes.append("the resolution is left out: after striding it is below 0.5 dpi")
    axes, axes_notes = _placed(metadata.axes, samplings, frames, writes_ome=format_name == "tiff")
    notes += axes_notes
    ground = metadata.ground and metadata.ground.sampled(down, across)
    screen = metadata.screen and metadata.screen.sampled(down, across)
    if metadata.screen and screen and metadata.screen.display and not screen.display:
        notes.append("the display window is left out: the result's pixels are not those of the screen")
    metadata = replace(metadata, resolution=spread, axes=axes, ground=ground, screen=screen)
    space, wanted = (metadata.icc or b"")[16:20], b"RGB " if channels > 2 else b"GRAY"
    if metadata.icc and space != wanted:
        names = [one_line(name.decode("latin-1").strip()) for name in (space, wanted)]
        notes.append(
            "the ICC profile is left out: it is for {} pixels, but the result's are {}".format(*names)
        )
        metadata = replace(metadata, icc=None)
    dropped = _unsayable(metadata, limits)
    texts, left = _fitting(metadata.texts, limits)
    words = [*dropped.values(), *left]
    if words:
        notes.append(f"left out, because {format_name} cannot store it: {', '.join(words)}")
    nothing: dict[str, Any] = dict.fromkeys(dropped)
    return ResultMetadata(replace(metadata, texts=texts, **nothing), tuple(notes))


def _placed(
    axes: Axes | None, samplings: Sequence[Sampling], frames: int, *, writes_ome: bool
) -> tuple[Axes | None, list[str]]:
    """The axes of a result, and notes on what they, or OME-XML if it is written, cannot express."""
    if axes is None:
        return None, []
    down, across = samplings[-2:]
    result = axes.deepened(frames, samplings[0]) if len(samplings) == 3 else axes
    if result is None or result.frames != frames:
        return None, [f"axes and pixel sizes are left out: the result's frames are not those of {axes}"]
    moved = [f"{float(one.start):g}" for one in (down, across)]
    notes = []
    is_ome = writes_ome and axes.writer == "ome"
    lost = [
        words
        for words, before, after in (
            ("stage positions and times of planes", axes.planes, result.planes),
            ("labels of slices", axes.labels, result.labels),
        )
        if before and not after
    ]
    if lost:
        notes.append(f"{' and '.join(lost)} are left out: the kernel slides over frames")
    if is_ome and not result.has_places and moved != ["0", "0"] and (axes.step("X") or axes.step("Y")):
        notes.append(
            f"OME-XML cannot record that the first pixel is row {moved[0]}, column {moved[1]} of the input"
        )
    return result.sampled(down, across), notes


def _unsayable(metadata: Metadata, limits: Mapping[str, int]) -> dict[str, str]:
    """The fields without texts that exceed ``limits``, with their names in words."""
    dropped = {}
    for name, words in _WORDS.items():
        value = getattr(metadata, name)
        size = len(value) if isinstance(value, bytes) else 0
        if value is not None and size > limits.get(name, -1):
            dropped[name] = f"{words} of {size} bytes" if name in limits else words
    return dropped


def _fitting(texts: Texts, limits: Mapping[str, int]) -> tuple[Texts, list[str]]:
    """The texts within ``limits``, and the names of the others in words."""
    fits = [len(text.encode()) <= _most(limits, keyword) for keyword, text in texts]
    left = dict.fromkeys(f"text {keyword}" for (keyword, _), fit in zip(texts, fits, strict=True) if not fit)
    more = [f"{len(left) - _MOST_NAMES} more texts"] if len(left) > _MOST_NAMES else []
    return tuple(compress(texts, fits)), [*islice(left, _MOST_NAMES), *more]


def _most(limits: Mapping[str, int], keyword: str) -> int:
    """The most bytes of a text of this keyword, or -1."""
    return limits.get(TEXTS, limits.get(keyword, -1))


def _spread(
    resolution: tuple[float, float] | None, steps: tuple[int | Fraction, int | Fraction]
) -> tuple[float, float] | None:
    """The resolution after sampling every ``steps`` pixels, or None if not every format can store it."""
    if resolution is None:
        return None
    across, down = resolution[0] / steps[1], resolution[1] / steps[0]
    least, most = _RESOLUTIONS
    return (across, down) if least <= across <= most and least <= down <= most else None


def dots_per_inch(resolution: tuple[float, float]) -> tuple[float, float]:
    """Pixels per inch, (across, down): integers if the pixels per meter may have been rounded from them."""
    values = _dpi(resolution)
    whole = [round(value) for value in values]
    across, down = (w if abs(w - v) <= METERS_PER_INCH / 2 else v for v, w in zip(values, whole, strict=True))
    return across, down


def _dpi(resolution: tuple[float, float]) -> tuple[float, float]:
    """Pixels per inch, not rounded."""
    return resolution[0] * METERS_PER_INCH, resolution[1] * METERS_PER_INCH


def nodata_text(value: float) -> str:
    """The value of pixels without data as GDAL writes it: ``-9999``, ``0.1``, ``nan``."""
    return str(int(value)) if value.is_integer() and abs(value) < _WHOLE_BELOW else repr(value)


def parse_nodata(text: str) -> float | None:
    """The value that a text of GDAL states, or None if it states no number."""
    try:
        return float(text.replace("\0", "").strip())
    except ValueError:
        return None


def pillow_metadata(image: Any) -> Metadata:
    """The ICC profile, Exif block and XMP packet that Pillow or pillow-heif read, unchecked."""
    info = image.info
    return Metadata(icc=info.get("icc_profile"), exif=info.get("exif"), xmp=info.get("xmp"))


def pillow_options(metadata: Metadata) -> dict[str, Any]:
    """Options of Pillow that write the ICC profile, Exif block and XMP packet."""
    exif = metadata.exif and _EXIF_MARK + metadata.exif
    options = {"icc_profile": metadata.icc, "exif": exif, "xmp": metadata.xmp}
    return {name: block for name, block in options.items() if block}


def comment_texts(block: bytes | None) -> tuple[tuple[str, str], ...]:
    """A comment in UTF-8 or Latin-1, as the texts of `Metadata`."""
    if not block or len(block) > MAX_BLOCK_BYTES:
        return ()
    try:
        text = block.decode()
    except ValueError:
        text = block.decode("latin-1")
    return ((COMMENT, text.rstrip("\0")),)


def summarize(metadata: Metadata) -> tuple[tuple[str, str], ...]:
    """The name of each field that is set, with a description in words."""
    size = len(metadata.icc or b"")
    words = {**_WORDS, "icc": f"ICC profile ({size} bytes)", TEXTS: f"texts ({len(metadata.texts)})"}
    if metadata.resolution:
        words["resolution"] = "{:g}×{:g} dpi".format(
            *(round(v, 2) for v in dots_per_inch(metadata.resolution))
        )
    if metadata.gamma:
        words["gamma"] = f"gamma {metadata.gamma:g}"
    if metadata.timing:
        seconds = float(sum(metadata.timing.durations))
        words["timing"] = f"timing ({len(metadata.timing.durations)} frames, {seconds:g} s)"
    if metadata.nodata is not None:
        words["nodata"] = f"nodata {nodata_text(metadata.nodata)}"
    if metadata.axes and str(metadata.axes):
        words["axes"] = f"axes ({metadata.axes})"
    return tuple((name, text) for name, text in words.items() if getattr(metadata, name) not in (None, ()))
