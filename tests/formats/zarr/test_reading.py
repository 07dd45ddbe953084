"""Arrays of every kind are read bit for bit: as zarr writes them, and as the specification spells them."""

from __future__ import annotations

import gzip
import itertools
import json
import threading
import warnings
import zlib

import numpy as np
import pytest

from convcli.core.errors import ImageError
from convcli.files.input import Input
from convcli.formats.opening import open_input
from convcli.formats.zarr.zarr import opened_zarr

zarr = pytest.importorskip("zarr")
numcodecs = pytest.importorskip("numcodecs")

TYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "f2", "f4", "f8"]
SHAPE, CHUNKS = (3, 37, 53), (2, 16, 20)
CODECS_2 = {
    "none": (None, None),
    "gzip": (None, numcodecs.GZip(1)),
    "zlib": (None, numcodecs.Zlib(1)),
    "zstd": (None, numcodecs.Zstd(3)),
    "lz4": (None, numcodecs.LZ4()),
    "bz2": (None, numcodecs.BZ2()),
    "lzma": (None, numcodecs.LZMA()),
    "blosc-lz4": (None, numcodecs.Blosc("lz4", 5, numcodecs.Blosc.BITSHUFFLE)),
    "blosc-zstd": (None, numcodecs.Blosc("zstd", 3, numcodecs.Blosc.SHUFFLE)),
    "blosc-zlib": (None, numcodecs.Blosc("zlib", 3, numcodecs.Blosc.NOSHUFFLE)),
    "delta": ([numcodecs.Delta("<u2")], numcodecs.Zlib(1)),
    "shuffle": ([numcodecs.Shuffle(2)], numcodecs.Zstd(1)),
    "astype": ([numcodecs.AsType("<f8", "<u2")], numcodecs.Zlib(1)),
    "crc32": ([numcodecs.CRC32()], numcodecs.Zlib(1)),
    "fletcher32": ([numcodecs.Fletcher32()], None),
}
CODECS_3 = {
    "none": [],
    "gzip": [zarr.codecs.GzipCodec(level=1)],
    "zstd": [zarr.codecs.ZstdCodec(level=1, checksum=True)],
    "blosc": [zarr.codecs.BloscCodec(cname="lz4", shuffle="bitshuffle")],
    "blosc-zstd": [zarr.codecs.BloscCodec(cname="zstd", shuffle="shuffle")],
    "crc32c": [zarr.codecs.Crc32cCodec()],
    "gzip-crc32c": [zarr.codecs.GzipCodec(level=1), zarr.codecs.Crc32cCodec()],
}


def values(dtype="u2", shape=SHAPE):
    """Every kind of value, with a chunk of zeros."""
    rng = np.random.default_rng(5)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        pixels = rng.normal(size=shape).astype(kind)
        pixels.flat[:3] = np.nan, np.inf, -np.inf
    else:
        info = np.iinfo(kind)
        pixels = rng.integers(info.min, info.max, shape, kind.newbyteorder("="), endpoint=True).astype(kind)
    pixels[..., :16, :20] = 0
    return pixels


def check(place, expected):
    """Rows and windows of every frame are those of (frames, rows, columns, channels)."""
    (run,) = open_input(Input.open(str(place)))
    header, reader = run.header, run.reader()
    frames, rows, columns, _ = expected.shape
    assert (header.frames, header.rows, header.columns, header.channels) == expected.shape
    assert header.dtype == expected.dtype.newbyteorder("=") and reader.memory > 0
    for frame in range(frames):
        assert reader.rows(frame, 0, rows).tobytes() == expected[frame].astype(header.dtype).tobytes()
        for top, left in itertools.product(
            (0, min(5, rows - 1), rows - 1), (0, min(19, columns - 1), columns - 1)
        ):
            window = reader.window(frame, (top, min(top + 17, rows)), (left, min(left + 30, columns)))
            assert np.array_equal(window, expected[frame, top : top + 17, left : left + 30], equal_nan=True)
    assert np.array_equal(run.pixels(), expected[0], equal_nan=True)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("separator", [".", "/"])
@pytest.mark.parametrize("dtype", [end + kind for kind in TYPES for end in "<>"])
def test_types_of_version_2(dtype, separator, order, tmp_path):
    """Every type in both orders of bytes and of axes, with both separators."""
    pixels, place = values(dtype), tmp_path / "a.zarr"
    array = zarr.create_array(
        place,
        shape=SHAPE,
        chunks=CHUNKS,
        dtype=dtype,
        zarr_format=2,
        order=order,
        chunk_key_encoding={"name": "v2", "separator": separator},
    )
    array[:] = pixels
    check(place, pixels[..., np.newaxis])


@pytest.mark.parametrize("name", CODECS_2)
def test_codecs_of_version_2(name, tmp_path):
    """Every compressor, and filters before it."""
    filters, compressor = CODECS_2[name]
    pixels = values() if name != "astype" else values("u2") // 4
    array = zarr.create_array(
        tmp_path / "a.zarr",
        shape=SHAPE,
        chunks=CHUNKS,
        dtype="<u2",
        zarr_format=2,
        compressors=compressor,
        filters=filters,
    )
    array[:] = pixels
    check(tmp_path / "a.zarr", pixels[..., np.newaxis])


@pytest.mark.parametrize("shards", [None, (2, 32, 40)])
@pytest.mark.parametrize("name", CODECS_3)
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_codecs_of_version_3(dtype, name, shards, tmp_path):
    """Every codec of the specification, in single chunks and in shards."""
    pixels = values(dtype)
    array = zarr.create_array(
        tmp_path / "a.zarr",
        shape=SHAPE,
        chunks=CHUNKS,
        shards=shards,
        dtype=dtype,
        compressors=CODECS_3[name],
    )
    array[:] = pixels
    check(tmp_path / "a.zarr", pixels[..., np.newaxis])


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("endian", ["little", "big"])
def test_types_of_version_3(dtype, endian, tmp_path):
    """Every type in both orders of bytes, transposed as well, with names and the other keys of chunks."""
    pixels = values(dtype)
    array = zarr.create_array(
        tmp_path / "a.zarr",
        shape=SHAPE,
        chunks=CHUNKS,
        dtype=dtype,
        serializer=zarr.codecs.BytesCodec(endian=endian),
        filters=[zarr.codecs.TransposeCodec(order=(2, 0, 1))],
        chunk_key_encoding={"name": "v2", "separator": "."},
        dimension_names=["z", "y", "x"],
    )
    array[:] = pixels
    check(tmp_path / "a.zarr", pixels[..., np.newaxis])


@pytest.mark.parametrize("location", ["start", "end"])
def test_indexes_of_shards(location, tmp_path):
    """An index may come first or last, and leave out chunks."""
    pixels = values()
    array = zarr.create_array(
        tmp_path / "a.zarr",
        shape=SHAPE,
        chunks=(2, 32, 40),
        dtype="u2",
        serializer=zarr.codecs.ShardingCodec(chunk_shape=(1, 8, 10), index_location=location),
        compressors=None,
        fill_value=0,
    )
    array[:] = pixels
    check(tmp_path / "a.zarr", pixels[..., np.newaxis])


AXES = [
    ("yx", (9, 11), (0, 1), {}),
    ("cyx", (3, 9, 11), (0, 1, 2), {}),
    ("yxc", (9, 11, 3), (0, 1, 2), {}),
    ("xyc", (11, 9, 5), (1, 0, 2), {}),
    ("zyxc", (2, 9, 11, 6), (0, 1, 2, 3), {}),
    ("yzx", (9, 4, 11), (1, 0, 2), {}),
    ("tczyx", (2, 3, 2, 9, 11), (0, 1, 2, 3, 4), {}),
    ("bandyx", (2, 9, 11), (0, 1, 2), {"names": ["band", "y", "x"]}),
    ("latlon", (2, 9, 11), (0, 1, 2), {"names": ["time", "lat", "lon"]}),
    ("unnamed", (9, 11, 3), (0, 1, 2), {"names": None, "channels": True}),
    ("unnamed5", (9, 11, 5), (0, 1, 2), {"names": None}),
]


@pytest.mark.parametrize(("names", "shape", "order", "more"), AXES, ids=[case[0] for case in AXES])
@pytest.mark.parametrize("version", [2, 3])
def test_axes(version, names, shape, order, more, tmp_path):
    """Planes are along y and x wherever they are; the last axis may be one of channels, others are frames."""
    named = more.get("names", list(names))
    words = {"dimension_names": named} if version == 3 else {"attributes": {"_ARRAY_DIMENSIONS": named}}
    pixels = np.arange(np.prod(shape), dtype="u2").reshape(shape)
    array = zarr.create_array(
        tmp_path / "a.zarr",
        shape=shape,
        chunks=tuple(min(size, 5) for size in shape),
        dtype="u2",
        zarr_format=version,
        **(words if named else {}),
    )
    array[:] = pixels
    turned = pixels.transpose(order)
    channels = names.endswith("c") or more.get("channels", False)
    planes = turned.shape[-3:] if channels else (*turned.shape[-2:], 1)
    check(tmp_path / "a.zarr", turned.reshape(-1, *planes))


def test_by_hand(tmp_path):
    """Files written byte by byte, without any library."""
    pixels = np.arange(35, dtype=">u2").reshape(5, 7)
    padded = np.zeros((6, 8), ">u2")
    padded[:5, :7] = pixels
    second = {
        "zarr_format": 2, "shape": [5, 7], "chunks": [3, 4], "dtype": ">u2", "fill_value": 9, "order": "C",
        "compressor": {"id": "zlib", "level": 1}, "filters": None,
    }  # fmt: skip
    third = {
        "zarr_format": 3, "node_type": "array", "shape": [5, 7], "data_type": "uint16", "fill_value": 9,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [3, 4]}},
        "chunk_key_encoding": {"name": "default"}, "attributes": {},
        "codecs": [
            {"name": "bytes", "configuration": {"endian": "big"}},
            {"name": "gzip", "configuration": {"level": 1}},
        ],
    }  # fmt: skip
    for name, document, key, encode in (
        ("two", second, "{}.{}", zlib.compress),
        ("three", third, "c/{}/{}", gzip.compress),
    ):
        place = tmp_path / f"{name}.zarr"
        place.mkdir()
        (place / (".zarray" if name == "two" else "zarr.json")).write_text(json.dumps(document))
        expected = pixels.astype("u2")
        expected[3:, :4] = 9  # the chunk that is missing
        for row, column in ((0, 0), (0, 1), (1, 1)):
            path = place / key.format(row, column)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(padded[row * 3 : row * 3 + 3, column * 4 : column * 4 + 4].tobytes()))
        check(place, expected[np.newaxis, ..., np.newaxis])


def test_bool_and_wide_integers(tmp_path):
    """True is white; 64-bit integers are read in 32 bits, or refused where a value does not fit."""
    place = tmp_path / "b.zarr"
    zarr.create_array(place, shape=(4, 5), dtype="bool", chunks=(2, 2))[:] = np.eye(4, 5, dtype=bool)
    check(place, (np.eye(4, 5) * 255).astype("u1")[np.newaxis, ..., np.newaxis])
    for dtype, narrow in (("i8", "i4"), ("u8", "u4")):
        place = tmp_path / f"{dtype}.zarr"
        array = zarr.create_array(place, shape=(4, 5), dtype=dtype, chunks=(2, 2))
        array[:] = np.arange(20).reshape(4, 5)
        check(place, np.arange(20, dtype=narrow).reshape(1, 4, 5, 1))
        (run,) = open_input(Input.open(str(place)))
        assert any(f"read as {np.dtype(narrow)}" in note for note in run.header.notes)
        array[3, 4] = 2**40
        with pytest.raises(ImageError, match=f"the .*64 value {2**40} does not fit"):
            open_input(Input.open(str(place)))[0].pixels()


def test_selected_axes(tmp_path):
    """Frames and channels by name or number, single ones and ranges."""
    pixels = values("u2", (4, 3, 20, 21))
    array = zarr.create_array(
        tmp_path / "a.zarr", shape=pixels.shape, chunks=(3, 1, 8, 8), dtype="u2", dimension_names=list("zcyx")
    )
    array[:] = pixels
    for text, chosen in (
        ("c=1", pixels[:, 1:2]),
        ("z=1..2,c=0", pixels[1:3, :1]),
        ("0=3,1=1..2", pixels[3:, 1:]),
    ):
        source = Input.open(str(tmp_path / "a.zarr"))
        source.axes = text
        found = opened_zarr(source)
        expected = chosen.reshape(-1, 20, 21, 1)
        assert found.axes.frames == len(expected)
        for frame, plane in enumerate(expected):
            assert np.array_equal(found.reader.rows(frame, 0, 20), plane)
            assert np.array_equal(found.reader.window(frame, (2, 9), (7, 21)), plane[2:9, 7:])
            assert found.axes.frame(found.axes.indices(frame)) == frame


class Counting:
    """An array of zarr that counts the chunks it is asked for."""

    def __init__(self, array, height):
        self.array, self.height, self.asked = array, height, []

    def __getitem__(self, key):
        rows = key[-2]
        self.asked.append((rows.start // self.height, -(-rows.stop // self.height)))
        return self.array[key]


def test_rows_decode_each_chunk_once(tmp_path):
    """Strips from top to bottom, by several threads at once, read every row of chunks a single time."""
    pixels = values("u2", (200, 90))
    array = zarr.create_array(tmp_path / "a.zarr", shape=pixels.shape, chunks=(32, 32), dtype="u2")
    array[:] = pixels
    (run,) = open_input(Input.open(str(tmp_path / "a.zarr")))
    reader = run.reader()
    counting = reader.array = Counting(reader.array, 32)
    found = {}

    def read(start):
        for top in range(start, 200, 21):
            found[top] = reader.rows(0, top, min(top + 9, 200))

    threads = [threading.Thread(target=read, args=(start,)) for start in (0, 7, 14)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(part[..., 0], pixels[top : top + 9]) for top, part in found.items())
    assert sorted(counting.asked) == [(band, band + 1) for band in range(7)]


@pytest.mark.parametrize(
    ("filters", "codecs"),
    [
        ([], [{"name": "numcodecs.zlib", "configuration": {"level": 1}}]),
        ([], [{"name": "numcodecs.lz4", "configuration": {"acceleration": 1}}]),
        ([], [{"name": "numcodecs.bz2", "configuration": {"level": 1}}]),
        ([], [{"name": "numcodecs.shuffle", "configuration": {"elementsize": 2}}, {"name": "zstd"}]),
        ([{"name": "numcodecs.delta", "configuration": {"dtype": "<u2"}}], [{"name": "gzip"}]),
    ],
)
def test_codecs_of_numcodecs_in_version_3(filters, codecs, tmp_path):
    """Codecs outside the specification are read without a warning, filters of numbers included."""
    pixels, place = values(), tmp_path / "a.zarr"
    named = [{"configuration": {"level": 1}, **codec} for codec in codecs]
    with warnings.catch_warnings(action="ignore"):
        array = zarr.create_array(
            place, shape=SHAPE, chunks=CHUNKS, dtype="u2", filters=filters or None, compressors=named
        )
        array[:] = pixels
    check(place, pixels[..., np.newaxis])
