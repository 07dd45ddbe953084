"""A connection to a Dask scheduler, on which every call has a time limit."""

from __future__ import annotations

import json
import os
import signal
import warnings
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, Final, TypeVar

import dask
import psutil
from distributed import Client, Future, LocalCluster

from convcli.cluster.addresses import Address, Environment, Local, Network, SchedulerFile, check_public
from convcli.cluster.silence import SILENT, silence
from convcli.core.errors import ConvcliError, cut, one_line
from convcli.core.numerals import counted
from convcli.core.signals import blocked
from convcli.core.system import processors

T = TypeVar("T")

_LOCAL: Final = {"distributed.worker.profile.enabled": False}
"""Settings of local clusters: nobody looks at profiles of their workers, which take time and memory."""

_CLOSING: Final = 2.0  # seconds
_NEXT: Final = "what is finished is kept: go on with --resume"
_NO_CERTIFICATES: Final = (
    "set distributed.comm.tls.ca-file, client.cert and client.key in Dask's configuration"
)


class NoAnswerError(ConvcliError):
    """The scheduler, or a worker that it asked, has not answered in time."""


class Connection:
    """A client of a scheduler, and the cluster if it was started here.

    Args:
        address: or a client, which is not closed.
        connect: seconds within which the scheduler must be reached.
        seconds: within which it must answer from then on.

    Raises:
        ConvcliError: the scheduler cannot be reached.
    """

    def __init__(self, address: Address | Client, connect: float, seconds: float) -> None:
        self.seconds, self.ending = seconds, ExitStack()
        try:
            self.client: Client = (
                _own(address) if isinstance(address, Client) else self._new(address, connect)
            )
            self.address, self.stream = str(self.client.scheduler.address), self.client.scheduler_comm
        except BaseException:
            self.ending.close()
            raise

    def _new(self, address: Address, seconds: float) -> Client:
        silence()
        match address:
            case Local(workers):
                cluster = _local_cluster(workers or processors())
                self.ending.callback(_end, cluster)
                return self._client(cluster, "of the local workers", seconds)
            case SchedulerFile(path):
                url = _address_in(path)
            case Network(url):
                pass
            case Environment():
                url = _configured_address()
        check_public(url)
        return self._client(url, f"at {one_line(url)}", seconds)

    def _client(self, target: Any, place: str, seconds: float) -> Client:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                client = Client(target, timeout=seconds, set_as_default=False)
        except Exception as error:
            raise ConvcliError(f"cannot reach the scheduler {place}: {_reason(error, place)}") from error
        self.ending.callback(_close, client)
        return client

    @property
    def is_lost(self) -> bool:
        """Whether there was no connection for a moment, after which the scheduler has forgotten all tasks."""
        return bool(self.client.status != "running" or self.client.scheduler_comm is not self.stream)

    @property
    def dashboard(self) -> str:
        """The address of the scheduler's page; empty for a local cluster that cannot show one."""
        if isinstance(self.client.cluster, LocalCluster) and find_spec("bokeh") is None:
            return ""
        return str(self.client.dashboard_link or "")

    def call(self, make: Callable[..., Awaitable[T]], *values: Any, seconds: float | None = None) -> T:
        """The result of a coroutine that runs in the thread of the client.

        Raises:
            ConvcliError: the scheduler is gone, or has not answered in time.
        """
        if self.is_lost:
            raise self.lost()
        limit = self.seconds if seconds is None else seconds
        try:
            result: T = self.client.sync(make, *values, callback_timeout=limit)
        except TimeoutError as error:
            raise self.lost() if self.is_lost else self._mute(limit) from error
        except OSError as error:
            raise self.lost() from error
        return result

    def map(self, call: Callable[..., T], *values: Sequence[Any], **options: Any) -> list[Future]:
        """Send tasks: one for each value in the sequences. No two of them share a result.

        Raises:
            ConvcliError: the scheduler is gone.
        """
        try:
            futures: list[Future] = self.client.map(call, *values, pure=False, **options)
        except Exception as error:
            if self.is_lost:
                raise self.lost() from error
            raise
        return futures

    def lost(self) -> ConvcliError:
        """The error that the scheduler is gone."""
        return ConvcliError(f"the scheduler at {self.address} is gone; {_NEXT}")

    def _mute(self, seconds: float) -> NoAnswerError:
        return NoAnswerError(f"the scheduler at {self.address} has not answered for {seconds:g} s; {_NEXT}")

    def close(self) -> None:
        """Disconnect, and end the cluster if it was started here."""
        self.ending.close()


def _own(client: Client) -> Client:
    if client.asynchronous:
        raise ConvcliError("an asynchronous client cannot be used; leave out asynchronous=True")
    return client


def _configured_address() -> str:
    """What Dask's own client would connect to: the setting of an environment variable or a file."""
    if address := dask.config.get("scheduler-address", None):
        return str(address)
    if path := dask.config.get("scheduler-file", None):
        return _address_in(str(path))
    raise ConvcliError(
        "cluster env: set DASK_SCHEDULER_ADDRESS, or scheduler-address in Dask's configuration"
    )


def _address_in(path: str) -> str:
    try:
        return str(json.loads(Path(path).read_text("utf-8"))["address"])
    except OSError as error:
        raise ConvcliError(f"{one_line(path)}: {error.strerror}") from error
    except (ValueError, LookupError, TypeError) as error:
        raise ConvcliError(
            f"{one_line(path)}: is not a file that dask scheduler --scheduler-file has written"
        ) from error


def _local_cluster(workers: int) -> LocalCluster:
    """Worker processes with one thread each; other machines cannot reach them."""
    try:
        with _without_interrupts(), dask.config.set(_LOCAL), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                memory_limit=1 / workers,  # of the memory that this process may use
                processes=True,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                silence_logs=SILENT,
            )
    except Exception as error:
        raise ConvcliError(f"cannot start {counted(workers, 'local worker')}: {_reason(error)}") from error


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Block SIGINT in threads and processes that are started: of the group, only this one answers Ctrl-C."""
    _start_tracker()  # otherwise it is started below, which ends the blocking
    with blocked({signal.SIGINT}):
        yield


def _start_tracker() -> None:
    """Start the process that removes the semaphores of killed processes, so that it does this silently."""
    if os.name != "posix":  # which has no such process
        return
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = "ignore"
    try:
        resource_tracker.ensure_running()
    finally:
        del os.environ["PYTHONWARNINGS"]
        if before is not None:
            os.environ["PYTHONWARNINGS"] = before


def _end(cluster: LocalCluster) -> None:
    """End a local cluster, also workers that hang."""
    children = psutil.Process().children(recursive=True)
    pids = {worker.pid for worker in cluster.workers.values() if worker.pid is not None}
    _close(cluster)
    for child in children:
        if child.pid in pids:
            with suppress(psutil.NoSuchProcess):
                child.kill()


def _close(closable: Any) -> None:
    """Close a client or a cluster, without waiting for those that do not answer."""
    with suppress(Exception):
        closable.close(timeout=_CLOSING)


def _reason(error: BaseException, place: str = "") -> str:
    if "ssl_context" in str(error) or ("tls://" in place and isinstance(error, TypeError)):
        return _NO_CERTIFICATES
    if str(error).startswith("Timed out trying to connect"):
        return "no answer in time; is it running, and is this its address?"
    return cut(one_line(str(error) or type(error).__name__))
