"""Jobs on object stores that refuse, or are overloaded: one line without secrets; the rest follows later."""

from __future__ import annotations

import numpy as np
import pytest

from tests.jobs.sources import zarr_array
from tests.jobs.test_faults import failure
from tests.servers import Proxy, serving

pytest.importorskip("zarr")
pytest.importorskip("s3fs")

PIXELS = np.random.default_rng(4).integers(0, 65536, (70, 90), np.uint16)
WORDS = ("-k", "box3", "-q", "--piece", "32")


class Refusing(Proxy):
    """Answers some requests with an error of S3 instead of passing them on."""

    method, part, status, code, times = "", "", 0, "", 0

    def do_GET(self) -> None:  # noqa: N802 - named by http.server
        kind = type(self)
        if self.command == kind.method and kind.part in self.path and kind.times:
            kind.times -= 1
            size = self.headers.get("Content-Length")
            self.rfile.read(int(size) if size else 0)
            self.send(kind.status, f"<Error><Code>{kind.code}</Code></Error>".encode(), {})
            return
        super().do_GET()

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815 - named by http.server


@pytest.fixture
def bucket(s3, tmp_path):
    """A bucket with an array."""
    place = tmp_path / "in.zarr"
    zarr_array(place, PIXELS, (32, 32))
    for path in place.rglob("*"):
        if path.is_file():
            s3.put(str(path.relative_to(tmp_path)), path.read_bytes())
    return s3


@pytest.fixture
def refusing(bucket, monkeypatch):
    """The bucket behind a proxy that refuses what the class says."""
    import s3fs

    with serving(Refusing, upstream=bucket.endpoint) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.address)
        s3fs.S3FileSystem.clear_instance_cache()
        yield bucket
    s3fs.S3FileSystem.clear_instance_cache()


FAULTS = {
    "read denied": ("GET", "in.zarr/c/", 403, "AccessDenied", "in.zarr"),
    "write denied": ("PUT", "out.zarr/c/", 403, "AccessDenied", "out.zarr"),
    "expired key": ("PUT", "out.zarr/c/", 400, "ExpiredToken", "out.zarr"),
    "journal denied": ("PUT", "out.zarr.convcli/job", 403, "AccessDenied", "out.zarr.convcli"),
}
"""Of each fault, which requests are answered by what, and what the message names."""


@pytest.mark.parametrize("fault", FAULTS)
def test_requests_that_are_refused(run, refusing, monkeypatch, fault):
    """One line with the place; the job goes on once the store allows it, or begins if nothing was begun."""
    *answer, place = FAULTS[fault]
    for name, value in zip(("method", "part", "status", "code"), answer, strict=True):
        monkeypatch.setattr(Refusing, name, value)
    monkeypatch.setattr(Refusing, "times", 10**6)
    words = ("apply", f"{refusing.url}/in.zarr", "-o", f"{refusing.url}/out.zarr", *WORDS)
    message = failure(run, *words)
    assert place in message
    assert "test-secret" not in message
    assert "test-key" not in message
    monkeypatch.setattr(Refusing, "times", 0)
    ran = run(*words, "--resume")
    assert (ran.code, ran.err) == (0, "")
    assert not [key for key in refusing.listed() if ".convcli" in key]
    assert len([key for key in refusing.listed() if key.startswith("out.zarr/c/")]) == 9


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_store_that_is_overloaded_for_a_moment(run, refusing, monkeypatch, method):
    """Requests are made again."""
    for name, value in {
        "method": method,
        "part": ".zarr/c/",
        "status": 503,
        "code": "SlowDown",
        "times": 2,
    }.items():
        monkeypatch.setattr(Refusing, name, value)
    ran = run("apply", f"{refusing.url}/in.zarr", "-o", f"{refusing.url}/out.zarr", *WORDS)
    assert (ran.code, ran.err) == (0, "")
    assert Refusing.times == 0


def test_buckets_that_are_not_there(run, bucket):
    """They are named."""
    words = ("apply", f"{bucket.url}/in.zarr", "-o", "s3://nowhere-to-be-found/out.zarr", *WORDS)
    assert "nowhere-to-be-found" in failure(run, *words)
    words = ("apply", "s3://nowhere-to-be-found/in.zarr", "-o", f"{bucket.url}/out.zarr", *WORDS)
    assert "nowhere-to-be-found" in failure(run, *words)
    assert not [key for key in bucket.listed() if key.startswith("out")]
