"""A connection to a Dask scheduler, on which every call has a time limit."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import dask
from distributed import Client, LocalCluster

from convcli.cluster.addresses import Address, Local, Network, SchedulerFile
from convcli.core.errors import ConvcliError, cut, one_line
from convcli.core.system import processors

T = TypeVar("T")

_SILENT: Final = logging.CRITICAL + 1
_LOGGERS: Final = ("distributed", "tornado", "asyncio", "bokeh")
_CLOSING: Final = 5.0  # seconds
_GOING_ON: Final = "finished pieces are kept; go on with --resume"


class Connection:
    """A client of a scheduler, and the cluster if it was started here.

    Args:
        seconds: until the scheduler must have answered.

    Raises:
        ConvcliError: the scheduler cannot be reached.
    """

    def __init__(self, address: Address, seconds: float) -> None:
        self.ending, self.seconds = ExitStack(), seconds
        self.ending.callback(_silence())
        try:
            self.client = self._connected(address)
        except BaseException:
            self.ending.close()
            raise

    def _connected(self, address: Address) -> Client:
        if isinstance(address, Local):
            cluster = _local_cluster(address.workers or processors())
            self.ending.callback(_close, cluster)
            return self._client(cluster, "the local cluster")
        if isinstance(address, SchedulerFile):
            return self._client(_address_in(address.path), address.path)
        url = address.url if isinstance(address, Network) else _configured_address()
        return self._client(url, url)

    def _client(self, target: Any, name: str) -> Client:
        try:
            client = Client(target, timeout=self.seconds, set_as_default=False)
        except (OSError, TimeoutError, ValueError, RuntimeError, TypeError) as error:
            raise ConvcliError(f"cannot reach the scheduler at {name}: {_reason(error)}") from error
        self.ending.callback(_close, client)
        return client

    @property
    def address(self) -> str:
        """Where the scheduler is."""
        return str(self.client.scheduler.address) if self.client.scheduler else "its address"

    @property
    def is_lost(self) -> bool:
        """Whether there was no connection for a moment, after which the scheduler has forgotten all tasks."""
        return bool(self.client.status != "running")

    def call(self, make: Callable[..., Awaitable[T]], *values: Any, seconds: float | None = None) -> T:
        """The result of a coroutine that runs in the thread of the client.

        Raises:
            ConvcliError: the scheduler is gone, or has not answered in time.
        """
        limit = self.seconds if seconds is None else seconds
        try:
            result: T = self.client.sync(make, *values, callback_timeout=limit)
        except TimeoutError as error:
            raise ConvcliError(
                f"the scheduler at {self.address} has not answered for {limit:g} s; {_GOING_ON}"
            ) from error
        except OSError as error:
            raise self.lost() from error
        return result

    def lost(self) -> ConvcliError:
        """The error that the scheduler is gone."""
        return ConvcliError(f"the scheduler at {self.address} is gone; {_GOING_ON}")

    def close(self) -> None:
        """Disconnect, and end the cluster if it was started here."""
        self.ending.close()


def _configured_address() -> str:
    address = dask.config.get("scheduler-address", None)
    if not address:
        raise ConvcliError(
            "cluster env: neither DASK_SCHEDULER_ADDRESS nor Dask's configuration has an address"
        )
    return str(address)


def _address_in(path: str) -> str:
    try:
        return str(json.loads(Path(path).read_text())["address"])
    except OSError as error:
        raise ConvcliError(f"{path}: {error.strerror}") from error
    except (ValueError, LookupError, TypeError) as error:
        raise ConvcliError(f"{path}: this is no file of dask scheduler --scheduler-file") from error


def _local_cluster(workers: int) -> LocalCluster:
    """Worker processes with one thread each, which are reached from this machine only."""
    try:
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=_SILENT,
        )
    except (OSError, RuntimeError, TimeoutError) as error:
        raise ConvcliError(f"cannot start {workers} local workers: {_reason(error)}") from error


def _close(closable: Any) -> None:
    """Close a client or a cluster, without waiting for those that do not answer."""
    with suppress(Exception):
        closable.close(timeout=_CLOSING)


def _silence() -> Callable[[], None]:
    """Silence the loggers of Dask; what is returned restores them."""
    before = [(logging.getLogger(name), logging.getLogger(name).level) for name in _LOGGERS]
    for logger, _ in before:
        logger.setLevel(_SILENT)

    def restore() -> None:
        for logger, level in before:
            logger.setLevel(level)

    return restore


def _reason(error: BaseException) -> str:
    return cut(one_line(str(error) or type(error).__name__))
