"""HEIC: read and written by pillow-heif, which is an extra."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.errors import ImageError, OutputError
from convcli.formats.base import Format
from convcli.formats.decoding import CHANNELS, MODES, ftyp_brands, range_notes, to_full_range
from convcli.formats.encoders import Encoder
from convcli.formats.header import Header, Layout, Metadata
from convcli.formats.metadata import MAX_BLOCK_BYTES, pillow_metadata, with_metadata

_UPRIGHT: Final = 1
"""The orientation of decoded images, whatever the Exif block says (ISO/IEC 23008-12, 6.5.10)."""

_EXACT: Final[Mapping[str, Any]] = {"quality": -1, "matrix_coefficients": 0}
"""Options that keep every value: no quantization, and red, green and blue instead of luma and chroma."""

_PRESET: Final = "superfast"  # as small as the default where nothing is lost, and twice as quick

_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


class Heif(Format):
    """High Efficiency Image File Format, 8 to 12 bits; rotated upright by the library.

    Written with 8 bits, losslessly unless a quality is chosen.
    """

    extra = "heif"
    suggested = False
    max_side = 16_384
    max_pixels = 2**26  # x265 takes minutes for more
    has_quality = True
    decoder_overhead = 5
    encoder_overhead = 60

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
        return frames == 1 and dtype == np.uint8

    def metadata_limits(self, channels: int) -> Mapping[str, int]:
        blocks = ("exif", "xmp") if channels == 2 else ("icc", "exif", "xmp")  # that is written as RGBA
        return dict.fromkeys(blocks, MAX_BLOCK_BYTES)

    def encoder(self, layout: Layout, metadata: Metadata) -> Encoder:
        """As of every format, if this pillow-heif can write.

        Raises:
            OutputError: it has no encoder, or is not installed.
        """
        try:
            library = _library()
        except ImportError as error:
            raise OutputError(
                "writing heif requires an extra package: pip install 'convcli[heif]'"
            ) from error
        if not library.libheif_info()["HEIF"]:
            raise OutputError("this pillow-heif has no HEVC encoder; choose another format, such as .avif")
        return super().encoder(layout, metadata)

    def encode(self, pixels: Array, metadata: Metadata) -> bytes:
        if pixels.shape[2] == 2:
            pixels = pixels[..., [0, 0, 0, 1]]
        rows, columns, channels = pixels.shape
        file = _library().from_bytes(MODES[channels], (columns, rows), np.ascontiguousarray(pixels).tobytes())
        if metadata.icc:
            file.info["icc_profile"] = metadata.icc
        quality, data = metadata.coding.quality, io.BytesIO()
        options = _EXACT if quality is None else {"quality": quality}
        blocks = {"exif": metadata.exif and b"Exif\0\0" + metadata.exif, "xmp": metadata.xmp}
        stated = {name: block for name, block in blocks.items() if block}
        file.save(data, chroma=444, enc_params={"preset": _PRESET}, **options, **stated)
        return data.getvalue()


def _opened(data: bytes) -> Any:
    """The file's primary image as pillow-heif opens it, with the values as stored.

    Raises:
        ImageError: pillow-heif is not installed.
    """
    try:
        library = _library()
    except ImportError as error:
        raise ImageError("reading heif requires an extra package: pip install 'convcli[heif]'") from error
    return library.open_heif(data, convert_hdr_to_8bit=False, hdr_to_16bit=False)


def _library() -> Any:
    import pillow_heif

    return pillow_heif
