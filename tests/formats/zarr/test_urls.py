"""Arrays in buckets: the same as in folders, with few requests."""

from __future__ import annotations

import numpy as np
import pytest

from convcli.core.errors import ConvcliError
from convcli.files.input import Input
from convcli.formats.header import Layout
from convcli.formats.opening import open_input
from convcli.formats.zarr.objects import Objects
from convcli.formats.zarr.spec import spec_like
from convcli.formats.zarr.target import ZarrTarget
from convcli.formats.zarr.zarr import opened_zarr
from convcli.storage.stores import Store

zarr = pytest.importorskip("zarr")


def requests(monkeypatch, kind):
    """The keys of the objects that are read or written from now on."""
    from convcli.storage import stores

    asked = []
    plain = getattr(stores.S3Store, kind)

    def counting(self, path, *words, **more):
        asked.append(path)
        return plain(self, path, *words, **more)

    monkeypatch.setattr(stores.S3Store, kind, counting)
    return asked


@pytest.mark.parametrize("shard", [None, (64, 64)])
def test_a_bucket_holds_what_a_folder_holds(shard, s3, tmp_path, monkeypatch):
    """Written by one request per object, read back bit for bit, and the same bytes as in a folder."""
    layout = Layout(100, 90, 1, np.dtype("u2"), 2)
    pixels = np.random.default_rng(4).integers(0, 999, (2, 100, 90, 1)).astype("u2")
    spec = spec_like(layout, chunk=(32, 32), shard=shard)
    puts = requests(monkeypatch, "write")
    for place in (f"{s3.url}/in.zarr", str(tmp_path / "in.zarr")):
        target = ZarrTarget.create(place, spec)
        begun = len(puts)
        for frame in range(2):
            target.write((frame, frame + 1), (0, 100), (0, 90), pixels[frame : frame + 1])
        if place.startswith("s3"):
            assert len(puts) - begun == np.prod(target.facts.grid)
        assert not list(target.missing())
        target.complete({"made": 1})
        assert target.is_complete
    keys = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert s3.listed() == keys
    assert all(s3.get(key) == (tmp_path / key).read_bytes() for key in keys)
    (run,) = open_input(Input.open(f"{s3.url}/in.zarr"))
    for frame in range(2):
        assert np.array_equal(run.reader().rows(frame, 0, 100), pixels[frame])
        window = run.reader().window(frame, (30, 70), (10, 40))
        assert np.array_equal(window, pixels[frame, 30:70, 10:40])


def test_rows_request_each_chunk_once(s3, tmp_path, monkeypatch):
    """Strips from top to bottom get every object by one request, and an index of a shard once."""
    pixels = np.arange(128 * 128, dtype="u2").reshape(1, 128, 128, 1)
    for name, shard in (("plain", None), ("sharded", (128, 128))):
        target = ZarrTarget.create(
            f"{s3.url}/{name}.zarr",
            spec_like(Layout(128, 128, 1, np.dtype("u2")), chunk=(32, 32), shard=shard),
        )
        target.write((0, 1), (0, 128), (0, 128), pixels)
        (run,) = open_input(Input.open(f"{s3.url}/{name}.zarr"))
        reader = run.reader()
        parts, tails = requests(monkeypatch, "part"), requests(monkeypatch, "tail")
        for top in range(0, 128, 16):
            assert np.array_equal(reader.rows(0, top, top + 16), pixels[0, top : top + 16])
        assert len(parts) == 16 and len(tails) == (1 if shard else 0)
        monkeypatch.undo()


def test_failures_are_named(s3):
    """Missing stores, buckets and objects are one line with their URL."""
    for url, words in (
        (f"{s3.url}/none.zarr", "neither zarr.json"),
        ("s3://no-such-bucket-here/in.zarr", "bucket does not exist"),
    ):
        with pytest.raises(ConvcliError) as caught:
            opened_zarr(Input.open(url))
        assert words in str(caught.value) and str(caught.value).isprintable()
    spec = spec_like(Layout(8, 8, 1, np.dtype("u1")))
    ZarrTarget.create(f"{s3.url}/a.zarr", spec)
    with pytest.raises(ConvcliError, match="exists already"):
        ZarrTarget.create(f"{s3.url}/a.zarr", spec)
    assert ZarrTarget.create(f"{s3.url}/a.zarr", spec, force=True).sweep() == 0
    assert Objects(f"{s3.url}/a.zarr").read("c/0/0", 10) is None


@pytest.mark.parametrize("place", ["start", "end"])
def test_chunks_of_shards_are_requested_together(monkeypatch, place):
    """A window of several chunks takes one round of requests after the index, and gives the same pixels."""
    url = f"memory://together/{place}.zarr"
    codecs = {"shards": {"shape": (32, 64), "index_location": place}, "chunks": (16, 16), "compressors": None}
    pixels = np.random.default_rng(4).integers(0, 999, (64, 64)).astype("u2")
    array = zarr.create_array(url, shape=pixels.shape, dtype="u2", **codecs)
    array[...] = pixels
    asked, plain = [], Store.part

    def part(self, path, start, stop):
        asked.extend([stop - start] * ((stop - start) % 512 == 0))  # an index has another size
        return plain(self, path, start, stop)

    monkeypatch.setattr(Store, "part", part)
    with Input.open(url) as source:
        reader = opened_zarr(source).reader
        asked.clear()
        assert np.array_equal(reader.window(0, (0, 16), (0, 64))[..., 0], pixels[:16])
        assert sum(asked) == 4 * 512 and len(asked) <= 4
        assert not reader.store.ahead
        asked.clear()
        assert np.array_equal(reader.window(0, (20, 50), (3, 40))[..., 0], pixels[20:50, 3:40])
        assert sum(asked) == 9 * 512 and len(asked) < 9
