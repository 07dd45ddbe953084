"""Stores of objects, by the protocol of their URLs: what they do beyond reading whole objects.

A store is opened for each use. Its file system is cached by fsspec, which makes a new one in a new process.
"""

from __future__ import annotations

import errno
import mimetypes
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from math import floor
from typing import Any, Final
from urllib.parse import urlsplit

from convcli.core.errors import OutputError, StorageError, shown
from convcli.core.numerals import volume_text
from convcli.core.redaction import public_name
from convcli.storage.failures import NoPartsError, has_code, refusals
from convcli.storage.options import options_for
from convcli.storage.urls import is_writable, lower_protocol, protocol_of

_PART: Final = 2**24  # bytes of a part of an upload
_PIECE: Final = 2**20  # bytes of a web page that are read in one call
_PARTS_AT_ONCE: Final = 4
_PATIENCE: Final = 30.0  # seconds with less than the slowest rate, after which reading a web page ends
_SLOWEST: Final = 2000  # bytes in a second
_CONFLICTS: Final = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
_TIMES: Final = ("LastModified", "Last-Modified", "last_modified", "updated", "mtime", "created")
_STAMPS: Final = ("ETag", "etag", "generation", *_TIMES)
_TRIES: Final = 5  # to create an object that others create at the same time


class Store:
    """Objects, whose paths are as fsspec has them: without the protocol.

    Args:
        files: a file system of fsspec.
    """

    def __init__(self, files: Any) -> None:
        self.files = files

    def read(self, path: str, largest: int) -> bytes:
        """All bytes of an object, by one request.

        Raises:
            OSError: they are more than ``largest``.
        """
        try:
            data = self.part(path, 0, largest + 1)
        except Exception as error:
            if has_code(error, "416", "InvalidRange"):  # an empty object has no part
                return b""
            raise
        if len(data) > largest:
            raise OSError(errno.EFBIG, too_large(largest))
        return data

    def part(self, path: str, start: int, stop: int) -> bytes:
        """The bytes of an object from ``start`` to before ``stop``."""
        return bytes(self.files.cat_file(path, start=start, end=stop))

    def tail(self, path: str, count: int) -> bytes:
        """The last ``count`` bytes of an object, or all of fewer."""
        return bytes(self.files.cat_file(path, start=-count))

    def parts(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """The bytes of an object from each start to before each stop, requested at the same time."""
        starts, stops = [start for start, _ in ranges], [stop for _, stop in ranges]
        found = self.files.cat_ranges([path] * len(ranges), starts, stops, on_error="raise")
        return [bytes(data) for data in found]

    def info(self, path: str) -> dict[str, Any]:
        """Size, type and stamps of an object, as fsspec gives them."""
        return dict(self.files.info(path))

    def exists(self, path: str) -> bool:
        """Whether there is an object."""
        try:
            return str(self.info(path)["type"]) == "file"
        except FileNotFoundError:
            return False

    def write(self, path: str, data: bytes, exclusive: bool) -> None:
        """Write an object, whole or not at all.

        Raises:
            FileExistsError: ``exclusive`` is on and there is one.
        """
        self.files.pipe_file(path, data, mode=_mode(exclusive), **self._properties(path))

    def upload(self, path: str, local: str, exclusive: bool) -> None:
        """Write an object from a local file, whole or not at all.

        Raises:
            FileExistsError: ``exclusive`` is on and there is one.
        """
        self.files.put_file(local, path, mode=_mode(exclusive), **self._properties(path))

    def _properties(self, path: str) -> dict[str, Any]:
        """What else is stored with an object, in the words of its library."""
        return {}

    def honors_exclusive(self, folder: str) -> bool:
        """Whether the store itself refuses to replace an object on an exclusive write."""
        return True

    def names(self, folder: str, prefix: str, recursive: bool) -> Iterator[tuple[str, str]]:
        """The objects below a folder, sorted: their names in it, and their stamps.

        Args:
            prefix: that names begin with.
            recursive: whether to include the objects of subfolders.
        """
        yield from self._walk(folder, "", prefix, recursive)

    def _walk(self, folder: str, below: str, prefix: str, recursive: bool) -> Iterator[tuple[str, str]]:
        try:
            entries = self.files.ls(f"{folder}/{below}".rstrip("/"), detail=True)
        except FileNotFoundError:
            return
        listed = []
        for entry in entries:
            is_folder = entry["type"] == "directory"
            name = below + entry["name"].rstrip("/").rpartition("/")[2] + "/" * is_folder
            listed.append((name, is_folder, " ".join(stamp_of(entry))))
        for name, is_folder, stamp in sorted(listed):
            if not is_folder and name.startswith(prefix):
                yield name, stamp
            elif is_folder and recursive and (name.startswith(prefix) or prefix.startswith(name)):
                yield from self._walk(folder, name, prefix, recursive)

    def folders(self, folder: str) -> list[str]:
        """The names of the folders directly in a folder, sorted."""
        with suppress(FileNotFoundError):
            entries = self.files.ls(folder, detail=True)
            found = (entry["name"] for entry in entries if entry["type"] == "directory")
            return sorted(name.rstrip("/").rpartition("/")[2] for name in found)
        return []

    def delete(self, path: str) -> None:
        """Delete an object; none is not an error."""
        with suppress(FileNotFoundError):
            self.files.rm_file(path)


class S3Store(Store):
    """Buckets of Amazon S3 and of stores like it."""

    def _properties(self, path: str) -> dict[str, Any]:
        kind = mimetypes.guess_type(path)[0]
        return {"ContentType": kind} if kind else {}

    def exists(self, path: str) -> bool:
        bucket, _, key = path.partition("/")
        try:
            self.files.call_s3("head_object", Bucket=bucket, Key=key)
        except FileNotFoundError:
            self._check_bucket(bucket)
            return False
        except PermissionError:
            # Also the answer for what is not there, where listing is not allowed. Nothing is lost by going on
            # if the store itself refuses to replace an object.
            if self.honors_exclusive(path.rpartition("/")[0]):
                return False
            raise
        return True

    def _check_bucket(self, bucket: str) -> None:
        """Raise the error of a bucket that does not exist, of which HEAD says as much as of an object."""
        with suppress(PermissionError):  # of listing, which is not needed
            self.files.call_s3("list_objects_v2", Bucket=bucket, MaxKeys=1)

    def write(self, path: str, data: bytes, exclusive: bool) -> None:
        self._create_or_replace(path, exclusive, lambda: Store.write(self, path, data, exclusive))

    def upload(self, path: str, local: str, exclusive: bool) -> None:
        def put() -> None:
            self.files.put_file(
                local,
                path,
                mode=_mode(exclusive),
                chunksize=_PART,
                max_concurrency=_PARTS_AT_ONCE,
                **self._properties(path),
            )

        self._create_or_replace(path, exclusive, put)

    def _create_or_replace(self, path: str, exclusive: bool, write: Any) -> None:
        if exclusive and not self.honors_exclusive(path.rpartition("/")[0]) and self.exists(path):
            raise FileExistsError(path)
        for left in reversed(range(_TRIES)):
            try:
                write()
            except OSError as error:
                if has_code(error, "ConditionalRequestConflict") and left:
                    continue  # another writer was at work; whether it succeeded shows the next try
                if exclusive and has_code(error, *_CONFLICTS):
                    raise FileExistsError(path) from error
                raise
            return

    def honors_exclusive(self, folder: str) -> bool:
        """Known of Amazon; else tried out once for each bucket, with an object that is deleted again."""
        self.files.connect()
        endpoint = str(self.files.s3.meta.endpoint_url)
        key = endpoint, folder.split("/", 1)[0]
        if key not in _HONORED:
            host = (urlsplit(endpoint).hostname or "").removesuffix(".cn")
            _HONORED[key] = host.endswith(".amazonaws.com") or self._try_exclusive(folder)
        return _HONORED[key]

    def _try_exclusive(self, folder: str) -> bool:
        path = f"{folder}/.convcli-{os.urandom(6).hex()}.tmp"
        try:
            Store.write(self, path, b"", exclusive=True)
            Store.write(self, path, b"", exclusive=True)
        except (OSError, NotImplementedError) as error:
            if has_code(error, "NotImplemented", "501"):
                return False
            if not has_code(error, *_CONFLICTS):
                raise
            return True
        finally:
            with suppress(OSError):
                self.files.rm_file(path)
        return False

    def names(self, folder: str, prefix: str, recursive: bool) -> Iterator[tuple[str, str]]:
        bucket, _, key = folder.partition("/")
        start = f"{key}/" if key else ""
        query = {"Bucket": bucket, "Prefix": start + prefix, **({} if recursive else {"Delimiter": "/"})}
        while True:
            page = self.files.call_s3("list_objects_v2", **query)
            for entry in page.get("Contents", []):
                if not entry["Key"].endswith("/"):  # how consoles mark an empty folder
                    yield entry["Key"][len(start) :], " ".join(stamp_of({**entry, "size": entry["Size"]}))
            if not page.get("IsTruncated"):
                return
            query["ContinuationToken"] = page["NextContinuationToken"]


_HONORED: Final[dict[tuple[str, str], bool]] = {}
"""Whether exclusive writes are, by endpoint and bucket."""


class GoogleStore(Store):
    """Buckets of Google Cloud Storage."""

    def _properties(self, path: str) -> dict[str, Any]:
        kind = mimetypes.guess_type(path)[0]
        return {"content_type": kind} if kind else {}


class Flow:
    """Watches how fast bytes come, so that a server cannot hold a run by sending a few now and then."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock, self.begun, self.count = clock, clock(), 0

    def add(self, count: int) -> None:
        """Count bytes that have come.

        Raises:
            OSError: there were too few for too long.
        """
        self.count += count
        now = self.clock()
        seconds = now - self.begun
        if seconds < _PATIENCE:
            return
        if self.count < _SLOWEST * seconds:
            raise OSError(errno.ETIMEDOUT, f"the server sends less than {_SLOWEST // 1000} kB/s")
        self.begun, self.count = now, 0


class PageStore(Store):
    """Files of web servers, which are only read."""

    def part(self, path: str, start: int, stop: int) -> bytes:
        with self.files.open(path, "rb", size=stop) as file:  # as given, which saves a request
            try:
                return bytes(file._fetch_range(start, stop))
            except ValueError as error:
                raise NoPartsError from error

    def parts(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        last = self.part(path, *ranges[-1])  # shows whether the server sends parts
        return [*Store.parts(self, path, ranges[:-1]), last]

    def read(self, path: str, largest: int) -> bytes:
        pieces, total, flow = [], 0, Flow()
        with self.files.open(path, "rb", block_size=0) as stream:
            while piece := stream.read(_PIECE):
                pieces.append(piece)
                total += len(piece)
                flow.add(len(piece))
                if total > largest:
                    raise OSError(errno.EFBIG, too_large(largest))
        return b"".join(pieces)


def too_large(largest: int) -> str:
    """Why an object is not read whole."""
    return f"larger than {volume_text(largest, floor)}, the most that is kept of a file that is read whole"


_STORES: Final[dict[str, type[Store]]] = {
    "s3": S3Store,
    "gs": GoogleStore,
    "az": Store,
    "memory": Store,
    "http": PageStore,
    "https": PageStore,
}


def open_store(url: str) -> tuple[Store, str]:
    """The store of a URL, and the path in it.

    Raises:
        StorageError: the protocol is not supported, or its library is missing, or refuses the options.
    """
    protocol = protocol_of(url)
    if is_writable(url) and public_name(url) != url:
        raise StorageError(
            url,
            "credentials in the name of an object are not used; set them in the environment, "
            "or with --storage-options",
        )
    with refusals(url, "cannot be opened"):
        import fsspec

        url = lower_protocol(url)
        options = {"use_listings_cache": False, **options_for(url)}
        kind = fsspec.get_filesystem_class(url.split("://", 1)[0])
        files = kind(**{**kind._get_kwargs_from_urls(url), **options})
        return _STORES[protocol](files), str(kind._strip_protocol(url))


def check_writable(url: str) -> None:
    """Refuse a URL that nothing can be written to.

    Raises:
        OutputError: it is of a web server.
    """
    if not is_writable(url):
        raise OutputError(
            f"{shown(url)}: cannot be written; choose a file, or a URL such as s3://BUCKET/NAME"
        )


def exists(url: str) -> bool:
    """Whether there is an object.

    Raises:
        StorageError: that cannot be found out.
    """
    store, path = open_store(url)
    with refusals(url, "cannot be checked"):
        return store.exists(path)


def stamp_of(info: dict[str, Any]) -> tuple[str, ...]:
    """What tells one state of an object from another: its size, and its ETag or time."""
    return str(info.get("size")), *(str(info[name]) for name in _STAMPS if info.get(name))


def _mode(exclusive: bool) -> str:
    return "create" if exclusive else "overwrite"
