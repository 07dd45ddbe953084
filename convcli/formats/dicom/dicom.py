"""DICOM images, plain or compressed, with one or several frames; not written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from convcli.core.dtypes import Array, DType
from convcli.core.errors import ImageError
from convcli.core.patterns import pattern
from convcli.formats.base import Format
from convcli.formats.dicom.facts import Facts, read_facts, spacing
from convcli.formats.dicom.frames import check_readable, samples_of
from convcli.formats.dicom.values import values_of
from convcli.formats.header import Header, Metadata
from convcli.formats.metadata import with_metadata

SIGNATURE: Final = (
    rb"(?s).{128}DICM"
    rb"|[\x02\x08]\0[\0\x01\x02\x05\x08\x10\x12\x16\x18]\0(?:UL|UI|CS|DA|TM|OB|[\x02-\x40]\0\0\0)"
)
"""The mark behind the preamble; without one, the first element with its type, or its length."""


class Dicom(Format):
    """Digital Imaging and Communications in Medicine (PS3.10): values as the modality states them."""

    extra = "dicom"
    writable = False
    decoder_overhead = 8

    def sniff(self, head: bytes) -> bool:
        return pattern(SIGNATURE).match(head) is not None

    def header(self, data: bytes) -> Header:
        facts = read_facts(data)
        check_readable(facts)
        values = values_of(facts)
        header = Header(
            self.name,
            facts.rows,
            facts.columns,
            values.channels,
            values.dtype,
            facts.frames,
            notes=(*values.notes, *_warnings(facts)),
        )
        metadata = Metadata(resolution=spacing(facts.dataset), nodata=values.nodata)
        return with_metadata(header, metadata, orientation=1)

    def decode(self, data: bytes, header: Header) -> Array:
        return next(self.frames(data, header))

    def frames(self, data: bytes, header: Header) -> Iterator[Array]:
        """Each frame."""
        facts = read_facts(data)
        values = values_of(facts)
        for samples in samples_of(facts):
            try:
                yield values.frame(samples)
            except (ValueError, AttributeError, TypeError, IndexError) as error:
                raise ImageError("damaged dicom: its palette cannot be read") from error

    def holds(self, dtype: DType, channels: int, frames: int = 1) -> bool:
        return False


def _warnings(facts: Facts) -> tuple[str, ...]:
    """Notes on what is not applied, and on text in the image itself."""
    notes = []
    if facts.dataset.get("ModalityLUTSequence"):
        notes.append("its modality lookup table is not applied: values are the stored ones")
    if facts.dataset.get("BurnedInAnnotation") == "YES":
        notes.append("the file says that text is burned into the image, possibly about a patient")
    return tuple(notes)
