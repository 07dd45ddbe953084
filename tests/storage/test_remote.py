"""Objects read at random and whole, and written; what is requested for it."""

from __future__ import annotations

from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from threading import Event

import pytest

from convcli.core.errors import StorageError
from convcli.storage.remote import BLOCK, WHOLE, RemoteFile, upload, write_object
from convcli.storage.stores import Flow
from tests.servers import serving

SMALL = bytes(range(256)) * 64
LARGE = bytes(range(251)) * 40_000  # some 10 MB, ten blocks
LIMIT = 2**30


@pytest.fixture(params=["s3", "memory", "http", "http without parts"])
def place(request, tmp_path):
    """A function that stores bytes under a name; their URL."""
    if request.param == "s3":
        return request.getfixturevalue("s3").put
    if request.param == "memory":
        pytest.importorskip("fsspec")

        def put(name: str, data: bytes) -> str:
            url = f"memory://{tmp_path.name}/{name}"
            write_object(url, data, exclusive=False)
            return url

        return put
    web = request.getfixturevalue("web")
    web.ranges = request.param == "http"

    def serve(name: str, data: bytes) -> str:
        web.files[f"/{name}"] = data
        return f"{web.address}/{name}"

    return serve


@pytest.mark.parametrize("data", [b"", b"x", SMALL, LARGE], ids=["empty", "one", "small", "large"])
def test_the_same_bytes_by_every_way(place, data):
    """Size, parts beyond the end, several parts at once, all of it, and a file object."""
    opened = RemoteFile(place("object", data), LIMIT)
    assert opened.size == len(data)
    ends = [
        (0, 10),
        (len(data) // 2, 5 * BLOCK),
        (len(data) - 1 if data else 0, 3),
        (len(data) + 5, 10),
        (2, 0),
    ]
    for offset, count in ends:
        assert opened.part(offset, count) == data[offset : offset + count]
    assert opened.parts(ends) == [data[offset : offset + count] for offset, count in ends]
    assert opened.read() == data
    handle = opened.handle()
    assert handle.read() == data
    handle.seek(len(data) // 3)
    assert handle.read(100_000) == data[len(data) // 3 :][:100_000]
    assert handle.seek(-len(data) // 2, 2) == len(data) // 2
    assert handle.read() == data[len(data) // 2 :]
    opened.forget()
    assert opened.read() == data
    assert opened.is_unchanged


def test_a_large_object_is_read_in_parts(web):
    """A part of a large object is requested as such; a small object is requested once, whole."""
    web.files = {"/large": LARGE, "/small": SMALL}
    opened = RemoteFile(f"{web.address}/large", LIMIT)
    opened.part(5_000_000, 100)
    assert web.sent == [("/large", "bytes=5000000-5000099")]
    web.asked.clear()
    opened = RemoteFile(f"{web.address}/small", LIMIT)
    assert opened.part(0, 4) + opened.part(9, 4) == SMALL[:4] + SMALL[9:13]
    assert web.sent == [("/small", f"bytes=0-{len(SMALL) - 1}")]


def test_a_server_without_parts_is_asked_once(web):
    """Once it is known to ignore ranges, all is requested and kept."""
    web.ranges, web.files = False, {"/large": LARGE}
    opened = RemoteFile(f"{web.address}/large", LIMIT)
    for offset in (5_000_000, 6_000_000, 0):
        assert opened.part(offset, 100) == LARGE[offset:][:100]
    assert web.sent == [("/large", "bytes=5000000-5000099"), ("/large", "")]


def test_a_file_object_asks_for_more_when_it_is_read_on(web):
    """Reading from end to end takes far fewer requests than blocks; a jump takes one block."""
    web.files = {"/large": LARGE}
    handle = RemoteFile(f"{web.address}/large", LIMIT).handle()
    handle.seek(9_000_000)
    handle.read(10)
    handle.seek(0)
    handle.read(10)
    assert web.sent == [("/large", f"bytes={8 * BLOCK}-{9 * BLOCK - 1}"), ("/large", f"bytes=0-{BLOCK - 1}")]
    web.asked.clear()
    handle = RemoteFile(f"{web.address}/large", LIMIT).handle()
    while handle.read(50_000):
        pass
    assert len(web.sent) <= 5


def test_an_object_larger_than_the_limit_is_refused(place):
    """It may still be read in parts, but not be held whole."""
    url = place("large", LARGE)
    with pytest.raises(StorageError, match="larger than 1 kB"):
        RemoteFile(url, 1000).read()


def endless(stop):
    """A web server whose answers have no length and no end; it stops when ``stop`` is set."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            """Nothing is printed."""

        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):
                while self.command == "GET" and not stop.is_set():
                    self.wfile.write(bytes(2**16))
                    stop.sent += 2**16

        do_HEAD = do_GET  # noqa: N815 - named by http.server

    return serving(Handler)


def test_an_endless_answer_is_read_up_to_the_limit():
    """Not much more is read than may be kept, and the message names the limit."""
    pytest.importorskip("aiohttp")
    stop = Event()
    stop.sent = 0
    with endless(stop) as web, pytest.raises(StorageError, match="larger than 3 MB, the most that is kept"):
        try:
            RemoteFile(f"{web.address}/a.png", 3 * 10**6)
        finally:
            stop.set()
    assert stop.sent < 60 * 10**6  # what is buffered on the way


def test_a_server_that_drips_is_given_up():
    """After half a minute with less than the slowest rate; a pause before or after makes no difference."""
    times = iter([0, 10, 29, 31, 60, 62, 93])
    flow = Flow(lambda: next(times))
    for count in (1, 1, 10**6, 1, 10**5):
        flow.add(count)
    with pytest.raises(OSError, match="less than 2 kB/s"):
        flow.add(1)


def test_a_change_is_noticed(s3):
    """An object that is replaced while it is read counts as changed, and so does one that is shorter now."""
    url = s3.put("object", LARGE)
    opened = RemoteFile(url, LIMIT)
    opened.part(0, 10)
    assert opened.is_unchanged
    s3.put("object", LARGE[::-1])
    assert not opened.is_unchanged
    s3.put("object", LARGE[: WHOLE * 2])
    with pytest.raises(StorageError, match="changed while it was being read"):
        opened.part(0, WHOLE * 3)


@pytest.mark.parametrize("size", [0, 10, 40_000_000], ids=["empty", "small", "multipart"])
@pytest.mark.parametrize("kind", ["memory", "s3", "quirky_s3"])
def test_an_object_is_written_once(request, tmp_path, kind, size):
    """An exclusive write refuses to replace an object, whether the store does so itself or not."""
    data = (LARGE * 4)[:size]
    (tmp_path / "local").write_bytes(data)
    if kind == "memory":
        pytest.importorskip("fsspec")
    url = f"memory://{tmp_path.name}/new" if kind == "memory" else f"{request.getfixturevalue(kind).url}/new"
    upload(url, str(tmp_path / "local"), exclusive=True)
    with pytest.raises(FileExistsError):
        upload(url, str(tmp_path / "local"), exclusive=True)
    with pytest.raises(FileExistsError):
        write_object(url, b"other", exclusive=True)
    assert RemoteFile(url, LIMIT).read() == data
    upload(url, str(tmp_path / "local"), exclusive=False)
    write_object(url, b"other", exclusive=False)
    assert RemoteFile(url, LIMIT).read() == b"other"
