"""Servers for tests, as processes on loopback: S3 by moto, web servers with and without ranges.

A test gets `s3`, a bucket with nothing in it but what the test puts there, and `web`. Both are skipped where
the extra or moto is missing. Each process of the tests that needs S3 has a server of its own.
"""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from threading import Thread
from typing import Any

import pytest

PAGE = 50
"""Names of objects in a page of a listing."""
ENVIRONMENT = {
    "MOTO_S3_DEFAULT_MAX_KEYS": str(PAGE),
    "AWS_ACCESS_KEY_ID": "test-key",
    "AWS_SECRET_ACCESS_KEY": "test-secret",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
}
_PATIENCE = 120  # seconds for a server to start, on a machine that is busy


@dataclass(frozen=True)
class Bucket:
    """A bucket of the S3 server: objects by their keys, through a client that is not the package's."""

    name: str
    endpoint: str

    @property
    def url(self) -> str:
        return f"s3://{self.name}"

    def put(self, key: str, data: bytes) -> str:
        """Write an object; its URL."""
        self._files().pipe_file(f"{self.name}/{key}", data)
        return f"{self.url}/{key}"

    def get(self, key: str) -> bytes:
        return bytes(self._files().cat_file(f"{self.name}/{key}"))

    def listed(self) -> list[str]:
        """All keys, sorted."""
        files = self._files()
        found = files.find(self.name) if files.exists(self.name) else []
        return sorted(path.removeprefix(f"{self.name}/") for path in found)

    def _files(self) -> Any:
        import s3fs

        return s3fs.S3FileSystem(use_listings_cache=False, endpoint_url=self.endpoint)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of a server of this process's own; the environment leads to it while the session lasts."""
    for module in ("s3fs", "moto", "flask"):
        if find_spec(module) is None:
            pytest.skip(f"needs {module}: pip install -e '.[cloud,servers]'")
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **ENVIRONMENT},
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        patch.delenv("AWS_PROFILE", raising=False)
        try:
            wait_for(port, server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()
            server.wait()


@pytest.fixture
def s3(s3_server: str) -> Bucket:
    """A new, empty bucket."""
    import s3fs

    name = f"bucket-{uuid.uuid4().hex[:12]}"
    s3fs.S3FileSystem(use_listings_cache=False).mkdir(name)
    return Bucket(name, s3_server)


@pytest.fixture
def quirky_s3(s3: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """A bucket of a store that ignores ``If-None-Match``, and so replaces what it should not."""
    import s3fs

    with serving(Proxy, upstream=s3.endpoint) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.address)
        s3fs.S3FileSystem.clear_instance_cache()  # which the environment is not part of
        yield Bucket(s3.name, s3.endpoint)
        s3fs.S3FileSystem.clear_instance_cache()


def free_port() -> int:
    """A port of loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    """Wait until a server accepts connections."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        assert server.poll() is None, "the server ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("the server did not start")


@dataclass
class Served:
    """What a web server offers, and what it was asked for.

    Attributes:
        files: by their paths, such as ``/a.png``.
        statuses: answers that replace files: a status for a path.
        ranges: whether parts are sent.
        asked: the method, path and ``Range`` of each request.
    """

    address: str = ""
    upstream: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    ranges: bool = True
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def sent(self) -> list[tuple[str, str]]:
        """The path and ``Range`` of each request for contents."""
        return [(path, part) for method, path, part in self.asked if method == "GET"]


class serving:  # noqa: N801 - a context manager
    """Serve with a handler in a thread of this process, on a free port."""

    def __init__(self, handler: type[BaseHTTPRequestHandler], **options: Any) -> None:
        self.served = Served(**options)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.served = self.served  # type: ignore[attr-defined]
        self.served.address = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Served:
        self.thread.start()
        return self.served

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def served(self) -> Served:
        return self.server.served  # type: ignore[attr-defined]

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""

    def note(self) -> str:
        """Record the request; its path without the query."""
        path = self.path.partition("?")[0]
        self.served.asked.append((self.command, path, self.headers.get("Range", "")))
        return path

    def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class _Files(_Handler):
    """A web server of some files."""

    def do_GET(self) -> None:
        path = self.note()
        status = self.served.statuses.get(path) or (200 if path in self.served.files else 404)
        body, headers = self.served.files.get(path, b"") if status == 200 else b"", dict[str, str]()
        if self.served.ranges:
            headers["Accept-Ranges"] = "bytes"
            if status == 200 and (part := self.headers.get("Range")):
                first, _, last = part.removeprefix("bytes=").partition("-")
                stop = min(int(last) + 1 if last else len(body), len(body))
                headers["Content-Range"] = f"bytes {first}-{stop - 1}/{len(body)}"
                status, body = 206, body[int(first) : stop]
        self.send(status, body, headers)

    do_HEAD = do_GET  # noqa: N815 - named by http.server


class Proxy(_Handler):
    """Passes requests on to another server, without ``If-None-Match``."""

    def do_GET(self) -> None:
        self.note()
        size = self.headers.get("Content-Length")
        body = self.rfile.read(int(size)) if size else None
        headers = {name: value for name, value in self.headers.items() if name.lower() != "if-none-match"}
        other = http.client.HTTPConnection(self.served.upstream.split("://")[1])
        other.request(self.command, self.path, body, headers)
        answer = other.getresponse()
        kept = {
            name: value
            for name, value in answer.getheaders()
            if name.lower() not in ("transfer-encoding", "connection", "date", "server")
        }
        self.send(answer.status, answer.read(), kept)
        other.close()

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815 - named by http.server


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A web server that sends parts of files, or with ``web.ranges = False`` only whole ones."""
    if find_spec("aiohttp") is None or find_spec("fsspec") is None:
        pytest.skip("needs fsspec: pip install -e '.[cloud]'")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(_Files) as served:
        yield served


__all__ = ["Bucket", "Proxy", "Served", "quirky_s3", "s3", "s3_server", "serving", "web"]
