"""What a DICOM file says about its pixels; elements that are about a patient are never read.

DICOM PS3.3: C.7.6.3 (image pixel), C.11.1 (modality LUT), C.7.6.16 (functional groups); PS3.5: 8 and A.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from math import isfinite
from typing import Any, Final

from convcli.core.errors import ImageError
from convcli.core.frozen import frozen
from convcli.formats.decoding import silence_logger

_PREAMBLE: Final = 128
_DEFLATED: Final = "1.2.840.10008.1.2.1.99"
_INFLATED: Final = 2**30
"""Bytes of the largest data set that is inflated."""

_ELEMENTS: Final = (
    "TransferSyntaxUID", "SpecificCharacterSet", "Rows", "Columns", "SamplesPerPixel",
    "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "BitsAllocated", "BitsStored",
    "HighBit", "PixelRepresentation", "PixelPaddingValue", "RescaleSlope", "RescaleIntercept", "RescaleType",
    "ModalityLUTSequence", "PixelSpacing", "ImagerPixelSpacing", "BurnedInAnnotation",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData", "BluePaletteColorLookupTableData",
    "SegmentedRedPaletteColorLookupTableData", "SegmentedGreenPaletteColorLookupTableData",
    "SegmentedBluePaletteColorLookupTableData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths",
    "PixelData", "FloatPixelData", "DoubleFloatPixelData",
)  # fmt: skip
"""Keywords of the elements that are read."""

_DATA: Final = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_GRAY: Final = ("MONOCHROME1", "MONOCHROME2")
_YBR: Final = ("YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT", "YBR_PARTIAL_422", "YBR_PARTIAL_420")
_SAMPLES: Final = {
    **dict.fromkeys((*_GRAY, "PALETTE COLOR"), 1),
    **dict.fromkeys(("RGB", *_YBR), 3),
}
_ALLOCATED: Final = (1, 8, 16, 32)


@frozen(eq=False)
class Facts:
    """The elements that describe pixels, checked.

    Attributes:
        data: keyword of the element that holds the pixels.
        dataset: what pydicom has read.
        syntax: UID of the transfer syntax.
        photometric: the photometric interpretation.
        allocated, stored, high: bits of a sample, those in use, and the highest of these.
        signed: whether samples are signed.
        planar: whether all samples of a color follow each other.
        slope, intercept: of the modality; 1 and 0 where there is none.
    """

    data: str
    dataset: Any
    syntax: str
    rows: int
    columns: int
    frames: int
    samples: int
    photometric: str
    allocated: int
    stored: int
    high: int
    signed: bool
    planar: bool
    slope: float = 1.0
    intercept: float = 0.0

    @property
    def is_gray(self) -> bool:
        return self.photometric in _GRAY

    @property
    def is_rescaled(self) -> bool:
        return (self.slope, self.intercept) != (1, 0)


def read_facts(data: bytes) -> Facts:
    """The facts of a file.

    Raises:
        ImageError: it is damaged, has no image, or one that is not read; nothing of its text is quoted.
    """
    library = _library()
    silence_logger("pydicom")
    _check_deflated(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = library.dcmread(io.BytesIO(data), force=True, specific_tags=list(_ELEMENTS))
            facts = _facts(dataset)
        except ImageError:
            raise
        except Exception as error:  # whose text may quote what is said of a patient
            raise ImageError(f"damaged dicom: its header cannot be read ({type(error).__name__})") from None
    return facts


def _library() -> Any:
    try:
        import pydicom
    except ImportError as error:
        raise ImageError("reading dicom requires an extra package: pip install 'convcli[dicom]'") from error
    return pydicom


def _check_deflated(data: bytes) -> None:
    """Refuse a deflated data set that is too large, before the library inflates it."""
    begin = _PREAMBLE + 4
    if data[_PREAMBLE:begin] != b"DICM" or _DEFLATED.encode() not in data[begin : begin + 2**12]:
        return
    if data[begin : begin + 8] != b"\2\0\0\0UL\4\0":
        raise ImageError("damaged dicom: its file meta information has no length")
    (length,) = struct.unpack_from("<I", data, begin + 8)
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    rest, total = data[begin + 12 + length :], 0
    try:
        while rest and not stream.eof:
            total += len(stream.decompress(rest, 2**20))
            rest = stream.unconsumed_tail
            if total > _INFLATED:
                raise ImageError(f"dicom that inflates to more than {_INFLATED} bytes")
    except zlib.error as error:
        raise ImageError(f"damaged dicom: {error}") from error


def _facts(dataset: Any) -> Facts:
    held = [keyword for keyword in _DATA if keyword in dataset]
    if not held:
        raise ImageError("dicom without an image: it has no pixel data")
    photometric = str(dataset.PhotometricInterpretation).strip()
    samples = int(dataset.get("SamplesPerPixel", 1))
    if _SAMPLES.get(photometric) != samples:
        kind = photometric if photometric in _SAMPLES else "another photometric interpretation"
        allowed = "; ".join(("MONOCHROME1, MONOCHROME2, PALETTE COLOR with 1", "RGB, YBR_FULL, … with 3"))
        raise ImageError(f"dicom with {samples} samples of {kind}; allowed: {allowed}")
    allocated = int(dataset.BitsAllocated)
    is_float = held[0] != "PixelData"
    stored = allocated if is_float else int(dataset.get("BitsStored", allocated))
    high = allocated - 1 if is_float else int(dataset.get("HighBit", stored - 1))
    if not is_float and allocated not in _ALLOCATED:
        raise ImageError(f"dicom with {allocated} bits allocated; allowed: {', '.join(map(str, _ALLOCATED))}")
    if not 0 < stored <= high + 1 <= allocated:
        raise ImageError(f"damaged dicom: {stored} bits up to bit {high} of {allocated}")
    slope, intercept = _rescaling(dataset) if photometric in _GRAY else (1.0, 0.0)
    facts = Facts(
        held[0],
        dataset,
        _syntax(dataset),
        int(dataset.Rows),
        int(dataset.Columns),
        int(dataset.get("NumberOfFrames") or 1),
        samples,
        photometric,
        allocated,
        stored,
        high,
        int(dataset.get("PixelRepresentation", 0)) == 1,
        int(dataset.get("PlanarConfiguration", 0)) == 1,
        slope,
        intercept,
    )
    if min(facts.rows, facts.columns, facts.frames) < 1:
        raise ImageError(f"damaged dicom: {facts.frames} frames of {facts.columns}×{facts.rows} pixels")
    return facts


def _syntax(dataset: Any) -> str:
    """The UID of the transfer syntax; of files without one, as the library has found the data set coded."""
    stated = dataset.file_meta.get("TransferSyntaxUID") if hasattr(dataset, "file_meta") else None
    if stated:
        return str(stated)
    implicit, little = dataset.original_encoding
    return "1.2.840.10008.1.2" + ("" if implicit else ".1" if little else ".2")


def _rescaling(dataset: Any) -> tuple[float, float]:
    """The slope and the intercept, also of functional groups if those of all frames are the same."""
    places = [dataset]
    for group in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for frame in dataset.get(group) or ():
            places += list(frame.get("PixelValueTransformationSequence") or ())
    found = {
        (float(place.RescaleSlope), float(place.RescaleIntercept))
        for place in places
        if place.get("RescaleSlope") is not None and place.get("RescaleIntercept") is not None
    }
    if len(found) > 1:
        raise ImageError("dicom whose frames have different rescale slopes or intercepts")
    slope, intercept = found.pop() if found else (1.0, 0.0)
    if not (isfinite(slope) and isfinite(intercept)):
        raise ImageError("damaged dicom: its rescale slope or intercept is no number")
    return slope, intercept


def spacing(dataset: Any) -> tuple[float, float] | None:
    """Pixels per meter, (across, down), if the file states how far pixels are apart."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        try:
            down, across = (float(number) for number in dataset.get(keyword) or ())
        except (TypeError, ValueError):
            continue
        if down > 0 and across > 0 and isfinite(down) and isfinite(across):
            return 1000 / across, 1000 / down
    return None
