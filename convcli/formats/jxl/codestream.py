"""The headers of a JPEG XL codestream (ISO/IEC 18181-1, annexes A, D and E), read bit by bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from convcli.core.errors import ImageError
from convcli.core.frozen import frozen

MARK: Final = b"\xff\x0a"
HEAD: Final = 2**16
"""Bytes in which the headers must lie; names of extra channels are the only long part."""

_Choice = tuple[int, int]
"""An offset, and the number of bits that are added to it."""

_SIZES: Final[Sequence[_Choice]] = ((1, 9), (1, 13), (1, 18), (1, 30))
_RATIOS: Final = (None, (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
"""Columns by rows, where columns are not stated."""

_GRAY, _LINEAR, _SRGB = 1, 8, 13
_ALPHA, _SPOT, _CFA = 0, 2, 5
_NAMES_OF_EXTRA: Final = {
    1: "depth",
    2: "spot color",
    3: "selection mask",
    4: "black",
    5: "color filter array",
    6: "thermal",
}


@frozen
class Facts:
    """What the headers say.

    Attributes:
        bits: of a value.
        floats: whether values are floating-point numbers.
        colors: 1 or 3.
        alpha: whether there is an alpha channel; all other extra channels are refused.
        premultiplied: whether colors are multiplied by alpha.
        orientation: of the stored pixels, as Exif counts.
        icc: whether colors are described by an ICC profile.
        linear: whether values are linear light.
        color_bits: (first, past the last) bit of the color encoding.
        end: the bit after all headers.
        plain: whether all fields after the color encoding have their defaults.
    """

    rows: int
    columns: int
    bits: int = 8
    floats: bool = False
    colors: int = 3
    alpha: bool = False
    premultiplied: bool = False
    orientation: int = 1
    icc: bool = False
    linear: bool = False
    color_bits: tuple[int, int] = (0, 0)
    end: int = 0
    plain: bool = False


class _Bits:
    """Fields of a bit stream, the lowest bit of each byte first."""

    def __init__(self, data: bytes) -> None:
        self.value, self.count, self.place = int.from_bytes(data, "little"), 8 * len(data), 0

    def number(self, bits: int) -> int:
        if self.place + bits > self.count:
            raise ImageError("damaged jxl: it is truncated")
        found = self.value >> self.place & (1 << bits) - 1
        self.place += bits
        return found

    def flag(self) -> bool:
        return bool(self.number(1))

    def choice(self, *choices: _Choice) -> int:
        """A number whose first two bits say how it is stored (U32)."""
        offset, bits = choices[self.number(2)]
        return offset + self.number(bits)

    def word(self) -> int:
        """A number of an enumeration."""
        return self.choice((0, 0), (1, 0), (2, 4), (18, 6))


def facts(codestream: bytes) -> Facts:
    """The headers of a codestream.

    Args:
        codestream: its beginning, up to `HEAD` bytes.

    Raises:
        ImageError: it is damaged, or has a feature that is not read.
    """
    if codestream[:2] != MARK:
        raise ImageError("damaged jxl: it holds no codestream")
    bits = _Bits(codestream[2:HEAD])
    rows, columns = _size(bits)
    if bits.flag():  # the defaults: 8 bits, RGB
        return Facts(rows, columns)
    extended = bits.flag()
    orientation = _extended(bits) if extended else 1
    floats, depth = _depth(bits)
    bits.flag()  # whether 16 bits suffice to decode it
    alpha, premultiplied = _extra_channels(bits)
    bits.flag()  # whether colors are in the XYB space
    begin = bits.place
    colors, linear, icc = _color(bits)
    color_bits = (begin, bits.place)
    plain = not extended and not icc and bits.number(3) == 0b100  # no extensions, the usual transforms
    return Facts(
        rows,
        columns,
        depth,
        floats,
        colors,
        alpha,
        premultiplied,
        orientation,
        icc,
        linear,
        color_bits,
        bits.place,
        plain,
    )


def as_srgb(codestream: bytes) -> bytes:
    """A codestream whose values are said to be sRGB; nothing but its headers is changed.

    libjxl calls 16-bit values linear light unless told otherwise, which imagecodecs does not do.
    """
    found = facts(codestream)
    if not found.plain:
        raise ValueError("the headers have fields that are not expected")
    first, last = found.color_bits
    encoding, length = _srgb(found.colors)
    size = -(-found.end // 8)
    value = int.from_bytes(codestream[2 : 2 + size], "little")
    below, above = value & (1 << first) - 1, (value & (1 << found.end) - 1) >> last
    changed = below | encoding << first | above << first + length
    end = first + length + found.end - last
    return MARK + changed.to_bytes(-(-end // 8), "little") + codestream[2 + size :]


def _srgb(colors: int) -> tuple[int, int]:
    """The color encoding of sRGB, and its number of bits."""
    if colors == 3:
        return 1, 1
    fields = ((0, 2), (_GRAY, 2), (1, 2), (0, 1), (2, 2), (_SRGB - 2, 4), (1, 2))  # relative intent
    value = place = 0
    for number, length in fields:
        value |= number << place
        place += length
    return value, place


def _size(bits: _Bits) -> tuple[int, int]:
    """Rows and columns."""
    small = bits.flag()

    def side() -> int:
        return 8 * (1 + bits.number(5)) if small else bits.choice(*_SIZES)

    rows = side()
    ratio = _RATIOS[bits.number(3)]
    return rows, side() if ratio is None else rows * ratio[0] // ratio[1]


def _extended(bits: _Bits) -> int:
    """The orientation."""
    orientation = 1 + bits.number(3)
    if bits.flag():  # the size at which it is meant to be shown
        _size(bits)
    if bits.flag():
        _preview(bits)
    if bits.flag():
        raise ImageError("jxl with several frames; allowed: single images; convert it to PNG with djxl")
    return orientation


def _preview(bits: _Bits) -> None:
    """Skip the size of a preview."""
    small = bits.flag()

    def side() -> int:
        if small:
            return 8 * bits.choice((16, 0), (32, 0), (1, 5), (33, 9))
        return bits.choice((1, 6), (65, 8), (321, 10), (1345, 12))

    side()
    if not bits.number(3):
        side()


def _depth(bits: _Bits) -> tuple[bool, int]:
    """Whether values are floats, and their bits."""
    if not bits.flag():
        return False, bits.choice((8, 0), (10, 0), (12, 0), (1, 6))
    depth = bits.choice((32, 0), (16, 0), (24, 0), (1, 6))
    exponent = 1 + bits.number(4)
    if (depth, exponent) not in ((32, 8), (16, 5)):
        raise ImageError(
            f"jxl with floats of {depth} bits ({exponent} of the exponent); allowed: 16 (5) and 32 (8)"
        )
    return True, depth


def _extra_channels(bits: _Bits) -> tuple[bool, bool]:
    """Whether there is alpha, and whether colors are multiplied by it."""
    count = bits.choice((0, 0), (1, 0), (2, 4), (1, 12))
    kinds, premultiplied = [], False
    for _ in range(count):
        kind = _ALPHA
        if not bits.flag():
            kind, multiplied = _extra_channel(bits)
            premultiplied |= multiplied
        kinds.append(kind)
    others = [_NAMES_OF_EXTRA.get(kind, "other") for kind in kinds if kind != _ALPHA]
    if others or len(kinds) > 1:
        what = ", ".join(others[:4]) or f"{len(kinds)} of alpha"
        raise ImageError(f"jxl with extra channels ({what}); allowed: one of alpha")
    return bool(kinds), premultiplied


def _extra_channel(bits: _Bits) -> tuple[int, bool]:
    """The type of an extra channel, and whether colors are multiplied by it."""
    kind = bits.word()
    _depth(bits)
    bits.choice((0, 0), (3, 0), (4, 0), (1, 3))  # how much smaller it is
    length = bits.choice((0, 0), (0, 4), (16, 5), (48, 10))
    for _ in range(length):
        bits.number(8)
    if kind == _SPOT:
        bits.number(4 * 16)
    if kind == _CFA:
        bits.choice((1, 0), (0, 2), (3, 4), (19, 8))
    return kind, kind == _ALPHA and bits.flag()


def _color(bits: _Bits) -> tuple[int, bool, bool]:
    """The number of colors, whether values are linear light, and whether an ICC profile says more."""
    if bits.flag():
        return 3, False, False
    icc, space = bits.flag(), bits.word()
    colors = 1 if space == _GRAY else 3
    if icc or space == 2:  # XYB, which has nothing to choose
        if not icc:
            bits.word()
        return colors, False, icc
    if bits.word() == 2:
        _custom(bits, 1)
    if colors == 3 and bits.word() == 2:
        _custom(bits, 3)
    is_gamma = bits.flag()
    transfer = 0 if is_gamma else bits.word()
    if is_gamma:
        bits.number(24)
    bits.word()  # the rendering intent
    return colors, transfer == _LINEAR, False


def _custom(bits: _Bits, points: int) -> None:
    """Skip chromaticities of so many points."""
    for _ in range(2 * points):
        bits.choice((0, 19), (524_288, 19), (1_048_576, 20), (2_097_152, 21))
