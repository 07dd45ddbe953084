"""TIFF: pages of integers of 8 to 32 bits and floats, by tifffile; written with deflate."""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import groupby
from typing import Any, Final, TypeVar

import numpy as np

from convcli.dtypes import Array, DType
from convcli.errors import ImageError
from convcli.files import Input
from convcli.images.base import Header, Layout, Metadata, Reader, whole
from convcli.images.decoding import full_range, range_notes
from convcli.images.metadata import LARGEST, UNITS, described, inches
from convcli.images.tiffrows import END_OF_JPEG, JPEG, LARGEST_BAND, TiffPages, TiffRows
from convcli.images.tiffwriter import TiffEncoder
from convcli.values import replace

T = TypeVar("T")

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6  # tag 262, photometric interpretation
_PLAIN: Final = (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE)
_UNSPECIFIED, _ASSOCIATED = 0, 1  # tag 338, extra samples
_UNMULTIPLIED: Final = "its colours, multiplied by alpha already, were divided by it"
_SEPARATE: Final = 2  # tag 284, planar configuration
_REDUCED, _MASK = 1, 4  # bits of tag 254, subfile type
_EXIF: Final = 34665  # a directory of its own, which no block of bytes holds
_TEXTS: Final = {"Title": 269, "Description": 270, "Creation Time": 306, "Author": 315, "Copyright": 33432}
_MACHINES: Final = ("{", "<", "ImageJ=")  # how descriptions begin that a program reads, not a person
_TYPES: Final = "bool, integers of 8 to 32 bits, or floats"


class Tiff:
    """Tag Image File Format (6.0), BigTIFF included."""

    name = "tiff"
    mixed: bool = True
    decoding = 8  # where a page cannot be read in parts
    encoding = 0
    bands: bool = True
    suffixes: tuple[str, ...] = (".tif", ".tiff")

    def sniff(self, head: bytes) -> bool:
        return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

    def header(self, data: bytes) -> Header:
        return self.open(Input(data=data))[0][0]

    def open(self, source: Input) -> list[tuple[Header, Reader | None]]:
        from tifffile import TiffFile  # only such files pay for it

        pages, notes = _pictures(TiffFile(source.handle()))
        runs = [list(run) for _, run in groupby(enumerate(pages), lambda entry: _look(entry[1]))]
        found = [self._run(source, run[0][0], [page for _, page in run]) for run in runs]
        header, reader = found[0]
        return [(replace(header, notes=(*header.notes, *notes)), reader), *found[1:]]

    def _run(self, source: Input, first: int, pages: list[Any]) -> tuple[Header, Reader | None]:
        """The header and the reader of pages that are alike."""
        header = replace(self._facts(pages[0]), frames=len(pages), first=first)
        if header.channels > 1 and any(page.planarconfig == _SEPARATE for page in pages):
            return header, None
        parts = [TiffRows(source, page, header, partial(_plain, page, header), len(pages)) for page in pages]
        whole = max(part.each for part in parts) > LARGEST_BAND
        return header, None if whole else TiffPages(parts)

    def _facts(self, page: Any) -> Header:
        kind = page.dtype
        if kind is None or kind.kind not in "biuf" or (kind.kind in "iu" and kind.itemsize > 4):
            raise ImageError(f"tiff of type {kind}; allowed: {_TYPES}")
        if page.photometric not in _PLAIN and not _is_jpeg_colour(page):
            name = getattr(page.photometric, "name", page.photometric)
            raise ImageError(f"tiff with {name} colours; allowed: gray, RGB and palette")
        channels = 3 if page.photometric == _PALETTE else page.samplesperpixel
        if page.imagedepth != 1:
            raise ImageError(f"tiff of {page.imagedepth} layers in one page; allowed: 1, a volume as pages")
        if channels not in (1, 2, 3, 4):
            raise ImageError(f"tiff with {channels} channels; allowed: 1 to 4")
        if page.photometric == _PALETTE:
            _check_palette(page)
            kind = np.dtype(np.uint8)
        if kind.kind == "b":
            kind = np.dtype(np.uint8)
        rows, columns = int(page.imagelength), int(page.imagewidth)
        if rows < 1 or columns < 1:
            raise ImageError(f"damaged tiff: {columns}×{rows} pixels")
        notes = range_notes(0 if page.photometric == _PALETTE else _most(page))
        notes += (_UNMULTIPLIED,) if _is_associated(page) else ()
        notes += ("the Exif of this tiff is left out",) if _EXIF in page.tags else ()
        facts = Header(self.name, rows, columns, channels, kind, notes=notes, bands=_has_bands(page))
        return described(facts, _metadata(page), _value(page, 274, int))

    def decode(self, data: bytes, header: Header) -> Array:
        return next(self.frames(data, header))

    def frames(self, data: bytes, header: Header) -> Iterator[Array]:
        """The pages of a run."""
        from tifffile import TiffFile

        with TiffFile(io.BytesIO(data)) as file:
            pages, _ = _pictures(file)
            for page in pages[header.first : header.first + header.frames]:
                _check_pieces(page, data)
                pixels = page.asarray()
                if page.planarconfig == _SEPARATE and pixels.ndim == 3:
                    pixels = np.moveaxis(pixels, 0, -1)
                yield _plain(page, header, pixels).reshape(header.rows, header.columns, header.channels)

    def holds(self, dtype: DType, channels: int, frames: int = 1) -> bool:
        return True

    def carries(self, channels: int) -> Mapping[str, int]:
        return {"icc": LARGEST, "xmp": LARGEST, "resolution": 0, **dict.fromkeys(_TEXTS, LARGEST)}

    def encode(self, pixels: Array, metadata: Metadata) -> bytes:
        return whole(self.encoder(Layout.of(pixels), metadata, len(pixels)), pixels)

    def encoder(self, layout: Layout, metadata: Metadata, height: int) -> TiffEncoder:
        return TiffEncoder(
            layout,
            height,
            {
                "iccprofile": metadata.icc,
                "resolution": metadata.resolution and inches(metadata.resolution),
                "resolutionunit": "inch" if metadata.resolution else None,
                "extratags": _tags(metadata),
            },
        )


def _check_palette(page: Any) -> None:
    """Refuse a palette that has not three values for each number that a pixel can hold."""
    found = page.colormap
    due = 3, 2**page.bitspersample
    if getattr(found, "shape", None) != due:
        count = getattr(found, "size", 0)
        raise ImageError(f"damaged tiff: its palette has {count} values; allowed: {math.prod(due)}")


def _pictures(file: Any) -> tuple[list[Any], tuple[str, ...]]:
    """The pages that are pictures of their own, and a note of those that are not."""
    pages = list(file.pages)
    if not pages:
        raise ImageError("damaged tiff: it has no page")
    _check_chain(file, [page.offset for page in pages])
    found = [page for page in pages if not page.subfiletype & (_REDUCED | _MASK)] or pages[:1]
    left = len(pages) - len(found)
    note = f"{left} of {len(pages)} pages are left out: smaller versions or masks of others"
    return found, (note,) if left else ()


def _check_chain(file: Any, offsets: list[int]) -> None:
    """Refuse a file whose last page names another one, which tifffile could not read and leaves out."""
    form, handle = file.tiff, file.filehandle

    def number(kind: str, size: int, place: int) -> int:
        if place + size > handle.size:
            raise ImageError("damaged tiff: it ends within its last page")
        return int(struct.unpack(kind, handle.read_array("u1", size, place).tobytes())[0])

    last = offsets[-1]
    count = number(form.tagnoformat, form.tagnosize, last)
    place = last + form.tagnosize + count * form.tagsize
    if number(form.offsetformat, form.offsetsize, place) not in (0, *offsets):
        raise ImageError("damaged tiff: it ends before its last page")


def _look(page: Any) -> tuple[Any, ...]:
    """What pages that are filtered as one have in common."""
    extra, turn = tuple(page.extrasamples or ()), _value(page, 274, int)
    kind = page.dtype, page.photometric, page.bitspersample, extra, turn
    return page.imagelength, page.imagewidth, page.samplesperpixel, *kind


def _is_jpeg_colour(page: Any) -> bool:
    """Whether a page holds luma and chroma that the JPEG decoder turns into RGB."""
    together = page.planarconfig != _SEPARATE and page.samplesperpixel == 3
    return bool(page.photometric == _YCBCR and page.compression == JPEG and together)


def _plain(page: Any, header: Header, stored: Array) -> Array:
    """Stored values, (rows, columns[, samples]), as the header's: colours looked up, bits spread."""
    if page.photometric == _PALETTE:
        colours: Array = (np.moveaxis(page.colormap, 0, -1) >> 8).astype(np.uint8)
        return colours[stored[..., 0] if stored.ndim == 3 else stored]
    pixels = stored
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    elif most := _most(page):
        pixels = full_range(pixels, most)
    if page.photometric == _WHITE_IS_ZERO:
        grays = pixels[..., :1] if pixels.ndim == 3 else pixels
        turned = np.invert(grays) if grays.dtype.kind in "iu" else -grays
        pixels = np.concatenate((turned, pixels[..., 1:]), axis=-1) if pixels.ndim == 3 else turned
    pixels = pixels.astype(header.dtype.newbyteorder("="), copy=False)
    return _divided(pixels) if _is_associated(page) else pixels


def _has_bands(page: Any) -> bool:
    """Whether the last of 2 or 4 samples is said to be something other than alpha."""
    return page.samplesperpixel in (2, 4) and tuple(page.extrasamples or ())[-1:] == (_UNSPECIFIED,)


def _is_associated(page: Any) -> bool:
    """Whether colours are stored multiplied by alpha."""
    return page.samplesperpixel in (2, 4) and _ASSOCIATED in (page.extrasamples or ())


def _divided(pixels: Array) -> Array:
    """(rows, columns, colours and alpha) whose colours were multiplied by alpha; 0 where that is 0."""
    colours, alpha = pixels[..., :-1].astype(np.float64), pixels[..., -1:].astype(np.float64)
    white = np.iinfo(pixels.dtype).max if pixels.dtype.kind in "iu" else 1
    full = np.divide(colours * white, alpha, out=np.zeros_like(colours), where=alpha > 0)
    if pixels.dtype.kind in "iu":
        full = np.rint(full).clip(0, white)
    return np.concatenate((full.astype(pixels.dtype), pixels[..., -1:]), axis=-1)


def _metadata(page: Any) -> Metadata:
    """What the tags say; a description that a program made of the shape is none of the picture's."""
    across, down = (_value(page, tag, tuple) or (0, 1) for tag in (282, 283))
    unit = _value(page, 296, int)
    metres = UNITS.get(2 if unit is None else unit)
    known = metres and all((*across, *down))
    texts = [(keyword, _value(page, tag, str) or "") for keyword, tag in _TEXTS.items()]
    return Metadata(
        icc=_value(page, 34675, bytes),
        xmp=_value(page, 700, bytes),
        resolution=(across[0] / across[1] / metres, down[0] / down[1] / metres) if metres and known else None,
        texts=tuple((keyword, text) for keyword, text in texts if text and not text.startswith(_MACHINES)),
    )


def _value(page: Any, tag: int, kind: type[T]) -> T | None:
    """A tag's value where it is there, sound and of this kind, else None."""
    try:
        value = page.tags.valueof(tag)
    except Exception:  # tifffile reads long values when asked, and damage shows in many ways
        return None
    return value if isinstance(value, kind) else None


def _tags(metadata: Metadata) -> list[tuple[int, int, int, bytes, bool]]:
    """Extra tags as tifffile takes them: (tag, type, count, value, in the first page only)."""
    texts = dict(metadata.texts)  # a tag stands once
    tags = [(_TEXTS[keyword], 2, 0, text.encode(), True) for keyword, text in texts.items() if text]
    if metadata.xmp:
        tags.append((700, 1, len(metadata.xmp), metadata.xmp, True))
    return tags


def _most(page: Any) -> int:
    """The largest value of unsigned integers of a page's bits, up to 16; else 0."""
    bits = page.bitspersample
    return 2**bits - 1 if page.dtype.kind == "u" and isinstance(bits, int) and bits <= 16 else 0


def _check_pieces(page: Any, data: bytes) -> None:
    """Refuse a page whose strips or tiles are not all in the file; tifffile would put zeros in their place.

    Raises:
        ImageError: one has no place, no bytes, or ends behind the file; or it is a JPEG without its end.
    """
    due = math.prod(page.chunked)
    places = zip(page.dataoffsets, page.databytecounts, strict=False)
    end = END_OF_JPEG if page.compression == JPEG else b""
    there = sum(
        0 < start < start + size <= len(data) and end in data[start + size - 8 : start + size]
        for start, size in places
    )
    if there < due:
        raise ImageError(f"damaged tiff: {due - there} of its {due} strips or tiles are missing or cut off")
