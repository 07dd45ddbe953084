"""TIFF: pages of integers of 8 to 32 bits and floats, by tifffile; written with deflate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count, groupby
from typing import Any, Final, TypeVar

from convcli.core.dtypes import Array, DType
from convcli.core.errors import ImageError
from convcli.core.frozen import replace
from convcli.files.input import Input
from convcli.formats.base import StreamedFormat
from convcli.formats.calibration import Measure
from convcli.formats.decoding import silence_logger
from convcli.formats.encoders import BandEncoder, band_rows
from convcli.formats.header import Coding, Header, Layout, Metadata
from convcli.formats.metadata import (
    MAX_BLOCK_BYTES,
    METERS_PER_UNIT,
    dots_per_inch,
    nodata_text,
    parse_nodata,
    with_metadata,
)
from convcli.formats.readers import Reader
from convcli.formats.tiff import imagej, measures
from convcli.formats.tiff.axes import described_axes, description, ground, ground_tags, imagej_resolution
from convcli.formats.tiff.color import color, is_as_stored
from convcli.formats.tiff.encoder import TiffEncoder
from convcli.formats.tiff.levels import at_level, of_level
from convcli.formats.tiff.pages import Plane, pages_of, planes
from convcli.formats.tiff.rows import TiffPages, TiffRows, sparse_notes
from convcli.formats.tiff.tables import Tables

T = TypeVar("T")

_CLOUD_OPTIMIZED: Final = b"LAYOUT=IFDS_BEFORE_DATA"
_GHOST: Final = 512  # bytes from the start of the file that GDAL's note of its layout is within
_NODATA: Final = 42113  # GDAL: the value of pixels without data, as text

_UNREAD: Final = {
    "Exif": (34665,),
    "GPS": (34853,),
    "reduced versions in SubIFDs": (330,),
    "rational polynomial coefficients": (50844,),
    "IPTC": (33723,),
    "Photoshop resources": (34377,),
    "MetaMorph tags": (33628, 33629, 33630, 33631),
    "Zeiss LSM tags": (34412,),
    "FluoView tags": (34361,),
    "Micro-Manager tags": (51123,),
    "Zeiss SEM tags": (34118,),
    "FEI tags": (34680, 34682),
}
"""Tags that are reported but not kept."""

_TEXTS: Final = {"Title": 269, "Description": 270, "Creation Time": 306, "Author": 315, "Copyright": 33432}
_MACHINES: Final = (
    "{",
    "<",
    "ImageJ=",
    "SCIFIO=",
    "shape=",
    "Aperio ",
)  # how machine-readable descriptions begin


class Tiff(StreamedFormat):
    """Tag Image File Format (6.0), BigTIFF included."""

    has_levels = True
    any_channels = True
    max_channels = 65_535
    mixed_frames = True
    decoder_overhead = 8  # where a page cannot be read in parts

    def sniff(self, head: bytes) -> bool:
        return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

    def header(self, data: bytes) -> Header:
        return self.open(Input(data=data))[0][0]

    def open(self, source: Input) -> list[tuple[Header, Reader | None]]:
        images, notes = _images(source)
        runs = [list(run) for _, run in groupby(enumerate(images), lambda entry: _look(entry[1].page))]
        alone = len(runs) == 1
        opened = [self._run(source, run[0][0], [plane for _, plane in run], alone) for run in runs]
        header, reader = opened[0]
        return [(replace(header, notes=(*header.notes, *notes)), reader), *opened[1:]]

    def _run(self, source: Input, first: int, run: list[Plane], alone: bool) -> tuple[Header, Reader | None]:
        """The header and the reader of planes that are alike, and all that the file has or not."""
        header = replace(self._facts(run[0], len(run), alone), first=first)
        parts = [TiffRows(source, plane, header, len(run)) for plane in run]
        header = replace(header, notes=(*header.notes, *sparse_notes(parts)))
        return header, TiffPages(parts) if all(part.in_parts for part in parts) else None

    def _facts(self, plane: Plane, frames: int, alone: bool) -> Header:
        page, whole = plane.page, plane.whole or plane.page
        if page.imagedepth != 1:
            raise ImageError(f"tiff of {page.imagedepth} layers in one page; allowed: 1, a volume as pages")
        rows, columns = int(page.imagelength), int(page.imagewidth)
        if rows < 1 or columns < 1:
            raise ImageError(f"damaged tiff: {columns}×{rows} pixels")
        seen = color(page)
        axes, axes_notes = described_axes(whole, page.samplesperpixel, frames)
        if not alone and axes:
            axes, axes_notes = (
                None,
                (*axes_notes, f"axes and pixel sizes are left out: {axes} of pages that differ"),
            )
        facts = Header(self.name, rows, columns, seen.channels, seen.dtype, frames=frames, bands=seen.bands)
        facts = replace(facts, notes=(*seen.notes, *axes_notes, *_left_out(whole)))
        metadata = replace(_metadata(whole), axes=axes, extra=seen.extra)
        return with_metadata(facts, of_level(metadata, plane), _value(whole, 274, int))

    def decode(self, data: bytes, header: Header) -> Array:
        return next(self.frames(data, header))

    def frames(self, data: bytes, header: Header) -> Iterator[Array]:
        """The planes of a run."""
        source = Input(data=data)
        for plane in _planes_of(source, header):
            yield TiffRows(source, plane, header).rows(0, header.rows)

    def holds(self, dtype: DType, channels: int, frames: int = 1) -> bool:
        return True

    def metadata_limits(self, channels: int) -> Mapping[str, int]:
        known = dict.fromkeys(("resolution", "axes", "ground", "nodata", "measures"), 0)
        return {
            "icc": MAX_BLOCK_BYTES,
            "xmp": MAX_BLOCK_BYTES,
            **known,
            **dict.fromkeys(_TEXTS, MAX_BLOCK_BYTES),
        }

    def band_height(self, layout: Layout, coding: Coding) -> int:
        return band_rows(layout)

    def encoder(self, layout: Layout, metadata: Metadata) -> BandEncoder:
        band = self.band_height(layout, metadata.coding)
        strips = TiffEncoder(
            layout,
            band,
            metadata.extra,
            {
                "iccprofile": metadata.icc,
                "resolution": metadata.resolution and dots_per_inch(metadata.resolution),
                "resolutionunit": "inch" if metadata.resolution else None,
                "extratags": _tags(metadata, layout),
                **imagej_resolution(metadata.axes),
            },
        )
        return BandEncoder(strips, layout, band)


def _images(source: Input) -> tuple[list[Plane], tuple[str, ...]]:
    """The images of a file, at the level that is chosen, with notes; tifffile prints nothing."""
    from tifffile import TiffFile  # imported only for such files

    silence_logger("tifffile")
    tables = Tables(source)
    file = TiffFile(tables.file())
    pages = pages_of(file, tables)
    if not source.level:
        return planes(file, pages)
    images = at_level(pages, source.level)
    page, whole = images[0].page, images[0].whole
    sizes = f"{page.imagewidth}×{page.imagelength} of {whole.imagewidth}×{whole.imagelength} pixels"
    return images, (f"level {source.level}: {sizes}",)


def _planes_of(source: Input, header: Header) -> list[Plane]:
    """The planes of a run, at the level that has its size."""
    for source.level in count():
        images, _ = _images(source)
        run = images[header.first : header.first + header.frames]
        if (run[0].page.imagelength, run[0].page.imagewidth) == (header.rows, header.columns):
            break
    return run


def _look(page: Any) -> tuple[Any, ...]:
    """What the pages of one run have in common."""
    extra, turn = tuple(page.extrasamples or ()), _value(page, 274, int)
    kind = page.dtype, page.photometric, page.bitspersample, extra, turn
    return page.imagelength, page.imagewidth, page.samplesperpixel, *kind


def _metadata(page: Any) -> Metadata:
    """The metadata of the tags; a machine-readable description is not a text of the image."""
    across, down = (_value(page, tag, tuple) or (0, 1) for tag in (282, 283))
    unit = _value(page, 296, int)
    meters = METERS_PER_UNIT.get(2 if unit is None else unit)
    known = meters and all((*across, *down))
    texts = [(keyword, _value(page, tag, str) or "") for keyword, tag in _TEXTS.items()]
    value = _value(page, _NODATA, str) if is_as_stored(page) else None
    known = known and not page.is_imagej  # whose axes say it, in any unit
    return Metadata(
        icc=_value(page, 34675, bytes),
        xmp=_value(page, 700, bytes),
        resolution=(across[0] / across[1] / meters, down[0] / down[1] / meters) if meters and known else None,
        texts=tuple((keyword, text) for keyword, text in texts if text and not text.startswith(_MACHINES)),
        ground=ground(page),
        nodata=parse_nodata(value or ""),
        measures=_measures(page)[0],
    )


def _left_out(page: Any) -> tuple[str, ...]:
    """A note on the tags that are not kept."""
    names = [name for name, tags in _UNREAD.items() if any(tag in page.tags for tag in tags)]
    text = page.description
    names += imagej.left_out(page)
    if _NODATA in page.tags and not is_as_stored(page):
        names.append("the nodata value, because values are converted")
    if _measures(page)[1]:
        names.append("GDAL metadata other than names, units and scales of bands")
    if _is_cloud_optimized(page):
        names.append("the layout of a cloud-optimized GeoTIFF (gdal_translate -of COG makes one)")
    read = page.is_ome or page.is_imagej or page.is_shaped
    names += ["a machine-readable description"] if text.startswith(_MACHINES) and not read else []
    return (f"left out of this tiff: {', '.join(names)}",) if names else ()


def _measures(page: Any) -> tuple[tuple[Measure, ...] | None, bool]:
    """What the values of bands stand for, if pixels have them as stored; and whether there is more."""
    text = _value(page, measures.TAG, str)
    if not is_as_stored(page):
        return None, text is not None
    return measures.measures(text, page.samplesperpixel)


def _is_cloud_optimized(page: Any) -> bool:
    """Whether GDAL has written that directories come before data, between the header and the first one."""
    handle = page.parent.filehandle
    handle.seek(0)
    return _CLOUD_OPTIMIZED in handle.read(_GHOST)


def _value(page: Any, tag: int, kind: type[T]) -> T | None:
    """A tag's value where it is there, sound and of this kind, else None."""
    try:
        value = page.tags.valueof(tag)
    except Exception:  # tifffile reads long values when asked, and damage shows in many ways
        return None
    return value if isinstance(value, kind) else None


def _tags(metadata: Metadata, layout: Layout) -> list[tuple[int, int, int, Any, bool]]:
    """Extra tags as tifffile takes them: (tag, type, count, value, in the first page only)."""
    texts = dict(metadata.texts)  # each tag is written once
    tags: list[tuple[int, int, int, Any, bool]] = [
        (_TEXTS[keyword], 2, 0, text.encode(), True) for keyword, text in texts.items() if text
    ]
    if metadata.axes:  # last, because readers also find it after another text
        tags.append((_TEXTS["Description"], 2, 0, description(metadata.axes, layout).encode(), True))
    if metadata.xmp:
        tags.append((700, 1, len(metadata.xmp), metadata.xmp, True))
    if metadata.measures is not None:
        text = measures.measures_text(metadata.measures)
        tags.append((measures.TAG, 2, 0, text.encode(), True))
    if metadata.nodata is not None:
        tags.append((_NODATA, 2, 0, nodata_text(metadata.nodata).encode(), False))
    return tags + ground_tags(metadata.ground) + imagej.tags(metadata.axes)
