"""Addresses of clusters, as `--cluster` takes them; nothing is imported or connected here."""

from __future__ import annotations

import re
from typing import Final

from convcli.core.errors import ArgumentError, quoted
from convcli.core.frozen import frozen

ALLOWED: Final = "tcp://HOST:PORT, tls://HOST:PORT, local, local:N, file:SCHEDULER.json, env"
MOST_LOCAL: Final = 4096

_NETWORK: Final = re.compile(r"(tcp|tls)://(\[[0-9A-Fa-f:.%]+\]|[\w.-]+):(\d{1,5})")
_LOCAL: Final = re.compile(r"local(?::(\d{1,9}))?")


@frozen
class Network:
    """A scheduler that is reached over a network, such as ``tls://10.0.0.5:8786``."""

    url: str


@frozen
class Local:
    """Worker processes on this machine, which live as long as the engine; 0 is one per processor."""

    workers: int = 0


@frozen
class SchedulerFile:
    """A file in which a scheduler has written its address (``dask scheduler --scheduler-file``)."""

    path: str


@frozen
class Environment:
    """What ``DASK_SCHEDULER_ADDRESS`` or Dask's configuration files say."""


Address = Network | Local | SchedulerFile | Environment


def parse(text: str) -> Address:
    """The address that a text stands for.

    Raises:
        ArgumentError: it has none of the forms in `ALLOWED`.
    """
    check_public(text)
    if match := _NETWORK.fullmatch(text):
        if not 0 < int(match[3]) < 2**16:
            raise ArgumentError(f"cluster {quoted(text)}: port {match[3]} is out of range (1 to 65535)")
        return Network(text)
    if match := _LOCAL.fullmatch(text):
        return Local(_local_workers(match[1]))
    if text.startswith("file:") and text != "file:":
        return SchedulerFile(text.removeprefix("file:"))
    if text == "env":
        return Environment()
    meant = f"local:{text}" if text.isdecimal() else f"tcp://{text}"
    hint = f"; did you mean {meant}?" if _LOCAL.fullmatch(meant) or _NETWORK.fullmatch(meant) else ""
    raise ArgumentError(f"unknown cluster {quoted(text)} (allowed: {ALLOWED}){hint}")


def check_public(url: str) -> None:
    """Refuse the address of a scheduler with a user name or a password, which is not repeated.

    Raises:
        ArgumentError: it has one.
    """
    if "@" in url and not url.startswith("file:"):
        raise ArgumentError(
            "the address of a cluster has a user name or a password, which Dask does not take; "
            "leave it out, and use tls:// with certificates"
        )


def _local_workers(digits: str | None) -> int:
    if digits is None:
        return 0
    if not 0 < int(digits) <= MOST_LOCAL:
        raise ArgumentError(f"cluster 'local:{digits}': {digits} workers (allowed: 1 to {MOST_LOCAL})")
    return int(digits)
