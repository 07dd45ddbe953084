"""The boxes around a JPEG XL codestream (ISO/IEC 18181-2): metadata, and the codestream in parts."""

from __future__ import annotations

import struct
from typing import Final

from convcli.core.errors import ImageError
from convcli.core.frozen import frozen
from convcli.formats.header import Metadata
from convcli.formats.jxl.codestream import HEAD, MARK
from convcli.formats.metadata import MAX_BLOCK_BYTES

SIGNATURE: Final = b"\0\0\0\x0cJXL \r\n\x87\n"
_TYPE: Final = b"jxl \0\0\0\0jxl "
_EXIF, _XMP, _BROTLI = b"Exif", b"xml ", b"brob"
_WHOLE, _PART = b"jxlc", b"jxlp"


@frozen
class Box:
    """A box of a container."""

    kind: bytes
    body: memoryview


def boxes(data: bytes) -> list[Box]:
    """The boxes of a container after its signature; none of a codestream by itself.

    Raises:
        ImageError: a box ends behind the file.
    """
    found: list[Box] = []
    view, place = memoryview(data), len(SIGNATURE)
    while data[:2] != MARK and place < len(data):
        if place + 8 > len(data):
            raise ImageError("damaged jxl: it is truncated")
        (size,), head = struct.unpack_from(">I", data, place), 8
        if size == 1 and place + 16 <= len(data):
            (size,), head = struct.unpack_from(">Q", data, place + 8), 16
        end = place + size if size else len(data)
        if end > len(data) or end < place + head:
            raise ImageError("damaged jxl: it is truncated, or the size of a part is wrong")
        found.append(Box(data[place + 4 : place + 8], view[place + head : end]))
        place = end
    return found


def beginning(data: bytes) -> bytes:
    """The first bytes of the codestream, enough for its headers.

    Raises:
        ImageError: there is no codestream.
    """
    if data[:2] == MARK:
        return data[:HEAD]
    head = b""
    for box in boxes(data):
        if box.kind == _WHOLE:
            head = bytes(box.body[:HEAD])
        elif box.kind == _PART and len(head) < HEAD:
            head += bytes(box.body[4 : 4 + HEAD])
    return head


def stated_metadata(data: bytes) -> Metadata:
    """The Exif block and the XMP packet, unchecked."""
    blocks: dict[bytes, bytes] = {}
    for box in boxes(data):
        kind, body = box.kind, bytes(box.body)
        if kind == _BROTLI and body[:4] in (_EXIF, _XMP):
            kind, body = body[:4], _unpacked(body[4:])
        if kind in (_EXIF, _XMP):
            blocks.setdefault(kind, body)
    exif = blocks.get(_EXIF, b"")
    begin = 4 + int.from_bytes(exif[:4], "big")
    return Metadata(exif=exif[begin:] or None, xmp=blocks.get(_XMP) or None)


def _unpacked(packed: bytes) -> bytes:
    """The block, or nothing if it is damaged or longer than a block may be."""
    import imagecodecs

    try:
        return bytes(imagecodecs.brotli_decode(packed, out=MAX_BLOCK_BYTES))
    except Exception:  # of any kind: damaged metadata is no reason to refuse an image
        return b""


def contained(codestream: bytes, metadata: Metadata, level: bytes) -> bytes:
    """A file of a codestream: by itself if there is nothing else to say, otherwise in boxes.

    Args:
        level: the box that states the level of the codestream, or empty.
    """
    parts = [_box(_EXIF, bytes(4) + metadata.exif)] if metadata.exif else []
    parts += [_box(_XMP, metadata.xmp)] if metadata.xmp else []
    if not parts and not level:
        return codestream
    head = SIGNATURE + _box(b"ftyp", _TYPE) + (_box(b"jxll", level) if level else b"")
    return head + b"".join(parts) + _box(_WHOLE, codestream)


def opened(data: bytes) -> tuple[bytes, bytes]:
    """The codestream of a file that libjxl wrote, and the box of its level, or nothing."""
    if data[:2] == MARK:
        return data, b""
    found = boxes(data)
    level = next((bytes(box.body) for box in found if box.kind == b"jxll"), b"")
    parts = [box.body if box.kind == _WHOLE else box.body[4:] for box in found if box.kind in (_WHOLE, _PART)]
    return b"".join(parts), level


def _box(kind: bytes, body: bytes) -> bytes:
    size = len(body) + 8
    if size < 2**32:
        return struct.pack(">I", size) + kind + body
    return struct.pack(">I4sQ", 1, kind, size + 8) + body
