"""From the address of a cluster to the engine that runs tasks on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convcli.cluster.addresses import Address, parse
from convcli.cluster.base import Engine
from convcli.cluster.in_process import InProcessEngine
from convcli.core.errors import ConvcliError

if TYPE_CHECKING:
    from distributed import Client

_MISSING = "a cluster needs the package distributed; install it with: pip install 'convcli[cluster]'"


def engine_of(address: str | None) -> Engine:
    """The engine at an address, connected; without an address, the one that runs tasks in this process.

    Raises:
        ArgumentError: the address has no known form.
        ConvcliError: distributed is not installed, the scheduler cannot be reached, there are no workers, or
            they have other versions.
    """
    return InProcessEngine() if address is None else _dask_engine(parse(address))


def engine_on(client: Client) -> Engine:
    """The engine that uses a client of Dask, and does not close it.

    Raises:
        ConvcliError: there are no workers, or they have other versions.
    """
    return _dask_engine(client)


def _dask_engine(target: Address | Client) -> Engine:
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise ConvcliError(_MISSING) from error
    from convcli.cluster.dask import DaskEngine

    return DaskEngine(target)
