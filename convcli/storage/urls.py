"""Names of places, which are local paths or URLs. Only text is handled here; nothing is opened.

The key of an object is taken as it is written: ``%20``, ``//`` and ``..`` in it are part of its name. Only
``file:`` and ``http:`` URLs have escapes, and only ``http:`` URLs have queries.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from convcli.core.errors import StorageError
from convcli.core.frozen import frozen
from convcli.core.paths import SEPARATORS
from convcli.core.patterns import pattern

PROTOCOLS: Final = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gs",
    "gcs": "gs",
    "az": "az",
    "abfs": "az",
    "abfss": "az",
    "http": "http",
    "https": "https",
    "memory": "memory",
    "file": "file",
}
"""The protocols of URLs, each with its usual name."""

_URL: Final = pattern(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_DRIVE: Final = pattern(r"[A-Za-z]:")
_ENDS: Final = "".join(SEPARATORS)
_PORTS: Final = {"http": 80, "https": 443}


def is_url(name: str) -> bool:
    """Whether a name is a URL, of whatever protocol; a file of such a name is written ``./s3://…``."""
    return _URL.match(name) is not None


def is_remote(name: str) -> bool:
    """Whether a name is a URL of anything but a local file."""
    return is_url(name) and protocol_of(name) != "file"


def protocol_of(url: str) -> str:
    """The usual name of a URL's protocol: one of the values of `PROTOCOLS`.

    Raises:
        StorageError: it is not supported.
    """
    match = _URL.match(url)
    assert match, url
    protocol = PROTOCOLS.get(match[1].lower())
    if protocol is None:
        raise StorageError(url, f"unsupported protocol {match[1]}:// (supported: {', '.join(PROTOCOLS)})")
    return protocol


def lower_protocol(url: str) -> str:
    """A URL as libraries take it, with its protocol in lower case."""
    protocol, rest = url.split("://", 1)
    return f"{protocol.lower()}://{rest}"


def local(name: str) -> str:
    """A local path for a ``file:`` URL; any other name as it is.

    Raises:
        StorageError: the URL is of another machine.
    """
    if not is_url(name) or protocol_of(name) != "file":
        return name
    host, slash, path = name.split("://", 1)[1].partition("/")
    if host not in ("", "localhost"):
        raise StorageError(name, f"names a file of the machine {host}; write file:///PATH")
    return _unquoted(path if os.name == "nt" and _DRIVE.match(path) else slash + path)


def canonical(name: str) -> str:
    """One text for each place, by which places are compared.

    Local paths are absolute, with all symbolic links resolved. A slash at the end makes no difference.
    """
    name = local(name)
    if not is_url(name):
        return os.path.realpath(name)
    protocol, rest = protocol_of(name), name.split("://", 1)[1]
    if protocol in _PORTS:
        return _canonical_page(name)
    if protocol == "az":
        rest = re.sub(r"^([^/@]*)@[^/]*", r"\1", rest)  # the host of the account
    if protocol == "memory":
        rest = rest.lstrip("/")
    return f"{protocol}://{rest.rstrip('/')}"


def _unquoted(text: str) -> str:
    from urllib.parse import unquote  # which start-up does without

    return unquote(text, errors="surrogateescape")


def _canonical_page(url: str) -> str:
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    try:
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError as error:
        raise StorageError(url, "the port is not a number from 0 to 65535") from error
    place = host if port in (None, _PORTS[parts.scheme]) else f"{host}:{port}"
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{place}{_unquoted(parts.path).rstrip('/')}{query}"


def joined(place: str, *parts: str) -> str:
    """A place below another; ``parts`` are relative and use ``/``."""
    if not is_url(place):
        return os.path.join(place, *parts)  # noqa: PTH118
    below = "/".join(part.strip("/") for part in parts)
    if not _has_name(place):
        return f"{place}{below}"
    return f"{place.rstrip('/')}/{below}" if parts else place.rstrip("/")


def _has_name(url: str) -> bool:
    return bool(url.split("://", 1)[1].strip("/"))


def parent_of(place: str) -> str:
    """The folder that a place is in, without a slash at its end; the place itself at the top."""
    place = _without_query(place)
    if not is_url(place):
        return os.path.dirname(place.rstrip(_ENDS)) or ("/" if place.startswith("/") else "")  # noqa: PTH120
    start, rest = place.split("://", 1)
    folder, slash, _ = rest.rstrip("/").rpartition("/")
    return f"{start}://{folder}" if slash else place.rstrip("/")


def name_of(place: str) -> str:
    """The last part of a place's name, without the query of a URL."""
    place = _without_query(place)
    if not is_url(place):
        return os.path.basename(place.rstrip(_ENDS))  # noqa: PTH119
    name = place.split("://", 1)[1].rstrip("/").rpartition("/")[2]
    if protocol_of(place) in _PORTS:
        return _unquoted(name).replace("/", "_").replace("\0", "_")
    return name


def _without_query(place: str) -> str:
    if is_url(place) and protocol_of(place) in _PORTS:
        return re.split(r"[?#]", place, maxsplit=1)[0]
    return place


@frozen
class Url:
    """A URL with the parts of a name that a `Path` has."""

    text: str

    def __str__(self) -> str:
        return self.text

    def __truediv__(self, part: str | Path) -> Url:
        return Url(joined(self.text, str(part)))

    @property
    def name(self) -> str:
        return name_of(self.text)

    @property
    def stem(self) -> str:
        return Path(self.name).stem

    @property
    def suffix(self) -> str:
        return Path(self.name).suffix

    @property
    def parent(self) -> Url:
        return Url(parent_of(self.text))

    def with_suffix(self, suffix: str) -> Url:
        return self.parent / f"{self.stem}{suffix}"


Place = Path | Url
"""Where a file is."""


def place_of(name: str) -> Place:
    """The place of a name: a path for a local file, also one that is named by a URL."""
    name = local(name)
    return Url(name) if is_url(name) else Path(name)


def is_writable(url: str) -> bool:
    """Whether anything can be written at URLs of this protocol."""
    return protocol_of(url) not in _PORTS


def path_in(url: str) -> str:
    """What follows the protocol, without a query: host or bucket, and path or key."""
    return _without_query(url).split("://", 1)[1].lstrip("/")


def is_bucket(url: str) -> bool:
    """Whether a URL names only a host, bucket or container."""
    return "/" not in url.split("://", 1)[1].strip("/")
