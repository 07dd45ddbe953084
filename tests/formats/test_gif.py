"""GIF: what each frame shows, from files built by hand, and what stands beside the pixels."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable

import numpy as np
import pytest
from PIL import Image

from convcli.core.errors import ImageError
from convcli.formats.decoding import PALETTE_NOTE
from convcli.formats.opening import open_bytes

LIMIT = 10**6
PALETTE = bytes((255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255))
RED, GREEN, BLUE, WHITE = ([*PALETTE[at : at + 3], 255] for at in (0, 3, 6, 9))
NOTHING = [0, 0, 0, 0]
CLEAR, STOP = 4, 5  # codes of LZW data with indices of two bits


def sub_blocks(data: bytes) -> bytes:
    parts = (data[at : at + 255] for at in range(0, len(data), 255))
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def coded(indices: Iterable[int]) -> bytes:
    """LZW data of three bits a code: the table is cleared before it needs a fourth."""
    codes = [CLEAR]
    for number, index in enumerate(indices):
        codes += [CLEAR, index] if number and number % 2 == 0 else [index]
    bits = sum(code << 3 * place for place, code in enumerate([*codes, STOP]))
    return b"\2" + sub_blocks(bits.to_bytes((3 * len(codes) + 10) // 8, "little"))


def frame(indices, left=0, top=0, *, hole=None, dispose=0, size=None, palette=b"", interlaced=False) -> bytes:
    """A graphic control extension and an image; ``size`` is (columns, rows) where indices are missing."""
    values = np.asarray(indices)
    columns, rows = size or values.shape[::-1]
    control = bytes((dispose << 2 | (hole is not None), 5, 0, hole or 0))
    flags = (0x80 | (len(palette) // 3).bit_length() - 2 if palette else 0) | interlaced << 6
    return (
        b"\x21\xf9"
        + sub_blocks(control)
        + struct.pack("<cHHHHB", b",", left, top, columns, rows, flags)
        + palette
        + coded(values.ravel().tolist())
    )


def gif(
    *blocks: bytes, columns: int = 4, rows: int = 3, palette: bytes = PALETTE, end: bytes = b";"
) -> bytes:
    flags = 0x80 | (len(palette) // 3).bit_length() - 2 if palette else 0
    return b"GIF89a" + struct.pack("<HHBBB", columns, rows, flags, 0, 0) + palette + b"".join(blocks) + end


def shown(data: bytes) -> np.ndarray:
    """Every frame, (frames, rows, columns, channels)."""
    opened = open_bytes(data, LIMIT)
    reader, header = opened.reader(), opened.header
    return np.stack([reader.rows(each, 0, header.rows) for each in range(header.frames)])


def full(index: int) -> np.ndarray:
    return np.full((3, 4), index)


def painted(ground: list[int], *rectangles: tuple[slice, slice, list[int]]) -> np.ndarray:
    """4 × 3 pixels of one color with rectangles of others."""
    pixels = np.tile(np.array(ground, np.uint8), (3, 4, 1))
    for rows, columns, color in rectangles:
        pixels[rows, columns] = color
    return pixels


DOT = slice(1, 2), slice(1, 3)  # where frame([[i, i]], 1, 1) lies
GREEN_DOT = (*DOT, GREEN)
COMPOSED = {
    "first frame is a part": ([frame([[1, 1]], 1, 1)], [painted(NOTHING, GREEN_DOT)]),
    "part over all": ([frame(full(0)), frame([[1, 1]], 1, 1)], [painted(RED), painted(RED, GREEN_DOT)]),
    "cleared over opaque": (
        [frame(full(0)), frame([[1, 1]], 1, 1, dispose=2), frame([[2]])],
        [
            painted(RED),
            painted(RED, GREEN_DOT),
            painted(RED, (*DOT, NOTHING), (slice(1), slice(1), BLUE)),
        ],
    ),
    "cleared with a hole": (
        [frame(full(0)), frame([[3, 1]], 1, 1, hole=3, dispose=2), frame([[2]])],
        [
            painted(RED),
            painted(RED, (slice(1, 2), slice(2, 3), GREEN)),
            painted(RED, (*DOT, NOTHING), (slice(1), slice(1), BLUE)),
        ],
    ),
    "restored": (
        [frame(full(0)), frame([[1, 1]], 1, 1, dispose=3), frame([[2]])],
        [painted(RED), painted(RED, GREEN_DOT), painted(RED, (slice(1), slice(1), BLUE))],
    ),
    "restored by the old number": (
        [frame(full(0)), frame([[1, 1]], 1, 1, dispose=4), frame([[2]])],
        [painted(RED), painted(RED, GREEN_DOT), painted(RED, (slice(1), slice(1), BLUE))],
    ),
    "first frame restored to nothing": (
        [frame(full(0), dispose=3), frame([[1, 1]], 1, 1)],
        [painted(RED), painted(NOTHING, GREEN_DOT)],
    ),
    "all cleared, all covered": (
        [frame(full(0), dispose=2), frame(full(1), dispose=2)],
        [painted(RED)[..., :3], painted(GREEN)[..., :3]],
    ),
    "second frame over the screen": (
        [frame(full(0)), frame(full(1), 2, 1)],
        [painted(RED), painted(RED, (slice(1, 3), slice(2, 4), GREEN))],
    ),
    "first frame over the screen": (
        [frame(full(1), 2, 1)],
        [painted(NOTHING, (slice(1, 3), slice(2, 4), GREEN))],
    ),
    "first frame larger than the screen": ([frame(np.full((5, 9), 1))], [painted(GREEN)[..., :3]]),
    "a frame beside the screen": ([frame(full(0)), frame(full(1), 9, 9)], [painted(RED)] * 2),
    "cleared over the screen": (
        [frame(full(0)), frame(full(1), 3, 2, dispose=2), frame([[2]])],
        [
            painted(RED),
            painted(RED, (slice(2, 3), slice(3, 4), GREEN)),
            painted(RED, (slice(2, 3), slice(3, 4), NOTHING), (slice(1), slice(1), BLUE)),
        ],
    ),
    "first frame is short": (
        [frame([[1] * 6], size=(4, 3))],
        [painted(NOTHING, (slice(1), slice(4), GREEN), (slice(1, 2), slice(2), GREEN))],
    ),
    "second frame is short": (
        [frame(full(0)), frame([[1] * 4], size=(4, 3))],
        [painted(RED), painted(RED, (slice(1), slice(4), GREEN))],
    ),
    "a palette of its own": (
        [frame(full(0)), frame([[1, 1]], 1, 1, palette=PALETTE[::-1])],
        [painted(RED), painted(RED, (*DOT, [255, 0, 0, 255]))],
    ),
    "interlaced": (
        [frame([[0] * 4, [2] * 4, [1] * 4], interlaced=True)],
        [painted(GREEN, (slice(1), slice(4), RED), (slice(2, 3), slice(4), BLUE))[..., :3]],
    ),
    "zeros between blocks": (
        [frame(full(0)), b"\0\0\0", frame([[1, 1]], 1, 1)],
        [painted(RED), painted(RED, GREEN_DOT)],
    ),
}


@pytest.mark.parametrize("name", COMPOSED)
def test_what_each_frame_shows(name):
    """Areas never drawn or cleared are transparent; frames are cropped to the screen."""
    blocks, expected = COMPOSED[name]
    found = shown(gif(*blocks))
    assert found.tolist() == [picture[..., : found.shape[3]].tolist() for picture in expected]
    assert found.shape[3] == (4 if any((each[..., 3:] == 0).any() for each in expected) else 3)


def test_the_end_may_be_missing():
    """A file that ends behind a whole frame is read with a note; one that ends within a block is not."""
    blocks = [frame(full(0)), frame([[1, 1]], 1, 1)]
    whole = gif(*blocks, end=b"")
    assert np.array_equal(shown(whole), shown(whole + b";"))
    assert open_bytes(whole, LIMIT).header.notes[1:] == ("the file has no end",)
    assert open_bytes(whole + b"; and so on", LIMIT).header.notes == (PALETTE_NOTE,)
    with pytest.raises(ImageError, match="it is truncated"):
        open_bytes(whole[:-1], LIMIT)
    with pytest.raises(ImageError, match="it is truncated"):
        open_bytes(gif(end=b""), LIMIT)
    with pytest.raises(ImageError, match="a block of type 0x01; allowed: 0x21, 0x2c, 0x3b"):
        open_bytes(gif(blocks[0], b"\1"), LIMIT)


def test_missing_pixels_are_told():
    """A first frame whose data end too early makes the image transparent, and a note says why."""
    notes = open_bytes(gif(frame([[1] * 6], size=(4, 3))), LIMIT).header.notes
    assert notes[1:] == ("the first frame has fewer pixels than its size; the missing ones are transparent",)


def test_a_screen_without_a_size_is_that_of_the_first_frame():
    """Browsers do the same."""
    assert np.array_equal(shown(gif(frame(full(1)), columns=0, rows=0))[0], painted(GREEN)[..., :3])


def test_files_without_a_palette_are_gray():
    """Indices are the values then."""
    assert shown(gif(frame(full(3)), palette=b""))[0, ..., 0].tolist() == full(3).tolist()


def test_a_frame_that_cannot_be_in_the_file():
    """A few bytes that claim a frame of gigabytes are refused before they are taken."""
    data = gif(frame(full(0)), frame([[1]], size=(65_535, 65_535)))
    with pytest.raises(ImageError, match="bytes cannot hold a frame of 65535×65535 pixels"):
        shown(data)


def test_codes_of_too_many_bits():
    """What the decoder refuses is one line."""
    data = gif(frame(full(0)))
    place = data.rindex(coded(full(0).ravel().tolist()))
    with pytest.raises(ImageError, match="damaged gif: the data of a frame cannot be decoded"):
        open_bytes(data[:place] + b"\x0c" + data[place + 1 :], LIMIT)


def test_xmp_and_profiles_of_applications():
    """The packet lies without sub-blocks in front of its trailer, the profile in sub-blocks."""
    from tests.formats.test_metadata import ICC, XMP

    trailer = bytes((1, *range(255, -1, -1), 0))
    packet = b"\x21\xff\x0bXMP DataXMP" + XMP + trailer
    sliced = b"\x21\xff\x0bXMP DataXMP" + sub_blocks(XMP)
    profile = b"\x21\xff\x0bICCRGBG1012" + sub_blocks(ICC)
    for blocks in ((packet, profile), (profile, sliced)):
        metadata = open_bytes(gif(*blocks, frame(full(0))), LIMIT).header.metadata
        assert (metadata.xmp, metadata.icc) == (XMP, ICC)


def test_opaque_animations_are_what_pillow_shows():
    """If no area is bare, the frames equal Pillow's."""
    rng = np.random.default_rng(4)
    parts = [
        frame(rng.integers(0, 4, (2, 3)), int(rng.integers(2)), int(rng.integers(2)), dispose=int(way))
        for way in rng.choice((0, 1, 3), 12)
    ]
    data = gif(frame(full(0), dispose=1), *parts)
    with Image.open(io.BytesIO(data)) as image:
        for found in shown(data):
            assert np.array_equal(found, np.asarray(image.convert("RGB")))
            if image.tell() < len(parts):
                image.seek(image.tell() + 1)
