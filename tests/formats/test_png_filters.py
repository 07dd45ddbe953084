"""The filters of PNG rows, undone by the extension and by libpng, against the specification."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import imagecodecs
import numpy as np
import pytest

from convcli.core.errors import ArgumentError, ImageError
from convcli.formats.opening import open_bytes
from convcli.formats.png import rows as pngrows
from convcli.formats.png.encoder import SIGNATURE, chunk
from convcli.native.loader import extension, instruction_set

LIMIT = 10**9
COLORS = {1: 0, 2: 4, 3: 2, 4: 6}  # color types by channels
FILTERS = range(5)
MIXED = 5  # every row has another filter
PIXELS = (1, 2, 3, 4, 6, 8)  # bytes of a pixel
NATIVE = extension()
needs_extension = pytest.mark.skipif(NATIVE is None, reason="there is no extension")


@pytest.fixture(params=["extension", "libpng"])
def unfiltering(request, monkeypatch) -> str:
    """What undoes the filters."""
    if request.param == "libpng":
        monkeypatch.setattr(pngrows, "extension", lambda: None)
    elif NATIVE is None:
        pytest.skip("there is no extension")
    return str(request.param)


@pytest.fixture
def instruction_sets() -> Iterator[tuple[str, ...]]:
    """Names of those that this processor has; the one in use before is used again after the test."""
    assert NATIVE is not None
    yield tuple(NATIVE.instruction_sets())
    NATIVE.use(instruction_set())


def paeth(a: int, b: int, c: int) -> int:
    """The predictor, as the specification has it (ISO/IEC 15948, 9.4)."""
    far = [abs(a + b - c - near) for near in (a, b, c)]
    return (a, b, c)[far.index(min(far))]


def unfiltered(filtered: np.ndarray, each: int, above: np.ndarray) -> np.ndarray:
    """(rows, bytes) of rows that start with their filters, byte by byte."""
    rows = [above.tolist()]
    for number, *line in filtered.tolist():
        before, row = rows[-1], list[int]()
        for place, value in enumerate(line):
            a = row[place - each] if place >= each else 0
            b, c = before[place], before[place - each] if place >= each else 0
            row.append((value + (0, a, b, (a + b) // 2, paeth(a, b, c))[number]) % 256)
        rows.append(row)
    return np.array(rows[1:], np.uint8)


def filtered_rows(seed: int, rows: int, width: int, number: int, spread: int = 256) -> np.ndarray:
    """Random bytes below ``spread``, behind the number of their filter."""
    rng = np.random.default_rng(seed)
    found = rng.integers(0, spread, (rows, width + 1), np.uint8)
    found[:, 0] = rng.integers(0, 5, rows) if number == MIXED else number
    return found


def file(filtered: np.ndarray, columns: int, channels: int, depth: int) -> bytes:
    """A PNG of filtered rows."""
    head = struct.pack(">IIBBBBB", columns, len(filtered), depth, COLORS[channels], 0, 0, 0)
    body = zlib.compress(filtered.tobytes())
    return b"".join((SIGNATURE, chunk(b"IHDR", head), chunk(b"IDAT", body), chunk(b"IEND")))


@pytest.mark.parametrize("number", [*FILTERS, MIXED])
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_files(unfiltering, monkeypatch, channels, depth, number):
    """Every filter, size of a pixel and width is what libpng makes of the whole, and the specification."""
    each = channels * depth // 8
    for columns in (1, 2, 3, 7, 33):
        filtered = filtered_rows(columns, 9, columns * each, number)
        data = file(filtered, columns, channels, depth)
        whole = imagecodecs.png_decode(data).reshape(9, columns, channels)
        plain = unfiltered(filtered, each, np.zeros(columns * each, np.uint8))
        assert np.array_equal(whole, plain.view(f">u{depth // 8}").reshape(whole.shape))
        for piece in (1, 3 * columns * each + 3, 10**6):
            monkeypatch.setattr(pngrows, "PIECE", piece)
            found = open_bytes(data, LIMIT).reader().rows(0, 0, 9)
            assert (found.dtype, found.tobytes()) == (whole.dtype, whole.tobytes())


def failure(data: bytes) -> str:
    """The message for a damaged file, whose rows cannot be read."""
    with pytest.raises(ImageError) as found:
        open_bytes(data, LIMIT).reader().rows(0, 0, 9)
    return str(found.value)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("row", [0, 4, 8])
def test_filters_that_do_not_exist(unfiltering, monkeypatch, channels, row):
    """The message is libpng's, whichever undoes the filters, and rows before the damaged piece are there."""
    monkeypatch.setattr(pngrows, "PIECE", 1)
    filtered = filtered_rows(0, 9, 7 * channels, MIXED)
    for number in (5, 6, 64, 128, 255):
        filtered[row, 0] = number
        data = file(filtered, 7, channels, 8)
        assert failure(data) == "damaged png: bad adaptive filter value"
        reader = open_bytes(data, LIMIT).reader()
        plain = unfiltered(filtered[:row], channels, np.zeros(7 * channels, np.uint8))
        assert np.array_equal(reader.rows(0, 0, row).reshape(plain.shape), plain)


@pytest.mark.parametrize("missing", [1, 22, 100])
def test_missing_bytes(unfiltering, missing):
    """A stream that ends early is truncated, whatever its filters are."""
    filtered = filtered_rows(0, 9, 21, MIXED)
    head = struct.pack(">IIBBBBB", 7, 9, 8, 2, 0, 0, 0)
    body = zlib.compress(filtered.tobytes()[:-missing])
    data = b"".join((SIGNATURE, chunk(b"IHDR", head), chunk(b"IDAT", body), chunk(b"IEND")))
    assert failure(data) == "damaged png: it is truncated"


def test_a_wrong_name_of_an_instruction_set(monkeypatch):
    """The setting is refused, and the file is not called damaged."""

    def refuse() -> None:
        raise ArgumentError("CONVCLI_NATIVE is 'x'")

    monkeypatch.setattr(pngrows, "extension", refuse)
    data = file(filtered_rows(0, 9, 21, MIXED), 7, 3, 8)
    with pytest.raises(ArgumentError, match="CONVCLI_NATIVE is 'x'"):
        open_bytes(data, LIMIT).reader()


@needs_extension
@pytest.mark.parametrize("number", [*FILTERS, MIXED])
@pytest.mark.parametrize("each", PIXELS)
def test_instruction_sets(instruction_sets, each, number):
    """Every one gives the bytes of the specification, for rows of any length, and leaves others alone."""
    for name in instruction_sets:
        NATIVE.use(name)
        for count in (1, 2, 3, 4, 5, 9, 40, 131):
            width = count * each
            above = filtered_rows(count, 1, width - 1, MIXED)[0]
            for spread in (256, 4):
                filtered = filtered_rows(count, 4, width, number, spread)
                around = np.full((6, width), 77, np.uint8)
                assert NATIVE.unfilter(filtered.tobytes(), above, each, around[1:5]) is True
                assert np.array_equal(around[1:5], unfiltered(filtered, each, above))
                assert (around[[0, 5]] == 77).all()


@needs_extension
@pytest.mark.parametrize("each", [1, 3])
def test_every_prediction(instruction_sets, each):
    """All bytes to the left, above and above left of one, by the filters that read several of them."""
    above = np.stack(np.divmod(np.arange(65536), 256), axis=-1).reshape(-1, 1)  # pairs: above left, above
    above = np.repeat(above, each, axis=1).astype(np.int16)
    row = np.zeros_like(above)
    for first in range(0, 256, each):
        row[::2] = np.minimum(np.arange(first, first + each), 255)
        a, c = (np.pad(part, ((1, 0), (0, 0)))[:-1] for part in (row, above))
        far = np.abs([above - c, a - c, a + above - 2 * c]).argmin(axis=0)
        for number, prediction in ((3, (a + above) // 2), (4, np.choose(far, [a, above, c]))):
            filtered = bytes([number]) + (row - prediction).astype(np.uint8).tobytes()
            for name in instruction_sets:
                NATIVE.use(name)
                found = np.empty(row.shape, np.uint8)
                assert NATIVE.unfilter(filtered, above.astype(np.uint8), each, found) is True
                assert np.array_equal(found, row)


@needs_extension
def test_calls_that_contradict_themselves():
    """Lengths, pixels and arrays that do not fit are refused before anything is written."""
    pixels, above = np.zeros((2, 6), np.uint8), bytes(6)
    wrong: list[tuple[Any, ...]] = [
        (bytes(13), above, 3, pixels),
        (bytes(15), above, 3, pixels),
        (bytes(14), bytes(5), 3, pixels),
        (bytes(14), bytes(7), 3, pixels),
        (bytes(14), b"", 3, pixels),
        (bytes(14), above, 0, pixels),
        (bytes(14), above, -3, pixels),
        (bytes(14), above, 4, pixels),
        (bytes(14), above, 5, pixels),
        (bytes(14), above, 12, pixels),
        (b"", above, 3, pixels),
        (bytes(14), above, 3, pixels[:, ::2]),
        (np.zeros(28, np.uint8)[::2], above, 3, pixels),
    ]
    for arguments in wrong:
        with pytest.raises(ValueError, match=r"not true of these rows|contiguous"):
            NATIVE.unfilter(*arguments)
    odd: list[tuple[Any, ...]] = [
        (bytes(14), above, 3, bytes(12)),
        ("text", above, 3, pixels),
        (bytes(14), above, "3", pixels),
        (bytes(14), above, 3),
    ]
    for arguments in odd:
        with pytest.raises((TypeError, BufferError)):
            NATIVE.unfilter(*arguments)
    assert NATIVE.unfilter(b"", above, 3, pixels[:0]) is True
    assert NATIVE.unfilter(b"\0" + bytes(6) + b"\5" + bytes(6), above, 3, pixels + 1) is False
    assert not pixels.any()
