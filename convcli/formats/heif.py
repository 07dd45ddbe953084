"""HEIC: read by pillow-heif, which is an extra; not written."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.errors import ImageError
from convcli.formats.base import Format
from convcli.formats.decoding import CHANNELS, ftyp_brands, range_notes, to_full_range
from convcli.formats.header import Header
from convcli.formats.metadata import pillow_metadata, with_metadata

_UPRIGHT: Final = 1
"""The orientation of decoded images, whatever the Exif block says (ISO/IEC 23008-12, 6.5.10)."""

_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


class Heif(Format):
    """High Efficiency Image File Format, 8 to 12 bits; rotated upright by the library."""

    extra = "heif"
    writable = False
    decoder_overhead = 5

    def sniff(self, head: bytes) -> bool:
        return not ftyp_brands(head).isdisjoint(_BRANDS)

    def header(self, data: bytes) -> Header:
        file = _opened(data)
        columns, rows = file.size
        most = 2 ** int(file.info["bit_depth"]) - 1
        kind = np.dtype(np.uint8 if most < 256 else np.uint16)
        channels = CHANNELS[file.mode.partition(";")[0].replace("I", "L")]
        notes = range_notes(most)
        if len(file) > 1:
            notes += (f"the first of {len(file)} images; the others are ignored",)
        facts = Header(self.name, rows, columns, channels, kind, notes=notes)
        return with_metadata(facts, pillow_metadata(file), _UPRIGHT)

    def decode(self, data: bytes, header: Header) -> Array:
        file = _opened(data)
        pixels = to_full_range(np.asarray(file), 2 ** int(file.info["bit_depth"]) - 1)
        return pixels.reshape(header.rows, header.columns, header.channels)

    def holds(self, dtype: DType, channels: int, frames: int = 1) -> bool:
        return False


def _opened(data: bytes) -> Any:
    """The file's primary image as pillow-heif opens it, with the values as stored.

    Raises:
        ImageError: pillow-heif is not installed.
    """
    try:
        import pillow_heif
    except ImportError as error:
        raise ImageError("reading heif requires an extra package: pip install 'convcli[heif]'") from error
    return pillow_heif.open_heif(data, convert_hdr_to_8bit=False, hdr_to_16bit=False)
