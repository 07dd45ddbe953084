"""Stores that lie: everything is one line, within bounded memory, and nothing outside the store is read."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import resource
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest

from convcli.core.errors import ConvcliError
from convcli.files.input import Input
from convcli.formats.opening import open_input

zarr = pytest.importorskip("zarr")
numcodecs = pytest.importorskip("numcodecs")

SECOND = {
    "zarr_format": 2,
    "shape": [64, 64],
    "chunks": [32, 32],
    "dtype": "<u2",
    "compressor": None,
    "fill_value": 0,
    "order": "C",
    "filters": None,
}
THIRD = {
    "zarr_format": 3,
    "node_type": "array",
    "shape": [64, 64],
    "data_type": "uint16",
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [32, 32]}},
    "chunk_key_encoding": {"name": "default"},
    "fill_value": 0,
    "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
}
GZIP = [*THIRD["codecs"], {"name": "gzip", "configuration": {"level": 1}}]


def store(folder: Path, document: dict, chunks: dict[str, bytes] | None = None) -> Path:
    """A store of one array with chunks."""
    place = folder / "a.zarr"
    place.mkdir()
    (place / ("zarr.json" if document.get("zarr_format") == 3 else ".zarray")).write_text(
        json.dumps(document)
    )
    for key, data in (chunks or {}).items():
        (place / key).parent.mkdir(parents=True, exist_ok=True)
        (place / key).write_bytes(data)
    return place


def failure(place: Path, **words: object) -> str:
    """The message of opening and reading all of a store."""
    with pytest.raises(ConvcliError) as caught:
        source = Input.open(str(place))
        for name, value in words.items():
            setattr(source, name, value)
        for run in open_input(source):
            reader = run.reader()
            for frame in range(run.header.frames):
                reader.rows(frame, 0, run.header.rows)
    message = str(caught.value)
    assert message.isprintable() and len(message) < 600, message
    return message


def sharded(**changes: object) -> dict:
    """A document of shards of four chunks."""
    inner = {
        "chunk_shape": [16, 16],
        "codecs": THIRD["codecs"],
        "index_codecs": [*THIRD["codecs"], {"name": "crc32c"}],
        **changes,
    }
    return {**THIRD, "codecs": [{"name": "sharding_indexed", "configuration": inner}]}


def transposed(order: list) -> dict:
    return {"name": "transpose", "configuration": {"order": order}}


LIES = [
    ({**SECOND, "shape": [-1, 64]}, "shape"),
    ({**SECOND, "shape": [64, 2**70]}, "allowed: 1 to 2⁴⁰"),
    ({**SECOND, "shape": [64, True]}, "shape"),
    ({**SECOND, "shape": [64, 6.5]}, "shape"),
    ({**SECOND, "shape": []}, "0 axes"),
    ({**SECOND, "shape": [64]}, "2 axes in an array of 1|two axes"),
    ({**SECOND, "shape": [64], "chunks": [8]}, "two axes or more"),
    ({**SECOND, "shape": [1] * 1000, "chunks": [1] * 1000}, "1000 axes"),
    ({**SECOND, "shape": "64"}, "shape is"),
    ({**SECOND, "chunks": [0, 32]}, "chunks"),
    ({**SECOND, "chunks": [-32, 32]}, "chunks"),
    ({**SECOND, "chunks": [32]}, "1 axes in an array of 2"),
    ({**SECOND, "chunks": [2**20, 2**20]}, f"{2**41} bytes; allowed: {2**30}"),
    ({**SECOND, "chunks": [2**40, 2**40]}, "bytes; allowed"),
    ({**SECOND, "chunks": None}, "chunks is None"),
    ({**SECOND, "dtype": "|O"}, "object"),
    ({**SECOND, "dtype": "<U4"}, "string"),
    ({**SECOND, "dtype": "|S4"}, "bytes"),
    ({**SECOND, "dtype": "<M8[s]"}, "datetime"),
    ({**SECOND, "dtype": "<c8"}, "complex"),
    ({**SECOND, "dtype": [["a", "<u2"]]}, "structured"),
    ({**SECOND, "dtype": "|V8"}, "structured"),
    ({**SECOND, "dtype": "(1000000,)u2"}, "type"),
    ({**SECOND, "dtype": "nonsense(("}, "nonsense"),
    ({**SECOND, "dtype": 7}, "type 7"),
    ({**SECOND, "order": "K"}, "order 'K'"),
    ({**SECOND, "fill_value": "NaN"}, "fill_value"),
    ({**SECOND, "fill_value": 70000}, "fill_value"),
    ({**SECOND, "fill_value": -1}, "fill_value"),
    ({**SECOND, "fill_value": {}}, "fill_value"),
    ({**SECOND, "fill_value": "9" * 10**5}, "fill_value"),
    ({**SECOND, "dtype": "<f4", "fill_value": "0xzz"}, "fill_value"),
    ({**SECOND, "dimension_separator": "../"}, "separator"),
    ({**SECOND, "compressor": {"id": "pickle"}}, "'pickle' is not supported"),
    ({**SECOND, "filters": [{"id": "pickle"}]}, "'pickle' is not supported"),
    ({**SECOND, "compressor": {"id": "json2"}}, "'json2' is not supported"),
    ({**SECOND, "compressor": {"id": "vlen-utf8"}}, "is not supported"),
    ({**SECOND, "compressor": {"id": "imagecodecs_nothing"}}, "not installed; install it with: pip install"),
    ({**SECOND, "compressor": {"id": 3}}, "a codec is"),
    ({**SECOND, "compressor": "x"}, "is not supported"),
    ({**SECOND, "filters": [{"id": "delta", "dtype": "nonsense(("}]}, "refuses its configuration"),
    ({**SECOND, "filters": 7}, "a codec is"),
    ({**SECOND, "zarr_format": 9}, "format 9"),
    ({**THIRD, "shape": [64, -64]}, "shape"),
    ({**THIRD, "data_type": "complex64"}, "complex64"),
    ({**THIRD, "data_type": {"name": "numpy.datetime64", "configuration": {}}}, "datetime64"),
    ({**THIRD, "data_type": "string"}, "string"),
    ({**THIRD, "data_type": "r999999999999"}, "r999"),
    ({**THIRD, "data_type": None}, "type"),
    ({**THIRD, "chunk_grid": {"name": "rectilinear", "configuration": {}}}, "rectilinear"),
    ({**THIRD, "chunk_grid": None}, "chunk_grid"),
    ({**THIRD, "chunk_key_encoding": {"name": "../"}}, "chunk_key_encoding"),
    ({**THIRD, "chunk_key_encoding": {"name": "v2", "configuration": {"separator": "/../"}}}, "separator"),
    ({**THIRD, "codecs": []}, "codecs is"),
    ({**THIRD, "codecs": "bytes"}, "codecs is"),
    ({**THIRD, "codecs": [{"name": "gzip"}]}, "not supported at its place"),
    ({**THIRD, "codecs": [*THIRD["codecs"], {"name": "nothing"}]}, "'nothing' is not supported"),
    ({**THIRD, "codecs": [*THIRD["codecs"], {"name": "numcodecs.pickle"}]}, "'pickle' is not supported"),
    ({**THIRD, "codecs": [{"name": "numcodecs.pickle"}, *THIRD["codecs"]]}, "not supported at its place"),
    ({**THIRD, "codecs": [{"name": "vlen-utf8"}]}, "not supported at its place"),
    ({**THIRD, "codecs": [{"name": "bytes", "configuration": {"endian": "middle"}}]}, "endian 'middle'"),
    ({**THIRD, "codecs": [transposed([0, 0]), *THIRD["codecs"]]}, "order"),
    ({**THIRD, "codecs": [transposed([0, "1"]), *THIRD["codecs"]]}, "order"),
    ({**THIRD, "fill_value": "0x" + "f" * 500}, "fill_value"),
    (sharded(chunk_shape=[15, 15]), "not multiples"),
    (sharded(chunk_shape=[0, 16]), "chunk_shape"),
    (sharded(chunk_shape=[16]), "1 axes"),
    (sharded(codecs=[{"name": "sharding_indexed", "configuration": {}}]), "not supported"),
    (sharded(index_codecs=[*THIRD["codecs"], {"name": "gzip"}]), "indexed by"),
    (sharded(index_location="middle"), "index_location"),
    ({**sharded(), "codecs": [*sharded()["codecs"], {"name": "gzip"}]}, "after sharding_indexed"),
    (
        {
            **sharded(chunk_shape=[1, 1]),
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2**20, 2**20]}},
        },
        "chunks a shard",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("document", "words"), LIES, ids=range(len(LIES)))
def test_metadata_that_cannot_be_true(document, words, tmp_path):
    """Shapes, chunks, types, fill values and codecs are checked before zarr sees them."""
    import re

    message = failure(store(tmp_path, document))
    assert re.search(words, message), message


def lz4(data: bytes, stated: int) -> bytes:
    return struct.pack("<I", stated) + bytes(numcodecs.LZ4().encode(data))[4:]


PLAIN = np.arange(1024, dtype="<u2").tobytes()
BOMB = bytes(2**22)
CHUNKS = [
    ({"id": "zlib"}, zlib.compress(PLAIN[:-2]), "2046 bytes of values instead of 2048"),
    ({"id": "zlib"}, zlib.compress(PLAIN + b"xx"), "more than 2048 bytes"),
    ({"id": "zlib"}, zlib.compress(PLAIN)[:-9], "truncated"),
    ({"id": "zlib"}, b"nonsense", "damaged zlib"),
    ({"id": "zlib"}, zlib.compress(BOMB), "more than 2048 bytes"),
    ({"id": "gzip"}, gzip.compress(BOMB), "more than"),
    ({"id": "gzip"}, gzip.compress(PLAIN)[:-3], "truncated"),
    ({"id": "gzip"}, gzip.compress(PLAIN[:99]) * 25, "more than 2048 bytes"),
    ({"id": "zstd"}, bytes(numcodecs.Zstd(1).encode(BOMB)), "damaged zstd"),
    ({"id": "zstd"}, bytes(numcodecs.Zstd(1).encode(PLAIN[:-2])), "2046 bytes of values instead of 2048"),
    ({"id": "zstd"}, bytes(numcodecs.Zstd(1).encode(PLAIN))[:-4], "damaged zstd"),
    ({"id": "blosc"}, bytes(numcodecs.Blosc("zstd", 9).encode(BOMB)), f"blosc states {2**22} bytes"),
    ({"id": "blosc"}, bytes(numcodecs.Blosc().encode(PLAIN))[:-4], "damaged blosc"),
    ({"id": "blosc"}, bytes(numcodecs.Blosc().encode(PLAIN))[:40] + bytes(400), "damaged blosc"),
    ({"id": "blosc"}, b"x", "damaged blosc"),
    ({"id": "lz4"}, lz4(PLAIN, 2**31 - 1), "lz4 states"),
    ({"id": "lz4"}, lz4(PLAIN, 2048)[:-5], "lz4"),
    ({"id": "bz2"}, bytes(numcodecs.BZ2().encode(BOMB)), "more than 2048 bytes"),
    ({"id": "lzma"}, bytes(numcodecs.LZMA().encode(BOMB)), "more than 2048 bytes"),
    ({"id": "packbits"}, b"\0" + bytes(10**4), "makes more than|bytes of values|has more than"),
    (None, PLAIN[:-1], "2047 bytes of values instead of 2048"),
    (None, PLAIN + PLAIN[:1], "2049 bytes of values instead of 2048"),
    (None, b"", "0 bytes of values"),
    (None, bytes(10**6), "has more than"),
]


@pytest.mark.parametrize(("codec", "data", "words"), CHUNKS, ids=range(len(CHUNKS)))
def test_chunks_that_are_damaged_or_bombs(codec, data, words, tmp_path):
    """The message names the chunk; its memory is bounded by what a chunk can have, not by what it says."""
    import re

    place = store(tmp_path, {**SECOND, "compressor": codec}, {"0.1": data})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    message = failure(place)
    assert re.search(words, message) and "chunk 0.1:" in message, message
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**17  # kilobytes


def index(*pairs: int) -> bytes:
    """The index of a shard, with its checksum."""
    import google_crc32c

    data = struct.pack(f"<{len(pairs)}Q", *pairs)
    return data + struct.pack("<I", google_crc32c.value(data))


ABSENT = 2**64 - 1
SHARDS = [
    (b"", "chunk c/0/0"),
    (b"short", "chunk c/0/0"),
    (bytes(68), "chunk c/0/0"),
    (bytes(512) + index(0, 512, ABSENT, ABSENT, ABSENT, ABSENT, 10**9, 512), "chunk c/0/0"),
    (bytes(512) + index(0, 512, 2**63, 2**63, ABSENT, ABSENT, ABSENT, ABSENT), "chunk c/0/0"),
    (bytes(512) + index(0, 2**62, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT), "chunk c/0/0"),
    (bytes(512) + index(0, 511, 0, 512, 0, 512, 0, 512), "chunk c/0/0"),
]


@pytest.mark.parametrize(("data", "words"), SHARDS, ids=range(len(SHARDS)))
def test_shards_whose_index_lies(data, words, tmp_path):
    """Offsets and sizes outside the shard, and indexes that are cut off, name the shard."""
    document = sharded()
    document["chunk_grid"] = {"name": "regular", "configuration": {"chunk_shape": [32, 32]}}
    message = failure(store(tmp_path, document, {"c/0/0": data}))
    assert words in message, message


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple:
        return open, (self.path, "w")


def test_no_pickle_is_executed(tmp_path):
    """Neither a codec nor a type makes a chunk run."""
    data, trap = pickle.dumps(Touch(tmp_path / "trap")), tmp_path / "trap"
    for number, changes in enumerate(
        (
            {"compressor": {"id": "pickle"}},
            {"filters": [{"id": "pickle"}]},
            {"dtype": "|O", "filters": [{"id": "pickle"}]},
            {"filters": [{"id": "astype", "encode_dtype": "|O", "decode_dtype": "<u2"}]},
        )
    ):
        (tmp_path / str(number)).mkdir()
        failure(store(tmp_path / str(number), {**SECOND, **changes}, {"0.0": data}))
    assert not trap.exists()


def image(folder: Path, path: object, version: int = 2, **more: object) -> Path:
    """An OME image with one level at a path."""
    place = folder / "i.zarr"
    zarr.create_array(place / "0", shape=(8, 8), dtype="u1", zarr_format=version)[:] = 1
    multiscales = [{"version": "0.4", "datasets": [{"path": path}], **more}]
    if version == 2:
        (place / ".zgroup").write_text('{"zarr_format": 2}')
        (place / ".zattrs").write_text(json.dumps({"multiscales": multiscales}))
    return place


@pytest.mark.parametrize(
    "path",
    ["../b.zarr", "/etc", "0/../../b", "s3://b/0", "file:///etc", "..\\b.zarr", "", ".", "0//0", 7],
)
def test_paths_stay_in_the_store(path, tmp_path):
    """Datasets of OME metadata cannot lead elsewhere."""
    zarr.create_array(tmp_path / "b.zarr", shape=(8, 8), dtype="u1", zarr_format=2)[:] = 7
    message = failure(image(tmp_path, path))
    assert "not a place within the store" in message or "has the path" in message


def test_links_stay_in_the_store(tmp_path):
    """A link to a chunk or to metadata elsewhere is refused."""
    secret = tmp_path / "secret"
    secret.write_bytes(PLAIN)
    place = store(tmp_path, SECOND, {"0.0": PLAIN})
    (place / "0.1").symlink_to(secret)
    assert "leaves the store" in failure(place)
    other = tmp_path / "o.zarr"
    other.mkdir()
    (other / ".zarray").symlink_to(place / ".zarray")
    assert "leaves the store" in failure(other)
    linked = tmp_path / "l.zarr"
    linked.symlink_to(place)  # a link to the store itself is the user's
    (place / "0.1").unlink()
    assert open_input(Input.open(str(linked)))[0].pixels().shape == (64, 64, 1)


def nested(depth: int) -> str:
    return '{"zarr_format": 2, "x": ' + "[" * depth + "]" * depth + "}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "allowed: an object"),
        ("7", "allowed: an object"),
        (nested(10**5), "not JSON"),
        ('{"zarr_format": 2, "shape": [1' + "0" * 10**5 + "]}", "not JSON"),
        ('{"zarr_format": 2, "x": "' + "y" * 2**24 + '"}', "more than 16777216 bytes"),
        ('{"zarr_format": "2"}', "format '2'"),
        ('{"zarr_format": 2}', "shape is None"),
        ("\ud800".encode("utf-16", "surrogatepass").decode("latin-1"), "not JSON"),
    ],
)
def test_documents_are_bounded(text, words, tmp_path):
    """Long, deep and broken JSON."""
    place = tmp_path / "a.zarr"
    place.mkdir()
    (place / ".zarray").write_text(text)
    assert words in failure(place)


@pytest.mark.parametrize(
    ("multiscales", "words"),
    [
        ([{"datasets": [{"path": "0"}] * 10**5}], "100000 levels"),
        ([{"datasets": []}], "0 levels"),
        ([{"datasets": 7}], "0 levels"),
        ([7], "0 levels"),
        ([{"datasets": [7]}], "has the path None"),
        ([{"datasets": [{"path": "1"}]}], "there is no array at '1'"),
    ],
)
def test_image_metadata_is_bounded(multiscales, words, tmp_path):
    """Levels by the hundred thousand, none, and missing ones."""
    place = image(tmp_path, "0")
    (place / ".zattrs").write_text(json.dumps({"multiscales": multiscales}))
    assert words in failure(place)


def test_levels_axes_and_groups(tmp_path):
    """What a store does not have is named with what it has."""
    place = image(tmp_path, "0")
    assert "--level 3: there are levels 0 to 0" in failure(place, level=3)
    assert "has only level 0" in failure(place / "0", level=1)
    assert "there is no axis 'q'; allowed: 0 to 1" in failure(place / "0", axes="q=1")
    assert "read whole" in failure(place / "0", axes="1=1")
    group = tmp_path / "g.zarr"
    for name in ("one", "two"):
        zarr.create_array(group / name, shape=(8, 8, 9), dtype="u1", dimension_names=["c", "y", "x"])
    zarr.open_group(group, mode="a")
    assert "adding its path: one, two" in failure(group)
    many = zarr.open_group(tmp_path / "m.zarr", mode="w")
    for number in range(12):
        many.create_array(f"a{number:02}", shape=(8, 8), dtype="u1")
    assert "a00, a01, " in failure(tmp_path / "m.zarr") and "a09 and others" in failure(tmp_path / "m.zarr")
    single = zarr.open_group(tmp_path / "s.zarr", mode="w").create_array(
        "a", shape=(40, 40), chunks=(1, 1), dtype="u1"
    )
    single[:] = 3
    (run,) = open_input(Input.open(str(tmp_path / "s.zarr")))
    assert run.reader().rows(0, 0, 2).min() == 3
    assert "ends at 7" in failure(group / "one", axes="c=2..8")
    (tmp_path / "e.zarr").mkdir()
    assert "neither zarr.json" in failure(tmp_path / "e.zarr")
    assert "No such file" in failure(tmp_path / "none.zarr")
    for words in ("c", "c=", "=1", "c=3..1", "c=-1", "c=0,c=1", "c=99999999999999999999"):
        assert "axes" in failure(group / "one", axes=words)


def test_consolidated_metadata_is_not_believed(tmp_path):
    """The documents of arrays count, whatever the consolidated copy says."""
    group = tmp_path / "g.zarr"
    zarr.open_group(group, mode="w").create_array("a", shape=(8, 8), dtype="u1")[:] = 5
    with warnings.catch_warnings(action="ignore"):
        zarr.consolidate_metadata(group)
    document = json.loads((group / "zarr.json").read_text())
    document["consolidated_metadata"]["metadata"]["a"]["shape"] = [2**39, 2**39]
    (group / "zarr.json").write_text(json.dumps(document))
    (run,) = open_input(Input.open(str(group)))
    assert run.pixels().shape == (8, 8, 1) and run.pixels().min() == 5


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
@pytest.mark.parametrize("key", ["zarr.json", "c/0/0"])
def test_pipes_are_not_waited_for(key, tmp_path):
    """A pipe that nobody writes to is refused, rather than opened for ever."""
    place = store(tmp_path, THIRD, {"c/0/0": bytes(2048)})
    (place / key).unlink()
    os.mkfifo(place / key)
    assert "not a regular file" in failure(place)


@pytest.mark.parametrize(
    "compressor",
    [
        {"id": "blosc", "cname": 5, "clevel": "x", "shuffle": 0.3, "blocksize": -1},
        {"id": "blosc", "cname": "x", "clevel": 10**30, "shuffle": [], "blocksize": None},
        {"id": "gzip", "level": 77},
        {"id": "zlib", "level": None},
        {"id": "zstd", "level": 10**9, "checksum": "x"},
        {"id": "lz4", "acceleration": []},
    ],
)
def test_settings_of_compressors_that_cannot_be_copied(run, compressor, tmp_path):
    """A result has the compressor of its source, but with settings that work."""
    place = store(tmp_path, {**SECOND, "compressor": compressor})
    assert run("apply", place, "-k", "box3", "-o", tmp_path / "out.zarr", "-q").code == 0
    made = zarr.open(tmp_path / "out.zarr", mode="r")
    assert made.compressors[0].codec_id == compressor["id"]
    assert not made[...].any()
