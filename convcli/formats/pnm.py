"""Netpbm: PBM, PGM, PPM (P1 to P6) and PAM (P7), 8 and 16 bits; written as P5, P6 or P7."""

from __future__ import annotations

import re
from functools import partial
from typing import Final

import numpy as np

from convcli.core.dtypes import Array, DType
from convcli.core.errors import ImageError, quoted
from convcli.core.frozen import frozen, replace
from convcli.files.input import Input
from convcli.formats.base import StreamedFormat
from convcli.formats.decoding import range_notes, to_full_range
from convcli.formats.header import Header, Layout, Metadata
from convcli.formats.raw import HEAD, RawEncoder, RawRows
from convcli.formats.readers import Reader

_GAP: Final = rb"(?:\s|#[^\r\n]*[\r\n])+"
_NUMBER: Final = rb"(\d{1,9})"
_END: Final = rb"(?:\s|#[^\r\n]*[\r\n])"
_BITMAP: Final = re.compile(rb"P([14])" + _GAP + _NUMBER + _GAP + _NUMBER + _END)
_MAP: Final = re.compile(rb"P([2356])" + _GAP + _NUMBER + _GAP + _NUMBER + _GAP + _NUMBER + _END)
_ANYMAP: Final = re.compile(rb"P7\s*?\n(.{0,10000}?\n)?ENDHDR[ \t\r]*\n", re.DOTALL)
_TUPLES: Final = {"BLACKANDWHITE": 1, "GRAYSCALE": 1, "GRAYSCALE_ALPHA": 2, "RGB": 3, "RGB_ALPHA": 4}
_DEEPEST: Final = 65_535
_MORE: Final = "data after the first image is ignored"


@frozen
class _Layout:
    """The header: form (1 to 7), sizes, largest value, and offset of the values."""

    form: int
    columns: int
    rows: int
    channels: int
    most: int
    begin: int

    @property
    def count(self) -> int:
        return self.rows * self.columns * self.channels

    @property
    def stored(self) -> DType:
        """Type of the values of forms 5 to 7, and of the bytes of form 4."""
        return np.dtype(np.uint8 if self.most < 256 else ">u2")

    @property
    def row(self) -> int:
        """Bytes of a row of form 4."""
        return (self.columns + 7) // 8

    @property
    def length(self) -> int:
        """Bytes of the values; in text, the fewest they can take."""
        if self.form == 4:
            return self.rows * self.row
        if self.form < 4:
            return self.count if self.form == 1 else 2 * self.count - 1
        return self.count * (1 if self.most < 256 else 2)


class Pnm(StreamedFormat):
    """Netpbm's portable maps, one or several per file; images with alpha are written as PAM."""

    def sniff(self, head: bytes) -> bool:
        return re.match(rb"P[1-7][\s#]", head) is not None

    def header(self, data: bytes) -> Header:
        layout = _layout(data)
        kind = np.dtype(np.uint8 if layout.most < 256 else np.uint16)
        notes = range_notes(layout.most)
        return Header(self.name, layout.rows, layout.columns, layout.channels, kind, notes=notes)

    def decode(self, data: bytes, header: Header) -> Array:
        layout = _layout(data)
        if len(data) < layout.begin + layout.length:
            raise ImageError(
                f"damaged pnm: it is truncated, with {len(data) - layout.begin} bytes of pixels "
                f"instead of {layout.length}"
            )
        values = _written_out(data, layout) if layout.form < 4 else _binary(data, layout)
        pixels = to_full_range(values, layout.most)
        return pixels.reshape(header.rows, header.columns, header.channels)

    def open(self, source: Input) -> list[tuple[Header, Reader | None]]:
        head = source.head(HEAD)
        header, layout = self.header(head), _layout(head)
        if layout.form < 4 or source.size < layout.begin + layout.length:
            return [(header, None)]
        frames = _frames(source, head[: layout.begin], layout.begin + layout.length)
        if source.size > frames * (layout.begin + layout.length):
            _check_rest(source, head[:2], frames * (layout.begin + layout.length))
            notes = (*header.notes, f"data after image {frames} is ignored" if frames > 1 else _MORE)
            header = replace(header, notes=notes)
        header = replace(header, frames=frames)
        stored = replace(header, columns=layout.row) if layout.form == 4 else header  # bytes of eight pixels
        finish = partial(_spread, layout)
        return [(header, RawRows(source, layout.begin, stored, layout.stored, finish, gap=layout.begin))]

    def holds(self, dtype: DType, channels: int, frames: int = 1) -> bool:
        return dtype in (np.uint8, np.uint16)

    def suffix_note(self, suffix: str, channels: int) -> str:
        actual = {1: ".pgm", 3: ".ppm"}.get(channels, ".pam")
        if suffix.casefold() in (actual, ".pnm"):
            return ""
        return f"the file is a {actual[1:].upper()}, despite its suffix {suffix}"

    def encoder(self, layout: Layout, metadata: Metadata) -> RawEncoder:
        rows, columns, channels = layout.shape
        most = np.iinfo(layout.dtype).max
        if channels in (1, 3):
            head = f"P{5 if channels == 1 else 6}\n{columns} {rows}\n{most}\n"
        else:
            kind = "GRAYSCALE_ALPHA" if channels == 2 else "RGB_ALPHA"
            size = f"WIDTH {columns}\nHEIGHT {rows}\nDEPTH {channels}\nMAXVAL {most}"
            head = f"P7\n{size}\nTUPLTYPE {kind}\nENDHDR\n"
        return RawEncoder(layout, b"", layout.dtype.newbyteorder(">"), each=head.encode("ascii"))


def _check_rest(source: Input, magic: bytes, place: int) -> None:
    """Refuse a truncated image after the last complete one."""
    rest = bytes(source.part(place, HEAD))
    if not rest.startswith(magic):
        return
    try:
        layout = _layout(rest)
    except ImageError:
        raise ImageError("damaged pnm: its last image is truncated") from None
    if source.size - place < layout.begin + layout.length:
        raise ImageError("damaged pnm: its last image is truncated")


def _frames(source: Input, head: bytes, length: int) -> int:
    """How many consecutive images have this header, ``length`` bytes each."""
    most, count = source.size // length, 1
    while count < most and source.part(count * length, len(head)) == head:
        count += 1
    return count


def _bits(layout: _Layout, packed: Array) -> Array:
    """(rows, columns, 1) of 0 and 1 from form 4, (rows, bytes[, 1]); a set bit is black."""
    bits = np.unpackbits(packed.reshape(len(packed), -1), axis=1, count=layout.columns)
    return bits[..., None] ^ np.uint8(1)


def _spread(layout: _Layout, stored: Array) -> Array:
    """Binary values, in the byte order of the machine, over the full range of their type."""
    values = _bits(layout, stored) if layout.form == 4 else stored
    return to_full_range(values.astype(values.dtype.newbyteorder("="), copy=False), layout.most)


def _layout(data: bytes) -> _Layout:
    """Read the header.

    Raises:
        ImageError: it is malformed, or has sizes or types that are not supported.
    """
    if data.startswith(b"P7"):
        layout = _layout_of_anymap(data)
    elif match := (_BITMAP if data[1:2] in b"14" else _MAP).match(data):
        form, columns, rows, most = (int(word) for word in (*match.groups(), b"1")[:4])
        layout = _Layout(form, columns, rows, 3 if form in (3, 6) else 1, most, match.end())
    else:
        raise ImageError("damaged pnm: its header has no width, height and maximum value")
    if not layout.rows or not layout.columns:
        raise ImageError(f"damaged pnm: {layout.columns}×{layout.rows} pixels")
    if not 1 <= layout.most <= _DEEPEST:
        raise ImageError(f"pnm with values up to {layout.most}; allowed: 1 to {_DEEPEST}")
    return layout


def _layout_of_anymap(data: bytes) -> _Layout:
    """PAM's lines of a word and a value each, up to ENDHDR."""
    match = _ANYMAP.match(data)
    if match is None:
        raise ImageError("damaged pnm: a P7 header without ENDHDR")
    lines = (line.split(None, 1) for line in (match[1] or b"").split(b"\n") if not line.startswith(b"#"))
    facts = {line[0]: line[1].strip() for line in lines if len(line) == 2}
    columns, rows, depth, most = (_fact(facts, name) for name in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL"))
    kind = facts.get(b"TUPLTYPE", b"").decode("latin-1")
    if kind and kind not in _TUPLES:
        raise ImageError(f"pnm with tuple type {quoted(kind)}; allowed: {', '.join(_TUPLES)}")
    if not 1 <= depth <= 4 or depth != _TUPLES.get(kind, depth):
        raise ImageError(
            f"pnm with {depth} channels and tuple type {quoted(kind)}; "
            "allowed: 1 to 4, as many as the type has"
        )
    return _Layout(7, columns, rows, depth, most, match.end())


def _fact(facts: dict[bytes, bytes], name: bytes) -> int:
    """The integer of a line of the PAM header."""
    word = facts.get(name, b"")
    if not re.fullmatch(_NUMBER, word):
        raise ImageError(f"damaged pnm: no integer for {name.decode()} in its header")
    return int(word)


def _binary(data: bytes, layout: _Layout) -> Array:
    """The values of forms 4 to 7, as integers of 8 or 16 bits; a set bit of form 4 is black."""
    if layout.form == 4:
        return _bits(
            layout, np.frombuffer(data, np.uint8, layout.length, layout.begin).reshape(layout.rows, -1)
        )
    kind = layout.stored
    return np.frombuffer(data, kind, layout.count, layout.begin).astype(kind.newbyteorder("="), copy=False)


def _written_out(data: bytes, layout: _Layout) -> Array:
    """The values of forms 1 to 3, written as text with comments."""
    text = re.sub(rb"#[^\r\n]*", b"", data[layout.begin :])
    allowed = b" \t\r\n\v\f" + (b"01" if layout.form == 1 else b"0123456789")
    if strange := text.translate(None, allowed):
        raise ImageError(f"damaged pnm: {quoted(chr(strange[0]))} between its numbers")
    if layout.form == 1:
        values = np.uint8(ord("1")) - np.frombuffer(text.translate(None, b" \t\r\n\v\f"), np.uint8)
    else:
        values = np.fromstring(text, np.int64, sep=" ")
    values = values[: layout.count]
    if values.size < layout.count:
        raise ImageError(f"damaged pnm: it is truncated, with {values.size} of {layout.count} values")
    return values
